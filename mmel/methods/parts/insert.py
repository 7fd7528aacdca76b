"""Ways into a CLIP's towers beside the trace: tap a block, go on from it, hide keys, give token embeddings.

Whatever is set on a module is an instance attribute that is put back in `finally`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from ...clip import Clip, evaluating
from ...errors import UnsupportedModel
from ...trace import blocks, check_class_token, image_readout, project_qkv, text_readout


@dataclass
class Tap:
    """What left a block, and the attention mask that the block was called with."""

    hidden: Float[Tensor, "batch token width"] | None = None
    mask: Tensor | None = None


@contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Set an attribute of one object for a while; a class attribute of the same name is only covered."""
    before = vars(owner).get(name, replaced)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is replaced:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


@contextmanager
def tapped(clip: Clip, modality: str, layer: int) -> Iterator[Tap]:
    """Keep what block `layer` (0-based) of a tower gives out during the next forward pass."""
    block, tap = blocks(clip, modality)[layer], Tap()
    forward = block.forward

    def listen(*inputs: Tensor, **named: Tensor) -> Tensor:
        tap.hidden, tap.mask = forward(*inputs, **named), named.get("attn_mask")
        return tap.hidden

    with replaced(block, "forward", listen):
        yield tap


def go_on(
    clip: Clip,
    modality: str,
    hidden: Float[Tensor, "batch token width"],
    layer: int,
    *,
    mask: Tensor | None = None,
    eos: Int[Tensor, " batch"] | None = None,
) -> Float[Tensor, "batch embed"]:
    """Unit embedding of a tower from the hidden states that left block `layer`.

    Notes
    -----
    Of the last image block only the class token is computed, since nothing else is read; for the same reason
    no graph grows for the patches there. A pass through some of the blocks counts as its share of a whole
    one.
    """
    tower = blocks(clip, modality)
    if modality == "image":
        check_class_token(clip)
    rest = list(tower)[layer + 1 :]
    share = ceil(len(hidden) * len(rest) / len(tower))
    setattr(clip.passes, modality, getattr(clip.passes, modality) + share)
    if mask is not None and mask.ndim != 2:
        raise UnsupportedModel(
            "a text tower with one attention mask for all texts was expected; this one masks each text. "
            "Ask for modality='image'."
        )
    with evaluating(clip.model):
        if modality == "image":
            for block in rest[:-1]:
                hidden = block(hidden, attn_mask=mask)
            token = first_token(rest[-1], hidden) if rest else hidden[:, 0]
            return normalize(image_readout(clip, token), dim=-1)
        for block in rest:
            hidden = block(hidden, attn_mask=mask)
        ends = torch.arange(len(hidden), device=hidden.device), eos
        return normalize(text_readout(clip, hidden[ends]), dim=-1)


def first_token(block: nn.Module, hidden: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch width"]:
    """A residual block computed for the first token only: one query, all keys."""
    inside = block.ln_1(hidden)
    token = hidden[:, :1] + block.ls_1(block.attention(inside[:, :1], inside, inside))
    return (token + block.ls_2(block.mlp(block.ln_2(token))))[:, 0]


@contextmanager
def only_first_token(clip: Clip) -> Iterator[None]:
    """The last image block for the class token alone, where that is all that is read: the same embedding for less."""
    try:
        check_class_token(clip)
        last = blocks(clip, "image")[-1]
    except UnsupportedModel:  # everything is read: nothing to leave out
        yield
        return
    with replaced(last, "forward", lambda hidden, **_: first_token(last, hidden)[:, None]):
        yield


@contextmanager
def hidden_keys(clip: Clip, modality: str, hide: Bool[Tensor, "batch token"]) -> Iterator[None]:
    """No query of any block may look at the tokens where `hide` is true: their logits are minus infinity."""
    if modality == "image":
        check_class_token(clip)  # a tower that pools its patches still reads those that no token looks at
    allowed = ~hide[:, None, None, :]  # [batch, head, query, key]

    def without(block: nn.Module):
        def attention(q_x: Tensor, k_x=None, v_x=None, attn_mask=None) -> Tensor:
            if k_x is not None or attn_mask is not None:
                raise UnsupportedModel(
                    "hidden keys need self-attention without a mask of its own, which this tower has not; "
                    "explain the image with a method that needs no masking, grad_eclip for one."
                )
            heads = block.attn.num_heads
            q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in project_qkv(block.attn, q_x))
            attn_out = scaled_dot_product_attention(q, k, v, attn_mask=allowed)
            return block.attn.out_proj(attn_out.transpose(1, 2).flatten(-2))

        return attention

    with ExitStack() as stack:
        for block in blocks(clip, modality):
            stack.enter_context(replaced(block, "attention", without(block)))
        yield


def token_embedding(clip: Clip) -> nn.Module:
    """The table of token embeddings, wherever this model keeps it."""
    table = getattr(getattr(clip.model, "text", clip.model), "token_embedding", None)
    if table is None:
        raise UnsupportedModel(
            f"a text tower with token embeddings was expected; {type(clip.model).__name__} has none. "
            "Ask for modality='image'."
        )
    return table


@contextmanager
def given_embedding(clip: Clip, embedded: Float[Tensor, "batch context width"]) -> Iterator[None]:
    """The text tower starts from `embedded`, cut to the tokens that it reads, instead of looking them up."""
    with replaced(token_embedding(clip), "forward", lambda ids: embedded[:, : ids.shape[1]]):
        yield
