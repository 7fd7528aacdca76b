"""Arrays as few bytes of text: 8 or 16 bits a number, each row from its own lowest to its own highest value."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from math import prod

import numpy as np
from PIL import Image

from ..errors import BadSetting, ShapeMismatch
from ..figures.frame import array_of, pixels_of

KINDS = {8: np.dtype("u1"), 16: np.dtype("<u2")}


def pack(values, *, rows: int = 0, bits: int = 8) -> dict[str, object]:
    """Numbers as codes from 0 to 2**bits - 1, in base64, with what is needed to read them again.

    `rows`: how many leading axes have ranges of their own; 0 is one range for all. No value moves by more than half a
    step, `(high - low) / (2**bits - 1) / 2`; the lowest and the highest of a row keep seven digits.
    """
    values = array_of(values, "values")
    if bits not in KINDS:
        raise BadSetting(f"bits is 8 or 16; got {bits!r}.")
    if not 0 <= rows <= values.ndim:
        raise ShapeMismatch(f"rows counts leading axes of {list(values.shape)}, from 0 to {values.ndim}; got {rows}.")
    flat = values.reshape(prod(values.shape[:rows]), -1)
    low, high = (np.array([float(f"{end:.7g}") for end in ends]) for ends in (flat.min(1), flat.max(1)))
    span = np.where(high > low, high - low, 1.0)[:, None]
    codes = np.rint(((flat - low[:, None]) / span).clip(0, 1) * (2**bits - 1)).astype(KINDS[bits])
    data = base64.b64encode(codes.tobytes()).decode()
    return {"shape": list(values.shape), "bits": bits, "low": low.tolist(), "high": high.tolist(), "data": data}


def unpack(packed: Mapping[str, object]) -> np.ndarray:
    """The numbers that a page reads from what `pack` made."""
    codes = np.frombuffer(base64.b64decode(packed["data"]), KINDS[packed["bits"]])
    low, high = (np.array(packed[end], float)[:, None] for end in ("low", "high"))
    flat = low + codes.reshape(len(low), -1) / (2 ** packed["bits"] - 1) * (high - low)
    return flat.reshape(packed["shape"])


def raw(codes) -> str:
    """Whole numbers from 0 to 255 in base64."""
    return base64.b64encode(np.ascontiguousarray(codes, np.uint8).tobytes()).decode()


def sprite(pictures: Sequence) -> dict[str, object]:
    """Pictures of one size below each other in one PNG, as an address that holds its own bytes."""
    if not len(pictures):
        raise ShapeMismatch("at least one picture is needed, but none came.")
    pixels = [(pixels_of(each) * 255).round().astype(np.uint8) for each in pictures]
    sizes = {each.shape[:2] for each in pixels}
    if len(sizes) != 1:
        raise ShapeMismatch(f"pictures of one figure have one size; got {sorted(sizes)} (rows, columns): resize them.")
    ((height, width),) = sizes
    file = BytesIO()
    Image.fromarray(np.concatenate(pixels)).save(file, "PNG", optimize=True)
    return {"src": address(file.getvalue()), "count": len(pixels), "width": width, "height": height}


def address(picture: bytes, kind: str = "png") -> str:
    """The bytes of a picture's file as an address."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def maps_of(values, axes: tuple[str, ...], sizes: Mapping[str, int], what: str) -> np.ndarray:
    """An array whose named axes have the sizes that are known, or an error that names them."""
    values = array_of(values, what)
    wanted = [sizes.get(axis, axis) for axis in axes]
    fits = values.ndim == len(axes) and all(
        not isinstance(size, int) or size == have for size, have in zip(wanted, values.shape, strict=True)
    )
    if not fits:
        raise ShapeMismatch(f"{what}: [{', '.join(map(str, wanted))}] expected; got {list(values.shape)}.")
    return values
