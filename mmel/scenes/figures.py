"""The paper's Figures 2 to 6 as scenes of the bundled world. Its photographs cannot be had; its subjects can."""

from __future__ import annotations

from .backgrounds import PHRASES
from .captions import RELATIONS, Caption, assemble, noun_phrase
from .objects import find
from .scene import Placement, Plan, Scene


def _put(name: str, x: float, y: float, size: float, mirror: bool = False) -> Placement:
    return Placement(name, x, y, size, mirror)


def _say(background: str | None, *parts: str | tuple[int, ...]) -> Caption:
    """A caption from parts: "dog", (0,) names object 0; any other text stands as it is; `background` ends it."""
    pieces, named = [], []
    for part in parts:
        if isinstance(part, tuple):
            word = pieces.pop()[0]
            pieces += noun_phrase(find(word), part, word)
            named.append(part)
        else:
            pieces.append((part, "relation" if part in RELATIONS else "", ()))
    for index, (text, role, _) in enumerate(pieces):
        if role == "relation":
            around = [p[2] for p in pieces if p[1] == "object"]
            before = sum(p[1] == "object" for p in pieces[:index])
            pieces[index] = (text, role, (*around[before - 1], *around[before]))
    if background:
        *lead, noun = PHRASES[background].split(" ")
        pieces += [(" ".join(lead), "", ()), (noun, "background", ())]
    return assemble(pieces)


def _scene(key: str, background: str, seed: int, objects: tuple[Placement, ...], *captions: Caption) -> Scene:
    return Scene(Plan(background, seed, objects), captions, f"figures/{key}")


FIGURES: tuple[Scene, ...] = (
    _scene("dog-behind-car", "road", 11, (_put("dog", 40, 50, 50), _put("car", 62, 72, 58)),
           _say(None, "dog", (0,), "behind", "car", (1,)), _say("road", "dog", (0,), "and", "car", (1,))),
    _scene("dog-seat-lights", "road", 12,
           (_put("seat", 30, 70, 52), _put("dog", 46, 70, 38), _put("traffic light", 84, 30, 32),
            _put("traffic light", 100, 62, 30)),
           _say(None, "dog", (1,), "in front of", "seat", (0,), "with", "traffic light", (2, 3))),
    _scene("monkey-bicycle-car", "road", 13,
           (_put("car", 84, 36, 42), _put("bicycle", 42, 76, 54), _put("monkey", 40, 50, 40)),
           _say(None, "monkey", (2,), "above", "bicycle", (1,), "with", "car", (0,))),
    _scene("cats-and-shoes", "room", 14,
           (_put("cat", 30, 40, 42), _put("cat", 82, 40, 42, True),
            _put("shoe", 34, 92, 34), _put("shoe", 80, 92, 34, True)),
           _say("room", "cat", (0, 1), "and", "shoe", (2, 3))),
    _scene("face-and-shoe", "grass", 15, (_put("face", 36, 40, 44), _put("shoe", 80, 82, 40)),
           _say("grass", "face", (0,), "and", "shoe", (1,))),
    _scene("elephant-tree", "grass", 16, (_put("elephant", 38, 72, 50), _put("tree", 86, 48, 46)),
           _say("grass", "elephant", (0,), "to the left of", "tree", (1,))),
    _scene("boat-whale", "water", 17, (_put("boat", 34, 40, 46), _put("whale", 80, 80, 42)),
           _say("water", "boat", (0,), "above", "whale", (1,))),
    _scene("penguin-umbrella", "snow", 19, (_put("penguin", 70, 74, 44), _put("umbrella", 66, 34, 40)),
           _say("snow", "penguin", (0,), "below", "umbrella", (1,))),
)  # fmt: skip
