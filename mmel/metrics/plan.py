"""What editing pictures and texts has in common: in which order, how far at each step, which end points."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadSetting, ShapeMismatch, UnknownName
from .checks import share, whole

ENDS = ("both", "empty", "none", "original")


def ranking(map: Float[Tensor, " place"], order) -> Int[Tensor, " place"]:
    """Places by falling map value, equal values by position; or the order that the caller gives, checked."""
    if order is None:
        return falling(map)
    order = torch.as_tensor(np.array(order) if not isinstance(order, Tensor) else order).to(map.device).flatten()
    if len(order) != len(map):
        raise ShapeMismatch(f"an order of {len(map)} places was expected, got {len(order)}: one for each map value.")
    if order.is_floating_point() or not torch.equal(order.sort().values, torch.arange(len(map), device=order.device)):
        raise BadSetting(f"an order names each of the places 0 to {len(map) - 1} once: pass indices of the flat map.")
    return order.long()


def falling(values: Float[Tensor, " place"]) -> Int[Tensor, " place"]:
    """Places by falling value, equal values by position, as a stable sort gives them.

    On a processor each value and its place make one whole number, for NumPy sorts those twenty times as fast.
    """
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return values.argsort(descending=True, stable=True)
    bits = (values.numpy() + np.float32(0)).view(np.int32)  # -0.0 becomes 0.0
    rising = np.where(bits < 0, bits ^ 0x7FFFFFFF, bits).astype(np.int64)  # whole numbers in the order of the values
    keys = np.sort((~rising << 32) | np.arange(len(rising)))
    return torch.from_numpy(keys & 0xFFFFFFFF)


def check_steps(steps: int | None, every: int, fraction: float) -> None:
    """Errors for step settings that cannot be followed."""
    whole("every", every, 1)
    share("fraction", fraction)
    if steps is not None and whole("steps", steps, 1) < every:
        raise BadSetting(f"with {steps} steps, none would be scored after every {every}: take a smaller `every`.")


def even_counts(total: int, steps: int, every: int, fraction: float) -> list[int]:
    """How many pixels are edited at each scored step: whole pixels, the same number in each edit.

    As the official scripts, which leave the remainder of the division alone; only where all of a picture is to be
    edited does the last edit take it.
    """
    each = max(1, int(total * fraction / steps + 1e-9))
    counts = [min(total, each * step) for step in range(every, steps + 1, every)]
    return [*counts[:-1], total] if reaches_all(steps, every, fraction) else counts


def near_counts(total: int, steps: int, every: int, fraction: float) -> list[int]:
    """How many words are edited at each scored step: the whole number next to the share, halves upwards."""
    return [int(total * fraction * step / steps + 0.5) for step in range(every, steps + 1, every)]


def reaches_all(steps: int | None, every: int, fraction: float) -> bool:
    """Is the last scored step one at which all has been edited?"""
    return steps is not None and fraction == 1 and steps % every == 0


def with_ends(middle: list, ends: str, inserting: bool, complete: bool, span: tuple) -> list:
    """`middle` with the end points of `span`: the original comes first when deleting and last when inserting.

    Nothing is added behind a `complete` middle. How many points there are depends on the settings alone, so that
    curves of different samples can be averaged point by point.
    """
    if ends not in ENDS:
        raise UnknownName("end points (`ends`)", ends, ENDS)
    first = ends in ("both", "empty" if inserting else "original")
    last = ends in ("both", "original" if inserting else "empty") and not complete
    return [span[0]] * first + middle + [span[1]] * last


def own_fill(fill, kind: str):
    """The entry for this kind of curve where `fill` has one for each."""
    if not isinstance(fill, Mapping):
        return fill
    if kind not in fill:
        raise BadSetting(f"`fill` has entries for {', '.join(map(str, fill))}, but none for {kind!r}: add one.")
    return fill[kind]
