"""ImageNet's validation pictures, in each of the layouts that they are kept in; names and templates as OpenAI has them.

- class folders: `n01440764/ILSVRC2012_val_00000293.JPEG`, in the root or in `val/`;
- flat, as published: `ILSVRC2012_val_00000001.JPEG`, and beside it the devkit (ILSVRC2012_devkit_t12: `meta.mat` and
  `ILSVRC2012_validation_ground_truth.txt`) or Kaggle's `LOC_val_solution.csv`;
- parquet shards of the Hugging Face hub (`validation-00000-of-00014.parquet`);
- WebDataset shards (`0.tar` with `s0.jpg` and `s0.cls`).
"""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from ..errors import DatasetError
from . import parquet, shards
from .dataset import Dataset
from .records import OFFICIAL, PICTURES, File, Picture, ordered, size_of

COUNT = 50_000
PLACES = ("", "val", "validation", "data", "test", "ILSVRC2012_img_val", "ILSVRC/Data/CLS-LOC/val")
DEVKIT = ("", "data", "devkit/data", "ILSVRC2012_devkit_t12/data")
TRUTH, META, KAGGLE = "ILSVRC2012_validation_ground_truth.txt", "meta.mat", "LOC_val_solution.csv"


@lru_cache(maxsize=1)
def wnids() -> tuple[str, ...]:
    """The WordNet identifiers of the 1,000 classes, in the order of the labels."""
    return tuple(files(__package__).joinpath("imagenet_wnids.txt").read_text().split())


def open_imagenet(root: Path) -> Dataset:
    """The validation pictures under a root, in the published order (parquet shards in their own).

    `label` is the place of the class's identifier among the sorted 1,000, as in every model of the 1,000 classes.

    Notes
    -----
    Two pairs of OpenAI's class names are alike ("missile", "sunglasses"): no zero-shot model can tell those apart.
    """
    import open_clip

    folders = [root / place for place in PLACES if (root / place).is_dir()]
    records = _class_folders(folders) or _flat(root, folders)
    if not records and (found := parquet.shards_in(*folders)):
        records = parquet.read_parquet(found)
    if not records and (found := shards.shards_in(*folders)):
        records = shards.read_shards(found, labelled=True)
    if not records:
        raise DatasetError(
            f"no validation pictures of ImageNet under {str(root)!r}: expected class folders (n01440764/...), "
            "ILSVRC2012_val_00000001.JPEG and so on, validation-*.parquet, or *.tar with .jpg and .cls."
        )
    if wrong := next((each for each in records if each.label is None or not 0 <= each.label < 1000), None):
        raise DatasetError(f"labels go from 0 to 999, but {wrong.key} has {wrong.label}: is this the test split?")
    templates = tuple(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES)
    return Dataset("imagenet", records, tuple(open_clip.IMAGENET_CLASSNAMES), templates)


def _class_folders(folders: list[Path]) -> tuple[Picture, ...]:
    """Pictures in folders named after their class, in the order of the pictures' names."""
    label = {wnid: index for index, wnid in enumerate(wnids())}
    for folder in folders:
        named = sorted(each for each in folder.iterdir() if each.name in label and each.is_dir())
        pictures = [
            Picture(f"{each.name}/{path.stem}", File(path), size_of(path), label[each.name])
            for each in named
            for path in each.iterdir()
            if path.suffix.lower() in PICTURES and not path.name.startswith(".")
        ]
        if pictures:
            return ordered(sorted(pictures, key=lambda one: (one.key.partition("/")[2], one.key)))
    return ()


def _flat(root: Path, folders: list[Path]) -> tuple[Picture, ...]:
    """Pictures by their published number, with the labels of the devkit or of Kaggle."""
    for folder in folders:
        found = sorted(path for path in folder.glob("ILSVRC2012_val_*") if path.suffix.lower() in PICTURES)
        if found:
            labels = _labels(root)
            strange = [path.name for path in found if path.stem not in labels]
            if strange:
                raise DatasetError(f"{len(strange)} pictures have no label, first {strange[0]}: is the devkit whole?")
            return ordered(Picture(path.stem, File(path), size_of(path), labels[path.stem]) for path in found)
    return ()


def _labels(root: Path) -> dict[str, int]:
    """The label of every picture by its name."""
    for place in DEVKIT:
        folder = root / place
        if (folder / TRUTH).is_file() and (folder / META).is_file():
            return _devkit_labels(folder / TRUTH, folder / META)
        if (folder / KAGGLE).is_file():
            return _kaggle_labels(folder / KAGGLE)
    raise DatasetError(
        f"pictures without folders need their labels: put {TRUTH} and {META} (of ILSVRC2012_devkit_t12.tar.gz, folder "
        f"data) or Kaggle's {KAGGLE} into {str(root)!r}."
    )


def _devkit_labels(truth: Path, meta: Path) -> dict[str, int]:
    """The devkit numbers classes its own way (1 to 1,000); `meta.mat` has the identifier of each number."""
    from scipy.io import loadmat

    try:
        synsets = loadmat(meta, squeeze_me=True, struct_as_record=True)["synsets"]
        wnid = {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets.reshape(-1)}
        numbers = [int(line) for line in truth.read_text().split()]
        labels = [wnids().index(wnid[number]) for number in numbers]
    except Exception as error:  # a broken .mat makes its reader raise anything
        raise DatasetError(
            f"{truth.name} and {meta.name} should hold a class number a line and the identifier of each number; "
            f"reading them failed ({type(error).__name__}: {error}): unpack the devkit again."
        ) from error
    return {f"ILSVRC2012_val_{index:08d}": label for index, label in enumerate(labels, 1)}


def _kaggle_labels(path: Path) -> dict[str, int]:
    """`ImageId,PredictionString`: a picture's name, and identifiers with boxes."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {row["ImageId"]: wnids().index(row["PredictionString"].split()[0]) for row in rows}
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise DatasetError(
            f"{path.name} should have the columns ImageId and PredictionString (n01440764 and a box); "
            f"reading it failed ({error!r}): get it again."
        ) from error


def official(keys: tuple[str, ...]) -> int:
    """How many of the keys are names of the published validation pictures."""
    return sum(bool(OFFICIAL.fullmatch(key)) for key in keys)
