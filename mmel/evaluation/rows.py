"""The rows of the tables: a name, a method, and every setting that differs from the method's own default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import get_type_hints

from ..errors import BadSetting, MmelError, UnknownName
from ..methods import METHODS, OFFICIAL, check_settings, settings_of
from ..methods.mmel_settings import LITERAL, WORKING, MmelSettings
from ..methods.parts.settings import fits, kinds_of
from .protocol import Row

ONE_HEAD = dict(OFFICIAL["grad_eclip"])  # the official block has a single head, whatever the model has
OWN_HEADS = ONE_HEAD | {"heads": None}
AS_PRINTED = {"layers": None, "projected_keys": False}  # Eq. 8: a sum over all blocks, keys as they are

# Grad-ECLIP1 and 2 stand for Grad-ECLIP without and with its key similarity: an inference, for the paper defines
# neither. The official code has this switch, and row 2 of Table 2 equals the full method's numbers quoted elsewhere.
ECLIP = {
    "grad_eclip": OWN_HEADS,
    "grad_eclip_one_head": ONE_HEAD,
    "grad_eclip_no_key": OWN_HEADS | {"key_similarity": False},
    "grad_eclip_no_key_one_head": ONE_HEAD | {"key_similarity": False},
    "grad_eclip_all": AS_PRINTED,
}
OURS = {"mmel_literal": dict(LITERAL), "mmel_working": dict(WORKING)}
CONTROLS = ("random", "centre_gaussian", "edges")
NEWER = ("legrad", "cci", "mask_clip", "clip_surgery", "chefer_all")


def _named(name: str, method: str, settings: Mapping[str, object] = {}) -> Row:
    return Row(name, method, dict(settings))


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        *(_named(name, "grad_eclip", settings) for name, settings in ECLIP.items()),
        *(_named(name, "mmel", settings) for name, settings in OURS.items()),
        *(_named(name, name) for name in METHODS if name not in ("grad_eclip", "mmel")),
        _named("attention_rollout_last", "attention_rollout", OFFICIAL["attention_rollout"]),
        _named("chefer_all", "chefer", {"start_layer": 0}),
        _named("grad_cam_one_head", "grad_cam", OFFICIAL["grad_cam"]),
        _named("mask_clip_one_head", "mask_clip", OFFICIAL["mask_clip"]),
    )
}

# Which of our rows stand beside a row of the paper's tables; the first is the closest reading.
PAPER: dict[str, tuple[str, ...]] = {
    "GradCAM": ("grad_cam",),
    "Saliency": ("saliency",),
    "KS": ("kernel_shap",),
    "RISE": ("rise",),
    "Chefer": ("chefer",),
    "CLIPSurgery": ("clip_surgery",),
    "Raw Attention": ("raw_attention",),  # the baseline that Sec. 4.3 calls CLIP
    "Rollout": ("attention_rollout", "attention_rollout_last"),
    "M2IB": ("m2ib",),
    "Grad-ECLIP1": ("grad_eclip_no_key_one_head", "grad_eclip_no_key"),
    "Grad-ECLIP2": ("grad_eclip_one_head", "grad_eclip"),
    "MMEL": ("mmel_literal", "mmel_working"),
}

_ECLIPS = ("grad_eclip_no_key_one_head", "grad_eclip_no_key", "grad_eclip_one_head", "grad_eclip", "grad_eclip_all")
_MMELS = ("mmel_literal", "mmel_working")
TABLES: dict[str, tuple[str, ...]] = {
    "table1": ("grad_cam", "saliency", "kernel_shap", "rise", "chefer", "m2ib", *_ECLIPS, *_MMELS, "chefer_all",
               "legrad", "cci", *CONTROLS),
    "table2": ("clip_surgery", "m2ib", *_ECLIPS, *_MMELS, "raw_attention", "attention_rollout", "grad_cam", "saliency",
               "kernel_shap", "rise", "chefer", "chefer_all", "mask_clip", "legrad", "cci", *CONTROLS),
    "table3": ("raw_attention", "attention_rollout", "attention_rollout_last", "m2ib", *_ECLIPS, *_MMELS,
               "attention_flow", "grad_cam", "saliency", "kernel_shap", "rise", "chefer", "chefer_all", "random"),
    "microscope": ("grad_eclip", "grad_eclip_all", "mmel_working", "chefer_all", "attention_rollout", *CONTROLS),
    "sanity": ("raw_attention", "attention_rollout", "attention_flow", "saliency", "grad_cam", "chefer", "legrad",
               "clip_surgery", "mask_clip", "grad_eclip", "grad_eclip_all", *_MMELS, *CONTROLS),
    "swaps": ("raw_attention", "saliency", "grad_cam", "chefer", "legrad", "clip_surgery", "mask_clip", "grad_eclip",
              "grad_eclip_all", *_MMELS, "edges"),
    "transform": _MMELS,
    "errors": ("grad_eclip", "grad_eclip_all", *_MMELS, "chefer_all", "random", "centre_gaussian"),
    "smoke": ("grad_eclip", "grad_eclip_all", "mmel_working"),  # as few as every page can do with
}  # fmt: skip

# Why the text cell of a row is a dash; a method that is not here and explains pictures only says just that.
NO_TEXT_MAP: dict[str, str] = {
    "mmel_literal": "the paper's equations need a grid of patches and define no text map",
    "clip_surgery": "compares patches with a text and has no map of its words",
    "mask_clip": "compares patches with a text and has no map of its words",
    "legrad": "defined for patches only",
    "mmel_plus": "fades a picture; a faded text does not exist",
    "cci": "hides clusters of patches and has no map of words",
    "centre_gaussian": "a picture of the middle; words have none",
    "edges": "edges of a picture; words have none",
}

SAMPLING = {"rise": "n_masks", "kernel_shap": "n_samples", "m2ib": "n_samples"}  # what each pays for
FULL = {"rise": 2000, "kernel_shap": 1024, "m2ib": 10}  # as in the official codes, or the method's own default


BETWEEN = re.compile(r"[,\s]+(?![^\[]*\])")  # names; what stands in brackets belongs to one of them
NAMED = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<settings>[^\[\]]+)\])?")
VALUES = {"true": True, "false": False, "none": None, "null": None}  # null: as `--set` has it
WHOLE, NUMBER, WORD = r"-?\d+", r"-?(\d+\.?\d*|\.\d+)([eE]-?\d+)?", r"[A-Za-z_][\w.-]*"
GRAMMAR = (
    "write NAME[SETTING=VALUE,...], such as m2ib[beta=1,n_samples=5]; a value is a number, true, false, none, a word, "
    "or several with + between them."
)


def rows(names: Iterable[str] | str = "all", *, samples: Mapping[str, int] | int | None = None) -> tuple[Row, ...]:
    """Rows by their names (a list, or with commas between them), or of a table ("table1"), or all of them.

    A name may bring settings of its method in brackets: "m2ib[beta=1,n_samples=5]", which is then the row's name.
    `samples` limits what the sampling methods may draw: one number for `rise` (masks) and `kernel_shap` (coalitions),
    or a number for each method of `SAMPLING`; None takes `FULL`. The limit is a setting of the row, so that it is
    printed with it. Errors: UnknownName, BadSetting.
    """
    if isinstance(names, str):
        names = TABLES.get(names) or (ROWS if names == "all" else filter(None, BETWEEN.split(names)))
    limits = dict(FULL)
    if samples is not None:
        limits |= samples if isinstance(samples, Mapping) else {"rise": samples, "kernel_shap": samples}
    if wrong := [each for each in limits.values() if each is not None and each < 1]:
        raise BadSetting(f"samples, what a method may draw, is a whole number from 1 on; got {wrong[0]!r}.")
    return tuple(asked(name, limits) for name in names)


def row_of(name: str) -> Row:
    """The row of that name, or that of a method by its key: with the method's own defaults."""
    if name not in ROWS and name not in METHODS:
        raise UnknownName("row", name, {*ROWS, *METHODS})
    return ROWS.get(name) or Row(name, name)


def asked(written: str, limits: Mapping[str, int] = {}, known: Callable[[str], Row] = row_of) -> Row:
    """The row that a name with or without brackets means; `known` gives that of a name without."""
    if not (found := NAMED.fullmatch(written.strip())):
        raise BadSetting(f"{written!r} names no row: {GRAMMAR}")
    row = _limited(known(found["name"].strip()), limits)
    return with_settings(row, found["settings"]) if found["settings"] else row


def with_settings(row: Row, written: str) -> Row:
    """A row with these settings ("beta=1,steps=5") in the place of its own, and in its name.

    `samples` is what the method draws, whatever that is called there. Errors: BadSetting, with all settings.
    """
    if not (own := settings_known(row.method)):
        raise BadSetting(f"{row.method} has no settings: write {row.name} alone.")
    given = {}
    try:
        for each in written.split(","):
            name, _, value = map(str.strip, each.partition("="))
            name = SAMPLING.get(row.method, name) if name == "samples" else name
            if name in given:
                raise BadSetting(f"{name} is there twice.")
            given[name] = value_of(value)
        check_settings(row.method, given, own)
        for name in given.keys() - kinds_of(METHODS[row.method]).keys():
            _check_plain(row.method, name, given[name])
        new = replace(row, settings={**row.settings, **given})
        check_row(new)
    except MmelError as error:
        known = ", ".join(f"{name}={_shown(default)}" for name, default in own.items()) or "none"
        raise BadSetting(f"{row.name}[{written}]: {error} The settings of {row.method}: {known}.") from error
    shown = ",".join(f"{name}={_shown(given[name])}" for name in own if name in given)
    return replace(new, name=f"{row.name}[{shown}]")


def value_of(written: str) -> object:
    """What a value says: a number, true, false, none, a word, or a list of them with + between (8+ has one)."""
    if "+" in written:
        return tuple(value_of(each) for each in written.removesuffix("+").split("+"))
    if written.lower() in VALUES:
        return VALUES[written.lower()]
    for pattern, kind in {WHOLE: int, NUMBER: float, WORD: str}.items():
        if re.fullmatch(pattern, written, re.ASCII):
            return kind(written)
    raise BadSetting(f"{written!r} is no value: {GRAMMAR}")


def _shown(value: object) -> str:
    """A value as it is written."""
    if isinstance(value, tuple):
        return "+".join(map(_shown, value)) + "+" * (len(value) == 1)
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _check_plain(method: str, name: str, value: object) -> None:
    """Raise for a setting that may be a tensor or the like unless its value is one of the kinds that can be written."""
    if not fits(value, get_type_hints(METHODS[method])[name]):
        annotation = METHODS[method].__annotations__[name]
        raise BadSetting(f"of {annotation}, which {name} may be, tensors and mappings cannot be written here.")


def settings_known(method: str) -> dict[str, object]:
    """A method's settings that a row may have, with their defaults."""
    named = inspect.signature(METHODS[method]).parameters
    hidden = ("modality", "batch_size")  # of the protocol
    return {name: named[name].default for name in settings_of(METHODS[method]) if name not in hidden}


def check_row(row: Row) -> None:
    """Raise where a row's method, or one of its settings, does not exist or is of another kind than it should be."""
    if row.method not in METHODS:
        raise UnknownName("method", row.method, METHODS)
    check_settings(row.method, row.settings, settings_known(row.method))
    if row.method == "mmel":
        MmelSettings(**row.settings)


def _limited(row: Row, limits: Mapping[str, int]) -> Row:
    if row.method not in SAMPLING.keys() & limits.keys():
        return row
    return replace(row, settings={**row.settings, SAMPLING[row.method]: limits[row.method]})


def draws(row: Row) -> bool:
    """Does the method draw random numbers, so that another seed gives another map?"""
    return "seed" in inspect.signature(METHODS[row.method]).parameters


def why_no_text(name: str, method: str) -> str:
    """Why a row has no text map; an empty text where it has one."""
    if said := NO_TEXT_MAP.get(name.partition("[")[0]) or NO_TEXT_MAP.get(method):
        return said
    only = method in METHODS and inspect.signature(METHODS[method]).parameters["modality"].default == "image"
    return "explains pictures only" if only else ""


def has_text_map(row: Row) -> bool:
    """Does the row explain texts too?"""
    return not why_no_text(row.name, row.method)


def described(row: Row) -> str:
    """The method and its settings as one line; what is left out is the method's own default."""
    settings = dict(row.settings)
    if row.method == "mmel":
        presets = {"LITERAL": dict(LITERAL), "WORKING": dict(WORKING)}
        settings = next(({"preset": name} for name, preset in presets.items() if settings == preset), settings)
    shown = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    return f"{row.method}({shown})"
