"""What a user has of a dataset, and what is missing: the parts first, then numbers, then whether pictures open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import DatasetError, MmelError, UnknownName
from . import coco, coco_objects, imagenet, masks, parquet, shards, tables
from .dataset import Dataset
from .fetching import DEAD
from .iterating import iterate
from .opening import DATASETS, READERS, open_dataset
from .records import PICTURES
from .sources import SOURCES

SOME = 16  # pictures that are opened unless all are asked for


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for. `source` says where it comes from, where it is missing.

    `usable` is True where something is missing and what is there can be worked with all the same.
    """

    what: str
    good: bool
    found: str
    source: str = ""
    usable: bool = False


def check(name: str, root: str | os.PathLike | None = None, *, every: bool = False) -> list[Finding]:
    """Look at what a user has of a dataset. `every` opens every picture, else `SOME` of them, evenly spread.

    Never raises for what is missing or broken: that is a finding with `good` False.
    """
    if name not in DATASETS:
        raise UnknownName("dataset", name, DATASETS)
    if name not in READERS:
        return list(_opened(name, None, every))
    folder = Path(root) if root else None
    if folder is None or not folder.is_dir():
        missing = f"{str(folder)!r} is no folder" if folder else "no root was given (--root ROOT)"
        parts = [Finding(part, False, "needed", where) for part, where in SOURCES[name].parts.items()]
        return [Finding("root", False, missing), *parts]
    try:
        parts = list(PARTS[name](folder))
    except (DatasetError, OSError) as error:
        parts = [Finding("parts", False, str(error))]
    return parts if any(not part.good for part in parts) else [*parts, *_opened(name, folder, every)]


def _part(name: str, part: str, found: str) -> Finding:
    """A part that was found (what was found), or not (an empty text)."""
    return Finding(part, bool(found), found or "missing", "" if found else SOURCES[name].parts[part])


def _imagenet(root: Path) -> Iterator[Finding]:
    folders = [root / place for place in imagenet.PLACES if (root / place).is_dir()]
    wnids = set(imagenet.wnids())
    for folder in folders:
        if count := sum(each.name in wnids for each in folder.iterdir()):
            yield _part("imagenet", "pictures", f"{count:,} class folders in {folder}")
            return
    for folder in folders:
        if count := len(list(folder.glob("ILSVRC2012_val_*"))):
            yield _part("imagenet", "pictures", f"{count:,} files ILSVRC2012_val_* in {folder}")
            yield _part("imagenet", "labels", _labels(root))
            return
    found = parquet.shards_in(*folders) or shards.shards_in(*folders)
    yield _part("imagenet", "pictures", f"{len(found)} shards in {found[0].parent}" if found else "")


def _labels(root: Path) -> str:
    for folder in (root / place for place in imagenet.DEVKIT):
        if (folder / imagenet.TRUTH).is_file() and (folder / imagenet.META).is_file():
            return f"the devkit in {folder}"
        if (folder / imagenet.KAGGLE).is_file():
            return str(folder / imagenet.KAGGLE)
    return ""


def _coco(root: Path, name: str = "coco") -> Iterator[Finding]:
    path = coco.annotations(root)
    found = [] if path else shards.shards_in(root, root / "test")
    folder = next((each for each in (root / "val2014", root) if any(each.glob("COCO_val2014_*.jpg"))), None)
    packed = f"{len(found)} shards in {found[0].parent}" if found else ""
    yield _part(name, "captions", str(path or packed))
    yield _part(name, "pictures", str(folder or packed))


def _coco_objects(root: Path) -> Iterator[Finding]:
    yield from _coco(root, "coco-objects")
    path = next((root / each for each in coco_objects.INSTANCES if (root / each).is_file()), "")
    yield _part("coco-objects", "masks", str(path))


def _conceptual(root: Path) -> Iterator[Finding]:
    found = [] if tables.candidates(root) else shards.shards_in(root)
    if found:
        yield _part("conceptual-captions", "pictures", f"{len(found)} shards in {root}")
        return
    yield _part("conceptual-captions", "pictures", ", ".join(path.name for path in tables.candidates(root)))
    if (root / DEAD).is_file():
        dead = len((root / DEAD).read_text().splitlines()) - 1
        yield Finding("dead links", True, f"{dead:,}, listed in {DEAD}: their lines are no samples")


def _masks(root: Path) -> Iterator[Finding]:
    count = sum(path.suffix.lower() in PICTURES for path in (root / masks.IMAGES).glob("*/*"))
    gone = masks.without_mask(root)
    yield _part("masks", "pictures", f"{count:,} in {root / masks.IMAGES}" if count else "")
    yield _part("masks", "masks", f"{count - len(gone):,} in {root / masks.MASKS}" if len(gone) < count else "")
    if gone and len(gone) < count:
        yield Finding("pictures without a mask", True, f"{len(gone):,}, which are no samples: {_some(gone)}")


def _folder(root: Path) -> Iterator[Finding]:
    yield _part("folder", "table", ", ".join(path.name for path in tables.candidates(root)))
    some = next((path for path in root.rglob("*") if path.suffix.lower() in PICTURES), None)
    yield _part("folder", "pictures", "there are some" if some else "")


PARTS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "imagenet": _imagenet,
    "coco": _coco,
    "coco-objects": _coco_objects,
    "conceptual-captions": _conceptual,
    "masks": _masks,
    "folder": _folder,
}


def _opened(name: str, root: Path | None, every: bool) -> Iterator[Finding]:
    """The whole of it: does it open, has it all its samples, can its pictures be decoded?"""
    try:
        data = open_dataset(name, root=root)
    except MmelError as error:
        yield Finding("samples", False, str(error))
        return
    count = SOURCES[name].count if name in SOURCES else None
    short = f" of {count:,}" if count and len(data) != count else ""
    classes = f", {len(data.classes):,} classes" if data.classes else ""
    found = f"{len(data):,}{short}{classes}, manifest {data.manifest[:12]}"
    yield Finding("samples", not short, found, usable=True)
    sizes = [getattr(record, "size", 1) for record in data.records]
    if gone := [key for key, size in zip(data.keys, sizes, strict=True) if not size]:
        yield Finding("files", False, f"{len(gone):,} missing or empty: {_some(gone)}", usable=len(gone) < len(data))
    yield _decoded(data, every)


def _decoded(data: Dataset, every: bool) -> Finding:
    chosen = range(0, len(data), 1 if every else max(1, len(data) // SOME))
    errors = [str(loaded.error) for loaded in iterate(data, indices=chosen) if loaded.error]
    said = f"{len(chosen) - len(errors):,} of {len(chosen):,} opened"
    usable = len(errors) < len(chosen)
    return Finding("pictures opened", not errors, said + (f"; {_some(errors)}" if errors else ""), usable=usable)


def _some(found: list[str]) -> str:
    return "; ".join(found[:5]) + (f"; and {len(found) - 5:,} more" if len(found) > 5 else "")
