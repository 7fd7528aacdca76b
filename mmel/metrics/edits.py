"""Pictures with more and more of their pixels taken away, or put back, in the order of a map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from .. import maps
from ..errors import BadSetting
from ..types import Window
from .canvas import Canvas, give_back, read_canvas, sent
from .checks import one_map
from .fills import filled
from .plan import check_steps, even_counts, own_fill, ranking, reaches_all, with_ends


@dataclass(frozen=True, eq=False)
class Edits:
    """The pictures that a curve scores, made when they are asked for: `edits[2:4]` are the third and the fourth.

    `fractions` is the share of the pixels that is taken away (deletion) or put back (insertion) at each point.
    `start` is the picture before any edit and `finish` after all of them. At a point, the first `fractions * pixels`
    pixels of `order` are those of `finish`; with `soft` (steps=None) each pixel is mixed by that weight instead.
    """

    fractions: Float[Tensor, " points"]
    order: Int[Tensor, " pixel"]
    start: Canvas
    finish: Canvas
    soft: Float[Tensor, " pixel"] | None = None

    def __len__(self) -> int:
        return len(self.fractions)

    def __getitem__(self, points: slice | Int[Tensor, " points"]):
        """Pictures of the type that was given: a list of PIL pictures, an array or a tensor with a batch axis."""
        fractions = sent(self.fractions[points], self.order.device)
        mixed = self._ranked(fractions) if self.soft is None else self._mixed(fractions)
        return give_back(mixed, self.start)

    @cached_property
    def rank(self) -> Int[Tensor, " pixel"]:
        """At which place of `order` each pixel stands."""
        places = torch.arange(len(self.order), device=self.order.device)
        return torch.empty_like(self.order).scatter_(0, self.order, places)

    def _ranked(self, fractions: Float[Tensor, " points"]) -> Shaped[Tensor, "points pixel 3"]:
        counts = (fractions * len(self.order)).round().int()
        rank = self.rank.int()[:, None].expand(-1, 3).flatten()  # of each channel: whole rows are fast to compare
        edited = rank < counts[:, None]
        start, finish = (each.pixels.flatten() for each in (self.start, self.finish))
        if start.dtype == torch.uint8:  # bytes wrap around, so that this is exact, and far faster than a choice
            return (start + (finish - start) * edited).unflatten(1, (-1, 3))
        return torch.where(edited, finish, start).unflatten(1, (-1, 3))

    def _mixed(self, fractions: Float[Tensor, " points"]) -> Shaped[Tensor, "points pixel 3"]:
        middle = (fractions > 0) & (fractions < 1)
        weights = torch.where(middle[:, None], self.soft, fractions[:, None].round())[..., None]
        start, finish = (each.pixels.to(weights.dtype) for each in (self.start, self.finish))
        return (start + (finish - start) * weights).to(self.start.pixels.dtype)


def deletion_edits(
    image, map, *, steps=20, every=1, fraction=1.0, fill="mean", ends="both", seed=0, order=None, window=None
) -> Edits:
    """The pictures of `deletion_curve`, with the same settings."""
    return _edits(image, map, "deletion", steps, every, fraction, fill, ends, seed, order, window)


def insertion_edits(
    image, map, *, steps=20, every=1, fraction=1.0, fill="mean", ends="both", seed=0, order=None, window=None
) -> Edits:
    """The pictures of `insertion_curve`, with the same settings."""
    return _edits(image, map, "insertion", steps, every, fraction, fill, ends, seed, order, window)


def _edits(image, map, kind: str, steps, every, fraction, fill, ends, seed, order, window) -> Edits:
    canvas, inserting = read_canvas(image), kind == "insertion"
    check_steps(steps, every, fraction)
    window = _window(window, canvas.size)
    map = sent(one_map(map), canvas.pixels.device)
    map = map if tuple(map.shape) == window.size else maps.stretched(map[None], window.size)[0]
    order, total = ranking(_laid(map, window, canvas.size, -torch.inf), order), len(canvas.pixels)
    empty = canvas._replace(pixels=filled(own_fill(fill, kind), canvas, order, seed))
    start, finish = (empty, canvas) if inserting else (canvas, empty)
    soft = None
    if steps is None:
        soft = _laid(maps.normalize(map[None])[0], window, canvas.size, 0.0).to(_wide(canvas))
        middle = [float(soft.double().mean())]
    else:
        middle = [count / total for count in even_counts(total, steps, every, fraction)]
    points = with_ends(middle, ends, inserting, reaches_all(steps, every, fraction), (0.0, 1.0))
    return Edits(torch.tensor(points, dtype=torch.float64), order, start, finish, soft)


def _window(given: Sequence[int] | None, size: tuple[int, int]) -> Window:
    """Where the map lies, checked; all of the picture where nothing is said."""
    sides = (0, 0, *size) if given is None else tuple(given) if isinstance(given, Iterable) else (given,)
    if len(sides) != 4 or not all(isinstance(side, Integral) and not isinstance(side, bool) for side in sides):
        raise BadSetting(f"a window is four whole numbers (top, left, bottom, right) of pixels; got {given!r}.")
    window = Window(*sides)
    if not (0 <= window.top < window.bottom <= size[0] and 0 <= window.left < window.right <= size[1]):
        raise BadSetting(f"a window (top, left, bottom, right) lies in its picture of {size}; got {tuple(window)}.")
    return window


def _laid(map: Float[Tensor, "rows columns"], window: Window, size: tuple[int, int], around: float) -> Tensor:
    """The values of all pixels of the picture, in reading order: those of the map, and `around` outside of it."""
    sides = (window.left, size[1] - window.right, window.top, size[0] - window.bottom)
    return (F.pad(map, sides, value=around) if any(sides) else map).flatten()


def _wide(canvas: Canvas) -> torch.dtype:
    """The number type in which pixels are mixed."""
    return torch.promote_types(canvas.pixels.dtype, torch.float32)
