"""Many curves of one picture, embedded together: what they share (the whole picture, an empty one) only once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ...clip import Clip
from ...metrics import Edits, deletion_edits, insertion_edits
from ...metrics.canvas import sent
from ...types import Window
from .scoring import embed_pixels, ready

EDITS = {"deletion": deletion_edits, "insertion": insertion_edits}


class Ask(NamedTuple):
    """One curve that is asked for: `settings` are those of `mmel.metrics.deletion_curve`, `fill` by its name.

    `window`: where on the picture the map lies; None: on all of it. `image`: the picture that is edited, where it is
    not the question's own.
    """

    kind: str
    map: Float[Tensor, "rows columns"]
    settings: Mapping[str, object]
    seed: int = 0
    window: Window | None = None
    image: object | None = None


class Question(NamedTuple):
    """All curves of one picture (PIL, RGB), and what is made of them."""

    image: object
    asks: Sequence[Ask]
    read: Callable[[Sequence[Embedded]], Iterator] = iter


class Embedded(NamedTuple):
    """The points of a curve as embeddings, on the model's device: any score can be read from them without the model."""

    fractions: Float[Tensor, " points"]
    embeds: Float[Tensor, "points embed"]


def embedded_curves(clip: Clip, image, asks: Sequence[Ask], *, path: str = "device") -> list[Embedded]:
    """The curves of one picture (PIL, RGB), in the order asked for.

    Pictures are made, and on `path="device"` prepared, on the model's device, and go through it some at a time
    whichever curve they belong to. Where the maps come from the CPU, nothing in here waits for a GPU.
    """
    return embedded_together(clip, [Question(image, asks)], path=path)[0]


@torch.no_grad()
def embedded_together(clip: Clip, asked: Sequence[Question], *, path: str = "device") -> list[list[Embedded]]:
    """The curves of several pictures, which share the passes: a list for each picture."""
    made, keys = [], []
    for place, one in enumerate(asked):
        images = {id(each): each for each in (ask.image or one.image for ask in one.asks)}
        pixels = {at: _pixels(clip, each) for at, each in images.items()}
        own = [id(ask.image or one.image) for ask in one.asks]
        made.append([_edits(pixels[at], ask) for at, ask in zip(own, one.asks, strict=True)])
        each = zip(own, one.asks, made[-1], strict=True)
        keys.append([[(place, at, *key) for key in _keys(ask, edits)] for at, ask, edits in each])
    pictures = (pair for pair in zip(made, keys, strict=True) for pair in _first_of_each(*pair))
    found = _embedded(clip, pictures, path)
    return [
        [Embedded(edits.fractions, torch.stack([found[key] for key in own])) for edits, own in zip(*pair, strict=True)]
        for pair in zip(made, keys, strict=True)
    ]


def cosines_of(
    curves: Sequence[Embedded], classes: Float[Tensor, "class embed"]
) -> list[Float[Tensor, "points class"]]:
    """The cosines of every point with every class, off the device: all curves in one transfer."""
    cosines = torch.cat([curve.embeds @ classes.T for curve in curves]).cpu()
    return list(cosines.split([len(curve.embeds) for curve in curves]))


def _pixels(clip: Clip, image) -> UInt8[Tensor, "rows columns 3"]:
    return sent(torch.from_numpy(np.array(image.convert("RGB"))), clip.device)


def _edits(pixels: UInt8[Tensor, "rows columns 3"], ask: Ask) -> Edits:
    return EDITS[ask.kind](pixels, ask.map, **ask.settings, seed=ask.seed, window=ask.window)


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
            yield from zip([own[point] for point in new], edits[torch.tensor(new)], strict=True)


def _embedded(clip: Clip, pictures: Iterable[tuple[tuple, Tensor]], path: str) -> dict[tuple, Tensor]:
    """Key -> embedding, at most `clip.scoring.batch` pictures in memory."""
    found, waiting = {}, []
    for pair in pictures:
        waiting.append(pair)
        if len(waiting) == clip.scoring.batch:
            found |= _flushed(clip, waiting, path)
            waiting = []
    return found | _flushed(clip, waiting, path)


def _flushed(clip: Clip, waiting: Sequence[tuple[tuple, Tensor]], path: str) -> dict[tuple, Tensor]:
    """One pass, of pictures that may have several sizes before they are made ready."""
    if not waiting:
        return {}
    alike = groupby((picture for _, picture in waiting), key=lambda picture: picture.shape)
    pixels = torch.cat([ready(clip, torch.stack(list(some)), path) for _, some in alike])
    return dict(zip([key for key, _ in waiting], embed_pixels(clip, pixels), strict=True))
