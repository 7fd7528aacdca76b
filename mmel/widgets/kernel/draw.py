"""What live widgets show: columns of small pictures on one white sheet, drawn in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ...figures.frame import FRAME, HUES, INK, MUTED, map_of, pixels_of, scale_of
from ...figures.pictures import ALPHA, greyed
from ...figures.words import Words, readable, short
from ...maps import upsample

SIDE, GAP, MARGIN = 240, 18, 14  # pixels: a column's width, what lies between two, and around all


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """The letters of all figures, which come with matplotlib."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


def png(picture: Image.Image) -> bytes:
    """A picture as the bytes of a file."""
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def fitted(picture: Image.Image) -> Image.Image:
    """A picture as wide as a column."""
    size = (SIDE, max(1, round(SIDE * picture.height / picture.width)))
    return framed(picture.convert("RGB").resize(size, Image.Resampling.BICUBIC))


def framed(picture: Image.Image) -> Image.Image:
    ImageDraw.Draw(picture).rectangle((0, 0, picture.width - 1, picture.height - 1), outline=FRAME)
    return picture


def painted(picture: Image.Image, map) -> Image.Image:
    """A map [rows, columns] over its picture, which turns grey below it, as in all figures of the book."""
    grey = greyed(pixels_of(fitted(picture)))
    values = map_of(map)
    colours = scale_of(values)(upsample(values[None], grey.shape)[0].numpy())[..., :3]
    mixed = (1 - ALPHA) * grey[..., None] + ALPHA * colours
    return framed(Image.fromarray((mixed * 255).round().clip(0, 255).astype(np.uint8)))


def bar(map) -> Image.Image:
    """The colours of a map from its lowest to its highest value, with both numbers."""
    values, made = map_of(map), Image.new("RGB", (SIDE, 34), "white")
    scale = scale_of(values)
    low, high = float(scale.norm.vmin), float(scale.norm.vmax)
    row = (scale(np.linspace(low, high, SIDE))[None, :, :3] * 255).round().astype(np.uint8)
    made.paste(Image.fromarray(np.repeat(row, 10, 0)), (0, 4))
    pen = ImageDraw.Draw(made)
    ends = [short(low), short(high)] if short(low) != short(high) else [f"{low:.4g}", f"{high:.4g}"]
    pen.text((0, 17), ends[0], INK, font(12))
    pen.text((SIDE, 17), ends[1], INK, font(12), anchor="ra")
    return made


def line(text: str, *, size: int = 14, bold: bool = False, colour: str = INK, width: int = SIDE) -> Image.Image:
    """A text in as many lines as it needs."""
    letters, lines = font(size, bold), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and letters.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    made = Image.new("RGB", (width, len(lines) * (size + 6)), "white")
    for number, each in enumerate(lines):
        ImageDraw.Draw(made).text((0, number * (size + 6)), each, colour, letters)
    return made


def worded(words: Words) -> Image.Image:
    """The words of a text, each on the colour of its value, with the value below it."""
    low = min(0.0, *words.values)
    scale, places, x, y = scale_of(words.values, limits=(low, max(words.values))), [], 0, 0
    for word, value in zip(*words, strict=True):
        needs = round(max(font(14).getlength(word), font(11).getlength(short(value)))) + 10
        if x and x + needs > SIDE:
            x, y = 0, y + 44
        places.append((x, y, needs))
        x += needs + 5
    made = Image.new("RGB", (SIDE, y + 44), "white")
    pen = ImageDraw.Draw(made)
    for (left, top, needs), word, value in zip(places, *words, strict=True):
        colour = tuple(round(255 * part) for part in scale(value)[:3])
        pen.rectangle((left, top, left + needs - 1, top + 23), fill=colour)
        pen.text((left + needs / 2, top + 12), word, readable(scale, value), font(14), anchor="mm")
        pen.text((left + needs / 2, top + 33), short(value), MUTED, font(11), anchor="mm")
    return made


def plotted(fractions: Sequence[float], values: Sequence[float], at: int, below: str) -> Image.Image:
    """A curve with a dot at point `at`, the range of its values, and what stands below it."""
    made = Image.new("RGB", (SIDE, SIDE + 34), "white")
    pen, room = ImageDraw.Draw(made), SIDE - 16
    low, high = min(values), max(values)
    reach, span = (high - low) or 1.0, (max(fractions) - min(fractions)) or 1.0
    points = [(8 + (f - min(fractions)) / span * room, 8 + (1 - (v - low) / reach) * room)
              for f, v in zip(fractions, values, strict=True)]  # fmt: skip
    pen.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=FRAME)
    pen.line(points, HUES[0], 3, joint="curve")
    x, y = points[at]
    pen.line((x, 1, x, SIDE - 2), MUTED, 1)
    pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=HUES[1], outline="white", width=2)
    for value, y, anchor in ((high, 5, "la"), (low, SIDE - 6, "ls")):
        pen.rectangle(pen.textbbox((6, y), short(value), font(12), anchor), fill="white")
        pen.text((6, y), short(value), INK, font(12), anchor=anchor)
    pen.text((SIDE / 2, SIDE + 14), below, MUTED, font(12), anchor="mm")
    return made


def stacked(parts: Sequence[Image.Image], gap: int = 6) -> Image.Image:
    """Pictures below each other."""
    height = sum(part.height for part in parts) + gap * (len(parts) - 1)
    made, top = Image.new("RGB", (max(part.width for part in parts), height), "white"), 0
    for part in parts:
        made.paste(part, (0, top))
        top += part.height + gap
    return made


def taller(picture: Image.Image, height: int) -> Image.Image:
    """A picture with white below it."""
    made = Image.new("RGB", (picture.width, height), "white")
    made.paste(picture)
    return made


def sheet(title: str, columns: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Columns beside each other below a title. What stands first in each, its name, takes the same room in all."""
    room = max(parts[0].height for parts in columns)
    stacks = [stacked([taller(parts[0], room), *parts[1:]]) for parts in columns]
    inner = len(stacks) * (SIDE + GAP) - GAP
    head = [line(title, size=17, bold=True, width=inner)] if title else []
    body = Image.new("RGB", (inner, max(stack.height for stack in stacks)), "white")
    for place, stack in enumerate(stacks):
        body.paste(stack, (place * (SIDE + GAP), 0))
    whole = stacked([*head, body], 10)
    made = Image.new("RGB", (whole.width + 2 * MARGIN, whole.height + 2 * MARGIN), "white")
    made.paste(whole, (MARGIN, MARGIN))
    return framed(made)
