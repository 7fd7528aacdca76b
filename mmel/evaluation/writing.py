"""A report as text for a terminal, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from .reporting import Report, failed_of, paper_cell, reason_of, scale_of

CSV_HEAD = (
    "modality", "metric", "row", "mean", "low", "high", "samples", "failures", "best", "difference", "difference_low",
    "difference_high", "p", "p_holm", "reported", "reason",
)  # fmt: skip
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\N{EN DASH}": "--", "\N{MINUS SIGN}": "$-$",
    "\N{UPWARDS ARROW}": r"$\uparrow$", "\N{DOWNWARDS ARROW}": r"$\downarrow$", "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def show(report: Report, console: Console) -> None:
    """The tables on a terminal; wide ones where it is no terminal, so that a file has whole lines."""
    console.width = console.width if console.is_terminal else 180
    console.print(Text(report.title, "bold"))
    for block in report.blocks:
        head = [Column(Text(each)) for each in block.head]
        table = Table(*head, title=block.title, box=box.SIMPLE_HEAD, pad_edge=False)
        table.columns[0].no_wrap = True
        for line in block.lines:
            table.add_row(*(Text(each.text, "bold" if each.bold else "") for each in line))
        console.print(table)
    for note in report.notes:
        console.print(Text(note, "dim"))
    for failure in report.failures:
        console.print(Text(failure, "red"))


def text(report: Report) -> str:
    """The tables as on a terminal, without colours; bold ones between stars."""
    marked = [
        replace(b, lines=[[e._replace(text=f"**{e.text}**") if e.bold else e for e in line] for line in b.lines])
        for b in report.blocks
    ]
    console = Console(file=io.StringIO(), highlight=False, width=180)
    show(Report(report.title, marked, report.notes, report.failures), console)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def markdown(report: Report) -> str:
    """Pipe tables, one for each modality and some columns."""
    parts = [f"# {_pipe(report.title)}"]
    for block in report.blocks:
        lines = [
            [f"**{_pipe(each.text)}**" if each.bold else _pipe(each.text) for each in line] for line in block.lines
        ]
        rule = [*["---"] * block.words, *["---:"] * (len(block.head) - block.words)]
        rows = [list(map(_pipe, block.head)), rule, *lines]
        parts += [f"## {block.title}", "\n".join("| " + " | ".join(row) + " |" for row in rows)]
    parts += ["\n".join(f"- {_pipe(note)}" for note in [*report.notes, *report.failures])]
    return "\n\n".join(parts) + "\n"


def latex(report: Report) -> str:
    """Tables for the package booktabs."""
    parts, notes = [f"% {report.title}"], [*report.notes, *report.failures]
    foot = "{\\footnotesize\n" + "\n\n".join(map(_tex, notes)) + "\n\\par}"
    for block in report.blocks:
        lines = [
            " & ".join(rf"\textbf{{{_tex(each.text)}}}" if each.bold else _tex(each.text) for each in line)
            for line in block.lines
        ]
        body = " \\\\\n".join(lines)
        parts.append(
            f"\\begin{{table}}\n\\caption{{{_tex(report.title)} ({_tex(block.title)})}}\n"
            f"\\begin{{tabular}}{{{'l' * block.words}{'r' * (len(block.head) - block.words)}}}\n\\toprule\n"
            f"{' & '.join(map(_tex, block.head))} \\\\\n\\midrule\n{body} \\\\\n\\bottomrule\n"
            f"\\end{{tabular}}\n\n{foot}\n\\end{{table}}"
        )
    if not report.blocks:
        parts.append(foot)
    return "\n".join(parts) + "\n"


def csv_text(results: Mapping, reported: Mapping) -> str:
    """One line for each cell, all digits, as fractions; the paper's numbers in the same unit."""
    file = io.StringIO()
    out = csv.writer(file, lineterminator="\n")
    out.writerow(CSV_HEAD)
    for column in results["columns"]:
        for row in results["header"]["rows"]:
            cell, printed = column["rows"].get(row["name"]), paper_cell(row["name"], column, reported)
            versus = (cell or {}).get("versus") or {}
            out.writerow(
                [column["modality"], column["metric"], row["name"]]
                + [(cell or {}).get(name, "") for name in ("mean", "low", "high")]
                + [(cell or {"count": 0})["count"], failed_of(row["name"], results), (cell or {}).get("best", "")]
                + [versus.get(name, "") for name in ("mean", "low", "high", "p")]
                + ["" if (p := (cell or {}).get("p_holm")) is None else p]
                + ["" if printed is None else round(printed.value / scale_of(results), 6)]
                + [reason_of(row, column["modality"], cell, results)]
            )
    if not results["columns"]:
        for row in results["header"]["rows"]:
            counts, rest = [0, failed_of(row["name"], results)], [""] * (len(CSV_HEAD) - 9)
            out.writerow(["", "", row["name"], "", "", "", *counts, *rest, reason_of(row, "", None, results)])
    return file.getvalue()


FORMATS: dict[str, Callable[[Report], str]] = {"text": text, "markdown": markdown, "latex": latex}


def _pipe(words: str) -> str:
    return words.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_").replace("\n", " ")


def _tex(words: str) -> str:
    return "".join(LATEX.get(each, each) for each in words)
