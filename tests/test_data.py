"""Datasets: what every one of them promises, on the bundled world."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from mmel import scenes
from mmel.data import DATASETS, model_and_data, open_dataset
from mmel.errors import BadSetting, UnknownName


@pytest.mark.parametrize("name", scenes.SPLITS)
def test_every_split_is_a_dataset(name):
    data, split = open_dataset(f"scenes/{name}"), scenes.split(name)
    assert len(data) == len(split) and f"scenes/{name}" in DATASETS
    example, scene = data[1], split[1]
    assert (example.key, example.captions) == (scene.key, tuple(map(str, scene.captions)))
    assert example.image.tobytes() == scene.image.tobytes()
    assert example.scene.plan == scene.plan
    assert (np.any(list(example.masks.values()), axis=0) == scene.masks.any(0)).all()
    assert data.prompts == scenes.class_prompts() and data.classes == scenes.NAMES
    assert (data.keys[1], data.captions[1], data.labels[1]) == (example.key, example.captions, example.label)


def test_labels_are_those_of_the_main_object():
    data = open_dataset("scenes/classes", count=90)
    assert data.labels == (*range(84), *range(6))
    assert data.classes[data[3].label] == data[3].scene.objects[0].name
    assert set(open_dataset("scenes/pairs", count=3).labels) == {None}


def test_things_of_one_name_share_a_mask():
    example = next(e for e in open_dataset("scenes/figures") if e.key.endswith("cats-and-shoes"))
    assert set(example.masks) == {"cat", "shoe"}
    assert (example.masks["cat"] == example.scene.masks[:2].any(0)).all()


def test_a_part_is_a_dataset_with_a_manifest_of_its_own():
    data = open_dataset("scenes/retrieval")
    part = data[10:14]
    assert (len(part), part[0].key, part[-1].key) == (4, data[10].key, data[13].key)
    manifests = {data.manifest, part.manifest, data[:4].manifest, open_dataset("scenes/pairs", count=4).manifest}
    assert len(manifests) == 4 and all(len(each) == 64 for each in manifests)
    assert open_dataset("scenes/retrieval", count=4).manifest == data[:4].manifest
    again = pickle.loads(pickle.dumps(part))
    assert again.manifest == part.manifest and again[2].image.tobytes() == part[2].image.tobytes()
    with pytest.raises(IndexError):
        part[4]


def test_a_model_and_its_data():
    both = model_and_data(count=2, device="cpu")
    assert (both.clip.name, both.data.name, len(both.data)) == ("bundled", "scenes/validation", 2)


def test_what_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(UnknownName, match=r"did you mean scenes/classes"):
        open_dataset("scenes/clases")
    with pytest.raises(UnknownName, match=r"unknown dataset 'classes'"):
        open_dataset("classes")
    with pytest.raises(BadSetting, match="needs no root"):
        open_dataset("scenes/classes", root=tmp_path)
    for count in (0, -1, True, 2.5, "3"):
        with pytest.raises(BadSetting, match="count is a whole number"):
            open_dataset("scenes/classes", count=count)
