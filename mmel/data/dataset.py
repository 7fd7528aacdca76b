"""A dataset: samples that are decoded when they are asked for, and a hash that says exactly which they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Protocol

from ..types import Example


class Record(Protocol):
    """What is known of a sample without decoding its picture."""

    key: str
    label: int | None
    captions: tuple[str, ...]

    def identity(self) -> list:
        """Plain values that say which sample this is: for files key, size, label and captions."""

    def example(self) -> Example:
        """The sample, decoded. Raises a named `MmelError` where its picture cannot be read."""


@dataclass(frozen=True, eq=False)
class Dataset(Sequence):
    """A sequence of `Example`, each decoded when it is asked for: `dataset[0]`, `dataset[10:20]`, `len(dataset)`.

    `keys`, `labels` and `captions` are there without decoding. `classes` are the class names in the order of the
    labels and `templates` the prompts around them ("a photo of a {}."); `prompts` has every prompt of every class.
    All are None where the dataset has no classes. A dataset can be pickled.
    """

    name: str
    records: Sequence[Record]
    classes: tuple[str, ...] | None = None
    templates: tuple[str, ...] | None = None
    written: tuple[tuple[str, ...], ...] | None = None  # prompts, where filling the templates would not make them

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return replace(self, records=self.records[index])
        return self.records[index].example()

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} samples, {self.manifest[:12]})"

    @property
    def keys(self) -> tuple[str, ...]:
        """The name of each sample, unique in the dataset."""
        return tuple(record.key for record in self.records)

    @property
    def labels(self) -> tuple[int | None, ...]:
        """The class of each sample as an index into `classes`."""
        return tuple(record.label for record in self.records)

    @property
    def captions(self) -> tuple[tuple[str, ...], ...]:
        """The captions of each sample."""
        return tuple(record.captions for record in self.records)

    @property
    def prompts(self) -> tuple[tuple[str, ...], ...] | None:
        """The zero-shot prompts of every class, one for each template."""
        if self.written or self.classes is None or self.templates is None:
            return self.written
        return tuple(tuple(each.replace("{}", name) for each in self.templates) for name in self.classes)

    @cached_property
    def manifest(self) -> str:
        """SHA-256 over what identifies the samples, in their order, and over the prompts of the classes."""
        whole = sha256()
        for record in self.records:
            whole.update(json.dumps(record.identity(), ensure_ascii=False).encode() + b"\n")
        whole.update(json.dumps(self.prompts, ensure_ascii=False).encode())
        return whole.hexdigest()
