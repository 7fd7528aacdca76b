"""The data check for CLIP: explain the same pictures with a text that is wrong, or with none at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadSetting, ShapeMismatch
from ..methods.parts.perturb import at_least, seeded


def strangers(kinds: Sequence[Sequence[str]]) -> list[int]:
    """For each scene another one that shares none of its kinds of objects: the next such, after the last the first.

    `kinds`: the names of the objects of each scene. Raises `BadSetting` where a scene has no stranger.
    """
    sets, found = [set(each) for each in kinds], []
    for index, own in enumerate(sets):
        others = (place % len(sets) for place in range(index + 1, index + len(sets)))
        other = next((place for place in others if not own & sets[place]), None)
        if other is None:
            raise BadSetting(f"scene {index} shares objects with every other one: take more scenes.")
        found.append(other)
    return found


def random_texts(count: int, width: int, *, seed: int = 0) -> Float[Tensor, "count width"]:
    """Unit vectors, uniform on the sphere: text embeddings that no text has."""
    drawn = [torch.randn(width, generator=seeded(seed, f"text {i}")) for i in range(at_least("count", count))]
    return torch.nn.functional.normalize(torch.stack(drawn), dim=-1)


def distance(map: Float[Tensor, "batch ..."], other: Float[Tensor, "batch ..."]) -> Float[Tensor, " batch"]:
    r"""$\lVert E - E' \rVert / \lVert E \rVert$ of each pair of maps: how far a map has moved, as a share of its size.

    0 for a map of zeros that has not moved.
    """
    if map.shape != other.shape:
        raise ShapeMismatch(f"maps of one shape were expected; got {list(map.shape)} and {list(other.shape)}.")
    first, second = (each.detach().cpu().double().flatten(1) for each in (map, other))
    moved, size = (first - second).norm(dim=1), first.norm(dim=1)
    return torch.where(moved > 0, moved / size, torch.zeros_like(moved))
