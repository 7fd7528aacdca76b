"""The settings of a protocol, looked at when it is made: before a model is loaded or a sample is seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields

from ...errors import BadSetting, UnknownName
from ...methods.parts.settings import check_kinds
from ..protocol import EvaluationProtocol


def check_protocol(
    protocol: EvaluationProtocol, choices: Mapping[str, Iterable[str]] = {}, least: Mapping[str, int] = {}
) -> None:
    """Raise for a setting of another kind than its annotation's, a name that is not one of `choices`, a small number.

    Where a setting is a tuple of names it has at least one.
    """
    settings = {each.name: getattr(protocol, each.name) for each in fields(protocol)}
    check_kinds(protocol.name, type(protocol), settings)
    for setting, known in choices.items():
        names = settings[setting] if isinstance(settings[setting], (tuple, list)) else (settings[setting],)
        if not names:
            raise BadSetting(f"{setting} of {protocol.name} has at least one name of: {', '.join(known)}.")
        for name in names:
            if name not in known:
                raise UnknownName(f"value of {protocol.name}'s setting {setting}", name, known)
    for setting, number in least.items():
        if settings[setting] < number:
            raise BadSetting(f"{setting} of {protocol.name} is from {number} on; got {settings[setting]}.")
