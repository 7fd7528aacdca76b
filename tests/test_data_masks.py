"""Pictures with masks in folders: read, evaluated, refused where broken; and ImageNet-Segmentation's file unpacked."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mmel
from mmel.data import check, open_dataset
from mmel.errors import DatasetError, ImageError

UNPACK = runpy.run_path(str(Path(__file__).parents[1] / "tools/unpack_gtsegs.py"))["unpack"]
CAT, CRANE = "n02123045", "n03126707"  # tabby cat; crane, the machine


def put(root: Path, folder: str, name: str, size=(30, 20), mask=(30, 20)) -> None:
    """A picture, and a mask of its left third."""
    for kind, suffix, each in (("images", "jpg", size), ("masks", "png", mask)):
        path = root / kind / folder / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = Image.new("L", each)
        grey.paste(1 if kind == "masks" else 200, (0, 0, each[0] // 3, each[1]))  # a mask of 1 is one too
        grey.convert("L" if kind == "masks" else "RGB").save(path)


@pytest.fixture
def root(tmp_path) -> Path:
    put(tmp_path, CRANE, "b")
    put(tmp_path, CAT, "a")
    put(tmp_path, "creature", "c")
    (tmp_path / "classes.csv").write_text("folder,name\ncreature,unicorn\n")
    (tmp_path / "images" / CAT / "unmasked.jpg").write_bytes((tmp_path / "images" / CAT / "a.jpg").read_bytes())
    return tmp_path


def test_masks_are_read_by_folder_and_name(root):
    data = open_dataset("masks", root=root)
    assert data.keys == ("creature/c", f"{CAT}/a", f"{CRANE}/b")  # a picture without a mask is no sample
    assert data.classes[0] == "unicorn" and data.labels == (0, 1, 2) and len(data.prompts[0]) == 80
    (mask,) = data[0].masks.values()
    assert list(data[0].masks) == ["unicorn"] and mask.shape == (20, 30)
    assert mask[:, :10].all() and not mask[:, 10:].any()
    before = data.manifest
    put(root, CAT, "a", mask=(30, 20))
    assert open_dataset("masks", root=root).manifest == before
    (root / "masks" / CAT / "a.png").write_bytes(b"0" * 10)
    assert open_dataset("masks", root=root).manifest != before


def test_localisation_runs_on_them(root):
    (root / "templates.txt").write_text("a {}.\n")
    with pytest.warns(mmel.MmelWarning):
        how = {"rows": ["grad_eclip", "edges"], "root": root, "device": "cpu"}
        frame = mmel.evaluate("localisation", "masks", **how)
    assert (frame.error == "").all() and frame["sample"].nunique() == 3
    assert {"pointing_game", "mean_iou", "average_precision"} <= set(frame.metric)


def test_what_is_broken_is_said(root, tmp_path):
    data = open_dataset("masks", root=root)
    put(root, CAT, "a", mask=(20, 20))
    with pytest.raises(ImageError, match=rf"{CAT}/a has 30 x 20 pixels and its mask 20 x 20"):
        data[1]
    (root / "masks" / CRANE / "b.png").write_bytes(b"")
    with pytest.raises(ImageError, match=f"the mask of {CRANE}/b is empty"):
        data[2]
    found = {each.what: each for each in check("masks", root)}
    assert found["masks"].found.startswith("3 in") and not found["pictures opened"].good
    assert f"{CAT}/unmasked" in found["pictures without a mask"].found
    (root / "classes.csv").write_text("what,is\ncreature,unicorn\n")
    with pytest.raises(DatasetError, match="columns folder and name"):
        open_dataset("masks", root=root)
    (root / "classes.csv").unlink()
    with pytest.raises(DatasetError, match="1 folders name no class, first 'creature'"):
        open_dataset("masks", root=root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="images/CLASS/NAME"):
        open_dataset("masks", root=tmp_path / "empty")
    assert "unpack_gtsegs" in check("masks", tmp_path / "empty")[0].source


class Hdf5(dict):
    """The shape of gtsegs_ijcv.mat: references into itself, MATLAB's axes the other way round."""

    def __init__(self, samples):
        columns = {name: np.empty((len(samples), 1), object) for name in ("img", "gt", "target")}
        for index, (picture, mask, wnid) in enumerate(samples):
            self[f"i{index}"], self[f"m{index}"] = picture.transpose(2, 1, 0), mask.T
            self[f"g{index}"] = np.array([[f"m{index}"]], object)
            self[f"t{index}"] = np.array([[ord(each)] for each in wnid], np.uint16)
            for name, letter in (("img", "i"), ("gt", "g"), ("target", "t")):
                columns[name][index, 0] = f"{letter}{index}"
        self.update({f"value/{name}": column for name, column in columns.items()})


def test_the_file_of_imagenet_segmentation_becomes_this_layout(tmp_path):
    draw = np.random.default_rng(0)
    samples = [
        (draw.integers(0, 256, (8, 12, 3), np.uint8), (draw.random((8, 12)) > 0.5).astype(np.uint8), wnid)
        for wnid in (CRANE, CAT)
    ]
    assert UNPACK(Hdf5(samples), tmp_path) == 2
    data = open_dataset("masks", root=tmp_path)
    assert data.keys == (f"{CAT}/00001", f"{CRANE}/00000")
    for example, (picture, mask, _) in zip(data, samples[::-1], strict=True):
        assert np.array_equal(np.array(example.image), picture)
        assert np.array_equal(next(iter(example.masks.values())), mask.astype(bool))
