"""Confidence drop and increase, and the masked pictures and texts that they compare with the whole ones."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .. import maps
from ..errors import BadSetting, ShapeMismatch
from .checks import batch_of_maps, numbers
from .text import above_median, end_of, read_text, replaced


def confidence_drop(before, after) -> Float[Tensor, "*batch"]:
    r"""Sec. 4.2 (1): $\max(0, c - c_{\text{masked}})$ of each sample, in units of the score; lower is better.

    `before` is the score of the whole picture or text, `after` of what the map leaves of it, both [batch].

    Notes
    -----
    An absolute difference of cosines, as in scripts/eval.py of M2IB, which gives it times 100; the Average Drop of
    Grad-CAM++ is relative. The paper gives no formula.
    """
    before, after = _pairs(before, after)
    return (before - after).clamp(min=0)


def confidence_increase(before, after) -> Float[Tensor, "*batch"]:
    r"""Sec. 4.2 (2): 1 where $c_{\text{masked}} > c$, else 0, for each sample; higher is better.

    Arguments as of `confidence_drop`. The mean over samples is the share that scripts/eval.py of M2IB gives times 100.
    """
    before, after = _pairs(before, after)
    return (after > before).to(before.dtype)


def masked_image(
    pixels: Float[Tensor, "batch 3 height width"], map: Float[Tensor, "batch rows columns"]
) -> Float[Tensor, "batch 3 height width"]:
    """Normalised pixels times a map from 0 to 1: the soft mask of M2IB, which fades to the model's mean colour.

    A smaller map is upsampled bilinearly. Errors: BadSetting for map values outside 0..1.
    """
    pixels, map = numbers(pixels, "pixels"), batch_of_maps(map)
    if pixels.ndim != 4 or len(pixels) != len(map):
        raise ShapeMismatch(
            f"pixels [batch, 3, height, width] and as many maps were expected; got {list(pixels.shape)} and "
            f"{list(map.shape)}."
        )
    size = tuple(pixels.shape[-2:])
    map = map if tuple(map.shape[1:]) == size else maps.upsample(map, size)
    if float(map.min()) < 0 or float(map.max()) > 1:
        raise BadSetting(
            f"a soft mask lies in 0..1, but this map runs from {float(map.min()):.3g} to {float(map.max()):.3g}: "
            "pass `mmel.maps.normalize(map)`."
        )
    return pixels * map[:, None].to(pixels)


def first_row(map: Float[Tensor, "batch height width"]) -> Float[Tensor, "batch height width"]:
    """The mask that scripts/eval.py of M2IB really uses: the first row of the map, all the way down.

    Notes
    -----
    A mistake of that code, whose map lacks a batch axis: kept because published numbers may hold it.
    """
    map = batch_of_maps(map)
    return map[:, :1].expand_as(map)


def masked_tokens(
    tokens: Int[Tensor, "batch context"],
    map: Float[Tensor, "batch context"],
    *,
    eos: Int[Tensor, " batch"] | None = None,  # where each text ends; None: at its highest id
    fill="remove",  # of words not above the median: remove, noise, or an id; eval.py of M2IB takes 0
) -> Int[Tensor, "batch context"]:
    """Texts in which only the words with a map value above the text's median stay, beside its start and end."""
    return torch.stack([_masked(ids, values, end, fill) for ids, values, end in _texts(tokens, map, eos)])


def bare_words(
    tokens: Int[Tensor, "batch context"], *, eos: Int[Tensor, " batch"] | None = None
) -> Int[Tensor, "batch context"]:
    """Texts without their start and end, moved to the front, zeros behind.

    Notes
    -----
    What scripts/eval.py of M2IB scores, before and after it masks words (`bare_words(masked_tokens(..., fill=0),
    eos=...)`): a text without an end is read at its highest id.
    """
    bare = torch.zeros_like(tokens)
    for i, (ids, _, end) in enumerate(_texts(tokens, torch.zeros_like(tokens, dtype=torch.float32), eos)):
        bare[i, : end - 1] = ids[1:end]
    return bare


def _masked(ids: Int[Tensor, " context"], map: Float[Tensor, " context"], end: int, fill) -> Int[Tensor, " context"]:
    kept = torch.zeros_like(ids, dtype=torch.bool)
    kept[[0, end]] = True
    kept[1:end] = above_median(map[1:end])
    return replaced(ids, kept[None], end, fill)[0]


def _texts(tokens, map, eos):
    """Ids, map and end of each text."""
    if tokens.ndim != 2 or map.shape != tokens.shape or (eos is not None and len(eos) != len(tokens)):
        raise ShapeMismatch(
            f"token ids and maps of one shape [batch, context], and an end for each, were expected; got "
            f"{list(tokens.shape)} and {list(map.shape)}."
        )
    for i, (ids, values) in enumerate(zip(tokens, map, strict=True)):
        ids, values = read_text(ids, values)
        yield ids, values, end_of(ids, None if eos is None else int(eos[i]))


def _pairs(before, after) -> tuple[Tensor, Tensor]:
    before, after = numbers(before, "scores before"), numbers(after, "scores after")
    if before.shape != after.shape:
        raise ShapeMismatch(
            f"one score before and one after for each sample were expected; got {list(before.shape)} and "
            f"{list(after.shape)}."
        )
    kind = torch.promote_types(before.dtype, after.dtype)
    return before.to(kind), after.to(kind)
