"""The scrubber: deletion and insertion, one step after the other."""

from __future__ import annotations

from functools import partial

import ipywidgets as W
import torch
from PIL import Image

from ...clip import Clip, embed_image, embed_text, similarity
from ...loading.images import seen
from ...loading.inputs import prepare_images, prepare_texts
from ...metrics import auc, deletion_curve, insertion_curve
from ...metrics.fills import FILLS
from .base import Live, Seen, Side, Subject, choice, control, explained
from .draw import bar, fitted, line, painted, plotted, sheet

STEPS = 20
KINDS = {"deletion": deletion_curve, "insertion": insertion_curve}


class Scrubber(Live):
    """`step` is the point of the curve that is shown; `kind`, `fill` and `side` decide the curve."""

    def __init__(self, clip: Clip):
        self.subject = Subject(clip, self)
        self.side = Side(clip, self, "Method", "grad_eclip")
        self.kind = choice("Curve", KINDS, "9em")
        self.fill = control(W.Dropdown, "Filled with", options=list(FILLS), value="mean")
        self.step = control(W.IntSlider, "Step", min=0, max=STEPS, value=5)
        self.watch(self.kind, self.fill, self.step)
        play = W.Play(value=self.step.value, min=0, max=STEPS, interval=600, description="Play")
        W.jslink((play, "value"), (self.step, "value"))
        super().__init__(clip, self.subject, self.side, self.kind, self.fill, W.HBox([self.step, play]))

    def look(self) -> Seen:
        picture, text, step = self.subject.picture, self.subject.text, self.step.value
        found = explained(self, picture, text, self.side)
        shown, kind, fill = seen(self.clip, picture), self.kind.value, self.fill.value
        key = ("curve", picture.tobytes(), picture.size, text, repr(self.side.asked), kind, fill)
        curve = self.kept(key, partial(self._curve, shown, text, found.image[0], kind, fill))
        shares, values = curve.fractions.tolist(), curve.values.tolist()
        area, share = float(auc(curve.fractions, curve.values)), shares[step]
        deed = "taken away" if kind == "deletion" else "put back"
        map = found.image[0]
        columns = [
            [line(f"map of {self.side.title}"), painted(shown, map), bar(map)],
            [line(f"{share:.0%} of the pixels {deed}"), fitted(curve.edits[step : step + 1][0])],
            [line(f"score {values[step]:.3f}"), plotted(shares, values, step, f"share of the pixels {deed}")],
        ]
        words = f"{share:.0%} of the pixels {deed}: score {values[step]:.3f}. Area under the {kind} curve: {area:.4f}."
        quoted = f"\u201c{text.strip()}\u201d"
        alt = f"A heat map by {self.side.title} over {self.subject.name} for the text {quoted}; the picture "
        alt += f"with {share:.0%} of the pixels {deed}; and the {kind} curve of the score with a dot at this step."
        return Seen(sheet(quoted, columns), words, alt)

    def _curve(self, shown: Image.Image, text: str, map, kind: str, fill: str):
        """The whole curve, scored in one batch."""
        with torch.no_grad():
            wanted = embed_text(self.clip, prepare_texts(self.clip, text))

        def score(pictures: list[Image.Image]) -> torch.Tensor:
            return similarity(embed_image(self.clip, prepare_images(self.clip, pictures)), wanted)

        return KINDS[kind](score, shown, map, steps=STEPS, fill=fill)
