"""Grad-CAM on a transformer: channels of the tokens weighted by the gradient of the score."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..clip import Clip, prepare
from ..errors import BadSetting
from ..trace import blocks, gradients
from ..types import Attribution
from .parts import asked, one_by_one, patch_map, token_map, trace_pairs, whole, wide

# generate_emap.py of Cyang-Zhao/Grad-Eclip
OFFICIAL: dict[str, object] = {"layer": None, "pooled": True, "heads": 1}


def channel_weight(
    grad: Float[Tensor, "batch token width"], tokens: Float[Tensor, " batch"] | int
) -> Float[Tensor, "batch 1 width"]:
    r"""$w = \frac1N \sum_i \partial c / \partial x_i$ over all N tokens, the class token's too (Eq. 1).

    `tokens` is N: tokens after a text's end have no gradient and are not counted.
    """
    count = torch.as_tensor(tokens, dtype=grad.dtype, device=grad.device).reshape(-1, 1, 1)
    return grad.sum(1, keepdim=True) / count


def weigh_channels(
    weight: Float[Tensor, "batch _ width"], hidden: Float[Tensor, "batch token width"]
) -> Float[Tensor, "batch token"]:
    r"""$\mathrm{ReLU}(\sum_{ch} w_{ch} x_{i,ch})$ for each token (Selvaraju 2017, Eq. 2)."""
    return (weight * hidden).sum(-1).relu()


def blocks_after(clip: Clip, tower: str, layer: int | None) -> int:
    """How many blocks come after block `layer` (0-based, negative from the end); None is the last but one."""
    depth = len(blocks(clip, tower))
    if layer is None:
        return 1
    if not -depth <= whole("layer", layer) < depth or layer % depth == depth - 1:
        raise BadSetting(
            f"layer is the block of the {tower} tower whose output is weighed, from 0 to {depth - 2} "
            f"or from {-depth} to -2; got {layer}. The last block's output reaches the score "
            "through a single token, so it has no map."
        )
    return depth - 1 - layer % depth


@torch.enable_grad()
def explain(
    clip: Clip,
    images,
    texts,
    *,
    layer: int | None = None,  # None: what enters the last block, as in generate_emap.py
    pooled: bool = True,
    heads: int | None = None,
    modality: str = "both",
) -> Attribution:
    r"""Selvaraju et al. 2017, Eq. 1 and 2: grad_cam in generate_emap.py of Cyang-Zhao/Grad-Eclip.

    Explains the cosine through the output of block `layer` (0-based, as M2IB counts). Image: patches. Text:
    positions 0 to end of text. `pooled=False` multiplies each token's own gradient with its activation and pools
    nothing: gradient x activation (LMBTough/NIB calls it Grad-CAM, with `layer=9`).

    .. math:: \text{ReLU}(\textstyle\sum_{ch} w_{ch} x_{i,ch}), \quad w = \tfrac1N \sum_i \partial c / \partial x_i

    Shapes: image [batch, rows, columns], text [batch, context]. Cost: one forward pass of each tower, one backward
    pass that stops after block `layer`.

    Notes
    -----
    A ViT has no last convolution. The official weight averages the gradient over the class token too.
    `heads=1` recomputes the blocks after `layer` with a single head, as the official code does, and for each
    map in its own tower only; the default keeps the model's own heads. No official text version exists: ours
    pools over the tokens up to the end of text, the same map up to a factor as pooling over the context.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("grad_cam", modality, pairs)
    if heads is not None and len(wanted) == 2:
        return one_by_one(explain, clip, pairs, layer=layer, pooled=pooled, heads=heads)
    layers = {tower: blocks_after(clip, tower, layer) for tower in wanted}
    trace = trace_pairs(clip, pairs, layers, modality=modality, heads=heads)
    towers = {"image": trace.image_layers, "text": trace.text_layers}
    hidden = {tower: towers[tower][0].block_in for tower in wanted}
    grads = dict(zip(wanted, gradients(trace.score, list(hidden.values())), strict=True))
    maps = {}
    for tower in wanted:
        grad, tokens = wide(grads[tower]), wide(hidden[tower].detach())
        count = trace.eos + 1 if tower == "text" else tokens.shape[1]
        maps[tower] = weigh_channels(channel_weight(grad, count) if pooled else grad, tokens)
    image = text = None
    if "image" in wanted:
        image = patch_map(maps["image"], trace.grid)
    if "text" in wanted:
        text = token_map(maps["text"], trace.eos, clip.context_length)
    settings = {"layer": layer, "pooled": pooled, "heads": heads, "modality": modality}
    return Attribution(image, text, trace.score.detach(), "grad_cam", settings)
