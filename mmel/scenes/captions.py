"""A small grammar that says what a scene shows, and knows which pixels each of its content words is about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import SceneError
from .backgrounds import PHRASES
from .objects import NUMBERS, OBJECTS, Thing, find
from .scene import Scene

TEMPLATES = ("a photo of {}", "{}", "a picture of {}")  # as OpenAI's class templates, in this world's words
OCCLUSION = 0.06  # share of an object that must be covered before it is "behind" another
BESIDE = 10  # pixels between centres before one is "left of" or "above" another
RELATIONS = ("to the left of", "to the right of", "above", "below", "behind", "in front of")


@dataclass(frozen=True)
class Word:
    """A content word: characters `start` to `end` of the caption. `role`: object, count, relation or background."""

    text: str
    start: int
    end: int
    role: str
    objects: tuple[int, ...] = ()


@dataclass(frozen=True)
class Caption:
    """A true sentence about a scene and its content words, in order."""

    text: str
    words: tuple[Word, ...]

    def __str__(self) -> str:
        return self.text


Piece = tuple[str, str, tuple[int, ...]]  # text, role ("" for a function word), objects


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def noun_phrase(thing: Thing, objects: tuple[int, ...], word: str) -> list[Piece]:
    """A "dog", "two dogs", "glasses", "two pairs of glasses": the pieces that name these objects by this word."""
    if len(objects) > 1:
        plural = thing.plural if word == thing.name else word + "s"
        pieces = [(NUMBERS[len(objects)], "count", objects), (plural, "object", objects)]
        return [pieces[0], ("pairs of", "", ()), pieces[1]] if thing.pair else pieces
    return [(word, "object", objects)] if thing.pair else [(_article(word), "", ()), (word, "object", objects)]


def relations(scene: Scene, first: int, second: int) -> list[str]:
    """Every relation that holds between two objects, by what is seen: occlusion first, then centres."""
    held = []
    if scene.covers(second, first) >= OCCLUSION:
        held.append("behind")
    if scene.covers(first, second) >= OCCLUSION:
        held.append("in front of")
    one, two = scene.plan.objects[first], scene.plan.objects[second]
    across, down = one.x - two.x, one.y - two.y
    if abs(across) >= max(BESIDE, abs(down)):
        held.append("to the left of" if across < 0 else "to the right of")
    if abs(down) >= max(BESIDE, abs(across)):
        held.append("above" if down < 0 else "below")
    return held


def assemble(pieces: list[Piece]) -> Caption:
    """Join pieces with spaces (none before a comma) and note where each content word came to stand."""
    text, words = "", []
    for piece, role, objects in pieces:
        text += "" if piece == "," or not text else " "
        if role:
            words.append(Word(piece, len(text), len(text) + len(piece), role, objects))
        text += piece
    return Caption(text, tuple(words))


def _groups(scene: Scene, indices: tuple[int, ...]) -> list[tuple[Thing, tuple[int, ...]]]:
    kinds: dict[str, list[int]] = {}
    for index in indices:
        kinds.setdefault(scene.plan.objects[index].name, []).append(index)
    return [(find(name), tuple(members)) for name, members in kinds.items()]


def _listed(phrases: list[list[Piece]]) -> list[Piece]:
    pieces = list(phrases[0])
    for phrase in phrases[1:-1]:
        pieces += [(",", "", ()), *phrase]
    return pieces + ([("and", "", ()), *phrases[-1]] if len(phrases) > 1 else [])


def _place(scene: Scene, pieces: list[Piece]) -> list[Piece]:
    *lead, noun = PHRASES[scene.background].split(" ")
    return [*pieces, (" ".join(lead), "", ()), (noun, "background", ())]


def caption(
    scene: Scene,
    rng: np.random.Generator,
    indices: tuple[int, ...],
    *,
    place: float = 0.45,  # how often the background is named
    relation: float = 0.5,  # how often a relation is named where there is one to name
    synonym: float = 0.15,  # how often another word is used for a thing
    lead: float = 0.0,  # how often a template leads a list of things of several kinds
) -> Caption:
    """A caption that names the objects `indices` (all of a kind together), drawn by `rng`."""
    groups = _groups(scene, indices)
    order = rng.permutation(len(groups))
    phrases = []
    for which in order:
        thing, members = groups[which]
        other = thing.synonyms and rng.random() < synonym
        word = thing.synonyms[int(rng.integers(len(thing.synonyms)))] if other else thing.name
        phrases.append(noun_phrase(thing, members, word))
    pieces = _listed(phrases)
    if len(groups) == 1 or (lead and rng.random() < lead):
        words = TEMPLATES[int(rng.integers(len(TEMPLATES)))].removesuffix("{}").strip()
        pieces = ([(words, "", ())] if words else []) + pieces
    elif rng.random() < relation:
        first, second = groups[order[0]][1], groups[order[1]][1]
        held = relations(scene, first[0], second[0]) if len(first) == len(second) == 1 else []
        if held:
            occluded = [r for r in held if r in ("behind", "in front of")]
            held = occluded if occluded and rng.random() < 0.7 else held
            chosen = held[int(rng.integers(len(held)))]
            rest = [("with", "", ()), *_listed(phrases[2:])] if phrases[2:] else []
            pieces = [*phrases[0], (chosen, "relation", (*first, *second)), *phrases[1], *rest]
    return assemble(_place(scene, pieces) if rng.random() < place else pieces)


def captions(
    scene: Scene, rng: np.random.Generator, indices: tuple[int, ...], count: int, **chances: float
) -> tuple[Caption, ...]:
    """`count` different captions of the same objects; chances are those of `caption`, but later ones vary more."""
    made: dict[str, Caption] = {}
    for _ in range(100 * count):
        if len(made) == count:
            break
        one = caption(scene, rng, indices, **chances)
        made.setdefault(one.text, one)
        chances = {"place": 0.5, "relation": 0.5, "synonym": 0.4, "lead": 0.3}
    if len(made) < count:
        raise SceneError(f"{count} different captions were asked for, but this scene has {len(made)}: ask for fewer.")
    return tuple(made.values())


def class_prompts() -> tuple[tuple[str, ...], ...]:
    """The zero-shot prompts of every class in `OBJECTS`: each template filled with the name and its article."""
    named = (thing.name if thing.pair else f"{_article(thing.name)} {thing.name}" for thing in OBJECTS)
    return tuple(tuple(template.format(name) for template in TEMPLATES) for name in named)


def vocabulary() -> tuple[str, ...]:
    """Every word that a caption can hold, sorted."""
    phrases = [*PHRASES.values(), *RELATIONS, *TEMPLATES, *NUMBERS[1:], "and with an pairs of"]
    for thing in OBJECTS:
        phrases += [thing.name, thing.plural, *thing.synonyms, *(s + "s" for s in thing.synonyms)]
    return tuple(sorted({word for phrase in phrases for word in phrase.replace("{}", " ").split()}))
