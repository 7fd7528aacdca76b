"""MMEL's dials: Eq. 9 computed anew from what one forward pass left behind."""

from __future__ import annotations

from typing import NamedTuple

import ipywidgets as W
import torch
from torch import Tensor

from ...clip import Clip
from ...errors import BadSetting
from ...loading.images import seen
from ...maps import enhance_contrast
from ...methods.grad_eclip import image_maps, sum_layers
from ...methods.mmel import gated, spatial_tokens
from ...methods.mmel_settings import CHOICES, LITERAL, WORKING, MmelSettings
from ...sanity import spearman
from ...trace import blocks, record
from .base import Live, Seen, Subject, choice, control
from .draw import bar, fitted, line, painted, sheet

PRESETS = {"as printed": LITERAL, "our reading": WORKING}
DIALS = ("alpha", "temperature", "temperature_place", "beta", "beta_place", "reduction", "gate", "head_wise")
READS = [("the whole width", False), ("head by head", True)]
CONTRASTS = {"as it is": None, "stretched to 0..1": 0.0, "2 % cut off at either end": 0.02,
             "10 % cut off at either end": 0.1}  # fmt: skip
TINY = 1e-6  # of the highest value, added so that a patch of value 0 has a gate too


class Left(NamedTuple):
    """What a forward and a backward pass leave: Eq. 8's maps and the queries of each block, grid and score."""

    bases: list[Tensor]
    queries: list[Tensor]
    grid: tuple[int, int]
    score: float


class Maps(NamedTuple):
    """What the dials show, each [1, rows, columns]: Eq. 8, what Eq. 9 multiplies it with, the product with contrast."""

    base: Tensor
    gate: Tensor
    map: Tensor


class Dials(Live):
    """A control for each number of MMEL; `preset` sets all. `settings` are the `MmelSettings` that they make."""

    def __init__(self, clip: Clip):
        self.subject = Subject(clip, self)
        self.preset = choice("Start from", PRESETS, "9em")
        self.alpha = control(W.FloatSlider, "\N{GREEK SMALL LETTER ALPHA}, of the gate", min=0, max=60, step=0.5)
        self.temperature = control(W.FloatLogSlider, "Temperature", min=-2, max=0, step=0.05, readout_format=".3f")
        self.temperature_place = control(W.Dropdown, "Temperature at", options=CHOICES["temperature_place"])
        self.theta = control(W.FloatSlider, "θ, all blocks", min=-4, max=8, step=0.25)
        self.thetas = control(
            W.Text, "θ, block by block", placeholder="empty: the same for all", continuous_update=False
        )
        self.beta = control(W.FloatSlider, "β", min=0, max=10, step=0.1)
        self.beta_place = control(W.Dropdown, "β works", options=CHOICES["beta_place"])
        self.scales = control(W.Text, "Scales", continuous_update=False)
        self.reduction = control(W.Dropdown, "Matrix to patches", options=CHOICES["reduction"])
        self.gate = control(W.Dropdown, "Gates of blocks", options=CHOICES["gate"])
        self.head_wise = control(W.Dropdown, "Eq. 5 reads", options=READS)
        self.contrast = control(W.Dropdown, "Contrast", options=list(CONTRASTS))  # by name: None would be no choice
        self.dials = [self.alpha, self.temperature, self.temperature_place, self.theta, self.thetas, self.beta,
                      self.beta_place, self.scales, self.reduction, self.gate, self.head_wise,
                      self.contrast]  # fmt: skip
        self._turn(PRESETS[self.preset.value])
        self.preset.observe(self._other_preset, "value")
        self.watch(*self.dials)
        super().__init__(clip, self.subject, self.preset, W.VBox(self.dials))

    def _other_preset(self, change: dict) -> None:
        with self.together():
            self._turn(PRESETS[change["new"]])

    def _turn(self, to: MmelSettings) -> None:
        for name in (*DIALS, "theta"):
            getattr(self, name).value = to[name]
        self.contrast.value = next(name for name, share in CONTRASTS.items() if share == to.contrast_share)
        self.scales.value, self.thetas.value = ", ".join(f"{s:g}" for s in to.scales), ""

    @property
    def settings(self) -> MmelSettings:
        """What the controls say; a number that none is raises `BadSetting`."""
        theta = numbers("theta", self.thetas.value) if self.thetas.value.strip() else self.theta.value
        chosen = {name: getattr(self, name).value for name in DIALS}
        chosen["contrast_share"] = CONTRASTS[self.contrast.value]
        return MmelSettings(**chosen, theta=theta, scales=numbers("scales", self.scales.value), text="none")

    def maps(self, left: Left) -> Maps:
        """Eq. 9 with the dials as they are, of what the model left."""
        settings = self.settings
        thetas = settings.thetas(len(left.bases))
        whole = torch.ones_like(left.bases[0], dtype=torch.bool)
        part = settings.part(blocks(self.clip, "image")[-1].attn)
        with torch.no_grad():
            lifted = [base + TINY * base.max() for base in left.bases]
            map, gate = (gated(b, left.queries, whole, thetas, settings, part) for b in (left.bases, lifted))
            base, gate = sum_layers(left.bases), gate / sum_layers(lifted)
        base, gate, map = (each.unflatten(1, left.grid) for each in (base, gate, map))
        return Maps(
            base, gate, map if settings.contrast_share is None else enhance_contrast(map, settings.contrast_share)
        )

    def look(self) -> Seen:
        picture, text = self.subject.picture, self.subject.text
        left = self.left(picture, text)
        base, gate, map = self.maps(left)
        alike, low, high = float(spearman(base, map)), float(gate.min()), float(gate.max())
        shown, columns = seen(self.clip, picture), []
        for name, each in (("Grad-ECLIP, all blocks", base), ("the gate of Eq. 9", gate), ("MMEL", map)):
            columns.append([line(name), painted(shown, each[0]), bar(each[0])])
        columns.insert(0, [line("picture"), fitted(shown), line(f"score {left.score:.3f}", size=12)])
        words = f"The gate runs from {low:.4g} to {high:.4g}. Rank correlation of MMEL with Grad-ECLIP: {alike:.4f}."
        columns[2].append(line(f"from {low:.4g} to {high:.4g}", size=12))
        columns[3].append(line(f"rank correlation with Grad-ECLIP: {alike:.4f}", size=12))
        quoted = f"\u201c{text.strip()}\u201d"
        alt = f"Beside {self.subject.name} three heat maps over it for the text {quoted}: Grad-ECLIP over "
        alt += "all blocks, the gate of Eq. 9, and their product, MMEL; below each its scale."
        return Seen(sheet(quoted, columns), words, alt)

    def left(self, picture, text: str) -> Left:
        """What the model says of a pair, asked once."""
        return self.kept((picture.tobytes(), picture.size, text), lambda: asked(self.clip, picture, text))


@torch.enable_grad()
def asked(clip: Clip, picture, text: str) -> Left:
    """One forward pass, one backward pass."""
    trace = record(clip, picture, text, modality="image")
    bases = image_maps(clip, trace, key_similarity=True, projected_keys=False)
    queries = [spatial_tokens(layer.q, trace.grid).flatten(1, 3).detach() for layer in trace.image_layers]
    return Left([base.detach() for base in bases], queries, trace.grid, float(trace.score.detach()))


def numbers(name: str, written: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    try:
        return tuple(float(part) for part in written.replace(";", ",").split(",") if part.strip())
    except ValueError as error:
        raise BadSetting(
            f"{name} are numbers with commas between them, as in 1, 0.75, 0.5; got {written!r}."
        ) from error
