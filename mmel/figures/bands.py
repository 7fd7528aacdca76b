"""Curves with their intervals in small panels of one scale, for more lines than one panel can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from ..errors import ShapeMismatch
from .frame import DASHES, FRAME, HUES, INK, MUTED, SIZES, Drawing, array_of, drawing
from .plots import escaped

Band = tuple[Sequence[float], Sequence[float], Sequence[float]]  # value, low and high at each x


def bands(
    panels: Mapping[str, Mapping[str, Band]],
    *,
    x: Sequence[float] | None = None,  # None: 0, 1, 2, ...
    x_names: Sequence[str] = (),  # of the places of x, written upright below the lowest panels
    xlabel: str = "",
    ylabel: str = "",
    controls: Sequence[str] = (),  # names of the lines to draw in grey, with their names once only
    limits: tuple[float, float] | None = None,  # of y; None: what the panels need
    marks: Mapping[str, Sequence[float]] | None = None,  # panel -> x of vertical lines
    columns: int = 2,
    width: float = 7.4,  # inches
    height: float = 2.3,  # of a panel
) -> Drawing:
    """Panels by their titles, each with its lines: name -> (values, lows, highs) at every x."""
    if not panels or not all(panels.values()):
        raise ShapeMismatch("at least one panel with at least one line is needed, but none came.")
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    below = 0.3 + 0.065 * max(map(len, x_names), default=0)
    figure = drawing(width, height * rows + below)
    places = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    named: set[str] = set()
    for index, (place, (title, lines)) in enumerate(zip(places, panels.items(), strict=False)):
        _frame(place, title, xlabel if index >= len(panels) - columns else "", ylabel if not index % columns else "")
        hues = iter(HUES[:6] * len(lines))
        for order, (name, band) in enumerate(lines.items()):
            grey = name in controls
            label = "" if grey and name in named else escaped(name)
            named |= {name}
            dash = DASHES[1 + list(controls).index(name) % 3] if grey else DASHES[order // 6 % 4]
            _line(place, x, band, label, MUTED if grey else next(hues), dash, 1.2 if grey else 1.8)
        for at in (marks or {}).get(title, ()):
            place.axvline(at, color=INK, linestyle=":", linewidth=1)
        place.legend(fontsize=7.5, frameon=False, loc="best", handlelength=1.8, labelspacing=0.25)
    _ticks(places, len(panels), columns, x, x_names, limits)
    return figure


def _frame(axes: Axes, title: str, xlabel: str, ylabel: str) -> None:
    axes.set_axisbelow(True)
    axes.grid(True, color=FRAME, linewidth=0.6, alpha=0.7)
    axes.tick_params(labelsize=SIZES["small"], color=FRAME, labelcolor=INK)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=FRAME)
    axes.set_xlabel(xlabel, size=SIZES["label"], color=INK, parse_math=False)
    axes.set_ylabel(ylabel, size=SIZES["label"], color=INK, parse_math=False)
    axes.set_title(title, size=SIZES["label"], color=INK, loc="left", weight="bold", parse_math=False)


def _line(axes: Axes, x, band: Band, label: str, hue: str, dash: str, thick: float) -> None:
    values, low, high = (array_of(each, "values of a line") for each in band)
    where = np.arange(len(values)) if x is None else array_of(x, "places")
    if not values.shape == low.shape == high.shape == where.shape:
        raise ShapeMismatch(
            f"a line has a value, a low and a high end at each of {where.shape} places; got {values.shape}, "
            f"{low.shape}, {high.shape}."
        )
    axes.fill_between(where, low, high, color=hue, alpha=0.15, linewidth=0)
    axes.plot(where, values, dash, color=hue, linewidth=thick, label=label or None)


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
