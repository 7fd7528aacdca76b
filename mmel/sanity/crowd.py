"""Sec. 4.7, error analysis: every metric of a map, with what the scene is like, one row a scene and method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

import torch
from jaxtyping import Float
from torch import Tensor

from ..clip import Clip, embed_image, embed_text, prepare, similarity
from ..errors import BadSetting
from ..maps import normalize
from ..methods import explain
from ..methods.parts.perturb import image_score
from ..metrics import (
    auc,
    confidence_drop,
    confidence_increase,
    deletion_curve,
    energy_pointing_game,
    insertion_curve,
    masked_image,
    multi_object_recall,
    pointing_game,
)
from ..scenes import NAMES, TEMPLATES, Scene, class_prompts
from .failures import failure, spread_of
from .likeness import on_grid

LEAST = 40  # visible pixels of an object that is asked for: a sixth of a patch of 16 x 16


Row = tuple[str, Mapping[str, object]]  # a method and its settings
Record = dict[str, float | int | str]


class Question(NamedTuple):
    """A scene and the object of it that is asked for, with the text that asks."""

    scene: Scene
    target: int
    text: str


def question(scene: Scene, *, least: int = LEAST) -> Question:
    """One object of a scene, drawn by the scene's key among those with `least` visible pixels, asked for by name."""
    seen = [index for index, mask in enumerate(scene.masks) if mask.sum() >= least]
    if not seen:
        raise BadSetting(f"no object of scene {scene.key!r} has {least} visible pixels: ask for fewer.")
    target = seen[crc32(f"target {scene.key}".encode()) % len(seen)]
    return Question(scene, target, asking(scene.objects[target].name))


def asking(name: str) -> str:
    """The plainest text that asks for a kind of object: "a dog", "glasses"."""
    return class_prompts()[NAMES.index(name)][TEMPLATES.index("{}")]


def traits(asked: Question) -> dict[str, float | int | str]:
    """What may make a question hard: the number of objects, and the size and visible share of the one asked for."""
    scene, thing = asked.scene, asked.scene.objects[asked.target]
    area = float(scene.masks[asked.target].mean())
    return {"scene": scene.key, "objects": len(scene.objects), "area": area, "visible": thing.visible}


class Stated(NamedTuple):
    """A scene, the text of the relation that its caption states, and the two objects."""

    scene: Scene
    text: str
    two: Sequence[int]


class Posed(NamedTuple):
    """Questions as a model has them, for any row: pictures, names, captions where all have some, and scores."""

    asked: Sequence[Question]
    pixels: Float[Tensor, "batch 3 height width"]
    names: Float[Tensor, "batch embed"]
    whole: Float[Tensor, "batch embed"] | None
    before: Float[Tensor, " batch"]

    def some(self, chosen: slice) -> Posed:
        """These questions alone."""
        return Posed(*(None if each is None else each[chosen] for each in self))


def posed(clip: Clip, asked: Sequence[Question]) -> Posed:
    """What all rows share: one pass for each picture, name and caption."""
    pixels = prepare(clip, [each.scene.image for each in asked], ["a"]).images
    names = embed_text(clip, [each.text for each in asked])
    told = all(each.scene.captions for each in asked)
    whole = embed_text(clip, [each.scene.captions[0].text for each in asked]) if told else None
    return Posed(asked, pixels, names, whole, similarity(embed_image(clip, pixels), names).detach())


def judged(
    clip: Clip,
    ready: Posed,
    row: Row,
    *,
    curves: int = 0,  # of the questions, the first so many get deletion and insertion curves too
    steps: int = 8,
    batch_size: int = 64,
) -> list[Record]:
    """One record for each question: the traits, the score, the metrics, and the kind of failure.

    Metrics of the object's own name: `pointing_game`, `energy_pointing_game`, `spread` (`spread_of`),
    `confidence_drop`, `confidence_increase`, and for the first `curves` questions `deletion_auc` and `insertion_auc`
    (all pixels, to the picture's mean colour, on the model's own pixels); where the scenes have captions,
    `multi_object_recall` of the map of the caption. `lift` is the energy divided by the object's share of the picture:
    1 for a flat map.
    """
    (method, settings), (asked, pixels, names, whole, before), records = row, ready, []
    how = {**settings, "modality": "image", "batch_size": batch_size}
    maps = _patches(clip, explain(clip, pixels, names, method, **how).image)
    wide = None if whole is None else _patches(clip, explain(clip, pixels, whole, method, **how).image)
    kept = masked_image(pixels, normalize(maps).to(pixels))
    after = similarity(embed_image(clip, kept), names).detach()
    for i, each in enumerate(asked):
        record = {**traits(each), "score": float(before[i]), **_located(each, maps[i])}
        record["confidence_drop"] = float(confidence_drop(before[i], after[i]))
        record["confidence_increase"] = float(confidence_increase(before[i], after[i]))
        if wide is not None:
            seen = torch.as_tensor(each.scene.masks[named(each.scene)])
            record["multi_object_recall"] = float(multi_object_recall(wide[i], seen))
        if i < curves:
            record |= _curved(clip, pixels[i], names[i], maps[i], steps)
        records.append(record)
    return records


def told(clip: Clip, pairs: Sequence[Stated]) -> tuple[Tensor, Tensor]:
    """Pictures and texts of scenes with their relations, as a model has them."""
    texts = embed_text(clip, [text for _, text, _ in pairs])
    return prepare(clip, [scene.image for scene, _, _ in pairs], ["a"]).images, texts


def missed(clip: Clip, pairs: Sequence[Stated], pixels: Tensor, texts: Tensor, row: Row) -> list[str]:
    """The kind of failure of one row for each relation."""
    method, settings = row
    maps = _patches(clip, explain(clip, pixels, texts, method, **{**settings, "modality": "image"}).image)
    return [failure(map, torch.as_tensor(scene.masks), two) for map, (scene, _, two) in zip(maps, pairs, strict=True)]


def _located(asked: Question, map: Float[Tensor, "rows columns"]) -> dict[str, float | str]:
    """Metrics of the map of a name against the masks."""
    masks = torch.as_tensor(asked.scene.masks)
    own, size = masks[asked.target], tuple(masks.shape[1:])
    energy = float(energy_pointing_game(map, own))
    return {
        "pointing_game": float(pointing_game(map, own)),
        "energy_pointing_game": energy,
        "lift": energy / float(own.double().mean()),
        "spread": spread_of(map, size),
        "failure": failure(map, masks, [asked.target]),
    }


def named(scene: Scene) -> list[int]:
    """The visible objects that a scene's first caption names."""
    found = {index for word in scene.captions[0].words if word.role == "object" for index in word.objects}
    return sorted(index for index in found if scene.masks[index].any())


def relation(scene: Scene) -> tuple[str, list[int]] | None:
    """The relation that a scene's first caption states, as a text of its own, and its two objects.

    None where it states none, or where one of the two is hidden.
    """
    stated = next((word for word in scene.captions[0].words if word.role == "relation"), None)
    if stated is None or not all(scene.masks[index].any() for index in stated.objects):
        return None
    first, second = (asking(scene.objects[index].name) for index in stated.objects)
    return f"{first} {stated.text} {second}", list(stated.objects)


def _curved(clip: Clip, pixels: Tensor, text: Tensor, map: Tensor, steps: int) -> dict[str, float]:
    score = image_score(clip, text)
    areas = {}
    for name, curve in (("deletion_auc", deletion_curve), ("insertion_auc", insertion_curve)):
        made = curve(score, pixels, map.to(pixels), steps=steps)
        areas[name] = float(auc(made.fractions, made.values))
    return areas


def _patches(clip: Clip, map: Float[Tensor, "batch rows columns"]) -> Float[Tensor, "batch rows columns"]:
    side = clip.image_size // clip.patch_size
    return on_grid(map, (side, side))
