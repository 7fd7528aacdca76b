"""Grad-ECLIP (Eq. 8): values weighted by the score's gradient at the attention output and by a loosened attention."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..clip import Clip, prepare
from ..trace import blocks, gradients, record
from ..types import Attribution, ClipTrace, LayerTrace
from .parts import asked, last_blocks, one_by_one, token_map, wide

OFFICIAL: dict[str, object] = {"heads": 1, "layers": 1, "key_similarity": True, "projected_keys": True}
SIMILARITIES = ("class", "combined")


def query_similarity(
    query: Float[Tensor, "batch width"], keys: Float[Tensor, "batch token width"]
) -> Float[Tensor, "batch token"]:
    r"""Cosine of one query with every key, min-max over the tokens; 0 where all are equal."""
    return min_max(F.cosine_similarity(wide(query)[:, None], wide(keys), dim=-1))


def sim_qk(
    q: Float[Tensor, "batch token width"], k: Float[Tensor, "batch token width"]
) -> Float[Tensor, "batch patch"]:
    r"""Eq. 8, $\text{sim}_{qk}$: how much the class token's query looks like each patch's key, from 0 to 1.

    .. math:: \cos(q_{cls}, k_i) \text{, then min-max over the patches } i

    Notes
    -----
    The paper gives no formula; this is the one of generate_emap.py. Token 0 is the class token.
    """
    return query_similarity(q[:, 0], k[:, 1:])


def combined_similarity(
    q: Float[Tensor, "batch token width"], k: Float[Tensor, "batch token width"]
) -> Float[Tensor, "batch patch"]:
    r"""Sec. 3.5: the class token's similarity to each patch, combined with the other patches'.

    .. math:: \tfrac12\big(\cos(q_{cls}, k_i) + \tfrac1N\textstyle\sum_j \cos(q_j, k_i)\big)
              \text{, then min-max over the patches}

    Notes
    -----
    The paper says "combining" and no more, and Eq. 8 and 9 have no such term: the equal weights are ours.
    """
    unit_q, unit_k = F.normalize(wide(q), dim=-1), F.normalize(wide(k[:, 1:]), dim=-1)
    cosines = unit_q @ unit_k.mT  # batch token patch
    return min_max((cosines[:, 0] + cosines[:, 1:].mean(1)) / 2)


def weigh_values(
    grad: Float[Tensor, "batch width"],
    v: Float[Tensor, "batch token width"],
    sim: Float[Tensor, "batch token"],
) -> Float[Tensor, "batch token"]:
    r"""Eq. 8 before its ReLU: $\sum_{ch} \nabla_{att} c_{ch} \, v_{i,ch} \, \text{sim}_i$ for each token i."""
    return (wide(grad)[:, None] * wide(v)).sum(-1) * sim


def grad_eclip_map(
    grad: Float[Tensor, "batch width"],
    v: Float[Tensor, "batch token width"],
    sim: Float[Tensor, "batch token"],
) -> Float[Tensor, "batch token"]:
    r"""Eq. 8 for one layer: $\text{ReLU}(\nabla_{att_l} c \cdot v_l \cdot \text{sim}_{qk})$, channels summed.

    `grad` is the gradient of the score at the attention output of the token that is read (class token, end of text).
    """
    return weigh_values(grad, v, sim).relu()


def sum_layers(maps: Sequence[Float[Tensor, "batch token"]]) -> Float[Tensor, "batch token"]:
    r"""Eq. 8: $\sum_l$ over the layers, all of the same weight."""
    return torch.stack(list(maps)).sum(0)


def image_layer_map(
    clip: Clip, layer: LayerTrace, block: torch.nn.Module, grad: Tensor, *, key_similarity: bool, projected_keys: bool,
    similarity: str = "class",
) -> Float[Tensor, "batch patch"]:  # fmt: skip
    """Eq. 8 for one image block: `grad` [batch, width] is that of its attention output at the class token."""
    v = layer.v[:, 1:]
    if not key_similarity:
        return grad_eclip_map(grad, v, torch.ones_like(wide(v[..., 0])))
    q = layer.q[:, :1] if similarity == "class" else layer.q  # sim_qk reads no other query
    q, k = (block.attn.out_proj(x) if projected_keys else x for x in (q, layer.k))
    return grad_eclip_map(grad, v, (sim_qk if similarity == "class" else combined_similarity)(q, k))


def image_maps(clip: Clip, trace: ClipTrace, **choices) -> list[Float[Tensor, "batch patch"]]:
    """Eq. 8's summands, one for each image block that was recorded."""
    grads = gradients(trace.score, [layer.attn_out for layer in trace.image_layers])
    last = list(blocks(clip, "image"))[-len(trace.image_layers) :]
    with torch.no_grad():
        return [
            image_layer_map(clip, layer, block, grad[:, 0], **choices)
            for layer, block, grad in zip(trace.image_layers, last, grads, strict=True)
        ]


def text_map(
    clip: Clip, trace: ClipTrace, eos: Int[Tensor, " batch"], *, key_similarity: bool, projected_keys: bool
) -> Float[Tensor, "batch token"]:
    """Eq. 8 for texts: layers are summed first, and the ReLU comes last, as in grad_eclip_text of generate_emap.py."""
    grads = gradients(trace.score, [layer.attn_out for layer in trace.text_layers])
    last = list(blocks(clip, "text"))[-len(trace.text_layers) :]
    rows, maps = torch.arange(len(eos), device=eos.device), []
    with torch.no_grad():
        for layer, block, grad in zip(trace.text_layers, last, grads, strict=True):
            sim = torch.ones_like(wide(layer.v[..., 0]))
            if key_similarity:
                q, k = (block.attn.out_proj(x) if projected_keys else x for x in (layer.q, layer.k))
                sim = query_similarity(q[rows, eos], k)
            maps.append(weigh_values(grad[rows, eos], layer.v, sim))
        return sum_layers(maps).relu()


@torch.enable_grad()
def explain(
    clip: Clip,
    images,
    texts,
    *,
    layers: int | None = 1,  # generate_emap.py: the last block; its text notebook takes 8; Eq. 8 as printed: None, all
    heads: int | None = None,
    key_similarity: bool = True,
    projected_keys: bool = True,
    modality: str = "both",
) -> Attribution:
    r"""Eq. 8: Zhao et al. 2024, grad_eclip and grad_eclip_text in generate_emap.py of Cyang-Zhao/Grad-Eclip.

    Explains the cosine of the pair through the last `layers` blocks (None: all). Image: patches. Text: positions 0
    to end of text. `key_similarity=False` leaves sim_qk out. `projected_keys` sends q and k through the block's
    `out_proj` before their cosine, as generate_emap.py does and its notebooks do not.

    .. math:: E = \sum_l \text{ReLU}(\nabla_{att_l} c \cdot v_l \cdot \text{sim}_{qk})

    Shapes: image [batch, rows, columns], text [batch, context]. Cost: one forward pass of each tower, for each map
    a backward pass that stops at the first of `layers`.

    Notes
    -----
    `heads=1` re-runs these blocks with a single head, as the official code does whatever the model has: it then
    explains another model's cosine, for each map in its own tower only. The default keeps the model's own heads.
    Several blocks: the image map sums their ReLUs, the text map takes the ReLU of their sum, both as officially.
    For texts sim_qk's min-max runs over the whole context, behind the end of text too, as officially; the official
    map then keeps positions 1 to end of text - 1 and divides by their sum, which is left to the caller.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("grad_eclip", modality, pairs)
    choices = {"key_similarity": bool(key_similarity), "projected_keys": bool(projected_keys)}
    if heads is not None and len(wanted) == 2:
        return one_by_one(explain, clip, pairs, layers=layers, heads=heads, **choices)
    trace = record(
        clip, pairs, modality=modality, heads=heads, full_context=True,
        layers=last_blocks(clip, "image", layers) if "image" in wanted else None,
        text_layers=last_blocks(clip, "text", layers) if "text" in wanted else None,
    )  # fmt: skip
    image = text = None
    if "image" in wanted:
        image = sum_layers(image_maps(clip, trace, **choices)).unflatten(1, trace.grid)
    if "text" in wanted:
        text = token_map(text_map(clip, trace, trace.eos, **choices), trace.eos, clip.context_length)
    settings = {"layers": layers, "heads": heads, **choices, "modality": modality}
    return Attribution(image, text, trace.score.detach(), "grad_eclip", settings)


def min_max(
    values: Float[Tensor, "batch token"], counted: Bool[Tensor, "batch token"] | None = None
) -> Float[Tensor, "batch token"]:
    """Each sample's values from 0 to 1 over the `counted` tokens (None: all); 0 where all are equal, or not counted."""
    counted = torch.ones_like(values, dtype=torch.bool) if counted is None else counted
    low = values.masked_fill(~counted, torch.inf).amin(1, keepdim=True)
    high = values.masked_fill(~counted, -torch.inf).amax(1, keepdim=True)
    return ((values - low) / torch.where(high > low, high - low, torch.ones_like(high))).masked_fill(~counted, 0)
