"""The chapter on texts: captions that two pictures share, words judged by what is shown, and the table of words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.text import Text

import mmel
from mmel import figures
from mmel.errors import ShapeMismatch
from mmel.evaluation.protocols.wording import object_spans, shared_captions, told_apart, word_truth
from mmel.figures.frame import MUTED, encoded
from mmel.scenes import split


@pytest.fixture(scope="module")
def clip():
    return mmel.load_clip(device="cpu")


@pytest.fixture(scope="module")
def shared():
    return shared_captions(split("two_objects", 20))


def map_for(clip, each, word: int, value: float = 1.0):
    """A map of zeros but for the tokens of one of the caption's two words."""
    made = torch.zeros(clip.context_length)
    chosen = object_spans(clip, each.caption)[word]
    made[1 : len(chosen) + 1][chosen] = value
    return made


def test_each_picture_shows_one_of_the_two_things_and_not_the_other(shared):
    assert len(shared) >= 8
    for each in shared:
        words = [word.text for word in each.caption.words if word.role == "object"]
        assert sorted(each.shown) == [0, 1] and len(words) == 2
        for picture, shown in zip(each.pictures, each.shown, strict=True):
            names = [thing.name for thing in picture.objects]
            assert words[shown] in names and words[1 - shown] not in names
    firsts = [each.shown[0] for each in shared]
    assert abs(firsts.count(0) - firsts.count(1)) <= 1


def test_the_score_is_one_half_for_every_map_that_is_blind(clip, shared):
    draw = torch.Generator().manual_seed(0)
    for each in shared:
        same = torch.randn(clip.context_length, generator=draw).expand(2, -1)
        assert told_apart(clip, each, same) == 0.5
        assert told_apart(clip, each, torch.zeros(2, clip.context_length)) == 0.5
        right = torch.stack([map_for(clip, each, shown) for shown in each.shown])
        assert told_apart(clip, each, right) == 1.0
        assert told_apart(clip, each, -right) == told_apart(clip, each, right.flip(0)) == 0.0
        assert told_apart(clip, each, torch.stack([right[0], torch.zeros_like(right[0])])) == 0.75


def test_the_spans_are_those_of_the_truth(clip, shared):
    for each in shared:
        one, other = object_spans(clip, each.caption)
        assert not (one & other).any()
        assert torch.equal(one | other, word_truth(clip, each.caption))


def test_grad_eclip_over_all_blocks_knows_the_picture_and_attention_does_not(clip, shared):
    texts = [each.caption.text for each in shared for _ in (0, 1)]
    pictures = [picture.image for each in shared for picture in each.pictures]

    def score(method, **settings):
        maps = mmel.explain(clip, pictures, texts, method, modality="text", **settings).text
        return np.mean([told_apart(clip, each, maps[2 * i : 2 * i + 2]) for i, each in enumerate(shared)])

    assert score("raw_attention") == score("random") == 0.5
    assert score("grad_eclip", layers=None, projected_keys=False) > 0.6


ROWS = {"one": [1.0, 0.0, 3.0], "control": [0.0, 0.0, 0.0], "signed $": [-2.0, 1.0, 1.0]}


def said(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_the_table_of_words_shows_shares():
    figure = figures.word_table(["a", "dog", "runs"], ROWS, true=[False, True, False], marked=["control"])
    texts = said(figure)
    assert {"25", "75", "\N{MINUS SIGN}50"} <= set(texts) and texts.count("0") == 4
    styles = {text.get_text(): text for text in figure.findobj(Text)}
    assert styles["dog"].get_weight() == "bold" and styles["a"].get_weight() == "normal"
    assert to_hex(styles["control"].get_color()) == MUTED
    assert encoded(figure, "svg", dpi=80) == encoded(figure, "svg", dpi=80)


def test_the_table_of_words_keeps_its_words_inside_and_refuses_other_lengths():
    figure = figures.word_table(["hippopotamuses"] * 7, {"a long name of a method": range(7)})
    width = figure.get_size_inches()[0] * figure.dpi
    boxes = [text.get_window_extent() for text in figure.findobj(Text) if text.get_text()]
    assert min(box.x0 for box in boxes) >= 0 and max(box.x1 for box in boxes) <= width
    with pytest.raises(ShapeMismatch, match="3 words"):
        figures.word_table(["a", "b", "c"], {"one": [1, 2]})
