"""The scene editor: emoji are placed, scaled and laid over each other, and the maps change with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import ipywidgets as W
import numpy as np

from ...clip import Clip
from ...errors import SceneError
from ...scenes import BACKGROUNDS, OBJECTS, SIZE, Placement, Plan, Scene, read_state
from ...scenes.captions import caption
from ...scenes.figures import FIGURES
from .base import Live, Seen, Side, column, control, explained, message
from .draw import fitted, line, sheet
from .explorer import compared, told
from .stage import Stage

MOST = 16  # objects, as in the playground
SMALL, SPAN = 4, (-SIZE // 2, SIZE + SIZE // 2)  # the least size; how far out a centre may be
STATE = "scene.json"
NUMBERS = ("x", "y", "size", "angle")
BUTTONS = ("Add", "To the front", "To the back", "Delete", "New background", "Describe", "Save", "Open")


def number(label: str, low: float, high: float) -> W.FloatSlider:
    """A slider of whole pixels or degrees."""
    return control(W.FloatSlider, label, min=low, max=high, step=1, readout_format=".0f")


class SceneEditor(Live):
    """`plan` is the scene: set it, read it, or change it by the controls and on the stage. `scene` draws it."""

    def __init__(self, clip: Clip):
        self._plan, self._drawing = FIGURES[0].plan, False
        self.stage = Stage()
        self.thing = control(
            W.Combobox, "Emoji", options=[each.name for each in OBJECTS], value="dog", ensure_option=True
        )
        self.background = control(W.Dropdown, "Background", options=list(BACKGROUNDS))
        self.prompt = control(W.Text, "Text", value=FIGURES[0].captions[0].text, continuous_update=False)
        self.chosen = control(W.Dropdown, "Chosen", options=[("none", -1)])
        self.x, self.y = (number(each, *SPAN) for each in ("Across", "Down"))
        self.size = number("Size", SMALL, SIZE)
        self.angle = number("Turned by", -180, 180)
        self.mirror = control(W.Checkbox, "Mirrored")
        self.file = control(W.Text, "File", value=STATE, continuous_update=False)
        self.left, self.right = (
            Side(clip, self, "Left method", "grad_eclip"),
            Side(clip, self, "Right method", "mmel_working"),
        )
        self.buttons = {name: W.Button(description=name) for name in BUTTONS}
        self._listen()
        self._show()
        super().__init__(clip, *self._rows())

    def _rows(self) -> list[W.Widget]:
        """The controls, in the order of the keyboard."""
        b = self.buttons

        def row(*parts: W.Widget) -> W.HBox:
            return W.HBox(parts, layout=W.Layout(flex_flow="row wrap"))

        numbers = [self.chosen, self.x, self.y, self.size, self.angle, self.mirror]
        order = row(b["To the front"], b["To the back"], b["Delete"])
        place = row(self.background, b["New background"])
        scene = W.VBox([row(self.thing, b["Add"]), *numbers, order, place])
        files = row(self.file, b["Save"], b["Open"])
        return [row(self.stage, scene), row(self.prompt, b["Describe"]), row(self.left, self.right), files]

    def _listen(self) -> None:
        front, back = (partial(self._order, place) for place in (MOST, 0))
        does = (self._add, front, back, self._delete, self._redraw, self._describe, self._save, self._open)
        for name, do in zip(BUTTONS, does, strict=True):
            self.buttons[name].on_click(lambda button, do=do: self._try(do))
        for each in (self.x, self.y, self.size, self.angle, self.mirror, self.background):
            each.observe(self._from_controls, "value")
        self.chosen.observe(lambda change: self._show(), "value")
        self.stage.observe(lambda change: self._try(lambda: self._grant(change["new"])), "wish")
        self.watch(self.prompt)

    @property
    def plan(self) -> Plan:
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        plan.check()
        self._set(plan)

    @property
    def scene(self) -> Scene:
        """The scene as it is drawn now."""
        return Scene(self.plan)

    @property
    def index(self) -> int:
        """The chosen object's place in the order of drawing; -1 without one."""
        return self.chosen.value

    def look(self) -> Seen:
        picture, text, columns, words = (
            self.scene.image,
            self.prompt.value,
            [[line("scene"), fitted(self.scene.image)]],
            [],
        )
        for side in (self.left, self.right):
            found = explained(self, picture, text, side)
            columns.append(column(self, side.title, picture, text, found))
            words.append(told(self.clip, side.title, text, found))
        things = ", ".join(each.name for each in self.plan.objects) or "nothing"
        alt = compared(f"the scene ({things}; {self.plan.background})", text, self.left, self.right)
        return Seen(sheet(f"\u201c{text.strip()}\u201d", columns), " ".join(words), alt)

    def state(self) -> dict[str, object]:
        """What the book's playground opens and `mmel explain --scene` reads."""
        shown = [
            {"title": side.title, "method": side.asked[0], "settings": side.asked[1]}
            for side in (self.left, self.right)
        ]
        state = {"version": 1, "scene": self.plan.to_json(), "erased": {"runs": [], "fill": "black"},
                 "captions": [self.prompt.value], "methods": shown}  # fmt: skip
        return json.loads(json.dumps(state, default=dict))

    def _set(self, plan: Plan, index: int | None = None) -> None:
        """Another plan: show it, and ask the methods again."""
        self._plan = plan
        self._show(index)
        self.refresh()

    def _show(self, index: int | None = None) -> None:
        """Controls and stage as the plan has them."""
        if self._drawing:
            return
        self._drawing, objects = True, self.plan.objects
        index = min(self.index if index is None else index, len(objects) - 1)
        index = 0 if index < 0 and objects else index
        names = [(f"{number + 1} {each.name}", number) for number, each in enumerate(objects)] or [("none", -1)]
        self.chosen.options, self.chosen.value, self.background.value = names, index, self.plan.background
        if objects:
            for name in (*NUMBERS, "mirror"):
                getattr(self, name).value = getattr(objects[index], name)
        for each in (self.x, self.y, self.size, self.angle, self.mirror, self.buttons["Delete"]):
            each.disabled = not objects
        self.stage.show(self.plan, index)
        self._drawing = False

    def _from_controls(self, change: Mapping) -> None:
        if self._drawing:
            return
        values = {name: getattr(self, name).value for name in (*NUMBERS, "mirror")} if self.plan.objects else {}
        self._set(replace(self._changed(**values), background=self.background.value))

    def _changed(self, **values: object) -> Plan:
        """The plan with other values for the chosen object."""
        objects = list(self.plan.objects)
        if values:
            objects[self.index] = replace(objects[self.index], **values)
        return replace(self.plan, objects=tuple(objects))

    def _grant(self, wish: Mapping) -> None:
        """Do what a reader did on the stage; the methods are asked when a drag has ended."""
        objects, quiet = self.plan.objects, bool(wish.get("dragging"))
        if "choose" in wish and 0 <= wish["choose"] < len(objects):
            self._show(wish["choose"])
        elif "move" in wish and objects:
            x, y = (round(min(max(float(value), SPAN[0]), SPAN[1]), 1) for value in wish["move"])
            self._plan = self._changed(x=x, y=y)
        elif "size" in wish and objects:
            self._plan = self._changed(size=round(min(max(float(wish["size"]), SMALL), SIZE), 1))
        elif "remove" in wish:
            return self._delete()
        if not quiet and "choose" not in wish:
            self._set(self._plan)
        else:
            self.stage.show(self._plan, self.index)

    def _add(self) -> None:
        if len(self.plan.objects) >= MOST:
            raise SceneError(f"a scene has at most {MOST} objects: delete one first.")
        placed = Placement(self.thing.value, SIZE / 2, SIZE / 2, 44.0)
        plan = replace(self.plan, objects=(*self.plan.objects, placed))
        plan.check()
        self._set(plan, len(plan.objects) - 1)

    def _delete(self) -> None:
        kept = tuple(each for index, each in enumerate(self.plan.objects) if index != self.index)
        self._set(replace(self.plan, objects=kept))

    def _redraw(self) -> None:
        self._set(replace(self.plan, background_seed=self.plan.background_seed + 1))

    def _order(self, place: int) -> None:
        objects = list(self.plan.objects)
        if objects:
            objects.insert(place, objects.pop(self.index))
            self._set(replace(self.plan, objects=tuple(objects)), min(place, len(objects) - 1))

    def _describe(self) -> None:
        count = min(len(self.plan.objects), 4)
        if not count:
            raise SceneError("there is nothing to describe: add an emoji first.")
        self.prompt.value = caption(
            self.scene, np.random.default_rng(0), tuple(range(count)), place=0.0, synonym=0.0
        ).text

    def _save(self) -> None:
        path = Path(self.file.value)
        try:
            path.write_text(json.dumps(self.state(), indent=1), encoding="utf-8")
        except OSError as error:
            raise SceneError(f"{path} cannot be written ({error.strerror}): choose another place for it.") from error
        self.said.value = message("status", "Saved", f"mmel explain --scene {path} draws and explains it again.")

    def _open(self) -> None:
        state = read_state(self.file.value)
        with self.together():
            self.prompt.value, self._plan = state.text, state.plan
            self._show(0)

    def _try(self, do) -> None:
        """Do something; what is wrong with it is said below the controls."""
        try:
            do()
        except SceneError as error:
            self.said.value = message("alert", "Error", str(error))
