"""The teacher's page: slots that follow each other, exercises that fit into theirs, pages that exist."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from mmel.exercises import EXERCISES

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "teaching.md").read_text()
LESSONS = {"One lesson of 50 minutes": 50, "A course of 3 hours": 180}


class Slot(NamedTuple):
    start: int  # minutes
    end: int
    what: str
    where: str


def minutes(time: str) -> int:
    hours, _, rest = time.rpartition(":")
    return 60 * int(hours or 0) + int(rest)


def plan(title: str) -> list[Slot]:
    """The table of one section."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"^\| ([\d:]+) to ([\d:]+) \| (.*?) \| (.*?) ?\|$", section, re.MULTILINE)
    return [Slot(minutes(start), minutes(end), what, where) for start, end, what, where in found]


def faults(slots: list[Slot], whole: int) -> list[str]:
    """What does not add up."""
    pairs = [(one, other) for one, other in pairwise(slots) if one.end != other.start]
    wrong = [f"{one.what} ends at {one.end}, {other.what} begins at {other.start}" for one, other in pairs]
    if not slots or (slots[0].start, slots[-1].end) != (0, whole):
        wrong.append(f"the plan is not of {whole} minutes")
    for slot in slots:
        names = re.findall(r"`([^`]+)`", re.sub(r"\{\w+\}`[^`]*`", "", slot.what))
        wrong += [f"there is no exercise {name}" for name in names if name not in EXERCISES]
        needed = sum(EXERCISES[name].minutes for name in names if name in EXERCISES)
        home = re.search(r"Homework.* (\d+) minutes", slot.what)
        if home and int(home[1]) != needed:
            wrong.append(f"homework of {needed} minutes, not {home[1]}")
        if not home and needed > slot.end - slot.start:
            wrong.append(f"{slot.what} needs {needed} minutes and has {slot.end - slot.start}")
    return wrong


@pytest.mark.parametrize("title", LESSONS)
def test_the_plan_adds_up(title):
    slots = plan(title)
    assert len(slots) >= 7 and faults(slots, LESSONS[title]) == []
    for page in (name for slot in slots for name in re.findall(r"\{doc\}`/([^`]+)`", slot.where)):
        source = f"notebooks/{Path(page).name}.ipynb" if page.startswith("executed/") else f"{page}.md"
        assert (ROOT / source).exists(), page


def test_a_plan_that_does_not_is_seen():
    tight = [Slot(0, 20, "Exercise `9-ratio`", ""), Slot(25, 50, "Homework: `tokens`, 10 minutes. `none`", "")]
    said = " ".join(faults(tight, 60))
    assert all(words in said for words in ("needs 30", "begins at 25", "of 5 minutes", "no exercise none", "not of 60"))
