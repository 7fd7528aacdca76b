"""The degeneracy lab: what follows from Eq. 1 to 9, for any tokens and any map. The chapter names these tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmel.errors import BadSetting
from mmel.evaluation.dials.degeneracy import gate_ratio, level_bound, monotone, safe_pairs
from mmel.methods.mmel import (
    FeatureTransform,
    enhance,
    layer_weight,
    scale_tokens,
    semantic_attention,
    semantic_level,
    weight_attention,
)
from mmel.methods.mmel_plus import relate, relations
from mmel.methods.mmel_settings import temper
from mmel.metrics import deletion_edits, energy_pointing_game, insertion_edits

PATCHES, WIDTH = 9, 16
numbers = st.floats(-4, 4, allow_nan=False, width=32)
tokens = arrays(np.float64, (1, PATCHES, WIDTH), elements=numbers).map(torch.from_numpy)
positive = st.floats(0.01, 10)
maps = arrays(np.float64, (1, PATCHES), elements=st.floats(0, 1, width=32)).map(torch.from_numpy)
gates = arrays(np.float64, (1, PATCHES), elements=st.floats(-1, 1)).map(torch.from_numpy)
everywhere = torch.ones(1, PATCHES, dtype=torch.bool)


def levels_of(x, seed=0, theta=1.0, scales=(1.0, 0.75, 0.5), **made):
    """Eq. 1b to 7 with a mean over the patches, for one layer."""
    transform = FeatureTransform(WIDTH, seed, **made).double()
    weighted = [
        weight_attention(semantic_attention(transform(scale_tokens(x, s))), float(layer_weight(theta))) for s in scales
    ]
    return torch.stack([semantic_level(each, everywhere) for each in weighted])


@given(tokens, positive, st.integers(0, 20))
def test_without_biases_every_scale_is_the_same(x, s, seed):
    assume(float(x.abs().amax(-1).min()) > 0.1)
    transform = FeatureTransform(WIDTH, seed, bias=False, eps=0.0).double()
    assume(float(transform.linear_2(transform.linear_1(x).relu()).std(-1).min()) > 1e-3)  # nothing to normalise in 0
    torch.testing.assert_close(transform(scale_tokens(x, s)), transform(x), rtol=1e-7, atol=1e-7)
    three, one = levels_of(x, seed, bias=False, eps=0.0), levels_of(x, seed, scales=(1.0,), bias=False, eps=0.0)
    torch.testing.assert_close(three.sum(0), 3 * one[0], rtol=1e-7, atol=1e-7)


@settings(max_examples=50)
@given(tokens, st.integers(0, 20))
def test_with_biases_longer_tokens_forget_the_scale(x, seed):
    assume(float(x.abs().amax(-1).min()) > 0.5)
    transform = FeatureTransform(WIDTH, seed, eps=0.0).double()
    bare = transform.linear_2.weight @ (transform.linear_1.weight @ x[0].T).relu()
    assume(float(bare.std(0).min()) > 0.05)
    apart = [float((transform(r * x) - transform(r * x * 0.5)).abs().max()) for r in (1e3, 1e6)]
    assert apart[1] < 1e-3 and apart[1] <= apart[0] + 1e-9


@given(tokens, st.integers(0, 20), st.floats(-3, 3))
def test_a_mean_of_levels_is_bounded(x, seed, theta):
    assert float(levels_of(x, seed, theta).sum(0).abs().max()) <= level_bound(WIDTH, theta) * (1 + 1e-6)


@given(maps, arrays(np.float64, (3, 1, PATCHES), elements=st.floats(-50, 50)).map(torch.from_numpy), st.floats(0, 100))
def test_a_gate_only_multiplies(base, levels, alpha):
    """E <= E_MMEL <= (1 + alpha) E whatever a level is, so what is 0 stays 0 and nothing else becomes 0."""
    made = enhance(base, levels, alpha)
    assert (made >= base * (1 - 1e-9)).all() and (made <= (1 + alpha) * base * (1 + 1e-9)).all()
    assert torch.equal(made == 0, base == 0)


@given(maps, gates, st.floats(0, 5), st.floats(0, 1000))
def test_patches_further_apart_than_the_ratio_keep_their_order(base, unit, bound, alpha):
    made = enhance(base, (unit * bound)[None], alpha)
    ratio = gate_ratio(bound, alpha)
    far = base[:, :, None] > ratio * (1 + 1e-9) * base[:, None]
    assert (made[:, :, None] > made[:, None])[far].all()


@given(st.floats(0, 5), st.floats(0, 1e6))
def test_no_alpha_reaches_beyond_the_exponential(bound, alpha):
    assert 1 - 1e-12 <= gate_ratio(bound, alpha) <= math.exp(bound) * (1 + 1e-9)
    assert gate_ratio(bound, 1e9) == pytest.approx(math.exp(bound), rel=1e-5)


@settings(max_examples=40)
@given(maps, gates, st.floats(0, 3), st.floats(0, 50))
def test_a_monotone_rescale_leaves_deletion_and_insertion_alone(base, unit, bound, alpha):
    """Maps whose values lie far apart: the same pictures are scored, edit by edit."""
    ratio = gate_ratio(bound, alpha)
    order = base.argsort(stable=True).argsort()
    spaced = (ratio * 1.01) ** (order - PATCHES).double()  # the same order, each value above the ratio times the next
    assert monotone(spaced, ratio).all()
    made = enhance(spaced, (unit * bound)[None], alpha)
    picture = torch.arange(27.0).view(3, 3, 3)
    for edits in (deletion_edits, insertion_edits):
        one, other = (edits(picture, each.view(3, 3), steps=9) for each in (spaced, made))
        assert torch.equal(one[:], other[:])


@given(tokens, st.floats(0.02, 5), st.floats(0, 100), maps)
def test_a_softmax_with_a_mean_is_no_gate(x, temperature, alpha, base):
    """Rows of a softmax add up to 1: every patch has the same level, and MMEL is Grad-ECLIP times a constant."""
    attention = temper(semantic_attention(x), temperature, "softmax", WIDTH)
    level = semantic_level(attention, everywhere)
    made = enhance(base, level[None], alpha)
    factor = 1 + alpha / (1 + math.exp(-1 / PATCHES))
    torch.testing.assert_close(made, base * factor, rtol=1e-6, atol=1e-12)


@given(arrays(np.float64, (1, 1, WIDTH), elements=numbers).map(torch.from_numpy), maps, st.integers(0, 20))
def test_patches_of_one_query_have_one_gate(token, base, seed):
    made = enhance(base, levels_of(token.expand(1, PATCHES, WIDTH), seed))
    factors = (made / base)[base > 1e-6]
    assert not len(factors) or float(factors.max() - factors.min()) < 1e-6


@given(maps, gates, st.floats(0, 5), st.floats(0, 100), arrays(bool, (1, 3, 3)))
def test_energy_moves_at_most_by_the_ratio(base, unit, bound, alpha, mask):
    assume(mask.any() and float(base.sum()) > 1e-3)
    made = enhance(base, (unit * bound)[None], alpha)
    before, after = (float(energy_pointing_game(each.view(1, 3, 3), mask)[0]) for each in (base, made))
    ratio = gate_ratio(bound, alpha) * (1 + 1e-6)
    assert before / ratio - 1e-9 <= after <= before * ratio + 1e-9


@given(tokens, maps, st.floats(0.1, 2))
def test_spreading_reaches_patches_that_had_nothing(x, base, temperature):
    """What a reading has to change: a matrix from the left fills zeros, which no gate does."""
    assume(float(base.max()) > 1e-3)
    made = relate(relations([x], temperature), base)
    assert (made > 0).all()
    assert float(made.max()) <= float(base.max()) * (1 + 1e-9)


@settings(max_examples=50)
@given(st.integers(0, PATCHES - 1), st.integers(0, PATCHES - 1), st.floats(0.001, 0.2))
def test_spreading_can_turn_any_two_patches(first, second, rest):
    """For any order of two patches there are relations that reverse it, however far apart the values are."""
    assume(first != second)
    base = torch.full((1, PATCHES), rest, dtype=torch.float64)
    base[0, first], base[0, second] = 1.0, 0.0
    x = torch.eye(PATCHES, WIDTH, dtype=torch.float64)[None].clone()
    x[0, first] = -torch.ones(WIDTH, dtype=torch.float64)  # unlike all; the second is like a copy of a bright patch
    third = next(i for i in range(PATCHES) if i not in (first, second))
    base[0, third], x[0, second] = 1.0, x[0, third]
    made = relate(relations([x], 0.1), base)
    crowd = relate(torch.full((1, PATCHES, PATCHES), 1 / PATCHES, dtype=torch.float64), base)
    assert float(made[0, second]) > 0.4 and float(enhance(base, made[None], 100.0)[0, second]) == 0
    assert float(crowd.std()) < 1e-12  # the other end: everybody is like everybody, and no order is left


def test_safe_pairs_by_hand():
    base = torch.tensor([[4.0, 2.0, 1.9, 0.0]])
    assert safe_pairs(base, 1.0).tolist() == [1.0]
    assert safe_pairs(base, 1.1).tolist() == [5 / 6]  # 2.0 and 1.9
    assert safe_pairs(base, 2.05).tolist() == [pytest.approx(4 / 6)]  # 4 and 2 as well
    assert safe_pairs(base, 100.0).tolist() == [pytest.approx(3 / 6)]  # what has a 0 in it
    assert monotone(base, 1.01).tolist() == [True] and monotone(base, 1.1).tolist() == [False]
    assert not monotone(torch.ones(1, 2), 1.0)


def test_bounds_by_hand():
    assert level_bound(768) == pytest.approx(3 * 1.313262 / 768**0.5, rel=1e-6)
    assert gate_ratio(level_bound(768)) == pytest.approx(1.0734, abs=1e-3)
    with pytest.raises(BadSetting, match="0 or more"):
        gate_ratio(-1.0)
    with pytest.raises(BadSetting, match="negative"):
        safe_pairs(torch.tensor([[-1.0, 1.0]]), 1.5)
