"""Fresh test scenes for the one chosen candidate: of the kinds of the test splits, from seeds that nothing has used.

The seed comes from the weights that are judged, so nobody picks it, and other weights meet other scenes: a second
reading on new weights is not a second look at the same pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import numpy as np

from mmel.scenes import Scene
from mmel.scenes.sampling import crowded_scene, two_object_scene
from mmel.scenes.splits import digest

FRESH, REHEARSAL = 700, 701  # first number of a seed: splits have 1 to 6, training 999 and all from 1000 on
KINDS = ("two_objects", "crowded")
COUNT = 64  # scenes of each kind


def draw_of(weights: Mapping[str, str]) -> int:
    """The second number of the seed: 32 bits of the hash of the models' hashes."""
    return int(sha256("".join(weights[name] for name in sorted(weights)).encode()).hexdigest()[:8], 16)


def fresh_scenes(kind: str, count: int, weights: Mapping[str, str], first: int = FRESH) -> list[Scene]:
    """Scenes of one kind; of `crowded` as many of each number of objects, from 1 to 16."""
    made = []
    for index in range(count):
        rng = np.random.default_rng([first, draw_of(weights), KINDS.index(kind), index])
        key = f"fresh-{kind}/{index:04d}"
        made.append(two_object_scene(rng, key) if kind == "two_objects" else
                    crowded_scene(rng, 1 + index * 16 // count, key))  # fmt: skip
    return made


def hash_of(scenes: list[Scene]) -> str:
    """A hash over the digests of scenes, in order."""
    return sha256(",".join(str(digest(scene)) for scene in scenes).encode()).hexdigest()
