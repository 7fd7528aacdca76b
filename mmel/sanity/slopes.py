"""Sec. 4.7, error analysis: how a metric changes with what a scene is like, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..errors import BadSetting, ShapeMismatch
from ..stats import Difference, paired_difference
from .knee import pairs


def slope(
    x: Sequence[float],
    y: Sequence[float],
    *,
    at: float | None = None,  # a place named beforehand: the change of the slope there; None: a straight line's slope
    groups: Sequence | None = None,  # samples that belong together, such as those of one scene; None: each alone
    resamples: int = 2_000,
    seed: int = 0,
) -> Difference:
    r"""The slope $b$ of $y = a + b x$, or the change $c$ of $y = a + b x + c \max(0, x - k)$ at a given k.

    Least squares is a weighted sum of y, so each sample has a part in the estimate. `mmel.stats.paired_difference` of
    the parts from zero gives interval and p value, whatever the noise is like at each x (White 1980). With `groups` a
    group has one part, the sum of its samples': where each has a sample of every x, it is the group's own slope.
    Errors: ShapeMismatch, NotANumber, BadSetting.
    """
    x, y = pairs(x, y)
    columns = [np.ones_like(x), x] if at is None else [np.ones_like(x), x, np.maximum(x - at, 0)]
    design = np.stack(columns, 1)
    if np.linalg.matrix_rank(design) < len(columns):
        raise BadSetting(
            f"a slope needs two different x, and its change at {at} a third and some on both sides; got x from "
            f"{x.min():g} to {x.max():g}."
        )
    inverse = np.linalg.pinv(design)
    found = float(inverse[-1] @ y)
    parts = inverse[-1] * (y - design @ (inverse @ y))
    if groups is None:
        parts *= np.sqrt(len(x) / max(1, len(x) - len(columns)))  # for what the fit has taken of the noise
    else:
        parts = _summed(parts, groups)
    own = found + len(parts) * parts
    return paired_difference(own, np.zeros_like(own), resamples=resamples, seed=seed)


def standardized_slopes(
    factors: Float[np.ndarray, "sample factor"], y: Sequence[float], *, resamples: int = 2_000, seed: int = 0
) -> list[tuple[float, float, float]]:
    """(slope, low, high) of each factor in one linear fit of y on all of them, all in units of their own spread.

    What each factor adds when the others stay as they are. Intervals: percentiles over resampled samples.
    """
    factors, y = np.asarray(factors, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if factors.ndim != 2 or y.shape != factors.shape[:1]:
        raise ShapeMismatch(f"factors [sample, factor] and one y each were expected; got {factors.shape}, {y.shape}.")
    if not (factors.std(0) > 0).all() or not y.std() > 0:
        raise BadSetting("a factor, or y, has one value only, and no slope: leave it out.")
    design = np.column_stack([np.ones(len(y)), (factors - factors.mean(0)) / factors.std(0)])
    y, rng = (y - y.mean()) / y.std(), np.random.default_rng(seed)
    best = np.linalg.lstsq(design, y, rcond=None)[0][1:]
    drawn = [rng.integers(len(y), size=len(y)) for _ in range(resamples)]
    again = np.stack([np.linalg.lstsq(design[rows], y[rows], rcond=None)[0][1:] for rows in drawn])
    low, high = np.quantile(again, [0.025, 0.975], axis=0)
    return [tuple(map(float, each)) for each in zip(best, low, high, strict=True)]


def _summed(parts: np.ndarray, groups: Sequence) -> Float[np.ndarray, " group"]:
    """The parts of each group together."""
    names = np.asarray(groups)
    if names.shape != parts.shape:
        raise ShapeMismatch(f"one group for each of {len(parts)} samples was expected; got the shape {names.shape}.")
    return np.bincount(np.unique(names, return_inverse=True)[1], weights=parts)
