"""A picture as a list of pixels, whatever type it came in, and back."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped
from PIL import Image
from torch import Tensor

from ..errors import NotANumber, ShapeMismatch
from ..maps import all_finite


class Canvas(NamedTuple):
    """Pixels row by row, with what is needed to give them back as they came.

    `kind` is picture (PIL), array (NumPy) or tensor; `channels_first` says whether the array or tensor is
    [3, rows, columns].
    """

    pixels: Shaped[Tensor, "pixel 3"]
    size: tuple[int, int]
    kind: str
    channels_first: bool


def read_canvas(image) -> Canvas:
    """A PIL picture, bytes [rows, columns, 3] or [3, rows, columns], or floats [3, rows, columns] as pixels."""
    kind = "picture" if isinstance(image, Image.Image) else "tensor" if isinstance(image, Tensor) else "array"
    array = image.convert("RGB") if kind == "picture" else image
    values = image.detach() if kind == "tensor" else torch.from_numpy(np.array(array))
    values = values[0] if values.ndim == 4 and len(values) == 1 else values
    bytes_last = values.dtype == torch.uint8 and values.ndim == 3 and values.shape[-1] == 3
    if values.ndim != 3 or 0 in values.shape or not (bytes_last or values.shape[0] == 3):
        raise ShapeMismatch(
            f"a picture is PIL, bytes of shape [rows, columns, 3], or floats of shape [3, rows, columns]; got "
            f"{values.dtype} of shape {list(values.shape)}: pass the pictures of a batch one by one."
        )
    if values.dtype != torch.uint8 and not values.is_floating_point():
        raise ShapeMismatch(f"pixels are bytes (0 to 255) or floats, but {values.dtype} came: convert them.")
    if values.is_floating_point() and not all_finite(values):
        raise NotANumber("pixels hold NaN or infinity: look at what made the picture.")
    values = values if bytes_last else values.permute(1, 2, 0)  # rows columns 3
    return Canvas(values.flatten(0, 1), tuple(values.shape[:2]), kind, not bytes_last)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on that device. To a GPU it goes from pinned memory, so that nothing waits until it has arrived."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def give_back(pixels: Shaped[Tensor, "batch pixel 3"], like: Canvas):
    """Pictures of the type of `like`: a list of PIL pictures, or an array or a tensor with a batch axis."""
    images = pixels.unflatten(1, like.size)  # batch rows columns 3
    images = images.permute(0, 3, 1, 2) if like.channels_first else images
    if like.kind == "tensor":
        return images.contiguous()
    arrays = np.ascontiguousarray(images.numpy())
    return arrays if like.kind == "array" else [Image.fromarray(array) for array in arrays]
