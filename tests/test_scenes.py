"""The bundled world: its objects, exact masks, true captions, and splits that are the same bytes everywhere."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
import pytest
from PIL import Image

import mmel.scenes.scene as drawing
import mmel.scenes.splits as splits
from mmel.errors import MmelWarning, SceneError, UnknownName
from mmel.scenes import (
    BACKGROUNDS,
    NAMES,
    OBJECTS,
    SIZE,
    Placement,
    Plan,
    Scene,
    class_prompts,
    split,
    train_scene,
    vocabulary,
)  # fmt: skip
from mmel.scenes.captions import BESIDE, OCCLUSION, RELATIONS, captions, noun_phrase, relations
from mmel.scenes.objects import NUMBERS, find

COUNTS = {"validation": 500, "classes": 1000, "pairs": 1000, "retrieval": 500, "crowded": 640, "two_objects": 500}
STACK = Scene(Plan("room", 5, (
    Placement("elephant", 40, 50, 60), Placement("bicycle", 58, 58, 54, angle=9), Placement("tree", 66, 40, 44, True),
    Placement("octopus", 104, 104, 30), Placement("key", 8, 100, 24, angle=-14),
)))  # fmt: skip


@pytest.fixture(scope="module")
def sample():
    """Some scenes of every kind, all together."""
    chosen = {"pairs": 150, "retrieval": 60, "classes": 84, "two_objects": 60, "validation": 20, "figures": 8}
    return [*chain(*(split(name, count) for name, count in chosen.items())), *split("crowded")[::21]]


def alone(plan: Plan, index: int, monkeypatch) -> np.ndarray:
    """Opacity 0 to 255 of one object, read off its pictures on white and on black: what is let through differs."""
    seen = []
    for grey in (255, 0):
        monkeypatch.setattr(drawing, "draw", lambda *_, g=grey: Image.new("RGB", (SIZE, SIZE), (g, g, g)))
        picture = Scene(replace(plan, objects=plan.objects[index : index + 1])).image
        seen.append(np.asarray(picture).astype(int))
        monkeypatch.undo()
    return 255 - (seen[0] - seen[1])[..., 0]


def front(opacities: list[np.ndarray]) -> np.ndarray:
    """The number of the object that each pixel shows, -1 for the place: from the front to the back, in loops."""
    shown = np.full((SIZE, SIZE), -1)
    for row in range(SIZE):
        for column in range(SIZE):
            for index in range(len(opacities) - 1, -1, -1):
                if opacities[index][row, column] >= 128:
                    shown[row, column] = index
                    break
    return shown


def test_the_objects_and_places_are_there():
    assert len(OBJECTS) >= 80 and len(set(NAMES)) == len(NAMES)
    assert {"dog", "car", "traffic light", "monkey", "bicycle", "cat", "shoe", "face"} <= set(NAMES)
    assert {"grass", "sand", "snow", "water", "road", "sky", "room", "night"} <= set(BACKGROUNDS)
    assert find("cycle").name == find("bike").name == "bicycle" and find("automobile").name == "car"
    assert find("dogs").name == "dog" and find("butterflies").name == "butterfly"


def test_no_word_stands_for_two_things():
    words = [w for t in OBJECTS for w in {t.name, t.plural, *t.synonyms, *(s + "s" for s in t.synonyms)}]
    assert len(words) == len(set(words))
    assert [find(thing.name).index for thing in OBJECTS] == list(range(len(OBJECTS)))
    with pytest.raises(KeyError):
        find("unicorn")


def test_every_object_has_its_own_picture():
    pictures = {Scene(Plan("sand", 1, (Placement(name, 56, 56, 60),))).image.tobytes() for name in NAMES}
    assert len(pictures) == len(NAMES)
    for name in NAMES:
        mask = Scene(Plan("sand", 1, (Placement(name, 56, 56, 60),))).masks[0]
        assert 300 < mask.sum() <= 60 * 60, name


@pytest.mark.parametrize("plan", [STACK.plan, *(split("pairs")[i].plan for i in (4, 10)), split("crowded")[639].plan])
def test_masks_are_what_is_seen(plan, monkeypatch):
    scene = Scene(plan)
    shown = front([alone(plan, index, monkeypatch) for index in range(len(plan.objects))])
    assert all((mask == (shown == index)).all() for index, mask in enumerate(scene.masks))
    assert (scene.masks.sum(0) == (shown >= 0)).all()


def test_boxes_hold_the_visible_pixels_and_nothing_else():
    for thing, mask in zip(STACK.objects, STACK.masks, strict=True):
        left = top = SIZE
        right = bottom = 0
        for row in range(SIZE):
            for column in range(SIZE):
                if mask[row, column]:
                    left, right = min(left, column), max(right, column + 1)
                    top, bottom = min(top, row), max(bottom, row + 1)
        assert thing.box == (left, top, right, bottom)


def test_visible_shares_count_what_is_covered_and_what_is_outside(monkeypatch):
    whole = [(alone(STACK.plan, index, monkeypatch) >= 128).sum() for index in range(3)]
    for index in range(3):
        assert STACK.objects[index].visible == pytest.approx(STACK.masks[index].sum() / whole[index])
    assert STACK.objects[2].visible == 1 > STACK.objects[1].visible > 0.3
    corner = Scene(Plan("sand", 1, (Placement("face", 0, 0, 60),)))
    assert corner.objects[0].visible == pytest.approx(0.25, abs=0.02)


def test_an_object_behind_another_is_hidden_and_has_no_box():
    plan = Plan("snow", 1, (Placement("key", 56, 56, 12), Placement("face", 56, 56, 60)))
    assert Scene(plan).objects[0].box is None and Scene(plan).objects[0].visible == 0
    assert Scene(replace(plan, objects=plan.objects[::-1])).objects[1].visible == 1


def test_without_an_object_what_it_covered_comes_to_light():
    less = STACK.without(2)
    assert [thing.name for thing in less.objects] == ["elephant", "bicycle", "octopus", "key"]
    assert (less.masks[1] >= STACK.masks[1]).all() and less.masks[1].sum() > STACK.masks[1].sum() + 50
    touched = np.asarray(less.image) != np.asarray(STACK.image)
    assert touched.any(-1)[STACK.masks[2]].mean() > 0.95
    far = Scene(replace(STACK.plan, objects=STACK.plan.objects[2:3]), ()).masks[0]
    grown = np.pad(far, 2)
    near = np.any([grown[r : r + SIZE, c : c + SIZE] for r in range(5) for c in range(5)], axis=0)
    assert not touched.any(-1)[~near].any()
    assert STACK.without(0, 1, 2, 3, 4).masks.shape == (0, SIZE, SIZE)


def test_relations_are_seen_in_the_picture(monkeypatch):
    plan, checked = STACK.plan, 0
    covers = [alone(plan, index, monkeypatch) >= 128 for index in range(3)]
    for first in range(3):
        for second in range(3):
            if first == second:
                continue
            back, ahead = min(first, second), max(first, second)
            hidden = sum(bool(a and b) for a, b in zip(covers[back].flat, covers[ahead].flat, strict=True))
            share = hidden / covers[back].sum()
            assert STACK.covers(ahead, back) == pytest.approx(share)
            assert STACK.covers(back, ahead) == 0
            word = "behind" if first == back else "in front of"
            assert (word in relations(STACK, first, second)) == (share >= OCCLUSION)
            checked += share >= OCCLUSION
    assert checked >= 2


@pytest.mark.parametrize(
    ("across", "down", "says"),
    [(-30, 4, ["to the left of"]), (30, -4, ["to the right of"]), (3, -30, ["above"]), (3, 30, ["below"])],
)
def test_relations_of_place(across, down, says):
    plan = Plan("sand", 1, (Placement("dog", 56 + across, 56 + down, 20), Placement("cat", 56, 56, 20)))
    assert relations(Scene(plan), 0, 1) == says
    assert relations(Scene(plan), 1, 0) != says


def test_every_relation_that_a_caption_names_is_true(sample):
    seen = set()
    for scene in sample:
        for caption in scene.captions:
            for word in caption.words:
                if word.role != "relation":
                    continue
                first, second = word.objects
                one, two = scene.plan.objects[first], scene.plan.objects[second]
                holds = {
                    "to the left of": one.x <= two.x - BESIDE, "to the right of": one.x >= two.x + BESIDE,
                    "above": one.y <= two.y - BESIDE, "below": one.y >= two.y + BESIDE,
                    "behind": scene.covers(second, first) >= OCCLUSION,
                    "in front of": scene.covers(first, second) >= OCCLUSION,
                }  # fmt: skip
                assert holds[word.text], (scene.key, caption.text)
                seen.add(word.text)
    assert seen == set(RELATIONS)


def test_each_content_word_knows_its_place_and_its_pixels(sample):
    roles = set()
    for scene in sample:
        for caption in scene.captions:
            assert all(one.end < other.start for one, other in pairwise(caption.words))
            for word in caption.words:
                assert caption.text[word.start : word.end] == word.text
                roles.add(word.role)
                mask = scene.word_mask(word)
                if word.role == "background":
                    assert (mask == ~scene.masks.any(0)).all() and scene.background == word.text
                    continue
                union = np.zeros((SIZE, SIZE), bool)
                for index in word.objects:
                    union |= scene.masks[index]
                assert (mask == union).all()
                names = [scene.plan.objects[index].name for index in word.objects]
                if word.role == "object":
                    assert {find(word.text).name} == set(names)
                if word.role == "count":
                    assert NUMBERS.index(word.text) == len(word.objects) > 1 and len(set(names)) == 1
    assert roles == {"object", "count", "relation", "background"}


def test_nothing_but_content_words_is_left_out(sample):
    """What no content word covers are function words only."""
    function = {"a", "an", "and", "with", "on", "in", "at", "the", "photo", "picture", "of", "pairs"}
    for caption in chain(*(scene.captions for scene in sample)):
        rest = "".join(
            " " if any(w.start <= i < w.end for w in caption.words) else c for i, c in enumerate(caption.text)
        )
        assert set(re.findall(r"\w+", rest)) <= function, caption.text


def test_captions_name_all_of_a_kind(sample):
    for scene in sample:
        names = [placement.name for placement in scene.plan.objects]
        for caption in scene.captions:
            for word in caption.words:
                if word.role == "object" and not scene.key.startswith("crowded"):
                    assert len(word.objects) == names.count(find(word.text).name), (scene.key, caption.text)


def test_grammar(sample):
    texts = [caption.text for scene in sample for caption in scene.captions]
    for text in texts:
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text), text
        assert not re.search(r"\ba (glasses|spectacles|scissors)|  | ,|^ | $", text), text
        assert set(re.findall(r"[a-z]+", text)) <= set(vocabulary()), text
    every = " ".join(texts)
    assert all(re.search(pattern, every) for pattern in (r"\btwo \w+s\b", r"\bthree \w+s\b", ", ", " and ", " with "))
    synonyms = {word for thing in OBJECTS for word in thing.synonyms}
    assert len(synonyms & set(every.split())) > 8


@pytest.mark.parametrize(
    ("name", "count", "says"),
    [
        ("dog", 1, "a dog"), ("owl", 1, "an owl"), ("dog", 2, "two dogs"), ("sheep", 3, "three sheep"),
        ("strawberry", 2, "two strawberries"), ("glasses", 1, "glasses"), ("scissors", 2, "two pairs of scissors"),
        ("automobile", 2, "two automobiles"), ("traffic light", 2, "two traffic lights"), ("bus", 4, "four buses"),
    ],
)  # fmt: skip
def test_noun_phrases(name, count, says):
    pieces = noun_phrase(find(name), tuple(range(count)), name)
    assert " ".join(piece[0] for piece in pieces) == says
    assert [piece[2] for piece in pieces if piece[1]] == [tuple(range(count))] * (1 + (count > 1))


def test_five_different_captions():
    for scene in split("retrieval", 60):
        assert len({caption.text for caption in scene.captions}) == 5
        named = {frozenset(chain(*(w.objects for w in c.words if w.role == "object"))) for c in scene.captions}
        assert named == {frozenset(range(len(scene.plan.objects)))}
    one = Scene(Plan("sand", 1, (Placement("monkey", 40, 40, 40),)))
    made = captions(one, np.random.default_rng(0), (0,), 5)
    assert len({caption.text for caption in made}) == 5


def test_more_captions_than_there_are():
    one = Scene(Plan("sand", 1, (Placement("monkey", 40, 40, 40),)))
    with pytest.raises(SceneError, match=r"7 different captions .* has 6"):
        captions(one, np.random.default_rng(0), (0,), 7)


def test_prompts_and_words():
    prompts = class_prompts()
    assert len(prompts) == len(NAMES) and {len(each) for each in prompts} == {3}
    assert prompts[NAMES.index("owl")] == ("a photo of an owl", "an owl", "a picture of an owl")
    assert "a photo of scissors" in prompts[NAMES.index("scissors")]
    assert list(vocabulary()) == sorted(set(vocabulary()))
    assert {word for each in prompts for text in each for word in text.split()} <= set(vocabulary())


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_splits_have_their_size_and_their_digests(name, count):
    scenes = split(name)
    assert len(scenes) == count == len(splits._digests()[name])
    for index in {0, 1, count - 1, *range(7, count, count // 9)}:
        assert splits.digest(scenes[index]) == splits._digests()[name][index], (name, index)
        assert scenes[index].key == f"{name}/{index:04d}"


def test_the_figures_are_the_papers():
    scenes = split("figures")
    scenes.verify()
    assert len(scenes) == 8 == len(splits._digests()["figures"])
    said = [caption.text for scene in scenes for caption in scene.captions]
    assert "a dog behind a car" in said and "two cats and two shoes in a room" in said
    assert any("monkey" in text and "bicycle" in text and "car" in text for text in said)
    assert any("dog" in text and "seat" in text and "two traffic lights" in text for text in said)


def test_no_scene_is_in_two_splits():
    pinned = [value for name in COUNTS for value in splits._digests()[name]]
    assert len(set(pinned)) == len(pinned)
    seeds = [*splits._SEEDS.values()]
    assert len(set(seeds)) == len(COUNTS) and max(seeds) < 999 < splits._TRAIN
    assert not {splits.digest(train_scene(seed, index)) for seed in (0, 1) for index in range(40)} & set(pinned)


def test_crowds_have_one_to_sixteen_objects_forty_times_each():
    scenes = split("crowded")
    for count in range(1, 17):
        for index in (40 * (count - 1), 40 * count - 1):
            names = [placement.name for placement in scenes[index].plan.objects]
            assert len(names) == count == len(set(names))


def test_classes_have_one_main_object_of_every_kind():
    scenes = split("classes")
    labels = [NAMES.index(scenes[index].plan.objects[0].name) for index in (0, 83, 84, 500, 999)]
    assert labels == [0, 83, 0, 500 % 84, 999 % 84]
    assert len(NAMES) == 84
    for scene in scenes[:84]:
        main, *clutter = scene.plan.objects
        assert all(other.size < main.size - 10 and other.name != main.name for other in clutter)
        assert [w.objects for w in scene.captions[0].words if w.role == "object"] == [(0,)]
        assert scene.objects[0].visible > 0.9


def test_an_object_is_not_one_fixed_picture():
    drawn = [p for scene in split("two_objects", 80) for p in scene.plan.objects]
    assert {p.mirror for p in drawn} == {True, False}
    assert max(p.angle for p in drawn) > 8 and min(p.angle for p in drawn) < -8
    assert np.ptp([p.size for p in drawn]) > 15 and np.ptp([p.gains for p in drawn]) > 0.25
    assert len({scene.background for scene in split("two_objects", 80)}) == len(BACKGROUNDS)


@pytest.mark.parametrize("name", ["two_objects", "classes"])
def test_the_middle_is_no_guess(name):
    """The pixel that a centred Gaussian is highest at, and the four patches' worth around it, for the named object."""
    scenes = split(name, 200)
    named = [scene.masks[index] for scene in scenes for index in ((0, 1) if name == "two_objects" else (0,))]
    assert np.mean([mask[SIZE // 2, SIZE // 2] for mask in named]) < 0.2
    assert np.mean([mask[48:64, 48:64].mean() > 0.5 for mask in named]) < 0.2
    assert np.mean([mask[48:64, 48:64].any() for mask in named]) < 0.45


def test_the_same_seed_is_the_same_bytes():
    for scene, again in ((split("pairs")[3], split("pairs")[3]), (train_scene(2, 9), train_scene(2, 9))):
        assert scene is not again and scene.plan == again.plan and scene.captions == again.captions
        assert scene.image.tobytes() == again.image.tobytes()
    assert train_scene(2, 9).plan != train_scene(2, 10).plan != train_scene(3, 9).plan


def test_a_part_of_a_split_is_the_same_scenes():
    scenes = split("pairs")
    assert [scene.key for scene in scenes[5:9:2]] == [scenes[5].key, scenes[7].key]
    assert scenes[5:9].hash != scenes[5:8].hash != scenes.hash == split("pairs").hash
    assert scenes[-1].key == "pairs/0999" and len(split("pairs", 7)) == 7
    assert "1000 scenes" in repr(scenes)


def test_a_scene_that_differs_from_its_digest_is_told(monkeypatch):
    wrong = {
        name: [value + (index == 1) for index, value in enumerate(values)] for name, values in splits._digests().items()
    }
    monkeypatch.setattr(splits, "_digests", lambda: wrong)
    scenes = split("pairs", 3)
    assert scenes[0].key == "pairs/0000"
    with pytest.warns(MmelWarning, match=r"requirements\.lock"):
        scenes[1]
    with pytest.raises(SceneError, match=r"1 of 3 .* first 1"):
        split("pairs", 3).verify()


def test_a_plan_can_be_written_down():
    assert Plan.from_json(STACK.plan.to_json()) == STACK.plan
    plain = {"background": "sky", "background_seed": 3, "objects": [{"name": "dog", "x": 50, "y": 50, "size": 40}]}
    assert Plan.from_json(plain).objects[0] == Placement("dog", 50, 50, 40)


UNICORN = {"name": "unicorn", "x": 1, "y": 1, "size": 30}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"background": "moon"}, "moon.*none of.*grass"),
        ({"background_seed": "x"}, "expected a scene"),
        ({"objects": None}, "expected a scene"),
        ({"objects": [UNICORN]}, "unicorn"),
        ({"objects": [{"name": "dog"}]}, "expected a scene"),
        ({"objects": [{**UNICORN, "name": "dog", "colour": 2}]}, "expected a scene"),
        ({"objects": [{**UNICORN, "name": "dog", "size": 400}]}, "4 to 112"),
        ({"objects": [{**UNICORN, "name": "dog", "size": "big"}]}, "needs numbers"),
        ({"objects": [{**UNICORN, "name": "dog", "x": float("nan")}]}, "needs numbers"),
        ({"objects": [{**UNICORN, "name": "dog", "gains": [1, 1]}]}, "three gains"),
    ],
)
def test_a_plan_that_cannot_be_drawn(change, says):
    plain = {"background": "sky", "background_seed": 3, "objects": [{"name": "dog", "x": 50, "y": 50, "size": 40}]}
    with pytest.raises(SceneError, match=says):
        Plan.from_json(plain | change)


def test_a_split_that_does_not_exist():
    with pytest.raises(UnknownName, match="did you mean classes"):
        split("clases")


def test_scenes_are_quick_to_make():
    began = time.process_time()
    for index in range(100):
        train_scene(5, index)
    assert time.process_time() - began < 6
