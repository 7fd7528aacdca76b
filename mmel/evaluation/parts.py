"""The folder of a run: its header, and one parquet part for each finished shard, written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..errors import EvaluationError
from .header import canonical, check_same, differences

NAME = re.compile(r"part-(\d{8})-(\d{8})\.parquet")  # of the first sample, and of the one after the last
UNDONE = re.compile(r"\..+\.(?P<host>[\w.-]+)\.(?P<pid>\d+)\.tmp")
KEY = b"mmel.header"
PREPARED = b"mmel.prepared"  # what the protocol says of its shared state
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Shard:
    """The samples from `start` to before `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def indices(self) -> range:
        return range(self.start, self.stop)


def shards_of(count: int, size: int, covered: set[int] | None = None) -> list[Shard]:
    """Fixed shards of `size` samples; of each only the runs of samples that are not `covered`."""
    found = []
    for first in range(0, count, size):
        start = None
        for index in range(first, min(first + size, count) + 1):
            left = index < min(first + size, count) and index not in (covered or ())
            if left and start is None:
                start = index
            elif not left and start is not None:
                found.append(Shard(start, index))
                start = None
    return found


class Folder:
    """One run on disk. Several processes may write to it at once, each its own shards."""

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def open(self, header: Mapping[str, object]) -> None:
        """Begin a run here, or go on with one of the same header; raises `EvaluationError` for another.

        A run that stopped before its first part had nothing to lose: another one takes its place.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvaluationError(f"the folder {str(self.path)!r} cannot be made ({error.strerror}).") from error
        self._sweep()
        begun = bool(self.parts()) or self.read("results.json") is not None
        if (there := self.header() if begun else None) is not None:
            check_same(there, header, str(self.path))
        else:
            self.write("header.json", json.dumps(header, indent=1, ensure_ascii=False) + "\n")
        for part in self.parts():
            check_same(self.header_in(part), header, str(part))

    def header(self) -> dict | None:
        """The header of the run here, if there is one."""
        text = self.read("header.json")
        return None if text is None else _parsed(text, self.path / "header.json")

    def read(self, name: str) -> str | None:
        """The text of a file of the run; None where it is not there."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def parts(self) -> list[Path]:
        """Finished parts in the order of their samples."""
        return sorted(path for path in self.path.glob("part-*.parquet") if NAME.fullmatch(path.name))

    def covered(self) -> set[int]:
        """The samples that finished parts hold."""
        return {index for path in self.parts() for index in span(path).indices}

    def header_in(self, part: Path) -> dict:
        """The header that a part carries."""
        meta = _read(part, lambda: pq.read_schema(part)).metadata or {}
        return _parsed((meta.get(KEY) or b"null").decode(), part) or {}

    def prepared(self) -> dict | None:
        """What the protocol said of its shared state, the same in every part; None where it says nothing."""
        for part in self.parts():
            text = _said(_read(part, lambda: pq.read_schema(part)))  # noqa: B023
            return None if text is None else _parsed(text.decode(), part)
        return None

    def put(self, shard: Shard, table: pa.Table, header: Mapping[str, object]) -> None:
        """Store a finished shard. Raises `EvaluationError` where another part was made from another shared state."""
        if (there := self.header()) is not None:  # which another run may have put there, if this is the first part
            check_same(there, header, str(self.path))
        text = _said(table.schema)
        for part in self.parts()[:1]:  # with which all others were compared
            if (there := _said(_read(part, lambda: pq.read_schema(part)))) != text:  # noqa: B023
                raise EvaluationError(_apart(there, text, self.path, part))
        said = {} if text is None else {PREPARED: text}
        table = table.replace_schema_metadata({KEY: canonical(header).encode(), **said})
        with written_whole(self.path / f"part-{shard.start:08d}-{shard.stop:08d}.parquet") as file:
            pq.write_table(table, file, compression="zstd")

    def write(self, name: str, text: str) -> None:
        """Store a text file."""
        with written_whole(self.path / name) as file:
            file.write(text.encode())

    def tables(self, columns: Sequence[str] | None = None, filters=None) -> Iterator[pa.Table]:
        """The parts in the order of their samples, each sample once; `columns` and `filters` as of `read_table`."""
        after = 0
        for path in self.parts():
            there = span(path)
            table = _read(path, lambda: pq.read_table(path, columns=columns, filters=filters))  # noqa: B023
            if there.start < after:  # another process had begun shards of another size
                table = table.filter(pc.greater_equal(table["index"], after))
            after = max(after, there.stop)
            yield table

    def _sweep(self) -> None:
        """Remove what processes of this machine had begun to write when they were killed."""
        for path in self.path.glob(".*.tmp"):
            found = UNDONE.fullmatch(path.name)
            if found and found["host"] == _host() and not _alive(int(found["pid"])):
                path.unlink(missing_ok=True)


def span(part: Path) -> Shard:
    """The samples that a part holds, by its name."""
    return Shard(*map(int, NAME.fullmatch(part.name).groups()))


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file under a temporary name, which takes its own when all of it has reached the disk; else nothing is left."""
    undone = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.tmp")
    try:
        with open(undone, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(undone, path)
    except OSError as error:
        why = "the disk is full" if error.errno in FULL else str(error.strerror or error)
        raise EvaluationError(
            f"{path.name} could not be written to {str(path.parent)!r}: {why}. Finished parts are kept: make room, and "
            "give the same command again."
        ) from error
    finally:
        undone.unlink(missing_ok=True)


def _read(path: Path, reader: Callable):
    try:
        return reader()
    except (OSError, pa.ArrowInvalid) as error:
        raise EvaluationError(
            f"the part {str(path)!r} cannot be read ({error}): delete it, and give the same command again."
        ) from error


def _said(schema: pa.Schema) -> bytes | None:
    return (schema.metadata or {}).get(PREPARED)


def _apart(there: bytes | None, here: bytes | None, folder: Path, part: Path) -> str:
    read = [json.loads(each or b"{}") for each in (there, here)]
    different = "\n".join(f"  {line}" for line in differences(*read))
    return (
        f"the samples of {part.name} in {str(folder)!r} were measured after the protocol had prepared something else:\n"
        f"{different}\nSee that all workers and shares read the same files (is a picture missing or broken on one of "
        "them?), delete the parts that were made from others, and give the same command again."
    )


def _parsed(text: str, path: Path) -> dict:
    try:
        return json.loads(text)
    except ValueError as error:
        raise EvaluationError(f"the header in {str(path)!r} is damaged: take another --out folder.") from error


def _host() -> str:
    return re.sub(r"[^\w-]", "-", socket.gethostname())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
