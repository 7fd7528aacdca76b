"""The splits of the bundled world, from seeds that never meet, with a digest of every scene.

`train` has no end and no digests. `figures` holds the scenes of the paper's Figures 2 to 6, rebuilt by hand.
"""

from __future__ import annotations

import json
import warnings
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..errors import MmelWarning, SceneError, UnknownName
from . import sampling
from .figures import FIGURES
from .objects import NAMES
from .scene import Scene

_SEEDS = {"validation": 1, "classes": 2, "pairs": 3, "retrieval": 4, "crowded": 5, "two_objects": 6}  # below 1000
_TRAIN = 1000  # `training.Stream` uses [1000 + seed, index]
CROWD = 40  # scenes of each number of objects in `crowded`


def _validation(rng: np.random.Generator, index: int, key: str) -> Scene:
    return (sampling.class_scene if index % 2 else sampling.pair_scene)(rng, key)


def _classes(rng: np.random.Generator, index: int, key: str) -> Scene:
    return sampling.class_scene(rng, key, index % len(NAMES))


def _pairs(rng: np.random.Generator, index: int, key: str) -> Scene:
    return sampling.pair_scene(rng, key)


def _retrieval(rng: np.random.Generator, index: int, key: str) -> Scene:
    return sampling.retrieval_scene(rng, key)


def _crowded(rng: np.random.Generator, index: int, key: str) -> Scene:
    return sampling.crowded_scene(rng, 1 + index // CROWD, key)


def _two(rng: np.random.Generator, index: int, key: str) -> Scene:
    return sampling.two_object_scene(rng, key)


_MAKERS: dict[str, tuple[Callable[[np.random.Generator, int, str], Scene], int]] = {
    "validation": (_validation, 500),
    "classes": (_classes, 1000),
    "pairs": (_pairs, 1000),
    "retrieval": (_retrieval, 500),
    "crowded": (_crowded, 16 * CROWD),
    "two_objects": (_two, 500),
}
SPLITS = (*_MAKERS, "figures")


def digest(scene: Scene) -> int:
    """CRC-32 of the picture's bytes and the captions: what "the same scene" means here."""
    words = "\n".join(caption.text for caption in scene.captions)
    return zlib.crc32(words.encode(), zlib.crc32(scene.image.tobytes()))


@lru_cache(maxsize=1)
def _digests() -> dict[str, list[int]]:
    return json.loads(files(__package__).joinpath("digests.json").read_text())


class Split(Sequence):
    """Scenes of a split, made when they are asked for and compared with their digest.

    Under the lock the same index gives the same bytes. Other versions of Pillow or NumPy, or another processor, may
    round a pixel differently: then a warning says so once, and the numbers of the book hold only nearly.
    """

    def __init__(self, name: str, make: Callable[[int], Scene], indices: range):
        self.name, self._make, self._indices = name, make, indices
        self._kept: dict[int, Scene] = {}

    def __len__(self) -> int:
        return len(self._indices)

    def __repr__(self) -> str:
        return f"Split({self.name!r}, {len(self)} scenes, {self.hash[:12]})"

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Split(self.name, self._make, self._indices[index])
        position = self._indices[index]
        if position not in self._kept:
            scene = self._kept[position] = self._make(position)
            if digest(scene) != _digests()[self.name][position]:
                warnings.warn(
                    f"scene {position} of {self.name!r} differs from its pinned digest: numbers will differ a little "
                    "from the book's; install the versions of requirements.lock for the same bytes",
                    MmelWarning,
                    stacklevel=2,
                )
        return self._kept[position]

    @property
    def hash(self) -> str:
        """SHA-256 over the pinned digests of these scenes."""
        return sha256(json.dumps([_digests()[self.name][i] for i in self._indices]).encode()).hexdigest()

    def verify(self) -> None:
        """Make every scene and raise `SceneError` if one differs from its digest."""
        wrong = [i for i in self._indices if digest(self._make(i)) != _digests()[self.name][i]]
        if wrong:
            raise SceneError(
                f"{len(wrong)} of {len(self)} scenes of {self.name!r} differ from their digests, first {wrong[0]}: "
                "install the versions of requirements.lock, or take the numbers as your own"
            )


def _maker(name: str) -> Callable[[int], Scene]:
    make = _MAKERS[name][0]
    return lambda index: make(np.random.default_rng([_SEEDS[name], index]), index, f"{name}/{index:04d}")


def split(name: str, count: int | None = None) -> Split:
    """A split of the bundled world: `validation` (500), `classes` (1,000 of one main object, the label is
    `NAMES.index(scene.objects[0].name)`), `pairs` (1,000, one caption), `retrieval` (500, five captions), `crowded`
    (40 scenes of each number of objects from 1 to 16), `two_objects` (500, for pointing and erasing) or `figures`.
    `count` takes the first so many.
    """
    if name == "figures":
        return Split(name, lambda index: FIGURES[index], range(len(FIGURES)))[:count]
    if name not in _MAKERS:
        raise UnknownName("split", name, SPLITS, "`train_scene(seed, index)` makes training scenes without end.")
    return Split(name, _maker(name), range(_MAKERS[name][1]))[:count]


def train_scene(seed: int, index: int) -> Scene:
    """Scene `index` of the endless training split of a model seed."""
    return sampling.train_scene(np.random.default_rng([_TRAIN + seed, index]), f"train-{seed}/{index}")


def pin() -> str:
    """The digests of all splits as JSON: what `digests.json` must hold (`python -m mmel.scenes.splits` writes it)."""
    made = {name: [digest(_maker(name)(i)) for i in range(_MAKERS[name][1])] for name in _MAKERS}
    return json.dumps(made | {"figures": [digest(scene) for scene in FIGURES]}, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    path = Path(str(files(__package__))) / "digests.json"
    path.with_suffix(".tmp").write_text(pin())
    path.with_suffix(".tmp").replace(path)
