"""Scenes drawn at random: which objects, how large, where, over which background. One seed, one scene."""

from __future__ import annotations

import numpy as np

from .backgrounds import BACKGROUNDS, SIZE
from .captions import captions
from .objects import NAMES
from .scene import Placement, Plan, Scene

PLACES = tuple(BACKGROUNDS)
SIZES = {1: (30, 64), 2: (24, 48), 3: (22, 40), 4: (20, 36), 5: (18, 30)}  # pixels, by number of objects
CROWDED = (15, 24)  # the same for more objects than `SIZES` lists
MAIN, CLUTTER = (34, 58), (13, 19)  # sizes in `class_scene`
EDGE = 0.6  # both parameters of the Beta law of a position: below 1, so that the middle is no guess
MIDDLE = 0.7  # how often a position that covers the middle of the picture is drawn again


def _position(rng: np.random.Generator, size: float) -> tuple[float, float]:
    x, y = rng.beta(EDGE, EDGE, 2) * (SIZE - size) + size / 2
    return round(float(x), 1), round(float(y), 1)


def _overlap(x: float, y: float, size: float, other: Placement) -> float:
    """Share of the smaller of two squares that the other covers."""
    width = min(x + size / 2, other.x + other.size / 2) - max(x - size / 2, other.x - other.size / 2)
    height = min(y + size / 2, other.y + other.size / 2) - max(y - size / 2, other.y - other.size / 2)
    return max(0.0, width) * max(0.0, height) / min(size, other.size) ** 2


def _free(rng: np.random.Generator, size: float, taken: list[Placement], room: float) -> tuple[float, float]:
    """A position that covers at most `room` of what stands already, or the best of 24 tries."""
    best, least = (0.0, 0.0), np.inf
    for _ in range(24):
        x, y = _position(rng, size)
        middle = max(abs(x - SIZE / 2), abs(y - SIZE / 2)) < size / 2
        if middle and rng.random() < MIDDLE:
            continue
        overlap = max((_overlap(x, y, size, other) for other in taken), default=0.0)
        if overlap < least:
            best, least = (x, y), overlap
        if overlap <= room:
            break
    return best if least < np.inf else _position(rng, size)


def _near(rng: np.random.Generator, size: float, other: Placement) -> tuple[float, float]:
    """A position that covers a part of `other`, so that one is in front of the other."""
    turn, reach = rng.random() * 2 * np.pi, (0.25 + 0.2 * rng.random()) * (size + other.size)
    x, y = other.x + reach * np.cos(turn), other.y + reach * np.sin(turn)
    low, high = size / 2, SIZE - size / 2
    return round(float(np.clip(x, low, high)), 1), round(float(np.clip(y, low, high)), 1)


def place(rng: np.random.Generator, name: str, size: float, taken: list[Placement], behind: float = 0.0) -> Placement:
    """Put an object into a scene: at a free place, or with chance `behind` in front of the last one."""
    near = taken and rng.random() < behind
    x, y = _near(rng, size, taken[-1]) if near else _free(rng, size, taken, 0.12)
    light = 1 + rng.integers(-15, 16) / 100
    gains = tuple(round(float(light * (1 + shift / 100)), 3) for shift in rng.integers(-8, 9, 3))
    return Placement(name, x, y, round(float(size), 1), bool(rng.random() < 0.5), int(rng.integers(-14, 15)), gains)


def _plan(rng: np.random.Generator, placements: list[Placement]) -> Plan:
    background = PLACES[int(rng.integers(len(PLACES)))]
    return Plan(background, int(rng.integers(2**31)), tuple(placements))


def objects_plan(rng: np.random.Generator, count: int, *, twins: float = 0.12, behind: float = 0.3) -> Plan:
    """`count` objects; with chance `twins` the second is another of the first's kind, or the second and third are."""
    names = [NAMES[i] for i in rng.choice(len(NAMES), count, replace=False)]
    if count > 1 and rng.random() < twins:
        for copy in range(1, 3 if count > 2 and rng.random() < 0.4 else 2):
            names[copy] = names[0]
    low, high = SIZES.get(count, CROWDED)
    taken: list[Placement] = []
    for name in names:
        taken.append(place(rng, name, rng.uniform(low, high), taken, behind if count <= 4 else 0.0))
    return _plan(rng, taken)


def class_scene(rng: np.random.Generator, key: str = "", label: int | None = None) -> Scene:
    """One main object and none to three small ones of other kinds; the caption names the main one, object 0."""
    names = [NAMES[i] for i in rng.choice(len(NAMES), 4, replace=False)]
    if label is not None:
        names = [NAMES[label], *(name for name in names if name != NAMES[label])]
    taken = [place(rng, names[0], rng.uniform(*MAIN), [])]
    for name in names[1 : 1 + int(rng.choice(4, p=[0.35, 0.3, 0.2, 0.15]))]:
        taken.append(place(rng, name, rng.uniform(*CLUTTER), taken))
    scene = Scene(_plan(rng, taken), (), key)
    return Scene(scene.plan, captions(scene, rng, (0,), 1), key)


def pair_scene(rng: np.random.Generator, key: str = "") -> Scene:
    """One to four objects, all named, the background in six captions of ten."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.1, 0.45, 0.3, 0.15]))
    scene = Scene(objects_plan(rng, count), (), key)
    return Scene(scene.plan, captions(scene, rng, tuple(range(count)), 1, place=0.6), key)


def retrieval_scene(rng: np.random.Generator, key: str = "") -> Scene:
    """Two to four objects and five captions, as MS-COCO has them."""
    count = int(rng.choice([2, 3, 4], p=[0.4, 0.4, 0.2]))
    scene = Scene(objects_plan(rng, count), (), key)
    return Scene(scene.plan, captions(scene, rng, tuple(range(count)), 5, place=0.6), key)


def crowded_scene(rng: np.random.Generator, count: int, key: str = "", named: int = 4) -> Scene:
    """`count` objects, all different; the caption names up to `named` of them, the largest first to be chosen."""
    scene = Scene(objects_plan(rng, count, twins=0.0, behind=0.15), (), key)
    largest = sorted(range(count), key=lambda i: -scene.plan.objects[i].size)[:named]
    return Scene(scene.plan, captions(scene, rng, tuple(sorted(largest)), 1), key)


def simple_scene(rng: np.random.Generator, key: str = "") -> Scene:
    """One large object and its name: what the model learns first."""
    scene = Scene(_plan(rng, [place(rng, NAMES[int(rng.integers(len(NAMES)))], rng.uniform(44, 96), [])]), (), key)
    return Scene(scene.plan, captions(scene, rng, (0,), 1, place=0.25), key)


def train_scene(rng: np.random.Generator, key: str = "", ease: float = 0.0, single: float = 0.3) -> Scene:
    """What the model learns from: a share `single` of `class_scene`, 8 % `crowded_scene` of 3 to 16 objects, the rest
    `pair_scene`, after a share `ease` of `simple_scene`."""
    kind = rng.random()
    if rng.random() < ease:
        return simple_scene(rng, key)
    if kind < single:
        return class_scene(rng, key)
    if kind < 0.92:
        return pair_scene(rng, key)
    return crowded_scene(rng, int(rng.integers(3, 17)), key, named=int(rng.integers(2, 5)))


def two_object_scene(rng: np.random.Generator, key: str = "") -> Scene:
    """Two objects of different kinds that hardly touch, for pointing and erasing; the caption names both."""
    scene = Scene(objects_plan(rng, 2, twins=0.0, behind=0.0), (), key)
    return Scene(scene.plan, captions(scene, rng, (0, 1), 1, place=0.3), key)
