"""Text maps against the truth: which words of a caption name something that can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...clip import Clip
from ...metrics import energy_pointing_game, pointing_game
from ...metrics.localisation import average_precision
from ...scenes import Caption, Scene
from ...scenes.captions import assemble, noun_phrase
from ...scenes.objects import find
from .scoring import spans_of

SCORES = ("word_pointing_game", "word_energy_pointing_game", "word_average_precision")
ROLES = ("object", "background", "count", "relation")


def word_truth(clip: Clip, caption, roles: tuple[str, ...] = ("object",)) -> Bool[Tensor, " word"]:
    """For each token of a scene's caption: does it belong to a content word of one of these roles?"""
    spans = spans_of(clip, caption.text)
    named = [(word.start, word.end) for word in caption.words if word.role in roles]
    return torch.tensor([any(a < end and start < b for a, b in named) for start, end in spans])


def judged_words(values: Float[Tensor, " word"], truth: Bool[Tensor, " word"]) -> dict[str, float]:
    """The scores of the localisation games, for words: the highest one, the share of positive mass, the ranking."""
    line, mask = values.detach().cpu().double()[None, None], truth[None, None]  # batch 1 word
    return {
        "word_pointing_game": float(pointing_game(line, mask)[0]),
        "word_energy_pointing_game": float(energy_pointing_game(line, mask)[0]),
        "word_average_precision": float(average_precision(line[0, 0], truth)),
        "chance": float(truth.double().mean()),
    }


class Shared(NamedTuple):
    """One caption of two things, and two pictures: each shows one of the two things and not the other."""

    caption: Caption
    pictures: tuple[Scene, Scene]
    shown: tuple[int, int]  # which object of the caption each picture shows


def shared_captions(scenes: Sequence[Scene]) -> list[Shared]:
    """A caption "a dog and a car" for a scene with a dog and no car, and one with a car and no dog: pairs in order.

    Each thing stands first in half of the captions. A map that does not look at the picture is the same for both
    pictures, and so is right for one of them and wrong for the other. Neighbours that
    show the same things are left out.
    """
    made = []
    for one, other in zip(scenes[::2], scenes[1::2], strict=False):
        names = [[thing.name for thing in scene.objects] for scene in (one, other)]
        own = [next((name for name in names[i] if name not in names[1 - i]), None) for i in (0, 1)]
        if None in own:
            continue
        first = len(made) % 2
        phrases = [noun_phrase(find(own[i]), (place,), own[i]) for place, i in enumerate((first, 1 - first))]
        made.append(Shared(assemble([*phrases[0], ("and", "", ()), *phrases[1]]), (one, other), (first, 1 - first)))
    return made


def told_apart(clip: Clip, shared: Shared, maps: Float[Tensor, "2 context"]) -> float:
    """The share of the two pictures in which the word of what is shown has more than the other's; equal is half."""
    one, other = object_spans(clip, shared.caption)
    count = len(one) + 1
    gaps = [float(values[1:count][one].sum() - values[1:count][other].sum()) for values in maps.detach().cpu().double()]
    least = 1e-6 * float(maps.abs().max())  # rounding: the same text in another batch
    signs = [(1 if shown == 0 else -1) * gap for gap, shown in zip(gaps, shared.shown, strict=True)]
    return sum(1.0 if sign > least else 0.5 if sign >= -least else 0.0 for sign in signs) / len(signs)


def object_spans(clip: Clip, caption: Caption) -> list[Bool[Tensor, " word"]]:
    """For each object that a caption names, which of its tokens are that word's."""
    spans = spans_of(clip, caption.text)
    named = [word for word in caption.words if word.role == "object"]
    return [torch.tensor([start < word.end and word.start < end for start, end in spans]) for word in named]
