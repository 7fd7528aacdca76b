"""Playable figures: what they store, what they refuse, and their page."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from playable import MAKERS, NAMES, PICTURES, PRESETS, TEXTS, VALUES, curves, dials, explorer, ladder, quiz, scrubber

from mmel import LITERAL, widgets
from mmel.errors import BadSetting, MmelError, NotANumber, ShapeMismatch
from mmel.widgets import pack, unpack
from mmel.widgets.packing import sprite

VOID = {"meta", "img"}


class Checked(HTMLParser):
    """Every tag is closed in its order; ids and links are kept."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.ids, self.links, self.alts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[name] for name in ("src", "href") if name in found]
        self.alts += [found.get("alt")] if tag == "img" else []
        self.open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_no_value_moves_by_more_than_half_a_step(bits, rows):
    values = np.random.default_rng(bits).normal(size=(3, 4, 50)) * np.array([1, 100, 1e-4])[:, None, None]
    axes = tuple(range(rows, 3))
    low, high = values.min(axes, keepdims=True), values.max(axes, keepdims=True)
    packed = pack(values, rows=rows, bits=bits)
    half = (high - low) / (2**bits - 1) / 2
    assert np.all(np.abs(unpack(packed) - values) <= half + 2e-7 * np.abs(values).max(axes, keepdims=True))
    assert len(packed["low"]) == len(packed["high"]) == int(np.prod(values.shape[:rows]))
    assert len(base64.b64decode(packed["data"])) == values.size * bits // 8
    assert pack(unpack(packed), rows=rows, bits=bits)["data"] == packed["data"]  # codes are kept


def test_a_flat_row_stays_what_it_is():
    assert np.array_equal(unpack(pack(np.full((2, 3), 0.25), rows=1)), np.full((2, 3), 0.25))


@pytest.mark.parametrize(
    ("values", "settings", "error"),
    [([1, np.nan], {}, NotANumber), ([], {}, ShapeMismatch), ([1, 2], {"bits": 4}, BadSetting),
     ([1, 2], {"rows": 2}, ShapeMismatch)],
)  # fmt: skip
def test_what_cannot_be_packed(values, settings, error):
    with pytest.raises(error):
        pack(values, **settings)


def test_a_sprite_holds_every_pixel():
    made = sprite(PICTURES)
    sheet = Image.open(BytesIO(base64.b64decode(made["src"].partition(",")[2])))
    assert np.array_equal(np.asarray(sheet), np.concatenate([np.asarray(each) for each in PICTURES]))
    with pytest.raises(ShapeMismatch, match="one size"):
        sprite([PICTURES[0], PICTURES[0].resize((8, 8))])


@pytest.mark.parametrize("kind", MAKERS)
def test_a_figure_is_whole_html_and_names_no_other_place(kind, tmp_path):
    made = MAKERS[kind]()
    page = Checked(made.document())
    assert page.open == [] and len(page.ids) == len(set(page.ids)) == 2
    assert page.links and all(link.startswith("data:image/png;base64,") for link in page.links)
    assert page.alts == [made.alt] and len(made.alt) > 30
    outside = re.sub(r'(?s)"data:image.*?"|<script type="application/json".*?</script>', "", made.document())
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(|import\(|fetch\(|XMLHttp", outside)
    assert made._repr_html_() == made.html and not re.search(r"\n\s*\n", made.html)
    assert made.save(tmp_path / "a.html").read_text() == made.document()
    assert Image.open(BytesIO(made.first)).width > 200
    assert len(repr(made)) < 400


@pytest.mark.parametrize("kind", MAKERS)
def test_a_name_is_the_datas_own(kind):
    one, other = MAKERS[kind](), MAKERS[kind]()  # drawn anew
    assert one.name.startswith(f"play-{kind}-")
    assert (one.name == other.name) == (one.data == other.data)
    assert widgets.Playable(one.kind, one.title, one.alt, one.data, one.first).html == one.html


def test_texts_cannot_end_the_script():
    stored = re.search(r'(?s)class="mp-data">(.*?)</script>', explorer().html)[1]
    assert "<" not in stored and json.loads(stored)["texts"] == TEXTS


def test_a_figure_has_a_text_and_a_limit(tmp_path):
    one = quiz()
    with pytest.raises(BadSetting, match="do not see"):
        widgets.Playable("quiz", "title", " ", one.data, one.first)
    with pytest.raises(BadSetting, match="fewer pictures"):
        widgets.Playable("quiz", "title", "a text", one.data, bytes(1_000_000))
    with pytest.raises(MmelError, match="cannot be written"):
        one.save(one.save(tmp_path / "new" / "a.html") / "below a file.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.html"]


MAPS = {name: np.random.default_rng(1).random((2, 2, 1, 4, 4)) for name in NAMES[:2]}
WRONG = {
    "a picture too few": (lambda: widgets.explorer(PICTURES[:1], TEXTS, MAPS, [[0, 0]]), ShapeMismatch),
    "one method": (lambda: explorer(maps={"mmel": MAPS["mmel"]}), BadSetting),
    "maps of another shape": (lambda: explorer(maps=MAPS | {"mmel": np.zeros((2, 4, 4))}), ShapeMismatch),
    "layers without names": (lambda: explorer(maps=MAPS | {"mmel": np.zeros((2, 2, 3, 4, 4))}), BadSetting),
    "scores of another shape": (lambda: explorer(scores=[0.1, 0.2]), ShapeMismatch),
    "a pair without maps": (lambda: explorer(pair=["mmel", "legrad"]), BadSetting),
    "keys of another width": (lambda: dials(keys=np.zeros((2, 3, 17, 8))), ShapeMismatch),
    "patches of no square": (lambda: dials(queries=np.zeros((2, 3, 18, 16))), ShapeMismatch),
    "values that are no numbers": (lambda: dials(values=VALUES * np.inf), NotANumber),
    "heads that do not share the width": (lambda: dials(heads=3), ShapeMismatch),
    "head by head without heads": (lambda: dials(heads=1), BadSetting),
    "a base map that the page has not": (lambda: dials(presets={"a": replace(LITERAL, layers=1)}), BadSetting),
    "presets of two seeds": (lambda: dials(presets={"a": LITERAL, "b": LITERAL.__class__(seed=1)}), BadSetting),
    "curves without a kind": (lambda: scrubber(curves={("mmel", "both"): None}), BadSetting),
    "orders that differ": (lambda: ladder(likeness={"down": {}}), BadSetting),
    "shares of another count": (lambda: ladder(shares={"down": [0.0]}), ShapeMismatch),
    "too few methods": (lambda: quiz(maps={name: np.eye(4)[None] for name in "abc"}), BadSetting),
    "too many questions": (lambda: quiz(questions=11), BadSetting),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused(name):
    make, error = WRONG[name]
    with pytest.raises(error):
        make()


def test_the_scrubber_stores_exactly_what_was_scored():
    """The picture at each point, from start, finish and the point at which a pixel changes."""
    made = curves()
    data = widgets.scrubber(made).data
    sheet = np.asarray(Image.open(BytesIO(base64.b64decode(data["sprite"]["src"].partition(",")[2]))))
    pictures = sheet.reshape(data["sprite"]["count"], 24, 24, 3)
    assert data["sprite"]["count"] == 2  # whole and black, shared by all four curves
    for curve, stored in zip(made.values(), data["curves"], strict=True):
        point = np.frombuffer(base64.b64decode(stored["point"]), np.uint8).reshape(24, 24)
        for i in range(len(curve.fractions)):
            shown = np.where((point <= i)[..., None], pictures[stored["finish"]], pictures[stored["start"]])
            assert np.array_equal(shown, np.asarray(curve.edits[i : i + 1][0]))


def test_the_quiz_asks_fairly():
    maps = {name: np.random.default_rng(2).random((2, 4, 4)) for name in NAMES}
    maps["random"][:] = 0.5  # flat: nothing to guess by
    asked = quiz(maps=maps, questions=8).data["questions"]
    assert quiz(maps=maps, questions=8).data["questions"] == asked
    pairs = [(each["method"], each["scene"]) for each in asked]
    assert len(set(pairs)) == 8 and "random" not in dict(pairs)
    assert {name for name, _ in pairs[:4]} == set(NAMES[:4])  # each once before any comes again
    assert all(each["method"] in each["options"] and len(set(each["options"])) == 4 for each in asked)


def test_presets_are_stored_whole():
    stored = dials().data["presets"]
    assert stored["EACH"]["theta"] == [0.5, -1.0, 2.0] and stored["LITERAL"]["theta"] == [1.0] * 3
    for field in ("alpha", "head_wise", "contrast_share"):
        assert {name: each[field] for name, each in stored.items()} == {n: p[field] for n, p in PRESETS.items()}


@pytest.mark.parametrize("name", PRESETS)
def test_the_dials_first_picture_is_their_first_presets(name):
    """Print and readers without scripts see it: another reading, another picture."""
    first = [dials(presets={name: PRESETS[name]}).first, dials(presets={"plain": LITERAL}).first]
    assert (first[0] == first[1]) == (name == "LITERAL")
