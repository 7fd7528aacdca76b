"""What all playable figures share: their HTML, a page of their own, and the first state as a picture."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

from ..errors import BadSetting, ShapeMismatch
from ..figures.frame import DPI, HUES, Drawing, encoded, put
from .packing import address, raw

MOST = 1_250_000  # bytes of one figure: a page with its text and pictures stays below 1.5 MB
SCRIPTS = {"dials": ("gate.js", "dials.js")}  # others: one file of the kind's own name
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title></head><body class="mp-alone"><main>
{figure}
</main></body></html>
"""


@dataclass(frozen=True, repr=False)
class Playable:
    """A figure that plays in a page without a kernel. The last value of a cell shows it.

    `alt` says what `first`, the PNG of the first state, shows: it stands there in print, and where no script runs.
    """

    kind: str
    title: str
    alt: str
    data: Mapping[str, object]
    first: bytes

    def __post_init__(self):
        if not self.alt.strip() or not self.title.strip():
            raise BadSetting("a figure needs a title, and a text for those who do not see it; an empty one came.")
        if (size := len(self.html.encode())) > MOST:
            raise BadSetting(
                f"the figure has {size:,} bytes, more than {MOST:,}: give fewer pictures, texts, methods or layers."
            )

    @property
    def name(self) -> str:
        """An id that is the figure's own, the same for the same data."""
        said = json.dumps([self.title, self.data], sort_keys=True).encode()
        return f"play-{self.kind}-{sha256(said).hexdigest()[:10]}"

    @property
    def html(self) -> str:
        """The figure as a part of any page: style, first state, data, script. It names no other file."""
        data = json.dumps(self.data, separators=(",", ":")).replace("<", "\\u003c")
        scripts = ("play.js", *SCRIPTS.get(self.kind, (f"{self.kind}.js",)))
        return "\n".join([
            f"<style>{source('play.css')}</style>",
            f'<div class="mmel-play" id="{self.name}" data-kind="{self.kind}">',
            f'<p class="mp-title" id="{self.name}-title">{escape(self.title)}</p>',
            f'<img class="mp-first" src="{address(self.first)}" alt="{escape(self.alt)}">',
            f'<div class="mp-live" role="group" aria-labelledby="{self.name}-title" hidden></div>',
            f'<script type="application/json" class="mp-data">{data}</script>',
            "</div>",
            *(f"<script>{source(each)}</script>" for each in scripts),
        ])  # fmt: skip

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"{self.kind}: {self.title} ({len(self.html.encode()):,} bytes). {self.alt}"

    def document(self) -> str:
        """A whole page with nothing but this figure."""
        return PAGE.format(title=escape(self.title), figure=self.html)

    def save(self, path: str | os.PathLike) -> Path:
        """Write `document()` to a file, which any browser opens from disk."""
        return put(self.document().encode(), Path(path))


@cache
def source(name: str) -> str:
    """A file of the figures' own style or scripts, without the empty lines that would end a block of Markdown."""
    text = files(__package__).joinpath("page", name).read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if line.strip())


def colours() -> dict[str, object]:
    """The book's colours: of maps, of signed maps, of lines."""
    tables = {name: np.rint(colormaps[name](np.arange(256))[:, :3] * 255) for name in ("viridis", "RdBu_r")}
    coded = {name: raw(table) for name, table in tables.items()}
    return coded | {"hues": list(HUES)}


def first_state(drawing: Drawing) -> bytes:
    """The PNG of a drawing, as it stands there before anything is played, in 256 colours of its own."""
    file = BytesIO()
    picture = Image.open(BytesIO(encoded(drawing, "png", dpi=DPI))).convert("RGB")
    picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def named(names: Sequence[str], known: Sequence[str], what: str) -> list[str]:
    """Names that are all known, or an error with those that are."""
    if missing := [name for name in names if name not in known]:
        raise BadSetting(f"{what}: {missing} not among {list(known)}.")
    return list(names)


def alike(name: str, found: int, wanted: int) -> None:
    """An error where two things that belong together have not one count."""
    if found != wanted:
        raise ShapeMismatch(f"{name}: {wanted} expected, one for each; got {found}.")
