"""The protocol swaps: the data check of Adebayo et al. 2018 for a CLIP. Another text should give another map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...clip import Clip, embed_text
from ...errors import DatasetError, FlatMap
from ...methods.parts import grid_of
from ...sanity.likeness import flat, on_grid, spearman
from ...sanity.swaps import random_texts, strangers
from ...types import Pairs
from ..protocol import FATAL, Measurement, Row
from .checking import check_protocol
from .making import image_maps
from .scoring import pixels_of

MANY = 256  # captions in one pass
SWAPS = ("another caption", "a random vector")


@dataclass(frozen=True)
class Swaps:
    """Rank correlation of a picture's map for its caption with that for a stranger's, and for a random direction.

    A stranger is the next sample that shares no masked thing with this one; without masks, the next sample. Strangers
    come from all of a dataset, however few of its samples are evaluated, but for pictures that cannot be read where it
    has masks.
    """

    random: int = 0  # seed of the random directions
    name: str = "swaps"
    wants_pixels = True  # of each sample, made once for all rows
    wants_all = True

    def __post_init__(self) -> None:
        check_protocol(self)

    def prepare(self, clip: Clip, data) -> dict[str, Float[Tensor, "3 embed"]]:
        """Sample -> its own caption, that of its stranger, and a random direction, embedded."""
        keys, told = data.keys, data.captions
        if bare := [key for key, captions in zip(keys, told, strict=True) if not captions]:
            raise DatasetError(f"a map for another caption needs captions, and {bare[0]} has none.")
        texts = [captions[0] for captions in told]
        embeds = torch.cat([embed_text(clip, texts[at : at + MANY]).detach() for at in range(0, len(texts), MANY)])
        things, drawn = _things(data, keys), random_texts(len(embeds), embeds.shape[1], seed=self.random).to(embeds)
        own = list(things)
        others = [own[place] for place in strangers(list(things.values()))]
        made = torch.stack([embeds[own], embeds[others], drawn[own]], 1)
        return {keys[place]: each for place, each in zip(own, made, strict=True)}

    def measure(self, clip: Clip, state, example, row: Row, seed: int) -> Iterator[Measurement]:
        """One number a swap; a flat map has no order to keep."""
        if example.key not in state:
            raise DatasetError(f"{example.key} could not be read when captions were chosen: evaluate it again.")
        pixels, texts = pixels_of(clip, example).expand(3, -1, -1, -1), state[example.key]
        made = on_grid(image_maps(clip, row, pixels, texts, seed), grid_of(clip, Pairs(pixels, None, texts)))
        if flat(made[:1]).item():
            raise FlatMap("the map for the picture's own caption is flat: no other can be like it.")
        for name, value in zip(SWAPS, spearman(made[:1].expand(2, -1, -1), made[1:]).tolist(), strict=True):
            yield Measurement("image", f"spearman {name}", value)


def _things(data, keys: Sequence[str]) -> dict[int, list[str]]:
    """Place -> what is masked in a sample, or its name. Only pictures that are read say it, of a dataset with masks."""
    found = {}
    for place, key in enumerate(keys):
        try:
            masks = data[place].masks
        except FATAL:
            raise
        except Exception:  # it is left out, and fails by itself
            continue
        if masks is None and not found:  # nor do the others have any
            return {each: [name] for each, name in enumerate(keys)}
        found[place] = list(masks or [key])
    return found
