"""MaskCLIP: each patch's value vector, read out as if it were the class token, compared with the text."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..clip import Clip, embed_text, prepare
from ..errors import BadSetting
from ..trace import blocks, image_readout, record
from ..types import Attribution, LayerTrace, Pairs
from .parts import asked, texts_of, wide

VERSIONS = ("grad_eclip", "original", "original_code")
OFFICIAL: dict[str, object] = {"version": "grad_eclip", "heads": 1}  # generate_emap.py


def finish_block(
    block: torch.nn.Module,
    block_in: Float[Tensor, "batch token width"],
    attn_out: Float[Tensor, "batch token width"],
) -> Float[Tensor, "batch token width"]:
    r"""The rest of a residual block: $x = x_{in} + W_O o + b_O$, then $x + \text{MLP}(\text{LN}_2(x))$."""
    tokens = block_in + block.ls_1(block.attn.out_proj(attn_out))
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))


def key_similarity(k: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch patch"]:
    r"""$\cos(k_{cls}, k_i)$ for each patch, not min-maxed: it can be negative."""
    return F.cosine_similarity(wide(k[:, :1]), wide(k[:, 1:]), dim=-1)


def value_tokens(clip: Clip, layer: LayerTrace, version: str) -> Float[Tensor, "batch patch width"]:
    """The last block's output if each patch attended to itself alone; "original" keeps the attention only."""
    block = blocks(clip, "image")[-1]
    if version == "original":
        return block.attn.out_proj(layer.v)[:, 1:]
    return finish_block(block, layer.block_in, layer.v)[:, 1:]


def explain(
    clip: Clip,
    images,
    texts,
    *,
    version: str = "grad_eclip",  # as the comparisons of the Grad-ECLIP paper have it
    heads: int | None = None,
    modality: str = "image",
) -> Attribution:
    r"""Zhou et al. 2022 (arXiv 2112.01071), Sec. 3.3: mask_clip in generate_emap.py of Cyang-Zhao/Grad-Eclip.

    Explains which patches, taken alone, look like the text: the cosine of the text with each patch's value. The score
    has no part in it. Image only.

    .. math:: \cos(f(v_i), y) \text{, for version 'grad_eclip' times } \cos(k_{cls}, k_i)

    Shapes: image [batch, rows, columns]. Cost: one forward pass of each tower, no backward pass. `version` is one
    of "grad_eclip": the last block with v in place of the attention output, residual stream and MLP kept, times the
    cosine of the patch's key with the class token's; "original": v through `out_proj`, `ln_post` and `proj`,
    nothing else, as the paper prints it; "original_code": as "grad_eclip" without the key factor, which is what
    return_qkv does in mmseg/models/backbones/vit.py of chongzhou96/MaskCLIP.

    Notes
    -----
    MaskCLIP's key smoothing and prompt denoising compare classes with each other and are left out, as its
    decode head does by default. `heads` changes the score only: the last block's v and k do not depend on it.
    """
    if version not in VERSIONS:
        raise BadSetting(f"version of mask_clip is one of {', '.join(VERSIONS)}; got {version!r}.")
    pairs = prepare(clip, images, texts)
    asked("mask_clip", modality, pairs, has=("image",))
    with torch.no_grad():
        text_embed = embed_text(clip, texts_of(pairs))
        trace = record(clip, Pairs(pairs.images, None, text_embed), layers=1, heads=heads, modality="image")
        layer = trace.image_layers[-1]
        patches = image_readout(clip, value_tokens(clip, layer, version))
        values = F.cosine_similarity(wide(patches), wide(text_embed)[:, None], dim=-1)
        if version == "grad_eclip":
            out_proj = blocks(clip, "image")[-1].attn.out_proj
            values = values * key_similarity(out_proj(layer.k))
    image = values.unflatten(1, trace.grid)  # batch rows columns
    settings = {"version": version, "heads": heads, "modality": modality}
    return Attribution(image, None, trace.score.detach(), "mask_clip", settings)
