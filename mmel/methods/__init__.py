"""Attribution methods: one file, one method, one `explain`. A new one is a file here and a line in `FILES`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import cache
from importlib import import_module
from types import ModuleType

import torch

from ..clip import Clip, prepare
from ..errors import UnfitMethod, UnknownName
from ..types import Attribution, Pairs
from .parts.perturb import at_least, slices
from .parts.settings import check_kinds

# Every method in the order of the tables, each by its file; a dot stands for a folder.
FILES = (
    "grad_eclip",
    "mmel",
    "mmel_plus",
    "attention.raw_attention",
    "attention.attention_rollout",
    "attention.attention_flow",
    "grad_cam",
    "saliency",
    "kernel_shap",
    "rise",
    "chefer",
    "m2ib",
    "clip_surgery",
    "mask_clip",
    "legrad",
    "cci",
    "controls.random",
    "controls.centre_gaussian",
    "controls.edges",
)


def load(file: str) -> ModuleType:
    """The module of one of `FILES`. Raises `UnfitMethod`, which says what the file lacks."""
    path = f"mmel/methods/{file.replace('.', '/')}.py"
    try:
        module = import_module(f".{file}", __name__)
    except ModuleNotFoundError as error:
        if not f"{__name__}.{file}".startswith(str(error.name)):
            raise  # the file is there, and imports something that is not
        raise UnfitMethod(f"FILES names {file!r}, and there is no {path}: write it, or take the line out.") from None
    wanted = "`def explain(clip, images, texts, *, modality='image')`, with 'both' where it explains texts too"
    if not callable(getattr(module, "explain", None)):
        raise UnfitMethod(f"{path} has no function `explain`: write {wanted}.")
    settings = inspect.signature(module.explain).parameters
    modality = settings["modality"].default if "modality" in settings else "nothing"
    if modality not in ("image", "both") or settings["modality"].kind is not inspect.Parameter.KEYWORD_ONLY:
        raise UnfitMethod(f"the keyword `modality` of `explain` in {path} says {modality!r}: write {wanted}.")
    return module


MODULES: dict[str, ModuleType] = {file.rpartition(".")[2]: load(file) for file in FILES}
METHODS: dict[str, Callable[..., Attribution]] = {name: module.explain for name, module in MODULES.items()}
# the settings of the official code; a file without `OFFICIAL` has none
OFFICIAL: dict[str, Mapping[str, object]] = {n: getattr(module, "OFFICIAL", {}) for n, module in MODULES.items()}


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
    check_settings(method, settings, known)
    pairs = prepare(clip, images, texts)
    if "batch_size" in known:
        settings["batch_size"] = batch_size
    return _in_turns(lambda part: run(clip, part, None, **settings), pairs, batch_size)


def check_settings(method: str, settings: Mapping[str, object], known: Collection[str]) -> None:
    """Raise for a setting that is not one of the `known` ones of a method, or is of another kind than it should be."""
    for name in settings:
        if name not in known:
            raise UnknownName(f"setting of {method}", name, known)
    check_kinds(method, METHODS[method], settings)


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
