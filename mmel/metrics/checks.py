"""What metrics ask of their input: finite numbers, shapes that fit, masks that hold something."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import BadSetting, MmelError, NotANumber, ShapeMismatch
from ..maps import all_finite


class EmptyMask(MmelError):
    """A mask without a pixel, in which nothing can be found."""


def numbers(values, what: str) -> Tensor:
    """Finite floats: tensors keep their precision and device, everything else is taken in double precision."""
    try:
        values = values.detach() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
        values = values if values.is_floating_point() else values.double()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeMismatch(f"{what} are numbers in a regular array, which this is not ({error}).") from error
    if not all_finite(values):
        raise NotANumber(f"{what} hold NaN or infinity: look at what made them.")
    return values


def one_map(map) -> Float[Tensor, "rows columns"]:
    """The map of a single picture, with or without a batch axis of one."""
    map = numbers(map, "maps")
    map = map[0] if map.ndim == 3 and len(map) == 1 else map
    if map.ndim != 2 or 0 in map.shape:
        raise ShapeMismatch(
            f"one map of shape [rows, columns] was expected, got {list(map.shape)}: pass the pictures of a batch one "
            "by one."
        )
    return map


def batch_of_maps(map) -> Float[Tensor, "batch rows columns"]:
    """Maps of a batch; a single one gets the batch axis."""
    map = numbers(map, "maps")
    map = map[None] if map.ndim == 2 else map
    if map.ndim != 3 or 0 in map.shape:
        raise ShapeMismatch(f"maps have the shape [batch, rows, columns] or [rows, columns]; got {list(map.shape)}.")
    return map


def batch_of_masks(mask, batch: int) -> Bool[Tensor, "batch height width"]:
    """Masks of a batch, one for each map, none of them empty."""
    mask = torch.as_tensor(np.asarray(mask) if not isinstance(mask, Tensor) else mask)
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or 0 in mask.shape or len(mask) != batch:
        raise ShapeMismatch(
            f"{batch} maps need {batch} masks of shape [batch, height, width], but {list(mask.shape)} came."
        )
    if mask.dtype != torch.bool and bool(((mask != 0) & (mask != 1)).any()):
        raise BadSetting("a mask says yes or no to each pixel (booleans, or 0 and 1); other values came: threshold it.")
    mask = mask.bool()
    if empty := [i for i, inside in enumerate(mask.flatten(1).any(1)) if not inside]:
        raise EmptyMask(f"mask {empty[0]} has no pixel: leave out what cannot be seen in the picture.")
    return mask


def whole(name: str, value: object, least: int) -> int:
    """`value`, a whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise BadSetting(f"{name} is a whole number from {least} on, but {value!r} came: choose one.")
    return int(value)


def share(name: str, value: object) -> float:
    """`value`, a number above 0 and up to 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating)) or not 0 < value <= 1:
        raise BadSetting(f"{name} is a share, in (0, 1], but {value!r} came: 0.5 is half.")
    return float(value)
