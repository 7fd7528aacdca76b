"""Maps over pictures: one, several side by side, and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.ticker import MaxNLocator
from PIL import Image

from ..errors import ShapeMismatch
from ..maps import normalize, upsample
from .frame import FRAME, INK, MUTED, POINTS, SIZES, Drawing, Scale, drawing, map_of, pixels_of, scale_of
from .words import wrapped

SHOWN = 448  # pixels of the longer side of a picture in a figure, at least
ALPHA = 0.7  # of a map over its picture
PALE = 0.25  # how far the grey picture below a map is moved towards white, so that low values stay readable
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue (ITU-R BT.601)


def greyed(pixels: Float[np.ndarray, "rows columns 3"]) -> Float[np.ndarray, "rows columns"]:
    """A picture as it lies beneath a map: grey, and paler."""
    return PALE + (1 - PALE) * (pixels @ GREY)


def overlay(
    image,
    map,
    *,
    title: str = "",
    alpha: float = ALPHA,
    smooth: bool = True,
    signed: bool | None = None,
    limits: tuple[float, float] | None = None,
    width: float = 4.4,  # inches
) -> Drawing:
    """A map over its picture, which turns grey beneath it, with a colour bar in the map's own unit.

    `map` [rows, columns] is raised to the picture's size bilinearly, or shown as squares where not `smooth`.
    """
    figure = drawing(width, width * 0.82 * aspect(image) + (0.5 if title else 0.2))
    axes = figure.subplots()
    scale = scale_of(map_of(map), signed=signed, limits=limits)
    draw_map(axes, map, scale, image=image, alpha=alpha, smooth=smooth)
    name(axes, title)
    bar(figure, axes, scale)
    return figure


def grid(
    images: Sequence,
    maps: Sequence[Sequence],
    *,
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    alpha: float = ALPHA,
    smooth: bool = True,
    side: float = 1.6,  # inches of a picture
) -> Drawing:
    """Pictures down, methods across: `maps[row][column]` belongs to `images[row]`; None leaves its place empty.

    Each map is shown from its own lowest to its own highest value, so colours compare places within a map only.
    """
    columns = check_table(images, maps, row_titles, column_titles)
    height = side * max(map(aspect, images))
    figure = drawing((side + 0.06) * (columns + 1) + 1.1, (height + 0.06) * len(images) + 0.5)
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04)  # inches
    axes = figure.subplots(len(images), columns + 1, squeeze=False)
    scale = scale_of([0.0, 1.0])
    for places, image, across in zip(axes, images, maps, strict=True):
        draw_picture(places[0], image)
        for place, each in zip(places[1:], across, strict=True):
            if each is None:
                place.axis("off")
            else:
                draw_map(place, normalize(map_of(each)[None])[0], scale, image=image, alpha=alpha, smooth=smooth)
    for place, text in zip(axes[0, 1:], column_titles, strict=False):
        name(place, text)
    for place, text in zip(axes[:, 0], row_titles, strict=False):
        place.set_ylabel(text, size=SIZES["label"], color=INK, parse_math=False)
    ends = bar(figure, axes, scale, ticks=(0, 1), aspect=30, shrink=0.9)
    ends.ax.set_yticklabels(["lowest", "highest"])
    return figure


def scenes(
    images: Sequence, captions: Sequence[str] = (), *, columns: int = 4, title: str = "", side: float = 1.9
) -> Drawing:
    """A contact sheet: pictures in rows of `columns`, each with its caption below it; `side` in inches."""
    if not len(images) or (captions and len(captions) != len(images)):
        raise ShapeMismatch(f"each picture has a caption, but {len(images)} and {len(captions)} came.")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    texts = ["\n".join(wrapped(text, side * POINTS - 4, SIZES["small"])) for text in captions]
    lines = max([text.count("\n") + 1 for text in texts], default=0)
    figure = drawing(columns * (side + 0.12), rows * (side + 0.12 + 0.16 * lines) + (0.35 if title else 0.0))
    places = figure.subplots(rows, columns, squeeze=False).ravel()
    for place, image in zip(places, images, strict=False):
        draw_picture(place, image)
    for place, text in zip(places, texts, strict=False):
        place.set_xlabel(text, size=SIZES["small"], color=INK, parse_math=False)
    for place in places[len(images) :]:
        place.axis("off")
    if title:
        figure.suptitle(title, size=SIZES["title"], color=INK, weight="bold", parse_math=False)
    return figure


def aspect(image) -> float:
    """Height over width."""
    rows, columns = pixels_of(image).shape[:2]
    return rows / columns


def check_table(images: Sequence, maps: Sequence[Sequence], rows: Sequence[str], columns: Sequence[str]) -> int:
    """The number of methods, when everything fits together."""
    widths = {len(each) for each in maps}
    if not len(images) or len(maps) != len(images) or len(widths) != 1 or 0 in widths:
        raise ShapeMismatch(
            f"one row of maps is needed for each picture, all of one length; got {len(images)} pictures and rows of "
            f"{[len(each) for each in maps]} maps."
        )
    (width,) = widths
    if len(rows) not in (0, len(images)) or len(columns) not in (0, width):
        raise ShapeMismatch(
            f"titles for {len(images)} rows and {width} columns are needed; got {len(rows)} and {len(columns)}."
        )
    return width


def large(pixels: Float[np.ndarray, "rows columns 3"]) -> Float[np.ndarray, "large_rows large_columns 3"]:
    """A small picture enlarged smoothly to `SHOWN` pixels, so that it looks the same in every format."""
    times = max(1, round(SHOWN / max(pixels.shape[:2])))
    picture = Image.fromarray((pixels * 255).round().astype(np.uint8))
    picture = picture.resize((picture.width * times, picture.height * times), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32) / 255


def draw_picture(axes: Axes, image) -> None:
    """A picture in a thin frame."""
    axes.imshow(large(pixels_of(image)), interpolation="antialiased")
    bare(axes)


def draw_map(axes: Axes, map, scale: Scale, *, image=None, alpha: float = ALPHA, smooth: bool = True) -> None:
    """A map in the colours of `scale`, over the greyed picture where one is given, else by itself."""
    values = map_of(map)
    if image is not None:
        grey = greyed(large(pixels_of(image)))
        axes.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="antialiased")
        size = grey.shape
    else:
        size = tuple(max(1, round(SHOWN / max(values.shape))) * side for side in values.shape)
    values = upsample(values[None], size)[0] if smooth else values
    rows, columns = size
    axes.imshow(
        scale(values.numpy()),
        alpha=alpha,
        interpolation="nearest",
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
    )
    bare(axes)


def bare(axes: Axes) -> None:
    """No ticks, a thin frame."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color=FRAME, linewidth=0.8)


def name(axes: Axes, title: str) -> None:
    """A title over one panel."""
    if title:
        axes.set_title(title, size=SIZES["label"], color=INK, parse_math=False)


def bar(figure: Drawing, axes, scale: Scale, *, cax: Axes | None = None, ticks=None, **shape):
    """The colour bar of a scale, with few numbers."""
    where = {"cax": cax} if cax is not None else {"ax": axes, "fraction": 0.046, "pad": 0.02, **shape}
    made = figure.colorbar(ScalarMappable(scale.norm, scale.colours), **where)
    made.set_ticks(list(ticks) if ticks is not None else MaxNLocator(5))
    made.outline.set(edgecolor=FRAME, linewidth=0.8)
    made.ax.tick_params(labelsize=SIZES["small"], length=2, color=MUTED, labelcolor=INK)
    made.formatter.set_powerlimits((-2, 3))
    made.ax.yaxis.get_offset_text().set(size=SIZES["small"], color=INK, horizontalalignment="left")
    return made
