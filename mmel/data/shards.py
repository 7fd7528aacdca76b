"""WebDataset shards: tar files in which `0001.jpg` and `0001.cls` (or `.txt`, `.json`) make one sample."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DatasetError, ImageError
from .records import PICTURES, Picture, ordered

LARGEST = 1_000_000  # bytes of a label or a caption
WORDS = ("cls", "txt", "json")
RECORD = 512  # bytes of a block of a tar file


@dataclass(frozen=True)
class Slice:
    """A part of a file that is not compressed."""

    path: Path
    start: int
    size: int

    def read(self) -> bytes:
        try:
            with open(self.path, "rb") as file:
                file.seek(self.start)
                return file.read(self.size)
        except OSError as error:
            raise ImageError(f"{self.path.name} cannot be read ({error.strerror}).") from error


@dataclass
class Sample:
    """The members of one key."""

    key: str
    place: Slice | None = None
    words: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> int | None:
        """The number in `.cls`; None where there is none."""
        if "cls" not in self.words:
            return None
        try:
            return int(self.words["cls"])
        except ValueError as error:
            raise DatasetError(f"{self.key}.cls should hold a number, but holds {self.words['cls']!r}.") from error

    @property
    def captions(self) -> tuple[str, ...]:
        """The lines of `.txt`, or else `captions` or `caption` of `.json`."""
        if "txt" in self.words:
            return tuple(line.strip() for line in self.words["txt"].splitlines() if line.strip())
        try:
            found = json.loads(self.words.get("json", "{}"))
            said = found.get("captions") or found.get("caption") or []
        except (ValueError, AttributeError) as error:
            raise DatasetError(f"{self.key}.json should hold an object with `captions`, but does not.") from error
        return tuple(str(each).strip() for each in ([said] if isinstance(said, str) else said))


def shards_in(*folders: Path) -> list[Path]:
    """The tar files of the first of these folders that has any; compressed ones are refused."""
    for folder in folders:
        if packed := sorted(folder.glob("*.tar.gz")) + sorted(folder.glob("*.tgz")):
            raise DatasetError(f"{packed[0].name} is compressed and cannot be read by sample: unpack it to .tar.")
        if found := sorted(folder.glob("*.tar")):
            return found
    return []


def read_shards(paths: list[Path], *, labelled: bool = False, captions: int | None = None) -> tuple[Picture, ...]:
    """The samples of tar files, in order, their pictures where they lie.

    `labelled` asks for a label each, `captions` for at least one caption each and keeps so many of them (None: asks
    for none and keeps all).
    """
    found = []
    for path in paths:
        before = len(found)
        for sample in _samples(path):
            if labelled and sample.label is None:
                raise DatasetError(f"{path.name} has no {sample.key}.cls, and each sample needs its class number.")
            if captions and not sample.captions:
                raise DatasetError(f"{path.name} has no {sample.key}.txt or .json, and each sample needs a caption.")
            key = sample.key if len(paths) == 1 else f"{path.stem}/{sample.key}"
            label = sample.label if labelled else None
            found.append(Picture(key, sample.place, sample.place.size, label, sample.captions[:captions]))
        if len(found) == before:
            raise DatasetError(f"{path.name} holds no sample with a picture (NAME.jpg): is it a WebDataset shard?")
    return ordered(found)


def _samples(path: Path) -> Iterator[Sample]:
    """Members of one key stand side by side in a shard."""
    open_sample: Sample | None = None
    for name, place in _members(path):
        key, _, suffix = name.rpartition("/")[2].partition(".")
        key = f"{name.rpartition('/')[0]}/{key}".lstrip("/")
        if open_sample is None or open_sample.key != key:
            if open_sample and open_sample.place:
                yield open_sample
            open_sample = Sample(key)
        if f".{suffix.lower()}" in PICTURES:
            open_sample.place = place
        elif suffix in WORDS and place.size <= LARGEST:
            open_sample.words[suffix] = place.read().decode("utf-8", "replace").strip()
    if open_sample and open_sample.place:
        yield open_sample


def _members(path: Path) -> Iterator[tuple[str, Slice]]:
    whole = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            end = 0
            for member in archive:
                end = member.offset_data + -(-member.size // RECORD) * RECORD
                if member.isfile() and end <= whole:
                    yield member.name, Slice(path, member.offset_data, member.size)
    except (tarfile.TarError, OSError) as error:
        raise DatasetError(f"the shard {path.name} cannot be read ({error}): get it again.") from error
    with open(path, "rb") as file:
        file.seek(end)
        if len(tail := file.read(RECORD)) < RECORD or any(tail):
            raise DatasetError(f"the shard {path.name} is cut off or damaged after {end:,} bytes: get it again.")
