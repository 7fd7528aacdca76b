"""Deletion and insertion of words: slow twin, laws, the other ways to take a word away."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_metrics import falling_places, text_slow
from toy import toy_clip, toy_images, toy_tokens

from mmel import metrics
from mmel.clip import embed_image, embed_text, similarity

START, END = 49406, 49407
KINDS = {"deletion": metrics.text_deletion_edits, "insertion": metrics.text_insertion_edits}


def a_text(words=5, context=12):
    ids = torch.zeros(context, dtype=torch.long)
    ids[0], ids[1 : words + 1], ids[words + 1] = START, torch.arange(100, 100 + words), END
    return ids


def a_map(seed=0, context=12):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=context))


def token_sum(batch):
    return (batch * (batch < START)).sum(1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 10), st.integers(1, 12), st.sampled_from(list(KINDS)))
def test_removed_words_equal_their_slow_twin(seed, words, steps, kind):
    ids, map = a_text(words), a_map(seed)
    edits = KINDS[kind](ids, map, steps=steps, ends="both")
    order = [1 + place for place in falling_places(map[1 : words + 1].tolist())]
    assert len(edits) == steps + 1
    for k, (fraction, edited) in enumerate(zip(edits.fractions.tolist(), edits[:].tolist(), strict=True)):
        count = int(words * k / steps + 0.5)
        assert fraction == count / words
        changed = set(order[:count])
        kept = changed if kind == "insertion" else set(order) - changed
        assert edited == text_slow(ids.tolist(), words + 1, kept)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 10), st.sampled_from(["remove", "noise", 0, 7]))
def test_deleting_the_first_leaves_what_inserting_the_last_shows(seed, words, fill):
    deleted = metrics.text_deletion_edits(a_text(words), a_map(seed), steps=words, fill=fill)
    inserted = metrics.text_insertion_edits(a_text(words), -a_map(seed), steps=words, fill=fill)
    assert torch.equal(deleted.tokens, inserted.tokens.flip(0))
    assert torch.equal(deleted.kept, inserted.kept.flip(0))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**16))
def test_only_the_order_of_a_map_counts(seed):
    map = a_map(seed)
    curves = [metrics.text_deletion_curve(token_sum, a_text(), m).values for m in (map, map.exp(), 2 * map - 3)]
    assert all(torch.equal(curve, curves[0]) for curve in curves)


def test_another_id_takes_the_place_of_a_word():
    edits = metrics.text_deletion_edits(a_text(3, 8), torch.tensor([9, 1, 3, 2, 9, 9, 9, 9.0]), steps=3, fill=7)
    assert edits[:].tolist() == [
        [START, 100, 101, 102, END, 0, 0, 0],
        [START, 100, 7, 102, END, 0, 0, 0],
        [START, 100, 7, 7, END, 0, 0, 0],
        [START, 7, 7, 7, END, 0, 0, 0],
    ]
    assert edits.kept.sum(1).tolist() == [5, 4, 3, 2]


def test_noise_is_other_words_and_the_seed_says_which():
    texts = [metrics.text_deletion_edits(a_text(), a_map(), fill="noise", seed=seed)[20:][0] for seed in (1, 1, 2)]
    assert torch.equal(texts[0], texts[1]) and not torch.equal(texts[0], texts[2])
    assert texts[0][0] == START and texts[0][6] == END and not texts[0][7:].any()
    assert ((texts[0][1:6] > 0) & (texts[0][1:6] < START)).all()


def test_the_median_splits_as_m2ib_does():
    for words, kept in ((7, 3), (6, 3), (1, 0)):
        curve = metrics.text_insertion_curve(token_sum, a_text(words), a_map(3), **metrics.PROTOCOLS["m2ib"])
        assert curve.fractions.tolist() == [kept / words, 1]
        masked = metrics.masked_tokens(a_text(words)[None], a_map(3)[None], fill=0)
        assert torch.equal(curve.edits[:1], masked)
        assert int(((masked > 0) & (masked < START)).sum()) == kept


def test_masked_texts_are_shortened_and_bared():
    ids, map = a_text(4, 8), torch.tensor([9, 1, 4, 2, 3, 9, 9, 9.0])
    assert metrics.masked_tokens(ids[None], map[None])[0].tolist() == [START, 101, 103, END, 0, 0, 0, 0]
    assert metrics.bare_words(ids[None])[0].tolist() == [100, 101, 102, 103, 0, 0, 0, 0]


def test_a_given_end_a_given_order_and_ids_in_lists():
    ids, map = [1, 20, 900, 30, 2, 0], [0, 5, 4, 3, 0, 0]  # the end is not the highest id
    edits = metrics.text_deletion_edits(ids, map, steps=3, eos=4, ends="none", order=[2, 0, 1])
    assert edits[:].tolist() == [[1, 20, 900, 2, 0, 0], [1, 900, 2, 0, 0, 0], [1, 2, 0, 0, 0, 0]]


def test_padding_other_than_zero_stays():
    ids = torch.tensor([5, 20, 30, 900, 1, 1])
    assert metrics.text_deletion_edits(ids, torch.arange(6.0), steps=2)[:].tolist() == [
        [5, 20, 30, 900, 1, 1],
        [5, 20, 900, 1, 1, 1],
        [5, 900, 1, 1, 1, 1],
    ]


@torch.no_grad()
@pytest.mark.parametrize("name", metrics.PROTOCOLS)
def test_with_a_model(name):
    clip, ids = toy_clip(), toy_tokens()[2]
    picture = embed_image(clip, toy_images("pp", (0,)))
    score = lambda batch: similarity(picture.expand(len(batch), -1), embed_text(clip, batch))  # noqa: E731
    down = metrics.text_deletion_curve(score, ids, a_map(0, 77), **metrics.PROTOCOLS[name], batch_size=3)
    up = metrics.text_insertion_curve(score, ids, a_map(0, 77), **metrics.PROTOCOLS[name])
    whole = float(score(ids[None]))
    assert float(down.values[0]) == pytest.approx(whole, abs=1e-6)
    assert float(up.values[-1]) == pytest.approx(whole, abs=1e-6)
    assert float(metrics.auc(*up[:2])) == float(metrics.auc(up.fractions, up.values))


def test_equal_edits_are_scored_once():
    seen = []

    def score(batch):
        seen.append(len(batch))
        return token_sum(batch)

    curve = metrics.text_deletion_curve(score, a_text(3), a_map(), steps=20)
    assert seen == [4] and len(curve.values) == 21
    again = torch.stack([token_sum(curve.edits[i : i + 1])[0] for i in range(21)])
    assert torch.equal(curve.values, again.double())
