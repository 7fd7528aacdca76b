"""Does a map point at what the text names? Maps against the exact masks of objects."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .. import maps
from ..errors import ShapeMismatch
from .checks import batch_of_maps, batch_of_masks, share

ROUNDING = 1e-9  # how far above a mean counts as above it, in a map from 0 to 1


class SegmentationScores(NamedTuple):
    """A map, cut at its mean, as a segmentation: each score [batch], from 0 to 1, higher is better."""

    pixel_accuracy: Float[Tensor, " batch"]
    iou: Float[Tensor, " batch"]
    mean_iou: Float[Tensor, " batch"]
    average_precision: Float[Tensor, " batch"]


def pointing_game(map, mask) -> Float[Tensor, " batch"]:
    """1 where the map's highest pixel lies in the mask, else 0.

    `map`: [batch, rows, columns], bilinearly upsampled to the size of `mask`: booleans [batch, height, width]; both
    may lack the batch axis. Errors: ShapeMismatch, NotANumber, EmptyMask.

    Notes
    -----
    Of several highest pixels, the share that lies in the mask counts: what a fair draw among them gives on average,
    so that a flat map scores the mask's area and not whatever lies in the first corner. No margin around the mask.
    """
    map, mask = _matched(map, mask)
    highest = (map == map.amax((1, 2), keepdim=True)).double()  # batch height width
    return (highest * mask).sum((1, 2)) / highest.sum((1, 2))


def energy_pointing_game(map, mask) -> Float[Tensor, " batch"]:
    r"""Share of the map's positive mass that lies in the mask: $\sum_{i \in M} E_i^+ / \sum_i E_i^+$.

    Arguments and errors as of `pointing_game`. Wang et al. 2020 (Score-CAM, arXiv 1910.01279), with exact masks for
    boxes.

    Notes
    -----
    Negative values are cut off before the map is upsampled. A map without positive values scores 0.
    """
    map, mask = _matched(batch_of_maps(map).clamp(min=0), mask)
    map = map / map.amax((1, 2), keepdim=True).clamp(min=torch.finfo(map.dtype).tiny)  # tiny values would underflow
    total = map.sum((1, 2))
    return (map * mask).sum((1, 2)) / torch.where(total > 0, total, torch.ones_like(total))


def segmentation_scores(map, mask) -> SegmentationScores:
    """The min-maxed map, cut at its mean, against the mask: imagenet_seg_eval.py of Transformer-Explainability.

    Arguments and errors as of `pointing_game`. `iou` is that of the object, `mean_iou` the mean with that of the
    background; `average_precision` ranks the values of map and 1 - map together, as that code does.

    Notes
    -----
    Each score is of one picture, so that it has an interval; the official code adds up the pixels of the whole
    dataset before it divides.
    """
    map, mask = _matched(map, mask)
    map = maps.normalize(map)
    found = map > map.mean((1, 2), keepdim=True) + ROUNDING
    iou, background = _iou(found, mask), _iou(~found, ~mask)
    values = torch.cat([1 - map.flatten(1), map.flatten(1)], 1)
    labels = torch.cat([~mask.flatten(1), mask.flatten(1)], 1)
    precision = torch.stack([average_precision(v, label) for v, label in zip(values, labels, strict=True)])
    return SegmentationScores((found == mask).double().mean((1, 2)), iou, (iou + background) / 2, precision)


def average_precision(values: Float[Tensor, " item"], labels: Bool[Tensor, " item"]) -> Float[Tensor, ""]:
    r"""$\sum_n (R_n - R_{n-1})\,P_n$ over the distinct values as thresholds, the highest first."""
    values, place = values.sort(descending=True)
    right = labels[place].double().cumsum(0)
    last = torch.cat([values.diff() != 0, labels.new_ones(1)])  # of each group of equal values
    precision = right[last] / torch.arange(1, len(values) + 1, device=values.device)[last]
    recall = right[last] / right[-1]
    return (torch.diff(recall, prepend=recall.new_zeros(1)) * precision).sum()


def multi_object_recall(map, masks, *, top: float | None = None) -> Float[Tensor, " batch"]:
    """Share of the objects that the map finds: all that the text names, or the most salient one only?

    `map`: [batch, rows, columns] with, for each picture, masks [object, height, width] (a list, for pictures have
    different numbers of objects); or one map [rows, columns] and its masks [object, height, width]. An object is
    found when the map's mean in its mask lies above the picture's mean; with `top`, when one of the `top` share of
    the pixels with the highest values lies in its mask. Errors: ShapeMismatch, NotANumber, EmptyMask, BadSetting.

    Notes
    -----
    Not in the paper: a number for its claim that MMEL finds all objects where Grad-ECLIP finds the dominant one.
    """
    groups = [masks] if getattr(map, "ndim", 0) == 2 else list(masks)
    map = batch_of_maps(map)
    if len(groups) != len(map):
        raise ShapeMismatch(f"{len(map)} maps need {len(map)} groups of masks, but {len(groups)} came: one a picture.")
    return torch.stack([_found(each[None], group, top).mean() for each, group in zip(map, groups, strict=True)])


def _found(map: Float[Tensor, "1 rows columns"], masks, top: float | None) -> Float[Tensor, " object"]:
    """1 for each object of one picture that the map finds, else 0."""
    if not len(masks):
        raise ShapeMismatch("a picture without objects has nothing to find: leave it out.")
    masks = torch.stack([batch_of_masks(mask, 1)[0] for mask in masks]).to(map.device)  # object height width
    map, _ = _matched(map, masks[:1])
    if top is not None:
        return (masks & maps.top_fraction(map, share("top", top))).flatten(1).any(1).double()
    map = maps.normalize(map)
    inside = (map * masks).sum((1, 2)) / masks.sum((1, 2))
    return (inside > map.mean() + ROUNDING).double()


def _matched(map, mask) -> tuple[Float[Tensor, "batch height width"], Bool[Tensor, "batch height width"]]:
    """Maps in double precision at the size of their masks."""
    map = batch_of_maps(map)
    mask = batch_of_masks(mask, len(map)).to(map.device)
    size = tuple(mask.shape[1:])
    return (map if tuple(map.shape[1:]) == size else maps.upsample(map, size)).double(), mask


def _iou(found: Bool[Tensor, "batch height width"], mask: Bool[Tensor, "batch height width"]) -> Tensor:
    union = (found | mask).sum((1, 2))
    return (found & mask).sum((1, 2)).double() / union.clamp(min=1)
