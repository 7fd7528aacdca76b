"""Sec. 4.7: what a parameter is before training, drawn as open_clip's own constructors draw it.

A sanity check needs it for *every* parameter. Tools that call `reset_parameters()` of each module miss those that no
such function touches: `in_proj_weight` of the attention, class token, positional embeddings, projections.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..clip import Clip
from ..errors import UnsupportedModel
from ..methods.parts.perturb import seeded


class Law(NamedTuple):
    """A parameter's law before training. `spread` is the standard deviation of a normal law, the bound of a uniform
    one (it runs from -spread to spread), and nothing for a constant, which is `centre` everywhere."""

    kind: str  # normal, uniform or constant
    spread: float = 0.0
    centre: float = 0.0


def normal(spread: float) -> Law:
    return Law("normal", spread)


def uniform(bound: float) -> Law:
    return Law("uniform", bound)


def constant(value: float) -> Law:
    return Law("constant", 0.0, value)


def draw(law: Law, like: Tensor, seed: int, label: str) -> Tensor:
    """Numbers of a law with the shape, type and device of `like`; `seed` and `label` decide them, nothing else."""
    values = torch.empty(like.shape, dtype=torch.float32)
    generator = seeded(seed, f"fresh {label}")
    if law.kind == "normal":
        values.normal_(law.centre, law.spread, generator=generator)
    elif law.kind == "uniform":
        values.uniform_(law.centre - law.spread, law.centre + law.spread, generator=generator)
    else:
        values.fill_(law.centre)
    return values.to(like)


def law_of(clip: Clip, name: str) -> Law:
    """The law that a parameter, by its name in `clip.model`, is drawn from before training.

    As `VisionTransformer` and `TextTransformer.init_parameters` of open_clip 3.3.0 have it, and torch's defaults where
    they say nothing. Layer norms start as 1 and 0 and the logit scale at log(1 / 0.07): a fresh one is no random one.
    Raises `UnsupportedModel` for a parameter that no rule knows, so that none is left trained unseen.
    """
    path, _, leaf = name.rpartition(".")
    owner = clip.model.get_submodule(path)
    found = _scale(clip, path, leaf) or _tower(clip, name) or _attention(owner, path, leaf, clip) or _plain(owner, leaf)
    if found is None:
        raise UnsupportedModel(
            f"every parameter has to be drawn anew, but how {name!r} of a {type(owner).__name__} starts is not known "
            "here: take a plain ViT of open_clip, such as ViT-B-32, or add its law to `mmel.sanity.fresh`."
        )
    return found


def is_text(name: str) -> bool:
    """Whether a parameter belongs to the text tower: neither to the picture's nor to the cosine's scale."""
    return not name.startswith("visual.") and name not in ("logit_scale", "logit_bias")


def _scale(clip: Clip, path: str, leaf: str) -> Law | None:
    """Temperature and bias of the training loss; a model with a bias is one of SigLIP's."""
    if path or leaf not in ("logit_scale", "logit_bias"):
        return None
    if getattr(clip.model, "logit_bias", None) is None:
        return constant(math.log(1 / 0.07))
    return constant(math.log(10) if leaf == "logit_scale" else -10.0)


def _tower(clip: Clip, name: str) -> Law | None:
    """What the constructors of the two towers draw by name."""
    if not is_text(name):
        width = len(visual) if (visual := getattr(clip.model.visual, "class_embedding", None)) is not None else 0
        bare = ("visual.class_embedding", "visual.positional_embedding", "visual.proj")
        return normal(width**-0.5) if name in bare and width else None
    text = getattr(clip.model, "text", clip.model)
    if getattr(text, "ln_final", None) is None:
        return None  # no text tower of open_clip: its layers may be plain ones
    width, depth = text.ln_final.weight.numel(), len(text.transformer.resblocks)
    deep = width**-0.5 * (2 * depth) ** -0.5
    ends = {
        "token_embedding.weight": 0.02, "positional_embedding": 0.01, "cls_emb": 0.01,
        "attn.in_proj_weight": width**-0.5, "attn.out_proj.weight": deep,
        "mlp.c_fc.weight": (2 * width) ** -0.5, "mlp.c_proj.weight": deep,
        "text_projection": width**-0.5, "text_projection.weight": width**-0.5,
    }  # fmt: skip
    if name.endswith("text_projection.bias"):
        return constant(0.0)
    return next((normal(std) for end, std in ends.items() if f".{name}".endswith(f".{end}")), None)


def _attention(owner: nn.Module, path: str, leaf: str, clip: Clip) -> Law | None:
    """torch's attention (Xavier's law, no biases), and open_clip's own."""
    if path.endswith(".out_proj") and leaf == "bias":
        above = clip.model.get_submodule(path.removesuffix(".out_proj"))
        return constant(0.0) if isinstance(above, nn.MultiheadAttention) else None
    if leaf == "in_proj_bias":
        return constant(0.0)
    if leaf == "in_proj_weight" and isinstance(owner, nn.MultiheadAttention):
        return uniform(math.sqrt(6 / sum(owner.in_proj_weight.shape)))
    if leaf == "in_proj_weight":
        return normal(owner.head_dim**-0.5)
    return {"head_scale": constant(1.0), "logit_scale": constant(math.log(10))}.get(leaf)


def _plain(owner: nn.Module, leaf: str) -> Law | None:
    """torch's defaults of plain layers."""
    if isinstance(owner, nn.LayerNorm):
        return constant(1.0 if leaf == "weight" else 0.0)
    if isinstance(owner, nn.Linear | nn.Conv2d):
        return uniform(owner.weight[0].numel() ** -0.5)  # of weight and bias: one over the root of what comes in
    return normal(1.0) if isinstance(owner, nn.Embedding) else None
