"""Attention flow: attention as the width of pipes, and how much each input can send to the token read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow
from torch import Tensor

from ...clip import Clip
from ...types import Attribution, LayerTrace
from .attention_rollout import residual_attention
from .reading import read

OFFICIAL: dict[str, object] = {"start_layer": 0}
UNIT = 2**30  # scipy's capacities are 32-bit integers; the node that is read sends 1 in all


def flow_graph(mixed: Float[ndarray, "layer query key"], position: int) -> csr_array:
    """The graph of layers: an edge from token i of l + 1 to token j of l with capacity `mixed[l, i, j]`.

    Token i of layer l is node `l * tokens + i`. Of the topmost nodes only `position` gets edges.
    """
    layers, tokens, _ = mixed.shape
    capacity = np.rint(np.clip(mixed.astype(np.float64), 0, 1) * UNIT).astype(np.int32)
    capacity[-1, np.arange(tokens) != position] = 0
    layer, query, key = np.nonzero(capacity)
    size = (layers + 1) * tokens
    ends = ((layer + 1) * tokens + query, layer * tokens + key)
    return csr_array((capacity[layer, query, key], ends), (size, size))


def flow_row(mixed: Float[ndarray, "layer query key"], position: int) -> Float[ndarray, " key"]:
    """Max-flow from token `position` of the last block to each input token, divided by their sum."""
    layers, tokens, _ = mixed.shape
    graph = flow_graph(mixed, position)
    source = layers * tokens + position
    flow = np.array([float(maximum_flow(graph, source, token).flow_value) for token in range(tokens)])
    return flow / flow.sum() if flow.sum() > 0 else flow


def flow_rows(layers: Sequence[LayerTrace], positions: Int[Tensor, " batch"]) -> Float[Tensor, "batch key"]:
    """`flow_row` for each sample of a batch, each from its own position."""
    mixed = torch.stack([residual_attention(layer.pattern) for layer in layers], 1)  # batch layer query key
    rows = mixed.new_zeros(len(mixed), mixed.shape[-1])
    for sample, (matrices, position) in enumerate(zip(mixed.cpu().numpy(), positions.tolist(), strict=True)):
        rows[sample] = torch.as_tensor(flow_row(matrices, position))
    return rows


def explain(clip: Clip, images, texts, *, start_layer: int = 0, modality: str = "both") -> Attribution:
    r"""Abnar and Zuidema 2020 (arXiv 2005.00928), Sec. 3: compute_node_flow of samiraabnar/attention_flow.

    Explains how much attention can pass from an input to the token that is read, not the score (Abnar and Zuidema
    2020, Sec. 3; the official file is attention_graph_util.py). Capacities are the residual-augmented attention of
    rollout. Image: class token over patches. Text: end-of-text token over positions 0 to end of text. Divided by
    the sum over all input tokens, the class token included, as in the official code.

    .. math:: f_i / \textstyle\sum_j f_j, \quad f_i = \text{maxflow}(\text{class token} \to i)

    Shapes: image [batch, rows, columns], text [batch, context]. Cost: one forward pass of each tower, and one
    max-flow a token on the CPU, sample by sample: with 12 blocks about a third of a second for 50 tokens and 15
    seconds for 197.

    Notes
    -----
    compute_flows of the official code does all nodes; a CLIP is read from one, and only its row is made.
    scipy's integer max-flow (Dinic) runs on capacities rounded to 2^-30; networkx on the numbers themselves
    gives the same flows to 1e-8.
    """
    return read("attention_flow", clip, images, texts, start_layer, modality, flow_rows)
