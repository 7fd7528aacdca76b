"""Arithmetic on maps against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mmel.errors import BadSetting, NotANumber, ShapeMismatch
from mmel.maps import enhance_contrast, normalize, to_grid, top_fraction, upsample

VALUES = arrays(np.float64, (2, 3, 4), elements=st.floats(-1e3, 1e3, width=32))


def test_patches_lie_row_by_row():
    assert to_grid(torch.arange(6.0)[None], (2, 3)).tolist() == [[[0, 1, 2], [3, 4, 5]]]
    with pytest.raises(ShapeMismatch, match="class token"):
        to_grid(torch.arange(7.0)[None], (2, 3))


def bilinear(map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Corners not aligned, borders held: one pixel at a time."""
    out = np.empty(size)
    for row in range(size[0]):
        for column in range(size[1]):
            y = min(max((row + 0.5) * map.shape[0] / size[0] - 0.5, 0), map.shape[0] - 1)
            x = min(max((column + 0.5) * map.shape[1] / size[1] - 0.5, 0), map.shape[1] - 1)
            top, left = math.floor(y), math.floor(x)
            below, right = min(top + 1, map.shape[0] - 1), min(left + 1, map.shape[1] - 1)
            upper = map[top, left] * (1 - x + left) + map[top, right] * (x - left)
            lower = map[below, left] * (1 - x + left) + map[below, right] * (x - left)
            out[row, column] = upper * (1 - y + top) + lower * (y - top)
    return out


@pytest.mark.parametrize("size", [(6, 9), (7, 5), (4, 3)])
def test_upsample_equals_its_twin(size):
    map = np.random.default_rng(0).normal(size=(2, 3, 2))
    ours = upsample(torch.tensor(map), size)
    for one, other in zip(ours, map, strict=True):
        np.testing.assert_allclose(one, bilinear(other, size), atol=1e-6)


@given(VALUES)
def test_normalize_runs_from_0_to_1(values):
    for made, raw in zip(normalize(torch.tensor(values)).numpy(), values, strict=True):
        if np.ptp(raw) == 0:
            assert not made.any()
        else:
            np.testing.assert_allclose(made, (raw - raw.min()) / np.ptp(raw), atol=1e-12)


@given(VALUES, st.floats(0.01, 1))
def test_top_fraction_takes_the_highest(values, fraction):
    made = top_fraction(torch.tensor(values), fraction).numpy()
    for chosen, raw in zip(made, values, strict=True):
        assert chosen.sum() == max(1, math.ceil(fraction * 12))
        if not chosen.all():
            assert raw[chosen].min() >= raw[~chosen].max()


def test_of_equal_values_the_first_ones_are_taken():
    assert top_fraction(torch.zeros(1, 2, 2), 0.5).tolist() == [[[True, True], [False, False]]]


@given(VALUES, st.floats(0, 0.4))
def test_contrast_turns_no_order_round(values, share):
    made = enhance_contrast(torch.tensor(values), share).numpy()
    assert made.min() >= 0 and made.max() <= 1
    for one, raw in zip(made, values, strict=True):
        order = np.argsort(raw, axis=None, kind="stable")
        assert (np.diff(one.flatten()[order]) >= -1e-6).all()


def test_contrast_by_hand():
    map = torch.tensor([[[0.0, 1.0, 2.0, 3.0, 100.0]]])
    assert enhance_contrast(map, 0.25).tolist() == [[[0, 0, 0.5, 1, 1]]]
    torch.testing.assert_close(enhance_contrast(map, 0), normalize(map))


@pytest.mark.parametrize(
    "call", [normalize, lambda m: upsample(m, (4, 4)), lambda m: top_fraction(m, 0.5), enhance_contrast]
)
def test_wrong_maps(call):
    with pytest.raises(ShapeMismatch, match="batch"):
        call(torch.zeros(3, 4))
    with pytest.raises(NotANumber, match="NaN"):
        call(torch.full((1, 2, 2), torch.nan))


def test_wrong_shares():
    with pytest.raises(BadSetting, match="share"):
        top_fraction(torch.zeros(1, 2, 2), 0)
    with pytest.raises(BadSetting, match="share"):
        enhance_contrast(torch.zeros(1, 2, 2), 0.5)
