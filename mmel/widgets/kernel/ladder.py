"""The ladder: weights drawn anew, part by part, and what is left of a map."""

from __future__ import annotations

import ipywidgets as W

from ...clip import Clip
from ...loading.images import seen
from ...methods import explain
from ...sanity import ORDERS, Rung, cascade, ladder, spearman
from .base import Live, Seen, Side, Subject, control
from .draw import bar, line, painted, plotted, sheet


class Ladder(Live):
    """`step` 0 is the trained model. Outside `look` the model is always the trained one, bit by bit."""

    def __init__(self, clip: Clip):
        self.subject = Subject(clip, self)
        self.side = Side(clip, self, "Method", "grad_eclip")
        self.order = control(W.Dropdown, "Order", options=[(name.replace("_", " "), name) for name in ORDERS])
        self.step = control(W.IntSlider, "Steps drawn anew", min=0, max=len(ladder(clip)), value=1)
        self.watch(self.order, self.step)
        super().__init__(clip, self.subject, self.side, self.order, self.step)

    def look(self) -> Seen:
        picture, text, step = self.subject.picture, self.subject.text, self.step.value
        rungs = self._rungs(picture, text)
        maps = [rung.seen for rung in rungs]
        alike = [float(spearman(maps[0], each)) for each in maps]
        shown, rung = seen(self.clip, picture), rungs[step]
        name = "the trained model" if not step else f"drawn anew: {rung.step}" + self._so_far()
        columns = [
            [line(f"{self.side.title}, trained"), painted(shown, maps[0][0]), bar(maps[0][0])],
            [line(name), painted(shown, maps[step][0]), bar(maps[step][0])],
            [line(f"rank correlation {alike[step]:.3f}"), plotted(range(len(rungs)), alike, step, "steps")],
        ]
        words = f"{name[0].upper()}{name[1:]}; {rung.share.tower:.1%} of the image tower."
        words += f" Rank correlation with the trained map: {alike[step]:.3f}."
        quoted = f"\u201c{text.strip()}\u201d"
        alt = f"Two heat maps by {self.side.title} over {self.subject.name} for the text {quoted}, of the "
        alt += f"trained model and of this one: {name}. Beside them the curve of their rank correlation, step by step."
        return Seen(sheet(quoted, columns), words, alt)

    def _so_far(self) -> str:
        return " alone" if self.order.value == "independent" else ", and all above"

    def _rungs(self, picture, text: str) -> tuple[Rung, ...]:
        """The map after each step of the cascade, made once."""
        (method, settings), order = self.side.asked, self.order.value

        def look(clip: Clip):
            return explain(clip, picture, text, method=method, modality="image", **settings).image

        key = (picture.tobytes(), picture.size, text, method, repr(settings), order)
        return self.kept(key, lambda: cascade(self.clip, look, order=order))
