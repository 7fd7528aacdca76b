"""What all live widgets share: a picture that follows its controls, and errors in words where they can be read."""

from __future__ import annotations

import base64
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from io import BytesIO
from typing import NamedTuple

import ipywidgets as W
from PIL import Image

from ...clip import Clip
from ...errors import ImageError, MmelError, MmelWarning
from ...evaluation.rows import OURS
from ...figures.words import words_of_text
from ...loading.images import read_image
from ...methods import METHODS, explain
from ...scenes.figures import FIGURES
from ...trace import blocks
from ...types import Attribution
from .draw import bar, line, painted, png, worded
from .picture import Picture

WIDE = {"description_width": "10em"}
FEWER = {"rise": {"n_masks": 200}, "kernel_shap": {"n_samples": 200}}  # so that one waits for seconds
CHOICES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    **{name: (name, FEWER.get(name, {})) for name in METHODS},
    **{name: ("mmel", settings) for name, settings in OURS.items()},
}
KEPT = 64  # answers of the model that a widget remembers
PALER = 0.8  # how far a picture that no longer belongs to the controls is moved towards white
OLD = "No longer what the controls say: "  # before the words of such a picture


def control(kind: type[W.Widget], label: str, **settings) -> W.Widget:
    """A control with its label, all of one width."""
    if issubclass(kind, (W.FloatSlider, W.FloatLogSlider)):
        # else the browser rounds what the kernel has set to a step, and sends that back: over what was set since
        settings = {"continuous_update": False, **settings}
    return kind(description=label, style=WIDE, layout=W.Layout(width="min(34em, 98%)"), **settings)


def choice(label: str, options: Iterable[str], width: str, **settings) -> W.ToggleButtons:
    """Buttons of which one is chosen, with their label before them."""
    place = W.Layout(display="flex", flex_flow="row wrap", align_items="center")
    look = {**WIDE, "button_width": width}
    made = W.ToggleButtons(options=list(options), description=label, style=look, layout=place, **settings)
    return made.add_class("widget-inline-hbox")  # the other controls' class: labels end where theirs do


class Seen(NamedTuple):
    """What a widget shows: a picture, what it says in words, and what is to be seen on the picture."""

    sheet: Image.Image
    words: str
    alt: str


class Live(W.VBox):
    """Controls with a picture below them. A subclass has `look`, which makes what is seen of the controls' values.

    Where no kernel is behind it (in a built book, in a viewer of notebooks) it is its picture.
    """

    def __init__(self, clip: Clip, *controls: W.Widget):
        self.clip, self.sheet, self._quiet, self._known = clip, None, False, {}
        self.said = W.HTML()
        self.image = Picture(layout=W.Layout(max_width="100%", align_self="flex-start"))
        super().__init__([*controls, self.said, self.image])
        self.refresh()

    def look(self) -> Seen:
        """The picture of the controls' present values; a wrong value raises an `MmelError`."""
        raise NotImplementedError

    def watch(self, *controls: W.Widget) -> None:
        """Look again whenever one of these has another value."""
        for each in controls:
            each.observe(self.refresh, "value")

    def refresh(self, change: object = None) -> None:
        """Look, and show what is seen: or the error's words, with the old picture gone pale."""
        if self._quiet:
            return
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            try:
                seen = self.look()
            except MmelError as error:
                self.said.value = message("alert", "Error", str(error))
                if self.sheet is not None:
                    pale = Image.blend(self.sheet, Image.new("RGB", self.sheet.size, "white"), PALER)
                    self.image.show(png(pale), f"{OLD}{self.image.alt.removeprefix(OLD)}")
                return
        ours = dict.fromkeys(str(each.message) for each in heard if issubclass(each.category, MmelWarning))
        self.sheet = seen.sheet
        self.image.show(png(seen.sheet), seen.alt)
        self.said.value = message("status", "", seen.words) + "".join(message("note", "Note", each) for each in ours)
        for each in heard:
            if not issubclass(each.category, MmelWarning):
                warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Change several controls, and look once."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before
        self.refresh()

    def kept(self, key: tuple, make: Callable[[], object]) -> object:
        """What `make` gives, made once for each key."""
        if key not in self._known:
            made = make()  # an error is not kept
            for oldest in list(self._known)[: max(0, len(self._known) - KEPT + 1)]:
                del self._known[oldest]
            self._known[key] = made
        return self._known[key]

    def picture(self) -> Image.Image:
        """What the widget shows now."""
        return Image.open(BytesIO(self.image.value))

    def _repr_mimebundle_(self, **how) -> dict[str, object]:
        shown = super()._repr_mimebundle_(**how)
        return {**shown, "text/plain": type(self).__name__, "image/png": base64.b64encode(self.image.value).decode()}


class Subject(W.VBox):
    """The picture and the text that are asked about: a scene of the paper or the reader's own file, and any words."""

    def __init__(self, clip: Clip, live: Live):
        self.live = live
        names = [(scene.captions[0].text, index) for index, scene in enumerate(FIGURES)]
        self.scene = control(W.Dropdown, "Scene", options=names)
        self.upload = W.FileUpload(accept="image/*", description="A picture of your own", layout=W.Layout(width="16em"))
        self.prompt = control(
            W.Text, "Text", value=names[0][0], placeholder="what to look for", continuous_update=False
        )
        parts = [self.scene, self.upload, self.prompt]
        if clip.vocabulary:
            known = W.HTML(f"<p>{', '.join(sorted(clip.vocabulary))}</p>")
            parts.append(W.Accordion([known], titles=("Words that this model has learned",), selected_index=None))
        super().__init__(parts)
        self.scene.observe(self._other_scene, "value")
        live.watch(self.upload, self.prompt)

    def _other_scene(self, change: Mapping) -> None:
        with self.live.together():
            self.upload.value, self.prompt.value = (), FIGURES[change["new"]].captions[0].text

    @property
    def text(self) -> str:
        return self.prompt.value

    @property
    def name(self) -> str:
        """What to call the picture."""
        return self.upload.value[0]["name"] if self.upload.value else f"the scene \u201c{self.scene.label}\u201d"

    @property
    def picture(self) -> Image.Image:
        """The reader's picture where there is one, else the scene's."""
        if not self.upload.value:
            return FIGURES[self.scene.value].image
        given = self.upload.value[0]
        try:
            opened = Image.open(BytesIO(bytes(given["content"])))
        except Exception as error:  # a broken file makes its decoder raise anything
            raise ImageError(f"{given['name']} is no picture that Pillow can read: choose a PNG or a JPEG.") from error
        return read_image(opened)


class Side(W.VBox):
    """A method, and how many of its last blocks it reads."""

    def __init__(self, clip: Clip, live: Live, label: str, method: str, layers: int = 0):
        depth = len(blocks(clip, "image"))
        counts = [("as the method has it", 0), ("the last one", 1), *((f"the last {n}", n) for n in range(2, depth))]
        self.method = control(W.Dropdown, label, options=list(CHOICES), value=method)
        self.layers = control(W.Dropdown, "Blocks", options=[*counts, ("all", depth)], value=layers)
        super().__init__([self.method, self.layers], layout=W.Layout(width="min(28em, 98%)"))
        self.method.observe(self._able, "value")
        self._able()
        live.watch(self.method, self.layers)

    def _able(self, change: object = None) -> None:
        name = CHOICES[self.method.value][0]
        self.layers.disabled = "layers" not in inspect.signature(METHODS[name]).parameters

    @property
    def asked(self) -> tuple[str, dict[str, object]]:
        """The method's name in `mmel.METHODS`, and its settings."""
        name, settings = CHOICES[self.method.value]
        chosen = {} if self.layers.disabled or not self.layers.value else {"layers": self.layers.value}
        return name, {**settings, **chosen}

    @property
    def title(self) -> str:
        if self.layers.disabled or not self.layers.value:
            return self.method.value
        return f"{self.method.value}, blocks: {self.layers.label}"


def explained(live: Live, picture: Image.Image, text: str, side: Side) -> Attribution:
    """A side's maps of a pair, made once."""
    name, settings = side.asked
    key = (picture.tobytes(), picture.size, text, name, repr(settings))
    return live.kept(key, lambda: explain(live.clip, picture, text, method=name, **settings))


def column(live: Live, title: str, shown: Image.Image, text: str, found: Attribution) -> list[Image.Image]:
    """A method's column: its name, its map, its words and the score that it explains."""
    map = found.image[0]
    parts = [line(title), painted(shown, map), bar(map), line(f"score {float(found.score[0]):.3f}", size=12)]
    words = None if found.text is None else words_of_text(live.clip.tokenizer, text, found.text[0])
    return [*parts, worded(words) if words else line("no map of the words", size=12)]


def message(role: str, head: str, words: str) -> str:
    """A line that a screen reader says by itself."""
    colour = {"alert": "#d55e00", "note": "#0072b2"}.get(role)  # beside the words, which have their theme's colour
    mark = f"border-left: 4px solid {colour}; padding-left: 0.6em; " if colour else ""
    head = f"<b>{head}:</b> " if head else ""
    return f'<p role="{role}" style="{mark}line-height: 1.4; max-width: 60em">{head}{escape(words)}</p>'
