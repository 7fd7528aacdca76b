"""Panels of curves with intervals: what is drawn is what was given, and nothing lies under a legend."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from mmel import figures
from mmel.errors import ShapeMismatch
from mmel.figures.frame import MUTED, encoded

LOW, MIDDLE, HIGH = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9]
BAND = (MIDDLE, LOW, HIGH)
PANELS = {"first $1": {"a": BAND, "b": BAND, "noise": BAND}, "second": {"c": BAND, "noise": BAND}}


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_values_intervals_and_places_are_those_given():
    drawn = figures.bands({"one": {"a": BAND}}, x=[1, 2, 4], marks={"one": [2]}, limits=(0, 1))
    (axes,) = drawn.axes
    assert lines(axes)["a"].get_xydata().tolist() == [[1, 0.4], [2, 0.5], [4, 0.6]]
    (area,) = axes.collections
    corners = {tuple(map(float, each)) for each in area.get_paths()[0].vertices.round(6)}
    assert {(1.0, 0.1), (2.0, 0.8), (4.0, 0.9), (4.0, 0.3)} <= corners
    assert axes.get_ylim() == (0, 1)
    assert any(list(line.get_xdata()) == [2, 2] for line in axes.get_lines())


def test_controls_are_grey_and_named_once():
    drawn = figures.bands(PANELS, controls=["noise"], x_names=["x", "y", "z"])
    first, second = drawn.axes
    for axes in (first, second):
        assert to_hex(lines(axes)["noise"].get_color()) == MUTED
        assert "noise" not in [text.get_text() for text in axes.get_legend().get_texts()]
    assert to_hex(lines(first)["a"].get_color()) != to_hex(lines(first)["b"].get_color())
    assert [text.get_text() for legend in drawn.legends for text in legend.get_texts()] == ["noise"]
    assert [text.get_text() for text in first.get_xticklabels()] == ["x", "y", "z"]


def test_panels_with_the_same_lines_share_one_legend():
    drawn = figures.bands({name: {"a": BAND, "noise": BAND} for name in ("p", "q", "r")}, controls=["noise"])
    assert [axes.axison for axes in drawn.axes] == [True, True, True, False] and not drawn.legends
    assert [axes.get_legend() is None for axes in drawn.axes] == [True, True, True, False]
    assert [text.get_text() for text in drawn.axes[3].get_legend().get_texts()] == ["a", "noise"]
    drawn = figures.bands({name: {"a": BAND, "noise": BAND} for name in ("p", "q")}, controls=["noise"])
    assert all(axes.get_legend() is None for axes in drawn.axes)
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["a", "noise"]


def test_legends_lie_outside_of_the_panels():
    drawn = figures.bands(PANELS, controls=["noise"])
    renderer = FigureCanvasAgg(drawn).get_renderer()
    drawn.draw_without_rendering()
    for axes in drawn.axes:
        inside, legend = axes.get_window_extent(renderer), axes.get_legend().get_window_extent(renderer)
        assert legend.y0 >= inside.y1 - 3
        assert axes.title.get_window_extent(renderer).y0 >= legend.y1 - 3
    assert drawn.legends[0].get_window_extent(renderer).y1 < drawn.axes[0].get_window_extent(renderer).y0


def test_the_same_panels_give_the_same_bytes():
    first, again = (encoded(figures.bands(PANELS, controls=["noise"]), "svg", dpi=80) for _ in range(2))
    assert first == again


def test_bad_input_says_what_to_do():
    for panels in ({}, {"a": {}}):
        with pytest.raises(ShapeMismatch, match="panel"):
            figures.bands(panels)
    with pytest.raises(ShapeMismatch, match="low"):
        figures.bands({"a": {"b": (MIDDLE, LOW, HIGH[:2])}})
    with pytest.raises(ShapeMismatch):
        figures.bands({"a": {"b": BAND}}, x=np.arange(4))


def test_shares_in_panels_of_one_scale():
    """Every end lies inside its panel, the lowest panel of each column has numbers, and no side is shaded."""
    shares = {"a": (0.0, 0.1, 0.2), "b": (0.7, 0.9, 1.0)}
    panels = {name: {key: shares[key] for key in keys} for name, keys in {"p": "ab", "q": "b", "r": "a"}.items()}
    drawn = figures.forest(panels, better=dict.fromkeys(panels, ""), certain=panels, one_scale=True, marked=["b"])
    drawn.draw_without_rendering()
    assert [axes.axison for axes in drawn.axes] == [True, True, True, False]
    for axes in drawn.axes[:3]:
        assert axes.get_xlim()[0] < 0 and axes.get_xlim()[1] > 1 and not axes.patches
    assert all(line.get_markerfacecolor() != "white" for line in drawn.axes[0].lines if line.get_marker() == "o")
    numbers = [any(label.get_visible() for label in axes.get_xticklabels()) for axes in drawn.axes[:3]]
    assert numbers == [False, True, True]
