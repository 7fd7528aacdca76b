"""Tiny datasets in their true layouts, and a ViT-B/32 that has learned nothing: what PROFILE=paper-smoke runs on.

    smoke_world.py [FOLDER]          by default runs/smoke_world; what is there already is left as it is

The folder gets imagenet/ (flat, with the devkit), coco/ (val2014/ and dataset_coco.json), conceptual-captions/ (as
`mmel data fetch` leaves it) and vit_b_32.safetensors. The pictures are scenes of the bundled world, enlarged.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from mmel import scenes
from mmel.data.imagenet import wnids

ROOT = Path(__file__).parents[1]
HERE = ROOT / "runs" / "smoke_world"
WEIGHTS = "vit_b_32.safetensors"
CLASSES = (207, 817, 292, 10, 468, 89)  # places of golden retriever, sports car, tiger, ... among the 1,000


def picture(index: int, path: Path, size: tuple[int, int] = (320, 240)) -> Path:
    """A scene of the bundled world as a JPEG of another shape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scenes.split("two_objects")[index].image.resize(size, Image.Resampling.BICUBIC).save(path, quality=90)
    return path


def devkit_numbers() -> dict[str, int]:
    """The devkit counts its classes from 1, in an order of its own."""
    order = np.random.default_rng(0).permutation(len(wnids()))
    return {wnids()[int(place)]: number for number, place in enumerate(order, 1)}


def imagenet(root: Path, count: int = 4) -> Path:
    """Pictures by number, and the devkit: 1,000 classes, then the inner nodes of WordNet."""
    for index in range(count):
        picture(index, root / "val" / f"ILSVRC2012_val_{index + 1:08d}.JPEG")
    number = devkit_numbers()
    folder = root / "ILSVRC2012_devkit_t12" / "data"
    folder.mkdir(parents=True, exist_ok=True)
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(each, wnid, "", "", 0) for wnid, each in sorted(number.items(), key=lambda one: one[1])]
    rows += [(1001 + each, f"n{90000000 + each:08d}", "", "", 2) for each in range(20)]
    savemat(folder / "meta.mat", {"synsets": np.array(rows, dtype=kind).reshape(-1, 1)})
    truth = [number[wnids()[CLASSES[index % len(CLASSES)]]] for index in range(count)]
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{each}\n" for each in truth))
    (root / "templates.txt").write_text("a photo of a {}.\n")  # one instead of 80: 1,000 texts are enough here
    return root


def karpathy(count: int) -> dict:
    """The Karpathy split's file: pictures of three parts; the first of `test` has six sentences."""
    images = []
    for index in range(count + 2):
        part = "test" if index < count else ("train", "val")[index - count]
        scene = scenes.split("retrieval")[index]
        said = [caption.text.capitalize() + "." for caption in scene.captions]
        said += ["One sentence more."] * (index == 0)
        sentences = [
            {"tokens": text.lower().strip(".").split(), "raw": text, "imgid": index, "sentid": 10 * index + place}
            for place, text in enumerate(said)
        ]
        images.append({
            "filepath": "val2014", "filename": f"COCO_val2014_{index + 42:012d}.jpg", "imgid": index, "split": part,
            "cocoid": index + 42, "sentids": [each["sentid"] for each in sentences], "sentences": sentences,
        })  # fmt: skip
    return {"dataset": "coco", "images": images}


def instances(count: int, size: tuple[int, int] = (280, 360)) -> dict:
    """Objects as COCO lists them: a dog's outline in every picture, in every second one a crowd of people."""
    width, height = size
    images = [
        {"id": 42 + each, "file_name": f"COCO_val2014_{42 + each:012d}.jpg", "width": width, "height": height}
        for each in range(count)
    ]
    annotations = []
    for each in images:
        box = [20.0, 30.0, 120.0, 30.0, 120.0, 90.0, 20.0, 90.0]
        annotations.append({"image_id": each["id"], "category_id": 18, "iscrowd": 0, "segmentation": [box]})
        if each["id"] % 2 == 0:  # the first 100 columns are empty, then one column is full
            runs = {"counts": [100 * height, height, (width - 101) * height], "size": [height, width]}
            annotations.append({"image_id": each["id"], "category_id": 1, "iscrowd": 1, "segmentation": runs})
    categories = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco(root: Path, count: int = 4) -> Path:
    """Pictures in val2014/, the file of the split, and the file of the objects."""
    split = karpathy(count)
    for index, image in enumerate(split["images"][:count]):
        picture(index, root / image["filepath"] / image["filename"], (280, 360))
    (root / "dataset_coco.json").write_text(json.dumps(split))
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / "instances_val2014.json").write_text(json.dumps(instances(count)))
    return root


def conceptual(root: Path, count: int = 4) -> Path:
    """A folder as `mmel data fetch` leaves it."""
    lines = ["image\tcaption\turl"]
    for index in range(count):
        name = f"images/{index:09d}.jpg"
        picture(index, root / name, (300, 300))
        caption = scenes.split("two_objects")[index].captions[0].text
        lines.append(f"{name}\t{caption}\thttp://pictures.example/{index}.jpg")
    (root / "captions.tsv").write_text("\n".join(lines) + "\n")
    return root


def weights(path: Path, seed: int = 0) -> Path:
    """A ViT-B/32 as it is before training, in half precision."""
    import logging

    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    logging.disable(logging.WARNING)  # that no pretrained weights are loaded
    state = open_clip.create_model("ViT-B-32", pretrained=None).state_dict()
    logging.disable(logging.NOTSET)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in state.items()}, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)
    return path


def make(folder: Path) -> None:
    """Everything that is not there yet."""
    for name, maker in {"imagenet": imagenet, "coco": coco, "conceptual-captions": conceptual}.items():
        if not (folder / name / "done").exists():
            maker(folder / name)
            (folder / name / "done").touch()
    if not (folder / WEIGHTS).exists():
        weights(folder / WEIGHTS)


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
