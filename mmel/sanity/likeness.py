"""How alike two maps are: the measures of Adebayo et al. 2018, for batches of maps on one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy.stats import rankdata
from skimage.feature import hog
from skimage.metrics import structural_similarity
from torch import Tensor

from ..errors import BadSetting, NotANumber, ShapeMismatch
from ..maps import upsample

Maps = Float[Tensor, "batch rows columns"]


def second_moment(map: Maps) -> Maps:
    r"""$E / \sqrt{\text{mean}(E^2)}$, each map by itself; a map of zeros stays as it is.

    Binder et al. 2023: between such maps a distance means the same whatever their units. Min-max lets the one highest
    value decide how large all others are.
    """
    size = map.double().square().mean((1, 2), keepdim=True).sqrt()
    return map.double() / torch.where(size > 0, size, torch.ones_like(size))


def spearman(map: Maps, other: Maps, *, absolute: bool = False) -> Float[Tensor, " batch"]:
    """Spearman's rank correlation of each pair of maps, with the mean rank for equal values; -1 to 1.

    `absolute`: of the absolute values, so that a map and its negative are alike. A flat map, which has no order, is
    like no other: 0. Errors: ShapeMismatch, NotANumber.
    """
    first, second = _pairs(map, other)
    if absolute:
        first, second = first.abs(), second.abs()
    ranks = [rankdata(each.flatten(1).numpy(), axis=1) for each in (first, second)]
    return _correlation(*_tensors(ranks))


def ssim(map: Maps, other: Maps, *, window: int = 5) -> Float[Tensor, " batch"]:
    """Structural similarity (Wang et al. 2004), mean over windows of `window` x `window` values.

    Of maps over the root of their second moment; the data range is that of both together. A flat map is like no other:
    0. Errors: ShapeMismatch, NotANumber, BadSetting (a window that is even, or larger than the map).
    """
    first, second = (second_moment(each) for each in _pairs(map, other))
    if window % 2 == 0 or not 3 <= window <= min(first.shape[1:]):
        raise BadSetting(f"a window is an odd number of values from 3 to {min(first.shape[1:])}; got {window}.")
    values = []
    for one, two in zip(first.numpy(), second.numpy(), strict=True):
        reach = max(one.max(), two.max()) - min(one.min(), two.min())
        values.append(structural_similarity(one, two, win_size=window, data_range=reach) if reach > 0 else 0.0)
    return torch.tensor(values, dtype=torch.float64).masked_fill(flat(first) | flat(second), 0.0)


def hog_correlation(map: Maps, other: Maps, *, cell: int = 8) -> Float[Tensor, " batch"]:
    """Pearson's correlation of the maps' histograms of oriented gradients (Dalal and Triggs 2005), nine directions.

    Each value becomes a cell of `cell` x `cell` pixels by bilinear interpolation. A flat map is like no other: 0.
    Errors: ShapeMismatch, NotANumber.

    Notes
    -----
    Of maps over the root of their second moment, for HOG adds a constant to its norms that tiny maps would drown in.
    Meant for maps of patches: bring a map of pixels `on_grid` first.
    """
    features = []
    for each in _pairs(map, other):
        size = tuple(side * cell for side in each.shape[1:])
        large = upsample(second_moment(each), size).double().numpy()
        shape = {"pixels_per_cell": (cell, cell), "cells_per_block": (1, 1), "orientations": 9}
        features.append(np.stack([hog(one, **shape) for one in large]))
    return _correlation(*_tensors(features))


def top_overlap(map: Maps, other: Maps, *, fraction: float = 0.2) -> Float[Tensor, " batch"]:
    """Share of the places with the highest values that two maps have in common; by chance it is `fraction`.

    Of equal values at the edge of the top, each counts by the chance that a fair draw among them takes it. Errors:
    ShapeMismatch, NotANumber, BadSetting.
    """
    if not 0 < fraction < 1:
        raise BadSetting(f"fraction is a share of the places, between 0 and 1; got {fraction}.")
    first, second = (each.flatten(1) for each in _pairs(map, other))
    count = max(1, round(fraction * first.shape[1]))
    return (_taken(first, count) * _taken(second, count)).sum(1) / count


SIMILARITIES: Mapping[str, Callable[[Maps, Maps], Float[Tensor, " batch"]]] = MappingProxyType(
    {
        "spearman": spearman,
        "spearman of absolute values": lambda map, other: spearman(map, other, absolute=True),
        "ssim": ssim,
        "hog": hog_correlation,
        "top_overlap": top_overlap,
    }
)


def flat(map: Maps) -> Bool[Tensor, " batch"]:
    """Maps whose values are all equal, up to the rounding of their number type."""
    low, high = map.amin((1, 2)), map.amax((1, 2))
    return high - low <= 1e-12 * torch.maximum(high.abs(), low.abs())


def on_grid(map: Maps, grid: tuple[int, int]) -> Maps:
    """Maps of pixels as maps of patches, each the mean of its pixels; maps of patches as they are."""
    return F.adaptive_avg_pool2d(map[:, None].double().cpu(), grid)[:, 0]


def _tensors(arrays: list[np.ndarray]) -> list[Tensor]:
    """Arrays as tensors of float64."""
    return [torch.as_tensor(np.asarray(each, dtype=np.float64)) for each in arrays]


def _taken(values: Float[Tensor, "batch place"], count: int) -> Float[Tensor, "batch place"]:
    """How likely each place is among the `count` highest ones."""
    edge = values.sort(dim=1, descending=True).values[:, count - 1 : count]
    above, equal = (values > edge).double(), (values == edge).double()
    return above + equal * (count - above.sum(1, keepdim=True)) / equal.sum(1, keepdim=True)


def _correlation(first: Float[Tensor, "batch value"], second: Float[Tensor, "batch value"]) -> Float[Tensor, " batch"]:
    """Pearson's correlation of each row; 0 where a row does not vary."""
    first, second = (each - each.mean(1, keepdim=True) for each in (first, second))
    norms = first.norm(dim=1) * second.norm(dim=1)
    still = norms <= 1e-12 * first.shape[1]
    return ((first * second).sum(1) / torch.where(still, torch.ones_like(norms), norms)).masked_fill(still, 0.0)


def _pairs(map: Maps, other: Maps) -> tuple[Maps, Maps]:
    if map.ndim != 3 or map.shape != other.shape:
        raise ShapeMismatch(
            f"two batches of maps of one shape [batch, rows, columns] were expected; got {list(map.shape)} and "
            f"{list(other.shape)}: bring both `on_grid` of patches first."
        )
    first, second = (each.detach().cpu().double() for each in (map, other))
    if not bool(torch.isfinite(first).all() and torch.isfinite(second).all()):
        raise NotANumber("a map holds NaN or infinity: look at the method that made it.")
    return first, second
