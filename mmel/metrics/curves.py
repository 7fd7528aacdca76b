"""Deletion and insertion: how a score falls or grows while the pixels that a map ranks first go or come."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadSetting, ShapeMismatch
from .checks import numbers, whole
from .edits import deletion_edits, insertion_edits

Score = Callable[[object], object]


class Curve(NamedTuple):
    """A score at each share of what was edited.

    `fractions`: true share of the pixels (or words) taken away or put back. `values`: one a point; with a score of
    several kinds (hits at 1 and at 5, say) one row a kind. `edits[i : i + 1]` is what was scored at point i.
    """

    fractions: Float[Tensor, " points"]
    values: Float[Tensor, "*kinds points"]
    edits: object


def deletion_curve(
    score: Score,
    image,
    map,
    *,
    steps: int | None = 20,  # edits of equal size; None: one edit, with the map itself as a soft mask (M2IB)
    every: int = 1,  # edits from one scored point to the next
    fraction: float = 1.0,  # share of the pixels that all edits together take
    fill="mean",  # noise, black, blur, mean, a number, a colour, a picture; or one of these for each kind of curve
    ends: str = "both",  # end points scored too: original, empty, both, none
    seed: int = 0,  # of the noise, the same as `torch.manual_seed`
    order=None,  # indices of the flat picture, first those edited first; None: by falling value
    window=None,  # (top, left, bottom, right) of the picture, where the map lies; None: on all of it
    batch_size: int | None = None,  # pictures in one call of `score`; None: all
) -> Curve:
    """Sec. 4.2 (3): the score while pixels are taken away, those with the highest map values first.

    `image` is what is edited: a PIL picture, bytes [rows, columns, 3], or floats [3, rows, columns]; `score` gets
    batches of the same type (a list of PIL pictures, else [batch, ...]), prepares them for its model by itself, and
    gives back one number a picture (or one row of numbers). `map`: [rows, columns], bilinearly upsampled where it is
    smaller than the picture, or than its window: a model sees the middle of a picture that is not square. Equal map
    values are edited in reading order, and so, last, is what lies outside of the window. Errors: ShapeMismatch,
    NotANumber (in map, picture or scores), UnknownName, BadSetting.

    Notes
    -----
    The paper does not say how many steps, how much, or by what; `PROTOCOLS` names our reading of the official codes.
    Only where `fraction` is 1 do the edits reach each pixel: they are of equal, whole size, as the official ones.
    """
    settings = {"steps": steps, "every": every, "fraction": fraction, "fill": fill, "ends": ends}
    edits = deletion_edits(image, map, **settings, seed=seed, order=order, window=window)
    return scored(score, edits, batch_size=batch_size)


def insertion_curve(
    score: Score,
    image,
    map,
    *,
    steps: int | None = 20,
    every: int = 1,
    fraction: float = 1.0,
    fill="mean",
    ends: str = "both",
    seed: int = 0,
    order=None,
    window=None,
    batch_size: int | None = None,
) -> Curve:
    """Sec. 4.2 (4): the score while pixels are put back on a filled picture, those with the highest map values first.

    Arguments and errors as of `deletion_curve`. With `ends="original"` the last point is the whole picture, though
    the point before it may stand at `fraction`.
    """
    settings = {"steps": steps, "every": every, "fraction": fraction, "fill": fill, "ends": ends}
    edits = insertion_edits(image, map, **settings, seed=seed, order=order, window=window)
    return scored(score, edits, batch_size=batch_size)


@torch.no_grad()
def scored(score: Score, edits, *, batch_size: int | None = None) -> Curve:
    """The curve of edits that are made already; points that are the same edit are scored once."""
    fractions, which = torch.unique_consecutive(edits.fractions, return_inverse=True)
    if not len(fractions):
        raise BadSetting("a curve without a point was asked for: take more steps, or end points.")
    first = torch.searchsorted(which, torch.arange(len(fractions)))
    size = len(first) if batch_size is None else whole("batch_size", batch_size, 1)
    parts = [_values(score(edits[some]), len(some)) for some in first.split(size)]
    return Curve(edits.fractions, torch.cat(parts)[which].movedim(0, -1), edits)


def _values(values, count: int) -> Float[Tensor, "batch ..."]:
    """What `score` gave for `count` edits, checked, in double precision and off the device."""
    values = numbers(values, "scores").cpu().double()
    if values.ndim == 0 or len(values) != count:
        raise ShapeMismatch(
            f"`score` got {count} pictures or texts and has to give {count} numbers, but its result has the shape "
            f"{list(values.shape)}."
        )
    return values


def auc(fractions, values) -> Float[Tensor, "*kinds"]:
    r"""Area under a curve: $\sum_i (f_{i+1} - f_i)\,(y_i + y_{i+1}) / 2$, trapezoids over the true fractions.

    `fractions`: [points], never falling; `values`: [points], or [..., points] for several curves at once.

    Notes
    -----
    Not divided by the width: a curve over half of the pixels has at most half the area. `step_auc` is the area that
    RISE takes, over the number of the step.
    """
    fractions, values = numbers(fractions, "fractions").double().cpu(), numbers(values, "values").double().cpu()
    if fractions.ndim != 1 or values.ndim == 0 or values.shape[-1] != len(fractions) or len(fractions) < 2:
        raise ShapeMismatch(
            f"a curve has at least two points and one value for each, but fractions of shape {list(fractions.shape)} "
            f"and values of shape {list(values.shape)} came."
        )
    if bool((fractions.diff() < 0).any()):
        raise BadSetting("fractions grow from point to point, but these fall: sort the curve.")
    return torch.trapezoid(values, fractions, dim=-1)


def step_auc(values) -> Float[Tensor, "*kinds"]:
    """Area with points at equal distances from 0 to 1, whatever was edited: the mean of the trapezoids.

    As `auc` in evaluation.py of eclique/RISE. It takes the official insertion's last point, the whole picture, for
    one more step of the same size.
    """
    values = numbers(values, "values")
    return auc(torch.linspace(0, 1, values.shape[-1] if values.ndim else 1, dtype=torch.float64), values)
