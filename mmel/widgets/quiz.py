"""Which method is it? Maps without names, four answers each, and a score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import BadSetting
from ..figures import row
from .packing import maps_of, pack, sprite
from .playable import Playable, alike, colours, first_state

CHOICES = 4


def quiz(
    pictures: Sequence,
    texts: Sequence[str],
    maps: Mapping[str, object],
    *,
    questions: int = 8,
    families: Mapping[str, str] | None = None,
    seed: int = 0,
    title: str = "Which method is it?",
) -> Playable:
    """A blind test: one map, four methods to choose from, and a score against what guessing would reach.

    `maps[method]`: [scene, rows, columns], of the same scene and text for all methods; `families[method]` says in a few
    words what the method looks at, and is shown with the answer. A map that is flat shows nothing to guess by and is
    not asked for. Scenes, methods and wrong answers are drawn from `seed`. Errors: ShapeMismatch, NotANumber,
    BadSetting.
    """
    alike("texts", len(texts), len(pictures))
    if len(maps) < CHOICES:
        raise BadSetting(f"maps of {CHOICES} methods or more are needed to choose from; {len(maps)} came.")
    sizes = {"scene": len(pictures)}
    stored = {
        name: maps_of(each, ("scene", "rows", "columns"), sizes, f"maps of {name}") for name, each in maps.items()
    }
    asked = _draw(stored, questions, seed)
    data = {
        "sprite": sprite(pictures), "texts": list(texts), "methods": list(maps), "questions": asked,
        "maps": {name: pack(each, rows=1) for name, each in stored.items()},
        "families": {name: (families or {}).get(name, "") for name in maps}, "colours": colours(),
    }  # fmt: skip
    first = asked[0]
    alt = f"One scene with a map for the text \u201c{texts[first['scene']]}\u201d, without the name of its method. "
    alt += f"To choose from: {', '.join(first['options'])}."
    shown = [stored[first["method"]][first["scene"]]]
    drawn = row(shown, ["? " + ", ".join(first["options"])], image=pictures[first["scene"]])
    return Playable("quiz", title, alt, data, first_state(drawn))


def _draw(maps: Mapping[str, np.ndarray], questions: int, seed: int) -> list[dict[str, object]]:
    """Questions in which methods come about equally often, and neighbours differ."""
    there = [(name, scene) for name, each in maps.items() for scene in range(len(each)) if np.ptp(each[scene]) > 0]
    if not 1 <= questions <= len(there):
        raise BadSetting(f"questions is 1 to {len(there)}, the number of maps that are not flat; got {questions}.")
    draw = np.random.default_rng(seed)
    rounds: dict[str, list[int]] = {name: [] for name in maps}
    for index in draw.permutation(len(there)):
        rounds[there[index][0]].append(there[index][1])
    order = [(names[i], turn) for turn in range(max(map(len, rounds.values())))
             for names in [list(draw.permutation(list(maps)))] for i in range(len(names))]  # fmt: skip
    asked = [(str(name), rounds[name][turn]) for name, turn in order if turn < len(rounds[name])][:questions]
    return [{"method": name, "scene": scene, "options": _options(name, list(maps), draw)} for name, scene in asked]


def _options(right: str, methods: list[str], draw: np.random.Generator) -> list[str]:
    wrong = draw.choice([name for name in methods if name != right], CHOICES - 1, replace=False)
    return [str(name) for name in draw.permutation([right, *wrong])]
