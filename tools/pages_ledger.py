"""The claims ledger and the answers to the research questions as HTML: tables that need no script."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from mmel.cli.verifying import read_ledger
from mmel.ledger import VERDICTS, Entry, Measured, research_answer
from mmel.ledger.claims import BY_ITSELF, CONTRADICTED, NOT_RUN, OPEN, REPRODUCED

CLASSES = dict(zip(VERDICTS, ("yes", "no", "itself", "open", "later"), strict=True))
HOLDS = {True: "as claimed", False: "not as claimed", None: "undecided"}
SCRIPT = '<script defer src="../_static/ledger.js"></script>'


def chip(verdict: str) -> str:
    return f'<span class="verdict verdict-{CLASSES[verdict]}">{verdict}</span>'


def measured(found: Measured, entry: Entry, chapters: set[str]) -> str:
    """A measured value, whether the claim holds for it, and the page that measured it."""
    name = str(entry.claim.measured.get("notebook", ""))
    if not name:
        return '<span class="quiet" aria-label="nothing that was measured answers it">\N{EN DASH}</span>'
    if not found.shown:
        return '<span class="quiet">not run yet</span>'
    page = f' <a href="../executed/{name}.html">{escape(name)}</a>' if name in chapters else ""
    says = f"{escape(what(entry.claim.measured))}: <b>{escape(found.shown)}</b>"
    return f"{says} ({HOLDS[found.holds]}){page}"


def what(wanted: Mapping[str, object]) -> str:
    """What was measured, in words: the noted value, and the path into it."""
    field = wanted.get("field", ())
    steps = [field] if isinstance(field, (str, int)) else field
    named = [" and ".join(map(str, step)) if isinstance(step, list) else str(step) for step in steps if step != "*"]
    return ", ".join([str(wanted["value"]), *named])


def row(entry: Entry, chapters: set[str], profile: str) -> str:
    """One claim as a row; the data attributes are what the filter reads."""
    claim, answer = entry.claim, entry.paper
    agrees = {True: "agrees: ", False: "disagrees: ", None: ""}[answer.agrees]
    tags = " ".join(f'<span class="tag">{name}</span>' for name in claim.answers)
    tags += f' <span class="tag">contradiction {claim.contradiction}</span>' if claim.contradiction else ""
    note = f'<p class="note">{escape(claim.note)}</p>' if claim.note else ""
    here = f'<p class="note">This run ({profile}) says: {entry.verdict}.</p>' if entry.stale else ""
    said = f'<q>{escape(claim.quote)}</q><p class="place">{escape(claim.place)} {tags}</p>'
    unmeasured = "" if claim.measured else ' class="none"'
    cells = (
        f'<th scope="row" data-label="Claim">{said}</th>',
        f'<td data-label="In the paper itself">{agrees}{escape(answer.shows) or "no check applies"}{note}</td>',
        f'<td data-label="Bundled world"{unmeasured}>{measured(entry.bundled, entry, chapters)}</td>',
        f'<td data-label="Paper profile"{unmeasured}>{measured(entry.full, entry, chapters)}</td>',
        f'<td data-label="Verdict">{chip(claim.verdict)}{here}</td>',
    )
    data = f'data-verdict="{CLASSES[claim.verdict]}" data-questions="{" ".join(claim.answers)}"'
    return f'<tr id="claim-{claim.id}" {data}>{"".join(cells)}</tr>'


def table(entries: list[Entry], chapters: set[str], profile: str, caption: str) -> str:
    heads = ("Claim", "In the paper itself", "Bundled world", "Paper profile", "Verdict")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "\n".join(row(entry, chapters, profile) for entry in entries)
    return (
        f'<table class="ledger"><caption>{caption}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{body}\n</tbody></table>"
    )


def bar(count: dict[str, int]) -> str:
    """The share of each verdict as one bar, and its numbers as a list."""
    total = sum(count.values())
    parts = "".join(
        f'<span class="verdict-{CLASSES[name]}" style="flex-grow:{count[name]}"></span>'
        for name in VERDICTS
        if count.get(name)
    )
    items = "".join(f"<li>{chip(name)} {count.get(name, 0)}</li>" for name in VERDICTS)
    bars = f'<div class="verdict-bar" aria-hidden="true">{parts}</div>'
    return f'{bars}<ul class="verdict-counts">{items}<li>{total} in all</li></ul>'


def controls() -> str:
    """The filter, hidden until the script that makes it work has come."""
    verdicts = "".join(f'<option value="{CLASSES[name]}">{name}</option>' for name in VERDICTS)
    questions = "".join(f'<option value="{name}">{name}</option>' for name in ("RQ1", "RQ2", "RQ3"))
    return (
        '<form class="ledger-filter" hidden><label>Words <input type="search" name="words"></label>'
        f'<label>Verdict <select name="verdict"><option value="">all</option>{verdicts}</select></label>'
        f'<label>Question <select name="question"><option value="">all</option>{questions}</select></label>'
        '<output name="shown" aria-live="polite"></output></form>'
    )


def chapters_of(root: Path) -> set[str]:
    return {path.stem for path in (root / "executed").glob("*.ipynb")}


def ledger(root: Path, profile: str) -> str:
    """The whole ledger with its filter."""
    entries = read_ledger(root, profile)
    count = {name: sum(entry.claim.verdict == name for entry in entries) for name in VERDICTS}
    shown = table(entries, chapters_of(root), profile, f"{len(entries)} claims of the paper, in its order")
    return f'<div class="ledger-page">{bar(count)}{controls()}{shown}{SCRIPT}</div>'


def rows(root: Path, profile: str) -> list[list[str]]:
    """The ledger as texts, for the file beside the page."""
    top = ["id", "place", "quotation", "questions", "in the paper itself", "this run", "paper profile", "verdict"]
    return [top] + [
        [entry.claim.id, entry.claim.place, entry.claim.quote, " ".join(entry.claim.answers), entry.paper.shows,
         entry.bundled.shown, entry.full.shown, entry.claim.verdict]
        for entry in read_ledger(root, profile)
    ]  # fmt: skip


def answer(count: dict[str, int]) -> str:
    """What the verdicts say together, in a sentence made from their numbers alone."""
    total, held = sum(count.values()), count.get(REPRODUCED, 0)
    against = count.get(BY_ITSELF, 0) + count.get(CONTRADICTED, 0)
    waiting, unclear = count.get(NOT_RUN, 0), count.get(OPEN, 0)
    if against and not held:
        told = (
            f"Not as claimed: of the {total} sentences that bear on it {against} are contradicted, none is reproduced."
        )
    elif against:
        told = f"In part: of the {total} sentences that bear on it {held} are reproduced and {against} contradicted."
    elif held:
        told = f"As far as measured, yes: of the {total} sentences {held} are reproduced and none is contradicted."
    else:
        told = f"Open: none of the {total} sentences has been reproduced or contradicted."
    if own := count.get(BY_ITSELF):
        told += f" Of these, {own} disagree with the paper's own tables, arithmetic or words, whatever is measured."
    told += f" {unclear} cannot be decided from what the paper prints, nor so far by a run." if unclear else ""
    return told + (f" {waiting} wait for a run, which may still change the answer." if waiting else "")


def question(root: Path, profile: str, name: str) -> str:
    """One research question: the answer, the counts, the claims."""
    entries = [entry for entry in read_ledger(root, profile) if name in entry.claim.answers]
    count = research_answer(entries, name)
    shown = table(entries, chapters_of(root), profile, f"The claims that bear on {name}")
    return f'<div class="ledger-page"><p class="rq-answer">{answer(count)}</p>{bar(count)}{shown}</div>'
