"""Live widgets: by hand, as a front end moves them in a running kernel, and what they say when something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import ipywidgets as W
import lab
import pytest
import torch
from jupyter_client.manager import start_new_kernel
from PIL import Image

import mmel
from mmel.cli import scene_file
from mmel.errors import MissingExtra, SceneError
from mmel.scenes import Plan, read_state
from mmel.widgets import kernel
from mmel.widgets.kernel.picture import Picture
from mmel.widgets.kernel.stage import Stage

ROOT = Path(__file__).parents[1]
PICTURE, STAGE = (ROOT / "mmel" / "widgets" / "kernel" / name for name in ("picture.js", "stage.js"))
MADE = ("live_explorer", "live_dials", "live_scrubber", "live_ladder", "scene_editor", "live_quiz")


@pytest.fixture(scope="module")
def clip():
    return mmel.load_clip()


def content(picture: Image.Image | bytes, name: str = "mine.png") -> tuple[dict, ...]:
    """A file as FileUpload has it."""
    if not isinstance(picture, bytes):
        file = BytesIO()
        picture.save(file, "PNG")
        picture = file.getvalue()
    return ({"name": name, "type": "image/png", "size": len(picture), "content": memoryview(picture),
             "last_modified": datetime(2025, 9, 1, tzinfo=UTC)},)  # fmt: skip


def inside(widget: W.Widget) -> list[W.Widget]:
    return [widget, *(each for child in getattr(widget, "children", ()) for each in inside(child))]


class Front:
    """A front end without a screen: it keeps widgets' states, and moves controls by messages, as JupyterLab does."""

    def __init__(self):
        self.manager, self.client = start_new_kernel(kernel_name="python3", cwd=str(ROOT))
        self.state: dict[str, dict] = {}

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code: str) -> str:
        """What a cell with this code prints."""
        return self._follow(self.client.execute(code))

    def move(self, model: str, **values: object) -> None:
        """What a control sends when a reader has moved it."""
        data = {"method": "update", "state": values, "buffer_paths": []}
        message = self.client.session.msg("comm_msg", {"comm_id": model, "data": data})
        self.client.shell_channel.send(message)
        self._follow(message["header"]["msg_id"])

    def _follow(self, request: str) -> str:
        """Take in what the kernel says until it is done with a request; what it printed."""
        printed = ""
        while True:
            message = self.client.get_iopub_msg(timeout=300)
            kind, said = message["msg_type"], message["content"]
            if kind == "error":
                raise AssertionError("\n".join(said["traceback"]))
            if kind in ("comm_open", "comm_msg") and "state" in said["data"]:
                for path, buffer in zip(said["data"].get("buffer_paths", []), message["buffers"], strict=True):
                    said["data"]["state"][path[0]] = bytes(buffer)
                self.state.setdefault(said["comm_id"], {}).update(said["data"]["state"])
            printed += said["text"] if kind == "stream" and said["name"] == "stdout" else ""
            mine = message["parent_header"].get("msg_id") == request
            if kind == "status" and mine and said["execution_state"] == "idle":
                return printed.strip()

    def parts(self, model: str) -> list[str]:
        """A widget and all that it holds, in order."""
        inner = [child.removeprefix("IPY_MODEL_") for child in self.state[model].get("children", [])]
        return [model, *(part for child in inner for part in self.parts(child))]


@pytest.fixture(scope="module")
def front():
    made = Front()
    made.run("import mmel\nfrom mmel.widgets import kernel\nclip = mmel.load_clip()\nshown = {}")
    yield made
    made.close()


def first(front: Front, model: str, **like: object) -> str:
    """The first part of a widget with these values."""
    found = [p for p in front.parts(model) if all(front.state[p].get(name) == value for name, value in like.items())]
    assert found, like
    return found[0]


MOVES = {
    "live_explorer": ({"description": "Text"}, {"value": "a red car"}),
    "live_dials": ({"description": "Scales"}, {"value": "3"}),
    "live_scrubber": ({"description": "Step"}, {"value": 12}),
    "live_ladder": ({"description": "Steps drawn anew"}, {"value": 9}),
    "scene_editor": ({"_model_module": "anywidget"}, {"wish": {"move": [80, 30], "number": 1}}),
    "live_quiz": ({"description": "It is"}, {"index": 2}),
}
SAYS = {  # each picture's words, after the move
    "live_explorer": "a red car",
    "live_dials": "three heat maps",
    "live_scrubber": "60%",
    "live_ladder": "drawn anew: image block",
    "scene_editor": "dog",
    "live_quiz": "heat maps of",
}


@pytest.mark.parametrize("name", MADE)
def test_a_control_moved_in_a_running_kernel_changes_the_picture(front, name):
    whole = front.run(f"shown['{name}'] = kernel.{name}(clip)\nprint(shown['{name}'].model_id)")
    image = next(part for part in front.parts(whole) if "alt" in front.state[part])
    before, alone = front.state[image]["value"], front.state[image]["alt"]
    like, values = MOVES[name]
    front.move(first(front, whole, **like), **values)
    after = front.state[image]["value"]
    assert before[:4] == after[:4] == b"\x89PNG" and before != after
    assert len(alone) > 60 and SAYS[name] in front.state[image]["alt"]


def test_a_bad_prompt_in_a_running_kernel_is_answered_with_a_sentence(front):
    whole = front.run("other = kernel.live_explorer(clip)\nprint(other.model_id)")
    prompt = first(front, whole, description="Text")
    front.move(prompt, value=" ")
    said = [front.state[p].get("value", "") for p in front.parts(whole) if front.state[p]["_model_name"] == "HTMLModel"]
    assert any('role="alert"' in each and "at least one word" in each for each in said)
    assert not any("Traceback" in each for each in said)


@pytest.fixture(scope="module")
def explorer(clip):
    return kernel.live_explorer(clip)


def test_the_picture_follows_the_text_and_comes_back(explorer):
    before, words = explorer.image.value, explorer.image.alt
    explorer.subject.prompt.value = "a red car"
    assert explorer.image.value != before and "\u201ca red car\u201d" in explorer.image.alt
    explorer.subject.prompt.value = ""
    assert 'role="alert"' in explorer.said.value and "at least one word" in explorer.said.value
    assert explorer.image.alt.startswith("No longer") and "a red car" in explorer.image.alt
    explorer.subject.prompt.value = "a <b>zeppelin</b>"
    assert (
        "never seen" in explorer.said.value
        and "zeppelin" in explorer.said.value
        and "<b>zep" not in explorer.said.value
    )
    explorer.subject.prompt.value = "a dog behind a car"
    assert explorer.image.value == before and "Error" not in explorer.said.value and explorer.image.alt == words
    assert explorer.picture().size == explorer.sheet.size


def test_the_explorer_says_what_the_methods_say(explorer, clip):
    name, settings = explorer.left.asked
    found = mmel.explain(clip, explorer.subject.picture, explorer.subject.text, method=name, **settings)
    assert settings["layers"] == 12 and f"score {float(found.score[0]):.3f}" in explorer.said.value
    explorer.left.method.value = "saliency"
    assert explorer.left.layers.disabled and "layers" not in explorer.left.asked[1]
    explorer.left.method.value = "grad_eclip"
    assert not explorer.left.layers.disabled


def test_a_picture_of_ones_own(explorer):
    before = explorer.image.value
    explorer.subject.upload.value = content(Image.new("RGB", (150, 90), "teal"))
    assert explorer.image.value != before and "only ever seen emoji scenes" in explorer.said.value
    assert "Beside mine.png two heat maps" in explorer.image.alt
    explorer.subject.upload.value = content(b"no picture", "notes.txt")
    assert "notes.txt is no picture" in explorer.said.value
    explorer.subject.scene.value = 4
    assert explorer.subject.upload.value == () and "Error" not in explorer.said.value
    explorer.subject.scene.value = 0
    assert explorer.image.value == before


def test_dials_are_mmel_and_do_not_ask_the_model(clip):
    dials = kernel.live_dials(clip)
    asked = clip.passes.total
    dials.preset.value = "our reading"
    dials.alpha.value, dials.scales.value, dials.thetas.value = 5.0, "1, 2", ", ".join(["0.5"] * 12)
    assert clip.passes.total == asked
    maps = dials.maps(dials.left(dials.subject.picture, dials.subject.text))
    pair = dials.subject.picture, dials.subject.text
    torch.testing.assert_close(maps.map, mmel.explain(clip, *pair, method="mmel", **dials.settings).image)
    torch.testing.assert_close(maps.base * maps.gate, maps.map, rtol=1e-3, atol=1e-6)
    asked = clip.passes.total
    assert all(each.index is not None for each in (dials.gate, dials.head_wise, dials.contrast))  # none looks empty
    cut = "10 % cut off at either end"
    for name, value, field, set_to in (("gate", "each", "gate", "each"), ("head_wise", True, "head_wise", True),
                                       ("contrast", cut, "contrast_share", 0.1)):  # fmt: skip
        before = maps.map
        getattr(dials, name).value = value
        assert dials.settings[field] == set_to and clip.passes.total == asked
        maps = dials.maps(dials.left(dials.subject.picture, dials.subject.text))
        assert not torch.allclose(maps.map, before)
    torch.testing.assert_close(maps.map, mmel.explain(clip, *pair, method="mmel", **dials.settings).image)
    for control, bad, says in ((dials.scales, "1, x", "numbers with commas"), (dials.scales, "0", "positive"),
                               (dials.thetas, "1, 2", "12 blocks")):  # fmt: skip
        kept, control.value = control.value, bad
        assert says in dials.said.value and 'role="alert"' in dials.said.value
        control.value = kept
    asked = clip.passes.total
    dials.subject.prompt.value = "a car"
    assert clip.passes.total == asked + 2


def test_the_scrubber_shows_the_curve_that_the_metrics_score(clip):
    scrubber = kernel.live_scrubber(clip)
    asked = clip.passes.total
    scrubber.step.value = 0
    whole = scrubber.said.value
    scrubber.step.value = 20
    assert clip.passes.total == asked and "100% of the pixels taken away" in scrubber.said.value
    score = mmel.explain(clip, scrubber.subject.picture, scrubber.subject.text).score
    assert f"score {float(score[0]):.3f}" in whole
    scrubber.kind.value = "insertion"
    assert clip.passes.total > asked and f"score {float(score[0]):.3f}" in scrubber.said.value


def test_the_ladder_leaves_the_model_as_it_was(clip):
    before = {name: value.clone() for name, value in clip.model.state_dict().items()}
    ladder = kernel.live_ladder(clip)
    first = ladder.image.value
    ladder.step.value = 0
    assert "1.000" in ladder.said.value and "The trained model" in ladder.said.value
    ladder.step.value = ladder.step.max
    assert "100.0% of the image tower" in ladder.said.value and ladder.image.value != first
    ladder.subject.prompt.value = ""
    assert 'role="alert"' in ladder.said.value
    assert all(torch.equal(value, before[name]) for name, value in clip.model.state_dict().items())


@pytest.fixture
def editor(clip):
    return kernel.scene_editor(clip)


def wish(editor, **what: object) -> None:
    editor.stage.wish = {**what, "number": editor.stage.wish["number"] + 1}


def test_emoji_are_placed_scaled_laid_over_each_other_and_taken_away(editor):
    pictures = [editor.image.value]

    def changed() -> bool:
        pictures.append(editor.image.value)
        return pictures[-1] != pictures[-2]

    editor.thing.value = "whale"
    editor.buttons["Add"].click()
    assert [each.name for each in editor.plan.objects] == ["dog", "car", "whale"] and editor.index == 2 and changed()
    editor.x.value, editor.y.value = 40, 50
    assert (editor.plan.objects[2].x, editor.plan.objects[2].y) == (40, 50) and changed()
    assert editor.scene.covers(2, 0) > 0.3
    editor.buttons["To the back"].click()
    assert editor.plan.objects[0].name == "whale" and editor.index == 0 and editor.scene.covers(2, 0) > 0 and changed()
    stage = editor.stage.picture
    wish(editor, move=[70, 30], dragging=True)
    assert editor.plan.objects[0].x == 70 and editor.stage.picture != stage and not changed()  # maps wait for the drop
    wish(editor, drop=True)
    assert changed()
    wish(editor, size=500)
    assert editor.plan.objects[0].size == 112 and editor.size.value == 112 and changed()
    wish(editor, choose=1)
    assert editor.chosen.label == "2 dog" and editor.x.value == editor.plan.objects[1].x and not changed()
    wish(editor, remove=True)
    assert [each.name for each in editor.plan.objects] == ["whale", "car"] and changed()
    editor.background.value = "snow"
    assert editor.plan.background == "snow" and changed()
    for _ in range(2):
        editor.buttons["Delete"].click()
    assert editor.plan.objects == () and editor.x.disabled and changed()
    editor.buttons["Describe"].click()
    assert "nothing to describe" in editor.said.value


def test_a_drawn_scene_is_one_that_the_command_line_reads(editor, tmp_path):
    path = tmp_path / "mine.json"
    editor.plan = replace(editor.plan, objects=editor.plan.objects[::-1])
    editor.buttons["Describe"].click()
    editor.file.value = str(path)
    editor.buttons["Save"].click()
    assert "mmel explain --scene" in editor.said.value
    state, asks = scene_file.read(path, [], [])
    assert state.plan == editor.plan == Plan.from_json(json.loads(path.read_text())["scene"])
    assert (
        state.text == editor.prompt.value
        and "dog" in state.text
        and state.image.tobytes() == editor.scene.image.tobytes()
    )
    assert [ask.title for ask in asks] == ["grad_eclip", "mmel_working"] and asks[1].settings[
        "alpha"
    ] == mmel.WORKING.alpha
    shown = editor.image.value
    editor.plan = replace(editor.plan, background="night")
    editor.buttons["Open"].click()
    assert editor.plan == read_state(path).plan and editor.image.value == shown
    editor.file.value = str(tmp_path / "none.json")
    editor.buttons["Open"].click()
    assert "cannot be read" in editor.said.value and editor.image.value == shown
    with pytest.raises(SceneError, match="size"):
        editor.plan = replace(editor.plan, objects=(replace(editor.plan.objects[0], size=900.0),))


def test_the_quiz_is_blind_counts_once_and_is_the_same_for_a_seed(clip):
    quiz, same = kernel.live_quiz(clip, 3), kernel.live_quiz(clip, 3)
    assert quiz.image.value == same.image.value and quiz.choices == same.choices
    assert not any(name in quiz.said.value for name in quiz.choices)
    wrong = next(name for name in quiz.choices if name != quiz._truth)
    before, quiz.answer.value, same.answer.value = quiz.image.value, wrong, same._truth
    assert "No. It is" in quiz.said.value and "0 of 1 right" in quiz.said.value and quiz.image.value != before
    assert "Right." in same.said.value and "1 of 1 right" in same.said.value
    same.answer.value = wrong  # a second answer to the same question
    assert same.asked == 1
    same.next.click()
    assert same.answer.value is None and same.round == 1 and not same.answer.disabled


@pytest.mark.parametrize("name", MADE)
def test_every_control_has_a_label(clip, name):
    widget = getattr(kernel, name)(clip)
    shown = [each for each in inside(widget) if not isinstance(each, (W.Box, W.HTML, Picture, Stage))]
    assert shown and all(each.description.strip() for each in shown)


def test_without_a_front_end_a_widget_is_a_picture(explorer):
    shown = explorer._repr_mimebundle_()
    assert set(shown) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}


def test_the_package_imports_no_widgets_until_one_is_used():
    code = "import sys, mmel.widgets; assert not {'ipywidgets', 'anywidget'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_without_ipywidgets_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.delitem(sys.modules, "mmel.widgets.kernel")
    with pytest.raises(MissingExtra, match=r"mmel\[book\]"):
        __import__("mmel.widgets.kernel")


SHOWN = """async ([code, pixels]) => {
  const at = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const { render } = (await import(at)).default, heard = {}, bytes = (row) => new DataView(Uint8Array.from(row).buffer);
  const state = { value: bytes(pixels[0]), alt: "a \\"first\\" <picture>" };
  document.body.replaceChildren();
  render({ model: { get: (name) => state[name], on: (name, hear) => { heard[name] = hear; } }, el: document.body });
  window.change = (number, alt) => {
    Object.assign(state, { value: bytes(pixels[number]), alt });
    heard["change:value"]();
    heard["change:alt"]();
  };
}"""


def test_a_picture_has_its_words_in_a_browser(browser):
    pixels = [list(content(Image.new("RGB", (width, 9)))[0]["content"]) for width in (30, 50)]
    page = browser.new_page()
    page.evaluate(SHOWN, [PICTURE.read_text(), pixels])
    picture = page.get_by_role("img", name='a "first" <picture>', exact=True)
    page.wait_for_function("document.querySelector('img').naturalWidth === 30")
    assert picture.count() == 1 and page.locator("picture").count() == 0
    page.evaluate("window.change(1, 'another')")
    page.wait_for_function("document.querySelector('img').naturalWidth === 50")
    assert page.get_by_role("img").get_attribute("alt") == "another" and page.locator("img").count() == 1
    page.close()


STAGED = """async (code) => {
  const at = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  const { render } = (await import(at)).default, png = document.createElement("canvas"), heard = {}, wishes = [];
  const bytes = await new Promise((done) => png.toBlob(async (blob) => done(new DataView(await blob.arrayBuffer()))));
  const objects = [{ name: "dog", x: 30, y: 30, size: 40 }, { name: "car", x: 45, y: 30, size: 40 }];
  const state = { size: 112, picture: bytes, objects, chosen: 0, wish: { number: 0 } };
  const model = { get: (name) => state[name], save_changes: () => wishes.push(state.wish),
    set: (name, value) => { state[name] = value; }, on: (name, hear) => { heard[name] = hear; } };
  document.body.replaceChildren(Object.assign(document.createElement("div"), { id: "stage" }));
  render({ model, el: document.getElementById("stage") });
  Object.assign(window, { wishes, choose: (index) => { state.chosen = index; heard["change:chosen"](); } });
}"""


def test_emoji_are_dragged_and_moved_by_key_in_a_browser(browser):
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.evaluate(STAGED, STAGE.read_text())
    box = page.locator("[role=application]").bounding_box()
    x, y, unit = box["x"], box["y"], box["width"] / 112
    page.mouse.move(x + 40 * unit, y + 30 * unit)  # both are here, the second is in front
    page.mouse.down()
    page.mouse.move(x + 80 * unit, y + 70 * unit, steps=3)
    page.mouse.up()
    wishes = page.evaluate("window.wishes")
    assert wishes[0]["choose"] == 1 and wishes[-1]["drop"] and wishes[-2]["dragging"]
    assert wishes[-2]["move"] == pytest.approx([85, 70], abs=1)
    assert [wish["number"] for wish in wishes] == list(range(1, len(wishes) + 1))
    frame = page.locator("[role=application] div")
    left = frame.bounding_box()["x"]
    page.evaluate("window.choose(1)")
    assert page.locator("[role=application] img").get_attribute("alt").endswith("dog, car. Chosen: car.")
    assert frame.bounding_box()["x"] == pytest.approx(left + 15 * unit, abs=1)
    page.locator("[role=application]").focus()
    for key in ("ArrowRight", "+", "PageUp", "Delete"):
        page.keyboard.press(key)
    moved, larger, other, gone = page.evaluate("window.wishes.slice(-4)")
    assert moved["move"] == [47, 30] and larger["size"] > 40 and other["choose"] == 0 and gone["remove"]
    assert not errors
    page.close()


def test_a_browser_does_not_send_back_what_the_kernel_has_set(clip):
    """It rounds a number to the slider's step; where that is sent while one drags, it is sent then too."""
    widgets = [each for name in MADE for each in inside(getattr(kernel, name)(clip))]
    sliders = [each for each in widgets if isinstance(each, (W.FloatSlider, W.FloatLogSlider))]
    assert len(sliders) == 8 and not any(each.continuous_update for each in sliders)


def test_the_tool_that_plays_the_notebook_knows_its_figures_and_says_what_it_lacks():
    """The playing itself needs a JupyterLab, which is no dependency."""
    cells = json.loads((ROOT / "notebooks" / lab.NOTEBOOK).read_text())["cells"]
    assert [cell["id"] for cell in cells if cell["id"] in lab.FIGURES] == list(lab.FIGURES)
    command = [sys.executable, str(ROOT / "tools" / "lab.py"), "--lab", "no-such-program"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "no program 'no-such-program'" in done.stderr
