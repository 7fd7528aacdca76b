"""Pure arithmetic on maps: from tokens to a grid, to pixels, to a range, to the pixels that count most."""

from __future__ import annotations

from math import isfinite

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from .errors import BadSetting, NotANumber, ShapeMismatch


def to_grid(values: Float[Tensor, "batch patch"], grid: tuple[int, int]) -> Float[Tensor, "batch rows columns"]:
    """Values of the patches, row by row, as a picture of patches. The class token must be gone."""
    if values.ndim != 2 or values.shape[1] != grid[0] * grid[1]:
        raise ShapeMismatch(
            f"{grid[0]} x {grid[1]} patches need [batch, {grid[0] * grid[1]}] values, got {list(values.shape)}: "
            "leave the class token out."
        )
    return values.unflatten(1, grid)


def upsample(map: Float[Tensor, "batch rows columns"], size: tuple[int, int]) -> Float[Tensor, "batch height width"]:
    """Bilinear interpolation of maps to `size` (height, width), corners not aligned, as torchvision's Resize.

    Notes
    -----
    For display and for masks of pixels. A map that is made smaller is not smoothed first (no antialiasing).
    """
    _check(map)
    return stretched(map, size)


def stretched(map: Float[Tensor, "batch rows columns"], size: tuple[int, int]) -> Float[Tensor, "batch height width"]:
    """`upsample` of maps that were checked: a check waits for the device."""
    return F.interpolate(map[:, None].float(), size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def normalize(map: Float[Tensor, "batch rows columns"]) -> Float[Tensor, "batch rows columns"]:
    """Min-max to 0..1, each map by itself; a constant map becomes 0 (the official codes divide 0 by 0 there)."""
    _check(map)
    flat = map.flatten(1)
    low, high = flat.amin(1)[:, None, None], flat.amax(1)[:, None, None]
    return (map - low) / torch.where(high > low, high - low, torch.ones_like(high))


def top_fraction(map: Float[Tensor, "batch rows columns"], fraction: float) -> Bool[Tensor, "batch rows columns"]:
    """The `fraction` of a map's positions with the highest values, at least one; of equal values the first ones.

    Exactly ``ceil(fraction * rows * columns)`` positions are true in each map.
    """
    _check(map)
    if not 0 < fraction <= 1:
        raise BadSetting(f"fraction is a share of the positions, in (0, 1]; got {fraction}.")
    flat = map.flatten(1)
    count = max(1, -int(-fraction * flat.shape[1] // 1))
    first = flat.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(flat, dtype=torch.bool).scatter(1, first, True).view_as(map)


def enhance_contrast(
    map: Float[Tensor, "batch rows columns"], share: float = 0.02
) -> Float[Tensor, "batch rows columns"]:
    """Sec. 3.4: stretch each map to 0..1 between its quantiles `share` and `1 - share`, and cut off what lies outside.

    Notes
    -----
    The paper says only that "final outputs undergo contrast enhancement"; the percentile stretch, the usual one, is
    our reading. Monotone: no rank changes, save that values beyond the quantiles become equal. `share=0` is
    `normalize`.
    """
    if not 0 <= share < 0.5:
        raise BadSetting(f"share is what is cut off at either end, in [0, 0.5); got {share}.")
    _check(map)
    flat = map.flatten(1).to(torch.promote_types(map.dtype, torch.float32))
    low, high = (torch.quantile(flat, end, dim=1)[:, None, None].to(map.dtype) for end in (share, 1 - share))
    return normalize(map.clamp(low, high))


def all_finite(values: Tensor) -> bool:
    """Is no number NaN or infinity? The smallest and the largest say so many times as fast as `isfinite` of each."""
    return not values.numel() or all(map(isfinite, torch.stack(values.detach().aminmax()).tolist()))


def _check(map: Tensor) -> None:
    if map.ndim != 3 or 0 in map.shape:
        raise ShapeMismatch(
            f"maps have the shape [batch, rows, columns], but {list(map.shape)} came: add the batch axis."
        )
    if not all_finite(map):
        raise NotANumber("a map holds NaN or infinity: look at the method that made it.")
