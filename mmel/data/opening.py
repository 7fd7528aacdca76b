"""Every dataset by its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ..clip import Clip, load_clip
from ..errors import BadSetting, DatasetError, UnknownName
from ..scenes import SPLITS
from .coco import open_coco
from .coco_objects import open_coco_objects
from .dataset import Dataset
from .imagenet import open_imagenet
from .masks import open_masks
from .tables import open_conceptual_captions, open_folder
from .world import PREFIX, open_world

READERS: dict[str, Callable[[Path], Dataset]] = {
    "imagenet": open_imagenet,
    "coco": open_coco,
    "coco-objects": open_coco_objects,
    "conceptual-captions": open_conceptual_captions,
    "masks": open_masks,
    "folder": open_folder,
}
OWN_TEMPLATES = "templates.txt"
DATASETS = (*(PREFIX + name for name in SPLITS), *READERS)


def open_dataset(name: str, *, root: str | os.PathLike | None = None, count: int | None = None) -> Dataset:
    """A dataset by its name: `scenes/<split>` of the bundled world, or one of `DATASETS` in the folder `root`.

    `count` takes the first so many samples. Where the root holds a file `templates.txt`, its lines ("a photo of a {}.")
    are the templates of the classes' prompts instead of the dataset's own. No picture is decoded here: one that cannot
    be read raises a named `MmelError` when its sample is asked for.

    Raises `UnknownName`, `BadSetting` for a `root` or `count` that cannot be, and `DatasetError` where the folder does
    not hold the dataset; `mmel data check NAME --root ROOT` says what is missing.
    """
    if name not in DATASETS and not name.startswith(PREFIX):
        raise UnknownName("dataset", name, DATASETS)
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise BadSetting(f"count is a whole number from 1, or None for all samples; got {count!r}.")
    if name.startswith(PREFIX):
        if root:
            raise BadSetting(f"{name} is bundled and needs no root, but {str(root)!r} came: leave it out.")
        return open_world(name)[:count]
    if not root:
        raise BadSetting(f"{name} is not bundled: say where it is with root=... (see `mmel data check {name}`).")
    if not Path(root).is_dir():
        raise DatasetError(f"the root of {name} should be a folder, but {str(root)!r} is none: check the path.")
    return _with_templates(READERS[name](Path(root)), Path(root) / OWN_TEMPLATES)[:count]


def _with_templates(data: Dataset, path: Path) -> Dataset:
    if data.classes is None or not path.is_file():
        return data
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path.name} cannot be read as text in UTF-8 ({error}): save it again.") from error
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not lines or any("{}" not in line for line in lines):
        raise DatasetError(f"each line of {path.name} should have {{}} where the class's name goes: {lines[:3]}.")
    return replace(data, templates=lines)


@dataclass(frozen=True, eq=False)
class ModelAndData:
    """A model, and the dataset that it is asked about."""

    clip: Clip
    data: Dataset


def model_and_data(
    model: str = "",  # "": the bundled model
    pretrained: str = "",  # a tag or a file; "" for the bundled models
    dataset: str = "scenes/validation",
    root: str = "",  # "" for the bundled world
    count: int | None = None,  # None or 0: every sample
    device: str = "auto",
    precision: str = "fp32",
) -> ModelAndData:
    """What a notebook's parameters `model`, `pretrained`, `dataset` and `root` name; an empty text means bundled.

    The dataset is opened first: what is missing is said before a model is loaded.
    """
    data = open_dataset(dataset, root=root or None, count=count or None)
    clip = load_clip(model or "bundled", pretrained=pretrained or None, device=device, precision=precision)
    return ModelAndData(clip, data)
