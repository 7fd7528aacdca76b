"""Real datasets, made small in their true layouts: what is read of each, and what is said of broken ones."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import open_clip
import pyarrow
import pyarrow.parquet
import pytest
import smoke_world
from PIL import Image
from timm.data import ImageNetInfo

from mmel.data import open_dataset
from mmel.data.imagenet import wnids
from mmel.errors import BadSetting, DatasetError, ImageError

NAMES = [f"ILSVRC2012_val_{index:08d}" for index in range(1, 5)]
LABELS = smoke_world.CLASSES[:4]


@pytest.fixture(scope="module")
def flat(tmp_path_factory) -> Path:
    """ImageNet as published: numbered pictures and the devkit."""
    return smoke_world.imagenet(tmp_path_factory.mktemp("flat"))


@pytest.fixture
def copy(flat, tmp_path) -> Path:
    """A copy of it to break."""
    return shutil.copytree(flat, tmp_path / "copy")


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    return smoke_world.coco(tmp_path_factory.mktemp("coco"))


def contents(flat: Path) -> list[bytes]:
    return [(flat / "val" / f"{name}.JPEG").read_bytes() for name in NAMES]


def jpeg(seed: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30, 3), np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def parquet(path: Path, names: list[str], contents: list[bytes | None], labels: list[int], group: int = 2) -> Path:
    """A shard with the columns and types of the hub's `imagenet-1k`."""
    images = pyarrow.array(
        [{"bytes": content, "path": f"{name}_n01751748.JPEG"} for name, content in zip(names, contents, strict=True)],
        pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pyarrow.table({"image": images, "label": pyarrow.array(labels, pyarrow.int64())})
    pyarrow.parquet.write_table(table, path, row_group_size=group)
    return path


# ImageNet


def test_identifiers_and_names_are_in_the_published_order():
    assert len(wnids()) == len(set(wnids())) == 1000 and list(wnids()) == sorted(wnids())
    assert list(wnids()) == ImageNetInfo("imagenet1k").label_names()
    known = {
        "n01440764": "tench",
        "n02012849": "crane bird",
        "n03126707": "construction crane",
        "n15075141": "toilet paper",
    }
    assert {wnid: open_clip.IMAGENET_CLASSNAMES[wnids().index(wnid)] for wnid in known} == known


def test_the_devkits_numbers_are_not_labels(flat):
    data = open_dataset("imagenet", root=flat)
    assert data.keys == tuple(NAMES) and data.labels == LABELS
    truth = (flat / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt").read_text().split()
    assert [int(each) - 1 for each in truth] != list(LABELS)
    assert data.classes == tuple(open_clip.IMAGENET_CLASSNAMES)
    assert data[0].image.size == (320, 240) and data[0].image.mode == "RGB"
    assert data[0].scene is None and data[0].masks is None


def test_templates_are_openais_unless_the_root_has_its_own(copy):
    assert open_dataset("imagenet", root=copy).prompts[0] == ("a photo of a tench.",)
    (copy / "templates.txt").write_text("a photo of a tench\n")
    with pytest.raises(DatasetError, match=r"each line of templates\.txt should have {}"):
        open_dataset("imagenet", root=copy)
    (copy / "templates.txt").write_text("a photo of a {}.\n", encoding="utf-16")
    with pytest.raises(DatasetError, match=r"templates\.txt cannot be read as text in UTF-8"):
        open_dataset("imagenet", root=copy)
    (copy / "templates.txt").unlink()
    data = open_dataset("imagenet", root=copy)
    made = tuple(template("tench") for template in open_clip.OPENAI_IMAGENET_TEMPLATES)
    assert len(made) == 80 and data.prompts[0] == made


def test_every_layout_gives_the_same_samples(flat, tmp_path):
    """Kaggle, class folders, tar and parquet: the same samples, and manifest where sizes are known."""
    expected = open_dataset("imagenet", root=flat)
    (tmp_path / "kaggle" / "ILSVRC/Data/CLS-LOC").mkdir(parents=True)
    shutil.copytree(flat / "val", tmp_path / "kaggle/ILSVRC/Data/CLS-LOC/val")
    rows = [
        f"{name},{wnids()[label]} 1 2 3 4 {wnids()[label]} 5 6 7 8" for name, label in zip(NAMES, LABELS, strict=True)
    ]
    (tmp_path / "kaggle/LOC_val_solution.csv").write_text("\n".join(["ImageId,PredictionString", *reversed(rows)]))
    for name, label, content in zip(NAMES, LABELS, contents(flat), strict=True):
        folder = tmp_path / "folders/val" / wnids()[label]
        folder.mkdir(parents=True)
        (folder / f"{name}.JPEG").write_bytes(content)
    (tmp_path / "folders/val/.cache").mkdir()
    (folder / f"._{NAMES[3]}.JPEG").write_bytes(b"left by another system")
    parquet(tmp_path / "hub/data/validation-00000-of-00002.parquet", NAMES[1:], contents(flat)[1:], list(LABELS[1:]))
    parquet(tmp_path / "hub/data/validation-00001-of-00002.parquet", NAMES[:1], contents(flat)[:1], list(LABELS[:1]))
    (tmp_path / "tars").mkdir()
    for shard in (0, 1):
        members = {}
        for index in (2 * shard + 1, 2 * shard):
            members[f"{NAMES[index]}.jpg"] = contents(flat)[index]
            members[f"{NAMES[index]}.cls"] = str(LABELS[index]).encode()
        tar(tmp_path / "tars" / f"{shard}.tar", members)
    for layout in ("kaggle", "folders", "hub", "tars"):
        data = open_dataset("imagenet", root=tmp_path / layout)
        assert {each.key: each.label for each in data} == dict(zip(NAMES, LABELS, strict=True)), layout
        assert (data.keys == expected.keys) == (layout != "hub"), layout
        pictures = {each.key: each.image.tobytes() for each in data}
        assert pictures == {each.key: each.image.tobytes() for each in expected}, layout
        shutil.copy(flat / "templates.txt", tmp_path / layout)
        data = open_dataset("imagenet", root=tmp_path / layout)
        assert (data.manifest == expected.manifest) == (layout != "hub"), layout


def test_a_changed_file_changes_the_manifest(copy):
    before = open_dataset("imagenet", root=copy).manifest
    with open(copy / "val" / f"{NAMES[2]}.JPEG", "ab") as file:
        file.write(b"\0")
    assert open_dataset("imagenet", root=copy).manifest != before
    assert open_dataset("imagenet", root=copy, count=2).manifest == open_dataset("imagenet", root=copy)[:2].manifest


def test_broken_pictures_are_errors_of_their_samples_only(copy):
    paths = [copy / "val" / f"{name}.JPEG" for name in NAMES]
    paths[0].write_bytes(paths[0].read_bytes()[:4000])
    paths[1].write_bytes(b"")
    paths[2].write_bytes(b"<html>moved</html>")
    data = open_dataset("imagenet", root=copy)
    assert len(data) == 4 and data[3].image.size == (320, 240)
    for index, says in ((0, "cannot be decoded"), (1, r"is empty \(0 bytes\)"), (2, "cannot be read as a picture")):
        with pytest.raises(ImageError, match=f"{NAMES[index]}.* ?{says}"):
            data[index]
    paths[3].unlink()
    with pytest.raises(ImageError, match="does not exist"):
        data[3]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (
            lambda root: shutil.rmtree(root / "ILSVRC2012_devkit_t12"),
            r"need their labels: put ILSVRC2012_val.*meta\.mat",
        ),
        (lambda root: shutil.rmtree(root / "val"), "no validation pictures of ImageNet under"),
        (lambda root: truth(root).write_text("1\n2\n"), "2 pictures have no label, first ILSVRC2012_val_00000003"),
        (lambda root: truth(root).write_text("1\n2000\n3\n4\n"), "reading them failed"),
        (lambda root: truth(root).with_name("meta.mat").write_bytes(b"no mat"), "reading them failed"),
    ],
)
def test_a_broken_devkit_is_said(copy, broken, says):
    broken(copy)
    with pytest.raises(DatasetError, match=says):
        open_dataset("imagenet", root=copy)


def truth(root: Path) -> Path:
    return root / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt"


def test_class_folders_under_other_names_come_mixed(tmp_path):
    """Not the whole of one class first: `count` would take one class only."""
    for wnid in wnids()[:3]:
        for index in range(2):
            (tmp_path / wnid).mkdir(exist_ok=True)
            (tmp_path / wnid / f"{index}.jpg").write_bytes(jpeg(index))
    data = open_dataset("imagenet", root=tmp_path)
    assert data.labels == (0, 1, 2, 0, 1, 2)
    assert data.keys[0] == "n01440764/0"


def test_broken_parquet_shards_are_said(flat, tmp_path):
    path = parquet(tmp_path / "validation-0.parquet", NAMES, [*contents(flat)[:2], None, b"x"], list(LABELS))
    data = open_dataset("imagenet", root=tmp_path)
    assert data[1].image.size == (320, 240)
    for index, says in ((2, "is empty"), (3, "cannot be read as a picture")):
        with pytest.raises(ImageError, match=says):
            data[index]
    parquet(path, NAMES, contents(flat), [1, 2, -1, 3])
    with pytest.raises(DatasetError, match=r"ILSVRC2012_val_00000003 has -1: is this the test split"):
        open_dataset("imagenet", root=tmp_path)
    pyarrow.parquet.write_table(pyarrow.table({"image": [1], "label": [2]}), path)
    with pytest.raises(DatasetError, match="is no parquet file with"):
        open_dataset("imagenet", root=tmp_path)
    path.write_bytes(b"PAR1 and nothing")
    with pytest.raises(DatasetError, match=r"validation-0\.parquet is no parquet file"):
        open_dataset("imagenet", root=tmp_path)


def test_a_parquet_page_that_is_damaged_is_an_error_of_its_samples(flat, tmp_path):
    path = parquet(tmp_path / "validation-0.parquet", NAMES, contents(flat), list(LABELS))
    start = pyarrow.parquet.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 10] = b"\xff" * 10
    path.write_bytes(content)
    data = open_dataset("imagenet", root=tmp_path)
    assert data[0].image.size == (320, 240)
    with pytest.raises(ImageError):
        data[2]


# shards


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"a.jpg": jpeg()}, r"0\.tar has no /?a\.cls"),
        ({"a.jpg": jpeg(), "a.cls": b"dog"}, r"a\.cls should hold a number, but holds 'dog'"),
        ({"a.jpg": jpeg(), "a.cls": b"1000"}, "has 1000"),
        ({"a.txt": b"words"}, "holds no sample with a picture"),
        ({"a.jpg": jpeg(), "a.cls": b"1", "b.jpg": jpeg(), "b.cls": b"1", "x/../a.jpg": jpeg()}, "has no .*cls"),
    ],
)
def test_broken_shards_are_said(tmp_path, members, says):
    tar(tmp_path / "0.tar", members)
    with pytest.raises(DatasetError, match=says):
        open_dataset("imagenet", root=tmp_path)


def test_a_shard_that_is_cut_or_compressed_is_said(tmp_path):
    members = {f"{name}.{suffix}": jpeg(3) if suffix == "jpg" else b"5" for name in "abcd" for suffix in ("jpg", "cls")}
    whole = tar(tmp_path / "0.tar", members).read_bytes()
    assert open_dataset("imagenet", root=tmp_path).labels == (5, 5, 5, 5)
    for cut in (len(jpeg(3)) + 700, 512 * 7, 512 * 7 + 100, 300):
        (tmp_path / "0.tar").write_bytes(whole[:cut])
        with pytest.raises(DatasetError, match=r"0\.tar (is cut off|cannot be read)"):
            open_dataset("imagenet", root=tmp_path)
    (tmp_path / "0.tar").unlink()
    (tmp_path / "0.tar.gz").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"0\.tar\.gz is compressed.*unpack"):
        open_dataset("imagenet", root=tmp_path)


def test_links_in_a_shard_are_not_followed(tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        info = tarfile.TarInfo("a.jpg")
        info.type, info.linkname = tarfile.SYMTYPE, "../../secret.jpg"
        archive.addfile(info)
    with pytest.raises(DatasetError, match="holds no sample"):
        open_dataset("imagenet", root=tmp_path)


# COCO


def test_karpathys_test_split(coco):
    data = open_dataset("coco", root=coco)
    assert len(data) == 4 and data.keys[0] == "COCO_val2014_000000000042"
    split = json.loads((coco / "dataset_coco.json").read_text())
    assert data.captions == tuple(tuple(s["raw"] for s in i["sentences"][:5]) for i in split["images"][:4])
    assert len(split["images"][0]["sentences"]) == 6 and len(split["images"]) == 6
    assert data.classes is data.prompts is data[0].label is None
    assert data[3].image.size == (280, 360)


def test_coco_as_shards(coco, tmp_path):
    """A caption a line of .txt, as in CLIP's benchmarks, or a list in .json: the same captions and pictures."""
    expected = open_dataset("coco", root=coco)
    for kind in ("txt", "json"):
        members = {}
        for record in expected.records:
            members[f"{record.key}.jpg"] = record.place.read()
            said = "\n".join(record.captions) if kind == "txt" else json.dumps({"captions": record.captions})
            members[f"{record.key}.{kind}"] = said.encode()
        tar(tmp_path / "0.tar", members)
        data = open_dataset("coco", root=tmp_path)
        assert (data.manifest, data[2].image.tobytes()) == (expected.manifest, expected[2].image.tobytes())
    tar(tmp_path / "0.tar", {"a.jpg": jpeg(), "a.json": b"[1"})
    with pytest.raises(DatasetError, match=r"a\.json should hold an object"):
        open_dataset("coco", root=tmp_path)
    tar(tmp_path / "0.tar", {"a.jpg": jpeg()})
    with pytest.raises(DatasetError, match=r"no a\.txt or \.json"):
        open_dataset("coco", root=tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda split: split["images"][1]["sentences"].pop(), "000043 has 4 captions.*; 5 were expected"),
        (lambda split: split["images"][1].pop("sentences"), "should be the Karpathy split.*KeyError"),
        (lambda split: split.pop("images"), "should be the Karpathy split"),
        (lambda split: [i.update(split="train") for i in split["images"]], "no picture in the part 'test'"),
    ],
)
def test_a_broken_karpathy_file_is_said(tmp_path, change, says):
    split = smoke_world.karpathy(3)
    change(split)
    (tmp_path / "dataset_coco.json").write_text(json.dumps(split))
    with pytest.raises(DatasetError, match=says):
        open_dataset("coco", root=tmp_path)
    (tmp_path / "dataset_coco.json").write_text("{")
    with pytest.raises(DatasetError, match="should be the Karpathy split"):
        open_dataset("coco", root=tmp_path)


def test_a_missing_picture_of_coco_is_an_error_of_its_sample(tmp_path):
    (smoke_world.coco(tmp_path) / "val2014/COCO_val2014_000000000043.jpg").unlink()
    data = open_dataset("coco", root=tmp_path)
    assert data[0].image.size == (280, 360)
    with pytest.raises(ImageError, match=r"000043\.jpg' does not exist"):
        data[1]


def test_masks_of_cocos_objects(tmp_path):
    root = smoke_world.coco(tmp_path)
    data = open_dataset("coco-objects", root=root)
    assert data.keys == open_dataset("coco", root=root).keys and data.captions[1] == data[1].captions
    assert data.classes == ("person", "dog", "toothbrush") and data.prompts[1] == ("a photo of a dog.",)
    first, second = data[0], data[1]
    assert set(first.masks) == {"dog", "person"} and set(second.masks) == {"dog"}
    assert all(mask.shape == (360, 280) and mask.dtype == bool for mask in first.masks.values())
    assert (first.masks["person"].sum(0) == [0] * 100 + [360] + [0] * 179).all()
    dog = first.masks["dog"]
    assert (
        dog[31:89, 21:119].all() and abs(dog.sum() - 61 * 101) < 200 and not dog[:29].any() and not dog[:, 125:].any()
    )
    path = root / "annotations/instances_val2014.json"
    found = smoke_world.instances(4)
    found["annotations"][0]["segmentation"][0][0] = 25.0
    path.write_text(json.dumps(found))
    assert open_dataset("coco-objects", root=root).manifest != data.manifest


def test_masks_that_do_not_fit_are_said(tmp_path):
    root = smoke_world.coco(tmp_path)
    path = root / "annotations/instances_val2014.json"
    found = smoke_world.instances(4)
    found["images"][0]["width"] = 281
    found["annotations"][4]["segmentation"]["counts"][0] += 1
    found["annotations"].pop(2)
    path.write_text(json.dumps(found))
    data = open_dataset("coco-objects", root=root)
    assert len(data) == 3  # one has no object any more
    with pytest.raises(ImageError, match="has 280 x 360 pixels, its masks 281 x 360"):
        data[0]
    with pytest.raises(ImageError, match="runs that do not add up"):
        data[1]
    path.write_text("{}")
    with pytest.raises(DatasetError, match="should hold COCO's images"):
        open_dataset("coco-objects", root=root)
    path.write_text(json.dumps(found | {"annotations": []}))
    with pytest.raises(DatasetError, match="no picture of the Karpathy split has an object"):
        open_dataset("coco-objects", root=root)
    path.unlink()
    with pytest.raises(DatasetError, match=r"annotations_trainval2014\.zip"):
        open_dataset("coco-objects", root=root)


# tables


def folder(root: Path, table: str, name: str = "captions.csv", pictures=("a.jpg", "sub/b.jpg")) -> Path:
    for seed, picture in enumerate(pictures):
        (root / picture).parent.mkdir(parents=True, exist_ok=True)
        (root / picture).write_bytes(jpeg(seed))
    (root / name).write_text(table)
    return root


def test_a_folder_with_captions(tmp_path):
    table = '\ufefffile_name,Text\na.jpg,"a dog, asleep"\nsub/b.jpg,two cats\na.jpg,a sleeping dog\n'
    data = open_dataset("folder", root=folder(tmp_path, table, "metadata.csv"))
    assert data.keys == ("a.jpg", "sub/b.jpg")
    assert data.captions == (("a dog, asleep", "a sleeping dog"), ("two cats",))
    assert data[1].image.size == (30, 20) and data.prompts is None


def test_a_folder_with_classes(tmp_path):
    data = open_dataset("folder", root=folder(tmp_path, "image\tlabel\na.jpg\tdog\nsub/b.jpg\tcat\n", "mine.tsv"))
    assert (data.classes, data.labels) == (("cat", "dog"), (1, 0))
    assert data.prompts == (("a photo of a cat.",), ("a photo of a dog.",))


def test_conceptual_captions_from_a_table_or_shards(tmp_path):
    data = open_dataset("conceptual-captions", root=smoke_world.conceptual(tmp_path / "table"))
    assert len(data) == 4 and data[0].captions[0].startswith("a") and data.classes is None
    (tmp_path / "shards").mkdir()
    tar(tmp_path / "shards/00000.tar", {"0.jpg": jpeg(), "0.txt": b"a dog", "0.json": b'{"caption": "other"}'})
    assert open_dataset("conceptual-captions", root=tmp_path / "shards").captions == (("a dog",),)
    folder(tmp_path / "labels", "image,class\na.jpg,dog\n", "labels.csv", ("a.jpg",))
    with pytest.raises(DatasetError, match=r"needs a caption, but a\.jpg has none"):
        open_dataset("conceptual-captions", root=tmp_path / "labels")


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("", r"first line of captions\.csv should name the columns"),
        ("a.jpg,a dog\n", "should name the columns image, and caption or class; it is"),
        ("image,caption\n", "lists no picture"),
        ("image,caption\na.jpg\n", "line 2 of captions.csv has 1 columns"),
        ("image,caption\na.jpg, \n", "line 2 of captions.csv has an empty caption"),
        ("image,class\na.jpg,dog\na.jpg,cat\n", "a.jpg is 'dog' and, in line 3, 'cat'"),
        ("image,caption\n../a.jpg,x\n", r"below their folder, but the table names '\.\./a\.jpg'"),
        ("image,caption\n/etc/passwd,x\n", "below their folder"),
        ("image,caption\nC:\\a.jpg,x\n", "below their folder"),
    ],
)
def test_a_table_that_cannot_be_read_is_said(tmp_path, table, says):
    with pytest.raises(DatasetError, match=says):
        open_dataset("folder", root=folder(tmp_path, table))


def test_a_folder_without_its_table_or_with_two(tmp_path):
    with pytest.raises(DatasetError, match="which has none: keep one"):
        open_dataset("folder", root=tmp_path)
    folder(tmp_path, "image,caption\na.jpg,x\n", "one.csv")
    folder(tmp_path, "image,caption\na.jpg,x\n", "two.tsv")
    with pytest.raises(DatasetError, match=r"which has 2 \(one\.csv, two\.tsv\)"):
        open_dataset("folder", root=tmp_path)
    (tmp_path / "captions.csv").write_bytes("image,caption\na.jpg,caf\xe9\n".encode("latin-1"))
    with pytest.raises(DatasetError, match="UTF-8"):
        open_dataset("folder", root=tmp_path)


@pytest.mark.parametrize("name", ["imagenet", "coco", "coco-objects", "conceptual-captions", "masks", "folder"])
def test_a_root_is_needed_and_has_to_be_there(tmp_path, name):
    with pytest.raises(BadSetting, match=f"{name} is not bundled: say where"):
        open_dataset(name)
    with pytest.raises(DatasetError, match="should be a folder"):
        open_dataset(name, root=tmp_path / "no")
    with pytest.raises(DatasetError):
        open_dataset(name, root=tmp_path)


def test_opening_decodes_nothing(copy, monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a picture was opened"))
    data = open_dataset("imagenet", root=copy)
    assert data.manifest and data.keys and data.labels


def test_a_picture_that_comes_twice_is_said(tmp_path):
    for shard in ("0.tar", "1.tar"):
        tar(tmp_path / shard, {f"{NAMES[0]}.jpg": jpeg(), f"{NAMES[0]}.cls": b"1"})
    with pytest.raises(DatasetError, match=r"1 samples come twice, first 'ILSVRC2012_val_00000001'"):
        open_dataset("imagenet", root=tmp_path)
