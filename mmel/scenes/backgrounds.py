"""The eight places of the bundled world, drawn from integers so that a seed gives the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

SIZE = 112  # pixels, both sides of a scene
_RAMP = np.linspace(0, 1, SIZE)[:, None, None]
_GRAIN = np.random.default_rng(20260101).integers(-10, 11, (2 * SIZE, 2 * SIZE, 1)).astype(np.float32)


def _blotches(rng: np.random.Generator, rows: int, columns: int, strength: float) -> np.ndarray:
    """Smooth noise in [-strength, strength]: random cells, resized to the scene. Shape [rows, columns, 1]."""
    cells = Image.fromarray(rng.integers(0, 256, (rows, columns), dtype=np.uint8))
    smooth = np.asarray(cells.resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float32)
    return (smooth[..., None] - 127.5) * (strength / 127.5)


def _ground(rng: np.random.Generator, top: tuple, bottom: tuple) -> np.ndarray:
    """A vertical gradient between two colours that drift a little, with fine grain."""
    colours = np.array([top, bottom], np.float32) + rng.integers(-12, 13, (2, 3))
    row, column = rng.integers(0, SIZE, 2)
    return colours[0] * (1 - _RAMP) + colours[1] * _RAMP + _GRAIN[row : row + SIZE, column : column + SIZE]


def _grass(rng: np.random.Generator) -> np.ndarray:
    return _ground(rng, (100, 170, 75), (60, 125, 50)) + _blotches(rng, 14, 56, 26) + _blotches(rng, 5, 5, 14)


def _sand(rng: np.random.Generator) -> np.ndarray:
    return _ground(rng, (228, 204, 155), (196, 164, 112)) + _blotches(rng, 18, 6, 14)


def _snow(rng: np.random.Generator) -> np.ndarray:
    return _ground(rng, (243, 247, 252), (214, 226, 238)) + _blotches(rng, 6, 6, 14) * np.array([1.0, 0.7, 0.3])


def _water(rng: np.random.Generator) -> np.ndarray:
    return _ground(rng, (70, 140, 195), (30, 85, 150)) + _blotches(rng, 28, 7, 26)


def _road(rng: np.random.Generator) -> np.ndarray:
    picture = _ground(rng, (128, 128, 132), (88, 88, 94)) + _blotches(rng, 9, 9, 9)
    left, start = int(rng.integers(14, SIZE - 20)), int(rng.integers(0, 28))
    for top in range(start - 28, SIZE, 28):
        picture[max(top, 0) : max(top + 16, 0), left : left + 5] = (232, 228, 205)
    return picture


def _sky(rng: np.random.Generator) -> np.ndarray:
    cloud = np.clip(_blotches(rng, 5, 4, 2.0) - 0.25, 0, 1)
    return _ground(rng, (135, 190, 240), (200, 226, 248)) * (1 - cloud) + np.float32(250) * cloud


def _room(rng: np.random.Generator) -> np.ndarray:
    picture = _ground(rng, (226, 196, 186), (206, 170, 160))
    floor = int(rng.integers(60, 84))
    picture[floor:] = _ground(rng, (150, 100, 62), (120, 76, 44))[floor:]
    picture[floor : floor + 3] = (250, 245, 238)
    picture[floor + 3 :, int(rng.integers(0, 18)) :: 18] *= 0.72
    picture[:floor, int(rng.integers(0, 14)) :: 14] *= 0.95
    return picture


def _night(rng: np.random.Generator) -> np.ndarray:
    picture = _ground(rng, (18, 20, 54), (44, 34, 82)) + _blotches(rng, 5, 5, 10)
    rows, columns = rng.integers(0, SIZE, (2, 40))
    picture[rows, columns] = 210 + rng.integers(0, 46, (40, 1))
    return picture


BACKGROUNDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "grass": _grass, "sand": _sand, "snow": _snow, "water": _water,
    "road": _road, "sky": _sky, "room": _room, "night": _night,
}  # fmt: skip

PHRASES: dict[str, str] = {  # how a caption says where it is
    "grass": "on the grass", "sand": "on the sand", "snow": "in the snow", "water": "on the water",
    "road": "on the road", "sky": "in the sky", "room": "in a room", "night": "at night",
}  # fmt: skip


def draw(name: str, rng: np.random.Generator) -> Image.Image:
    """The place called `name` as an RGB picture of `SIZE` x `SIZE` pixels, another one for each state of `rng`."""
    light = 1 + rng.integers(-14, 15) / 100  # brightness of the whole place
    pixels = BACKGROUNDS[name](rng) * light
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8), "RGB")
