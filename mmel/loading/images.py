"""Pictures as users have them: paths and PIL images of any mode, read as RGB."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from ..errors import ImageError, NotANumber, UnsupportedModel
from .windows import window_of

if TYPE_CHECKING:
    from ..clip import Clip

LARGEST = 896  # pixels of a side of a picture that is shown
MOST_PIXELS = 89_478_485  # Pillow's own limit for what is no decompression bomb
DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")  # grey, more than 8 bits a pixel

Picture = Image.Image | str | os.PathLike


def read_image(source: Picture) -> Image.Image:
    """An RGB picture, turned as its EXIF says and, where transparent, laid on white.

    16-bit grey is reduced to its upper 8 bits; of an animation the first frame is read.
    """
    name, picture = _open(source) if isinstance(source, (str, os.PathLike)) else ("the given picture", source)
    _check_size(name, picture)
    try:
        picture.load()
        picture = ImageOps.exif_transpose(picture)
    except Exception as error:  # a broken file makes its decoder raise anything
        raise ImageError(f"{name} cannot be decoded ({error}): is it whole? Save it again as PNG or JPEG.") from error
    if picture.mode in DEEP:
        return _upper_bits(name, picture)
    if picture.mode == "F":
        raise ImageError(
            f"{name} has floating-point pixels (mode F), whose range is not known; scale them to 0..255 and convert "
            "to mode L or RGB."
        )
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def seen(clip: Clip, picture: Image.Image) -> Image.Image:
    """What the model saw of a picture: the same part of it, in as many pixels as the picture has there.

    The picture goes through those steps of the model's transform that make pictures of pictures. Where they cut a
    square from the middle of a larger picture, `window_of` is cut from the picture itself; where another step is
    unknown, the square in the middle.
    """
    small, cut = picture, False
    for step in getattr(clip.preprocess, "transforms", ()):
        after = step(small)
        if not isinstance(after, Image.Image):
            break
        small, cut = after, cut or type(step).__name__ == "CenterCrop"
    if cut and min(picture.size) > max(small.size):
        size = (min(*picture.size, LARGEST),) * 2
        try:
            window = window_of(clip, picture.size[::-1])
        except UnsupportedModel:  # only maps have to lie exactly
            return ImageOps.fit(picture, size, Image.Resampling.LANCZOS)
        box = (window.left, window.top, window.right, window.bottom)
        return picture.crop(box).resize(size, Image.Resampling.LANCZOS)
    return small


def check_pixels(finite: bool) -> None:
    """The error for pixels that hold NaN or infinity."""
    if not finite:
        raise NotANumber(
            "pixels must be finite numbers, but these hold NaN or infinity: look at what made them (a division by a "
            "zero standard deviation, say)."
        )


def check_aspect(picture: Image.Image, side: int) -> None:
    """Scaled to `side` at its shorter edge, a picture must stay below the limit too: 2 x 10,000 pixels would not."""
    width, height = picture.size
    if side * side * max(width, height) / min(width, height) > MOST_PIXELS:
        raise ImageError(f"a picture of {width} x {height} pixels is too thin to be scaled to {side} pixels: crop it.")


def _open(source: str | os.PathLike) -> tuple[str, Image.Image]:
    path = Path(source)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ImageError(f"an image file was expected, but {str(path)!r} {what}: check the path.")
    if path.stat().st_size == 0:
        raise ImageError(f"{path.name} is empty (0 bytes): save or download it again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # _check_size says it better
            with open(path, "rb") as file:
                picture = Image.open(file)
                _check_size(path.name, picture)
                picture.load()
                return path.name, picture
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(_too_large(path.name, str(error))) from error
    except Exception as error:  # a broken file makes its decoder raise anything
        raise ImageError(
            f"{path.name} cannot be read as a picture ({type(error).__name__}: {error}): "
            "expected a PNG, JPEG or another format that Pillow knows, whole."
        ) from error


def _too_large(name: str, size: str) -> str:
    return f"{name} is too large to be opened safely ({size}; the limit: {MOST_PIXELS:,} pixels): scale it down first."


def _check_size(name: str, picture: Image.Image) -> None:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise ImageError(_too_large(name, f"{width} x {height} pixels"))
    if min(width, height) < 2:
        raise ImageError(f"{name} has {width} x {height} pixels; at least 2 x 2 are needed to show anything.")


def _upper_bits(name: str, picture: Image.Image) -> Image.Image:
    values = np.asarray(picture).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            f"{name} has grey values from {values.min()} to {values.max()}; 0 to 65535 expected: scale it to 8 bits."
        )
    return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
