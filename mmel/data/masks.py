"""Pictures with a mask each, in folders by class: ImageNet-Segmentation, or masks of one's own.

    images/n02123045/0001.jpg      any picture format
    masks/n02123045/0001.png       of the same name and size; every pixel that is not 0 belongs to the thing
    classes.csv                    folder,name: of folders that are no identifier of ImageNet's 1,000 classes

ImageNet-Segmentation comes as one MATLAB file (gtsegs_ijcv.mat, HDF5 inside) with the fields `img`, `gt` and `target`;
`SOURCES` says how to unpack it into these folders, with h5py in an environment of its own.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import DatasetError, ImageError
from ..types import Example
from .dataset import Dataset
from .imagenet import wnids
from .records import PICTURES, File, Picture, decode, ordered, size_of

IMAGES, MASKS, NAMES = "images", "masks", "classes.csv"


@dataclass(frozen=True)
class Outlined(Picture):
    """A picture with the file of its mask, which is read when the sample is asked for."""

    outline: File | None = None
    mask_size: int | None = None  # of the encoded bytes
    thing: str = ""

    def identity(self) -> list:
        """Those of the picture, and the size of the mask's file."""
        return [*super().identity(), self.mask_size, self.thing]

    def example(self) -> Example:
        example = super().example()
        mask = np.asarray(decode(f"the mask of {self.key}", self.outline.read()).convert("L")) > 0
        if mask.shape[::-1] != example.image.size:
            sizes = [" x ".join(map(str, each)) for each in (example.image.size, mask.shape[::-1])]
            raise ImageError(f"{self.key} has {sizes[0]} pixels and its mask {sizes[1]}: both should be the same.")
        return replace(example, masks={self.thing: mask})


def open_masks(root: Path) -> Dataset:
    """The pictures of `images/` that have a mask in `masks/`, by folder and name.

    `classes` are those that occur, by the names that OpenAI gave ImageNet's, or those of `classes.csv`.
    """
    import open_clip

    folders = sorted(each for each in (root / IMAGES).glob("*") if each.is_dir())
    if not folders:
        raise DatasetError(f"no folder of a class in {str(root / IMAGES)!r}: expected images/CLASS/NAME.jpg.")
    names = dict(zip(wnids(), open_clip.IMAGENET_CLASSNAMES, strict=True)) | _own_names(root / NAMES)
    if unknown := [each.name for each in folders if each.name not in names]:
        raise DatasetError(
            f"{len(unknown)} folders name no class, first {unknown[0]!r}: add lines `folder,name` to {NAMES}, for a "
            "folder that is no identifier of ImageNet's 1,000 classes."
        )
    classes = tuple(dict.fromkeys(names[each.name] for each in folders))
    records = [one for each in folders for one in _records(root, each, names[each.name], classes)]
    if not records:
        raise DatasetError(f"no picture in {str(root / IMAGES)!r} has a mask {MASKS}/CLASS/NAME.png.")
    templates = tuple(template("{}") for template in open_clip.OPENAI_IMAGENET_TEMPLATES)
    return Dataset("masks", ordered(records, published=False), classes, templates)


def _records(root: Path, folder: Path, name: str, classes: tuple[str, ...]) -> list[Outlined]:
    found = []
    for path in sorted(each for each in folder.iterdir() if each.suffix.lower() in PICTURES):
        mask = root / MASKS / folder.name / f"{path.stem}.png"
        if mask.is_file():
            key, sizes = f"{folder.name}/{path.stem}", (size_of(path), size_of(mask))
            found.append(Outlined(key, File(path), sizes[0], classes.index(name), (), File(mask), sizes[1], name))
    return found


def _own_names(path: Path) -> dict[str, str]:
    """Folder -> name, from the table where there is one."""
    if not path.is_file():
        return {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return {row["folder"]: row["name"].strip() for row in csv.DictReader(file)}
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path.name} should have the columns folder and name ({error!r}).") from error


def without_mask(root: Path) -> list[str]:
    """Pictures that have none, by folder and name."""
    pictures = (path for path in (root / IMAGES).glob("*/*") if path.suffix.lower() in PICTURES)
    names = (f"{path.parent.name}/{path.stem}" for path in pictures)
    return sorted(name for name in names if not (root / MASKS / f"{name}.png").is_file())
