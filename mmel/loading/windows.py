"""Where a map lies on its picture: on the part that the transform leaves, or on all of it, shown at its own size."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from ..errors import UnsupportedModel
from ..types import Window

if TYPE_CHECKING:
    from ..clip import Clip

GEOMETRY = ("Resize", "CenterCrop")  # steps of a picture transform that move pixels; they take pixels and pictures
VALUES = ("MaybeConvertMode", "MaybeToTensor", "ToTensor", "_convert_to_rgb", "function", "Normalize")  # and that don't
SHORTEST = 640  # pixels of the shorter side of a picture that the official scripts look at, at most
HALF = Fraction(1, 2)
WHOLE = "all of it"  # in the place of a step's name, where a transform is not made of steps


def window_of(clip: Clip, size: tuple[int, int]) -> Window:
    """The part of a picture of `size` (rows, columns) that `clip.preprocess` shows to the model.

    A pixel belongs to it if its centre does. A square picture that goes through a transform with unknown steps is
    taken to be shown whole; of another picture that cannot be said. Errors: UnsupportedModel.

    Notes
    -----
    Sizes and offsets are whole numbers, rounded as torchvision rounds them: 375 x 500 pixels become 224 x 298, of
    which columns 37 to 261 are kept. Resized back that is 62.08 to 437.92, and the window has the columns 62 to 437.
    """
    steps = list(_steps(clip))
    if unknown := [name for name, _ in steps if name not in (*GEOMETRY, *VALUES)]:
        if size[0] == size[1]:
            return Window(0, 0, *size)
        raise _not_known(clip, unknown[0])
    spans, now = [(Fraction(0), Fraction(side)) for side in size], tuple(size)
    for name, step in steps:
        if name == "Resize":
            now = resized(step, now)
        elif name == "CenterCrop":
            kept = (step.size,) * 2 if isinstance(step.size, int) else tuple(step.size)
            if any(most < side for most, side in zip(now, kept, strict=True)):
                raise _not_known(clip, "CenterCrop that pads")
            spans = [_cut(*each) for each in zip(spans, now, kept, strict=True)]
            now = kept
    (top, bottom), (left, right) = ((ceil(first - HALF), ceil(end - HALF)) for first, end in spans)
    return Window(top, left, bottom, right)


def resized(step, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns after torchvision's Resize: a number is the new shorter side, and the other is cut to whole."""
    wanted = (step.size,) if isinstance(step.size, int) else tuple(step.size)
    if len(wanted) == 2:
        return wanted
    short, long = min(size), max(size)
    new_short, new_long = wanted[0], int(wanted[0] * long / short)
    most = getattr(step, "max_size", None)
    if most is not None and new_long > most:
        new_short, new_long = int(most * new_short / new_long), most
    return (new_short, new_long) if size[0] <= size[1] else (new_long, new_short)


def smaller(picture: Image.Image, shortest: int) -> Image.Image:
    """The picture with its shorter side at `shortest` pixels, cut to whole ones; itself where it has no more."""
    short = min(picture.size)
    if short <= shortest:
        return picture
    return picture.resize([int(side / (short / shortest)) for side in picture.size])  # bicubic, as the scripts


def own_size_pixels(clip: Clip, picture: Image.Image) -> Float[Tensor, "1 3 height width"]:
    """All of a picture (RGB) as pixels at its own size, each side rounded to whole patches; not on the device.

    `imgprocess_keepsize` of the official Grad-ECLIP. Errors: UnsupportedModel.

    Notes
    -----
    As there, a picture whose shorter side has more than 640 pixels is first made smaller. There a patch always has 16
    pixels, here the model's own.
    """
    picture = smaller(picture, SHORTEST)
    patch = clip.patch_size
    sides = [max(1, int(side / patch + 0.5)) * patch for side in picture.size]
    pixels = picture.resize(sides, Image.Resampling.BICUBIC)
    for name, step in _steps(clip):
        if name not in (*GEOMETRY, *VALUES):
            raise _not_known(clip, name)
        pixels = pixels if name in GEOMETRY else step(pixels)
    return torch.as_tensor(pixels)[None]


def _steps(clip: Clip) -> Iterator[tuple[str, object]]:
    """Name and function of each step of the model's picture transform. What is not made of steps is an unknown one."""
    if not hasattr(clip.preprocess, "transforms"):
        yield WHOLE, clip.preprocess
        return
    for step in clip.preprocess.transforms:
        yield type(step).__name__, step


def _cut(span: tuple[Fraction, Fraction], now: int, kept: int) -> tuple[Fraction, Fraction]:
    """What CenterCrop leaves of one axis: `kept` of the `now` pixels that lie evenly over `span`."""
    pixel = (span[1] - span[0]) / now
    first = span[0] + round((now - kept) / 2) * pixel  # as torchvision: a half goes to the even number
    return first, first + kept * pixel


def _not_known(clip: Clip, step: str) -> UnsupportedModel:
    what = "is not made of steps" if step == WHOLE else f"has a step {step!r}"
    return UnsupportedModel(
        f"the picture transform of {clip.name!r} {what}, so it cannot be said where a map lies on a "
        "picture that is not square: take a transform of Resize, CenterCrop and Normalize, or square pictures."
    )
