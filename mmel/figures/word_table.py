"""One text explained in many ways: a word a column, a method a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ShapeMismatch
from .frame import HUES, MUTED, POINTS, SIZES, Drawing, array_of, drawing, scale_of, sheet
from .words import LETTERS, MARGIN, PAD, readable, text_width, write

ROW, GAP, HEAD = 21.0, 3.0, 30.0  # points: a row's box, what is between two boxes, the words above


def word_table(
    words: Sequence[str],
    rows: Mapping[str, Sequence[float]],
    *,
    true: Sequence[bool] = (),  # words to underline
    marked: Sequence[str] = (),  # rows whose name is grey: controls, say
    least: float = 6.0,  # inches
) -> Drawing:
    """A text above, and under each of its words what each row gives it, as a share of the row's absolute sum.

    Red boxes count for, blue ones against; all rows have one scale, and the numbers are per cent. A row of zeros is
    left white.
    """
    words, shares = list(words), {name: shares_of(values, len(words)) for name, values in rows.items()}
    left = MARGIN + max(text_width(name, SIZES["label"]) for name in shares) + 12
    needs = [max(text_width(word, LETTERS, "bold"), 26.0) + 2 * PAD for word in words]
    width = left + sum(needs) + GAP * len(words) + MARGIN
    spread = max(0.0, least * POINTS - width) / len(words)
    figure = drawing(
        (width + spread * len(words)) / POINTS, (2 * MARGIN + HEAD + ROW * len(shares)) / POINTS, layout=None
    )
    page, scale = sheet(figure), scale_of([each for line in shares.values() for each in line], signed=True)
    x = left
    for place, (word, need) in enumerate(zip(words, needs, strict=True)):
        middle, right = x + (need + spread) / 2, x + need + spread
        named = bool(true[place]) if len(true) else False
        write(page, word, middle, MARGIN + 14, LETTERS, ha="center", weight="bold" if named else "normal")
        if named:
            page.hlines(MARGIN + 20, x, right, color=HUES[2], linewidth=2.5)
        column(page, [line[place] for line in shares.values()], (x, right), scale)
        x = right + GAP
    for line, name in enumerate(shares):
        colour = {"color": MUTED} if name in marked else {}
        write(page, name, left - 8, MARGIN + HEAD + line * ROW + 13.5, SIZES["label"], ha="right", **colour)
    return figure


def column(page, values: Sequence[float], ends: tuple[float, float], scale) -> None:
    """What all rows give one word, downwards."""
    for line, value in enumerate(values):
        top = MARGIN + HEAD + line * ROW
        page.fill_between(ends, top, top + ROW - GAP, color=scale(value), linewidth=0)
        number = f"{100 * value:.0f}".replace("-0", "0").replace("-", "\N{MINUS SIGN}")
        write(page, number, sum(ends) / 2, top + 13, SIZES["small"], ha="center", color=readable(scale, value))


def shares_of(values, count: int) -> list[float]:
    """A row's values over the sum of their absolute values; zeros stay zeros."""
    values = array_of(values, "values of words")
    if values.shape != (count,):
        raise ShapeMismatch(f"each of the {count} words has one value a row; got values of shape {list(values.shape)}.")
    total = abs(values).sum()
    return (values / total if total else values).tolist()
