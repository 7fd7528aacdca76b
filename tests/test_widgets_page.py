"""Playable figures in a browser, each on a page of its own that is opened from disk: no book is needed."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from playable import DEPTH, HEADS, KEYS, MAKERS, PRESETS, QUERIES, VALUES, WIDTH, dials
from playwright.sync_api import Page
from test_book import AXE, TAGS, settled

from mmel.maps import enhance_contrast
from mmel.methods.grad_eclip import sim_qk
from mmel.methods.mmel import FeatureTransform, gated
from mmel.widgets import unpack

EXPLAIN = """([name, scene, text]) => {
    const data = JSON.parse(document.querySelector(".mp-data").textContent);
    const { base, map, order, low, high } = new mmelPlay.gate.Gate(data).explain(scene, text, data.presets[name]);
    return { base: [...base], map: [...map], order, low, high };
}"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    return {kind: make().save(folder / f"{kind}.html").as_uri() for kind, make in MAKERS.items()}


def opened(browser, address: str, **how) -> Page:
    """A page whose figure plays; what it asks for and what goes wrong is kept in `page.wrong`."""
    page = browser.new_page(**how)
    page.wrong = []
    page.on("request", lambda r: page.wrong.append(r.url) if not r.url.startswith(("data:", address)) else None)
    page.on("pageerror", lambda error: page.wrong.append(str(error)))
    page.on("console", lambda said: page.wrong.append(said.text) if said.type == "error" else None)
    page.goto(address)
    page.wait_for_selector(".mmel-play[data-ready=yes]")
    return page


@pytest.fixture(params=MAKERS)
def page(request, browser, pages):
    made = opened(browser, pages[request.param], viewport={"width": 1000, "height": 900})
    made.kind = request.param
    yield made
    assert made.wrong == []
    made.close()


def python_map(data, scene: int, text: int, preset, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Base map and MMEL's map by the package's own functions, of queries, keys and values as `data` has them."""
    q, k, v = (torch.as_tensor(data[name][scene], dtype=dtype) for name in ("queries", "keys", "values"))
    bases = [(value * sim_qk(a[None], b[None])[0]).relu()[None] for value, a, b in zip(v[text], q, k, strict=True)]
    counted = torch.ones_like(bases[0], dtype=torch.bool)
    part = WIDTH // (HEADS if preset.head_wise else 1)
    made = gated(bases, [each[None, 1:] for each in q], counted, preset.thetas(DEPTH), preset, part)
    if preset.contrast_share is not None:
        made = enhance_contrast(made[None], preset.contrast_share)[0]
    return sum(bases)[0], made[0]


@pytest.mark.parametrize("name", PRESETS)
def test_the_pages_gate_is_pythons(browser, pages, monkeypatch, name):
    """With the stored numbers to the last digits; with the numbers before they were stored, as well as 8 bits can."""
    made, found, page = dials(), {}, opened(browser, pages["dials"])
    for pair in ((0, 0), (1, 1)):
        found[pair] = page.evaluate(EXPLAIN, [name, *pair])
    page.close()
    stored = {each: unpack(made.data[each]) for each in ("queries", "keys", "values")}
    first = {"queries": QUERIES, "keys": KEYS, "values": VALUES}
    preset = PRESETS[name]
    for pair, answer in found.items():
        base, map = python_map(first, *pair, preset)
        assert np.abs(np.array(answer["base"]) - base.numpy()).max() < 0.02 * float(base.max())
        if preset.contrast_share is not None:  # from 0 to 1, and no product any more
            assert np.abs(np.array(answer["map"]) - map.numpy()).max() < 0.04
            continue
        gate, true = np.array(answer["map"]) / np.maximum(answer["base"], 1e-9), (map / base.clamp(min=1e-9)).numpy()
        seen = (base > 0.05 * base.max()).numpy()
        assert np.abs(gate - true)[seen].max() < 0.02 * true[seen].max()
    transforms = {}
    for parts, packed in made.data["transforms"].items():
        transforms[WIDTH // int(parts)] = each = FeatureTransform(WIDTH // int(parts), 0).double()
        each.load_state_dict({part: torch.as_tensor(unpack(numbers)) for part, numbers in packed.items()})
    module = importlib.import_module("mmel.methods.mmel")
    monkeypatch.setattr(module, "transform_of", lambda width, *_: transforms[width])
    others = [replace(preset, alpha=preset.alpha + 1)]
    if preset.contrast_share is not None:  # which takes a common factor out
        others = [replace(preset, contrast_share=0.3)]
    if preset.head_wise:
        others.append(replace(preset, head_wise=False))
    for pair, answer in found.items():
        base, map = python_map(stored, *pair, preset)
        assert np.allclose(answer["base"], base, rtol=1e-9, atol=1e-12)
        assert np.allclose(answer["map"], map, rtol=2e-6, atol=1e-6)  # Python's softplus is of single precision
        for other in others:
            assert not np.allclose(answer["map"], python_map(stored, *pair, other)[1], rtol=2e-5, atol=1e-5)


def test_the_pages_rank_correlation_is_scipys(browser, pages):
    from scipy.stats import spearmanr

    page = opened(browser, pages["dials"])
    lists = [[1, 2, 2, 5, 4, 0], [3, 1, 1, 1, 7, 2]]
    assert page.evaluate("([a, b]) => mmelPlay.gate.spearman(a, b)", lists) == pytest.approx(spearmanr(*lists)[0])
    page.close()


def test_every_slider_moves_by_key_and_by_mouse(page):
    if page.kind == "quiz":
        assert page.locator("input[type=range]").count() == 0
        return
    if page.kind == "dials":
        page.get_by_label("Reading", exact=True).select_option("EACH")  # a reading in which every dial has a place
        assert page.locator("input[type=range]:disabled").count() == 0
    sliders = page.locator("input[type=range]")
    assert sliders.count() == {"explorer": 1, "dials": 3 + 3 + 1 + DEPTH, "scrubber": 1, "ladder": 1}[page.kind]
    for i in range(sliders.count()):
        slider, before = sliders.nth(i), settled(page)
        said = page.locator("[role=status]").text_content()
        slider.focus()
        for _ in range(1 if page.kind in ("scrubber", "ladder") else 4):
            page.keyboard.press("ArrowRight")
        after = settled(page)
        assert after != before
        slider.scroll_into_view_if_needed()
        box, upright = slider.bounding_box(), slider.evaluate("s => getComputedStyle(s).writingMode != 'horizontal-tb'")
        ends = [(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
                for across, down in ([(0.5, 0.5), (0.5, 0.1)] if upright else [(0.5, 0.5), (0.95, 0.5)])]  # fmt: skip
        page.mouse.move(*ends[0])
        page.mouse.down()
        page.mouse.move(*ends[1], steps=4)
        page.mouse.up()
        assert settled(page) != after
        if page.kind in ("scrubber", "ladder") or (page.kind == "dials" and i == 0):  # others: their own value
            page.wait_for_function("before => document.querySelector('[role=status]').textContent != before", arg=said)


def test_every_list_and_button_has_a_label_and_does_something(page):
    for select in page.locator("select").all():
        assert select.evaluate("s => s.labels.length == 1 && s.labels[0].textContent.length > 2")
        values = select.evaluate("s => [...s.options].map(o => o.value).filter(v => v != 'own')")
        states = set()
        for value in values:
            select.select_option(value)
            states.add(settled(page) + page.locator(".mp-live").inner_text())
        assert len(states) == len(values) > 1
        select.select_option(values[0])
    assert all(each.strip() for each in page.locator("button").all_inner_texts())
    shown = page.locator("canvas:visible")
    assert all(shown.evaluate_all("all => all.map(c => c.ariaHidden == 'true' || c.ariaLabel.length > 20)"))


def test_the_wipe_follows_a_finger(browser, pages):
    page = opened(browser, pages["explorer"], has_touch=True, viewport={"width": 390, "height": 800})
    before, box = settled(page), page.locator(".mp-frame canvas").bounding_box()
    page.touchscreen.tap(box["x"] + 0.8 * box["width"], box["y"] + 50)
    page.wait_for_function("Math.abs(document.querySelector('input').value - 80) <= 1")
    assert settled(page) != before
    page.close()


def test_the_scrubber_plays_to_its_end(browser, pages):
    page = opened(browser, pages["scrubber"])
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('input').value == document.querySelector('input').max")
    assert "100 %" in page.locator(".mp-numbers").inner_text()
    page.close()


def test_the_quiz_scores_by_keyboard(browser, pages):
    page = opened(browser, pages["quiz"])
    asked = page.evaluate("JSON.parse(document.querySelector('.mp-data').textContent).questions")
    for i, question in enumerate(asked):
        right = question["options"].index(question["method"])
        wanted = right if i != 1 else (right + 1) % 4  # one mistake
        assert page.locator(".mp-reveal").is_hidden()
        page.locator(".mp-option").first.focus()
        for _ in range(wanted):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert page.locator("[role=status]").inner_text().startswith("No" if i == 1 else "Right")
        assert question["method"] in page.locator("[role=status]").inner_text()
        assert page.locator(".mp-read").inner_text().startswith(f"{i + 1 - (i >= 1)} of {i + 1} right")
        page.locator(".mp-option").nth(wanted).click(force=True)  # a second answer counts for nothing
        assert page.locator(".mp-read").inner_text().startswith(f"{i + 1 - (i >= 1)} of {i + 1} right")
        assert page.locator(".mp-reveal figure").count() == 4
        page.locator(".mp-wide button").press("Enter")
    assert page.locator(".mp-read").inner_text() == "Guessing reaches one in 4."  # it begins again
    page.close()


def test_print_is_the_first_state(page):
    page.emulate_media(media="print")
    first = page.screenshot()
    assert page.locator(".mp-first").is_visible() and page.locator(".mp-live").is_hidden()
    page.emulate_media(media="screen")
    assert page.locator(".mp-first").is_hidden() and page.locator(".mp-live").is_visible()
    for control in [*page.locator("input[type=range]:enabled").all(), *page.locator(".mp-option").all()[:1]]:
        control.press("End")
        control.press("Enter")
    page.emulate_media(media="print")
    assert page.screenshot() == first


@pytest.mark.parametrize("kind", MAKERS)
def test_without_a_script_there_is_a_picture_with_a_text(browser, pages, kind):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages[kind])
    assert page.locator(".mp-first").is_visible() and page.locator(".mp-live").is_hidden()
    assert len(page.locator(".mp-first").get_attribute("alt")) > 30
    context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_phone_in_both_themes(browser, pages, kind, theme):
    page = opened(browser, pages[kind], color_scheme=theme, viewport={"width": 390, "height": 800})
    if kind == "quiz":
        page.locator(".mp-option").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    back = page.locator(".mmel-play").evaluate("box => getComputedStyle(box).backgroundColor")
    assert (back == "rgb(255, 255, 255)") == (theme == "light")
    page.evaluate(AXE)
    found = page.evaluate("tags => axe.run('.mmel-play', {runOnly: tags})", TAGS)
    assert [(each["id"], each["nodes"][0]["html"][:120]) for each in found["violations"]] == []
    assert page.wrong == []
    page.close()
