"""The cells' pictures as a page loads them: fewer bytes, the same to the eye, their places held."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import bookpictures
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from mmel import figures
from mmel.scenes import split


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """Scenes with maps over them, as the chapters have them, and a plot of lines."""
    folder = tmp_path_factory.mktemp("drawn")
    some = split("figures")[:3]
    maps = [np.outer(np.hanning(7), np.hanning(7)).round(2)] * 3
    pictures = [scene.image for scene in some]
    kept = figures.grid(pictures, [[map, map] for map in maps], column_titles=["one", "two"])
    figures.save(kept, folder / "scenes.png")
    figure, axes = plt.subplots(figsize=(4, 3), dpi=110)
    axes.plot([1, 3, 2], label="a line")
    figure.savefig(folder / "lines.png")
    plt.close(figure)
    return folder


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), float)


def test_scenes_look_the_same_in_a_third_of_the_bytes(drawn):
    before = drawn / "scenes.png"
    after = bookpictures.smaller(before)
    assert after.suffix == ".webp" and after.stat().st_size < before.stat().st_size / 3
    off = np.abs(pixels(before) - pixels(after))
    assert pixels(before).shape == pixels(after).shape
    assert 10 * np.log10(255**2 / (off**2).mean()) > 36  # decibels: above 35 nobody tells them apart
    assert np.abs(pixels(before).mean((0, 1)) - pixels(after).mean((0, 1))).max() < 1  # no tint


def test_lines_keep_every_pixel(drawn):
    after = bookpictures.smaller(drawn / "lines.png")
    assert after.stat().st_size < (drawn / "lines.png").stat().st_size
    assert np.array_equal(pixels(after), pixels(drawn / "lines.png"))


def test_a_changed_picture_is_made_again(drawn):
    path = drawn / "again.png"
    Image.new("RGB", (30, 20), "red").save(path)
    first = pixels(bookpictures.smaller(path))
    Image.new("RGB", (30, 20), "blue").save(path)
    path.touch()
    assert not np.array_equal(first, pixels(bookpictures.smaller(path)))


def test_what_is_seen_through_stays_so(tmp_path):
    Image.new("RGBA", (40, 40), (255, 0, 0, 90)).save(tmp_path / "a.png")
    with Image.open(bookpictures.smaller(tmp_path / "a.png")) as picture:
        assert picture.convert("RGBA").getpixel((5, 5)) == (255, 0, 0, 90)


def test_only_pictures_of_cells_are_made_again(tmp_path):
    app = SimpleNamespace(outdir=tmp_path / "book" / "_build" / "html")
    assert bookpictures.made_by_a_cell(app, tmp_path / "book" / "_build" / "jupyter_execute" / "a.png")
    assert not bookpictures.made_by_a_cell(app, tmp_path / "book" / "a.png")
    assert not bookpictures.made_by_a_cell(app, tmp_path / "book" / "_build" / "jupyter_execute" / "a.svg")


def test_places_are_held_and_the_first_picture_comes_at_once(tmp_path):
    for name in ("a.webp", "b.webp"):
        Image.new("RGB", (120, 80)).save(tmp_path / name)
    app = SimpleNamespace(srcdir=tmp_path, env=SimpleNamespace(images={n: (set(), n) for n in ("a.webp", "b.webp")}))
    images = [f'<img alt="x" src="../_images/{name}" />' for name in ("a.webp", "b.webp", "gone.webp")]
    context = {"body": "".join(images) + '<img src="data:image/png;base64,AAAA">'}
    bookpictures.hold_places(app, "executed/x", "", context, None)
    assert context["body"].count('width="120" height="80"') == 2
    assert (
        context["body"].count('loading="lazy"') == 1
        and 'b.webp" width="120" height="80" loading="lazy"' in (context["body"])
    )
    assert images[2] in context["body"] and context["body"].endswith('AAAA">')
    before = dict(context)
    bookpictures.hold_places(app, "book/intro", "", context, None)
    assert context == before
