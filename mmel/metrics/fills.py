"""What stands where pixels were taken away: noise, black, a blurred copy, one colour."""

from __future__ import annotations

from numbers import Real

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from PIL import Image
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from ..errors import BadSetting, ShapeMismatch, UnknownName
from .canvas import Canvas, read_canvas, sent
from .checks import numbers, whole

BLUR_SIZE, BLUR_SIGMA = 11, 5.0  # pixels: gkern(11, 5) of the RISE evaluation


def noise(canvas: Canvas, order: Int[Tensor, " pixel"], seed: int) -> Float[Tensor, "pixel 3"]:
    """Independent uniform noise, drawn pixel after pixel in the order of editing, as the official deletion does.

    Bytes: 0 to 255, cut to whole numbers. Floats: between each channel's smallest and largest value in the picture.
    """
    draw = torch.Generator("cpu").manual_seed(whole("seed", seed, 0))
    values = sent(torch.rand(len(order), 3, generator=draw), canvas.pixels.device)
    if canvas.pixels.dtype == torch.uint8:
        values = values * 255.0
    else:
        low, high = canvas.pixels.amin(0), canvas.pixels.amax(0)
        values = low + (high - low) * values.to(canvas.pixels.dtype)
    return torch.empty_like(values).index_copy(0, order, values)


def black(canvas: Canvas, order: Int[Tensor, " pixel"], seed: int) -> Shaped[Tensor, "pixel 3"]:
    """Zero: black in a picture, but the model's mean colour in pixels that were normalised."""
    return torch.zeros_like(canvas.pixels)


def mean(canvas: Canvas, order: Int[Tensor, " pixel"], seed: int) -> Float[Tensor, "pixel 3"]:
    """The picture's own mean colour."""
    return canvas.pixels.double().mean(0).expand(len(canvas.pixels), 3)


def blur(canvas: Canvas, order: Int[Tensor, " pixel"], seed: int) -> Float[Tensor, "pixel 3"]:
    """A Gaussian blur of 11 x 11 pixels and width 5, as `gkern(11, 5)` in the evaluation of RISE.

    Outside the picture lies zero for floats, as there (normalised: the mean colour), and the edge itself for bytes,
    where zeros would draw a dark frame.
    """
    kernel = sent(torch.from_numpy(blur_kernel()).float(), canvas.pixels.device)
    images = canvas.pixels.float().T.unflatten(1, canvas.size)[:, None]  # 3 1 rows columns
    mode = "replicate" if canvas.pixels.dtype == torch.uint8 else "constant"
    images = F.pad(images, (BLUR_SIZE // 2,) * 4, mode=mode)
    images = F.conv2d(F.conv2d(images, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return images.flatten(1).T  # pixel 3


def blur_kernel() -> Float[np.ndarray, " size"]:
    """One axis of RISE's blur: the Gaussian of a dirac in a window of BLUR_SIZE, its tails mirrored back into it."""
    dirac = np.zeros(BLUR_SIZE)
    dirac[BLUR_SIZE // 2] = 1
    return gaussian_filter1d(dirac, BLUR_SIGMA)


FILLS = {"noise": noise, "black": black, "blur": blur, "mean": mean}


def filled(fill, canvas: Canvas, order: Int[Tensor, " pixel"], seed: int) -> Shaped[Tensor, "pixel 3"]:
    """The picture when all of it is taken away, in the number type of `canvas`.

    `fill` is a name of FILLS, a number, a colour of three, or a picture of the same size and kind of numbers.
    """
    if isinstance(fill, str):
        if fill not in FILLS:
            raise UnknownName("fill", fill, FILLS)
        values = FILLS[fill](canvas, order, seed)
    else:
        values = _given(fill, canvas)
    if canvas.pixels.dtype == torch.uint8 and values.dtype != torch.uint8:
        cut = isinstance(fill, str) and fill == "noise"  # to whole numbers, as the official code does
        values = (values if cut else values.round()).clamp(0, 255)
    return values.to(canvas.pixels)


def _given(fill, canvas: Canvas) -> Shaped[Tensor, "pixel 3"]:
    """A number, a colour or a picture of the caller's own."""
    kinds = (Real, tuple, list, np.ndarray, Tensor, Image.Image)
    if isinstance(fill, bool) or not isinstance(fill, kinds):
        raise BadSetting(f"fill is one of {', '.join(FILLS)}, a number, a colour or a picture; got {fill!r}.")
    if not isinstance(fill, Image.Image) and np.ndim(fill) < 2:
        return _colour(fill, canvas)
    own = read_canvas(fill)
    if own.size != canvas.size:
        raise ShapeMismatch(f"a fill as large as the picture was expected, {canvas.size}, but {own.size} came.")
    if own.pixels.dtype.is_floating_point != canvas.pixels.dtype.is_floating_point:
        raise ShapeMismatch("a fill has the picture's own kind of numbers, bytes or floats: convert one of them.")
    return own.pixels


def _colour(fill, canvas: Canvas) -> Shaped[Tensor, "pixel 3"]:
    colour = numbers(fill, "fill values").to(canvas.pixels.device).flatten()
    if len(colour) not in (1, 3):
        raise ShapeMismatch(f"a colour has one or three values, but {len(colour)} came.")
    if canvas.pixels.dtype == torch.uint8 and (float(colour.min()) < 0 or float(colour.max()) > 255):
        raise BadSetting(f"a colour of bytes lies in 0..255, but {colour.tolist()} came.")
    return colour.expand(len(canvas.pixels), 3)
