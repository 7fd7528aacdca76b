"""The grid search of Sec. 4.1 on the validation split: `python benchmarks/search_dials.py --objective insertion`.

Alpha, temperature, beta, then theta per layer at the best of them. Rows go to runs/search/<model>.jsonl as they are
found, so that a search which was stopped, or whose --budget of forward passes was spent, goes on where it ended. Test
splits are never looked at.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import mmel
from mmel.evaluation.dials.search import OBJECTIVES, Traced, best, grid, search, theta_profiles

ROOT = Path(__file__).parents[1]
START = replace(mmel.WORKING, alpha=2.0, beta_place="base")  # the paper's values, in a reading where each dial acts
DIALS = {
    "alpha": (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 128.0),
    "temperature": (0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
    "beta": (0.0, 1.0, 2.0, 4.0),
}
SHOWN = ("alpha", "temperature", "beta", "theta")


def main() -> None:
    """Search, and print the best rows and the paper's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objective", default="faithfulness", choices=sorted(OBJECTIVES))
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--budget", type=int, default=200_000, help="forward passes of this call")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    store = ROOT / "runs" / "search" / f"{options.model}.jsonl"
    store.parent.mkdir(parents=True, exist_ok=True)
    clip = mmel.load_clip(options.model, device=options.device)
    traced = Traced(
        clip, list(mmel.scenes.split("validation", options.scenes)), steps=7, by_patch=True, budget=options.budget
    )
    settings = grid(START, **DIALS)
    rows = search(traced, settings, options.objective, store)
    print(f"{len(rows)} of {len(settings)} settings, {traced.passes:,} forward passes")
    profiles = theta_profiles(len(traced.trace.image_layers))
    deeper = [replace(best(rows)["settings"], theta=theta) for theta in profiles.values()]
    rows += search(traced, deeper, options.objective, store)
    names = {each.theta: name for each, name in zip(deeper, profiles, strict=True)}
    for row in sorted(rows, key=lambda row: -row["value"])[:10] + [row for row in rows if row["settings"] == START]:
        shown = {name: row["settings"][name] for name in SHOWN}
        shown["theta"] = names.get(shown["theta"], shown["theta"])
        print(f"{options.objective} {row['value']:+.5f}  {shown}" + "  (the paper's)" * (row["settings"] == START))


if __name__ == "__main__":
    main()
