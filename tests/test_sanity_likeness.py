"""How alike maps are, entropy, smoothing and swapped texts: against slow twins, and what must always hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference_sanity import entropy_slow, pearson_slow, second_moment_slow, spearman_slow, ssim_slow, top_overlap_slow

from mmel import sanity
from mmel.errors import BadSetting, NotANumber, ShapeMismatch

GRID = arrays(np.float64, (6, 6), elements=st.integers(-4, 4).map(float))  # few values: many ties


def maps(seed: int, shape=(3, 7, 7)) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(max_examples=40)
@given(GRID, GRID)
def test_measures_equal_their_slow_twins(a, b):
    flat = np.ptp(a) == 0 or np.ptp(b) == 0
    one, two = torch.tensor(a)[None], torch.tensor(b)[None]
    x, y = a.ravel().tolist(), b.ravel().tolist()
    rank = 0.0 if flat else spearman_slow(x, y)
    assert float(sanity.spearman(one, two)) == pytest.approx(rank, abs=1e-12)
    flat_abs = np.ptp(abs(a)) == 0 or np.ptp(abs(b)) == 0
    rank = 0.0 if flat_abs else spearman_slow([abs(v) for v in x], [abs(v) for v in y])
    assert float(sanity.spearman(one, two, absolute=True)) == pytest.approx(rank, abs=1e-12)
    alike = 0.0 if flat else ssim_slow(a.tolist(), b.tolist(), 5)
    assert float(sanity.ssim(one, two)) == pytest.approx(alike, abs=1e-9)


@settings(max_examples=25)
@given(arrays(np.float64, (2, 4), elements=st.integers(0, 3).map(float)), st.integers(0, 99))
def test_top_overlap_is_the_mean_over_all_ways_to_break_ties(a, seed):
    b = np.random.default_rng(seed).integers(0, 3, (2, 4)).astype(float)
    ours = sanity.top_overlap(torch.tensor(a)[None], torch.tensor(b)[None], fraction=0.375)
    assert float(ours) == pytest.approx(top_overlap_slow(a.ravel().tolist(), b.ravel().tolist(), 3))


def test_hog_is_the_correlation_of_skimages_features():
    from skimage.feature import hog
    from torch.nn.functional import interpolate

    one, two = maps(0), maps(1)
    features = []
    for each in (one, two):
        unit = torch.tensor([second_moment_slow(m.tolist()) for m in each])
        large = interpolate(unit[:, None].float(), size=(56, 56), mode="bilinear").double()[:, 0].numpy()
        features.append([hog(m, 9, (8, 8), (1, 1)).tolist() for m in large])
    ours = sanity.hog_correlation(one, two)
    assert ours.tolist() == pytest.approx([pearson_slow(a, b) for a, b in zip(*features, strict=True)], abs=1e-6)


@pytest.mark.parametrize("name", sanity.SIMILARITIES)
@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), unit=st.floats(1e-6, 1e6))
def test_what_holds_for_every_measure(name, seed, unit):
    """A map is wholly like itself in any unit; the order of the two and the rest of the batch do not matter."""
    measure, one, two = sanity.SIMILARITIES[name], maps(seed), maps(seed + 1)
    assert measure(one, one * unit).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    values = measure(one, two)
    assert values.tolist() == pytest.approx(measure(two, one).tolist(), abs=1e-9)
    assert values.tolist() == pytest.approx(measure(one * unit, two).tolist(), abs=1e-5)
    assert values[1:2].tolist() == pytest.approx(measure(one[1:2], two[1:2]).tolist())
    assert (values <= 1 + 1e-9).all() and (values >= -1 - 1e-9).all()


@pytest.mark.parametrize("name", [name for name in sanity.SIMILARITIES if name != "top_overlap"])
def test_a_flat_map_is_like_no_other(name):
    flat = torch.full((1, 7, 7), 0.3)
    for other in (maps(0)[:1], flat, torch.zeros(1, 7, 7)):
        assert float(sanity.SIMILARITIES[name](flat, other.to(flat))) == 0.0
    assert sanity.flat(torch.cat([flat, torch.zeros(1, 7, 7), maps(0)[:1].float()])).tolist() == [True, True, False]


def test_signs_and_chance():
    one = maps(5)
    assert sanity.spearman(one, -one).tolist() == pytest.approx([-1.0] * 3)
    assert sanity.spearman(one, -one, absolute=True).tolist() == pytest.approx([1.0] * 3)
    many, others = maps(6, (400, 7, 7)), maps(7, (400, 7, 7))
    assert float(sanity.top_overlap(many, others).mean()) == pytest.approx(10 / 49, abs=0.02)
    assert float(sanity.top_overlap(many, torch.zeros_like(many)).mean()) == pytest.approx(10 / 49)
    assert abs(float(sanity.spearman(many, others).mean())) < 0.03


def test_second_moment_is_one_and_keeps_zeros():
    made = sanity.second_moment(torch.cat([maps(0) * 1e-7, torch.zeros(1, 7, 7, dtype=torch.float64)]))
    assert made.square().mean((1, 2)).tolist() == pytest.approx([1, 1, 1, 0])
    assert made[0].flatten().tolist() == pytest.approx(
        [v for row in second_moment_slow(maps(0)[0].tolist()) for v in row]
    )


def test_on_grid_takes_the_mean_of_each_patch():
    pixels = maps(1, (2, 12, 8))
    made = sanity.on_grid(pixels, (3, 2))
    assert float(made[1, 2, 0]) == pytest.approx(float(pixels[1, 8:12, :4].mean()))
    assert torch.equal(sanity.on_grid(made, (3, 2)), made)


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_entropy_equals_its_slow_twin(seed, bins):
    values = maps(seed, (1, 7, 7))
    slow = entropy_slow(values.flatten().tolist(), bins)
    assert float(sanity.histogram_entropy(values, bins=bins)) == pytest.approx(slow, abs=1e-9)
    assert float(sanity.histogram_entropy(values * 1e-6, bins=bins)) == pytest.approx(slow, abs=1e-9)


def test_entropy_by_hand():
    two = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[2.0, 2.0], [2.0, 2.0]], [[0.0, 1.0], [2.0, 3.0]]])
    assert sanity.histogram_entropy(two, bins=4).tolist() == pytest.approx([math.log(2), 0.0, math.log(4)])
    rise = sanity.entropy_rise(two[[0, 1]], two[[2, 2]], bins=4)
    assert float(rise[0]) == pytest.approx(1.0) and bool(rise[1].isnan())


def test_smoothed_is_the_mean_over_noisy_pictures():
    seen = []

    def look(pixels):
        seen.append(pixels)
        return pixels.mean(1)

    pixels = maps(2, (2, 3, 8, 8)).float()
    made = sanity.smoothed(look, pixels, samples=400, noise=0.1, seed=1)
    noise = torch.stack(seen) - pixels
    reach = pixels.amax((1, 2, 3)) - pixels.amin((1, 2, 3))
    assert made.flatten().tolist() == pytest.approx(
        torch.stack(seen).mean(2).double().mean(0).flatten().tolist(), abs=1e-6
    )
    assert (noise.std((0, 2, 3, 4)) / reach).tolist() == pytest.approx([0.1, 0.1], abs=0.002)
    alone = sanity.smoothed(look, pixels[1:], samples=400, noise=0.1, seed=1)
    assert torch.allclose(alone[0], made[1])
    seen.clear()
    own = sanity.smoothed(look, pixels, samples=2, noise=0.1, seed=[1, 7])
    assert not torch.allclose((seen[0] - pixels)[0] / reach[0], (seen[0] - pixels)[1] / reach[1])
    assert torch.allclose(own[1], sanity.smoothed(look, pixels[1:], samples=2, noise=0.1, seed=7)[0])
    with pytest.raises(ShapeMismatch, match="2 pictures"):
        sanity.smoothed(look, pixels, samples=2, seed=[1, 2, 3])
    assert torch.equal(sanity.smoothed(look, pixels, samples=1, noise=0), pixels.mean(1).double())


def test_strangers_share_nothing_and_random_texts_are_unit_vectors():
    kinds = [["dog"], ["dog", "car"], ["cat"], ["car", "tree"], ["bee"]]
    assert sanity.strangers(kinds) == [2, 2, 3, 4, 0]
    with pytest.raises(BadSetting, match="more scenes"):
        sanity.strangers([["dog"], ["dog", "cat"]])
    vectors = sanity.random_texts(300, 64, seed=2)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1.0] * 300, abs=1e-6)
    assert float((vectors @ vectors.T - torch.eye(300)).abs().mean()) < 0.15
    assert torch.equal(vectors[:5], sanity.random_texts(5, 64, seed=2))
    assert not torch.equal(vectors[:5], sanity.random_texts(5, 64, seed=3))


def test_distance_by_hand():
    one, two = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    assert sanity.distance(one, two).tolist() == pytest.approx([0.6, 0.0])


def test_intervals_cover_seeds_and_samples():
    """Crossed effects: an interval over samples alone would be far too short when the seeds differ."""
    covered = narrow = 0
    for trial in range(60):
        rng = np.random.default_rng(trial)
        values = rng.normal(size=(6, 1)) + 0.5 * rng.normal(size=(1, 12)) + 0.1 * rng.normal(size=(6, 12))
        found = sanity.interval_of(values, resamples=400, seed=trial)
        assert found.mean == pytest.approx(values.mean()) and found.count == 72
        covered += found.low <= 0 <= found.high
        narrow += found.high - found.low < 0.5
    assert covered >= 45 and narrow < 15
    sure = sanity.interval_of(values, resamples=400, seed=trial, confidence=0.995)
    assert sure.low < found.low < sure.mean == found.mean < found.high < sure.high
    one = sanity.interval_of(np.arange(12.0)[None], resamples=500)
    assert one.low < one.mean == 5.5 < one.high and one.count == 12


def test_bad_input_says_what_to_do():
    with pytest.raises(ShapeMismatch, match="on_grid"):
        sanity.spearman(maps(0), maps(0, (3, 8, 8)))
    with pytest.raises(NotANumber):
        sanity.ssim(maps(0), maps(0) * torch.nan)
    for call in (
        lambda: sanity.ssim(maps(0), maps(1), window=4),
        lambda: sanity.ssim(maps(0), maps(1), window=9),
        lambda: sanity.top_overlap(maps(0), maps(1), fraction=0),
        lambda: sanity.histogram_entropy(maps(0), bins=1),
        lambda: sanity.smoothed(lambda x: x, maps(0, (1, 3, 4, 4)), samples=0),
        lambda: sanity.smoothed(lambda x: x, maps(0, (1, 3, 4, 4)), noise=-1),
    ):
        with pytest.raises(BadSetting):
            call()
    with pytest.raises(ShapeMismatch):
        sanity.interval_of(np.zeros((2, 1)))
    with pytest.raises(BadSetting):
        sanity.interval_of(np.zeros((2, 3)), confidence=95)
    with pytest.raises(ShapeMismatch):
        sanity.distance(maps(0), maps(0)[:1])
