"""A scene as the book's playground saves it: its plan, what a brush took away, the caption, and the methods shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..errors import SceneError
from .backgrounds import SIZE, draw
from .scene import Plan, Scene

FILLS = ("black", "noise", "background")


class Shown(NamedTuple):
    """A method as the playground shows it: its title there, its name in `mmel.METHODS`, its settings."""

    title: str
    method: str
    settings: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class State:
    """`erased` is [start, length, ...] of runs of pixels, row by row."""

    plan: Plan
    text: str
    erased: tuple[int, ...] = ()
    fill: str = "black"
    methods: tuple[Shown, ...] = ()

    @property
    def image(self) -> Image.Image:
        """The picture as the playground showed it to the model."""
        pixels = np.asarray(Scene(self.plan).image).reshape(-1, 3).copy()
        gone = np.zeros(len(pixels), bool)
        for start, length in zip(self.erased[::2], self.erased[1::2], strict=True):
            gone[start : start + length] = True
        pixels[gone] = self._behind()[gone]
        return Image.fromarray(pixels.reshape(SIZE, SIZE, 3))

    def _behind(self) -> np.ndarray:
        """What stands where the brush was: [pixel, 3] bytes."""
        if self.fill == "background":
            place = draw(self.plan.background, np.random.default_rng(self.plan.background_seed))
            return np.asarray(place).reshape(-1, 3)
        return noise() if self.fill == "noise" else np.zeros((SIZE * SIZE, 3), np.uint8)


def noise() -> np.ndarray:
    """One byte for each colour of each pixel, from its place alone: `noiseByte` in the playground's scene.js."""
    x = np.arange(1, 3 * SIZE * SIZE + 1, dtype=np.uint64) * np.uint64(2654435761) & np.uint64(0xFFFFFFFF)
    x = (x ^ x >> np.uint64(15)) * np.uint64(2246822519) & np.uint64(0xFFFFFFFF)
    return ((x ^ x >> np.uint64(13)) >> np.uint64(24)).astype(np.uint8).reshape(-1, 3)


def read_state(path: str | Path) -> State:
    """The state in a JSON file of the playground; raises `SceneError` with what is wrong with it."""
    path = Path(path)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise SceneError(f"a file saved by the playground was expected, but {str(path)!r} cannot be read") from cause
    except ValueError as cause:
        raise SceneError(f"{path.name} is no JSON: save the scene again in the playground") from cause
    if not isinstance(data, dict) or data.get("version") != 1:
        raise SceneError(f"{path.name} is no state of version 1: save the scene again in the playground")
    erased, captions = data.get("erased", {}), data.get("captions", [])
    runs, fill = (erased.get("runs", []), erased.get("fill", "black")) if isinstance(erased, dict) else (None, None)
    whole = isinstance(runs, list) and len(runs) % 2 == 0 and all(type(n) is int and 0 <= n <= SIZE**2 for n in runs)
    if not whole or fill not in FILLS:
        raise SceneError(f"{path.name}: erased has runs of pixels and a fill of {', '.join(FILLS)}; got {erased!r:.80}")
    if not isinstance(captions, list) or not captions or not isinstance(captions[0], str):
        raise SceneError(f"{path.name} has no caption: captions is a list of texts, the first is explained")
    return State(Plan.from_json(data.get("scene", {})), captions[0], tuple(runs), fill, _methods(path, data))


def _methods(path: Path, data: Mapping) -> tuple[Shown, ...]:
    found = []
    for each in data.get("methods", []):
        if not isinstance(each, dict) or not isinstance(each.get("method"), str):
            raise SceneError(f"{path.name}: methods are a list of method and settings; got {each!r:.60}")
        settings = each.get("settings") or {}
        if not isinstance(settings, dict):
            raise SceneError(f"{path.name}: settings of {each['method']} are names with values; got {settings!r:.60}")
        found.append(Shown(str(each.get("title", each["method"])), each["method"], settings))
    return tuple(found)
