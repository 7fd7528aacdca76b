"""What cells show, made readable: long noted values are folded, and wide figures keep their letters on a phone."""

from __future__ import annotations

import re

from bookpictures import size_of, sources_of
from sphinx.application import Sphinx

BLOCK = re.compile(
    r'(<div class="output (?:text_plain|stream) highlight-myst-ansi notranslate"><div class="highlight"><pre>'
    r"<span></span>)([^<]*)(</pre></div>\n</div>)"
)
NOTED = re.compile(r"([^\n=]{1,120}) = ([\[{].*)")
LONG = 100  # characters of a value that is folded
IMAGE = re.compile(r'(<figure\b[^>]*>\s*(?:<a\b[^>]*>)?<img )([^>]*\bsrc="[^"]*/([^"/]+\.(?:png|webp))")')
FITS = 345  # pixels across that a phone has for a figure
SHRINK = 0.7  # a figure is made no smaller: its smallest letters, 13 pixels high, then keep 9


def folded(found: re.Match) -> str:
    """What a cell prints, its long noted values each below its name; the rest as it is."""
    opened, text, closed = found.groups()
    parts, plain = [], []
    for line in text.splitlines(keepends=True):
        noted = NOTED.fullmatch(line.rstrip("\n"))
        if noted and len(noted[2]) >= LONG:
            parts += [f"{opened}{''.join(plain)}{closed}"] if plain else []
            parts.append(f'<details class="noted"><summary>{noted[1]}</summary><pre>{noted[2]}</pre></details>')
            plain = []
        else:
            plain.append(line)
    return "".join([*parts, f"{opened}{''.join(plain)}{closed}" if plain or not parts else ""])


def show(app: Sphinx, page: str, template: str, context: dict, doctree: object) -> None:
    """Fold and mark, in the chapters that were run."""
    if "body" not in context or not page.startswith("executed/"):
        return
    sources = sources_of(app)

    def marked(found: re.Match) -> str:
        least = round(SHRINK * size_of(sources[found[3]])[0]) if found[3] in sources else 0
        return f'{found[1]}class="wide" style="--least: {least}px" {found[2]}' if least > FITS else found[0]

    context["body"] = IMAGE.sub(marked, BLOCK.sub(folded, context["body"]))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", show, priority=702)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
