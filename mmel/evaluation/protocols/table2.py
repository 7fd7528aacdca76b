"""Table 2: deletion and insertion on zero-shot classification, by the official protocol and by the full one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...clip import Clip
from ...errors import DatasetError, UnknownName
from ...methods import METHODS
from ...metrics import PROTOCOLS, auc, hits_at_k, step_auc
from ...types import PLAIN
from ..protocol import Measurement, Row
from .checking import check_protocol
from .editing import Ask, Embedded, Question, cosines_of, embedded_curves
from .making import image_maps
from .scoring import PATHS, class_embeds, embed_pixels
from .seeing import OWN_SIZE, cropped, uncropped

KINDS = ("deletion", "insertion")
TARGETS = ("true", "predicted")
KS = (1, 5)


class Classes(NamedTuple):
    """The class ensembles, and the model's own scale of cosines."""

    embeds: Float[Tensor, "class embed"]
    scale: float
    manifest: str = ""  # of the dataset that they were made from


@dataclass(frozen=True)
class Table2:
    """A map for the true label, and one for the predicted one; both are judged by the true label, as officially.

    `official`: accuracy @1 and @5 while 100 steps of 0.5 % of the source picture's pixels become noise (deletion) or
    come back from black (insertion). `full`: the probability of the label while all of the picture goes.

    Of a picture that is not square the model sees the middle, and there the map lies; pixels outside of it are edited
    last, in reading order. In `official` the methods of `own_size` explain all of the picture at its own size.

    Notes
    -----
    The official scripts stretch maps of the middle over all of the picture; here they lie where they belong.
    """

    protocols: tuple[str, ...] = ("official", "full")
    targets: tuple[str, ...] = ("true", "predicted")
    path: str = "device"  # "exact": every edited picture goes through PIL
    own_size: tuple[str, ...] = OWN_SIZE  # methods
    classes: Classes | None = None  # what `prepare` made for another evaluation; None: made anew
    name: str = "table2"
    wants_pixels = True  # of each sample, made once for all rows

    def __post_init__(self) -> None:
        check_protocol(self, {"protocols": PROTOCOLS, "targets": TARGETS, "path": PATHS})
        for method in self.own_size:
            if method not in METHODS:
                raise UnknownName("method of table2's own_size", method, METHODS)

    def prepare(self, clip: Clip, data) -> Classes:
        """The class ensembles, from the dataset's own prompts."""
        if self.classes is not None:
            return self.classes
        if getattr(data, "prompts", None) is None:
            name = getattr(data, "name", "the dataset")
            raise DatasetError(f"table2 asks for classes, and {name} has none: take scenes/classes or imagenet.")
        scale = float(clip.model.logit_scale.detach().exp())
        return Classes(class_embeds(clip, data.prompts), scale, getattr(data, "manifest", ""))

    def measure(self, clip: Clip, state: Classes, example, row: Row, seed: int) -> Iterator[Measurement]:
        """Areas of the curves of one picture; `steps` are their points. A right prediction has one map, made once."""
        asked = self.ask(clip, state, example, row, seed)
        yield from asked.read(embedded_curves(clip, asked.image, asked.asks, path=self.path))

    def ask(self, clip: Clip, state: Classes, example, row: Row, seed: int) -> Question:
        """The curves to embed, alone or together with those of other pictures, and how they are read."""
        if example.label is None:
            raise DatasetError(f"{example.key} has no label, which table2 needs.")
        own = cropped(clip, example)
        whole = uncropped(clip, example, own) if row.method in self.own_size and "official" in self.protocols else own
        seen = embed_pixels(replace(clip, scoring=PLAIN), own.pixels)  # it decides what is explained
        predicted = int((seen[0] @ state.embeds.T).argmax())
        labels = {"true": example.label, "predicted": predicted}
        wanted = list(dict.fromkeys(labels[target] for target in self.targets))
        looks = {protocol: whole if protocol == "official" else own for protocol in self.protocols}
        maps = {
            window: image_maps(clip, row, pixels.expand(len(wanted), -1, -1, -1), state.embeds[wanted], seed).cpu()
            for window, pixels in {look.window: look.pixels for look in looks.values()}.items()
        }
        asks = [
            Ask(kind, maps[looks[p].window][place], PROTOCOLS[p], seed, looks[p].window)
            for place, p, kind in product(range(len(wanted)), self.protocols, KINDS)
        ]
        return Question(example.image, asks, lambda curves: self._read(curves, state, example.label, labels, wanted))

    def _read(self, curves: Sequence[Embedded], state: Classes, label: int, labels, wanted) -> Iterator[Measurement]:
        pairs = iter(zip(curves, cosines_of(curves, state.embeds), strict=True))
        made = {(map, p, kind): next(pairs) for map in wanted for p in self.protocols for kind in KINDS}
        for target in self.targets:
            for protocol in self.protocols:
                for kind in KINDS:
                    curve, cosines = made[labels[target], protocol, kind]
                    if protocol == "official":
                        yield from official_scores(cosines, label, kind, target)
                    else:
                        yield from full_scores(curve.fractions, cosines, state.scale, label, kind, target)


def official_scores(cosines: Float[Tensor, "points class"], label: int, kind, target) -> Iterator[Measurement]:
    """Hits at 1 and 5 at each point, and their area as if the points stood at equal distances."""
    for k in KS:
        hits = hits_at_k(cosines, [label] * len(cosines), k)
        yield Measurement("image", f"{kind} {target} @{k}", float(step_auc(hits)), hits.tolist())


def full_scores(fractions, cosines, scale: float, label: int, kind: str, target: str) -> Iterator[Measurement]:
    """The probability of the true label at each point, and the area over the true share of edited pixels."""
    values = torch.softmax(scale * cosines.double(), 1)[:, label]
    yield Measurement("image", f"{kind} {target} probability", float(auc(fractions, values)), values.tolist())
