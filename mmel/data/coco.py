"""COCO 2014's validation pictures with the captions of the Karpathy split, or WebDataset shards of it."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import DatasetError
from . import shards
from .dataset import Dataset
from .records import File, Picture, ordered, size_of

CAPTIONS = 5  # of each picture, as everyone counts them; a few pictures have six or seven
COUNT = {"test": 5_000, "val": 5_000}
ANNOTATIONS = ("dataset_coco.json", "annotations/dataset_coco.json", "karpathy/dataset_coco.json")


def open_coco(root: Path, part: str = "test") -> Dataset:
    """The pictures of a part (`test` or `val`) of the Karpathy split, five captions each, in the order of the file.

    Expects `dataset_coco.json` in the root and the pictures in `val2014/`; or tar files with .jpg and .txt (a caption
    a line) or .json (`captions`).
    """
    path = annotations(root)
    if path is None and (found := shards.shards_in(root, root / part)):
        return Dataset("coco", shards.read_shards(found, captions=CAPTIONS))
    if path is None:
        raise DatasetError(
            f"no dataset_coco.json and no *.tar in {str(root)!r}: put the Karpathy split's file there, beside val2014/."
        )
    try:
        images = json.loads(path.read_bytes())["images"]
        records = [_picture(root, image) for image in images if image["split"] == part]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path.name} should be the Karpathy split: `images`, each with filepath, filename, split and sentences; "
            f"reading it failed ({type(error).__name__}: {error}): get it again."
        ) from error
    if not records:
        raise DatasetError(f"{path.name} has no picture in the part {part!r}: is it the file of COCO?")
    if few := next((each for each in records if len(each.captions) < CAPTIONS), None):
        raise DatasetError(f"{few.key} has {len(few.captions)} captions in {path.name}; {CAPTIONS} were expected.")
    return Dataset("coco", ordered(records))


def annotations(root: Path) -> Path | None:
    """The file of the Karpathy split under a root."""
    return next((root / each for each in ANNOTATIONS if (root / each).is_file()), None)


def _picture(root: Path, image: dict) -> Picture:
    name = Path(image["filename"]).name
    folder = Path(image.get("filepath", "val2014")).name
    path = next((p for p in (root / folder / name, root / name) if p.is_file()), root / folder / name)
    captions = tuple(" ".join(each["raw"].split()) for each in image["sentences"][:CAPTIONS])
    return Picture(path.stem, File(path), size_of(path), None, captions)
