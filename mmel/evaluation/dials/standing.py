"""How firmly a search has found its point: who shares the maximum, what cannot be told from it, who wins and loses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ...errors import UnknownName
from ...metrics import HIGHER_IS_BETTER
from ...stats import LEVEL, Difference, holm, paired_difference
from .search import OBJECTIVES

EQUAL = 1e-9  # two means that are closer are one value, reached by sums in another order


class Maximum(NamedTuple):
    """The rows whose mean objective is the largest, and those whose 95 % interval of the difference from it holds 0."""

    value: float
    tied: list[Mapping]
    near: list[Mapping]


class Standing(NamedTuple):
    """Comparisons with a rival by their intervals, and the better and worse that Holm's correction leaves."""

    better: int
    worse: int
    undecided: int
    better_corrected: int
    worse_corrected: int


def maximum(rows: Sequence[Mapping], objective: str) -> Maximum:
    """Where the rows of a search are highest. The tied ones are near, too. Errors: UnknownName."""
    if objective not in OBJECTIVES:
        raise UnknownName("objective", objective, OBJECTIVES)
    samples = [OBJECTIVES[objective](row["samples"]) for row in rows]
    means = [float(each.mean()) for each in samples]
    top = means.index(max(means))
    tied = [row for row, mean in zip(rows, means, strict=True) if means[top] - mean <= EQUAL]
    apart = [paired_difference(samples[top], each, resamples=2000).low for each in samples]
    return Maximum(means[top], tied, [row for row, low in zip(rows, apart, strict=True) if low <= EQUAL])


def crossed(rows: Sequence[Mapping], objective: str) -> Float[np.ndarray, " sample"]:
    """Each sample's objective at the point that the *other* half of the samples chose: no sample judges its own choice.

    Halves are made of neighbours in twos, for the scenes of `validation` are of two kinds in turn.
    """
    samples = np.stack([OBJECTIVES[objective](row["samples"]) for row in rows])  # setting sample
    half = np.arange(samples.shape[1]) // 2 % 2
    first, second = (samples[:, half == which].mean(1).argmax() for which in (0, 1))
    return np.where(half == 0, samples[second], samples[first])


def standing(gaps: Mapping[tuple[str, str], Difference]) -> Standing:
    """Count differences by (where, metric): on the better side of zero beyond their interval, on the worse, neither."""
    sides = {key: 1 if HIGHER_IS_BETTER[key[1]] else -1 for key in gaps}
    better = sum(min(sides[key] * gap.low, sides[key] * gap.high) > 0 for key, gap in gaps.items())
    worse = sum(max(sides[key] * gap.low, sides[key] * gap.high) < 0 for key, gap in gaps.items())
    sure = dict(zip(gaps, holm([gap.p for gap in gaps.values()]) < LEVEL, strict=True)) if gaps else {}
    signs = [sides[key] * gap.mean for key, gap in gaps.items() if sure[key]]
    corrected = [sum(sign > 0 for sign in signs), sum(sign < 0 for sign in signs)]
    return Standing(better, worse, len(gaps) - better - worse, *corrected)
