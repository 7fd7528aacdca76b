"""The bundled world as datasets: `scenes/classes`, `scenes/pairs` and the other splits of `mmel.scenes`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import UnknownName
from ..scenes import NAMES, SPLITS, TEMPLATES, Scene, class_prompts, split
from ..types import Example
from .dataset import Dataset

PREFIX = "scenes/"
LABELLED = ("classes",)  # splits of one main object, whose name is the label


@dataclass(frozen=True)
class SceneRecord:
    """A scene by its split and number; it is made anew each time, so that memory does not grow with the samples."""

    split: str
    index: int

    @property
    def _made(self) -> Scene:
        return split(self.split)[self.index : self.index + 1][0]

    @cached_property
    def _plain(self) -> tuple[str, int | None, tuple[str, ...]]:
        scene = self._made
        label = NAMES.index(scene.plan.objects[0].name) if self.split in LABELLED else None
        return scene.key, label, tuple(caption.text for caption in scene.captions)

    @property
    def key(self) -> str:
        return self._plain[0]

    @property
    def label(self) -> int | None:
        return self._plain[1]

    @property
    def captions(self) -> tuple[str, ...]:
        return self._plain[2]

    def identity(self) -> list:
        """The hash of the scene's pinned digest, so that nothing is drawn."""
        return [self.split, self.index, split(self.split)[self.index : self.index + 1].hash]

    def example(self) -> Example:
        scene = self._made
        masks: dict[str, np.ndarray] = {}
        for thing, mask in zip(scene.objects, scene.masks, strict=True):
            masks[thing.name] = masks[thing.name] | mask if thing.name in masks else mask
        key, label, captions = self._plain
        return Example(key, scene.image, captions, label, masks, scene)


def open_world(name: str) -> Dataset:
    """A split of the bundled world by its name after `scenes/`."""
    chosen = name.removeprefix(PREFIX)
    if chosen not in SPLITS:
        raise UnknownName("dataset", name, [PREFIX + each for each in SPLITS])
    records = tuple(SceneRecord(chosen, index) for index in range(len(split(chosen))))
    return Dataset(name, records, NAMES, TEMPLATES, class_prompts())
