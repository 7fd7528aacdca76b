"""From measurements to the cells of a table: means with intervals, paired differences, and what may be bold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ..errors import UnknownName
from ..metrics import HIGHER_IS_BETTER
from ..stats import LEVEL, Difference, Interval, bootstrap_mean, holm, paired_difference

REFERENCE = "grad_eclip"
KEYS = ["row", "modality", "metric"]
NEITHER = (
    "spearman", "ssim", "hog", "top_overlap", "entropy_rise",  # of a sanity check, which must not rank
    "distance", "nearest",  # of MMEL's own network; of the model itself
    "score", "failure", "relation",  # of the model itself; shares of kinds
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One row's number in one column. `versus` is its paired difference from the reference row, `p` Holm-corrected."""

    interval: Interval
    failures: int
    versus: Difference | None
    p: float | None
    best: bool  # certainly better than the next best row


def higher_is_better(metric: str) -> bool | None:
    """Which way a metric points, whatever follows its first word ("deletion true @1"); words as pictures.

    None: no way, so that no row is the best.
    """
    word = metric.split()[0].removeprefix("word_")
    if word in NEITHER:
        return None
    name = word if word in HIGHER_IS_BETTER else f"{word}_auc"
    if name not in HIGHER_IS_BETTER:
        raise UnknownName("metric", metric, HIGHER_IS_BETTER)
    return HIGHER_IS_BETTER[name]


def cells_of(
    frame: pd.DataFrame,
    modality: str,
    metric: str,
    *,
    reference: str = REFERENCE,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Cell]:
    """The column of a table: row -> cell, rows without a number left out.

    Differences are paired over the samples that both rows have; Holm's correction runs over the column.
    """
    values = column_of(frame, modality, metric)
    failed = frame[frame.error != ""].groupby("row")["sample"].nunique()
    how = {"resamples": resamples, "seed": seed}
    means = {row: bootstrap_mean(each.to_numpy(), **how) for row, each in values.items() if len(each) > 1}
    apart = {}
    if reference in means:
        apart = {row: _difference(values[row], values[reference], how) for row in means if row != reference}
        apart = {row: each for row, each in apart.items() if each}
    corrected = dict(zip(apart, holm([each.p for each in apart.values()]), strict=True)) if apart else {}
    first = _first(values, means, higher_is_better(metric), how)
    return {
        row: Cell(mean, int(failed.get(row, 0)), apart.get(row), corrected.get(row), row == first)
        for row, mean in means.items()
    }


def differences_of(
    frame: pd.DataFrame, modality: str, metrics: Sequence[str], row: str, others: Sequence[str], **how: int
) -> dict[str, dict[str, dict[str, float | int]]]:
    """Column -> "row less other" -> the paired difference and its p value as plain numbers, to note.

    Pairs are the samples that both rows have; `how` are resamples and seed. The p values are not corrected yet: how
    many comparisons a sentence makes is known where the sentence is judged.
    """
    found: dict[str, dict] = {}
    for metric in metrics:
        values = column_of(frame, modality, metric)
        gaps = {other: _difference(values[row], values[other], how) for other in others if {row, other} <= set(values)}
        named = {f"{row} less {other}": gap._asdict() for other, gap in gaps.items() if gap}
        found[f"{modality} {metric}"] = named
    return found


def column_of(frame: pd.DataFrame, modality: str, metric: str) -> dict[str, pd.Series]:
    """Row -> its value of each sample, by the sample's name."""
    chosen = frame[(frame.modality == modality) & (frame.metric == metric)]
    return {row: part.set_index("sample").value for row, part in chosen.groupby("row", sort=False)}


def reasons_of(frame: pd.DataFrame) -> dict[str, str]:
    """Row -> why it has failures, the first reason of each."""
    return frame[frame.error != ""].groupby("row", sort=False).error.first().to_dict()


def mean_steps(frame: pd.DataFrame, modality: str, metric: str) -> dict[str, list[float]]:
    """Row -> the mean curve of its samples, point by point."""
    chosen = frame[(frame.modality == modality) & (frame.metric == metric)]
    return {row: pd.DataFrame(part.steps.tolist()).mean().tolist() for row, part in chosen.groupby("row", sort=False)}


def spread_over_runs(frame: pd.DataFrame, modality: str, metric: str) -> dict[str, float]:
    """Row -> the standard deviation, over runs, of the mean over samples: what "mean ± std over ten runs" can mean.

    A method that draws nothing has one run, and a deviation of zero by construction: it gives the same maps again.
    """
    chosen = frame[(frame.modality == modality) & (frame.metric == metric)]
    found = {}
    for row, part in chosen.groupby("row", sort=False):
        runs = pd.DataFrame(part.steps.tolist()).mean()
        found[row] = float(runs.std(ddof=1)) if len(runs) > 1 else 0.0
    return found


def _difference(first: pd.Series, second: pd.Series, how: dict) -> Difference | None:
    both: Sequence[str] = first.index.intersection(second.index)
    if len(both) < 2:
        return None
    return paired_difference(first[both].to_numpy(), second[both].to_numpy(), **how)


def _first(values: dict, means: dict[str, Interval], higher: bool | None, how: dict) -> str | None:
    """The best row, if the interval of its difference from the next best leaves zero out, and the signs agree."""
    if higher is None:
        return None
    order = sorted(means, key=lambda row: means[row].mean, reverse=higher)
    if len(order) < 2:
        return None
    gap = _difference(values[order[0]], values[order[1]], how)
    return order[0] if gap and gap.p < LEVEL and (gap.low > 0 or gap.high < 0) else None
