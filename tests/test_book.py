"""The built book in a browser: every page, light and dark, with no host to be reached but this one.

Needs `make book` (or `make test`, which builds it first) and Chromium.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import golden  # noqa: E402
from browser import served  # noqa: E402

BOOK = ROOT / "book" / "_build" / "html"
AXE = (ROOT / "tests" / "data" / "axe.min.js").read_text()
PAGES = sorted(
    str(p.relative_to(BOOK)) for p in BOOK.rglob("*.html") if "_static" not in p.parts and p != BOOK / "index.html"
)
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
# What the theme and the bibliography's markup do, and no page of ours can change: rule -> where it may be.
THEIRS = {
    "label-content-name-mismatch": (".search-button", "summary"),
    "region": ("",),
    "aria-required-children": (".citation", "[role=", "doc-biblio"),
    "aria-allowed-role": (".citation", "[role=", "doc-biblio"),
    "aria-deprecated-role": (".citation", "[role=", "doc-biblio"),
}


def test_chapters_noted_their_golden_values():
    """Of the quick run that the pages were made from; `python tools/golden.py update` takes new ones over."""
    assert golden.RESULTS.exists(), "make notebooks PROFILE=quick"
    assert golden.faults(golden.entries(chapters=True), json.loads(golden.RESULTS.read_text())) == []


@pytest.fixture(scope="module")
def site():
    with served(BOOK) as address:
        yield address


class Watch:
    """What goes wrong on a page: requests to other hosts, requests that fail, errors of scripts."""

    def __init__(self, page: Page, site: str):
        self.wrong: list[str] = []
        page.on("request", lambda r: self._say("outside", r.url, not r.url.startswith((site, "data:", "blob:"))))
        page.on("requestfailed", lambda r: self._say("failed", r.url))
        page.on("response", lambda r: self._say(str(r.status), r.url, r.status >= 400))
        page.on("pageerror", lambda error: self._say("error", str(error)))
        page.on("console", lambda m: self._say("console", m.text, m.type == "error"))

    def _say(self, kind: str, what: str, bad: bool = True) -> None:
        if bad:
            self.wrong.append(f"{kind}: {what}")


def theirs(rule: str, page: str, node: dict) -> bool:
    """Whether a finding is the theme's or the bibliography's, by rule and place."""
    if rule.startswith("aria-") and page != "book/bibliography.html":
        return False
    where = " ".join(map(str, node["target"])) + node["html"]
    return any(part in where for part in THEIRS.get(rule, ()))


def findings(page: Page, name: str) -> list[str]:
    """What axe finds on a page, less what is not ours."""
    page.evaluate(AXE)
    found = page.evaluate("tags => axe.run(document, {runOnly: tags})", TAGS)
    return [
        f"{violation['id']}: {node['html'][:160]}"
        for violation in found["violations"]
        for node in violation["nodes"]
        if not theirs(violation["id"], name, node)
    ]


def open_page(browser, address: str, theme: str, site: str) -> tuple[Page, Watch]:
    page = browser.new_page(color_scheme=theme)
    page.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
    watch = Watch(page, site)
    page.goto(address, wait_until="networkidle")
    return page, watch


def test_the_book_is_there():
    assert "book/intro.html" in PAGES, "no book in book/_build/html: run `make book`"
    assert 'url=book/intro.html"' in (BOOK / "index.html").read_text()
    listed = (ROOT / "_toc.yml").read_text()
    pages = [line.split(":")[1].strip() for line in listed.splitlines() if "file:" in line or "root:" in line]
    assert [page for page in pages if f"{page}.html" not in PAGES] == []


def test_equations_carry_the_papers_numbers():
    """Each once, on the page that explains it; the paper has no Eq. 2."""
    seen = {page: re.findall(r'class="eqno">\(([^)<]*)\)', (BOOK / page).read_text()) for page in PAGES}
    numbers = sorted(
        number for found in seen.values() for number in found if number[0] in "123456789" and "." not in number
    )
    assert numbers == ["1a", "1b", "3", "4", "5", "6", "7", "8", "9"]
    assert "8" in seen["executed/05_grad_eclip.html"] and "9" in seen["executed/07_mmel.html"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page(browser, site, name, theme):
    """It loads from this host alone and without an error, it is accessible, and every picture has a text."""
    page, watch = open_page(browser, site + name, theme, site)
    try:
        if name not in ("genindex.html", "search.html"):
            assert page.locator("html").get_attribute("data-theme") == theme
            assert page.locator("article h1").count() == 1
            assert findings(page, name) == []
            images = page.locator("article img").evaluate_all(
                "all => all.map(i => [i.getAttribute('src'), i.alt, i.naturalWidth])"
            )
            assert [src for src, alt, width in images if not (alt or "").strip() or not width] == []
        assert page.locator("mjx-merror").count() == 0
        assert watch.wrong == []
    finally:
        page.close()


def test_pictures_keep_their_colours_in_the_dark(browser, site):
    """The theme darkens every picture; a heat map must not change."""
    page, _ = open_page(browser, site + "book/intro.html", "dark", site)
    page.locator("article").evaluate("a => a.append(document.createElement('img'))")
    assert page.locator("article img").last.evaluate("i => getComputedStyle(i).filter") == "none"
    page.close()


def test_the_watch_sees_what_is_wrong(browser, site):
    """The checks above can fail: another host, a missing file, a broken script, a picture without text."""
    page, watch = open_page(browser, site + "book/intro.html", "light", site)
    page.evaluate(
        """() => {
            const add = (tag, set) => document.querySelector("article").append(
                Object.assign(document.createElement(tag), set));
            add("img", {src: "http://example.org/a.png"});
            add("img", {src: "gone.png"});
            add("script", {text: "undefined.name"});
        }"""
    )
    page.wait_for_timeout(500)
    wrong = " ".join(watch.wrong)
    assert "outside: http://example.org/a.png" in wrong
    assert "404: " in wrong and "gone.png" in wrong
    assert "error: " in wrong
    assert any(found.startswith("image-alt") for found in findings(page, "book/intro.html"))
    page.close()
