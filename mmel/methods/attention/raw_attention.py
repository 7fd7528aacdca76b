"""Raw attention: how much the class token looks at each patch in the last block."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...clip import Clip, prepare
from ...types import Attribution
from ..parts import asked, one_by_one, patch_map, token_map, trace_pairs, wide

OFFICIAL: dict[str, object] = {"heads": None}


def raw_attention_map(
    pattern: Float[Tensor, "batch head query key"], position: Int[Tensor, " batch"] | int
) -> Float[Tensor, "batch key"]:
    r"""$\frac1H\sum_h A_h[\text{position}, :]$: the row of the token that is read, heads averaged."""
    rows = torch.arange(len(pattern), device=pattern.device)
    return wide(pattern)[rows, :, position].mean(1)


def explain(clip: Clip, images, texts, *, heads: int | None = None, modality: str = "both") -> Attribution:
    r"""Last block's class-token row: self_attn in generate_emap.py of Cyang-Zhao/Grad-Eclip (Zhao et al. 2024).

    Explains where the last block reads from, not the score: the other modality has no part in it. Image: row of the
    class token over the patches. Text: row of the end-of-text token over positions 0 to end of text.

    .. math:: \tfrac1H \sum_h A^L_h[\text{class token}, i]

    Shapes: image [batch, rows, columns], text [batch, context]. Cost: one forward pass of each tower, no backward
    pass.

    Notes
    -----
    `heads=None` (default) averages the model's own heads. generate_emap.py recomputes the last block with a
    single head as wide as the model, which the model was never trained with: `heads=1` does so too.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("raw_attention", modality, pairs)
    if heads is not None and len(wanted) == 2:
        return one_by_one(explain, clip, pairs, heads=heads)
    with torch.no_grad():
        trace = trace_pairs(clip, pairs, {"image": 1, "text": 1}, modality=modality, heads=heads)
    image = text = None
    if "image" in wanted:
        image = patch_map(raw_attention_map(trace.image_layers[-1].pattern, 0), trace.grid)
    if "text" in wanted:
        row = raw_attention_map(trace.text_layers[-1].pattern, trace.eos)
        text = token_map(row, trace.eos, clip.context_length)
    settings = {"heads": heads, "modality": modality}
    return Attribution(image, text, trace.score.detach(), "raw_attention", settings)
