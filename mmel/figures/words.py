"""Words with their values: tokens put together, and strips of coloured words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from ..errors import ShapeMismatch
from .frame import INK, MUTED, POINTS, SIZES, Drawing, Scale, array_of, drawing, scale_of, sheet

MARGIN = 12.0  # points
PAD, GAP, LINE = 5.0, 6.0, 40.0  # inside a word's box, between boxes, from line to line: points
LETTERS = 13.0  # size of the words, in points


class Words(NamedTuple):
    """The words of a text, each with the sum of its tokens' values."""

    words: tuple[str, ...]
    values: tuple[float, ...]


def words_of(ids: Sequence[int], values: Sequence[float], decode: Callable[[list[int]], str]) -> Words:
    """Put a text's tokens together: a word's value is the sum over its tokens.

    `ids` are the text's tokens without start and end of text, `values` one number each (`attribution.text[0]` from
    position 1 on; more values than ids are padding and left out, and ids without a value were cut from the text).
    `decode` turns ids into a string in which a space ends a word, as that of open_clip's tokenizer does.

    Notes
    -----
    Not in the paper, which colours words but does not say how tokens are put together.
    """
    values = array_of(values, "values of tokens").tolist()
    words, sums, open_ids, total = [], [], [], 0.0
    kept = list(zip(ids, values, strict=False))
    for place, (token, value) in enumerate(kept):
        open_ids.append(int(token))
        total += value
        if decode([int(token)]).endswith(" ") or place == len(kept) - 1:
            words.append(decode(open_ids).strip())
            sums.append(total)
            open_ids, total = [], 0.0
    return Words(tuple(words), tuple(sums))


def words_of_text(tokenizer: object, text: str, values: Sequence[float]) -> Words | None:
    """The words of a text with their values; None where the tokenizer cannot tell which tokens make a word.

    `values` has one number a position of the context, the start and the end of the text included.
    """
    encode, decode = (getattr(tokenizer, name, None) for name in ("encode", "decode"))
    if encode is None or decode is None:
        return None
    ids = encode(text)[: len(values) - 2]  # the start and the end of the text have positions of their own
    return words_of(ids, values[1:], decode)


def word_strip(
    words: Sequence[str],
    values: Sequence[float],
    *,
    title: str = "",
    width: float = 6.0,  # inches
    signed: bool | None = None,
    limits: tuple[float, float] | None = None,
) -> Drawing:
    """The words of a text in reading order, each on the colour of its value, with the value below it."""
    strip = Strip(words, values, width * POINTS - 2 * MARGIN, signed=signed, limits=limits)
    above = MARGIN + (22 if title else 0)
    figure = drawing(width, (above + strip.height + MARGIN) / POINTS, layout=None)
    page = sheet(figure)
    if title:
        write(page, title, MARGIN, MARGIN + 12, SIZES["title"], weight="bold")
    strip.draw(page, MARGIN, above)
    return figure


class Strip:
    """Words laid out in lines of `width` points; `height` is known before anything is drawn."""

    def __init__(self, words: Sequence[str], values: Sequence[float], width: float, *, signed=None, limits=None):
        self.words, self.values = list(words), array_of(values, "values of words")
        if self.values.shape != (len(self.words),):
            raise ShapeMismatch(
                f"each word has one value; got {len(self.words)} words and values of shape {list(self.values.shape)}."
            )
        low = min(0.0, float(self.values.min()))  # a word of no value has the colour of nothing
        self.scale = scale_of(self.values, signed=signed, limits=limits or (low, float(self.values.max())))
        self.labels = [short(value) for value in self.values]
        self.places = lay([self.needs(i) for i in range(len(self.words))], width)
        self.height = (self.places[-1][1] + 1) * LINE

    def needs(self, index: int) -> float:
        """Points that a word takes: its letters or its number, whichever is wider."""
        word, number = text_width(self.words[index], LETTERS), text_width(self.labels[index], SIZES["small"])
        return max(word, number) + 2 * PAD

    def draw(self, page: Axes, left: float, top: float) -> None:
        """Draw onto a sheet in points."""
        for i, (x, line) in enumerate(self.places):
            middle, base = left + x + self.needs(i) / 2, top + line * LINE
            self.box(page, i, left + x, base)
            ink = readable(self.scale, self.values[i])
            write(page, self.words[i], middle, base + 16, LETTERS, color=ink, ha="center")
            write(page, self.labels[i], middle, base + 32, SIZES["small"], color=MUTED, ha="center")

    def box(self, page: Axes, index: int, left: float, top: float) -> None:
        corners = [left, left + self.needs(index)]
        colour = self.scale(self.values[index])
        page.fill_between(corners, top, top + 22, color=colour, linewidth=0)


def lay(needs: Sequence[float], width: float, gap: float = GAP) -> list[tuple[float, int]]:
    """Where boxes of these widths go: x from the left, and the number of the line."""
    places, x, line = [], 0.0, 0
    for need in needs:
        if x and x + need > width:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += need + gap
    return places


def wrapped(text: str, width: float, size: float, *, weight: str = "normal") -> list[str]:
    """A text in lines of at most `width` points; a single longer word stays whole."""
    words = text.split() or [""]
    space = text_width("n n", size, weight) - text_width("nn", size, weight)
    places = lay([text_width(word, size, weight) for word in words], width, space)
    lines: list[list[str]] = [[] for _ in range(places[-1][1] + 1)]
    for word, (_, line) in zip(words, places, strict=True):
        lines[line].append(word)
    return [" ".join(line) for line in lines]


@cache
def text_width(text: str, size: float, weight: str = "normal") -> float:
    """Width of a text in points, before there is anything to draw it on."""
    font = FontProperties(family=["DejaVu Sans"], size=size, weight=weight)
    return TextToPath().get_text_width_height_descent(text, font, ismath=False)[0]


def write(axes: Axes, text: str, x: float, y: float, size: float, **how) -> None:
    """Text as it is, dollar signs included, its base line at `y`."""
    how = {"color": INK, "va": "baseline", "family": ["DejaVu Sans"], **how}
    axes.text(x, y, text, size=size, parse_math=False, **how)


def readable(scale: Scale, value: float) -> str:
    """Black or white, whichever is read better on the colour of a value."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in scale(value)[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


def alike(values: np.ndarray) -> list[list[str]]:
    """The numbers of a matrix with as many digits after the point as its largest asks for; whole ones stay whole."""
    largest = float(np.abs(values).max())
    digits = min(max(1 - math.floor(math.log10(largest)), 0), 5) if largest else 0
    digits = 0 if np.equal(values, values.round()).all() else max(digits, int(largest < 100))
    texts = [[f"{value:,.{digits}f}" if value else "0" for value in row] for row in values.tolist()]
    return [[signless(text).replace("-", "\N{MINUS SIGN}") for text in row] for row in texts]


def signless(text: str) -> str:
    """A number that was rounded to zero without its sign."""
    return text if text.strip("-0.,") else text.removeprefix("-")


def short(value: float) -> str:
    """Two significant digits, with a true minus sign."""
    text = f"{value:.2g}" if abs(value) < 99.5 else f"{value:,.0f}"
    return text.replace("-", "\N{MINUS SIGN}")
