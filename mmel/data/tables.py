"""A folder of pictures and a table (CSV or TSV) of their captions or classes; Conceptual Captions once fetched."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ..errors import DatasetError
from . import shards
from .dataset import Dataset
from .records import File, Picture, ordered, size_of

TABLES = ("captions", "labels", "classes", "metadata")  # names of the table that are looked for, .csv or .tsv
COLUMNS = {
    "image": ("image", "file", "filename", "file_name", "filepath", "path"),
    "caption": ("caption", "captions", "text", "sentence", "title", "description"),
    "class": ("class", "label", "category", "class_name"),
}
TEMPLATES = ("a photo of a {}.",)  # OpenAI's one for names of any kind


@dataclass
class Entry:
    """What a table says of one picture."""

    captions: list[str] = field(default_factory=list)
    name: str | None = None  # of its class


def open_folder(root: Path) -> Dataset:
    """Pictures listed in a table, in its order: the columns `image`, and `caption` or `class` or both.

    A picture may have several rows, one a caption. Classes are sorted by name. Columns may also have one of the other
    names in `COLUMNS`.
    """
    entries = read_table(table_in(root))
    classes = tuple(sorted({each.name for each in entries.values() if each.name is not None}))
    records = []
    for name, entry in entries.items():
        path = root / _inside(name)
        label = classes.index(entry.name) if entry.name is not None else None
        records.append(Picture(name, File(path), size_of(path), label, tuple(entry.captions)))
    return Dataset("folder", ordered(records), classes or None, TEMPLATES if classes else None)


def open_conceptual_captions(root: Path) -> Dataset:
    """The pictures that `mmel data fetch` has fetched (or a table of your own), or WebDataset shards of img2dataset."""
    if not candidates(root) and (found := shards.shards_in(root)):
        return Dataset("conceptual-captions", shards.read_shards(found, captions=1))
    data = open_folder(root)
    if bare := next((each.key for each in data.records if not each.captions), None):
        raise DatasetError(f"each picture needs a caption, but {bare} has none: is this the right folder?")
    return Dataset("conceptual-captions", data.records)


def listed(root: Path) -> list[Path]:
    """Tables by their names."""
    named = [root / f"{name}{suffix}" for name in TABLES for suffix in (".csv", ".tsv")]
    return [path for path in named if path.is_file()]


def candidates(root: Path) -> list[Path]:
    """Tables by their names, or else every one in the folder."""
    return listed(root) or sorted([*root.glob("*.csv"), *root.glob("*.tsv")])


def table_in(root: Path) -> Path:
    """The table of a folder: by its name, or the only one."""
    found = candidates(root)
    if len(found) == 1:
        return found[0]
    what = f"has {len(found)} ({', '.join(path.name for path in found)})" if found else "has none"
    raise DatasetError(
        f"one table of the pictures was expected in {str(root)!r}, which {what}: keep one, such as captions.csv with "
        "the columns image,caption or labels.csv with image,class."
    )


def read_table(path: Path) -> dict[str, Entry]:
    """The pictures of a table by their names, in its order."""
    entries: dict[str, Entry] = {}
    for line, row in _rows(path):
        entry = entries.setdefault(row["image"], Entry())
        for what in row.keys() - {"image"}:
            if not row[what]:
                raise DatasetError(f"line {line} of {path.name} has an empty {what}: fill it in, or drop the line.")
        if "caption" in row:
            entry.captions.append(row["caption"])
        if entry.name not in (None, row.get("class")):
            raise DatasetError(f"{row['image']} is {entry.name!r} and, in line {line}, {row['class']!r}: give it one.")
        entry.name = row.get("class")
    if not entries:
        raise DatasetError(f"{path.name} lists no picture.")
    return entries


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line with its number; columns by what they are."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            columns = _columns(path, next(reader, []))
            for row in reader:
                if not row:
                    continue
                if len(row) <= max(columns.values()):
                    raise DatasetError(f"line {reader.line_num} of {path.name} has {len(row)} columns, too few.")
                yield reader.line_num, {what: row[index].strip() for what, index in columns.items()}
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path.name} cannot be read as a table in UTF-8 ({error}): save it again.") from error


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Which column is which, by the names in the header."""
    lower = [name.strip().lower() for name in header]
    found = {
        what: next((lower.index(name) for name in names if name in lower), None) for what, names in COLUMNS.items()
    }
    if found["image"] is None or (found["caption"] is None and found["class"] is None):
        raise DatasetError(
            f"the first line of {path.name} should name the columns image, and caption or class; it is {header[:6]}."
        )
    return {what: index for what, index in found.items() if index is not None}


def _inside(name: str) -> PurePosixPath:
    """A picture's path below the folder; any other is refused."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.parts or ":" in path.parts[0]:
        raise DatasetError(f"pictures lie below their folder, but the table names {name!r}: write a path from there.")
    return path
