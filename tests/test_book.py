"""The built book in a browser: every page, light and dark, with no host to be reached but this one; and from disk.

Needs `make book` (or `make test`, which builds it first) and Chromium.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page, expect

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
LIMIT = 2_000_000  # bytes of a page before anybody scrolls or touches it
# not counted: shared by all pages, and cached
SHARED = ("mathjax/", "require.js", "embed-amd.js", "widgets-local.js", "anywidget.js", "@jupyter-widgets/")
IMAGES = """async all => Promise.all(all.map(async i => {
    i.loading = "eager";
    await i.decode().catch(() => null);
    return [i.getAttribute("src"), i.alt, i.naturalWidth];
}))"""
PIXELS = "[...document.querySelectorAll('canvas')].filter(c => c.offsetParent).map(c => c.toDataURL()).join()"
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
        self.asked: set[str] = set()
        page.on("request", lambda r: self.asked.add(r.url))
        page.on("request", lambda r: self._say("outside", r.url, not r.url.startswith((site, "data:", "blob:"))))
        page.on("requestfailed", lambda r: self._say("failed", r.url))
        page.on("response", lambda r: self._say(str(r.status), r.url, r.status >= 400))
        page.on("pageerror", lambda error: self._say("error", str(error)))
        page.on("console", lambda m: self._say("console", m.text, m.type == "error"))

    def _say(self, kind: str, what: str, bad: bool = True) -> None:
        if bad:
            self.wrong.append(f"{kind}: {what}")

    def loaded(self, site: str) -> dict[str, int]:
        """Bytes of each file of the book that was asked for, as they lie on disk."""
        names = {unquote(urlsplit(url).path.removeprefix(urlsplit(site).path)) for url in self.asked if site in url}
        files = [name for name in names if not any(part in name for part in SHARED)]
        return {name: (BOOK / name).stat().st_size for name in files if (BOOK / name).is_file()}


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
        loaded = watch.loaded(site)
        assert name in loaded and sum(loaded.values()) <= LIMIT, sorted(loaded.items(), key=lambda each: -each[1])[:8]
        if name not in ("genindex.html", "search.html"):
            assert page.locator("html").get_attribute("data-theme") == theme
            assert page.locator("article h1").count() == 1
            assert findings(page, name) == []
            images = page.locator("article img").evaluate_all(IMAGES)
            assert [src for src, alt, width in images if not (alt or "").strip() or not width] == []
        assert page.locator("mjx-merror").count() == 0
        assert watch.wrong == []
    finally:
        page.close()


@pytest.mark.parametrize("name", PAGES)
def test_no_script_stands_twice_in_a_page(name):
    """One that toggles would undo itself."""
    scripts = re.findall(r"(?s)<script(?![^>]*json)[^>]*>.*?</script>", (BOOK / name).read_text().partition("<body")[0])
    assert len(scripts) == len(set(scripts)) > 5


def test_pictures_keep_their_colours_in_the_dark(browser, site):
    """The theme darkens every picture; a heat map must not change."""
    page, _ = open_page(browser, site + "book/intro.html", "dark", site)
    page.locator("article").evaluate("a => a.append(document.createElement('img'))")
    assert page.locator("article img").last.evaluate("i => getComputedStyle(i).filter") == "none"
    page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_wide_tables_first_column_hides_what_is_scrolled_beneath_it(browser, site, theme):
    page, _ = open_page(browser, site + "executed/13_table3.html", theme, site)
    cells = page.locator(".pst-scrollable-table-container tr > :first-child")
    grounds = cells.evaluate_all("found => found.map(cell => cell.tagName + getComputedStyle(cell).backgroundColor)")
    page.close()
    assert {ground[:2] for ground in grounds} == {"TH", "TD"}
    assert not [ground for ground in grounds if "rgba" in ground]  # a see-through one has an alpha


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


# ---- bytes, footers


def weight(html: str, folder: Path) -> int:
    """Bytes of a page with all its pictures and scripts, also those that wait until they come near."""
    names = re.findall(r'<(?:img|script)\b[^>]*\bsrc="(?!data:)([^"]+)"', html)
    files = {(folder / unquote(urlsplit(name).path)).resolve() for name in names}
    own = [file for file in files if file.is_file() and "vendor" not in file.parts]
    return len(html.encode()) + sum(file.stat().st_size for file in own)


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_heavy_even_when_read_to_its_end(name):
    """With room: other profiles have larger samples, and their figures are a little larger."""
    path = BOOK / name
    assert weight(path.read_text(), path.parent) <= 0.85 * LIMIT


def test_the_scales_see_a_heavy_page(tmp_path):
    (tmp_path / "a.png").write_bytes(b"0" * 1000)
    (tmp_path / "a.js").write_bytes(b"0" * 100)
    html = '<img loading="lazy" src="a.png"><script src="a.js?v=1"></script><img src="data:image/png;base64,AAAA">'
    assert weight(html, tmp_path) == 1000 + 100 + len(html)


def test_every_figure_and_table_of_a_cell_says_how_it_was_made():
    lines = 0
    for name in (page for page in PAGES if page.startswith("executed/")):
        path = BOOK / name
        for part in re.split(r'(?=<div class="cell_(?:input|output)|<section id=)', path.read_text()):
            if not part.startswith('<div class="cell_output'):
                continue
            tables = len(re.findall(r'<table (?:border="1" )?class="(?:table|dataframe)', part))
            made = re.findall(r'make verify FIG=([\w/-]+)</code> <a href="([^"]+)" download', part)
            assert len(made) == tables + part.count("<figcaption"), (name, made)
            assert all((path.parent / file).stat().st_size > 2 for _, file in made)
            lines += len(made)
    assert lines > 150


# ---- from disk, search, and playing


@pytest.mark.parametrize(
    "name", ["book/intro.html", "executed/07_mmel.html", "executed/25_with_a_kernel.html", "book/playground.html",
             "book/claims.html", "genindex.html"]
)  # fmt: skip
def test_from_disk(browser, name):
    """Opened as a file: nothing fails, icons and formulae have their letters."""
    page, watch = open_page(browser, (BOOK / name).as_uri(), "light", BOOK.as_uri())
    assert watch.loaded(BOOK.as_uri() + "/")[name] and watch.wrong == []
    fonts = page.evaluate("[...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
    assert any("Awesome" in font for font in fonts), "no icon has its font"
    if page.locator("mjx-container").count():
        assert any(font.startswith("MJX") for font in fonts) and page.locator("mjx-merror").count() == 0
    page.close()


@pytest.fixture(params=["served", "disk"])
def root(request, site):
    return site if request.param == "served" else BOOK.as_uri() + "/"


def test_search_finds_a_word_and_leads_to_its_page(browser, root):
    page, watch = open_page(browser, root + "executed/01_welcome.html", "light", root)
    page.locator(".search-button__button:visible").first.click()
    page.locator("#search-input").fill("degeneracy")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=degeneracy*")
    found = page.locator("#search-results li a")
    expect(found.first).to_be_visible()
    expect(page.locator("#search-results .search-summary")).to_contain_text("found")
    assert any("21_degeneracy.html" in each.get_attribute("href") for each in found.all())
    page.locator("#search-results li a[href*='21_degeneracy.html']").first.click()
    page.wait_for_url("**/executed/21_degeneracy.html*")
    assert "degenera" in page.locator("article").inner_text().lower()
    page.goto(root + "search.html?q=xylophonist", wait_until="networkidle")
    expect(page.locator("#search-results .search-summary")).to_contain_text("did not match")
    assert found.count() == 0 and watch.wrong == []
    page.close()


def test_the_search_key_counts_from_the_first_moment(browser, site):
    """Ctrl+K while the page is still coming in, before the theme's script has run, and again afterwards."""
    page, held = browser.new_page(), []
    # the last script of the page, which its parser waits for
    page.route("**/pydata-sphinx-theme.js*", lambda route: held.append(route))
    page.goto(site + "executed/07_mmel.html", wait_until="commit")
    for _ in range(100):
        page.wait_for_timeout(100)
        if held:
            break
    assert page.evaluate("document.readyState") == "loading"
    page.keyboard.press("Control+k")
    held[0].continue_()
    expect(page.locator("#search-input")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#search-input")).not_to_be_visible()
    page.keyboard.press("Control+k")
    expect(page.locator("#search-input")).to_be_focused()
    page.close()


def settled(page: Page) -> str:
    """All pixels, once the next frame has been drawn."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(PIXELS)


@pytest.mark.parametrize(("where", "name"), [("disk", "07_mmel"), ("served", "08_metrics"), ("served", "16_sanity")])
def test_sliders_move_by_key_and_by_mouse(browser, site, where, name):
    """The playable figures where they are: between text and formulae, in the theme's styles."""
    root = site if where == "served" else BOOK.as_uri() + "/"
    page, watch = open_page(browser, f"{root}executed/{name}.html", "light", root)
    page.locator(".mmel-play[data-ready=yes]").first.wait_for()
    sliders = page.locator(".mmel-play input[type=range]:enabled:visible")
    assert sliders.count() > 0
    for i in range(min(2, sliders.count())):
        slider = sliders.nth(i)
        slider.scroll_into_view_if_needed()
        states = [settled(page)]
        slider.focus()
        for _ in range(4):
            page.keyboard.press("ArrowRight")
        states.append(settled(page))
        box, value = slider.bounding_box(), slider.input_value()
        y = box["y"] + box["height"] / 2
        page.mouse.move(box["x"] + box["width"] * 0.3, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.85, y, steps=4)
        page.mouse.up()
        states.append(settled(page))
        assert slider.input_value() != value
        assert states[0] != states[1] and states[1] != states[2], f"slider {i} of {name}"
    assert watch.wrong == []
    page.close()
