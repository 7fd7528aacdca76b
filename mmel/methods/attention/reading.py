"""What methods of attention alone share: a row of tokens for each tower, read where the tower itself is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...clip import Clip, prepare
from ...types import Attribution, LayerTrace
from ..parts import asked, blocks_from, patch_map, token_map, trace_pairs

Row = Callable[[Sequence[LayerTrace], Int[Tensor, " batch"]], Float[Tensor, "batch key"]]


def read(method: str, clip: Clip, images, texts, start_layer: int, modality: str, row: Row) -> Attribution:
    """Maps of the blocks from `start_layer` on: of `row(layers, positions)` for the class token and the end of text."""
    pairs = prepare(clip, images, texts)
    wanted = asked(method, modality, pairs)
    layers = {tower: blocks_from(clip, tower, start_layer) for tower in wanted}
    image = text = None
    with torch.no_grad():
        trace = trace_pairs(clip, pairs, layers, modality=modality)
        if "image" in wanted:
            first = torch.zeros(len(pairs), dtype=torch.long, device=trace.score.device)
            image = patch_map(row(trace.image_layers, first), trace.grid)
        if "text" in wanted:
            text = token_map(row(trace.text_layers, trace.eos), trace.eos, clip.context_length)
    settings = {"start_layer": start_layer, "modality": modality}
    return Attribution(image, text, trace.score.detach(), method, settings)
