"""What cells show, made readable: long noted values are folded, and wide figures keep their letters on a phone."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from sphinx.application import Sphinx

NOTED = re.compile(
    r'<div class="output text_plain highlight-myst-ansi notranslate"><div class="highlight">'
    r"<pre><span></span>([^\n<]{1,120}?) = ([^\n<]*)\n</pre></div>\n</div>"
)
LONG = 100  # characters of a value that is folded
IMAGE = re.compile(r'(<figure\b[^>]*>\s*(?:<a\b[^>]*>)?<img )([^>]*\bsrc="[^"]*/([^"/]+\.png)")')
WIDE = 600  # pixels of a figure whose letters would be too small at the width of a phone


def folded(found: re.Match) -> str:
    """A noted value below its name, if it is long; else as it is."""
    name, value = found.groups()
    if len(value) < LONG:
        return found[0]
    return f'<details class="noted"><summary>{name}</summary><pre>{value}</pre></details>'


def width_of(path: Path) -> int:
    """Pixels across, from the head of a PNG file."""
    head = path.read_bytes()[:24]
    return struct.unpack(">I", head[16:20])[0] if head[:4] == b"\x89PNG" else 0


def show(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Fold and mark, in the chapters that were run."""
    if "body" not in context or not page.startswith("executed/"):
        return
    sources = {name: Path(app.srcdir) / path for path, (_, name) in app.env.images.items()}

    def marked(found: re.Match) -> str:
        source = sources.get(found[3])
        wide = source is not None and source.is_file() and width_of(source) >= WIDE
        return f'{found[1]}class="wide" {found[2]}' if wide else found[0]

    context["body"] = IMAGE.sub(marked, NOTED.sub(folded, context["body"]))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", show, priority=702)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
