"""Curves with their intervals in small panels, for more lines than one panel can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..errors import ShapeMismatch
from .frame import DASHES, HUES, INK, MUTED, SIZES, Drawing, array_of, drawing
from .plots import escaped, framed

Band = tuple[Sequence[float], Sequence[float], Sequence[float]]  # value, low and high at each x


def bands(
    panels: Mapping[str, Mapping[str, Band]],
    *,
    x: Sequence[float] | None = None,  # None: 0, 1, 2, ...
    x_names: Sequence[str] = (),  # of the places of x, written upright below the lowest panels
    xlabel: str = "",
    ylabel: str = "",
    controls: Sequence[str] = (),  # names of lines to draw in grey; their names stand below, once
    limits: tuple[float, float] | None = None,  # of y; None: what the panels need
    marks: Mapping[str, Sequence[float]] | None = None,  # panel -> x of vertical lines
    sharey: bool = True,  # one scale for all panels
    columns: int = 2,
    width: float = 7.4,  # inches
    height: float = 2.3,  # of a panel
) -> Drawing:
    """Panels by their titles, each with its lines: name -> (values, lows, highs) at every x."""
    if not panels or not all(panels.values()):
        raise ShapeMismatch("at least one panel with at least one line is needed, but none came.")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    shared = len(panels) > 1 and len({tuple(lines) for lines in panels.values()}) == 1  # one legend for all
    below = 0.3 + 0.065 * max(map(len, x_names), default=0) + 0.3 * bool(controls) + 0.4 * shared
    figure = drawing(width, height * rows + below)
    places = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=sharey).ravel()
    for index, (place, (title, lines)) in enumerate(zip(places, panels.items(), strict=False)):
        framed(place, xlabel if index >= len(panels) - columns else "", ylabel if not index % columns else "")
        own = [name for name in lines if name not in controls]
        grey = [_line(place, x, lines[name], *_grey(controls, name)) for name in controls if name in lines]
        drawn = [
            _line(place, x, lines[name], escaped(name), HUES[order % 6], DASHES[order // 6 % 4], 1.8)
            for order, name in enumerate(own)
        ]
        for at in (marks or {}).get(title, ()):
            place.axvline(at, color=INK, linestyle=":", linewidth=1)
        _legend(place, title, [] if shared else drawn, 2 if columns > 1 else 4)
    below = [*drawn, *grey] if shared else grey
    if shared and len(panels) < len(places):  # the empty place has room for it
        places[-1].legend(handles=below, loc="center", fontsize=9, frameon=False)
    elif below:
        figure.legend(handles=below, loc="outside lower center", ncols=min(4, len(below)), fontsize=8, frameon=False)
    _ticks(places, len(panels), columns, x, x_names, limits)
    return figure


def _grey(controls: Sequence[str], name: str) -> tuple[str, str, str, float]:
    """Name, colour, dashes and width of a control's line."""
    return (
        escaped(name),
        MUTED,
        ((0, (5, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (1, 1)))[list(controls).index(name) % 4],
        1.2,
    )


def _legend(axes: Axes, title: str, lines: Sequence[Line2D], columns: int) -> None:
    """The panel's title, and between it and the panel the names of its lines: they never lie on a curve."""
    rows = -(-len(lines) // columns)
    axes.set_title(title, size=SIZES["label"], color=INK, loc="left", weight="bold", parse_math=False,
                   pad=5 + 10.5 * rows)  # fmt: skip
    if lines:
        axes.legend(
            handles=lines, loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=columns, fontsize=7.5, frameon=False,
            handlelength=1.6, labelspacing=0.2, columnspacing=1.0, borderpad=0.1, borderaxespad=0.1,
        )  # fmt: skip


def _line(axes: Axes, x, band: Band, label: str, hue: str, dash, thick: float) -> Line2D:
    values, low, high = (array_of(each, "values of a line") for each in band)
    where = np.arange(len(values)) if x is None else array_of(x, "places")
    if not values.shape == low.shape == high.shape == where.shape:
        raise ShapeMismatch(
            f"a line has a value, a low and a high end at each of {where.shape} places; got {values.shape}, "
            f"{low.shape}, {high.shape}."
        )
    axes.fill_between(where, low, high, color=hue, alpha=0.15, linewidth=0)
    (line,) = axes.plot(where, values, linestyle=dash, color=hue, linewidth=thick, label=label)
    return line


def _ticks(places, used: int, columns: int, x, x_names: Sequence[str], limits) -> None:
    for index, place in enumerate(places):
        if index >= used:
            place.axis("off")
        if limits:
            place.set_ylim(*limits)
        if len(x_names):
            where = np.arange(len(x_names)) if x is None else array_of(x, "places")
            place.set_xticks(where, x_names, rotation=90, parse_math=False)
        place.tick_params(labelbottom=used - columns <= index < used)
