"""Intervals, paired differences and Holm's correction: slow twins, coverage, bad input."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_metrics import holm_slow, sign_flip_slow
from scipy.stats import norm, wilcoxon

from mmel import stats
from mmel.errors import BadSetting, NotANumber, ShapeMismatch, UnknownName


def draw(seed, count=60):
    return np.random.default_rng(seed).gamma(2.0, size=count)


@pytest.mark.parametrize("interval", stats.INTERVALS)
def test_the_same_seed_gives_the_same_interval(interval):
    first, again, other = (stats.bootstrap_mean(draw(0), interval=interval, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert first.low < first.mean < first.high and first.mean == draw(0).mean() and first.count == 60


def test_a_share_has_an_exact_interval_where_all_are_alike():
    none, half = stats.share([False] * 40), stats.share([True, False] * 10)
    assert none[:2] == (0, 0) and none.high == pytest.approx(1 - 0.025 ** (1 / 40))
    assert half.mean == 0.5 and 0.25 < half.low < 0.3 and half.low + half.high == pytest.approx(1)


@pytest.mark.parametrize("interval", stats.INTERVALS)
def test_intervals_come_near_the_normal_one_for_many_samples(interval):
    values = np.random.default_rng(3).normal(size=2000)
    low, high = values.mean() + norm.ppf([0.025, 0.975]) * values.std() / len(values) ** 0.5
    ours = stats.bootstrap_mean(values, interval=interval, resamples=4000)
    assert (ours.low, ours.high) == pytest.approx((low, high), abs=0.003)


def test_percentile_equals_its_slow_twin():
    values, rng = draw(4, 9), np.random.default_rng(7)
    means = []
    for _ in range(20_000):
        means.append(sum(values[i] for i in rng.integers(0, 9, 9)) / 9)
    ours = stats.bootstrap_mean(values, interval="percentile", resamples=20_000, confidence=0.9)
    means.sort()
    assert (ours.low, ours.high) == pytest.approx((means[1000], means[18_999]), abs=0.02)


def test_bca_equals_its_slow_twin():
    values, rng, normal = draw(6, 15) ** 2, np.random.default_rng(8), NormalDist()
    mean = sum(values) / 15
    means = sorted(sum(values[rng.integers(0, 15, 15)]) / 15 for _ in range(20_000))
    bias = normal.inv_cdf(sum(m < mean for m in means) / 20_000)
    without = [(sum(values) - value) / 14 for value in values]
    gaps = [sum(without) / 15 - each for each in without]
    skew = sum(gap**3 for gap in gaps) / (6 * sum(gap**2 for gap in gaps) ** 1.5)
    ends = []
    for share in (0.025, 0.975):
        z = bias + normal.inv_cdf(share)
        ends.append(means[int(20_000 * normal.cdf(bias + z / (1 - skew * z)))])
    ours = stats.bootstrap_mean(values, resamples=20_000)
    plain = stats.bootstrap_mean(values, resamples=20_000, interval="percentile")
    assert (ours.low, ours.high) == pytest.approx(ends, abs=0.15)
    assert ours.high - plain.high > 0.3  # a long tail upwards moves both ends up


def test_coverage_of_a_skewed_mean():
    rng = np.random.default_rng(5)
    inside = 0
    for seed in range(200):
        interval = stats.bootstrap_mean(rng.gamma(2.0, size=40), resamples=500, seed=seed)
        inside += interval.low <= 2.0 <= interval.high
    assert 176 <= inside <= 199  # 88 to 99.5 % of nominally 95 %


def test_equal_samples_have_an_interval_without_width():
    assert stats.bootstrap_mean([0.25] * 8) == (0.25, 0.25, 0.25, 8)
    same = stats.paired_difference([1, 2, 3], [1, 2, 3])
    assert same == (0, 0, 0, 1, 3)
    assert stats.paired_difference([1, 2, 3], [1, 2, 3], test="wilcoxon").p == 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=2, max_size=9))
def test_few_samples_have_the_exact_p_value(gaps):
    assert stats.sign_flip_p(gaps) == pytest.approx(sign_flip_slow(gaps))


def test_many_samples_have_a_p_value_near_the_exact_one():
    gaps = np.random.default_rng(1).integers(-5, 8, 14)
    exact = sign_flip_slow(gaps.tolist())
    assert 0.01 < exact < 0.5
    assert stats.sign_flip_p(gaps, resamples=40_000) == pytest.approx(exact, abs=0.01)
    assert stats.sign_flip_p(gaps, seed=3) == stats.sign_flip_p(gaps, seed=3)
    assert stats.sign_flip_p([1.0] * 50, resamples=99) == 1 / 100  # never 0


def test_p_values_are_uniform_without_a_difference():
    rng = np.random.default_rng(2)
    p = [stats.sign_flip_p(rng.normal(size=25), resamples=400, seed=seed) for seed in range(300)]
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.09 and abs(np.mean(p) - 0.5) < 0.06


def test_paired_difference():
    first = draw(0)
    second = first - 0.05 + np.random.default_rng(1).normal(scale=0.1, size=60)
    ours, back = stats.paired_difference(first, second), stats.paired_difference(second, first)
    assert ours.mean == pytest.approx((first - second).mean()) and ours.count == 60
    assert ours.low < ours.mean < ours.high and ours.low > 0 and ours.p < 0.01
    assert back.p == ours.p and back.mean == -ours.mean
    assert ours[1:3] == stats.bootstrap_mean(first - second)[1:3]
    by_ranks = stats.paired_difference(first, second, test="wilcoxon")
    assert by_ranks.p == pytest.approx(wilcoxon(first, second).pvalue) and by_ranks[:3] == ours[:3]
    unpaired = stats.bootstrap_mean(first)
    assert ours.high - ours.low < (unpaired.high - unpaired.low) / 3  # pairing is what makes it sharp


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
def test_holm_equals_closed_testing(p):
    assert stats.holm(p).tolist() == pytest.approx(holm_slow(p), abs=1e-12)


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: stats.bootstrap_mean([1.0]), ShapeMismatch),
        (lambda: stats.share([0.5, 1]), BadSetting),
        (lambda: stats.bootstrap_mean([[1.0, 2.0]]), ShapeMismatch),
        (lambda: stats.bootstrap_mean([1.0, np.nan]), NotANumber),
        (lambda: stats.bootstrap_mean([1, 2], confidence=95), BadSetting),
        (lambda: stats.bootstrap_mean([1, 2], resamples=0), BadSetting),
        (lambda: stats.bootstrap_mean([1, 2], seed=-1), BadSetting),
        (lambda: stats.bootstrap_mean([1, 2], interval="bcA"), UnknownName),
        (lambda: stats.paired_difference([1, 2], [1, 2, 3]), ShapeMismatch),
        (lambda: stats.paired_difference([1, 2], [1, 3], test="t"), UnknownName),
        (lambda: stats.sign_flip_p([1, 2], resamples=1.5), BadSetting),
        (lambda: stats.holm([]), ShapeMismatch),
        (lambda: stats.holm([0.1, np.nan]), BadSetting),
        (lambda: stats.holm([0.1, 1.1]), BadSetting),
    ],
)
def test_bad_input(call, error):
    with pytest.raises(error):
        call()
