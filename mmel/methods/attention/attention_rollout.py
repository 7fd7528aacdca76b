"""Attention rollout: attention followed from block to block, each block mixing in its own residual stream."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...clip import Clip
from ...types import Attribution, LayerTrace
from ..parts import wide
from .reading import read

# what imagenet_eval_deletion.py of Cyang-Zhao/Grad-Eclip calls rollout: the last block alone
OFFICIAL: dict[str, object] = {"start_layer": -1}


def residual_attention(pattern: Float[Tensor, "batch head query key"]) -> Float[Tensor, "batch query key"]:
    r"""Abnar and Zuidema 2020, Sec. 3: $(\bar A + I) / \text{row sum}$, $\bar A$ the mean of heads."""
    mean = wide(pattern).mean(1)
    mixed = mean + torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device)
    return mixed / mixed.sum(-1, keepdim=True)


def rollout_row(
    mixed: Sequence[Float[Tensor, "batch query key"]], position: Int[Tensor, " batch"] | int
) -> Float[Tensor, "batch key"]:
    r"""Row `position` of $\hat A_L \cdots \hat A_1$; only that row is carried, from the last block down."""
    rows = torch.arange(len(mixed[-1]), device=mixed[-1].device)
    row = mixed[-1][rows, position][:, None]  # batch 1 key
    for matrix in reversed(mixed[:-1]):
        row = row @ matrix
    return row[:, 0]


def explain(clip: Clip, images, texts, *, start_layer: int = 0, modality: str = "both") -> Attribution:
    r"""Abnar and Zuidema 2020 (arXiv 2005.00928), Sec. 3: compute_joint_attention of samiraabnar/attention_flow.

    Explains how attention passes from the inputs to the token that is read, not the score (Abnar and Zuidema 2020,
    "Quantifying Attention Flow in Transformers"). Image: class token over patches. Text: end-of-text token over
    positions 0 to end of text.

    .. math:: \hat A_L \cdots \hat A_1, \quad \hat A_l = (\bar A_l + I) / \text{row sum}

    Shapes: image [batch, rows, columns], text [batch, context]. Cost: one forward pass of each tower, no backward
    pass.

    Notes
    -----
    `start_layer=0` (default) multiplies all blocks. What the official Grad-ECLIP evaluation calls rollout
    starts at -1 and so has a single factor, the last block's: `mmel.OFFICIAL["attention_rollout"]`.
    """

    def row(layers: Sequence[LayerTrace], position: Int[Tensor, " batch"]) -> Float[Tensor, "batch key"]:
        return rollout_row([residual_attention(layer.pattern) for layer in layers], position)

    return read("attention_rollout", clip, images, texts, start_layer, modality, row)
