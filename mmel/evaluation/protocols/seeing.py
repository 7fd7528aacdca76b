"""What a model is shown of a picture when it explains it, and where on the picture the map then lies."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from ...clip import Clip
from ...loading.windows import own_size_pixels, window_of
from ...metrics.canvas import sent
from ...types import Window
from .scoring import pixels_of

# Methods that the official scripts show the picture at its own size, and MMEL, which multiplies Grad-ECLIP's map.
OWN_SIZE = ("grad_eclip", "grad_cam", "mask_clip", "raw_attention", "mmel", "mmel_plus")


class Look(NamedTuple):
    """Pixels that a method explains, and the part of the picture that they show."""

    pixels: Float[Tensor, "1 3 height width"]
    window: Window


def cropped(clip: Clip, example) -> Look:
    """What the model itself sees: the middle of a picture that is not square."""
    return Look(pixels_of(clip, example), window_of(clip, _size(example)))


def uncropped(clip: Clip, example, own: Look) -> Look:
    """All of the picture at its own size, as the official scripts show it; `own` is what the model itself sees.

    Notes
    -----
    Only where the model does not see all of the picture: a square one stays `own`, at the model's own size. The
    official scripts show every picture at its own size.
    """
    whole = Window(0, 0, *_size(example))
    if own.window == whole:
        return own
    pixels = own_size_pixels(clip, example.image.convert("RGB"))
    return Look(sent(pixels, clip.device).to(clip.dtype), whole)


def _size(example) -> tuple[int, int]:
    """Rows and columns of a sample's picture."""
    return example.image.size[::-1]
