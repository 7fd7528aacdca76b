"""Reading ahead, and looking at what is there of a dataset."""

from __future__ import annotations

import threading
import time

import pytest
import smoke_world
import torch
from PIL import Image
from toy import toy_clip

from mmel.cli import main
from mmel.data import AHEAD, check, iterate, open_dataset
from mmel.errors import BadSetting, ImageError, UnknownName
from mmel.types import Example


class Slow:
    """Samples that take unequal times; some cannot be read. Counts what is read and what has not been used yet."""

    def __init__(self, count: int, bad: tuple[int, ...] = (), worse: tuple[int, ...] = ()):
        self.count, self.bad, self.worse = count, bad, worse
        self.read, self.threads = 0, set()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.read += 1
        self.threads.add(threading.get_ident())
        time.sleep(0.004 * (index * 7 % 5))
        if index in self.worse:
            raise ZeroDivisionError(index)
        if index in self.bad:
            raise ImageError(f"{index} is no picture")
        return Example(str(index), Image.new("RGB", (64, 64), (index, 0, 0)))


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_samples_come_in_order_and_errors_in_their_places(workers):
    found = list(iterate(Slow(40, bad=(0, 7, 39)), workers=workers))
    assert [each.index for each in found] == list(range(40))
    assert [each.index for each in found if each.error] == [0, 7, 39]
    assert all(isinstance(found[i].error, ImageError) and found[i].example is None for i in (0, 7, 39))
    assert all(each.example.key == str(each.index) for each in found if not each.error)
    assert all(each.pixels is None for each in found)


def test_pixels_are_those_of_the_models_own_transform():
    clip = toy_clip()
    data = open_dataset("scenes/pairs", count=6)
    found = list(iterate(data, workers=2, preprocess=clip.preprocess, pin=True, indices=[5, 0, 3, 0]))
    assert [each.index for each in found] == [5, 0, 3, 0]
    for each in found:
        assert torch.equal(each.pixels, clip.preprocess(data[each.index].image))
        assert each.pixels.is_pinned() == torch.cuda.is_available()


def test_pixels_are_pinned_where_there_is_a_gpu(monkeypatch):
    pinned = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: pinned.append(self) or self)
    data, transform = open_dataset("scenes/pairs", count=3), toy_clip().preprocess
    assert len(list(iterate(data, preprocess=transform))) == 3 and not pinned
    assert len(list(iterate(data, preprocess=transform, pin=True))) == len(pinned) == 3
    assert len(list(iterate(data, pin=True))) == 3 and len(pinned) == 3  # no pixels, nothing to pin


def test_only_a_few_are_read_ahead_and_none_after_the_reader_has_left():
    data = Slow(200)
    reading = iterate(data, workers=2)
    for _ in range(10):
        next(reading)
    time.sleep(0.1)
    assert 10 < data.read <= 10 + 2 * AHEAD and len(data.threads) == 2
    before = threading.active_count()
    reading.close()
    seen = data.read
    time.sleep(0.05)
    assert data.read == seen and threading.active_count() == before - 2


def test_an_error_that_is_not_ours_is_raised_where_it_belongs():
    reading, seen = iterate(Slow(20, worse=(6,)), workers=4), []
    with pytest.raises(ZeroDivisionError):
        for each in reading:
            seen.append(each.index)
    assert seen == list(range(6))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mmel-read")]


def test_nothing_is_read_of_nothing_and_workers_are_counted():
    assert list(iterate(Slow(0))) == []
    for workers in (0, -1, True, 1.5):
        with pytest.raises(BadSetting, match="workers is a whole number from 1"):
            iterate(Slow(1), workers=workers)


def run(*arguments) -> int:
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    return end.value.code or 0


def test_check_lists_everything_that_is_missing(tmp_path, capsys):
    parts = {"imagenet": 2, "coco": 2, "coco-objects": 3, "conceptual-captions": 2, "masks": 2, "folder": 2}
    for dataset, count in parts.items():
        assert run("data", "check", dataset) == 1
        out = capsys.readouterr().out
        assert out.count("MISSING") == count + 1 and "terms" in out and out.count("from ") >= count
    assert run("data", "check", "coco", "--root", tmp_path) == 1
    out = capsys.readouterr().out
    assert "captions: missing" in out and "pictures: missing" in out
    assert "cs.stanford.edu" in out and "cocodataset.org" in out
    assert run("data", "check", "coco", "--root", tmp_path / "no") == 1
    assert "is no folder" in capsys.readouterr().out


def test_check_of_what_is_bundled(capsys):
    assert run("data", "check", "scenes/pairs") == 0
    assert "1,000" in capsys.readouterr().out
    assert run("data", "check", "scenes/pears") == 2
    assert "did you mean scenes/pairs" in capsys.readouterr().err
    with pytest.raises(UnknownName):
        check("nothing")


def test_check_tells_pictures_without_labels_and_half_a_dataset(tmp_path):
    root = smoke_world.imagenet(tmp_path)
    found = {each.what: each for each in check("imagenet", root)}
    assert found["pictures"].good and found["labels"].good and found["pictures opened"].good
    assert not found["samples"].good and found["samples"].usable and found["samples"].found.startswith("4 of 50,000")
    (root / "ILSVRC2012_devkit_t12/data/meta.mat").unlink()
    found = {each.what: each for each in check("imagenet", root)}
    assert not found["labels"].good and not found["labels"].usable and "devkit" in found["labels"].source


def test_check_opens_some_pictures_or_every_one(tmp_path):
    root = smoke_world.conceptual(tmp_path, 40)
    (root / "images/000000013.jpg").write_bytes(b"no picture")
    (root / "images/000000017.jpg").unlink()
    some = {each.what: each for each in check("conceptual-captions", root)}
    assert some["files"].found.startswith("1 missing or empty: images/000000017.jpg")
    assert some["pictures opened"].found == "20 of 20 opened"
    every = {each.what: each for each in check("conceptual-captions", root, every=True)}
    assert every["pictures opened"].found.startswith("38 of 40 opened; images/000000013.jpg cannot be read")
    assert not every["pictures opened"].good and every["pictures opened"].usable


def test_check_never_raises_for_a_broken_dataset(tmp_path):
    (tmp_path / "dataset_coco.json").write_text("{")
    (tmp_path / "COCO_val2014_000000000001.jpg").write_bytes(b"")
    assert "should be the Karpathy split" in check("coco", tmp_path)[-1].found
    (tmp_path / "a.tar.gz").write_bytes(b"")
    assert any("compressed" in each.found for each in check("imagenet", tmp_path))
