"""One set of curves read in many ways: a curve over the whole picture holds every shorter one, and every score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student
from torch import Tensor

from ...errors import BadSetting
from ...metrics import FILLS, step_auc
from ...types import Window
from .editing import Ask, Embedded, cosines_of

STEPS = 20  # of a curve; a multiple of 4, so that every fraction ends on one
SCORES = ("cosine", "probability", "hit@1")
FRACTIONS = (0.25, 0.5, 1.0)
ENDS = ("both", "original", "none")


class View(NamedTuple):
    """One way to read a curve."""

    kind: str
    fill: str
    score: str
    fraction: float
    ends: str

    @property
    def name(self) -> str:
        return f"{self.kind} {self.fill} {self.score} {self.fraction:g} {self.ends}"


VIEWS = tuple(View(*each) for each in product(("deletion", "insertion"), FILLS, SCORES, FRACTIONS, ENDS))


def check_steps(steps: int) -> None:
    """Raise for a number of steps of which a quarter, half and all are not whole curves."""
    if steps < 8 or steps % 4:
        raise BadSetting(f"steps is a multiple of 4 from 8 on, so that a quarter of them is a curve; got {steps!r}.")


def asks_of(
    map: Float[Tensor, "rows columns"], seed: int, steps: int = STEPS, window: Window | None = None
) -> list[Ask]:
    """The curves that every view can be read from: one a kind and fill, over the whole picture."""
    check_steps(steps)
    how = {"steps": steps, "fraction": 1.0, "ends": "both"}
    pairs = product(("deletion", "insertion"), FILLS)
    return [Ask(kind, map, {**how, "fill": fill}, seed, window) for kind, fill in pairs]


def areas_of(
    curves: Sequence[Embedded], classes: Float[Tensor, "class embed"], label: int, scale: float, steps: int = STEPS
) -> dict[str, float]:
    """The area of every view, by `step_auc`: as if its points stood at equal distances."""
    pairs = [(kind, fill) for kind in ("deletion", "insertion") for fill in FILLS]
    scores = {}
    for (kind, fill), cosines in zip(pairs, cosines_of(curves, classes), strict=True):
        cosines = cosines.double()  # points class
        values = (cosines[:, label], (scale * cosines).softmax(1)[:, label], (cosines.argmax(1) == label).double())
        scores |= {(kind, fill, score): value for score, value in zip(SCORES, values, strict=True)}
    return {view.name: float(step_auc(scores[view[:3]][list(points_of(view, steps))])) for view in VIEWS}


def points_of(view: View, steps: int = STEPS) -> Iterable[int]:
    """Which points of a whole curve this view reads: as the edits of a shorter protocol with these end points."""
    last = round(steps * view.fraction)
    whole, empty = (0, steps) if view.kind == "deletion" else (steps, 0)
    wanted = {"both": {whole, empty}, "original": {whole}, "none": set()}[view.ends]
    middle = set(range(1, min(last, steps - 1) + 1))
    return sorted(middle | wanted | ({steps} if last == steps else set()))


class Flip(NamedTuple):
    """Two methods, and how many views say with certainty that the first is better, and that the second is."""

    first: str
    second: str
    first_better: int
    second_better: int
    undecided: int


def flips(values: dict[str, Float[np.ndarray, "view sample"]], higher: Float[np.ndarray, " view"]) -> list[Flip]:
    """For each pair of methods, what the views say. `higher`: 1 where a high area is good, -1 where a low one is.

    Notes
    -----
    "With certainty": zero lies outside of the 95 % interval of the mean paired difference, by Student's t. A view by
    itself, so of many views some are certain by luck: a few views against many are no flip.
    """
    names, found = list(values), []
    width = float(student.ppf(0.975, next(iter(values.values())).shape[1] - 1))
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            gaps = (values[first] - values[second]) * higher[:, None]
            error = gaps.std(1, ddof=1) / gaps.shape[1] ** 0.5
            sure = abs(gaps.mean(1)) > width * error
            better = int((sure & (gaps.mean(1) > 0)).sum())
            worse = int((sure & (gaps.mean(1) < 0)).sum())
            found.append(Flip(first, second, better, worse, len(gaps) - better - worse))
    return found
