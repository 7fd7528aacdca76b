"""Samples whose pictures lie in files: where their bytes are, and how they become pictures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Protocol

from PIL import Image

from ..errors import DatasetError, ImageError
from ..loading.images import read_image
from ..types import Example

FORMATS = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif"}
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
OFFICIAL = re.compile(r"ILSVRC2012_val_\d{8}")  # how ImageNet names its validation pictures, whatever the layout


class Place(Protocol):
    """Where the bytes of a picture are."""

    def read(self) -> bytes:
        """The bytes. Raises `ImageError` where they cannot be had."""


@dataclass(frozen=True)
class File:
    """A file of its own."""

    path: Path

    def read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError as error:
            raise ImageError(f"{str(self.path)!r} does not exist: add the file, or leave the sample out.") from error
        except OSError as error:
            raise ImageError(f"{str(self.path)!r} cannot be read ({error.strerror}).") from error


@dataclass(frozen=True)
class Picture:
    """A sample of a dataset of pictures. `size` is of the encoded bytes, or None where the file is missing."""

    key: str
    place: Place
    size: int | None
    label: int | None = None
    captions: tuple[str, ...] = ()

    def identity(self) -> list:
        """Key, size, label and captions: what the manifest is made of."""
        return [self.key, self.size, self.label, list(self.captions)]

    def example(self) -> Example:
        """The sample, decoded; raises `ImageError` where it cannot be."""
        return Example(self.key, decode(self.key, self.place.read()), self.captions, self.label)


def decode(name: str, content: bytes) -> Image.Image:
    """An RGB picture from a file's bytes; raises `ImageError` for what is no picture, or not whole."""
    if not content:
        raise ImageError(f"{name} is empty (0 bytes): get the file again.")
    try:
        picture = Image.open(BytesIO(content), formats=list(FORMATS))
    except Exception as error:  # a broken file makes its decoder raise anything
        said = f"{name} cannot be read as a picture ({_said(error)})"
        raise ImageError(f"{said}: expected {', '.join(FORMATS)}.") from error
    try:
        return read_image(picture)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error


def format_of(content: bytes) -> str:
    """The suffix that fits the bytes of a picture."""
    with Image.open(BytesIO(content), formats=list(FORMATS)) as picture:
        return FORMATS[picture.format]


def size_of(path: Path) -> int | None:
    """Bytes of a file, None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def ordered(records: Iterable[Picture], *, published: bool = True) -> tuple[Picture, ...]:
    """In the published order where the keys are ImageNet's own, else (or without `published`) as they came.

    Keys of ImageNet lose what stands around the picture's number. Raises where two samples have one key.
    """
    records = [replace(each, key=found[0]) if (found := OFFICIAL.search(each.key)) else each for each in records]
    if published and all(OFFICIAL.fullmatch(each.key) for each in records):
        records.sort(key=lambda each: each.key)
    twice = [key for key, times in Counter(each.key for each in records).items() if times > 1]
    if twice:
        raise DatasetError(f"{len(twice)} samples come twice, first {twice[0]!r}: keep one copy of the data.")
    return tuple(records)


def _said(error: Exception) -> str:
    text = re.sub(r"<_io\.BytesIO object at \w+>", "these bytes", str(error))
    return f"{type(error).__name__}: {text}"
