"""Image maps against exact masks: of the thing that a text asks for, and of all things that a caption names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...metrics import energy_pointing_game, multi_object_recall, pointing_game, segmentation_scores
from ...types import Window

SCORES = ("pixel_accuracy", "mean_iou", "average_precision")


class Named(NamedTuple):
    """What a caption speaks of: masks of the things it names, and of those of them that stand in a relation."""

    masks: Sequence[Bool[np.ndarray, "rows columns"]]
    related: Sequence[Bool[np.ndarray, "rows columns"]]


def judged_maps(
    maps: Float[Tensor, "question rows columns"], masks: Bool[Tensor, "question height width"]
) -> dict[str, float]:
    """Each localisation score, the mean over the questions about one picture."""
    cut = segmentation_scores(maps, masks)
    found = {"pointing_game": pointing_game(maps, masks), "energy_pointing_game": energy_pointing_game(maps, masks)}
    found |= {name: getattr(cut, name) for name in SCORES}
    return {name: float(value.mean()) for name, value in found.items()}


def objects_found(map: Float[Tensor, "rows columns"], named: Named) -> dict[str, float]:
    """Shares of the objects whose mean map value lies above the picture's: all that are named, those in a relation."""
    found = {"multi_object_recall": named.masks, "multi_object_recall related": named.related}
    return {name: float(multi_object_recall(map, list(masks))[0]) for name, masks in found.items() if len(masks)}


def named_by(scene, caption, window: Window | None = None) -> Named:
    """Masks of the objects that a scene's caption names and the model sees, and of those in one of its relations."""
    objects = sorted({index for word in caption.words if word.role in ("object", "count") for index in word.objects})
    related = sorted({index for word in caption.words if word.role == "relation" for index in word.objects})
    cut = [[_cut(scene.masks[index], window) for index in some] for some in (objects, related)]
    return Named(*([mask for mask in some if mask.any()] for some in cut))


def questions_of(masks, window: Window | None = None) -> dict[str, Bool[Tensor, "rows columns"]]:
    """Name -> mask of each thing of a sample that can be seen, cut to `window`: what the model sees of the picture."""
    cut = {name: _cut(np.asarray(mask, bool), window) for name, mask in masks.items()}
    return {name: torch.from_numpy(mask.copy()) for name, mask in cut.items() if mask.any()}


def _cut(mask: Bool[np.ndarray, "rows columns"], window: Window | None) -> Bool[np.ndarray, "height width"]:
    return mask if window is None else window.cut(mask)
