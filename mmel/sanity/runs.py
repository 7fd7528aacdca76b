"""Several random states of a model: how sure a mean over states and samples is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..errors import ShapeMismatch
from ..stats import Interval, bootstrap_mean


class Band(NamedTuple):
    """A mean and the ends of its interval at every rung."""

    mean: list[float]
    low: list[float]
    high: list[float]


def interval_of(
    values: Float[Tensor, "seed sample"], *, confidence: float = 0.95, resamples: int = 2_000, seed: int = 0
) -> Interval:
    """The mean with an interval over samples and seeds both: each is drawn with replacement, on its own.

    The crossed bootstrap of Owen 2007 ("pigeonhole"), by percentiles. One seed: `mmel.stats.bootstrap_mean` over the
    samples, which says nothing about other seeds. Several statements hold together with 95 % where each has a
    `confidence` of 1 - 0.05 / their number (Bonferroni). Errors as of `mmel.stats.bootstrap_mean`.
    """
    values = _checked(values)
    if len(values) == 1 or not 0 < confidence < 1:
        how = {"confidence": confidence, "resamples": resamples, "seed": seed}
        return bootstrap_mean(values[0], interval="percentile", **how)
    low, high = np.quantile(_means(values, resamples, seed), [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(values.mean()), float(low), float(high), values.size)


def _means(values: np.ndarray, resamples: int, seed: int) -> Float[np.ndarray, " resample"]:
    """Means of resampled seeds and samples."""
    rng, (rows, columns) = np.random.default_rng(seed), values.shape
    seeds = rng.multinomial(rows, np.full(rows, 1 / rows), resamples)
    samples = rng.multinomial(columns, np.full(columns, 1 / columns), resamples)
    return np.einsum("br,rc,bc->b", seeds, values, samples) / values.size


def _checked(values) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ShapeMismatch(f"values [seed, sample] of two samples or more were expected; got {list(values.shape)}.")
    return values
