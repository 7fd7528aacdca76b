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


def interval_of(values: Float[Tensor, "seed sample"], *, resamples: int = 2_000, seed: int = 0) -> Interval:
    """The mean with a 95 % interval over samples and seeds both: each is drawn with replacement, on its own.

    The crossed bootstrap of Owen 2007 ("pigeonhole"), by percentiles. One seed: `mmel.stats.bootstrap_mean` over the
    samples, which says nothing about other seeds.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ShapeMismatch(f"values [seed, sample] of two samples or more were expected; got {list(values.shape)}.")
    if len(values) == 1:
        return bootstrap_mean(values[0], resamples=resamples, interval="percentile", seed=seed)
    rng, (rows, columns) = np.random.default_rng(seed), values.shape
    seeds = rng.multinomial(rows, np.full(rows, 1 / rows), resamples)
    samples = rng.multinomial(columns, np.full(columns, 1 / columns), resamples)
    means = np.einsum("br,rc,bc->b", seeds, values, samples) / values.size
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high), values.size)
