"""Sec. 4.7: the parameters of a CLIP in the order of its layers, none left out and none named twice."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import NamedTuple

from torch import nn

from ..clip import Clip
from ..errors import UnknownName, UnsupportedModel
from ..trace import TOWERS
from .fresh import is_text

READOUT = ("ln_post", "proj", "ln_final", "text_projection", "attn_pool", "attn_pool_contrastive")
SCALE = ("logit_scale", "logit_bias")
BLOCK = re.compile(r"\bresblocks\.(\d+)\.")


class Step(NamedTuple):
    """One rung of the ladder: a part of the model, and the names of its parameters in `clip.model`."""

    name: str
    parameters: tuple[str, ...]


def ladder(clip: Clip, tower: str = "image") -> tuple[Step, ...]:
    """The steps of a tower from the top (what is read out) down to the embedding of patches or words.

    "image" or "text": all parameters of that tower. "both": all of the model, the two towers side by side from the
    top, with the scale of the cosine as the first step. Raises `UnsupportedModel` for a tower without residual blocks.
    """
    if tower == "both":
        scale = tuple(name for name, _ in clip.model.named_parameters() if name in SCALE)
        sides = [ladder(clip, each) for each in TOWERS]
        return (Step("scale", scale), *(_joined(pair) for pair in zip_longest(*sides)))
    if tower not in TOWERS:
        raise UnknownName("tower", tower, (*TOWERS, "both"))
    names = [name for name, _ in clip.model.named_parameters() if name not in SCALE]
    names = [name for name in names if is_text(name) == (tower == "text")]
    blocks = sorted({int(found[1]) for found in map(BLOCK.search, names) if found}, reverse=True)
    if not blocks:
        raise UnsupportedModel(
            f"the {tower} tower of {clip.name!r} has no residual attention blocks to draw anew one by one: "
            "take a ViT of open_clip, such as ViT-B-32."
        )
    parts: dict[str, list[str]] = {part: [] for part in ("readout", *(f"block {i}" for i in blocks), "embedding")}
    for name in names:
        parts[_part(name)].append(name)
    return tuple(Step(f"{tower} {part}", tuple(names)) for part, names in parts.items() if names)


def parameters(model: nn.Module, steps: tuple[Step, ...]) -> dict[str, nn.Parameter]:
    """The parameters of some steps by name, each once."""
    named = dict(model.named_parameters())
    return {name: named[name] for step in steps for name in step.parameters}


def count(model: nn.Module, steps: tuple[Step, ...]) -> int:
    """How many numbers the parameters of some steps hold."""
    return sum(parameter.numel() for parameter in parameters(model, steps).values())


def _part(name: str) -> str:
    block = BLOCK.search(name)
    if block:
        return f"block {block[1]}"
    first = name.removeprefix("visual.").removeprefix("text.").split(".")[0]
    return "readout" if first in READOUT else "embedding"


def _joined(pair: tuple[Step | None, ...]) -> Step:
    steps = [step for step in pair if step is not None]
    return Step(" and ".join(step.name for step in steps), tuple(name for step in steps for name in step.parameters))
