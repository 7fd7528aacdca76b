"""What every figure starts from: the sheet, its colours and sizes, and pictures and maps as arrays."""

from __future__ import annotations

import base64
import os
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm, Colormap, Normalize
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from ..errors import BadSetting, MmelError, NotANumber, ShapeMismatch

POINTS, DPI = 72, 110  # in an inch; pixels of a figure on a page
INK, MUTED, FRAME = "#1f1f1f", "#5c5c5c", "#c4c4c4"
SIZES = {"title": 12.0, "label": 10.0, "small": 8.5}  # of letters, in points
# Okabe and Ito's colours, which readers with any colour vision tell apart; yellow is left out, too pale on white
HUES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
DASHES = ("-", "--", "-.", ":")
FORMATS = ("png", "svg", "pdf", "jpg", "jpeg", "webp")
STYLE = {"svg.hashsalt": "mmel", "font.family": ["DejaVu Sans"]}  # the same bytes for the same figure


class Drawing(Figure):
    """A matplotlib figure that shows itself in a notebook, without pyplot and its list of open figures."""

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        png, svg = (encoded(self, kind, dpi=DPI) for kind in ("png", "svg"))
        return {"image/png": base64.b64encode(png).decode(), "image/svg+xml": svg.decode()}


class Scale(NamedTuple):
    """How values become colours."""

    colours: Colormap
    norm: Normalize

    def __call__(self, values):
        return self.colours(self.norm(values))


def drawing(width: float, height: float, *, layout: str | None = "constrained") -> Drawing:
    """An empty white sheet of `width` by `height` inches with a thin frame, so that it ends on a dark page too."""
    figure = Drawing(figsize=(width, height), dpi=DPI, layout=layout, facecolor="white", edgecolor=FRAME, linewidth=1.5)
    if layout == "constrained":
        figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0, hspace=0)  # inches
    return figure


def sheet(figure: Drawing) -> Axes:
    """Axes over the whole sheet in points, y downwards from the upper edge: for words at exact places."""
    axes = figure.add_axes((0, 0, 1, 1))
    width, height = figure.get_size_inches() * POINTS
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return axes


def axes_at(figure: Drawing, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place in points from the upper left corner."""
    whole, tall = figure.get_size_inches() * POINTS
    return figure.add_axes((left / whole, 1 - (top + height) / tall, width / whole, height / tall))


def scale_of(values, *, signed: bool | None = None, limits: tuple[float, float] | None = None) -> Scale:
    """Colours for raw values: viridis from the lowest to the highest, or blue-white-red around 0 where signed.

    `signed` None looks for negative values; `limits` are (low, high) in the values' own unit.
    """
    values = array_of(values, "values")
    low, high = limits or (float(values.min()), float(values.max()))
    if not low <= high:
        raise BadSetting(f"limits are (low, high) with low below high; got ({low}, {high}).")
    if low < 0 if signed is None else signed:
        return Scale(colormaps["RdBu_r"], CenteredNorm(0, max(abs(low), abs(high)) or 1.0))
    if high == low:  # a flat map gets a colour in the middle, and a scale that can be drawn
        low, high = low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5)
    return Scale(colormaps["viridis"], Normalize(low, high))


def array_of(values, what: str) -> np.ndarray:
    """Finite numbers as an array of float64, from a tensor on any device, an array or a list."""
    values = values.detach().cpu().double().numpy() if isinstance(values, Tensor) else np.asarray(values, float)
    if not values.size:
        raise ShapeMismatch(f"{what} to draw are needed, but none came.")
    if not np.isfinite(values).all():
        raise NotANumber(f"{what} to draw have to be finite, but hold NaN or infinity: look at what made them.")
    return values


def map_of(map) -> Float[Tensor, "rows columns"]:
    """A map of one image, on its own grid."""
    values = torch.as_tensor(array_of(map, "maps"))
    if values.ndim != 2:
        raise ShapeMismatch(
            f"a map of one image has the shape [rows, columns]; got {list(values.shape)}: "
            "take one of the batch, attribution.image[0]."
        )
    return values.float()


def pixels_of(image) -> Float[np.ndarray, "rows columns 3"]:
    """A picture from 0 to 1: a PIL image, bytes or floats [rows, columns, 3], or a tensor [3, rows, columns]."""
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"), np.float32) / 255
    if isinstance(image, Tensor):
        image = image.detach().cpu().movedim(0, -1).numpy() if image.ndim == 3 else image.cpu().numpy()
    pixels = np.asarray(image)
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ShapeMismatch(
            f"a picture has the shape [rows, columns, 3], or [3, rows, columns] as a tensor; got {list(pixels.shape)}."
        )
    pixels = pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else array_of(pixels, "pixels")
    if pixels.min() < -0.01 or pixels.max() > 1.01:
        raise BadSetting(
            f"pixels run from 0 to 1; these from {pixels.min():.3g} to {pixels.max():.3g}: undo the normalisation, "
            "or pass the picture itself."
        )
    return pixels.clip(0, 1).astype(np.float32)


def encoded(figure: Figure, kind: str, *, dpi: float) -> bytes:
    """The figure as a file's bytes, without the date."""
    file = BytesIO()
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format=kind, dpi=dpi, metadata=dated.get(kind))
    return file.getvalue()


def format_of(path: Path) -> str:
    """The format that a file's name asks for, one of `FORMATS`."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise BadSetting(f"{path.name!r} should end with one of: {', '.join('.' + each for each in FORMATS)}.")
    return kind


def save(figure: Figure, path: str | os.PathLike, *, dpi: float = 160) -> Path:
    """Write a figure in the format of its name; no half file is ever seen."""
    path = Path(path)
    return put(encoded(figure, format_of(path), dpi=dpi), path)


def put(data: bytes, path: Path) -> Path:
    """Write a file under another name, which it keeps until it is whole. Raises `MmelError` where it cannot."""
    part = path.with_name(f".{path.name[:80]}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise MmelError(f"{path} cannot be written ({error.strerror}): choose another place for it.") from error
    return path
