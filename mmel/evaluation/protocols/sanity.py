"""The protocol sanity, of Sec. 4.7: how like the trained model's map a map stays while a tower is drawn anew.

A step of a cascade is drawn once for all samples of a shard and all rows, and the trained weights come back after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...clip import Clip, embed_text, end_of_text, prepare
from ...errors import BadSetting, DatasetError, FlatMap, UnknownName, UnsupportedModality
from ...methods import explain
from ...methods.parts import grid_of, texts_of
from ...sanity.gentler import entropy_rise, smoothed
from ...sanity.likeness import SIMILARITIES, flat, on_grid
from ...sanity.randomization import ORDERS, Climb, climbed, climbs
from ...sanity.recognising import NEAREST, Gallery
from ...sanity.steps import ladder
from ...types import Example, Pairs
from ..inline import seed_of
from ..protocol import FATAL, Batch, Findings, Measurement, Row
from ..rows import why_no_text
from .checking import check_data, check_protocol
from .making import seeded_apart
from .scoring import pixels_of

MEASURES: Mapping[str, Callable[[Tensor, Tensor], Float[Tensor, " batch"]]] = {
    **SIMILARITIES,
    "entropy_rise": partial(entropy_rise, bins=20),  # on few patches a hundred bins would be empty
}
OF_A_LINE = tuple(name for name in MEASURES if name not in ("ssim", "hog"))  # maps of words have no two sides
DRAWN = ("random",)
Maps = Float[Tensor, "batch rows columns"]


@dataclass(frozen=True)
class Sanity:
    """Of each order, random state and measure a curve; `value` is its end, where all that can be is drawn anew.

    The measure "nearest" asks the model and no method: is a picture's own caption the nearest of those of all samples?
    """

    tower: str = "image"  # that is drawn anew: image, text or both
    orders: tuple[str, ...] = ("top_down", "bottom_up")
    states: tuple[int, ...] = (0, 1)  # seeds of the random weights
    every: int = 1  # look after every so many-th step, the first and the last always
    steps: tuple[str, ...] | None = None  # or after these alone, by their names
    modality: str = "image"  # of the maps
    measures: tuple[str, ...] | None = None  # of MEASURES, or "nearest"; None: all that such maps can have
    drawn: tuple[str, ...] = DRAWN  # rows with another seed for every sample, state and rung: noise, as a control
    smooth: int = 0  # noisy copies of each picture, over whose maps the mean is taken; 0: the picture itself
    noise: float = 0.1
    pictures: int = 0  # of the first so many samples the maps are kept too
    name: str = "sanity"
    wants_pixels = True  # of each sample, made once for all rows

    def __post_init__(self) -> None:
        names = {"tower": ("image", "text", "both"), "modality": ("image", "text"), "orders": ORDERS}
        known = MEASURES if self.modality == "image" else OF_A_LINE
        measures = {"measures": (*known, NEAREST)} if self.measures else {}
        check_protocol(self, names | measures, {"every": 1, "smooth": 0, "pictures": 0})
        if not self.states:
            raise BadSetting(f"states of sanity has at least one seed; got {self.states!r}.")
        for setting in ("orders", "states", "measures"):
            if len(set(given := getattr(self, setting) or ())) < len(given):
                raise BadSetting(f"{setting} of sanity has each of them once; got {given!r}.")

    def check_rows(self, rows: Sequence[Row]) -> None:
        """Raise for a row to draw anew that is not there; the default may be missing."""
        for name in self.drawn:
            if name not in DRAWN and name not in [row.name for row in rows]:
                raise UnknownName("row of sanity's setting drawn", name, [row.name for row in rows])

    @property
    def measured(self) -> tuple[str, ...]:
        """The measures that are taken."""
        return self.measures or (tuple(MEASURES) if self.modality == "image" else OF_A_LINE)

    def prepare(self, clip: Clip, data) -> State:
        """The rungs of each order, and all captions where the nearest one is asked for."""
        check_data("sanity", data)
        seeks = NEAREST in self.measured
        return State(self.rungs(clip), Gallery(clip, data, self.tower != "image") if seeks else None)

    def rungs(self, clip: Clip) -> dict[str, tuple[Climb, ...]]:
        """What is drawn anew for each rung of each order, the trained model left out."""
        names = [step.name for step in ladder(clip, self.tower)]
        wanted = self.steps or list(dict.fromkeys([*names[:: self.every], names[-1]]))
        return {order: climbs(clip, order, self.tower, wanted) for order in self.orders}

    def measure_batches(self, clip: Clip, state: State, batches: Sequence[Batch]) -> list:
        """Trained maps first, then every cascade once for all batches; a batch whose maps fail sees no more of them."""
        pairs: dict[tuple[int, ...], Pairs] = {}
        looks = [_Look(self, clip, batch, pairs, state.gallery) for batch in batches]
        for seed in self.states:
            for look in looks:
                look.see(clip, (seed,), fresh=f"state {seed}, rung 0")
        for order, rungs in state.climbs.items():
            for seed in self.states:
                with closing(climbed(clip, rungs, tower=self.tower, seed=seed)) as standing:  # gives the weights back
                    for rung, _ in enumerate(standing, 1):
                        for look in looks:
                            look.see(clip, (order, seed), fresh=f"state {seed}, rung {rung}")
        return [look.findings() for look in looks]


class State(NamedTuple):
    """What a run needs besides its samples."""

    climbs: Mapping[str, Sequence[Climb]]  # of each order
    gallery: Gallery | None


@dataclass
class _Look:
    """One row and its group of samples: their maps by cascade, rung by rung, or why there are none."""

    how: Sanity
    clip: Clip
    batch: Batch
    known: dict[tuple[int, ...], Pairs]  # groups that are ready, for all rows
    gallery: Gallery | None
    pairs: Pairs | None = None
    ends: Sequence[int] | None = None  # of maps of texts: where each text ends
    error: Exception | None = None
    maps: dict[tuple, list[Maps]] = field(default_factory=dict)
    right: dict[tuple, list[Float[Tensor, " batch"]]] = field(default_factory=dict)  # is the own caption the nearest?

    def __post_init__(self) -> None:
        try:
            self.pairs = self._ready()
        except FATAL:
            raise
        except Exception as error:
            self.error = error

    def _ready(self) -> Pairs:
        row, key = self.batch.row, tuple(self.batch.places)
        if self.how.modality == "text" and (why := why_no_text(row.name, row.method)):
            raise UnsupportedModality(why)
        pairs = self.known[key] = self.known.get(key) or self._prepared(self.batch.examples)
        self.ends = end_of_text(self.clip, pairs.tokens).tolist() if self.how.modality == "text" else None
        return pairs

    def _prepared(self, examples: Sequence[Example]) -> Pairs:
        if bare := [each.key for each in examples if not each.captions]:
            raise DatasetError(f"a sanity check explains a picture with its caption, and {bare[0]} has none.")
        pixels = torch.cat([pixels_of(self.clip, each) for each in examples])
        texts = [each.captions[0] for each in examples]
        if self.how.modality == self.how.tower == "image":
            texts = embed_text(self.clip, texts).detach()  # no random image tower changes them
        return prepare(self.clip, pixels, texts)

    def see(self, clip: Clip, cascade: tuple, fresh: str) -> None:
        """The maps of the model as it is now; `fresh` says when, for the seed of a row that is drawn anew."""
        if self.error:
            return
        try:
            if self.gallery:
                when = (tuple(self.batch.places), cascade, fresh)
                own = [each.captions[0] for each in self.batch.examples]
                now = self.gallery.nearest(clip, self.pairs.images, own, when)
                self.right.setdefault(cascade, []).append(now)
            if self.how.measured != (NEAREST,):  # which asks for no map
                self.maps.setdefault(cascade, []).append(self._made(clip, cascade, fresh))
        except FATAL:
            raise
        except Exception as error:
            self.error = error

    def _made(self, clip: Clip, cascade: tuple, fresh: str) -> Maps:
        changes, known = self.batch.row.name in self.how.drawn, self.maps.get((self.how.states[0],))
        trained = len(cascade) == 1 and not changes and known  # one map for all states
        return known[0] if trained else self._maps(clip, fresh if changes else None)

    def _maps(self, clip: Clip, fresh: str | None) -> Maps:
        row, seeds = self.batch.row, self.batch.seeds
        settings = {**row.settings, "modality": self.how.modality}
        if fresh is not None:
            seeds = [seed_of(own, fresh, row.method) for own in seeds]
        elif not seeded_apart(row):
            return self._explained(clip, slice(None), settings)
        each = enumerate(seeds)  # a seed for each sample: one after the other
        return torch.cat([self._explained(clip, slice(i, i + 1), {**settings, "seed": own}) for i, own in each])

    def _explained(self, clip: Clip, some: slice, settings: Mapping[str, object]) -> Maps:
        texts, line = texts_of(self.pairs)[some], self.how.modality == "text"
        grid = (1, clip.context_length) if line else grid_of(clip, self.pairs)

        def look(pixels: Tensor) -> Maps:
            made = getattr(explain(clip, pixels, texts, self.batch.row.method, **settings), self.how.modality)
            return on_grid(made if made.ndim == 3 else made[:, None], grid)

        pixels, copies = self.pairs.images[some], self.how.smooth
        seeds = list(self.batch.seeds)[some]
        return smoothed(look, pixels, samples=copies, noise=self.how.noise, seed=seeds) if copies else look(pixels)

    def findings(self) -> list[Findings]:
        """What each sample of the group has."""
        return [[self.error] if self.error else self._found(i) for i in range(len(self.batch.examples))]

    def _found(self, i: int) -> Findings:
        words = slice(1, max(2, self.ends[i])) if self.ends else slice(None)
        maps = {key: each[:, :, words] for key, each in _falls(self.maps, i).items()}
        kept = maps if self.batch.places[i] < self.how.pictures else {}
        found: Findings = [_line("", ("map", *key), each.shape[-1], each.flatten()) for key, each in kept.items()]
        for key, values in _falls(self.right, i).items():
            found.append(_line(self.how.modality, (NEAREST, *key), values[-1], values))
        try:
            return found + list(self._measured(maps))
        except Exception as error:
            return [*found, error]

    def _measured(self, maps: Mapping[tuple, Float[Tensor, "rung rows columns"]]) -> Iterator[Measurement]:
        for key, each in maps.items():
            if flat(each[:1]).item():
                raise FlatMap("the trained model's map is flat: no other can be like it.")
            for name in (name for name in self.how.measured if name != NEAREST):
                values = MEASURES[name](each[:1].expand_as(each), each)
                yield _line(self.how.modality, (name, *key), values[-1], values)


def _falls(seen: Mapping[tuple, Sequence[Tensor]], i: int) -> dict[tuple, Float[Tensor, "rung ..."]]:
    """Of one sample: what was seen on each cascade, the trained model first."""
    whole = {key: [*seen[key[1:]], *rungs] for key, rungs in seen.items() if len(key) == 2}
    return {key: torch.stack([each[i] for each in some]) for key, some in whole.items()}


def _line(modality: str, metric: Sequence[object], value: float, steps: Tensor) -> Measurement:
    return Measurement(modality, " ".join(map(str, metric)), float(value), steps.tolist())
