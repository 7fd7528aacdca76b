"""Differences with their intervals, one panel a column of a table, and tables as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from ..errors import ShapeMismatch
from .frame import FRAME, HUES, INK, MUTED, SIZES, Drawing, drawing

ENDS = ("low", "mean", "high")


def forest(
    panels: Mapping[str, Mapping[str, tuple[float, float, float]]],  # title -> name -> (low, mean, high)
    *,
    better: Mapping[str, str],  # title -> "left", "right", or "" for neither
    xlabel: str = "",
    marked: Sequence[str] = (),  # names to set off: controls, say
    certain: Mapping[str, Sequence[str]] | None = None,  # title -> names with a filled point; None: by the interval
    columns: int = 2,
    width: float = 7.5,  # inches
) -> Drawing:
    """Paired differences from a reference at 0: a point and its interval a name, filled where 0 lies outside.

    All panels have the same names in the same order; a name without a value in a panel leaves its line empty. The
    side of zero that is better is shaded, if one is.
    """
    if not panels:
        raise ShapeMismatch("at least one panel is needed, but none came.")
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = drawing(width, rows * (0.75 + 0.2 * len(names)))
    axes = np.atleast_2d(figure.subplots(rows, columns, sharey=True, squeeze=False))
    for place, (title, panel) in zip(axes.flat, panels.items(), strict=False):
        sure = None if certain is None else certain.get(title, ())
        _panel(place, names, panel, better[title], marked, sure)
        place.set_title(title, size=SIZES["label"], color=INK, loc="left", weight="bold", parse_math=False)
    for place in axes.flat[len(panels) :]:
        place.axis("off")
    if xlabel:
        figure.supxlabel(xlabel, size=SIZES["label"], color=INK)
    return figure


def _panel(axes, names, panel, better, marked, sure) -> None:
    axes.set_axisbelow(True)
    axes.grid(True, axis="y", color=FRAME, linewidth=0.5, alpha=0.5)
    axes.axvline(0, color=INK, linewidth=1)
    for line, name in enumerate(names):
        if name not in panel:
            where = {"xycoords": ("axes fraction", "data"), "ha": "center", "va": "center"}
            axes.annotate("\N{EN DASH}", (0.5, line), **where, size=SIZES["label"], color=MUTED)
            continue
        low, mean, high = panel[name]
        filled = name in sure if sure is not None else low > 0 or high < 0
        colour = HUES[1] if name in marked else HUES[0]
        axes.hlines(line, low, high, color=colour, linewidth=1.6)
        axes.plot(mean, line, "o", color=colour, markersize=5, markerfacecolor=colour if filled else "white")
    low, high = axes.get_xlim()
    if better:
        axes.axvspan(*((low, 0) if better == "left" else (0, high)), color=HUES[2], alpha=0.07, zorder=0, linewidth=0)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(labelsize=SIZES["small"], color=FRAME, labelcolor=INK)
    for side, spine in axes.spines.items():
        spine.set(visible=side == "bottom", color=FRAME)


def markdown_table(
    head: Sequence[str], lines: Sequence[Sequence[str]], *, notes: Sequence[str] = (), numbers_from: int = 1
) -> str:
    """A Markdown table: columns from `numbers_from` on stand to the right; notes follow below, one a line."""
    for line in lines:
        if len(line) != len(head):
            raise ShapeMismatch(f"a table of {len(head)} columns has as many cells a line, but {len(line)} came.")
    rule = ["---" if place < numbers_from else "---:" for place in range(len(head))]
    text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in (head, rule, *lines))
    return text + "".join(f"\n\n{note}" for note in notes) + "\n"
