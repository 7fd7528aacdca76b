"""What a model of the bundled world can do on held-out splits, and what not: the model card's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image

from ..clip import Clip, embed_image, embed_text
from ..scenes import NAMES, SIZE, TEMPLATES, Scene, class_prompts, split
from ..scenes.backgrounds import PHRASES
from ..scenes.captions import assemble, noun_phrase, relations
from ..scenes.objects import find

CHUNK = 100  # images or texts that go through a tower at once
OPPOSITE = {"to the left of": "to the right of", "above": "below", "behind": "in front of"}
OPPOSITE |= {other: one for one, other in OPPOSITE.items()}
AXES = {
    "left_right": ("to the left of", "to the right of"),
    "above_below": ("above", "below"),
    "behind_front": ("behind", "in front of"),
}
MOST = 3  # of a kind, in a scene of `pairs`

Rows = Float[np.ndarray, "row embed"]


def scores(clip: Clip) -> dict[str, float | int]:
    """Every number of the model card: shares from 0 to 1, and as `*_cases` how many a share is over.

    What the model must do: `zero_shot_top1` on `classes`; `image_retrieval_r5` (from a caption to its
    picture) and `text_retrieval_r5` among the scenes of `pairs`; `erasing`, how often taking the named one of
    two objects away lowers the cosine more than taking the other. `centre_pointing` is how often the middle
    of the picture lies on the named object: what the pointing game gives a map that knows nothing.

    What else it sees: `background`, which of the eight places (chance 1/8); the relation, not its opposite
    (`left_right`, `above_below`, `behind_front`; chance 1/2), and its two objects, not swapped (`swapped`;
    chance 1/2); `counts`, one, two or three of a kind, the mean over the three numbers (chance 1/3).
    """
    with torch.no_grad():
        return {**_classes(clip), **_pairs(clip), **_two_objects(clip)}


def images(clip: Clip, pictures: Iterable[Image.Image]) -> Rows:
    """Unit embeddings of many pictures, a chunk at a time."""
    waiting = list(pictures)
    chunks = (waiting[at : at + CHUNK] for at in range(0, len(waiting), CHUNK))
    return np.concatenate([embed_image(clip, chunk).float().cpu().numpy() for chunk in chunks])


def texts(clip: Clip, strings: Sequence[str]) -> Rows:
    """Unit embeddings of many texts. One that comes twice is embedded once: it cannot differ from itself."""
    known = sorted(set(strings), key=lambda text: (len(text), text))  # those of one length together: faster
    chunks = (known[at : at + CHUNK] for at in range(0, len(known), CHUNK))
    made = np.concatenate([embed_text(clip, chunk).float().cpu().numpy() for chunk in chunks])
    row = {text: index for index, text in enumerate(known)}
    return made[[row[text] for text in strings]]


def recall(similarity: Float[np.ndarray, "query target"], k: int) -> float:
    """Share of queries with fewer than `k` targets above their own, which is on the diagonal."""
    return _share((similarity > np.diag(similarity)[:, None]).sum(1) < k)


def _share(right: Bool[np.ndarray, " case"]) -> float:
    return round(float(np.mean(right)), 4)


def _classes(clip: Clip) -> dict[str, float | int]:
    scenes, prompts, places = split("classes"), class_prompts(), list(PHRASES)
    seen = images(clip, (scene.image for scene in scenes))
    labels = np.array([NAMES.index(scene.plan.objects[0].name) for scene in scenes])
    named = texts(clip, [prompt for each in prompts for prompt in each]).reshape(len(NAMES), len(TEMPLATES), -1)
    named = named.mean(1) / np.linalg.norm(named.mean(1), axis=1, keepdims=True)
    plain = [each[TEMPLATES.index("{}")] for each in prompts]
    placed = texts(clip, [f"{name} {PHRASES[place]}" for name in plain for place in places])
    placed = placed.reshape(len(NAMES), len(places), -1)[labels]  # scene place embed
    guessed = np.einsum("se,spe->sp", seen, placed).argmax(1)
    there = np.array([places.index(scene.background) for scene in scenes])
    return {
        "zero_shot_top1": _share((seen @ named.T).argmax(1) == labels),
        "background": _share(guessed == there),
    }


def _pairs(clip: Clip) -> dict[str, float | int]:
    scenes = split("pairs")
    seen = images(clip, (scene.image for scene in scenes))
    similarity = seen @ texts(clip, [scene.captions[0].text for scene in scenes]).T
    found = {"image_retrieval_r5": recall(similarity.T, 5), "text_retrieval_r5": recall(similarity, 5)}
    return {**found, **_relations(clip, scenes, seen), **_counts(clip, scenes, seen)}


def _two_objects(clip: Clip) -> dict[str, float | int]:
    """Each object of a scene is named in turn. An erased one is not drawn: what it covered comes to light."""
    scenes = split("two_objects")
    less = [images(clip, (scene.without(index).image for scene in scenes)) for index in (0, 1)]
    lower, centre = [], []
    for named in (0, 1):
        text = texts(clip, [_phrase(scene, (named,)) for scene in scenes])
        lower.append((text * less[named]).sum(1) < (text * less[1 - named]).sum(1))
        centre.append([scene.masks[named, SIZE // 2, SIZE // 2] for scene in scenes])
    return {"erasing": _share(np.concatenate(lower)), "erasing_both_names": _share(lower[0] & lower[1]),
            "centre_pointing": _share(np.concatenate(centre))}  # fmt: skip


def _relations(clip: Clip, scenes: Sequence[Scene], seen: Rows) -> dict[str, float | int]:
    """Every relation between the first and the last object, where both are alone of their kind.

    Asked from both sides, so that a model that only prefers one of two words is right half of the time.
    """
    rows, held, triples = [], [], []
    for row, scene in enumerate(scenes):
        names, last = [placement.name for placement in scene.plan.objects], len(scene.plan.objects) - 1
        if not last or names.count(names[0]) > 1 or names.count(names[last]) > 1:
            continue
        for first, second in ((0, last), (last, 0)):
            one, other = _phrase(scene, (first,)), _phrase(scene, (second,))
            for word in relations(scene, first, second):
                rows.append(row)
                held.append(word)
                triples += [f"{one} {word} {other}", f"{one} {OPPOSITE[word]} {other}", f"{other} {word} {one}"]
    said = texts(clip, triples).reshape(len(rows), 3, -1)
    true, opposite, swapped = np.einsum("re,rce->cr", seen[rows], said)
    found: dict[str, float | int] = {}
    for axis, words in AXES.items():
        where = np.isin(held, words)
        found |= {axis: _share((true > opposite)[where]), f"{axis}_cases": int(where.sum())}
    return found | {"swapped": _share(true > swapped), "swapped_cases": len(rows)}


def _counts(clip: Clip, scenes: Sequence[Scene], seen: Rows) -> dict[str, float | int]:
    """How many of a kind there are, for every kind in every scene; each number weighs the same."""
    rows, many, choices = [], [], []
    for row, scene in enumerate(scenes):
        names = [placement.name for placement in scene.plan.objects]
        for name in dict.fromkeys(names):
            first = names.index(name)
            rows.append(row)
            many.append(names.count(name))
            choices += [_phrase(scene, (first,) * count) for count in range(1, MOST + 1)]
    said = texts(clip, choices).reshape(len(rows), MOST, -1)
    guessed = np.einsum("re,rce->rc", seen[rows], said).argmax(1) + 1
    right, many = guessed == np.array(many), np.array(many)
    each = [np.mean(right[many == count]) for count in range(1, MOST + 1)]
    return {"counts": round(float(np.mean(each)), 4), "counts_cases": int((many > 1).sum())}


def _phrase(scene: Scene, objects: tuple[int, ...]) -> str:
    """ "a dog", or "two dogs": the noun phrase of objects of one kind."""
    thing = find(scene.plan.objects[objects[0]].name)
    return assemble(noun_phrase(thing, objects, thing.name)).text
