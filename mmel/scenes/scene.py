"""A scene: a plan that can be written down, the picture drawn from it, and the exact mask of everything in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.resources import files
from io import BytesIO
from math import isfinite

import numpy as np
from jaxtyping import Bool
from PIL import Image

from ..errors import SceneError
from .backgrounds import BACKGROUNDS, SIZE, draw
from .objects import NAMES

CELL, COLUMNS = 80, 12  # of the sprite sheet
SOLID = 128  # alpha from which a pixel counts as covered
_COVERED = bytes(255 if alpha >= SOLID else 0 for alpha in range(256))


@dataclass(frozen=True)
class Placement:
    """How one object stands in a scene. `x`, `y` are its centre and `size` its longer side, all in pixels."""

    name: str
    x: float
    y: float
    size: float
    mirror: bool = False
    angle: float = 0.0  # degrees, counter-clockwise
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)  # brightness and colour jitter: factors for R, G, B


@dataclass(frozen=True)
class Plan:
    """Everything that a picture is drawn from. `objects` are in drawing order: the last one is in front."""

    background: str
    background_seed: int
    objects: tuple[Placement, ...]

    def to_json(self) -> dict:
        """The plan as plain numbers, strings and lists; `Plan.from_json` reads it back."""
        return {"background": self.background, "background_seed": self.background_seed,
                "objects": [vars(p) | {"gains": list(p.gains)} for p in self.objects]}  # fmt: skip

    @staticmethod
    def from_json(data: Mapping) -> Plan:
        """The plan written by `to_json`; raises `SceneError` when something in it is not of this world."""
        try:
            objects = tuple(
                Placement(**{**o, "gains": tuple(o.get("gains", (1.0, 1.0, 1.0)))}) for o in data["objects"]
            )
            plan = Plan(data["background"], int(data["background_seed"]), objects)
        except (KeyError, TypeError, ValueError) as cause:
            raise SceneError(f"expected a scene with background, background_seed and objects; {cause!r}") from cause
        plan.check()
        return plan

    def check(self) -> None:
        """Raise `SceneError` for a background, an object or a size that this world does not have."""
        if self.background not in BACKGROUNDS:
            raise SceneError(f"background {self.background!r} is none of {', '.join(BACKGROUNDS)}")
        for placement in self.objects:
            if placement.name not in NAMES:
                raise SceneError(f"object {placement.name!r} is not in mmel.scenes.OBJECTS")
            numbers = (placement.x, placement.y, placement.size, placement.angle, *placement.gains)
            if len(numbers) != 7 or not all(isinstance(n, int | float) and isfinite(n) for n in numbers):
                raise SceneError(
                    f"{placement.name!r} needs numbers for x, y, size, angle and three gains, got {numbers}"
                )
            if not 4 <= placement.size <= SIZE:
                raise SceneError(f"size of {placement.name!r} must be 4 to {SIZE} pixels, got {placement.size}")


@lru_cache(maxsize=1)
def sprite_boxes() -> tuple[tuple[int, int, int, int], ...]:
    """Where in the sprite sheet each of `OBJECTS` is: (left, top, right, bottom) of what it covers."""
    boxes = []
    for index in range(len(NAMES)):
        row, column = divmod(index, COLUMNS)
        left, top = column * CELL, row * CELL
        inside = _sheet().crop((left, top, left + CELL, top + CELL)).getbbox()
        boxes.append(tuple(edge + (left, top)[i % 2] for i, edge in enumerate(inside)))
    return tuple(boxes)


@lru_cache(maxsize=1)
def _sheet() -> Image.Image:
    return Image.open(BytesIO(files(__package__).joinpath("sprites.png").read_bytes())).convert("RGBA")


@lru_cache(maxsize=1)
def _sprites() -> tuple[Image.Image, ...]:
    """The sprites of `OBJECTS`, cropped to what they cover."""
    return tuple(_sheet().crop(box) for box in sprite_boxes())


def _stamp(placement: Placement) -> tuple[Image.Image, tuple[int, int]]:
    """The object's RGBA picture as it will be pasted, and the corner where it goes."""
    sprite = _sprites()[NAMES.index(placement.name)]
    scale = placement.size / max(sprite.size)
    stamp = sprite.resize(tuple(max(2, round(side * scale)) for side in sprite.size), Image.Resampling.BILINEAR)
    if placement.mirror:
        stamp = stamp.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if placement.angle:
        stamp = stamp.rotate(placement.angle, Image.Resampling.BICUBIC, expand=True)
    pixels = np.asarray(stamp).astype(np.float32)
    pixels[..., :3] = (pixels[..., :3] * np.float32(placement.gains)).round().clip(0, 255)
    stamp = Image.fromarray(pixels.astype(np.uint8), "RGBA")
    return stamp, (round(placement.x - stamp.width / 2), round(placement.y - stamp.height / 2))


@dataclass(frozen=True)
class Thing:
    """An object of a scene as drawn. `box` is (left, top, right, bottom) of its visible pixels; `None` if hidden."""

    name: str
    placement: Placement
    box: tuple[int, int, int, int] | None
    visible: float  # share of its own pixels that nothing covers and that lie in the picture


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture of the bundled world with its captions and its truth.

    `captions[0]` is the main one. Objects are numbered in drawing order: a higher number is in front.
    """

    plan: Plan
    captions: tuple = ()
    key: str = ""

    @cached_property
    def _drawn(self) -> tuple[Image.Image, np.ndarray, np.ndarray]:
        picture = draw(self.plan.background, np.random.default_rng(self.plan.background_seed))
        masks = np.zeros((len(self.plan.objects), SIZE, SIZE), bool)
        whole = np.zeros(len(self.plan.objects))
        for index, placement in enumerate(self.plan.objects):
            stamp, corner = _stamp(placement)
            alpha = stamp.getchannel("A")
            picture.paste(stamp, corner, alpha)
            cover = Image.new("L", (SIZE, SIZE))
            cover.paste(alpha.point(_COVERED), corner)
            masks[index] = np.asarray(cover) > 0
            whole[index] = max(1, np.count_nonzero(np.asarray(alpha) >= SOLID))
        return picture, masks, whole

    @property
    def image(self) -> Image.Image:
        """The picture: RGB, 112 x 112."""
        return self._drawn[0]

    @cached_property
    def masks(self) -> Bool[np.ndarray, "object rows columns"]:
        """Visible pixels of each object: its own, minus those that objects in front of it cover."""
        shapes = self._drawn[1]
        later = np.zeros((SIZE, SIZE), bool)
        visible = np.zeros_like(shapes)
        for index in range(len(shapes) - 1, -1, -1):
            visible[index] = shapes[index] & ~later
            later |= shapes[index]
        return visible

    @cached_property
    def objects(self) -> tuple[Thing, ...]:
        """The objects in drawing order, with the boxes of their visible pixels."""
        things = []
        for placement, mask, whole in zip(self.plan.objects, self.masks, self._drawn[2], strict=True):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1) if len(rows) else None
            things.append(Thing(placement.name, placement, box, float(mask.sum() / whole)))
        return tuple(things)

    @property
    def background(self) -> str:
        """Name of the place."""
        return self.plan.background

    def covers(self, front: int, back: int) -> float:
        """Share of object `back`'s pixels that object `front` covers; 0 unless it is drawn later."""
        shapes = self._drawn[1]
        hidden = (shapes[front] & shapes[back]).sum() if front > back else 0
        return float(hidden / self._drawn[2][back])

    def word_mask(self, word) -> Bool[np.ndarray, "rows columns"]:
        """What a content word of a caption is about: its objects' visible pixels, or what is left for the place."""
        if word.role == "background":
            return ~self.masks.any(0) if len(self.masks) else np.ones((SIZE, SIZE), bool)
        return self.masks[list(word.objects)].any(0)

    def without(self, *indices: int) -> Scene:
        """The same scene drawn without these objects. The captions stay, and no longer tell the truth."""
        kept = tuple(p for i, p in enumerate(self.plan.objects) if i not in indices)
        return Scene(replace(self.plan, objects=kept), (), f"{self.key}-without-{'-'.join(map(str, indices))}")
