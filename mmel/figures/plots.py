"""Numbers as figures: bars with intervals, curves with their areas, histograms, matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle, product

import numpy as np
from matplotlib.axes import Axes

from ..errors import ShapeMismatch
from .frame import DASHES, FRAME, HUES, INK, SIZES, Drawing, array_of, drawing, scale_of
from .pictures import bar
from .words import alike, readable

GAP = 4  # pixels between a bar's value and the names of the bars


def bars(
    names: Sequence[str],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]] | None = None,  # (low, high) of each value
    *,
    xlabel: str = "",
    title: str = "",
    marked: Sequence[str] = (),  # names to set off by another colour
    line: float | None = None,  # a value to compare with: chance, say
    line_name: str = "",
    digits: int = 3,
    width: float = 6.0,  # inches
) -> Drawing:
    """Horizontal bars, the first name on top, each with its value and, where given, its interval."""
    values = array_of(values, "values")
    if values.shape != (len(names),):
        raise ShapeMismatch(f"each name has one value, but {len(names)} names and {values.shape} values came.")
    ends = array_of(values[:, None].repeat(2, 1) if intervals is None else intervals, "intervals")
    if ends.shape != (len(names), 2):
        raise ShapeMismatch(f"intervals are a pair (low, high) for each of {len(names)} names; got {ends.shape}.")
    figure = drawing(width, 0.9 + 0.3 * len(names))
    axes = plain(figure, title, xlabel, "")
    places = np.arange(len(names))
    axes.barh(places, values, height=0.66, color=[HUES[1] if each in marked else HUES[0] for each in names])
    if intervals is not None:
        axes.hlines(places, *ends.T, color=INK, linewidth=1.2)
        axes.plot(ends, np.stack([places, places], 1), "|", color=INK, markersize=6)
    axes.set_yticks(places, names, parse_math=False)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    reference(axes, line, line_name)
    _write_values(axes, values, ends, digits)
    return figure


def _write_values(axes: Axes, values: np.ndarray, ends: np.ndarray, digits: int) -> None:
    """Each bar's value beyond its end, over the lines behind it; the axis grows until all of them stand beside it."""
    written = []
    for place, (value, (low, high)) in enumerate(zip(values, ends, strict=True)):
        right = value >= 0
        written.append(axes.annotate(
            _signed(value, digits),
            (max(value, high, 0) if right else min(value, low), place),
            xytext=(5 if right else -5, 0), textcoords="offset points", va="center", ha="left" if right else "right",
            size=SIZES["small"], color=INK, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 0.8},
        ))  # fmt: skip
    for _ in range(3):  # a longer axis makes the bars shorter, not the words
        axes.figure.draw_without_rendering()
        boxes, frame = [each.get_window_extent() for each in written], axes.get_window_extent()
        left, right = frame.x0 + GAP - min(box.x0 for box in boxes), max(box.x1 for box in boxes) - frame.x1
        if max(left, right) <= 0:
            return
        low, high = axes.get_xlim()
        step = 1.15 * (high - low) / frame.width
        axes.set_xlim(low - step * max(left, 0), high + step * max(right, 0))


def _signed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    areas: Mapping[str, float] | None = None,  # None: trapezoid over the fractions; a name left out gets none
    xlabel: str = "fraction of pixels removed",
    ylabel: str = "score",
    title: str = "",
    width: float = 6.0,  # inches
) -> Drawing:
    """Deletion or insertion curves, name -> (fractions, values), with the area under each in the legend."""
    if not curves:
        raise ShapeMismatch("at least one curve is needed, but none came.")
    figure = drawing(width, 0.62 * width)
    axes = plain(figure, title, xlabel, ylabel)
    looks = cycle((hue, DASHES[i % len(DASHES)]) for i, hue in enumerate(HUES))
    for (name, (fractions, values)), (hue, dash) in zip(curves.items(), looks, strict=False):
        fractions, values = array_of(fractions, "fractions"), array_of(values, "values of a curve")
        if fractions.shape != values.shape or fractions.ndim != 1:
            raise ShapeMismatch(
                f"a curve has one value for each fraction, but {name!r} has {fractions.shape} fractions and "
                f"{values.shape} values."
            )
        own = {name: float(((values[1:] + values[:-1]) / 2 * np.diff(fractions)).sum())} if areas is None else areas
        label = f"{escaped(name)}   AUC {_signed(own[name], 3)}" if name in own else escaped(name)
        axes.plot(fractions, values, dash, color=hue, linewidth=1.8, label=label)
    _legend(axes, below=bool(title))
    return figure


def _legend(axes: Axes, *, below: bool) -> None:
    """Among the curves where there is room; else above them, or below them where a title stands above."""
    among = axes.legend(fontsize=SIZES["small"], frameon=False)
    axes.figure.draw_without_rendering()
    place = among.get_window_extent()
    paths = [each.get_path().transformed(each.get_transform()) for each in axes.lines]
    if any(path.intersects_bbox(place, filled=False) for path in paths):
        where = ("upper center", (0.5, -0.16)) if below else ("lower center", (0.5, 1.0))
        how = dict(zip(("loc", "bbox_to_anchor"), where, strict=True))
        axes.legend(fontsize=SIZES["small"], frameon=False, ncols=2, **how)


def histogram(
    samples: Mapping[str, Sequence[float]],
    *,
    bins: int = 30,
    xlabel: str = "",
    ylabel: str = "count",
    title: str = "",
    line: float | None = None,
    line_name: str = "",
    width: float = 6.0,  # inches
) -> Drawing:
    """Distributions of one or more samples over the same bins, as outlines with a light fill."""
    values = {name: array_of(sample, "values").ravel() for name, sample in samples.items()}
    if not values:
        raise ShapeMismatch("at least one sample is needed, but none came.")
    edges = np.histogram_bin_edges(np.concatenate(list(values.values())), bins=bins)
    figure = drawing(width, 0.58 * width)
    axes = plain(figure, title, xlabel, ylabel)
    looks = cycle((hue, DASHES[i % len(DASHES)]) for i, hue in enumerate(HUES))
    for (name, sample), (hue, dash) in zip(values.items(), looks, strict=False):
        counts = np.histogram(sample, edges)[0]
        axes.stairs(counts, edges, fill=True, color=hue, alpha=0.18)
        axes.stairs(counts, edges, color=hue, linestyle=dash, linewidth=1.6, label=escaped(name))
    reference(axes, line, line_name)
    if len(values) > 1:
        axes.legend(fontsize=SIZES["small"], frameon=False)
    return figure


def heat(
    matrix,
    *,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    x_names: Sequence[str] = (),
    y_names: Sequence[str] = (),
    signed: bool | None = None,
    limits: tuple[float, float] | None = None,
    numbers: bool = False,  # write each value into its cell
    side: float = 4.2,  # inches of the longer side
) -> Drawing:
    """A matrix in colours, patch by patch, say, with its colour bar."""
    values = array_of(matrix, "values")
    if values.ndim != 2:
        raise ShapeMismatch(f"a matrix [rows, columns] was expected, but the shape {list(values.shape)} came.")
    rows, columns = values.shape
    size = side / max(rows, columns)
    figure = drawing(max(size * columns, 1.2) + 1.7, max(size * rows, 0.8) + 0.9)
    axes = plain(figure, title, xlabel, ylabel)
    scale = scale_of(values, signed=signed, limits=limits)
    axes.imshow(scale(values), interpolation="nearest", aspect="equal")
    axes.grid(False)
    for set_ticks, names in ((axes.set_xticks, x_names), (axes.set_yticks, y_names)):
        if len(names):
            turn = 45 if set_ticks == axes.set_xticks and max(map(len, names)) > 3 else 0
            how = {"rotation": turn, "ha": "right"} if turn else {}
            set_ticks(np.arange(len(names)), names, parse_math=False, **how)
    if numbers:
        written = alike(values)
        for row, column in product(range(rows), range(columns)):
            where = {"ha": "center", "va": "center", "size": SIZES["small"]}
            axes.text(column, row, written[row][column], color=readable(scale, values[row, column]), **where)
    bar(figure, axes, scale)
    return figure


def plain(figure: Drawing, title: str, xlabel: str, ylabel: str) -> Axes:
    """Axes with faint lines behind, and letters of the house's sizes."""
    axes = figure.subplots()
    framed(axes, xlabel, ylabel)
    if title:
        axes.set_title(title, size=SIZES["title"], color=INK, loc="left", weight="bold", pad=16, parse_math=False)
    return axes


def framed(axes: Axes, xlabel: str, ylabel: str) -> None:
    """Faint lines behind, two sides of a frame, and the names of both axes."""
    axes.set_axisbelow(True)
    axes.grid(True, color=FRAME, linewidth=0.6, alpha=0.7)
    axes.tick_params(labelsize=SIZES["small"], color=FRAME, labelcolor=INK)
    for side, spine in axes.spines.items():
        spine.set(visible=side in ("left", "bottom"), color=FRAME)
    axes.set_xlabel(xlabel, size=SIZES["label"], color=INK, parse_math=False)
    axes.set_ylabel(ylabel, size=SIZES["label"], color=INK, parse_math=False)


def reference(axes: Axes, line: float | None, name: str) -> None:
    """A dashed vertical line to compare with, and what it is."""
    if line is None:
        return
    axes.axvline(line, color=INK, linestyle="--", linewidth=1)
    if name:
        axes.annotate(
            name, (line, 1), xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points",
            va="bottom", ha="center", size=SIZES["small"], color=INK, parse_math=False,
        )  # fmt: skip


def escaped(name: str) -> str:
    """A legend's text as it is: its dollar signs start no formula."""
    return str(name).replace("$", r"\$")
