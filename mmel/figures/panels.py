"""Maps beside each other at exact places: the steps of a method, and the picture of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from ..errors import ShapeMismatch
from .frame import MUTED, POINTS, SIZES, Drawing, axes_at, drawing, map_of, scale_of, sheet
from .pictures import ALPHA, aspect, bar, draw_map, draw_picture
from .words import MARGIN, Strip, Words, wrapped, write

BAR, TICKS, BETWEEN = 8.0, 46.0, 12.0  # points: a colour bar, its numbers, from panel to panel
TITLE, NAME, GAP = 18.0, 20.0, 14.0  # points: a line of the title, a panel's name, between blocks


class Explained(NamedTuple):
    """What one method says about one pair of image and text; a map is None where it gives none."""

    name: str
    map: object | None  # [rows, columns]
    words: Words | None
    score: float | None = None


def explanation(
    image,
    map,
    words: Sequence[str] = (),
    values: Sequence[float] = (),
    *,
    text: str = "",
    score: float | None = None,
    name: str = "",
    side: float = 3.1,  # inches of a picture
    smooth: bool = True,
) -> Drawing:
    """One explained pair: the picture, the map over it, the words in the colours of the text map, the score.

    `text` is the title, by default the words; `values` [word] are raw, as `map` [rows, columns] is.
    """
    one = Explained(name, map, Words(tuple(words), tuple(values)) if len(words) else None, score)
    return explanations(image, [one], text=text or " ".join(words), side=side, smooth=smooth)


def explanations(
    image, explained: Sequence[Explained], *, text: str, side: float = 3.1, smooth: bool = True
) -> Drawing:
    """One pair explained by several methods side by side, every map with a colour bar of its own, raw values.

    The score stands below the text; where methods explain different scores, beside each method's name.
    """
    if not len(explained):
        raise ShapeMismatch("at least one method's maps are needed, but none came.")
    side = side * POINTS
    panels = [each for each in explained if each.map is not None or len(explained) > 1]
    width = 2 * MARGIN + panels_width(side, len(panels), True)
    titles = wrapped(f"\u201c{text.strip()}\u201d", width - 2 * MARGIN, SIZES["title"], weight="bold")
    scores = scores_of(explained)
    top = MARGIN + TITLE * (len(titles) + (len(scores) == 1))
    below = top + NAME + side * aspect(image) + GAP
    column = side + BAR + TICKS
    blocks = [Block(each, column if len(explained) > 1 else width - 2 * MARGIN) for each in explained]
    worded = any(each.words for each in explained)
    height = below + (max(block.height for block in blocks) + MARGIN if worded else 0)
    figure = drawing(width / POINTS, height / POINTS, layout=None)
    page = sheet(figure)
    head(page, titles, scores)
    if len(scores) > 1:
        panels = [each._replace(name=f"{each.name}   {said(each.score)}") for each in panels]
    draw_panels(figure, page, image, panels, Place(top, side), smooth=smooth)
    for place, block in enumerate(blocks if worded else ()):
        block.draw(page, MARGIN + (len(blocks) > 1) * (side + BETWEEN + place * (column + BETWEEN)), below)
    return figure


def row(
    maps: Sequence,
    titles: Sequence[str],
    *,
    image=None,
    smooth: bool = False,
    signed: bool | None = None,
    side: float = 2.2,  # inches of a map
) -> Drawing:
    """Maps beside each other, each with its own colour bar: the steps of a method, on its own grid or over `image`."""
    if len(maps) != len(titles) or not len(maps):
        raise ShapeMismatch(f"each map has a title, but {len(maps)} maps and {len(titles)} titles came.")
    panels = [Explained(title, each, None) for title, each in zip(titles, maps, strict=True)]
    side = side * POINTS
    width = 2 * MARGIN + panels_width(side, len(panels), image is not None)
    height = 2 * MARGIN + NAME + side * panel_aspect(image, panels)
    figure = drawing(width / POINTS, height / POINTS, layout=None)
    draw_panels(figure, sheet(figure), image, panels, Place(MARGIN / 2, side), smooth=smooth, signed=signed)
    return figure


class Block:
    """One method's words below the panels, at most `width` points wide."""

    def __init__(self, explained: Explained, width: float):
        self.strip = Strip(*explained.words, width) if explained.words else None
        self.label = "words, each with its value" if self.strip else "no map of the text"
        self.height = NAME + (self.strip.height if self.strip else 0.0)

    def draw(self, page: Axes, left: float, top: float) -> None:
        """Draw onto a sheet in points."""
        write(page, self.label, left, top + 10, SIZES["small"], color=MUTED)
        if self.strip:
            self.strip.draw(page, left, top + NAME - 4)


def scores_of(explained: Sequence[Explained]) -> list[str]:
    """The different scores, as they are written."""
    return list(dict.fromkeys(said(each.score) for each in explained if each.score is not None))


def said(score: float | None) -> str:
    return "" if score is None else f"score {float(score):.3f}".replace("-", "\N{MINUS SIGN}")


def head(page: Axes, titles: Sequence[str], scores: Sequence[str]) -> None:
    """The text, and below it the score, if it is one for all."""
    for line, words in enumerate(titles):
        write(page, words, MARGIN, MARGIN + 12 + line * TITLE, SIZES["title"], weight="bold")
    if len(scores) == 1:
        words = f"{scores[0]}   (cosine of image and text)"
        write(page, words, MARGIN, MARGIN + 12 + len(titles) * TITLE, SIZES["label"], color=MUTED)


class Place(NamedTuple):
    """Where panels go, in points: the upper edge of their names, and the width of a picture."""

    top: float
    side: float


def panels_width(side: float, panels: int, with_image: bool) -> float:
    """Points from the left edge of the first panel to the numbers of the last colour bar."""
    return with_image * side + panels * (side + BAR + TICKS) + BETWEEN * (panels + with_image - 1)


def draw_panels(
    figure: Drawing,
    page: Axes,
    image,
    panels: Sequence[Explained],
    place: Place,
    *,
    smooth: bool,
    signed: bool | None = None,
) -> None:
    """The picture, where one is given, and each map beside it with its name and its colour bar."""
    left, top, side = MARGIN, place.top + NAME, place.side
    height = side * panel_aspect(image, panels)
    if image is not None:
        draw_picture(axes_at(figure, left, top, side, height), image)
        write(page, "image", left, top - 6, SIZES["label"], color=MUTED)
        left += side + BETWEEN
    for each in panels:
        write(page, each.name, left, top - 6, SIZES["label"])
        if each.map is None:
            write(page, "no map of the image", left, top + 10, SIZES["small"], color=MUTED)
        else:
            scale = scale_of(map_of(each.map), signed=signed)
            alpha = 1.0 if image is None else ALPHA
            draw_map(axes_at(figure, left, top, side, height), each.map, scale, image=image, alpha=alpha, smooth=smooth)
            bar(figure, None, scale, cax=axes_at(figure, left + side + 4, top, BAR, height))
        left += side + BAR + TICKS + BETWEEN


def panel_aspect(image, panels: Sequence[Explained]) -> float:
    """Height over width of the panels: the picture's, or the highest map's."""
    if image is not None:
        return aspect(image)
    return max(shape[0] / shape[1] for shape in (map_of(each.map).shape for each in panels))
