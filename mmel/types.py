"""Named results and shape words. Axes: batch token patch query key head layer width embed rows columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor


class Window(NamedTuple):
    """Where a map lies on its picture: a box of whole pixels, `bottom` and `right` no longer in it.

    All of the picture, or the part of it that the model saw: `mmel.loading.windows.window_of`.
    """

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def cut(self, values):
        """This part of an array or a tensor [..., rows, columns]."""
        return values[..., self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """One residual block of one tower, with its graph alive.

    `q`, `k` and `v` are the projections of the normalised block input, heads side by side and not yet scaled;
    `pattern` is the softmaxed attention; `attn_out` is `pattern @ v` with heads concatenated, before `out_proj`;
    `block_in` is the residual stream that enters the block.
    """

    q: Float[Tensor, "batch token width"]
    k: Float[Tensor, "batch token width"]
    v: Float[Tensor, "batch token width"]
    pattern: Float[Tensor, "batch head query key"]
    attn_out: Float[Tensor, "batch token width"]
    block_in: Float[Tensor, "batch token width"]


@dataclass(frozen=True, eq=False)
class ClipTrace:
    """What `mmel.trace.record` saw. Layers are those recorded, in order: index -1 is the last block.

    A tower that was not recorded (a text given as an embedding, say) has an empty tuple. `grid` is (rows, columns)
    of patches, (0, 0) where only the text was recorded; `eos` is the position that each text is read from.
    """

    image_layers: tuple[LayerTrace, ...]
    text_layers: tuple[LayerTrace, ...]
    score: Float[Tensor, " batch"]
    grid: tuple[int, int]
    eos: Int[Tensor, " batch"] | None


@dataclass(frozen=True, eq=False)
class Attribution:
    """Maps of one method for a batch of image-text pairs, raw and on the method's own grid.

    `image` has one value a patch (a pixel for saliency and RISE); `text` one value a token position, 0 where the
    method gives none; `score` is the cosine that was explained. `mmel.explain(clip, images, texts, method=a.method,
    **a.settings)` makes the same maps again.
    """

    image: Float[Tensor, "batch rows columns"] | None
    text: Float[Tensor, "batch context"] | None
    score: Float[Tensor, " batch"]
    method: str
    settings: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Images and texts made ready for a model: on its device, in its dtype, of one batch size.

    Exactly one of `tokens` and `text_embed` is set.
    """

    images: Float[Tensor, "batch 3 height width"]
    tokens: Int[Tensor, "batch context"] | None
    text_embed: Float[Tensor, "batch embed"] | None

    def __len__(self) -> int:
        return len(self.images)


class Scoring(NamedTuple):
    """How passes are made that only score; gradients and maps never are. `precision` is of autocast: fp32 has none."""

    precision: str = "fp32"
    batch: int = 64  # pictures in one pass


PLAIN = Scoring()


@dataclass(frozen=True, eq=False)
class Example:
    """One sample of a dataset: a picture (PIL, RGB), its captions, and a label or masks where the dataset has them.

    `masks` has the visible pixels of each named thing; `scene` is the `mmel.scenes.Scene` of a sample of the bundled
    world, with the exact mask of every object and word.
    """

    key: str
    image: object
    captions: tuple[str, ...] = ()
    label: int | None = None
    masks: Mapping[str, Bool[np.ndarray, "rows columns"]] | None = None
    scene: object | None = None
    pixels: Float[Tensor, "1 3 height width"] | None = None  # where a reader has made them ready ahead of use
