"""What several methods share: which maps were asked for, from which block on, and where a map is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from numbers import Integral

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...clip import Clip
from ...errors import BadSetting, UnsupportedModality
from ...maps import to_grid
from ...trace import blocks, record
from ...types import Attribution, ClipTrace, Pairs

MODALITIES = ("image", "text", "both")


def asked(method: str, modality: str, pairs: Pairs, has: tuple[str, ...] = ("image", "text")) -> tuple[str, ...]:
    """The maps that `method` makes of `pairs`: "image", "text" or both.

    Texts given as embeddings have no tokens: "both" then leaves the text map out, "text" is an error.
    """
    if modality not in MODALITIES:
        raise BadSetting(f"modality is one of {', '.join(MODALITIES)}; got {modality!r}.")
    wanted = ("image", "text") if modality == "both" else (modality,)
    missing = [name for name in wanted if name not in has]
    if missing:
        raise UnsupportedModality(
            f"{method} defines no {missing[0]} map, and modality={modality!r} asks for one: "
            f"pass modality={has[0]!r}, or take a method with both, such as grad_eclip or chefer."
        )
    if pairs.tokens is None and modality == "text":
        raise UnsupportedModality(
            f"{method} cannot explain a text given as an embedding, which has no tokens: "
            "pass the text as a string or as token ids, or ask for modality='image'."
        )
    return tuple(name for name in wanted if name == "image" or pairs.tokens is not None)


def texts_of(pairs: Pairs) -> Tensor:
    """The texts of `pairs` in the form they came in: token ids or embeddings."""
    return pairs.text_embed if pairs.tokens is None else pairs.tokens


def whole(name: str, value: object) -> int:
    """`value` as an int, or the error that says which setting has to be one."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise BadSetting(f"{name} is a whole number; got {value!r} of type {type(value).__name__}.")
    return int(value)


def blocks_from(clip: Clip, tower: str, start_layer: int) -> int:
    """How many last blocks of `tower` are left from `start_layer` on; negative ones count from the end."""
    depth = len(blocks(clip, tower))
    if not -depth <= whole("start_layer", start_layer) < depth:
        raise BadSetting(
            f"start_layer is a block of the {tower} tower, from {-depth} to {depth - 1} "
            f"(0 = from the first block on, -1 = the last block only); got {start_layer}."
        )
    return depth - start_layer % depth


def last_blocks(clip: Clip, tower: str, layers: int | None) -> int:
    """`layers` last blocks of `tower`, checked; None is all of them."""
    depth = len(blocks(clip, tower))
    if layers is not None and not 1 <= whole("layers", layers) <= depth:
        raise BadSetting(
            f"layers counts the last blocks of the {tower} tower, from 1 to {depth}; got {layers}. None is all of them."
        )
    return depth if layers is None else layers


def trace_pairs(
    clip: Clip, pairs: Pairs, layers: Mapping[str, int], *, modality: str, heads: int | None = None
) -> ClipTrace:
    """`record` with the number of last blocks of each tower that has one in `layers`."""
    return record(
        clip,
        pairs,
        layers=layers.get("image"),
        text_layers=layers.get("text"),
        heads=heads,
        modality=modality,
    )


def one_by_one(explain: Callable[..., Attribution], clip: Clip, pairs: Pairs, **settings) -> Attribution:
    """Image map and text map, each from a call of its own; the score is the image map's.

    For methods with `heads`: a tower with other heads meets the other tower's true embedding, as in the
    official code, so that the two maps explain two different scores.
    """
    image, text = (explain(clip, pairs, None, modality=each, **settings) for each in ("image", "text"))
    return replace(image, text=text.text, settings={**image.settings, "modality": "both"})


def wide(values: Tensor) -> Tensor:
    """Half precision as float32, so that sums over blocks keep their digits."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def patch_map(values: Float[Tensor, "batch token"], grid: tuple[int, int]) -> Float[Tensor, "batch rows columns"]:
    """Values of all image tokens without the class token's, as a picture of patches."""
    return to_grid(values[:, 1:], grid)


def token_map(
    values: Float[Tensor, "batch token"], eos: Int[Tensor, " batch"], context: int
) -> Float[Tensor, "batch context"]:
    """One value a position of the whole context: 0 after each text's own end."""
    out = values.new_zeros(len(values), context)
    out[:, : values.shape[1]] = values
    positions = torch.arange(context, device=values.device)
    return out.masked_fill(positions > eos[:, None], 0)


def grid_of(clip: Clip, pairs: Pairs) -> tuple[int, int]:
    """(rows, columns) of patches of these images."""
    return tuple(side // clip.patch_size for side in pairs.images.shape[-2:])
