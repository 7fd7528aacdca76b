"""The effects behind a research question as a page shows them: a forest that is a table, and a sentence from it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from effects import ALIKE, BETTER, FEW, LATER, OFFICIAL, OPEN, READINGS, SAME, WORSE, Effect, Group, groups_of

from mmel.evaluation.beside import paper_name
from mmel.ledger.evidence import LEAST
from mmel.stats import LEVEL

QUESTIONS = {
    "RQ1": "does it keep what the score needs (Table 1)?",
    "RQ2": "are its maps more faithful (Tables 2 and 3)?",
    "RQ3": "does it find what was named?",
}
WIDTH, HALF = 240, 104  # of the drawing, and of each side of its zero
MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"


def name_of(other: str) -> str:
    """The other row in words, with the paper's name of it."""
    own = {SAME: "Grad-ECLIP, same blocks", OFFICIAL: "Grad-ECLIP, official code"}
    paper = paper_name(other) or other
    return own.get(other, {"KS": "Kernel SHAP", "Chefer": "Chefer et al."}.get(paper, paper))


def signed(value: float, digits: int) -> str:
    """A difference with its sign, 0 without one."""
    text = f"{value:+.{digits}f}"
    return f"{0:.{digits}f}" if not float(text) else text.replace("-", MINUS)


def counts(effects: Sequence[Effect]) -> dict[str, int]:
    return {word: sum(each.says == word for each in effects) for word in (BETTER, WORSE, ALIKE, OPEN, FEW, LATER)}


def told(effects: Sequence[Effect]) -> str:
    """better in 2, worse in none, undecided in 4 of 6 comparisons"""
    count = counts(effects)
    parts = [f"{word} in {count[word] or 'none'}" for word in (BETTER, WORSE)]
    rest = [f"{word} in {count[word]}" for word in (ALIKE, OPEN, FEW, LATER) if count[word]]
    return ", ".join([*parts, *rest]).replace("too few in", "on too few samples in") + f" of {len(effects)}"


def sizes(found: Sequence[tuple[Group, Effect]]) -> str:
    """What is decided, with its size: a sure difference may be a small one."""
    sure = [
        f"{group.title}: {signed(each.gap['mean'], group.digits)}"
        for group, each in found
        if each.says in (BETTER, WORSE)
    ]
    return f" ({'; '.join(sure)})" if sure else ""


def head(effects: Sequence[Effect]) -> str:
    """The answer in a few words, from the comparisons with the map that MMEL's gate multiplies."""
    count = counts(effects)
    won, lost, total = count[BETTER], count[WORSE], sum(count.values())
    by_reading = [{each.says for each in effects if each.reading == name} & {BETTER, WORSE} for name in READINGS]
    if count[LATER] == total:
        return "Not run yet."
    if count[LATER] + count[FEW] == total:
        return "Too few samples to say."
    if won == total:
        return "Yes, in every comparison."
    if {BETTER} in by_reading and {WORSE} in by_reading:
        return "It depends on how the equations are read."
    if won and lost:
        return "Better in some, worse in others."
    if won:
        return "In part."
    return "No: worse in some, better in none." if lost else "Not shown: no difference can be told from chance."


def verdict(groups: Sequence[Group]) -> str:
    """The answer and its counts, as HTML. Every word follows from the lines."""
    every = [(group, each) for group in groups for each in group.effects]
    same = [(group, each) for group, each in every if each.same]
    parts = []
    for reading, words in READINGS.items():
        own = [(group, each) for group, each in same if each.reading == reading]
        if own:
            parts.append(f"MMEL {coded(words)} is {told([each for _, each in own])}{escape(sizes(own))}")
    text = f"<b>{head([each for _, each in same])}</b> Against Grad-ECLIP over the same blocks, the map that its "
    text += f"gate multiplies, {'; '.join(parts)}"
    if rest := [each for _, each in every if not each.same]:
        text += f". Against the other rows it is {told(rest)}"
    ahead = [(each.reported > 0) == group.higher for group, each in every if each.reported]
    return text + (f"; the paper prints it ahead in {sum(ahead)} of {len(ahead)}." if ahead else ".")


def coded(reading: str) -> str:
    return f"<code>{reading}</code>" if reading.isupper() else reading


def drawing(effect: Effect, scale: float, higher: bool) -> str:
    """The interval as a line, the mean as a point (full where decided), the paper's difference as a diamond."""
    if not effect.gap:
        return ""
    middle = WIDTH / 2
    low, mean, high = (middle + HALF * effect.gap[end] / scale for end in ("low", "mean", "high"))
    side = middle if higher else 0
    parts = [
        f'<rect class="side" x="{side:g}" width="{middle:g}" height="20"/><path class="zero" d="M{middle:g} 0v20"/>',
        f'<path class="range" d="M{low:.1f} 10H{high:.1f}"/><circle cx="{mean:.1f}" cy="10" r="4"/>',
    ]
    if effect.reported is not None:
        at = middle + HALF * effect.reported / scale
        parts.append(f'<path class="reported" d="M{at:.1f} 4l5 6-5 6-5-6z"/>')
    return f'<svg viewBox="0 0 {WIDTH} 20" class="{effect.says.split()[0]}" aria-hidden="true">{"".join(parts)}</svg>'


def line(effect: Effect, group: Group, scale: float) -> str:
    gap, few = effect.gap, f'<td class="few">{DASH}</td>'
    numbers = few * 3
    if gap:
        p = DASH if effect.p is None else "&lt; 0.001" if effect.p < 0.001 else f"{effect.p:.3f}"
        mean, low, high = (signed(gap[end], group.digits) for end in ("mean", "low", "high"))
        numbers = (
            f'<td data-label="difference"><b>{mean}</b> [{low}, {high}]</td>'
            f'<td data-label="p">{p}</td><td data-label="samples">{gap["count"]}</td>'
        )
    reported = few
    if effect.reported is not None:
        reported = f'<td data-label="paper">{signed(effect.reported, group.digits)}</td>'
    reading = coded(READINGS[effect.reading])
    return (
        f'<tr><th scope="row">{reading} less {escape(name_of(effect.other))}</th>'
        f'<td class="forest">{drawing(effect, scale, group.higher)}</td>{numbers}'
        f'<td data-label="here">{effect.says}</td>{reported}</tr>'
    )


def body(group: Group) -> str:
    """One measure: its name, which side is better, its lines on one scale."""
    ends = [abs(each.gap[end]) for each in group.effects if each.gap for end in ("low", "high")]
    scale = max([*ends, *(abs(each.reported) for each in group.effects if each.reported)], default=0) or 1
    low, high = (signed(end, group.digits) for end in (-scale, scale))
    sides = f"{low} to {high}, {'right' if group.higher else 'left'} is better"
    lines = "".join(line(each, group, scale) for each in group.effects)
    link = f'<a href="../executed/{group.page}.html">{group.page}</a>'
    return (
        f'<tbody><tr><th scope="rowgroup" colspan="7">{escape(group.title)} '
        f'<span class="quiet">{sides} \N{MIDDLE DOT} {link}</span></th></tr>{lines}</tbody>'
    )


def rows(groups: Sequence[Group]) -> list[list[str]]:
    """The lines as texts with all their digits, for the file beside the page."""
    top = ["measure", "MMEL", "less", "mean", "low", "high", "p (Holm)", "samples", "here", "paper's difference"]
    return [top] + [
        [group.title, each.reading, each.other, *(str(each.gap.get(end, "")) for end in ("mean", "low", "high")),
         "" if each.p is None else str(each.p), str(each.gap.get("count", "")), each.says,
         "" if each.reported is None else f"{each.reported:.6g}"]
        for group in groups for each in group.effects
    ]  # fmt: skip


def page(root: Path, profile: str, question: str) -> str:
    """The answer, its forest, and how to read it."""
    groups = groups_of(root, profile, question)
    tested = [each.same for group in groups for each in group.effects if each.p is not None]
    names = ("MMEL\N{HORIZONTAL ELLIPSIS}", "95 % interval", "difference", "p", "samples", "here", "paper")
    top = "".join(f'<th scope="col">{name}</th>' for name in names)
    key = (
        "A line: mean difference over the same samples, 95 % bootstrap interval. <i>p</i>: signs flipped at random, "
        f"after Holm's correction, once over the {sum(tested)} differences from the same blocks and once over the "
        f"{len(tested) - sum(tested)} others, those of {LEAST} samples or more. The point is full where the interval "
        f"leaves 0 out and p is below {LEVEL:g}; the shaded side is the better one. <i>The same</i>: no sample "
        "differs at all. Official code: the last block alone, with one head. <i>paper</i>, a diamond: the "
        "difference between two printed means, of other data and another model, beside our closest reading of the row."
    )
    return (
        f'<div class="ledger-page"><p class="rq-answer">{verdict(groups)}</p><table class="effects"><caption>'
        f"MMEL less other methods, profile <code>{escape(profile)}</code></caption><thead><tr>{top}</tr></thead>"
        f'{"".join(map(body, groups))}</table><p class="note">{key}</p></div>'
    )


def answers(root: Path, profile: str) -> str:
    """The three questions, each with its answer in a few words, as a list that leads to their pages."""
    lines = []
    for name, words in QUESTIONS.items():
        same = [each for group in groups_of(root, profile, name) for each in group.effects if each.same]
        link = f'<a href="{name.lower()}.html">{name}, {words}</a>'
        lines.append(f"<li>{link} <b>{head(same)}</b> MMEL is {told(same)} comparisons.</li>")
    return f'<ul class="answers">{"".join(lines)}</ul>'
