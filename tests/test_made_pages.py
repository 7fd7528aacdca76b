"""Pages that are made from the sources: nothing missing, and what is missing is noticed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import bookmade
import bookpages
import effects
import equations
import pages_effects
import pages_exercises
import pages_ledger
import pages_reference
import pdf
import pytest
import yaml
from booklaunch import source_notebooks

from mmel.cli.verifying import read_ledger
from mmel.evaluation import rows
from mmel.exercises import EXERCISES

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"


def test_every_equation_has_all_its_legs():
    rows = {row.number: row for row in equations.table(ROOT)}
    assert set(rows) == {"3.1", "3.2a", "3.2b", "3.5", "1a", "1b", "3", "4", "5", "6", "7", "8", "9"}
    assert [one.name for one in rows["6"].functions] == ["layer_weight"]
    assert "sim_qk" in [one.name for one in rows["8"].functions]
    assert rows["5"].tests[0] == "tests/test_mmel.py::test_semantic_attention_equals_its_twin"
    assert "9-ratio" in rows["9"].exercises
    page = equations.page(ROOT)
    assert page.count("$$") == 2 * len(rows) and "ex-9-ratio" in page


@pytest.mark.parametrize("leg", ["function", "property test", "exercise"])
def test_a_missing_leg_is_an_error(monkeypatch, leg):
    if leg == "function":
        monkeypatch.setattr(equations, "functions", lambda root: {})
    elif leg == "property test":
        monkeypatch.setattr(equations, "tests", lambda root: {})
    else:
        monkeypatch.setattr("mmel.exercises.EXERCISES", {})
    with pytest.raises(equations.Missing, match=f"equation 8 has no {leg}"):
        equations.table(ROOT)


def test_which_equations_a_docstring_names():
    assert equations.numbers("Eq. 3 and 4: T.") == ["3", "4"]
    assert equations.numbers("Eq. 8, sim: how much.") == ["8"]
    assert equations.numbers("Sec. 3.5: combined.") == ["3.5"]
    assert equations.numbers("Eq. 6 of Petsiuk et al.: a sum.") == []
    assert equations.numbers("The sum of Eq. 6.") == []


def test_the_ledger_page_is_a_table_without_any_script():
    page = pages_ledger.ledger(ROOT, "no profile of this name")
    entries = read_ledger(ROOT, "no profile of this name")
    assert page.count('<tr id="claim-') == len(entries)
    assert page.count('scope="row"') == len(entries) and "<caption>" in page
    assert '<form class="ledger-filter" hidden>' in page
    assert set(re.findall(r'class="verdict verdict-(\w+)"', page)) == set(pages_ledger.CLASSES.values())


@pytest.mark.parametrize(
    ("count", "begins"),
    [
        ({"contradicted": 2}, "Not as claimed"),
        ({"contradicted": 2, "reproduced": 1}, "In part"),
        ({"reproduced": 1}, "As far as measured, yes"),
        ({"not run yet": 3}, "Open"),
    ],
)
def test_the_answer_to_a_question_follows_from_the_counts(count, begins):
    assert pages_ledger.answer(count).startswith(begins)


@pytest.mark.parametrize("name", ["RQ1", "RQ2", "RQ3"])
def test_each_question_has_a_page_with_its_claims(name):
    assert f"<!-- made: research-question {name} -->" in (BOOK / f"{name.lower()}.md").read_text()
    page = pages_ledger.question(ROOT, "no profile of this name", name)
    assert page.count('<tr id="claim-') == page.count(f'<span class="tag">{name}</span>') >= 10


def noted(mean: float, p: float, count: int = 9) -> dict:
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1, "p": p, "count": count}


@pytest.fixture
def measured(tmp_path):
    """A book whose run has noted the differences of the given pairs in every measure of RQ2's Table 2."""
    (tmp_path / "book").mkdir()
    for name in ("effects.yml", "paper_tables.csv"):
        (tmp_path / "book" / name).write_text((BOOK / name).read_text())

    def of(**gaps: dict) -> list[effects.Group]:
        wanted = yaml.safe_load((BOOK / "effects.yml").read_text())["RQ2"]
        found: dict = {}
        for each in wanted:
            for name, path in each["values"].items():
                place = found.setdefault(each["chapter"], {}).setdefault(name, {})
                for step in path:
                    place = place.setdefault(step, {})
                place.update({pair: gaps[pair.split(" less ")[1]] for pair in each["pairs"] if gaps})
        (tmp_path / "runs" / "x").mkdir(parents=True, exist_ok=True)
        (tmp_path / "runs" / "x" / "results.json").write_text(json.dumps(found))
        return effects.groups_of(tmp_path, "x", "RQ2")

    return of


def said(groups: list, other: str) -> list[str]:
    return [each.says for group in groups for each in group.effects if each.other == other]


def test_an_effect_is_decided_by_its_interval_and_its_corrected_chance(measured):
    groups = measured(grad_eclip_all=noted(0.5, 0.001), grad_eclip_one_head=noted(-0.5, 0.02))
    better = ["better" if group.higher else "worse" for group in groups for each in group.effects if each.same]
    assert said(groups, "grad_eclip_all") == better and set(better) == {"better", "worse"}
    assert set(said(groups, "grad_eclip_one_head")) == {"undecided"}, "0.02 decides alone, and not ten times over"
    assert set(
        said(measured(grad_eclip_all=noted(0.05, 0.001), grad_eclip_one_head=noted(0, 1)), "grad_eclip_all")
    ) == {"undecided"}
    few = measured(grad_eclip_all=noted(0.5, 0.001, 5), grad_eclip_one_head=noted(0.5, 0.001))
    assert set(said(few, "grad_eclip_all")) == {"too few"} and "better" in said(few, "grad_eclip_one_head")
    assert set(said(measured(), "grad_eclip_all")) == {"not run yet"}


def test_the_sentence_above_the_effects_follows_from_them(measured):
    groups = measured(grad_eclip_all=noted(0.0, 1.0), grad_eclip_one_head=noted(0.5, 0.0001))
    text = pages_effects.verdict(groups)
    same = {**noted(0.0, 1.0), "low": 0.0, "high": 0.0}
    assert set(said(measured(grad_eclip_all=same, grad_eclip_one_head=same), "grad_eclip_all")) == {"the same"}
    assert text.startswith("<b>Not shown") and "better in none, worse in none, undecided in 6 of 6" in text
    assert "Against the other rows it is better in 5, worse in 5 of 10; the paper prints it ahead in 7 of 8." in text
    sure = pages_effects.verdict(measured(grad_eclip_all=noted(-0.5, 0.0001), grad_eclip_one_head=noted(0, 1)))
    assert (
        sure.startswith("<b>Better in some, worse in others.")
        and "Table 2, Deletion @1, true label: \N{MINUS SIGN}0.5" in sure
    )
    assert pages_effects.verdict(measured()).startswith("<b>Not run yet.")
    pair = [replace(groups[0].effects[0], reading=reading, says=says) for reading, says in
            zip(effects.READINGS, ("worse", "better"), strict=True)]  # fmt: skip
    assert pages_effects.head(pair) == "It depends on how the equations are read."
    assert pages_effects.head([replace(pair[0], says="too few")]) == "Too few samples to say."
    assert pages_effects.head(pair[1:]) == "Yes, in every comparison."
    assert pages_effects.head([*pair[1:], groups[0].effects[0]]) == "In part."


def test_the_papers_own_difference_stands_beside_its_row(measured):
    groups = {group.title: group for group in measured()}
    reported = {each.other: each.reported for each in groups["Table 2, Deletion @1, true label"].effects}
    assert reported["grad_eclip_one_head"] == pytest.approx(0.2346 - 0.2464) and reported["grad_eclip_all"] is None
    assert all(
        each.reported is None for each in groups["Deletion, probability of the true label (full protocol)"].effects
    )
    assert len(pages_effects.rows(list(groups.values()))) == 1 + sum(len(group.effects) for group in groups.values())


@pytest.mark.parametrize("question", ["RQ1", "RQ2", "RQ3"])
def test_effects_name_chapters_rows_and_columns_that_exist(question):
    page = pages_effects.page(ROOT, "no profile of this name", question)
    assert f"<!-- made: effects {question} -->" in (BOOK / f"{question.lower()}.md").read_text()
    assert page.count("not run yet") > 10 and "<svg" not in page
    for group in effects.groups_of(ROOT, "no profile of this name", question):
        assert (ROOT / "notebooks" / f"{group.page}.ipynb").exists()
        assert {name for each in group.effects for name in (each.reading, each.other)} <= set(rows.ROWS)


def test_made_parts_are_known_and_used():
    asked = {found[1] for path in BOOK.glob("*.md") for found in bookpages.MARK.finditer(path.read_text())}
    assert asked == set(bookpages.PARTS)


def test_exercises_have_a_check_or_an_attempt_and_a_solution():
    page = pages_exercises.page(ROOT)
    assert page.count('<details class="solution"') == len(EXERCISES)
    assert page.count('<form class="answer"') + page.count('<form class="attempt"') == len(EXERCISES)
    slugs = [pages_exercises.slug(name) for name in EXERCISES]
    assert len(set(slugs)) == len(slugs)


def test_names_in_prose_lead_to_the_reference():
    targets = pages_reference.targets(ROOT)
    page = pages_reference.page(ROOT)
    for name in ("mmel.explain", "mmel.record", "mmel.load_clip", "mmel.methods.mmel.enhance", "mmel.similarity"):
        assert f'id="{targets[name]}"' in page
    figure = (BOOK / "figure1.svg").read_text()
    for anchor in re.findall(r'href="reference\.html#([\w.]+)"', figure):
        assert f'id="{anchor}"' in page
    chapters = re.findall(r'href="\.\./executed/(\w+)\.html"', figure)
    assert all((ROOT / "notebooks" / f"{name}.ipynb").exists() for name in chapters)


def test_the_book_has_five_parts():
    captions = [part["caption"] for part in yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]]
    assert captions == ["Start", "Method", "Experiments", "Does it hold?", "Classroom and back matter"]


def test_a_footer_says_what_a_page_was_made_from():
    run = {"parameters": {"seed": 0, "scenes": 3}, "seconds": 4.0, "finished": "2026-01-01T00:00:00Z"}
    made = {
        "profile": "quick", "commit": "abcdef0123456789", "changed_files": 2, "threads": 1, "notebooks": {"01_x": run},
        "machine": {"system": "S", "processor": "P", "cores": 2}, "hashes": {"w.safetensors": "0123456789abcdef"},
    }  # fmt: skip
    text = bookmade.footer("01_x", made, "n.json")
    for part in ("FIG=01_x", "abcdef012345<", "2 files changed", "scenes = 3", "0123456789ab<", "2 cores", "n.json"):
        assert part in text
    for name, page in bookmade.PAGES.items():
        assert (ROOT / f"{name}.md").exists()
        text = bookmade.footer_of_made(page, made)
        for part in ("make book PROFILE=quick", page.command, page.file, "abcdef012345<", "0123456789ab<", "2 cores"):
            assert part in text
        assert len(page.rows()) > 5 and len({len(row) for row in page.rows()}) == 1
    body = '<figure class="x" id="fig-a"><img><figcaption><p>A</p></figcaption></figure>'
    assert bookmade.FIGURE.search(body)[2] == "fig-a"


def test_pages_joined_for_print_keep_their_links():
    html = (
        '<article class="bd-article"><h1 id="one">1</h1><a href="../executed/b.html#two">b</a><a href="#one">up</a>'
        '<img src="../_images/x.png" loading="lazy"><a href="https://example.org/">out</a><script>1</script></article>'
    )
    text = pdf.article("book/a", html, {"book/a", "executed/b"})
    assert 'id="book-a--one"' in text and 'href="#executed-b--two"' in text and 'href="#book-a--one"' in text
    assert 'src="_images/x.png"' in text and 'href="https://example.org/"' in text and "<script" not in text
    assert "lazy" not in text  # nobody scrolls on paper


def test_launch_links_open_the_source():
    buttons = [{"buttons": [{"url": "https://mybinder.org/x?urlpath=lab/tree/executed/01.ipynb"}]}]
    source_notebooks(buttons)
    assert buttons[0]["buttons"][0]["url"].endswith("notebooks/01.ipynb")


def test_workflows_have_pinned_actions_and_few_permissions():
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        flow = yaml.safe_load(path.read_text())
        assert flow["permissions"] == {"contents": "read"}
        steps = [step for job in flow["jobs"].values() for step in job["steps"]]
        used = [step["uses"] for step in steps if "uses" in step]
        assert used and all(re.fullmatch(r"actions/[\w-]+@v\d+", each) for each in used)
        assert "pull_request_target" not in json.dumps(flow, default=str)
