"""The cells' pictures as a page loads them: WebP that looks the same, its size stated, fetched when it comes near."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

EXACT = 40_000  # bytes up to which a picture keeps every pixel as it is
CELL = re.compile(r'<img (?![^>]*\bloading=)([^>]*\bsrc="[^"]*/_images/([^"/]+)"[^>]*?)( ?/?)>')


def smaller(path: Path) -> Path:
    """A PNG as a WebP beside it: every pixel the same where that is small, as good as the same elsewhere."""
    target = path.with_suffix(".webp")
    if not (target.exists() and target.stat().st_mtime >= path.stat().st_mtime):
        with Image.open(path) as picture:
            seen = picture.convert("RGBA" if least_opaque(picture) < 255 else "RGB")
        seen.save(target, "WEBP", lossless=True, quality=50, method=4)
        if target.stat().st_size > EXACT:
            seen.save(target, "WEBP", quality=93, alpha_quality=100, method=4, use_sharp_yuv=True)
    return min(target, path, key=lambda each: each.stat().st_size)


def least_opaque(picture: Image.Image) -> int:
    """The least opaque pixel of a picture, 255 where none is seen through."""
    return picture.convert("RGBA").getchannel("A").getextrema()[0]


def sources_of(app: Sphinx) -> dict[str, Path]:
    """Name in the built book -> file of every picture that is there."""
    named = {name: Path(app.srcdir) / path for path, (_, name) in app.env.images.items()}
    return {name: path for name, path in named.items() if path.is_file()}


@cache
def size_of(path: Path) -> tuple[int, int]:
    """Pixels across and down."""
    with Image.open(path) as picture:
        return picture.size


def made_by_a_cell(app: Sphinx, path: Path) -> bool:
    """Whether a picture came out of a notebook, and is no file of the sources."""
    return path.suffix == ".png" and Path(app.outdir).parent.resolve() in path.resolve().parents


def shrink(app: Sphinx, doctree: nodes.document) -> None:
    """Before the builder lists the pictures of a page."""
    for node in doctree.findall(nodes.image):
        if "://" in node["uri"] or node["uri"].startswith("data:"):
            continue
        path = Path(app.env.relfn2path(node["uri"])[1])
        if path.is_file() and made_by_a_cell(app, path):
            node["uri"] = node["uri"].removesuffix(path.name) + smaller(path).name


def hold_places(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Width and height, so that nothing jumps; all but the first picture of a page wait until they come near."""
    if "body" not in context or not page.startswith("executed/"):
        return
    sources, seen = sources_of(app), []

    def placed(found: re.Match) -> str:
        source = sources.get(found[2])
        if source is None or source.suffix == ".svg":
            return found[0]
        width, height = size_of(source)
        seen.append(found[2])
        lazy = ' loading="lazy"' if len(seen) > 1 else ""
        size = "" if re.search(r'\b(width|height)="', found[1]) else f' width="{width}" height="{height}"'
        return f"<img {found[1]}{size}{lazy}{found[3]}>"

    context["body"] = CELL.sub(placed, context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", shrink, priority=400)  # the builder's own list is made at 500
    app.connect("html-page-context", hold_places, priority=703)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
