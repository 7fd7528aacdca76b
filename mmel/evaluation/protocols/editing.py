"""Many curves of one picture, embedded together: what they share (the whole picture, an empty one) only once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ...clip import Clip
from ...metrics import Edits, deletion_edits, insertion_edits
from .scoring import AT_ONCE, embed_pictures

EDITS = {"deletion": deletion_edits, "insertion": insertion_edits}


class Ask(NamedTuple):
    """One curve that is asked for: `settings` are those of `mmel.metrics.deletion_curve`, `fill` by its name."""

    kind: str
    map: Float[Tensor, "rows columns"]
    settings: Mapping[str, object]
    seed: int = 0


class Embedded(NamedTuple):
    """The points of a curve as embeddings: any score can be read from them without the model."""

    fractions: Float[Tensor, " points"]
    embeds: Float[Tensor, "points embed"]


def embedded_curves(clip: Clip, image, asks: Sequence[Ask], *, path: str = "device") -> list[Embedded]:
    """The curves of one picture (PIL, RGB), in the order asked for.

    Pictures are made, and on `path="device"` prepared, on the model's device, and go through it some at a time
    whichever curve they belong to.
    """
    pixels = torch.from_numpy(np.array(image.convert("RGB"))).to(clip.device)  # rows columns 3
    made = [_edits(pixels, ask) for ask in asks]
    keys = [list(_keys(ask, edits)) for ask, edits in zip(asks, made, strict=True)]
    found = _embedded(clip, _first_of_each(made, keys), path)
    pairs = zip(made, keys, strict=True)
    return [Embedded(edits.fractions, torch.stack([found[key] for key in own])) for edits, own in pairs]


def _edits(pixels: UInt8[Tensor, "rows columns 3"], ask: Ask) -> Edits:
    return EDITS[ask.kind](pixels, ask.map, **ask.settings, seed=ask.seed)


def _keys(ask: Ask, edits: Edits) -> Iterable[tuple]:
    """What each point shows: equal keys are the same picture."""
    fill = ask.settings["fill"]
    fill = fill[ask.kind] if isinstance(fill, Mapping) else fill
    for point, share in enumerate(edits.fractions.tolist()):
        gone = share if ask.kind == "deletion" else 1 - share
        if gone == 0:
            yield ("whole",)
        elif gone == 1 and fill != "noise":  # noise is drawn in the order of editing
            yield ("empty", fill)
        else:
            yield (id(edits), point)


def _first_of_each(made: Sequence[Edits], keys: Sequence[Sequence[tuple]]) -> Iterable[tuple[tuple, Tensor]]:
    seen = set()
    for edits, own in zip(made, keys, strict=True):
        new = [point for point, key in enumerate(own) if not (key in seen or seen.add(key))]
        if new:
            pictures = edits[torch.tensor(new)]
            yield from ((own[point], picture) for point, picture in zip(new, pictures, strict=True))


def _embedded(clip: Clip, pictures: Iterable[tuple[tuple, Tensor]], path: str) -> dict[tuple, Tensor]:
    """Key -> embedding, at most `AT_ONCE` pictures in memory."""
    found, waiting = {}, []
    for pair in pictures:
        waiting.append(pair)
        if len(waiting) == AT_ONCE:
            found |= _flushed(clip, waiting, path)
            waiting = []
    return found | _flushed(clip, waiting, path)


def _flushed(clip: Clip, waiting: Sequence[tuple[tuple, Tensor]], path: str) -> dict[tuple, Tensor]:
    if not waiting:
        return {}
    embeds = embed_pictures(clip, torch.stack([picture for _, picture in waiting]), path)
    return dict(zip([key for key, _ in waiting], embeds, strict=True))
