"""Look inside a CLIP: queries, keys, values, attention and its output in any block, with a graph to the score.

This file and `insert` are the only ones that know the insides of open_clip. Two attributes of a block's instance are
covered, `attention` and `forward`, and only while a forward pass runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from numbers import Integral
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from .clip import Clip, embed_pixels, embed_text, end_of_text, evaluating, prepare, similarity
from .errors import BadSetting, UnsupportedModel
from .types import ClipTrace, LayerTrace

TOWERS = ("image", "text")
EVERY, FIRST = slice(None), slice(1)  # tokens of a block that are passed on


class Projections(NamedTuple):
    """Queries, keys and values of all heads side by side, not yet scaled."""

    q: Float[Tensor, "batch token width"]
    k: Float[Tensor, "batch token width"]
    v: Float[Tensor, "batch token width"]


def project_qkv(attention: nn.Module, hidden: Float[Tensor, "batch token width"]) -> Projections:
    r"""Sec. 3.2: $Q, K, V = W_{qkv} h$, from [batch, token, width] to three times the width and apart again."""
    return Projections(*linear(hidden, _in_proj(attention), attention.in_proj_bias).chunk(3, -1))


def _in_proj(attention: nn.Module) -> Tensor:
    if getattr(attention, "in_proj_weight", None) is None:
        raise UnsupportedModel(
            f"an attention layer with one in_proj_weight for q, k and v was expected, got {type(attention).__name__}: "
            "load a plain ViT, such as ViT-B-32 or ViT-B-16."
        )
    return attention.in_proj_weight


def blocks(clip: Clip, tower: str) -> nn.ModuleList:
    """Residual attention blocks of the "image" or "text" tower, first to last."""
    owner = clip.model.visual if tower == "image" else getattr(clip.model, "text", clip.model)
    found = getattr(getattr(owner, "transformer", None), "resblocks", None)
    if found is None or not len(found) or not hasattr(found[0], "attention"):
        raise UnsupportedModel(
            f"the {tower} tower of {clip.name!r} ({type(owner).__name__}) has no residual attention blocks: "
            "methods that look into blocks need a ViT of open_clip; rise and saliency need none."
        )
    return found


def check_class_token(clip: Clip) -> None:
    """Raise `UnsupportedModel` where the image is read from anything but the class token."""
    visual = clip.model.visual
    pool = "attention" if getattr(visual, "attn_pool", None) is not None else getattr(visual, "pool_type", "tok")
    if pool != "tok":
        raise UnsupportedModel(
            f"the image tower must be read from its class token, but {clip.name!r} pools by {pool!r}: take an "
            "OpenAI-style ViT, or rise, kernel_shap or saliency, which do not look inside."
        )


def image_readout(clip: Clip, token: Float[Tensor, "batch width"]) -> Float[Tensor, "batch embed"]:
    """What the image tower does with the token it is read from: `ln_post`, then the projection. Not normalised."""
    visual = clip.model.visual
    token = visual.ln_post(token)
    return token if visual.proj is None else token @ visual.proj


def text_readout(clip: Clip, token: Float[Tensor, "batch width"]) -> Float[Tensor, "batch embed"]:
    """What the text tower does with the token it is read from: `ln_final`, then the projection. Not normalised."""
    text = getattr(clip.model, "text", clip.model)
    token, projection = text.ln_final(token), text.text_projection
    if projection is None:
        return token
    return projection(token) if isinstance(projection, nn.Module) else token @ projection


def gradients(score: Float[Tensor, " batch"], tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Gradient of each pair's score in each tensor: pairs do not mix, so one backward pass of the sum does it.

    The graph stays, so that a trace can be asked again.
    """
    return torch.autograd.grad(score.sum(), list(tensors), retain_graph=True)


def attend(
    attention: nn.Module, hidden: Float[Tensor, "batch token width"], mask: Tensor | None, heads: int,
    read: slice = slice(None),
) -> tuple[Tensor, LayerTrace]:  # fmt: skip
    """Self-attention written out, with `heads` heads: what the tokens to `read` pass on, and what it came from."""
    q, k, v = project_qkv(attention, hidden)
    apart = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v)]  # batch head token head_width
    logits = apart[0] @ apart[1].mT / apart[0].shape[-1] ** 0.5
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
    pattern = logits.softmax(-1)
    attn_out = (pattern @ apart[2]).transpose(1, 2).flatten(-2)  # batch token width
    return attention.out_proj(attn_out[:, read]), LayerTrace(q, k, v, pattern, attn_out, hidden)


class _Listener:
    """Stands in for `block.attention` and `block.forward` of one block during one forward pass."""

    def __init__(self, block: nn.Module, heads: int, starts: bool, read: slice):
        self.block, self.heads, self.starts, self.read = block, heads, starts, read
        self.forward, self.block_in, self.seen = block.forward, None, None

    def enter(self, q_x: Tensor, *rest, **named) -> Tensor:
        """The block's forward. The first block that is recorded turns gradients on, from its input to the score."""
        if self.starts:
            torch.set_grad_enabled(True)  # `_recording` runs inside `no_grad`, which puts the mode back
            q_x = q_x.detach().requires_grad_()
        self.block_in = q_x
        return self.forward(q_x, *rest, **named) if self.read == EVERY else self.only_read(q_x)

    def only_read(self, hidden: Tensor) -> Tensor:
        """The block's forward for the tokens that are read: of the last image block the class token alone.

        Its patches meet the score through their keys and values; what they pass on themselves is read by nobody.
        """
        block = self.block
        tokens = hidden[:, self.read] + block.ls_1(block.attention(block.ln_1(hidden)))
        return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))

    def attention(self, q_x: Tensor, k_x=None, v_x=None, attn_mask: Tensor | None = None) -> Tensor:
        """The block's attention, written out and remembered."""
        if k_x is not None or v_x is not None:
            raise UnsupportedModel(
                "self-attention was expected, but this block attends to other tokens: take a plain ViT (ViT-B-32)."
            )
        out, seen = attend(self.block.attn, q_x, attn_mask, self.heads, self.read)
        self.seen = replace(seen, block_in=self.block_in)
        return out


def _heads(block: nn.Module, heads: int | None) -> int:
    """The heads to run a block with: its own, or `heads` where they divide its width."""
    width = _in_proj(block.attn).shape[1]
    if heads is None:
        return block.attn.num_heads
    if type(heads) is bool or not isinstance(heads, Integral) or heads < 1 or width % heads:
        raise BadSetting(f"heads must divide the width of the block, {width}; got {heads!r}. None is the model's own.")
    return heads


@contextmanager
def _recording(clip: Clip, tower: str, layers: int | None, heads: int | None) -> Iterator[list[_Listener]]:
    """Record the last `layers` blocks of a tower (None: all) while the context lasts; then take everything off."""
    tower_blocks = blocks(clip, tower)
    depth = len(tower_blocks)
    if layers is not None and (type(layers) is bool or not isinstance(layers, Integral) or not 1 <= layers <= depth):
        raise BadSetting(f"layers counts the last blocks of the {tower} tower, from 1 to {depth}; got {layers!r}.")
    chosen = list(tower_blocks)[depth - (layers or depth) :]
    graph = torch.is_grad_enabled()
    reads = [EVERY] * (len(chosen) - 1) + [FIRST if tower == "image" else EVERY]
    listeners = [
        _Listener(block, _heads(block, heads), graph and not index, read)
        for index, (block, read) in enumerate(zip(chosen, reads, strict=True))
    ]
    try:
        for listener in listeners:
            listener.block.attention, listener.block.forward = listener.attention, listener.enter
        with torch.inference_mode(False), torch.no_grad():
            yield listeners
    finally:
        for listener in listeners:
            vars(listener.block).pop("attention", None)
            vars(listener.block).pop("forward", None)


class _Tower(NamedTuple):
    embed: Float[Tensor, "batch embed"]
    layers: tuple[LayerTrace, ...] = ()


def _plain(embed: Callable[[Clip, Tensor], Tensor], clip: Clip, inputs: Tensor) -> _Tower:
    """A tower that is not recorded: its unit embeddings, without a graph."""
    with torch.inference_mode(False), torch.no_grad():
        return _Tower(embed(clip, inputs))


def _recorded_image(clip: Clip, pixels: Tensor, layers: int | None, heads: int | None) -> _Tower:
    check_class_token(clip)
    with _recording(clip, "image", layers, heads) as listeners:
        embed = embed_pixels(clip, pixels)
    return _Tower(embed, tuple(listener.seen for listener in listeners))


def _recorded_text(clip: Clip, tokens: Tensor, layers: int | None, heads: int | None, full_context: bool) -> _Tower:
    with _recording(clip, "text", layers, heads) as listeners:
        if full_context:
            clip.passes.text += len(tokens)
            with evaluating(clip.model):
                embed = normalize(clip.model.encode_text(tokens), dim=-1)
        else:
            embed = embed_text(clip, tokens)
    return _Tower(embed, tuple(listener.seen for listener in listeners))


def record(
    clip: Clip,
    images,
    texts=None,  # none where `images` are `Pairs` that were prepared
    *,
    layers: int | None = None,  # last blocks of the image tower; None: all
    text_layers: int | None = None,  # last blocks of the text tower; None: all
    heads: int | None = None,  # None: the model's own; 1: as the official Grad-ECLIP code
    modality: str = "both",
    full_context: bool = False,
) -> ClipTrace:
    """Sec. 3.2: q, k, v, attention and its output in the last blocks of one or both towers, and the score.

    Tensors are [batch, token, width], patterns [batch, head, query, key]; image token 0 is the class token. The graph
    reaches from the input of the first recorded block to the score, so that `gradients(trace.score, ...)` of anything
    recorded works; what comes before, and a tower that `modality` leaves out, costs no memory, and under
    `torch.no_grad()` there is no graph at all. `heads` re-runs the recorded blocks with other heads, which moves the
    score. Texts are recorded up to the last end of text of the batch, or over the whole context (`full_context`).

    Raises `BadSetting`, `UnsupportedModel` and everything that `prepare` raises. Whatever happens, the model is left
    as it was.
    """
    if modality not in (*TOWERS, "both"):
        raise BadSetting(f"modality is one of image, text, both; got {modality!r}.")
    pairs = prepare(clip, images, texts)
    if modality == "text" and pairs.tokens is None:
        raise BadSetting("a text given as an embedding has no tokens to record: pass strings or token ids.")
    if modality == "text":
        image = _plain(embed_pixels, clip, pairs.images)
    else:
        image = _recorded_image(clip, pairs.images, layers, heads)
    if modality == "image" or pairs.tokens is None:
        text = _plain(embed_text, clip, pairs.text_embed if pairs.tokens is None else pairs.tokens)
    else:
        text = _recorded_text(clip, pairs.tokens, text_layers, heads, full_context)
    with torch.inference_mode(False):
        score = similarity(image.embed, text.embed)
    grid = (0, 0) if modality == "text" else tuple(side // clip.patch_size for side in pairs.images.shape[-2:])
    eos = None if pairs.tokens is None or modality == "image" else end_of_text(clip, pairs.tokens)
    return ClipTrace(image.layers, text.layers, score, grid, eos)
