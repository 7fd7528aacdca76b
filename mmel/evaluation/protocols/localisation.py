"""Does a map point at what is asked for, and does a caption's map find all that is named? Exact masks decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...clip import Clip, embed_text
from ...errors import DatasetError
from ...types import Window
from ..protocol import Measurement, Row
from .checking import NEEDS, check_data, name_of
from .finding import Named, judged_maps, named_by, objects_found, questions_of
from .making import image_maps
from .scoring import class_embeds
from .seeing import cropped


class Asked(NamedTuple):
    """What asks for each thing by its name."""

    embeds: Float[Tensor, "class embed"]
    places: dict[str, int]


@dataclass(frozen=True)
class Localisation:
    """One map for each thing in the picture, judged on its mask, and one for the caption, judged on all of them.

    Masks are cut to what the model sees of the picture, where the map lies, and the map is raised to their size. A
    thing of which the model sees no pixel is not asked for, and does not count as one to be found.
    """

    name: str = "localisation"
    wants_pixels = True  # of each sample, made once for all rows

    def prepare(self, clip: Clip, data) -> Asked:
        """The class ensembles of the dataset, which ask for things by name."""
        if getattr(data, "prompts", None) is None or getattr(data, "classes", None) is None:
            take = NEEDS["masks"].take
            raise DatasetError(f"localisation asks for classes by name, and {name_of(data)} has none: {take}.")
        check_data("localisation", data)
        return Asked(class_embeds(clip, data.prompts), {name: place for place, name in enumerate(data.classes)})

    def measure(self, clip: Clip, state: Asked, example, row: Row, seed: int) -> Iterator[Measurement]:
        """The localisation scores of one picture; objects in a relation only where a caption of the world has one."""
        pixels, window = cropped(clip, example)
        masks = questions_of(example.masks or {}, window)
        names = [name for name in masks if name in state.places]
        if not names:
            raise DatasetError(f"{example.key} has no mask of a known class that the model sees, to localise.")
        asked = state.embeds[[state.places[name] for name in names]]
        named = _spoken(example, masks, window)
        embeds = torch.cat([asked, embed_text(clip, named[0]).detach()]) if named else asked
        maps = image_maps(clip, row, pixels.expand(len(embeds), -1, -1, -1), embeds, seed).cpu()
        found = judged_maps(maps[: len(names)], torch.stack([masks[name] for name in names]))
        if named:
            found |= objects_found(maps[-1], named[1])
        for metric, value in found.items():
            yield Measurement("image", metric, value, [])


def _spoken(example, masks, window: Window) -> tuple[str, Named] | None:
    """A caption and what it names: exactly, in the bundled world, where one with a relation comes first."""
    scene = getattr(example, "scene", None)
    if scene is not None and scene.captions:
        related = [each for each in scene.captions if any(word.role == "relation" for word in each.words)]
        caption = (related or scene.captions)[0]
        return caption.text, named_by(scene, caption, window)
    if not example.captions:
        return None
    return example.captions[0], Named([mask.numpy() for mask in masks.values()], [])
