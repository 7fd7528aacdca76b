"""LeGrad: the gradient of each block's own similarity with respect to that block's attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..clip import Clip, embed_text, prepare
from ..trace import blocks, gradients, image_readout, record
from ..types import Attribution, Pairs
from .mask_clip import finish_block
from .parts import asked, last_blocks, texts_of, wide

OFFICIAL: dict[str, object] = {"layers": 2}  # LeWrapper(layer_index=-2)


def block_score(
    clip: Clip, tokens: Float[Tensor, "batch token width"], text_embed: Float[Tensor, "batch embed"]
) -> Float[Tensor, " batch"]:
    r"""$s^l$: cosine of the text with the mean of the block's tokens, class token included, read out."""
    return F.cosine_similarity(image_readout(clip, tokens.mean(1)), text_embed, dim=-1)


def block_map(grad: Float[Tensor, "batch head query key"]) -> Float[Tensor, "batch patch"]:
    r"""$\hat E^l = \frac{1}{HN}\sum_h\sum_i (\partial s^l / \partial A^l_{h,i,:})^+$ over the patches."""
    return wide(grad).clamp(min=0).mean((1, 2))[:, 1:]


@torch.enable_grad()
def explain(
    clip: Clip,
    images,
    texts,
    *,
    layers: int | None = 2,  # LeWrapper's own default; the paper sums over all blocks (None)
    modality: str = "image",
) -> Attribution:
    r"""Bousselham et al. 2024 (arXiv 2404.03214): compute_legrad_clip in legrad/wrapper.py of WalBouss/LeGrad.

    Explains, for each of the last `layers` blocks, the cosine of the text with that block's mean token, and sums
    the blocks' maps. Image only.

    .. math:: \textstyle\sum_l \tfrac{1}{HN} \sum_h \sum_q (\partial s^l / \partial A^l_{h,q,i})^+

    Shapes: image [batch, rows, columns]. Cost: one forward pass of each tower and one backward pass through one
    block for each of `layers`.

    Notes
    -----
    The official code upsamples each block's map to pixels and min-maxes the sum; ours is the raw sum on the
    patch grid, from which the caller can make the same. Where it divides 0 by 0 (all gradients negative),
    ours is zero. `score` is the pair's cosine, which the method itself does not use.
    """
    pairs = prepare(clip, images, texts)
    asked("legrad", modality, pairs, has=("image",))
    count = last_blocks(clip, "image", layers)
    with torch.no_grad():
        text_embed = embed_text(clip, texts_of(pairs))
    trace = record(clip, Pairs(pairs.images, None, text_embed), layers=count, modality="image")
    last = trace.image_layers[-1]
    outputs = [layer.block_in for layer in trace.image_layers[1:]]
    outputs.append(finish_block(blocks(clip, "image")[-1], last.block_in, last.attn_out))
    maps = []
    for layer, output in zip(trace.image_layers, outputs, strict=True):
        (grad,) = gradients(block_score(clip, output, text_embed), [layer.pattern])
        maps.append(block_map(grad))
    image = sum(maps).unflatten(1, trace.grid)  # batch rows columns
    return Attribution(image, None, trace.score.detach(), "legrad", {"layers": layers, "modality": modality})
