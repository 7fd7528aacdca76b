"""What can be said before a sample is measured: of a protocol's settings when it is made, of its data at the start."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import NamedTuple

from ...data.dataset import Record
from ...data.records import Picture
from ...errors import BadSetting, DatasetError, UnknownName
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


NEEDED = {  # what of its samples each protocol cannot do without
    "table1": "captions", "table2": "label", "table3": "captions", "localisation": "masks", "words": "scene",
    "microscope": "label", "errors": "scene", "sanity": "captions", "swaps": "captions",
    "transform": "captions",
}  # fmt: skip


class Need(NamedTuple):
    """Something of a sample in words, which datasets have it, and whether a record says so, its picture not decoded."""

    words: str
    take: str
    holds: Callable[[Record], bool]


NEEDS = {
    "label": Need(
        "the true class of each picture",
        "take scenes/classes, imagenet, or a folder with labels.csv (image,class)",
        lambda record: record.label is not None,
    ),
    "captions": Need(
        "each picture's caption",
        "take scenes/pairs, coco, conceptual-captions, or a folder with captions.csv (image,caption)",
        lambda record: bool(record.captions),
    ),
    "masks": Need(
        "exact masks",
        "take scenes/pairs, coco-objects, or masks",
        lambda record: type(record) is not Picture,
    ),
    "scene": Need(
        "the exact masks and words of the bundled world",
        "take scenes/pairs, scenes/crowded, or another split of it",
        lambda record: not isinstance(record, Picture),
    ),
}


def check_data(protocol: str, data: Sequence) -> None:
    """Raise `DatasetError` where no sample has what a protocol cannot do without.

    A dataset without records is taken as it is: of its samples nothing is known before they are read.
    """
    records, need = getattr(data, "records", None), NEEDS[NEEDED[protocol]]
    if records and not any(map(need.holds, records)):
        raise DatasetError(
            f"{protocol} judges by {need.words}, and no sample of {name_of(data)} has that: {need.take}."
        )


def protocols_for(data: Sequence) -> list[str]:
    """The protocols that a dataset, opened by its name, has everything for."""
    known = {what for what, need in NEEDS.items() if any(map(need.holds, data.records))}
    asked = {"label", "masks"} if data.prompts is None else set()  # by the names of classes
    return [name for name, what in NEEDED.items() if what in known - asked]


def name_of(data: object) -> str:
    """A dataset's name for an error."""
    return getattr(data, "name", "the dataset")
