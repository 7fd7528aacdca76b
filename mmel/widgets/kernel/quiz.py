"""The quiz: which method made this map?"""

from __future__ import annotations

import ipywidgets as W
import numpy as np

from ...clip import Clip
from ...methods import explain
from ...scenes.figures import FIGURES
from .base import CHOICES, Live, Seen, choice
from .draw import bar, fitted, line, painted, sheet

POOL = ("raw_attention", "grad_eclip", "mmel_working", "chefer", "clip_surgery", "mask_clip", "grad_cam", "edges",
        "centre_gaussian")  # fmt: skip
OFFERED = 4


class Quiz(Live):
    """`answer` takes one of `choices`; after it all the maps are named. `right` of `asked` answers were right."""

    def __init__(self, clip: Clip, seed: int = 0):
        self.seed, self.round, self.asked, self.right = seed, 0, 0, 0
        self.answer = choice("It is", ["?"], "11em")
        self.next = W.Button(description="Next map", icon="arrow-right")
        self._ask()
        self.answer.observe(self._count, "value")
        self.next.on_click(self._turn)
        super().__init__(clip, self.answer, self.next)

    def _ask(self) -> None:
        """The scene, the methods to choose from and the one that it is, all from the seed and the round."""
        draw = np.random.default_rng([self.seed, self.round])
        self.scene = FIGURES[int(draw.integers(len(FIGURES)))]
        self.choices = tuple(str(name) for name in draw.choice(POOL, OFFERED, replace=False))
        self._truth = self.choices[int(draw.integers(OFFERED))]
        self.answer.options, self.answer.value, self.answer.disabled = self.choices, None, False

    def _count(self, change: dict) -> None:
        if change["new"] is not None and not self.answer.disabled:
            self.answer.disabled = True
            self.asked, self.right = self.asked + 1, self.right + (change["new"] == self._truth)
            self.refresh()

    def _turn(self, button: W.Button) -> None:
        with self.together():
            self.round += 1
            self._ask()

    def look(self) -> Seen:
        picture, text = self.scene.image, self.scene.captions[0].text
        answered = self.answer.value is not None
        columns = [[line("picture"), fitted(picture)]]
        for name in self.choices if answered else (self._truth,):
            map = self._map(name)
            title = f"{name}: this one" if answered and name == self._truth else name if answered else "Which method?"
            columns.append([line(title, bold=answered and name == self._truth), painted(picture, map), bar(map)])
        right = f"{self.right} of {self.asked} right." if self.asked else "No answer yet."
        verdict = f"It is {self._truth}. " if answered else "Which method made this map? "
        verdict = ("Right. " if self.answer.value == self._truth else "No. ") + verdict if answered else verdict
        maps = f"the heat maps of {', '.join(self.choices)}" if answered else "one heat map without its method's name"
        alt = f"Beside the scene \u201c{text}\u201d {maps} over it."
        return Seen(sheet(f"\u201c{text}\u201d", columns), verdict + right, alt)

    def _map(self, choice: str):
        """A method's map of the question's pair."""
        method, settings = CHOICES[choice]
        pair = self.scene.image, self.scene.captions[0].text
        return self.kept(
            (self.scene.key, choice), lambda: explain(self.clip, *pair, method=method, **settings).image[0]
        )
