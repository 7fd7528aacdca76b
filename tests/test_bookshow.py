"""What the book does to the cells' output: long noted values are folded, figures are marked by their width."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import bookshow
from PIL import Image

from mmel.figures.frame import DPI, POINTS, SIZES

OPENED = '<div class="output stream highlight-myst-ansi notranslate"><div class="highlight"><pre><span></span>'
CLOSED = "</pre></div>\n</div>"
LONG = "{" + ", ".join(f'"name {i}": {i}.5' for i in range(20)) + "}"


def shown(body: str, images: dict | None = None, srcdir: str = ".") -> str:
    context = {"body": body}
    app = SimpleNamespace(srcdir=srcdir, env=SimpleNamespace(images=images or {}))
    bookshow.show(app, "executed/x", "", context, None)
    return context["body"]


def test_long_values_are_folded_and_nothing_is_lost():
    text = f"first = 1\nmany of them = {LONG}\nlast = 2\n"
    made = shown(OPENED + text + CLOSED)
    assert made.count('<details class="noted"><summary>many of them</summary>') == 1 and LONG in made
    assert made.index("first = 1") < made.index("many of them") < made.index("last = 2")
    assert made.count("<pre>") == made.count("</pre>") == 3
    assert len(re.findall(r"<div\b", made)) == len(re.findall("</div>", made))


def test_short_values_and_sentences_stay_as_they_are():
    for text in ("score = 0.82\n", "pair = [1, 2]\n", f"{'word ' * 60}= {LONG[1:]}\n", "a sentence, no value\n"):
        assert shown(OPENED + text + CLOSED) == OPENED + text + CLOSED


def test_wide_figures_are_marked(tmp_path):
    (tmp_path / "executed").mkdir()
    for name, width in (("a.png", 400), ("b.png", 660), ("c.webp", 990)):
        Image.new("RGB", (width, 30)).save(tmp_path / "executed" / name)
    images = {f"executed/{name}": ({"executed/x"}, name) for name in ("a.png", "b.png", "c.webp")}
    body = "".join(
        f'<figure class="align-default" id="f">\n<img alt="x" src="../_images/{name}" /></figure>'
        for name in ("a.png", "b.png", "c.webp", "gone.png")
    )
    made = shown(body, images, str(tmp_path))
    assert re.findall(r'class="wide" style="--least: (\d+)px" alt="x" src="../_images/(\w+)', made) == [
        ("462", "b"),
        ("693", "c"),
    ]


def test_the_smallest_letters_of_a_swiped_figure_can_be_read():
    assert min(SIZES.values()) / POINTS * DPI * bookshow.SHRINK >= 9
