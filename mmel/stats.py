"""How sure a number is: bootstrap intervals of means, paired differences, Holm's correction for many tests."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from .errors import BadSetting, NotANumber, ShapeMismatch, UnknownName

INTERVALS = ("bca", "percentile")
TESTS = ("permutation", "wilcoxon")
AT_ONCE = 2_000_000  # resampled values held in memory
EXACT = 2**12  # sign flips that are all looked at
LEVEL = 0.05  # a p value decides below this, after Holm's correction where there are several


class Interval(NamedTuple):
    """A mean over `count` samples and the ends of its interval."""

    mean: float
    low: float
    high: float
    count: int


class Difference(NamedTuple):
    """A mean of paired differences (first minus second), the ends of its interval, and a two-sided p value."""

    mean: float
    low: float
    high: float
    p: float
    count: int


def bootstrap_mean(
    values: Sequence[float],
    *,
    confidence: float = 0.95,  # coverage of the interval
    resamples: int = 10_000,
    interval: str = "bca",  # bca (corrected for bias and skew) or percentile
    seed: int = 0,
) -> Interval:
    """The mean of samples [sample] with a bootstrap interval: the same numbers for the same seed.

    Efron and Tibshirani 1993, ch. 13 and 14, by `scipy.stats.bootstrap`. Errors: ShapeMismatch (fewer than two
    samples), NotANumber, UnknownName, BadSetting.

    Notes
    -----
    Samples are taken as independent: captions of one picture are not, so give their mean. Equal samples have an
    interval of no width, where the corrected bootstrap divides 0 by 0.
    """
    values = _samples(values)
    _check(confidence, resamples, seed)
    if interval not in INTERVALS:
        raise UnknownName("bootstrap interval", interval, INTERVALS)
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Interval(mean, mean, mean, len(values))
    kind = "BCa" if interval == "bca" else "percentile"
    batch = max(1, AT_ONCE // len(values))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # answered below
        ends = stats.bootstrap(
            (values,), np.mean, n_resamples=resamples, batch=batch, vectorized=True, axis=-1,
            confidence_level=confidence, method=kind, random_state=np.random.default_rng(seed),
        ).confidence_interval  # fmt: skip
    if not np.isfinite([ends.low, ends.high]).all():
        return bootstrap_mean(values, confidence=confidence, resamples=resamples, interval="percentile", seed=seed)
    return Interval(mean, float(ends.low), float(ends.high), len(values))


def paired_difference(
    first: Sequence[float],
    second: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    interval: str = "bca",
    test: str = "permutation",  # permutation (signs of the differences) or wilcoxon (signed ranks)
    seed: int = 0,
) -> Difference:
    """The mean of `first - second`, both [sample] over the same samples, with an interval and a two-sided p value.

    The p value is that of no difference: each pair might as well have come the other way round. Errors as of
    `bootstrap_mean`.
    """
    first, second = _samples(first), _samples(second)
    if first.shape != second.shape:
        raise ShapeMismatch(
            f"pairs have as many first as second values, but {len(first)} and {len(second)} came: keep the samples "
            "that both have."
        )
    if test not in TESTS:
        raise UnknownName("test of paired differences", test, TESTS)
    gaps = first - second
    mean, low, high, count = bootstrap_mean(
        gaps, confidence=confidence, resamples=resamples, interval=interval, seed=seed
    )
    p = sign_flip_p(gaps, resamples=resamples, seed=seed) if test == "permutation" else _wilcoxon_p(gaps)
    return Difference(mean, low, high, p, count)


def share(hits: Sequence[bool], *, confidence: float = 0.95) -> Interval:
    """The share of samples that hit, with its exact interval, which has a width where all are alike, too.

    Clopper and Pearson 1934. Errors as of `bootstrap_mean`.
    """
    hits = _samples(hits)
    if not np.isin(hits, (0, 1)).all():
        raise BadSetting("a share counts samples that hit (1) or do not (0); other values came.")
    _check(confidence, 1, 0)
    low, high = stats.binomtest(int(hits.sum()), len(hits)).proportion_ci(confidence, method="exact")
    return Interval(float(hits.mean()), float(low), float(high), len(hits))


def sign_flip_p(gaps: Sequence[float], *, resamples: int = 10_000, seed: int = 0) -> float:
    """Two-sided p value of a mean of zero: the share of sign flips with a mean at least as far from zero.

    Few samples: all flips. Else `resamples` random ones and the flip that was seen, so that p is never 0
    (Phipson and Smyth 2010).
    """
    gaps = _samples(gaps)
    _check(0.95, resamples, seed)
    seen = abs(gaps.sum()) * (1 - 1e-9)  # sums in another order differ in their last digits
    if 2 ** len(gaps) <= EXACT:
        flips = 1 - 2.0 * ((np.arange(2 ** len(gaps))[:, None] >> np.arange(len(gaps))) & 1)
        return float((abs(flips @ gaps) >= seen).mean())
    draw, far, left = np.random.default_rng(seed), 0, resamples
    while left:
        count = min(left, max(1, AT_ONCE // len(gaps)))
        flips = draw.integers(0, 2, (count, len(gaps)), dtype=np.int8) * 2.0 - 1
        far, left = far + int((abs(flips @ gaps) >= seen).sum()), left - count
    return (far + 1) / (resamples + 1)


def holm(p: Sequence[float]) -> Float[np.ndarray, " test"]:
    """Holm's p values for several tests at once, in the order given: below alpha means significant among all.

    Holm 1979: the smallest p times the number of tests, the next times one less, and so on, never falling, at most 1.
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or not len(p):
        raise ShapeMismatch(f"p values have the shape [test], with at least one; got {list(p.shape)}.")
    if not ((p >= 0) & (p <= 1)).all():
        raise BadSetting("p values lie in 0..1; others, or NaN, came: leave out the tests that were not made.")
    order = np.argsort(p, kind="stable")
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(raised, 1)
    return adjusted


def _wilcoxon_p(gaps: Float[np.ndarray, " sample"]) -> float:
    """Signed ranks; pairs without a difference say nothing, and all of them alike say 1."""
    return float(stats.wilcoxon(gaps).pvalue) if gaps.any() else 1.0


def _samples(values: Sequence[float]) -> Float[np.ndarray, " sample"]:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ShapeMismatch(f"values of two or more samples, [sample], were expected; got the shape {values.shape}.")
    if not np.isfinite(values).all():
        raise NotANumber("samples hold NaN or infinity: count failures apart, and leave them out of the mean.")
    return values


def _check(confidence: float, resamples: int, seed: int) -> None:
    if not 0 < confidence < 1:
        raise BadSetting(f"confidence lies between 0 and 1; got {confidence}.")
    for name, value, least in (("resamples", resamples, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise BadSetting(f"{name} is a whole number from {least} on; got {value!r}.")
