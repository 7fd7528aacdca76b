"""Is a setting of the kind that its annotation names? Before anything runs, and with a word on what was expected."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Union, get_args, get_origin, get_type_hints

from ...errors import BadSetting

KINDS = {
    bool: ("True or False", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: _is(value, Integral)),
    float: ("a finite number", lambda value: _is(value, Real) and math.isfinite(value)),
    str: ("a text", lambda value: isinstance(value, str)),
    NoneType: ("None", lambda value: value is None),
}


def check_kinds(method: str, annotated: Callable, settings: Mapping[str, object]) -> None:
    """Raise `BadSetting` for the first setting that is not what `annotated` (a method, a settings class) says.

    Numbers, texts, truth values, None and tuples of them are checked; tensors, mappings and the like are left to the
    method, which knows their shapes.
    """
    for name, value in settings.items():
        kinds = kinds_of(annotated).get(name, ())
        if kinds and not any(fits(value, kind) for kind in kinds):
            raise BadSetting(
                f"{name} of {method} is {' or '.join(map(_words, kinds))}; got {value!r} of type "
                f"{type(value).__name__}."
            )


@cache
def kinds_of(annotated: Callable) -> dict[str, tuple]:
    """Setting -> the kinds that it may have; none where one of them is not checked here."""
    found = {}
    for name, hint in get_type_hints(annotated).items():
        kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if all(_numbers(kind) or kind in KINDS for kind in kinds):
            found[name] = kinds
    return found


def _numbers(kind: object) -> bool:
    """A tuple of numbers, however many."""
    return get_origin(kind) is tuple and get_args(kind)[0] in KINDS


def _is(value: object, number: type) -> bool:
    """A number of that kind; truth values are none here."""
    return isinstance(value, number) and not isinstance(value, bool)


def fits(value: object, hint: object) -> bool:
    """Is a value one of the plain ones that an annotation names? Tensors and mappings are none."""
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, each) for each in get_args(hint))
    if get_origin(hint) in (tuple, Sequence):
        return isinstance(value, (tuple, list)) and all(fits(each, get_args(hint)[0]) for each in value)
    return hint in KINDS and KINDS[hint][1](value)


def _words(kind: object) -> str:
    if _numbers(kind):
        return f"a tuple, each {KINDS[get_args(kind)[0]][0]}"
    return KINDS[kind][0]
