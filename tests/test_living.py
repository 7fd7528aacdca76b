"""The first page's figure: what it says follows from its values, and it plays in a browser from a file of its own."""

from __future__ import annotations

import json
import re

import numpy as np
import pages_living
import pytest
import torch

from mmel.errors import MmelError, ShapeMismatch
from mmel.metrics import energy_pointing_game
from mmel.scenes import split
from mmel.widgets.living import SIDE, ask, outline, stops_of

METHODS = ("Attention", "One", "Two")
PAGE = '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
PIXELS = "all => all.map(each => each.toDataURL())"


@pytest.fixture(scope="module")
def scene():
    return split("figures")[0]


@pytest.fixture(scope="module")
def living(scene):
    maps = torch.rand(3, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    maps[:, 0] = maps[0, 0]  # deaf to the question
    maps[:, 2] = 3 * maps[:, 1]  # the same order
    return ask(scene, METHODS, maps)


def test_the_stops_are_the_objects_and_then_the_whole_caption(scene):
    stops = stops_of(scene)
    assert [stop.text for stop in stops] == ["a dog", "a car", scene.captions[0].text]
    assert [scene.captions[0].text[stop.start : stop.end] for stop in stops[:2]] == ["dog", "car"]
    assert (stops[2].mask == (stops[0].mask | stops[1].mask)).all()
    assert {stop.text for each in split("figures") for stop in stops_of(each)} >= {"two cats", "an elephant"}


def test_what_it_says_follows_from_the_values(living, scene):
    legend = living.legend()
    assert "Attention cannot hear the question" in legend and "One and Two put the patches in the same order" in legend
    assert "correlation 1.000" in legend
    other = living.maps.clone()
    other[:, 2] = 1 - other[:, 1]
    legend = ask(scene, METHODS, other + torch.arange(3.0).view(3, 1, 1, 1) * other.flip(-1)).legend()
    assert "cannot hear" not in legend and "not the same order" in legend
    mask = torch.from_numpy(scene.masks[0])[None]
    assert living.shares[0][1] == pytest.approx(float(energy_pointing_game(living.maps[0, 1:2], mask)))


def test_the_page_holds_everything_and_names_no_other_file(living):
    assert len(living.html.encode()) < 300_000
    assert not re.search(r'(?:src|href)="(?!data:)', living.html) and "http" not in living.html
    assert living.html.count("alt=") == 4 and 'alt=""' not in living.html
    assert not re.search(r"\n\s*\n", living.html)  # would end a block of Markdown
    data = json.loads(re.search(r"json\">(.*?)</script>", living.html)[1])
    assert [stop["text"] for stop in data["stops"]] == [stop.text for stop in living.stops]
    assert living.html == ask(split("figures")[0], METHODS, living.maps).html


def test_an_outline_runs_around_and_not_inside():
    mask = np.zeros((112, 112), bool)
    mask[30:60, 40:80] = True
    drawn = np.asarray(outline(mask))[..., 3] > 0
    assert drawn.shape == (SIDE, SIDE) and drawn.any() and not drawn[64:116, 84:156].any()


def test_maps_that_do_not_fit_are_refused(scene):
    with pytest.raises(ShapeMismatch, match=r"\[3, 3\]"):
        ask(scene, METHODS, torch.rand(2, 3, 7, 7))


def test_the_first_page_takes_the_maps_that_the_chapter_noted(tmp_path, living):
    with pytest.raises(MmelError, match="make notebooks PROFILE=bundled"):
        pages_living.figure(tmp_path, "bundled")
    path = tmp_path / "runs" / "bundled" / "results.json"
    path.parent.mkdir(parents=True)
    noted = {"example": 0, "methods": list(METHODS), "maps": living.maps.tolist()}
    path.write_text(json.dumps({pages_living.CHAPTER: {pages_living.VALUE: noted}}))
    assert pages_living.figure(tmp_path, "bundled") == living.html


@pytest.fixture(scope="module")
def address(living, tmp_path_factory):
    path = tmp_path_factory.mktemp("living") / "living.html"
    path.write_text(f"{PAGE}<title>t</title></head><body><main>{living.html}</main></body></html>")
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    pages = []

    def open_page(**how):
        page = browser.new_page(**how)
        page.wrong = []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else page.wrong.append(r.url))
        page.goto(address)
        pages.append(page)
        return page

    yield open_page
    assert [wrong for page in pages for wrong in page.wrong] == []
    for page in pages:
        page.close()


def pressed(page) -> list[str]:
    return [each.inner_text() for each in page.locator('button[aria-pressed="true"]').all()]


def test_it_plays_by_mouse_and_by_key_and_stands_still_where_motion_is_unwanted(opened, living):
    page = opened(reduced_motion="reduce", viewport={"width": 390, "height": 800})
    page.wait_for_selector(".lv-plays")
    seen = [page.locator("canvas").evaluate_all(PIXELS)]
    assert len(set(seen[0])) == 3 and pressed(page) == ["dog"] and page.locator(".lv-pause").inner_text() == "Play"
    page.locator("button.lv-word").nth(1).click()
    seen.append(page.locator("canvas").evaluate_all(PIXELS))
    assert pressed(page) == ["car"] and all(one != other for one, other in zip(*seen, strict=True))
    assert f"{100 * living.shares[1][1]:.0f} % on the car" in page.locator(".lv-said").inner_text()
    page.keyboard.press("ArrowRight")
    assert pressed(page) == ["the whole caption"]
    page.keyboard.press("ArrowRight")
    assert pressed(page) == ["dog"] and page.locator("canvas").evaluate_all(PIXELS) == seen[0]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.emulate_media(media="print")
    assert not page.locator("canvas").first.is_visible() and page.locator(".lv-frame img").count() == 4


def test_it_moves_by_itself_and_can_be_stopped(opened):
    page = opened(reduced_motion="no-preference")
    page.clock.install()
    page.reload()
    page.wait_for_selector(".lv-plays")
    assert page.locator(".lv-pause").inner_text() == "Pause"
    page.clock.run_for(4000)
    assert pressed(page) == ["car"]
    page.locator(".lv-pause").click()
    page.clock.run_for(9000)
    assert pressed(page) == ["car"] and page.locator(".lv-pause").inner_text() == "Play"


def test_without_a_script_it_is_a_picture_with_texts(opened):
    page = opened(java_script_enabled=False)
    assert page.locator(".lv-frame img").count() == 4 and page.locator("button").count() == 0
    assert page.locator(".lv-frame img").nth(1).is_visible()
