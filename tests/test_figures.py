"""Figures show what they are given: places, colours, numbers and words, and nothing is left open."""

from __future__ import annotations

import re
import sys

import numpy as np
import open_clip
import pytest
import torch
from matplotlib import colormaps
from PIL import Image

from mmel import figures
from mmel.errors import BadSetting, MmelError, NotANumber, ShapeMismatch
from mmel.figures import Explained, Words
from mmel.figures.frame import pixels_of, scale_of
from mmel.figures.words import lay, readable, text_width, wrapped

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
MAP = torch.arange(16.0).reshape(4, 4) / 1000
TWO = {"one": ([0, 0.5, 1], [1.0, 0.5, 0.2]), "two": ([0, 0.2, 1], [1.0, 0.1, 0.0])}
MAKERS = {
    "overlay": lambda: figures.overlay(PICTURE, MAP, title="a"),
    "explanation": lambda: figures.explanation(PICTURE, MAP, ["a", "dog"], [0.1, 0.4], score=0.3, name="mmel"),
    "explanations": lambda: figures.explanations(
        PICTURE, [Explained("x", MAP, None), Explained("y", None, None)], text="a"
    ),
    "row": lambda: figures.row([MAP, -MAP], ["one", "two"], image=PICTURE),
    "grid": lambda: figures.grid([PICTURE] * 2, [[MAP, None]] * 2, row_titles=["a", "b"], column_titles=["x", "y"]),
    "scenes": lambda: figures.scenes([PICTURE] * 5, list("abcde"), title="scenes"),
    "word_strip": lambda: figures.word_strip(["a", "dog"], [0.1, 0.2], title="words"),
    "bars": lambda: figures.bars(["a", "b"], [0.1, -0.2], [(0, 0.2), (-0.3, -0.1)], line=0.05, line_name="chance"),
    "curves": lambda: figures.curves(TWO, title="deletion"),
    "histogram": lambda: figures.histogram({"a": [1, 2, 2], "b": [3, 4]}, line=2, line_name="two"),
    "heat": lambda: figures.heat(np.eye(3), x_names=["a", "b", "c"], numbers=True, title="eye"),
}


def texts(figure) -> list[str]:
    """Every text of a figure that is shown, after it has been drawn once."""
    figure.draw_without_rendering()
    return [t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")) if t.get_visible() and t.get_text()]


@pytest.mark.parametrize("name", MAKERS)
def test_a_figure_is_drawn_and_nothing_stays_open(name):
    figure = MAKERS[name]()
    assert isinstance(figure, figures.Drawing)
    assert figure.get_facecolor() == (1, 1, 1, 1)
    shown = figure._repr_mimebundle_()
    assert set(shown) == {"image/png", "image/svg+xml"}
    assert "<svg" in shown["image/svg+xml"]
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


@pytest.mark.parametrize("name", MAKERS)
def test_everything_lies_on_the_sheet(name):
    figure = MAKERS[name]()
    figure.draw_without_rendering()
    (left, bottom), (right, top) = figure.get_tightbbox().get_points()  # inches
    width, height = figure.get_size_inches()
    assert left >= 0 and bottom >= 0 and right <= width + 1e-9 and top <= height + 1e-9


def bilinear(values: np.ndarray, size: int) -> np.ndarray:
    """A slow twin: pixel centres on the map's own axis, held at the border."""
    count, out = len(values), np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            y, x = (min(max((place + 0.5) * count / size - 0.5, 0), count - 1) for place in (row, column))
            top, left = min(int(y), count - 2), min(int(x), count - 2)
            v, u = y - top, x - left
            upper = (1 - u) * values[top, left] + u * values[top, left + 1]
            lower = (1 - u) * values[top + 1, left] + u * values[top + 1, left + 1]
            out[row, column] = (1 - v) * upper + v * lower
    return out


def test_a_map_lies_over_its_picture_bilinearly_in_its_own_unit():
    rng = np.random.default_rng(1)
    values = rng.random((3, 3)) * 1e-4
    figure = figures.overlay(np.zeros((64, 64, 3), np.uint8), values)
    base, over = figure.axes[0].images
    raised = bilinear(values, base.get_array().shape[0])
    low, high = values.min(), values.max()
    expected = colormaps["viridis"]((raised - low) / (high - low))
    assert np.abs(np.asarray(over.get_array()) - expected).max() < 0.02
    assert figure.axes[1].get_ylim() == pytest.approx((low, high))


def test_squares_stay_squares_over_the_whole_picture():
    figure = figures.overlay(PICTURE, MAP, smooth=False)
    base, over = figure.axes[0].images
    assert np.asarray(over.get_array()).shape == (4, 4, 4)
    assert over.get_extent() == base.get_extent()
    assert np.allclose(over.get_array()[3, 3], colormaps["viridis"](1.0))
    assert np.allclose(over.get_array()[0, 0], colormaps["viridis"](0.0))


def test_signed_values_have_white_at_zero_and_both_colours_reach_as_far():
    scale = scale_of([-1.0, 0.5])
    assert min(scale(0.0)[:3]) > 0.95
    assert (scale.norm.vmin, scale.norm.vmax) == (-1, 1)
    assert scale(-1.0)[2] > scale(-1.0)[0] and scale(1.0)[0] > scale(1.0)[2]
    assert scale_of([0.2, 0.5]).colours.name == "viridis"
    assert scale_of([0.2, 0.5], signed=True).norm.vmin == -0.5


@pytest.mark.parametrize("flat", [0.0, 2.0, 1e-30])
def test_a_flat_map_can_be_drawn(flat):
    figures.overlay(PICTURE, torch.full((3, 3), flat))._repr_mimebundle_()


@pytest.mark.parametrize("signed", [False, True])
def test_letters_on_a_coloured_word_are_readable(signed):
    scale = scale_of([0.0, 1.0], signed=signed)
    for value in np.linspace(-1 if signed else 0, 1, 41):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in scale(value)[:3]]
        light = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        ink = {"black": 0.0, "white": 1.0}[readable(scale, value)]
        assert (max(light, ink) + 0.05) / (min(light, ink) + 0.05) >= 4.5


TOKENIZER = open_clip.SimpleTokenizer()


def test_a_word_is_the_sum_of_its_tokens():
    text = "a dog unbelievably behind antidisestablishmentarianism, 🐶"
    ids = TOKENIZER.encode(text)
    values = [2.0**-i for i in range(len(ids))]
    words = figures.words_of(ids, [*values, 7.0, 8.0], TOKENIZER.decode)
    assert words.words[:4] == ("a", "dog", "unbelievably", "behind")
    assert words.words[4:6] == ("antidisestablishmentarianism", ",")
    assert "".join(words.words) == text.replace(" ", "")
    start = 0
    for word, value in zip(*words, strict=True):
        count = len(TOKENIZER.encode(word))
        assert value == pytest.approx(sum(values[start : start + count]))
        start += count
    assert start == len(ids)


def test_a_word_that_the_context_cut_keeps_what_is_left_of_it():
    ids = TOKENIZER.encode("a antidisestablishmentarianism")
    words = figures.words_of(ids, [1.0, 2.0, 3.0], TOKENIZER.decode)
    assert words.values == (1.0, 5.0)
    assert len(words.words) == 2


def test_lines_of_words_break_before_the_edge():
    needs = [30.0, 40.0, 50.0, 200.0, 10.0]
    places = lay(needs, 100)
    assert [line for _, line in places] == [0, 0, 1, 2, 3]
    assert all(x + need <= 100 or x == 0 for (x, _), need in zip(places, needs, strict=True))
    lines = wrapped("a monkey above a bicycle with a car " * 3, 120, 10)
    assert " ".join(lines) == ("a monkey above a bicycle with a car " * 3).strip()
    assert all(text_width(line, 10) <= 121 for line in lines)


def test_the_explanation_says_text_words_values_score_and_method():
    figure = figures.explanation(PICTURE, MAP, ["a", "dog"], [0.125, -0.5], score=-0.25, name="mmel")
    said = texts(figure)
    for each in ("a", "dog", "0.12", "\N{MINUS SIGN}0.5", "mmel"):
        assert each in said
    assert any(t.startswith("score \N{MINUS SIGN}0.250") for t in said)
    assert any("a dog" in t for t in said)


def test_words_are_coloured_by_their_values():
    figure = figures.word_strip(["a", "dog", "car"], [0.0, 0.2, 0.1])
    colours = [tuple(c.get_facecolor()[0]) for c in figure.axes[0].collections]
    viridis = colormaps["viridis"]
    assert [np.allclose(c, viridis(v)) for c, v in zip(colours, (0.0, 1.0, 0.5), strict=True)] == [True] * 3


def test_methods_side_by_side_show_different_scores_beside_their_names():
    words = Words(("a", "dog"), (0.1, 0.2))
    many = [Explained("one", MAP, words, 0.3), Explained("two", MAP, None, 0.4)]
    said = texts(figures.explanations(PICTURE, many, text="a dog"))
    assert any(re.match("one +score 0.300", t) for t in said) and any(re.match("two +score 0.400", t) for t in said)
    assert "no map of the text" in said
    same = texts(figures.explanations(PICTURE, [each._replace(score=0.3) for each in many], text="a dog"))
    assert sum("score" in t for t in same) == 1


HARD = ["$", "$x^2$ and $\\frac{", "a_b^c", "<b>&amp;", "100 % [bold]x[/bold]", "{0}", "\\n", "ни слова", "🐶 犬"]


@pytest.mark.parametrize("text", HARD)
@pytest.mark.filterwarnings("ignore:Glyph")
def test_texts_are_shown_as_they_are(text):
    made = [
        figures.overlay(PICTURE, MAP, title=text),
        figures.explanation(PICTURE, MAP, [text], [0.1], name=text),
        figures.grid([PICTURE], [[MAP]], row_titles=[text], column_titles=[text]),
        figures.bars([text], [0.1], title=text, line=0.1, line_name=text),
        figures.heat(np.eye(2), title=text, x_names=[text, "b"]),
    ]
    for figure in made:
        assert any(text in each for each in texts(figure))
        figure._repr_mimebundle_()
    assert text.replace("$", r"\$") + "   AUC 0.500" in texts(figures.curves({text: ([0, 1], [1, 0])}))
    figures.scenes([PICTURE], [text], title=text)._repr_mimebundle_()


def test_a_grid_shows_each_map_from_its_own_lowest_to_its_own_highest():
    figure = figures.grid([PICTURE], [[MAP, MAP * 100 + 5]], smooth=False)
    one, two = (np.asarray(axes.images[1].get_array()) for axes in figure.axes[1:3])
    assert np.allclose(one, two, atol=1e-2)
    assert np.allclose(one[0, 0], colormaps["viridis"](0.0)) and np.allclose(one[3, 3], colormaps["viridis"](1.0))
    assert {"lowest", "highest"} <= set(texts(figure))


def test_curves_have_the_area_under_them_in_the_legend():
    said = texts(figures.curves(TWO))
    assert "one   AUC 0.550" in said  # 0.5 (1 + 0.5) / 2 + 0.5 (0.5 + 0.2) / 2
    assert "two   AUC 0.150" in said  # 0.2 (1 + 0.1) / 2 + 0.8 (0.1 + 0) / 2
    assert "one   AUC 0.125" in texts(figures.curves({"one": TWO["one"]}, areas={"one": 0.125}))


def test_a_legend_never_lies_on_a_curve():
    everywhere = {f"curve {i}": (np.linspace(0, 1, 21), np.sin(20 * np.linspace(0, 1, 21) + i)) for i in range(6)}
    for given, title in ((everywhere, ""), (everywhere, "title"), (TWO, "")):
        figure = figures.curves(given, title=title)
        figure.draw_without_rendering()
        (axes,), sheet = figure.axes, figure.bbox
        place = axes.get_legend().get_window_extent()
        paths = [line.get_path().transformed(line.get_transform()) for line in axes.lines]
        assert not any(path.intersects_bbox(place, filled=False) for path in paths)
        assert sheet.x0 <= place.x0 and place.x1 <= sheet.x1 and sheet.y0 <= place.y0 and place.y1 <= sheet.y1
        words = [axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title, *axes.get_xticklabels()]
        assert not any(place.overlaps(each.get_window_extent()) for each in words if each.get_text())


@pytest.mark.parametrize("values", [[-0.9, 0.001], [0.5, -0.5], [0.2, 1.0], [-0.3, -0.2]])
def test_the_value_of_a_bar_stays_inside_the_axes(values):
    figure = figures.bars(["a longer name", "b"], values, [(v - 0.2, v + 0.2) for v in values], width=4)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    frame = axes.get_window_extent()
    boxes = [each.get_window_extent() for each in axes.texts]
    assert len(boxes) == 2 and all(frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)


def test_bars_show_values_and_intervals_from_the_top():
    figure = figures.bars(["a", "b"], [0.25, 0.5], [(0.1, 0.3), (0.4, 0.7)], marked=["b"])
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.5]
    assert axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor()
    (lines,) = axes.collections
    assert np.allclose([segment[:, 0] for segment in lines.get_segments()], [(0.1, 0.3), (0.4, 0.7)])
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert {"0.250", "0.500", "a", "b"} <= set(texts(figure))


def test_histograms_count_over_the_same_bins():
    figure = figures.histogram({"a": [0, 0, 1], "b": [2.0] * 5}, bins=2)
    outlines = figure.axes[0].patches[1::2]
    assert [list(each.get_data().values) for each in outlines] == [[2, 1], [0, 5]]
    assert all(np.allclose(each.get_data().edges, [0, 1, 2]) for each in outlines)


def test_a_matrix_is_shown_row_by_row():
    matrix = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    figure = figures.heat(matrix, numbers=True)
    assert np.allclose(figure.axes[0].images[0].get_array(), colormaps["viridis"](matrix / 5))
    assert {"0", "1", "2", "3", "4", "5"} <= set(texts(figure))


def test_pictures_may_be_pil_bytes_floats_or_tensors():
    values = np.asarray(PICTURE)
    floats = values / 255
    for each in (PICTURE, values, floats, torch.tensor(floats).movedim(-1, 0)):
        assert np.allclose(pixels_of(each), floats, atol=1e-6)
    assert pixels_of(PICTURE.convert("L")).shape == (32, 32, 3)
    wide = Image.new("RGB", (40, 20))
    assert figures.explanation(wide, MAP).get_size_inches()[1] < figures.explanation(PICTURE, MAP).get_size_inches()[1]


BAD = {
    "a batch of maps": (lambda: figures.overlay(PICTURE, MAP[None]), ShapeMismatch, "attribution.image"),
    "NaN": (lambda: figures.overlay(PICTURE, MAP * torch.nan), NotANumber, "NaN"),
    "normalised pixels": (lambda: figures.overlay(np.random.randn(8, 8, 3) * 9, MAP), BadSetting, "normalisation"),
    "grey pixels": (lambda: figures.overlay(np.zeros((8, 8)), MAP), ShapeMismatch, "rows, columns, 3"),
    "limits": (lambda: figures.overlay(PICTURE, MAP, limits=(1, 0)), BadSetting, "limits"),
    "a ragged grid": (lambda: figures.grid([PICTURE] * 2, [[MAP], [MAP, MAP]]), ShapeMismatch, "one length"),
    "titles": (lambda: figures.grid([PICTURE], [[MAP]], column_titles=["a", "b"]), ShapeMismatch, "titles"),
    "words": (lambda: figures.word_strip(["a"], [1, 2]), ShapeMismatch, "one value"),
    "no words": (lambda: figures.word_strip([], []), ShapeMismatch, "none came"),
    "no methods": (lambda: figures.explanations(PICTURE, [], text="a"), ShapeMismatch, "method"),
    "captions": (lambda: figures.scenes([PICTURE], ["a", "b"]), ShapeMismatch, "caption"),
    "bars": (lambda: figures.bars(["a"], [1, 2]), ShapeMismatch, "one value"),
    "intervals": (lambda: figures.bars(["a"], [1], [(0, 1), (0, 1)]), ShapeMismatch, "pair"),
    "a curve": (lambda: figures.curves({"a": ([0, 1], [1])}), ShapeMismatch, "fraction"),
    "no curves": (lambda: figures.curves({}), ShapeMismatch, "none came"),
    "no samples": (lambda: figures.histogram({}), ShapeMismatch, "none came"),
    "a vector": (lambda: figures.heat([1, 2]), ShapeMismatch, "matrix"),
    "row titles": (lambda: figures.row([MAP], []), ShapeMismatch, "title"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_drawn_is_said(name):
    make, error, says = BAD[name]
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize("kind", figures.FORMATS)
def test_a_saved_figure_is_whole_and_the_same_each_time(tmp_path, kind):
    for name in ("one", "two"):
        figures.save(MAKERS["explanation"](), tmp_path / "new" / f"{name}.{kind}", dpi=50)
    one, two = sorted((tmp_path / "new").iterdir())
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size > 1000


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    old = tmp_path / "a.png"
    old.write_text("old")
    with pytest.raises(BadSetting, match=r"\.png"):
        figures.save(MAKERS["heat"](), tmp_path / "a.txt")
    with pytest.raises(MmelError, match="cannot be written"):
        figures.save(MAKERS["heat"](), old / "b.png")
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    with pytest.raises(MmelError, match="No space left"):
        figures.save(MAKERS["heat"](), old)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert old.read_text() == "old"


def test_numbers_in_a_cell_are_short_and_counts_are_whole():
    from mmel.figures.words import short

    written = ["0.0012", "\N{MINUS SIGN}0.5", "13", "120", "12,346", "1.2e\N{MINUS SIGN}05"]
    assert [short(value) for value in (0.00123, -0.5, 13, 120, 12345.6, 0.0000123)] == written
