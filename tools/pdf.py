"""The whole book as one PDF with page numbers, through Chromium: pdf.py [book/_build/html] [book/_build/book.pdf].

The pages' articles are joined in the order of _toc.yml into one page beside the others, printed from disk, and removed.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path

import yaml
from browser import chromium

ROOT = Path(__file__).parents[1]
ARTICLE = re.compile(r'<article class="bd-article"[^>]*>(.*?)</article>', re.DOTALL)
ADDRESS = re.compile(r'\b(src|href)="([^"]*)"')
ANCHOR = re.compile(r'(?<![\w-])(id|for|aria-labelledby)="([^"]+)"')
HEAD = re.compile(r"<head>(.*?)</head>", re.DOTALL)
FOOT = '<div style="font-size:8px;width:100%;text-align:center">TITLE &middot; <span class="pageNumber"></span></div>'


def order(root: Path) -> list[str]:
    toc = yaml.safe_load((root / "_toc.yml").read_text())
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def place(name: str, anchor: str = "") -> str:
    """The one anchor of a page, or of a place in it, inside the joined page."""
    return re.sub(r"\W", "-", name) + (f"--{anchor}" if anchor else "")


def article(name: str, html: str, names: set[str]) -> str:
    """A page's article with its anchors made its own and its addresses seen from the book's root."""
    found = ARTICLE.search(html)
    if not found:
        raise SystemExit(f"{name}.html has no article: build the book again.")
    folder = posixpath.dirname(name)

    def address(match: re.Match) -> str:
        kind, link = match.groups()
        if re.match(r"[a-z]+:|//|$", link):
            return match[0]
        path, _, anchor = link.partition("#")
        path = posixpath.normpath(posixpath.join(folder, path)) if path else f"{name}.html"
        page = path.removesuffix(".html")
        return f'{kind}="#{place(page, anchor)}"' if page in names else f'{kind}="{path}"'

    text = re.sub(r"<script\b.*?</script>", "", found[1], flags=re.DOTALL)
    text = ADDRESS.sub(address, text.replace(' loading="lazy"', ""))  # paper does not scroll
    text = ANCHOR.sub(lambda match: f'{match[1]}="{place(name, match[2])}"', text)
    return f'<section class="one-page" id="{place(name)}">{text}</section>'


def joined(root: Path, book: Path) -> str:
    """One page of all pages, with the head of the first."""
    names = order(root)
    pages = {name: (book / f"{name}.html").read_text(encoding="utf-8") for name in names}
    head = HEAD.search(pages[names[0]])[1].replace("../_static", "_static")
    style = (
        "<style>.one-page{break-before:page}.one-page:first-child{break-before:auto}a.headerlink{display:none}</style>"
    )
    body = "\n".join(article(name, html, set(names)) for name, html in pages.items())
    return (
        f'<!doctype html><html lang="en" data-theme="light"><head>{head}{style}</head><body><main class="bd-content">\
<div class="bd-article-container">{body}</div></main></body></html>'
    )


def make(root: Path, book: Path, target: Path) -> None:
    """Print the joined page."""
    title = yaml.safe_load((root / "_config.yml").read_text())["title"]
    page_file = book / "whole-book.html"
    page_file.write_text(joined(root, book), encoding="utf-8")
    try:
        with chromium() as running:
            page = running.new_page()
            page.goto(page_file.as_uri(), wait_until="networkidle", timeout=240_000)
            page.evaluate("window.MathJax?.startup?.promise")
            page.pdf(path=str(target), format="A4", scale=0.8, print_background=True, display_header_footer=True,
                     outline=True, tagged=True, header_template="<span></span>",
                     footer_template=FOOT.replace("TITLE", title),
                     margin={"top": "16mm", "bottom": "18mm", "left": "16mm", "right": "16mm"})  # fmt: skip
    finally:
        page_file.unlink()
    print(f"The book as one file is in {target} ({target.stat().st_size / 1e6:.1f} MB).")


def main(arguments: list[str]) -> None:
    book = Path(arguments[0]) if arguments else ROOT / "book" / "_build" / "html"
    target = Path(arguments[1]) if len(arguments) > 1 else ROOT / "book" / "_build" / "book.pdf"
    try:
        make(ROOT, book.resolve(), target.resolve())
    except FileNotFoundError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main(sys.argv[1:])
