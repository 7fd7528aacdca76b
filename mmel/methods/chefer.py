"""Chefer's relevance propagation: attention weighted by its own gradient, followed through the blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..clip import Clip, prepare
from ..trace import gradients
from ..types import Attribution
from .parts import asked, blocks_from, patch_map, token_map, trace_pairs, wide

OFFICIAL: dict[str, object] = {"start_layer": -1}  # CLIP_explainability.ipynb and generate_emap.py


def head_relevance(
    grad: Float[Tensor, "batch head query key"], pattern: Float[Tensor, "batch head query key"]
) -> Float[Tensor, "batch query key"]:
    r"""Eq. 5 of Chefer et al. 2021: $\bar A = E_h[(\nabla A \odot A)^+]$."""
    return (wide(grad) * wide(pattern)).clamp(min=0).mean(1)


def relevance_row(
    relevances: Sequence[Float[Tensor, "batch query key"]], position: Int[Tensor, " batch"] | int
) -> Float[Tensor, "batch key"]:
    r"""Eq. 6 of Chefer et al. 2021: row `position` of R, from R = I on by $R \leftarrow R + \bar A R$.

    R is the product of the $(I + \bar A)$, so one row of it is carried from the last block down to the first.
    """
    size = relevances[-1].shape[-1]
    position = torch.as_tensor(position, device=relevances[-1].device).expand(len(relevances[-1]))
    row = torch.nn.functional.one_hot(position, size).to(relevances[-1].dtype)[:, None]  # batch 1 key
    for relevance in reversed(relevances):
        row = row + row @ relevance
    return row[:, 0]


@torch.enable_grad()
def explain(clip: Clip, images, texts, *, start_layer: int = -1, modality: str = "both") -> Attribution:
    r"""Chefer et al. 2021, Eq. 5 and 6: CLIP_explainability.ipynb of Transformer-MM-Explainability.

    Explains the logit of the pair: cosine times the model's logit scale. Image: R[class token, patches]. Text:
    R[end of text, positions 0 to end of text].

    .. math:: R \leftarrow R + E_h[(\nabla A \odot A)^+] \, R

    Shapes: image [batch, rows, columns], text [batch, context]. Cost: one forward pass of each tower, one backward
    pass that stops at `start_layer`.

    Notes
    -----
    `start_layer=-1` (default, the official value) is the last block only, 0 all blocks. The official text map
    keeps positions 1 to end of text - 1 and divides by their sum, which is NaN where all are 0; ours is the
    whole raw row, the 1 that R starts from at the end-of-text token included. The logit scale counts: with
    several blocks the map is not linear in it.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("chefer", modality, pairs)
    layers = {tower: blocks_from(clip, tower, start_layer) for tower in wanted}
    trace = trace_pairs(clip, pairs, layers, modality=modality)
    towers = {"image": trace.image_layers, "text": trace.text_layers}
    patterns = {tower: [layer.pattern for layer in towers[tower]] for tower in wanted}
    logit = trace.score * clip.model.logit_scale.detach().exp()
    grads = iter(gradients(logit, list(chain(*patterns.values()))))
    steps = {tower: [head_relevance(next(grads), pattern) for pattern in patterns[tower]] for tower in wanted}
    image = text = None
    if "image" in wanted:
        image = patch_map(relevance_row(steps["image"], 0), trace.grid).detach()
    if "text" in wanted:
        text = token_map(relevance_row(steps["text"], trace.eos), trace.eos, clip.context_length).detach()
    settings = {"start_layer": start_layer, "modality": modality}
    return Attribution(image, text, trace.score.detach(), "chefer", settings)
