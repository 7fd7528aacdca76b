"""Slow twins of the sanity checks: loops over Python floats, from the papers' pages and from nothing in `mmel`.

At the end the checks themselves without protocols and the engine: all maps of one cascade, kept and compared at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import count

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mmel.clip import Clip, prepare
from mmel.methods import explain
from mmel.methods.parts import grid_of, texts_of
from mmel.sanity import Band, Question, Share, cascade, flat, interval_of, on_grid, relation, smoothed
from mmel.sanity.crowd import Record, Row, Stated, judged, missed, posed, told
from mmel.scenes import Scene
from mmel.types import Pairs

Vector = list[float]
Matrix = list[Vector]
Measure = Callable[[Tensor, Tensor], Float[Tensor, " batch"]]


def pearson_slow(a: Vector, b: Vector) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    over = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return over / math.sqrt(sum((x - mean_a) ** 2 for x in a)) / math.sqrt(sum((y - mean_b) ** 2 for y in b))


def ranks_slow(values: Vector) -> Vector:
    """Each value's rank from 1, equal ones share their mean rank."""
    return [sum(v < value for v in values) + (sum(v == value for v in values) + 1) / 2 for value in values]


def spearman_slow(a: Vector, b: Vector) -> float:
    return pearson_slow(ranks_slow(a), ranks_slow(b))


def second_moment_slow(map: Matrix) -> Matrix:
    values = [value for row in map for value in row]
    size = math.sqrt(sum(value**2 for value in values) / len(values))
    return [[value / size for value in row] for row in map]


def ssim_slow(a: Matrix, b: Matrix, window: int) -> float:
    """Wang et al. 2004, with means over square windows, sample variances, K1 = 0.01 and K2 = 0.03."""
    a, b = second_moment_slow(a), second_moment_slow(b)
    everything = [value for row in [*a, *b] for value in row]
    reach = max(everything) - min(everything)
    c1, c2, seen = (0.01 * reach) ** 2, (0.03 * reach) ** 2, []
    for row, column in itertools.product(range(len(a) - window + 1), range(len(a[0]) - window + 1)):
        at = [(row + i, column + j) for i in range(window) for j in range(window)]
        x, y = [a[i][j] for i, j in at], [b[i][j] for i, j in at]
        mx, my, count = sum(x) / len(x), sum(y) / len(y), len(x) - 1
        vx, vy = sum((v - mx) ** 2 for v in x) / count, sum((v - my) ** 2 for v in y) / count
        cov = sum((v - mx) * (w - my) for v, w in zip(x, y, strict=True)) / count
        seen.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return sum(seen) / len(seen)


def top_overlap_slow(a: Vector, b: Vector, count: int) -> float:
    """Mean overlap over every way to break ties at the edge of the top, both maps on their own."""

    def tops(values: Vector) -> list[set[int]]:
        best = sorted(values, reverse=True)[:count]
        found = [set(c) for c in itertools.combinations(range(len(values)), count)]
        return [c for c in found if sorted((values[i] for i in c), reverse=True) == best]

    pairs = list(itertools.product(tops(a), tops(b)))
    return sum(len(x & y) / count for x, y in pairs) / len(pairs)


def entropy_slow(values: Vector, bins: int) -> float:
    low, high = min(values), max(values)
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, int((value - low) / (high - low) * bins))] += 1
    return -sum(c / len(values) * math.log(c / len(values)) for c in counts if c)


def solve_slow(matrix: Matrix, right: Vector) -> Vector:
    """Gauss's elimination with the largest pivot."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        best = max(range(i, len(rows)), key=lambda r: abs(rows[r][i]))
        rows[i], rows[best] = rows[best], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(len(rows)):
            if r != i:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def fit_slow(design: Matrix, y: Vector) -> tuple[Vector, float]:
    """Least squares by the normal equations: coefficients, and what is left."""
    width = len(design[0])
    normal = [[sum(row[i] * row[j] for row in design) for j in range(width)] for i in range(width)]
    right = [sum(row[i] * value for row, value in zip(design, y, strict=True)) for i in range(width)]
    found = solve_slow(normal, right)
    fits = [sum(c * v for c, v in zip(found, row, strict=True)) for row in design]
    return found, sum((value - fit) ** 2 for value, fit in zip(y, fits, strict=True))


def broken_line_slow(x: Vector, y: Vector, breaks: Vector) -> tuple[float, Vector, float]:
    """(break, height and slope and change, what is left) of the best break, each tried in turn."""
    tried = []
    for at in breaks:
        found, left = fit_slow([[1.0, value, max(0.0, value - at)] for value in x], y)
        tried.append((left, at, found))
    left, at, found = min(tried, key=lambda each: each[0])
    return at, found, left


def half_mass_slow(map: Matrix) -> float:
    """The share of the places with the highest values that hold half of the positive mass."""
    values = sorted((max(0.0, value) for row in map for value in row), reverse=True)
    number, held = 0, 0.0
    while held < sum(values) / 2:
        number, held = number + 1, held + values[number]
    return number / len(values)


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
    drawn: Mapping[str, Sequence[int]] = {},  # rows with another seed at every rung, and their samples' own seeds
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
        fresh = (f"state {seed}, rung {rung}" for rung in count())  # what the drawn rows' seeds come from
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
    drawn: Mapping[str, Sequence[int]],
    fresh: Iterator[str],
    smooth: int,
    noise: float,
) -> dict[str, Tensor]:
    """The maps of all rows by the model as it is now, on one grid."""
    grid, when, maps = (1, clip.context_length) if modality == "text" else grid_of(clip, pairs), next(fresh), {}
    for name, (method, settings) in rows.items():
        own = {**settings, "modality": modality}
        if name in drawn:
            seeds = [int(sha256(f"{each}/{when}/{method}".encode()).hexdigest()[:8], 16) // 2 for each in drawn[name]]
            some = [(pairs.images[i : i + 1], texts_of(pairs)[i : i + 1], seed) for i, seed in enumerate(seeds)]
            made = [getattr(explain(clip, *pair, method, **own, seed=seed), modality) for *pair, seed in some]
            maps[name] = on_grid(torch.cat(made), grid)
            continue

        def look(pixels: Tensor, method=method, own=own) -> Float[Tensor, "batch rows columns"]:
            made = getattr(explain(clip, pixels, texts_of(pairs), method, **own), modality)
            return on_grid(made if made.ndim == 3 else made[:, None], grid)

        maps[name] = smoothed(look, pairs.images, samples=smooth, noise=noise) if smooth else look(pairs.images)
    return maps


def _compared(measure: Measure, trained: Tensor, other: Tensor, ends: Tensor | None) -> Float[Tensor, " batch"]:
    if ends is None:
        return measure(trained, other)
    words = [_words(end) for end in ends]
    one_by_one = [measure(a[None, :, w], b[None, :, w]) for a, b, w in zip(trained, other, words, strict=True)]
    return torch.cat(one_by_one)


def _words(end: int | None) -> slice:
    """After the start of a text and before its end; all of a map of a picture."""
    return slice(None) if end is None else slice(1, max(2, int(end)))


def measured(
    clip: Clip,
    asked: Sequence[Question],
    rows: Mapping[str, Row],
    *,
    curves: int = 0,  # of the questions, the first so many get deletion and insertion curves too
    steps: int = 8,
    batch_size: int = 64,
) -> list[Record]:
    """One record for each question and row, as `judged` makes them."""
    ready, how = posed(clip, asked), {"curves": curves, "steps": steps, "batch_size": batch_size}
    return [{**each, "row": name} for name, row in rows.items() for each in judged(clip, ready, row, **how)]


def related(clip: Clip, scenes: Sequence[Scene], rows: Mapping[str, Row]) -> list[dict[str, int | str]]:
    """The kind of failure where the text names two objects and how they stand to each other, "a dog behind a car".

    One record for each row and each scene whose first caption states a relation between objects that are seen.
    """
    pairs = [Stated(scene, *pair) for scene in scenes if (pair := relation(scene))]
    if not pairs:
        return []
    pixels, texts = told(clip, pairs)
    records = []
    for row, how in rows.items():
        for (scene, _, _), kind in zip(pairs, missed(clip, pairs, pixels, texts, how), strict=True):
            records.append({"scene": scene.key, "objects": len(scene.objects), "row": row, "failure": kind})
    return records
