"""COCO's objects with their masks, for the pictures of the Karpathy split: what localisation is judged by."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw

from ..errors import DatasetError, ImageError
from ..types import Example
from .coco import open_coco
from .dataset import Dataset
from .records import Picture

INSTANCES = ("annotations/instances_val2014.json", "instances_val2014.json")
TEMPLATES = ("a photo of a {}.",)

Shape = Mapping | Sequence  # a run-length code, or polygons: x, y, x, y, ... each


@dataclass(frozen=True)
class Masked(Picture):
    """A picture with the outlines of its objects by their category; masks are drawn when the sample is asked for."""

    shapes: Mapping[str, Sequence[Shape]] = field(default_factory=dict)
    width: int = 0
    height: int = 0

    def identity(self) -> list:
        """Those of the picture, and a hash of the outlines."""
        return [*super().identity(), sha256(json.dumps(self.shapes, sort_keys=True).encode()).hexdigest()]

    def example(self) -> Example:
        example = super().example()
        if example.image.size != (self.width, self.height):
            size = f"{example.image.width} x {example.image.height}"
            raise ImageError(f"{self.key} has {size} pixels, its masks {self.width} x {self.height}: get it again.")
        masks = {name: self._mask(shapes) for name, shapes in self.shapes.items()}
        return replace(example, masks=masks)

    def _mask(self, shapes: Sequence[Shape]) -> Bool[np.ndarray, "rows columns"]:
        canvas = Image.new("1", (self.width, self.height))
        runs = np.zeros((self.height, self.width), bool)
        for shape in shapes:
            if isinstance(shape, Mapping):
                runs |= decode_runs(shape["counts"], self.height, self.width)
            else:
                for polygon in shape:
                    ImageDraw.Draw(canvas).polygon(polygon, fill=1, outline=1)
        return np.asarray(canvas, bool) | runs


def decode_runs(counts: Sequence[int], height: int, width: int) -> Bool[np.ndarray, "rows columns"]:
    """COCO's run-length code of a crowd: lengths of runs of 0 and 1 in turn, column by column."""
    if isinstance(counts, str) or sum(counts) != height * width:
        raise ImageError(f"a mask of {height} x {width} pixels has runs that do not add up to it: get the file again.")
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T


def open_coco_objects(root: Path) -> Dataset:
    """The pictures of Karpathy's test split that have objects; `masks` has the pixels of each category.

    `classes` are COCO's 80 categories, and captions are there too. Objects of one category share a mask; so do crowds.
    """
    path = next((root / each for each in INSTANCES if (root / each).is_file()), None)
    if path is None:
        raise DatasetError(f"no {INSTANCES[0]} in {str(root)!r}: it is in annotations_trainval2014.zip of COCO.")
    try:
        found = json.loads(path.read_bytes())
        names = {each["id"]: each["name"] for each in sorted(found["categories"], key=lambda one: one["id"])}
        images = {Path(each["file_name"]).stem: each for each in found["images"]}
        shapes: dict[int, dict[str, list[Shape]]] = {}
        for each in found["annotations"]:
            of_image = shapes.setdefault(each["image_id"], {})
            of_image.setdefault(names[each["category_id"]], []).append(each["segmentation"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path.name} should hold COCO's images, annotations and categories; reading it failed "
            f"({type(error).__name__}: {error}): get it again."
        ) from error
    records = []
    for one in open_coco(root).records:
        image = images.get(one.key.rpartition("/")[2])
        if image and image["id"] in shapes:
            size = {"width": image["width"], "height": image["height"]}
            records.append(Masked(**vars(one), shapes=shapes[image["id"]], **size))
    if not records:
        raise DatasetError(f"no picture of the Karpathy split has an object in {path.name}: is it the file of val2014?")
    return Dataset("coco-objects", tuple(records), tuple(names.values()), TEMPLATES)
