"""Sec. 4.7, error analysis: does a metric bend at some number of objects? A straight line, and a broken one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..errors import BadSetting, NotANumber, ShapeMismatch

AT_ONCE = 2_000_000  # numbers of resamples that are held at a time


class Knee(NamedTuple):
    """A broken line's best break with its 95 % interval, its two slopes, the straight line's one, and the p value of
    "there is no break"."""

    at: float
    low: float
    high: float
    before: float
    after: float
    straight: float
    p: float
    count: int


class Line(NamedTuple):
    """Height at 0, slope, and by how much the slope changes at `at`; a straight line has a change of 0."""

    height: float
    slope: float
    change: float
    at: float

    def __call__(self, x) -> Float[np.ndarray, " sample"]:
        x = np.asarray(x, dtype=np.float64)
        return self.height + self.slope * x + self.change * np.maximum(x - self.at, 0)


def straight_line(x: Sequence[float], y: Sequence[float]) -> Line:
    """$y = a + b x$ by least squares."""
    x, y = pairs(x, y)
    height, slope = np.linalg.lstsq(np.stack([np.ones_like(x), x], 1), y, rcond=None)[0]
    return Line(float(height), float(slope), 0.0, float(x.min()))


def broken_line(x: Sequence[float], y: Sequence[float], breaks: Sequence[float] | None = None) -> Line:
    r"""$y = a + b x + c \max(0, x - k)$ by least squares, k one of `breaks`; of equally good ones the first.

    `breaks`: None is every x between the second lowest and the second highest. The two pieces meet at k.
    """
    x, y = pairs(x, y)
    breaks = _breaks(x, breaks)
    at = breaks[int(np.argmax(_gains(_hinges(x, breaks), y[None])[0]))]
    design = np.stack([np.ones_like(x), x, np.maximum(x - at, 0)], 1)
    return Line(*(float(each) for each in np.linalg.lstsq(design, y, rcond=None)[0]), float(at))


def knee(
    x: Sequence[float],
    y: Sequence[float],
    *,
    breaks: Sequence[float] | None = None,
    groups: Sequence | None = None,  # samples that belong together, such as those of one scene; None: each alone
    resamples: int = 2_000,
    seed: int = 0,
) -> Knee:
    """The break of a broken line through samples (x, y), and whether there is one.

    Interval of the break: percentiles of its place when the samples of each x are drawn anew with replacement. p: the
    share of straight lines with noise (the residuals, each with a random sign: Wu 1986, which bears noise that differs
    from x to x) in which some break improves the fit at least as much, counted over all breaks, so that looking for
    the best place costs what it should (Hansen 1996). Where p is large the interval says nothing. `groups`, each with
    one sample of every x, are drawn as wholes, and get one sign. Errors: ShapeMismatch, NotANumber, BadSetting.
    """
    x, y = pairs(x, y)
    breaks, rng = _breaks(x, breaks), np.random.default_rng(seed)
    order = np.arange(len(x))[:, None] if groups is None else _together(x, groups)  # sample x, or group x
    hinges, line, bent = _hinges(x, breaks), straight_line(x, y), broken_line(x, y, breaks)
    places, beaten, seen = [], 0, _statistic(hinges, x, y[None])[0]
    left = resamples
    while left:
        some = min(left, max(1, AT_ONCE // len(x)))
        again = y[_within(x, some, rng) if groups is None else _among(order, some, rng)]  # resample sample
        places.append(breaks[np.argmax(_gains(hinges, again), axis=1)])
        signs = np.empty((some, len(x)))
        signs[:, order] = rng.choice([-1.0, 1.0], (some, len(order), 1))
        noise = (y - line(x)) * signs
        beaten, left = beaten + int((_statistic(hinges, x, line(x) + noise) >= seen * (1 - 1e-9)).sum()), left - some
    low, high = np.quantile(np.concatenate(places), [0.025, 0.975])
    p = (beaten + 1) / (resamples + 1)
    return Knee(bent.at, float(low), float(high), bent.slope, bent.slope + bent.change, line.slope, p, len(x))


def _hinges(x: np.ndarray, breaks: np.ndarray) -> Float[np.ndarray, "sample place"]:
    """Each hinge max(0, x - k) without what a straight line has of it, at length 1."""
    base, _ = np.linalg.qr(np.stack([np.ones_like(x), x], 1))
    hinges = np.maximum(x[:, None] - breaks, 0)
    rest = hinges - base @ (base.T @ hinges)
    return rest / np.linalg.norm(rest, axis=0)


def _gains(hinges: np.ndarray, y: Float[np.ndarray, "resample sample"]) -> Float[np.ndarray, "resample place"]:
    """By how much each break lowers the straight line's sum of squares."""
    return (y @ hinges) ** 2


def _statistic(hinges: np.ndarray, x: np.ndarray, y: np.ndarray) -> Float[np.ndarray, " resample"]:
    """The largest gain over what the best broken line leaves."""
    base, _ = np.linalg.qr(np.stack([np.ones_like(x), x], 1))
    left = (y**2).sum(1) - ((y @ base) ** 2).sum(1)
    gain = _gains(hinges, y).max(1)
    return gain / np.maximum(left - gain, 1e-12 * np.maximum((y**2).sum(1), 1e-300))


def _within(x: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of samples, drawn with replacement among those of the same x."""
    rows = np.empty((resamples, len(x)), dtype=np.int64)
    for value in np.unique(x):
        same = np.flatnonzero(x == value)
        rows[:, same] = same[rng.integers(len(same), size=(resamples, len(same)))]
    return rows


def _together(x: np.ndarray, groups: Sequence) -> np.ndarray:
    """Rows of the samples of each group, in the order of their x: [group, x]."""
    names, known = np.asarray(groups), np.unique(x)
    if names.shape != x.shape:
        raise ShapeMismatch(f"one group for each of {len(x)} samples was expected; got the shape {names.shape}.")
    rows = [np.flatnonzero(names == name) for name in np.unique(names)]
    rows = [each[np.argsort(x[each], kind="stable")] for each in rows]
    if not all(np.array_equal(x[each], known) for each in rows) or len(rows) < 2:
        raise BadSetting("each group has one sample of every x, and there are two groups at least: leave others out.")
    return np.stack(rows)


def _among(order: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of samples when whole groups are drawn with replacement."""
    drawn = order[rng.integers(len(order), size=(resamples, len(order)))]  # resample group x
    rows = np.empty((resamples, order.size), dtype=np.int64)
    rows[:, order.ravel()] = drawn.reshape(resamples, -1)
    return rows


def _breaks(x: np.ndarray, breaks: Sequence[float] | None) -> np.ndarray:
    known = np.unique(x)
    if len(known) < 4:
        raise BadSetting(f"a broken line needs four different x at least; got {len(known)}.")
    chosen = known[1:-1] if breaks is None else np.asarray(breaks, dtype=np.float64)
    if not len(chosen) or chosen.min() <= known[0] or chosen.max() >= known[-1]:
        raise BadSetting(f"breaks lie between {known[0]:g} and {known[-1]:g}, at least one; got {list(chosen)}.")
    return chosen


def pairs(x: Sequence[float], y: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """x and y as arrays, checked."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 5:
        raise ShapeMismatch(f"one y for each x, of five samples or more, were expected; got {x.shape} and {y.shape}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise NotANumber("samples hold NaN or infinity: count failures apart, and leave them out.")
    return x, y
