"""Conceptual Captions' validation pictures from their list of captions and addresses: resumable, dead links kept.

Written for Google's `Validation_GCC-1.1.0-Validation.tsv`: a caption and an address a line, no header. The folder gets

- `images/000000012.jpg`: the picture of line 12 (the first is 0), as it came;
- `captions.tsv`: the pictures that are there with their captions, which `open_dataset` reads;
- `dead.tsv`: the lines without one, with the reason;
- `fetch.jsonl`: what has been tried, one line each, from which an interrupted run goes on.
"""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

from ..errors import BadSetting, DatasetError, DownloadError, ImageError
from .download import Limits, download
from .records import decode, format_of

IMAGES, LOG, TABLE, DEAD = "images", "fetch.jsonl", "captions.tsv", "dead.tsv"
DECODING = threading.BoundedSemaphore(4)  # pictures decoded at a time, for one may take hundreds of megabytes


@dataclass(frozen=True)
class Line:
    """A line of the list."""

    number: int
    caption: str
    url: str


@dataclass(frozen=True)
class Fetched:
    """What a folder holds after a run."""

    good: int
    dead: int
    reasons: Counter  # of the dead, by kind


def read_list(tsv: Path) -> list[Line]:
    """The lines of a list: a caption, a tab, an address; no header."""
    try:
        lines = tsv.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"the list {str(tsv)!r} cannot be read ({error}).") from error
    found = []
    for number, line in enumerate(line.rstrip("\r") for line in lines):
        if not line and number == len(lines) - 1:
            continue
        caption, tab, url = line.partition("\t")
        if not tab or "\t" in url or not caption.strip() or not url.strip():
            raise DatasetError(
                f"line {number + 1} of {tsv.name} is not a caption, a tab and an address: is it the list of "
                "Conceptual Captions, whole and without a header?"
            )
        found.append(Line(number, " ".join(caption.split()), url.strip()))
    return found


def fetch(
    tsv: str | os.PathLike,
    root: str | os.PathLike,
    *,
    count: int | None = None,  # the first so many lines; dead ones are not replaced
    workers: int = 32,
    limits: Limits = Limits(),  # noqa: B008
    again: bool = False,  # try dead ones again
    progress: Callable[[int, int], None] = lambda good, dead: None,
) -> Fetched:
    """Fetch the pictures of a list into a folder; what an earlier run has tried is not tried again.

    Which lines are taken depends on the list and `count` only, never on which links answered first.

    Raises `DatasetError` for a list that is none, for a folder of another list, and where nothing can be written.
    """
    if workers < 1 or (count is not None and count < 1):
        raise BadSetting(f"count and workers are whole numbers from 1; got count={count}, workers={workers}.")
    lines, root = read_list(Path(tsv))[:count], Path(root)
    try:
        (root / IMAGES).mkdir(parents=True, exist_ok=True)
        book = _Book(root, lines)
        waiting = [line for line in lines if line.number not in book.done or (again and line.number in book.dead)]
        with ThreadPoolExecutor(workers) as pool:
            try:
                for entry in _in_turn(pool, (lambda line: _try(root, line, limits)), waiting, 2 * workers):
                    book.add(entry)
                    progress(*book.counts())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
                book.close()
    except OSError as error:
        raise DatasetError(f"{str(root)!r} cannot be written ({error.strerror}): what is done is kept.") from error
    return Fetched(*book.counts(), Counter(book.done[line]["reason"].split(":")[0] for line in book.dead))


def _in_turn(pool: ThreadPoolExecutor, work: Callable, lines: list[Line], most: int) -> Iterator[dict]:
    """Results as they come, with at most so many begun."""
    rest, running = iter(lines), set()
    while True:
        running |= {pool.submit(work, line) for line in islice(rest, most - len(running))}
        if not running:
            return
        done: set[Future]
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _try(root: Path, line: Line, limits: Limits) -> dict:
    """The entry of a line: the file that it became, or the reason why none."""
    entry = {"line": line.number, "url": line.url}
    try:
        content = download(line.url, limits)
        with DECODING:
            decode("the file", content)
    except DownloadError as error:
        return entry | {"reason": str(error)}
    except ImageError as error:
        return entry | {"reason": f"no picture: {error}"}
    name = f"{IMAGES}/{line.number:09d}{format_of(content)}"
    _replace(root / name, content)
    return entry | {"file": name, "sha256": sha256(content).hexdigest()}


def _replace(path: Path, content: bytes) -> None:
    """A file whole or not at all."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(draft, 0o644)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


class _Book:
    """What has been tried in a folder: read from its log, added to, and written out as tables at the end."""

    def __init__(self, root: Path, lines: list[Line]):
        self.root, self.lines = root, lines
        self.done: dict[int, dict] = {}
        self.dead: set[int] = set()
        by_number = {line.number: line for line in lines}
        whole = ""
        for text in (root / LOG).read_text().splitlines(keepends=True) if (root / LOG).exists() else ():
            entry = _entry(text)
            if entry is None:  # the line that was being written when the run was killed
                break
            whole += text
            if (line := by_number.get(entry["line"])) and line.url != entry["url"]:
                raise DatasetError(f"{str(root)!r} holds the pictures of another list: choose an empty folder.")
            if line and ("reason" in entry or (root / entry.get("file", "")).is_file()):
                self._set(entry)
        _replace(root / LOG, whole.encode())
        self.log = open(root / LOG, "a", encoding="utf-8")  # noqa: SIM115

    def counts(self) -> tuple[int, int]:
        return len(self.done) - len(self.dead), len(self.dead)

    def _set(self, entry: dict) -> None:
        self.done[entry["line"]] = entry
        (self.dead.add if "reason" in entry else self.dead.discard)(entry["line"])

    def add(self, entry: dict) -> None:
        self.log.write(json.dumps(entry) + "\n")
        self.log.flush()
        self._set(entry)

    def close(self) -> None:
        """Write both tables in the order of the list."""
        self.log.close()
        tried = [(line, self.done[line.number]) for line in self.lines if line.number in self.done]
        good = [(entry["file"], line.caption, line.url) for line, entry in tried if "file" in entry]
        dead = [(line.number, line.url, entry["reason"]) for line, entry in tried if "reason" in entry]
        _replace(self.root / TABLE, _table(("image", "caption", "url"), good))
        _replace(self.root / DEAD, _table(("line", "url", "reason"), dead))


def _entry(text: str) -> dict | None:
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if text.endswith("\n") and isinstance(entry, dict) and {"line", "url"} <= entry.keys() else None


def _table(header: tuple[str, ...], rows: list[tuple]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerows([header, *rows])
    return text.getvalue().encode()
