"""readme.py [check]: fill the table of results in README.md, or say whether it is out of date.

Values come from mmel/weights/card.json (what `python -m mmel.training --score` measured) and from
runs/bundled/results.json (what `make reproduce` measured); a value that no run has left yet is a dash.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from collect import write

ROOT = Path(__file__).parents[1]
MODELS = ("bundled", "bundled-1")
START, END = "<!-- results: made by tools/readme.py -->", "<!-- end of results -->"
SCORE = "`python -m mmel.training --score --name NAME`"
CARD = {  # name on the card -> what it is, and the goal or chance
    "zero_shot_top1": ("Zero-shot top-1, 84 names, 1,000 scenes", "goal 0.95"),
    "image_retrieval_r5": ("Image retrieval R@5 among 1,000 pairs", "goal 0.85"),
    "text_retrieval_r5": ("Text retrieval R@5 among 1,000 pairs", "goal 0.85"),
    "erasing": ("Erasing the named one of two objects lowers the cosine more", "goal 0.90"),
    "centre_pointing": ("The middle pixel lies on the named object", "goal below 0.35"),
    "left_right": ("Left or right: the true caption wins", "chance 0.50"),
    "above_below": ("Above or below: the true caption wins", "chance 0.50"),
    "behind_front": ("Behind or in front of: the true caption wins", "chance 0.50"),
    "counts": ("One, two or three of a kind", "chance 0.33"),
}
RUN = {  # (notebook, name) -> what it is; measured by `make reproduce` with `bundled`
    ("01_welcome", "rank_correlation_same_blocks"): (
        "Rank correlation of MMEL (as its equations print it) and Grad-ECLIP over the same blocks, one scene",
        "1 is the same order",
    ),
}


def share(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, (int, float)) else "-"


def table(card: dict, results: dict) -> str:
    """The lines between the markers."""
    lines = ["| what | `bundled` | `bundled-1` | compare with | command |", "|---|---|---|---|---|"]
    for key, (what, beside) in CARD.items():
        values = " | ".join(share(card.get(name, {}).get("scores", {}).get(key)) for name in MODELS)
        lines.append(f"| {what} | {values} | {beside} | {SCORE} |")
    for (notebook, name), (what, beside) in RUN.items():
        value = share(results.get(notebook, {}).get(name))
        lines.append(f"| {what} | {value} |  | {beside} | `make reproduce` |")
    return "\n".join([*lines, "", *(reached(name, card[name]) for name in MODELS if name in card)])


def reached(name: str, entry: dict) -> str:
    """One sentence: how many goals a model reaches, and how long it was trained."""
    goals = {key: float(beside.split()[1]) for key, (_, beside) in CARD.items() if beside.startswith("goal 0")}
    met = sum(entry["scores"].get(key, 0) >= least for key, least in goals.items())
    return (
        f"`{name}` reaches {met} of its {len(goals)} goals; it was trained on {entry['scenes_seen']:,} scenes, "
        f"{entry['step']:,} of the {entry['recipe']['steps']:,} steps of its recipe."
    )


def main(arguments: list[str]) -> int:
    path, run = ROOT / "README.md", ROOT / "runs" / "bundled" / "results.json"
    card = json.loads((ROOT / "mmel" / "weights" / "card.json").read_text())
    results = json.loads(run.read_text()) if run.exists() else {}
    old = path.read_text()
    before, _, rest = old.partition(START)
    _, _, after = rest.partition(END)
    if not rest or END not in rest:
        print(f"README.md has no lines {START} and {END}", file=sys.stderr)
        return 1
    new = f"{before}{START}\n\n{table(card, results)}\n\n{END}{after}"
    if arguments == ["check"]:
        print("README.md is out of date: run `python tools/readme.py`\n" * (new != old), end="", file=sys.stderr)
        return int(new != old)
    write(path, new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
