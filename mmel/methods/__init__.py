"""Attribution methods: one file, one method, one `explain`. A new one is a file here and a line in `MODULES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import torch

from ..clip import Clip, prepare
from ..errors import UnknownName
from ..types import Attribution, Pairs
from . import (
    attention_flow,
    attention_rollout,
    cci,
    chefer,
    clip_surgery,
    grad_cam,
    grad_eclip,
    kernel_shap,
    legrad,
    m2ib,
    mask_clip,
    mmel,
    mmel_plus,
    raw_attention,
    rise,
    saliency,
)
from .controls import centre_gaussian, edges, random
from .parts.settings import check_kinds
from .perturb import at_least, slices

MODULES = {
    "grad_eclip": grad_eclip,
    "mmel": mmel,
    "mmel_plus": mmel_plus,
    "raw_attention": raw_attention,
    "attention_rollout": attention_rollout,
    "attention_flow": attention_flow,
    "grad_cam": grad_cam,
    "saliency": saliency,
    "kernel_shap": kernel_shap,
    "rise": rise,
    "chefer": chefer,
    "m2ib": m2ib,
    "clip_surgery": clip_surgery,
    "mask_clip": mask_clip,
    "legrad": legrad,
    "cci": cci,
    "random": random,
    "centre_gaussian": centre_gaussian,
    "edges": edges,
}
METHODS: dict[str, Callable[..., Attribution]] = {name: module.explain for name, module in MODULES.items()}
OFFICIAL: dict[str, Mapping[str, object]] = {name: module.OFFICIAL for name, module in MODULES.items()}


def explain(
    clip: Clip, images, texts, method: str = "grad_eclip", *, batch_size: int | None = None, **settings
) -> Attribution:
    """Why the model gives these images and texts their scores: maps by one of `METHODS`.

    `images`: pixels [batch, 3, height, width], preprocessed, or one or a list of PIL pictures or paths. `texts`: one
    or a list of strings, token ids [batch, context], or text embeddings [batch, embed] (image maps only). One of
    either is used with all of the other. `settings` are the method's own; see its docstring. `batch_size` bounds how
    many pairs (for methods that look at edited copies: how many copies) go through the model at once, and changes no
    map.

    Returns raw maps on the method's own grid. Raises `UnknownName` for a method or a setting that does not exist, with
    the nearest names, `BadSetting` for a value of another kind than the setting's, and everything that
    `mmel.clip.prepare` and the method raise.
    """
    if method not in METHODS:
        raise UnknownName("method", method, METHODS)
    run = METHODS[method]
    known = settings_of(run)
    for name in settings:
        if name not in known:
            raise UnknownName(f"setting of {method}", name, known)
    check_kinds(method, run, settings)
    pairs = prepare(clip, images, texts)
    if "batch_size" in known:
        settings["batch_size"] = batch_size
    return _in_turns(lambda part: run(clip, part, None, **settings), pairs, batch_size)


@cache
def settings_of(run: Callable[..., Attribution]) -> tuple[str, ...]:
    """The names of a method's own settings."""
    return tuple(p.name for p in inspect.signature(run).parameters.values() if p.kind is p.KEYWORD_ONLY)


def _in_turns(run: Callable[[Pairs], Attribution], pairs: Pairs, batch_size: int | None) -> Attribution:
    if batch_size is None or len(pairs) <= at_least("batch_size", batch_size):
        return run(pairs)
    made = []
    for rows in slices(len(pairs), batch_size):
        cut = [None if part is None else part[rows] for part in (pairs.images, pairs.tokens, pairs.text_embed)]
        made.append(run(Pairs(*cut)))
    joined = {
        name: None if getattr(made[0], name) is None else torch.cat([getattr(one, name) for one in made])
        for name in ("image", "text", "score")
    }
    return replace(made[0], **joined)
