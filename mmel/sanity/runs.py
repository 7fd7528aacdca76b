"""Several methods, several random states: the maps of one cascade, and how fast they lose their likeness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..clip import Clip, prepare
from ..errors import ShapeMismatch
from ..methods import explain
from ..methods.parts import grid_of, texts_of
from ..stats import Interval, bootstrap_mean
from ..types import Pairs
from .gentler import smoothed
from .likeness import flat, on_grid
from .randomization import Share, cascade

Row = tuple[str, Mapping[str, object]]  # a method and its settings
Measure = Callable[[Tensor, Tensor], Float[Tensor, " batch"]]


class Band(NamedTuple):
    """A mean and the ends of its interval at every rung."""

    mean: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True, eq=False)
class Dissolved:
    """Maps on the ladder, on the grid of patches (or of tokens). Rung 0 is the trained model."""

    steps: tuple[str, ...]
    shares: tuple[Share, ...]
    maps: Mapping[str, Float[Tensor, "seed rung batch rows columns"]]

    def likeness(
        self, row: str, measure: Measure, ends: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "seed rung batch"]:
        """Each map against the same pair's map of the trained model. `ends`: of text maps, only 1 to `ends` count."""
        maps = self.maps[row]
        return torch.stack([torch.stack([_compared(measure, one[0], each, ends) for each in one]) for one in maps])

    def usable(self, row: str, ends: Int[Tensor, " batch"] | None = None) -> Int[Tensor, " sample"]:
        """The samples whose trained map is not flat: nothing can be like the others, whose order is no order."""
        trained = self.maps[row][0, 0]
        ends = [None] * len(trained) if ends is None else ends
        same = torch.cat([flat(one[None, :, _words(end)]) for one, end in zip(trained, ends, strict=True)])
        return torch.nonzero(~same)[:, 0]

    def band(self, row: str, measure: Measure, ends: Int[Tensor, " batch"] | None = None) -> Band:
        """The mean likeness at every rung over samples (those that are `usable`) and seeds, with 95 % intervals."""
        values = self.likeness(row, measure, ends)[:, :, self.usable(row, ends)]
        found = [interval_of(values[:, rung]) for rung in range(len(self.steps))]
        return Band(*([getattr(each, name) for each in found] for name in ("mean", "low", "high")))


def dissolve(
    clip: Clip,
    images,
    texts,
    rows: Mapping[str, Row],
    *,
    order: str = "top_down",
    tower: str = "image",
    seeds: Sequence[int] = (0, 1),
    steps: Sequence[str] | None = None,
    modality: str = "image",
    drawn: Sequence[str] = (),  # rows whose own `seed` changes from rung to rung, such as a random map
    smooth: int = 0,  # noisy copies of each picture, over whose maps the mean is taken; 0: the picture itself
    noise: float = 0.1,
) -> Dissolved:
    """The maps of every row after every step of `cascade`, for several random states of the tower.

    `rows`: name -> (method, settings), as ("mmel", mmel.LITERAL). All rows see the same random weights. Pass texts as
    embeddings where only the image tower is drawn anew: they do not change, and cost no pass. Errors as of
    `mmel.explain` and `randomize`.
    """
    pairs = prepare(clip, images, texts)
    found = []
    for seed in seeds:
        fresh = count(1_000 * seed)  # seeds of the drawn rows
        look = partial(
            _maps, pairs=pairs, rows=rows, modality=modality, drawn=drawn, fresh=fresh, smooth=smooth, noise=noise
        )
        found.append(cascade(clip, look, order=order, tower=tower, seed=seed, steps=steps))
    maps = {name: torch.stack([torch.stack([rung.seen[name] for rung in one]) for one in found]) for name in rows}
    return Dissolved(tuple(r.step for r in found[0]), tuple(r.share for r in found[0]), maps)


def _maps(
    clip: Clip,
    *,
    pairs: Pairs,
    rows: Mapping[str, Row],
    modality: str,
    drawn: Sequence[str],
    fresh: Iterator[int],
    smooth: int,
    noise: float,
) -> dict[str, Tensor]:
    """The maps of all rows by the model as it is now, on one grid."""
    grid, seed, maps = (1, clip.context_length) if modality == "text" else grid_of(clip, pairs), next(fresh), {}
    for name, (method, settings) in rows.items():
        own = {**settings, "modality": modality, **({"seed": seed} if name in drawn else {})}

        def look(pixels: Tensor, method=method, own=own) -> Float[Tensor, "batch rows columns"]:
            made = getattr(explain(clip, pixels, texts_of(pairs), method, **own), modality)
            return on_grid(made if made.ndim == 3 else made[:, None], grid)

        maps[name] = smoothed(look, pairs.images, samples=smooth, noise=noise) if smooth else look(pairs.images)
    return maps


def interval_of(values: Float[Tensor, "seed sample"], *, resamples: int = 2_000, seed: int = 0) -> Interval:
    """The mean with a 95 % interval over samples and seeds both: each is drawn with replacement, on its own.

    The crossed bootstrap of Owen 2007 ("pigeonhole"), by percentiles. One seed: `mmel.stats.bootstrap_mean` over the
    samples, which says nothing about other seeds.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ShapeMismatch(f"values [seed, sample] of two samples or more were expected; got {list(values.shape)}.")
    if len(values) == 1:
        return bootstrap_mean(values[0], resamples=resamples, interval="percentile", seed=seed)
    rng, (rows, columns) = np.random.default_rng(seed), values.shape
    seeds = rng.multinomial(rows, np.full(rows, 1 / rows), resamples)
    samples = rng.multinomial(columns, np.full(columns, 1 / columns), resamples)
    means = np.einsum("br,rc,bc->b", seeds, values, samples) / values.size
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(values.mean()), float(low), float(high), values.size)


def _compared(measure: Measure, trained: Tensor, other: Tensor, ends: Tensor | None) -> Float[Tensor, " batch"]:
    if ends is None:
        return measure(trained, other)
    words = [_words(end) for end in ends]
    one_by_one = [measure(a[None, :, w], b[None, :, w]) for a, b, w in zip(trained, other, words, strict=True)]
    return torch.cat(one_by_one)


def _words(end: int | None) -> slice:
    """After the start of a text and before its end; all of a map of a picture."""
    return slice(None) if end is None else slice(1, max(2, int(end)))
