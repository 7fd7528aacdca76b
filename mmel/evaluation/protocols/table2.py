"""Table 2: deletion and insertion on zero-shot classification, by the official protocol and by the full one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...clip import Clip
from ...errors import BadSetting, DatasetError, UnknownName
from ...loading.windows import SHORTEST, smaller
from ...methods import METHODS
from ...metrics import PROTOCOLS, auc, hits_at_k, step_auc
from ...types import PLAIN
from ..protocol import Measurement, Row
from .checking import NEEDS, check_data, check_protocol, name_of
from .editing import Ask, Embedded, Question, cosines_of, embedded_curves
from .making import image_maps
from .scoring import PATHS, class_embeds, embed_pixels
from .seeing import OWN_SIZE, Look, cropped, uncropped

KINDS = ("deletion", "insertion")
TARGETS = ("true", "predicted")
KS = (1, 5)


class Classes(NamedTuple):
    """The class ensembles, and the model's own scale of cosines."""

    embeds: Float[Tensor, "class embed"]
    scale: float
    manifest: str = ""  # of the dataset that they were made from


class View(NamedTuple):
    """The picture that is edited, what a method is shown of it, and the labels that it explains."""

    image: object
    look: Look
    labels: dict[str, int]


@dataclass(frozen=True)
class Table2:
    """A map for the true label, and one for the predicted one; both are judged by the true label, as officially.

    `official`: accuracy @1 and @5 while 100 steps of 0.5 % of the source picture's pixels become noise (deletion) or
    come back from black (insertion). `full`: the probability of the label while all of the picture goes.

    Of a picture that is not square the model sees the middle, and there the map lies; pixels outside of it are edited
    last, in reading order. In `official` a picture is first made smaller, so that its shorter side has `shorter_side`
    pixels at most, and the methods of `own_size` explain all of it at its own size.

    Notes
    -----
    The official scripts stretch maps of the middle over all of the picture; here they lie where they belong.
    """

    protocols: tuple[str, ...] = ("official", "full")
    targets: tuple[str, ...] = ("true", "predicted")
    path: str = "device"  # "exact": every edited picture goes through PIL
    own_size: tuple[str, ...] = OWN_SIZE  # methods
    shorter_side: int | None = SHORTEST  # pixels, of `official`; None: a picture stays as large as it is
    classes: Classes | None = None  # what `prepare` made for another evaluation; None: made anew
    name: str = "table2"
    wants_pixels = True  # of each sample, made once for all rows

    def __post_init__(self) -> None:
        check_protocol(self, {"protocols": PROTOCOLS, "targets": TARGETS, "path": PATHS})
        if self.shorter_side is not None and self.shorter_side < 1:
            raise BadSetting(f"shorter_side of table2 is from 1 on, or None; got {self.shorter_side}.")
        for method in self.own_size:
            if method not in METHODS:
                raise UnknownName("method of table2's own_size", method, METHODS)

    def prepare(self, clip: Clip, data) -> Classes:
        """The class ensembles, from the dataset's own prompts."""
        check_data("table2", data)
        return self.classes or classes_of("table2", clip, data)

    def measure(self, clip: Clip, state: Classes, example, row: Row, seed: int) -> Iterator[Measurement]:
        """Areas of the curves of one picture; `steps` are their points. A right prediction has one map, made once."""
        asked = self.ask(clip, state, example, row, seed)
        yield from asked.read(embedded_curves(clip, asked.image, asked.asks, path=self.path))

    def ask(self, clip: Clip, state: Classes, example, row: Row, seed: int) -> Question:
        """The curves to embed, alone or together with those of other pictures, and how they are read."""
        if example.label is None:
            raise DatasetError(f"{example.key} has no label, which table2 needs.")
        views, maps = self._views(clip, state, example, row), {}
        for look, labels in {id(view.look): (view.look, self._wanted(view)) for view in views.values()}.values():
            made = image_maps(clip, row, look.pixels.expand(len(labels), -1, -1, -1), state.embeds[labels], seed).cpu()
            maps[id(look)] = dict(zip(labels, made, strict=True))
        asks = {
            (label, name, kind): Ask(
                kind, maps[id(view.look)][label], PROTOCOLS[name], seed, view.look.window, view.image
            )
            for place in range(len(self.targets))
            for name, view in views.items()
            for label in self._wanted(view)[place : place + 1]
            for kind in KINDS
        }
        return Question(
            example.image,
            list(asks.values()),
            lambda curves: self._read(dict(zip(asks, curves, strict=True)), state, example.label, views),
        )

    def _wanted(self, view: View) -> list[int]:
        """The labels that are explained, each once: a right prediction is the true one."""
        return list(dict.fromkeys(view.labels[target] for target in self.targets))

    def _views(self, clip: Clip, state: Classes, example, row: Row) -> dict[str, View]:
        """What each protocol is about; the two share what they can. A prediction decides what is explained."""
        small, made, views = example, {}, {}
        if self.shorter_side is not None and (image := smaller(example.image, self.shorter_side)) is not example.image:
            small = replace(example, image=image, pixels=None)
        for name in self.protocols:
            shown = small if name == "official" else example
            if id(shown) not in made:
                own = cropped(clip, shown)
                seen = embed_pixels(replace(clip, scoring=PLAIN), own.pixels)
                made[id(shown)] = own, int((seen[0] @ state.embeds.T).argmax())
            own, predicted = made[id(shown)]
            whole = name == "official" and row.method in self.own_size
            look = uncropped(clip, shown, own) if whole else own
            views[name] = View(shown.image, look, {"true": example.label, "predicted": predicted})
        return views

    def _read(self, curves: Mapping[tuple, Embedded], state: Classes, label: int, views) -> Iterator[Measurement]:
        cosines_at = dict(zip(curves, cosines_of(list(curves.values()), state.embeds), strict=True))
        for target, (name, view), kind in product(self.targets, views.items(), KINDS):
            key = view.labels[target], name, kind
            curve, cosines = curves[key], cosines_at[key]
            if name == "official":
                yield from official_scores(cosines, label, kind, target)
            else:
                yield from full_scores(curve.fractions, cosines, state.scale, label, kind, target)


def classes_of(protocol: str, clip: Clip, data) -> Classes:
    """The class ensembles of a dataset. Raises `DatasetError` where it has no classes."""
    if getattr(data, "prompts", None) is None:
        raise DatasetError(f"{protocol} asks for classes, and {name_of(data)} has none: {NEEDS['label'].take}.")
    scale = float(clip.model.logit_scale.detach().exp())
    return Classes(class_embeds(clip, data.prompts), scale, getattr(data, "manifest", ""))


def official_scores(cosines: Float[Tensor, "points class"], label: int, kind, target) -> Iterator[Measurement]:
    """Hits at 1 and 5 at each point, and their area as if the points stood at equal distances."""
    for k in KS:
        hits = hits_at_k(cosines, [label] * len(cosines), k)
        yield Measurement("image", f"{kind} {target} @{k}", float(step_auc(hits)), hits.tolist())


def full_scores(fractions, cosines, scale: float, label: int, kind: str, target: str) -> Iterator[Measurement]:
    """The probability of the true label at each point, and the area over the true share of edited pixels."""
    values = torch.softmax(scale * cosines.double(), 1)[:, label]
    yield Measurement("image", f"{kind} {target} probability", float(auc(fractions, values)), values.tolist())
