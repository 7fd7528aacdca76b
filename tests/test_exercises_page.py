"""Exercises in a real browser: the page says what `check` says, and a solution opens after an attempt only."""

from __future__ import annotations

from pathlib import Path

import pages_exercises
import pytest

from mmel.exercises import EXERCISES, Numeric, check

SCRIPT = (Path(__file__).parents[1] / "assets" / "exercises.js").read_text()
NUMERIC = {name: each for name, each in EXERCISES.items() if isinstance(each.answer, Numeric)}


@pytest.fixture(scope="module")
def page(browser):
    """Every exercise's form and its closed solution, as on the page."""
    parts = []
    for name, each in EXERCISES.items():
        parts.append(pages_exercises.form(each, each.answer) if name in NUMERIC else pages_exercises.attempt(each))
        parts.append(f'<details class="solution" id="solution-{pages_exercises.slug(name)}">answer</details>')
    made = browser.new_page()
    made.set_content(f"<!doctype html><body>{''.join(parts)}<script>{SCRIPT}</script>")
    return made


def say(page, name: str, text: str) -> str:
    """What the page answers."""
    form = page.locator(f'form[data-for="{pages_exercises.slug(name)}"]')
    form.locator("input, textarea").fill(text)
    form.locator("button").click()
    return form.locator("output").inner_text()


def is_open(page, name: str) -> bool:
    return page.locator(f"#solution-{pages_exercises.slug(name)}").is_visible()


@pytest.mark.parametrize("name", EXERCISES)
def test_a_solution_waits_for_an_attempt(page, name):
    assert not is_open(page, name)
    for nothing in ("", "many", "1 / 0") if name in NUMERIC else ("", "no idea"):
        assert len(say(page, name, nothing)) > 15 and not is_open(page, name), nothing
    say(page, name, "12345.6" if name in NUMERIC else "I took the cosine of all of them, and then I was stuck.")
    assert is_open(page, name)


@pytest.mark.parametrize("name", NUMERIC)
def test_the_page_says_what_check_says(page, name):
    answer = NUMERIC[name].answer
    near = [answer.value + factor * answer.tolerance for factor in (0, 0.9, -0.9, 1.2, -1.2, 3)]
    for number in [*near, *(value for value, _ in answer.mistakes), answer.value + 1, 2 * answer.value + 7, -12345.6]:
        assert say(page, name, repr(float(number))) == repr(check(name, float(number))), number


def test_numbers_as_people_write_them(page):
    assert all(say(page, "9-bound", text).startswith("Right.") for text in ("3", " 3.0 ", "3,0", "6/2"))
    assert say(page, "4", "2,363,136").startswith("Right.")
    assert say(page, "9-bound", "\N{MINUS SIGN}3") == repr(check("9-bound", -3))
