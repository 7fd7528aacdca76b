"""Sec. 4.7, error analysis, one thing at a time: the same object among more others, larger, or covered.

Scenes made here have no captions, for what a caption says may no longer be true.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import BadSetting
from ..scenes import SIZE, Placement, Scene
from .crowd import Question

TRIES = 48  # places on the way from beside an object to the middle of it


def nested(asked: Question, counts: Sequence[int]) -> list[Question]:
    """The same object of the same scene among fewer others: one question for each number of objects.

    Nothing else changes: place, size and background stay, and others only go, the last drawn first; what they covered
    comes to light. Raises `BadSetting` for more objects than the scene has.
    """
    total = len(asked.scene.objects)
    if not all(1 <= count <= total for count in counts):
        raise BadSetting(f"scene {asked.scene.key!r} has {total} objects; got counts {list(counts)}.")
    others = [index for index in range(total) if index != asked.target]
    made = []
    for count in counts:
        gone = others[count - 1 :]
        scene = Scene(asked.scene.without(*gone).plan, (), f"{asked.scene.key}-of-{count}")
        made.append(Question(scene, asked.target - sum(index < asked.target for index in gone), asked.text))
    return made


def resized(asked: Question, size: float) -> Question:
    """The same scene with the object that is asked for `size` pixels large, moved only as far as the edge asks."""
    plan = asked.scene.plan
    old = plan.objects[asked.target]
    low, high = size / 2, SIZE - size / 2
    if not 4 <= size <= SIZE:
        raise BadSetting(f"a size runs from 4 to {SIZE} pixels; got {size}.")
    new = replace(old, size=float(size), x=float(np.clip(old.x, low, high)), y=float(np.clip(old.y, low, high)))
    objects = tuple(new if index == asked.target else one for index, one in enumerate(plan.objects))
    return asked._replace(scene=Scene(replace(plan, objects=objects), (), f"{asked.scene.key}-size-{size:g}"))


def covered(asked: Question, other: int, share: float) -> Question:
    """The same scene with object `other` in front of the one that is asked for, covering about `share` of it.

    `other` comes nearer along the line between the two until it covers `share` most closely; what is reached is the
    question's `visible`. Raises `BadSetting` for a share outside 0..1 and for the object itself.
    """
    plan = asked.scene.plan
    if not 0 <= share <= 1 or other == asked.target or not 0 <= other < len(plan.objects):
        raise BadSetting(f"another object of the scene and a share in 0..1 are needed; got {other} and {share}.")
    here, there = plan.objects[asked.target], plan.objects[other]
    way = np.array([there.x - here.x, there.y - here.y])
    way = way / max(np.linalg.norm(way), 1e-9) if np.abs(way).max() > 1 else np.array([1.0, 0.0])
    best, missed = asked, np.inf
    for step in range(TRIES + 1):
        reach = (here.size + there.size) * (1 - step / TRIES)
        x, y = np.clip(np.array([here.x, here.y]) + way * reach, there.size / 2, SIZE - there.size / 2)
        moved = replace(there, x=round(float(x), 1), y=round(float(y), 1))
        made = _in_front(asked, other, moved, f"covered-{share:g}")
        off = abs(1 - made.scene.objects[made.target].visible - share)
        if off < missed:
            best, missed = made, off
    return best


def _in_front(asked: Question, other: int, moved: Placement, suffix: str) -> Question:
    """`moved` in the place of object `other`, drawn last."""
    plan = asked.scene.plan
    rest = tuple(old for index, old in enumerate(plan.objects) if index != other)
    scene = Scene(replace(plan, objects=(*rest, moved)), (), f"{asked.scene.key}-{suffix}")
    return Question(scene, asked.target - (other < asked.target), asked.text)
