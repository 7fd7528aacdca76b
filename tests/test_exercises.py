"""The exercises: every starter fails, every solution passes, every known mistake gets its hint."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import nbformat
import pages_exercises
import pytest
import torch

from mmel.errors import UnknownName
from mmel.exercises import EXERCISES, Result, check
from mmel.exercises.kinds import Coded, Numeric

ROOT = Path(__file__).parents[1] / "notebooks" / "exercises"
STARTERS = sorted(ROOT.glob("*.ipynb"))
CODED = [name for name, each in EXERCISES.items() if isinstance(each.answer, Coded)]
NUMERIC = [name for name, each in EXERCISES.items() if isinstance(each.answer, Numeric)]


@cache
def results(path: Path) -> dict[str, Result]:
    """What `check` says to every exercise of a notebook, its cells run in order as a reader would."""
    found: dict[str, Result] = {}
    space: dict[str, object] = {"__name__": "notebook"}
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type != "code":
            continue
        exec(compile(cell.source, f"{path.name}:{cell.id}", "exec"), space)
        if cell.id == "imports":
            space["check"] = lambda name, answer: found.setdefault(name, check(name, answer))
    return found


def test_starters_and_solutions_ask_what_the_book_asks():
    for path in ROOT.rglob("*.ipynb"):
        for name, cell in pages_exercises.asked(path).items():
            assert cell.source == pages_exercises.words(EXERCISES[name]), f"{path.name}: tools/pages_exercises.py"


def test_there_are_enough_and_each_stands_in_one_pair_of_notebooks():
    assert len(EXERCISES) >= 15
    assert min(each.minutes for each in EXERCISES.values()) == 5
    assert max(each.minutes for each in EXERCISES.values()) >= 60
    names = [name for path in STARTERS for name in results(path)]
    assert sorted(names) == sorted(EXERCISES)
    assert [path.name for path in STARTERS] == [path.name for path in sorted((ROOT / "solutions").glob("*.ipynb"))]


@pytest.mark.parametrize("path", STARTERS, ids=lambda path: path.stem)
def test_every_starter_fails_with_a_hint(path):
    for name, result in results(path).items():
        assert not result, name
        assert len(result.hint) > 20, name


@pytest.mark.parametrize("name", CODED)
def test_a_first_step_is_named(name):
    """For who has not begun, for a mistake that nobody foresaw, and for code that breaks."""
    answer = EXERCISES[name].answer
    assert len(answer.otherwise) > 40 and len(answer.mistakes) >= 3
    many = lambda *some: [torch.ones(1)] * 5  # noqa: E731
    for attempt in (lambda *some: ..., lambda *some: None, lambda *some: 1 / 0, many):
        assert check(name, attempt).hint.endswith(answer.otherwise)
    assert "not finite" in check(name, lambda *some: spoiled(answer.solution(*some))).hint


def spoiled(value):
    """The right shapes, and no number in them."""
    return [torch.as_tensor(each) * math.nan for each in value] if isinstance(value, tuple) else value * math.nan


@pytest.mark.parametrize("path", STARTERS, ids=lambda path: path.stem)
def test_every_solution_passes(path):
    for name, result in results(ROOT / "solutions" / path.name).items():
        assert result, f"{name}: {result.hint}"
        assert "Right." in repr(result)


@pytest.mark.parametrize("name", CODED)
def test_every_known_mistake_is_wrong_and_gets_its_own_hint(name):
    answer = EXERCISES[name].answer
    assert answer.check(answer.solution).right
    for hint, mistake in answer.mistakes.items():
        assert check(name, mistake) == Result(False, hint)


@pytest.mark.parametrize("name", NUMERIC)
def test_every_known_number_is_wrong_and_gets_its_own_hint(name):
    answer = EXERCISES[name].answer
    assert answer.check(answer.value).right and answer.check(answer.value + 0.5 * answer.tolerance).right
    for value, hint in answer.mistakes:
        assert answer.check(value) == Result(False, hint)
    assert answer.check(-12345.6) == Result(False, answer.otherwise)
    assert "no answer yet" in answer.check(None).hint and "is str" in answer.check("many").hint


def test_hints_for_what_is_no_answer():
    assert "a function is asked for" in check("8", 3).hint.lower()
    assert "ZeroDivisionError" in check("8", lambda *a: 1 / 0).hint
    assert "shape is (2,)" in check("8", lambda g, v, s: s[:, 0]).hint
    assert "off by" in check("8", lambda g, v, s: 7 * s).hint
    assert "3 expected" in check("3.2a", lambda w, b, h: h).hint
    with pytest.raises(UnknownName, match="exercise"):
        check("8.1", None)


def test_numbers_that_the_exercises_state():
    assert EXERCISES["9-ratio"].answer.value == pytest.approx(1.074, abs=5e-4)
    assert check("9-ratio", 1.074) and check("9-ratio", 1.0736) and not check("9-ratio", 1.072)
    assert EXERCISES["5-bound"].answer.value == pytest.approx(0.0361, abs=5e-5)
    linear = 768 * 1536 + 1536 + 1536 * 768 + 768
    assert EXERCISES["4"].answer.value == linear + 2 * 768
    assert math.isclose(EXERCISES["4.2-drop"].answer.value, (0.2 + 0 + 0) / 3)


def test_a_method_that_is_none():
    own = EXERCISES["own-method"]
    assert "mmel.record" in own.check(lambda clip, images, texts: ...).hint
    assert "4 maps" in own.check(lambda clip, images, texts: torch.zeros(3, 7)).hint
    assert "flat" in own.check(lambda clip, images, texts: torch.ones(4, 7, 7)).hint
    assert "two maps" in own.check(lambda clip, images, texts: torch.rand(4, 7, 7)).hint
    even = torch.ones(4, 7, 7) + 1e-3 * torch.arange(49.0).view(7, 7)
    assert "times an even map's share" in own.check(lambda clip, images, texts: even).hint

    def changes(clip, images, texts):
        with torch.no_grad():
            clip.model.logit_scale.add_(1)
        return even

    assert "changed the model" in own.check(changes).hint
