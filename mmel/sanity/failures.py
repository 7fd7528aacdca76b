"""Sec. 4.7, error analysis: what is wrong with a map, decided by the exact masks of everything in the picture."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import BadSetting, ShapeMismatch
from ..maps import upsample
from ..metrics import multi_object_recall

KINDS = ("right", "wrong object", "background", "missed relation", "spread")
SPREAD = 0.25  # share of the picture


def spread_of(map: Float[Tensor, "rows columns"], size: tuple[int, int]) -> float:
    """The smallest share of the picture that holds half of the map's positive mass; 0.5 for a flat map.

    Of the map raised to `size`. A map without positive values scores 1: it points nowhere.
    """
    values = upsample(map[None].clamp(min=0), size).double().flatten()
    falling = values.sort(descending=True).values.cumsum(0)
    if not falling[-1] > 0:
        return 1.0
    return int((falling < falling[-1] / 2).sum() + 1) / len(values)


def failure(
    map: Float[Tensor, "rows columns"],
    masks: Bool[Tensor, "object height width"],
    named: Sequence[int],
    *,
    spread: float = SPREAD,
) -> str:
    """Which of `KINDS` a map of one picture is, by the first of these rules that holds.

    `masks`: visible pixels of every object; `named`: those that the text names.

    "wrong object": the map's highest pixel lies on an object that is not named; "background": on no object at all;
    "missed relation": it lies on a named object, but of several named ones one is not found (the map's mean in its
    mask is not above the picture's mean, `multi_object_recall`); "spread": half of the map's mass takes more than the
    share `spread` of the picture; else "right". A flat map has no highest pixel and is "spread". Errors:
    ShapeMismatch, BadSetting.
    """
    if not 0 < spread <= 1:
        raise BadSetting(f"spread is a share of the picture, in (0, 1]; got {spread}.")
    masks = torch.as_tensor(masks)
    if masks.ndim != 3 or not len(named) or not all(0 <= index < len(masks) for index in named):
        raise ShapeMismatch(f"masks [object, height, width], and numbers of some of them, were expected; got {named}.")
    map = map.detach().cpu().double()
    if not map.max() > map.min():
        return "spread"
    size = tuple(masks.shape[1:])
    peak = int(upsample(map[None], size)[0].argmax())
    under = masks.flatten(1)[:, peak]
    if not under[list(named)].any():
        return "wrong object" if under.any() else "background"
    if len(named) > 1 and multi_object_recall(map, masks[list(named)]) < 1:
        return "missed relation"
    return "spread" if spread_of(map, size) > spread else "right"
