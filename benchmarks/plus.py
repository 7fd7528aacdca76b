"""Choose a candidate on the validation split; with --test, choose and then read the test splits, once.

    python benchmarks/plus.py                       the table of the candidates on `validation`, for both bundled models
    python benchmarks/plus.py --test                the same, then the chosen candidate on `two_objects` and `crowded`
    python benchmarks/plus.py --confirm             the candidate chosen before, on fresh scenes of the same two kinds
    python benchmarks/plus.py --confirm --rehearse  a few other scenes; nothing is logged or kept, and nothing shown

What counts was written down before the first reading, in the chapter "Make it work": the candidate with the largest
mean of insertion minus deletion area over both models, among those whose energy pointing game is above Grad-ECLIP's in
both, is chosen; it wins if, against Grad-ECLIP over the same (all) blocks, the paired 95 % interval of the mean
difference lies on the better side of zero for deletion, insertion and energy pointing game, on both splits, for both
models. Every reading of the test splits is appended to benchmarks/plus_log.jsonl, with its outcome; a second one
needs --again REASON, and so does a second confirmation on the same weights. The values go to benchmarks/plus.json
(with --test), benchmarks/plus_confirm.json (with --confirm) or benchmarks/plus_choice.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from plus_candidates import CANDIDATES, CONTROLS, Learned, Parts, learn
from plus_confirm import COUNT, FRESH, KINDS, REHEARSAL, fresh_scenes, hash_of
from plus_readings import DECIDING, begin, better, end, outcome, refused
from tqdm import tqdm

import mmel
from mmel.evaluation.dials.search import Traced
from mmel.maps import to_grid

HERE = Path(__file__).parent
CHOICE, RESULT, CONFIRMED = (HERE / name for name in ("plus_choice.json", "plus.json", "plus_confirm.json"))
MODELS = ("bundled", "bundled-1")
SPLITS = ("two_objects", "crowded")
BESIDE = ("pointing_game", "multi_object_recall")
SHOWN = (*DECIDING, *BESIDE)
RIVALS = {
    "chefer": ("chefer", {"start_layer": 0}),
    "mmel_working": ("mmel", {**mmel.WORKING, "text": "none"}),
}
BATCH = 8
_SPREAD = {"scales": (1.0, 0.75, 0.5, 0.25), "weighing": "pattern", "use_content": True, "theta": 1.0}
SETTINGS = {  # of mmel_plus, for the candidates that are its settings; its defaults are those of the chosen one
    "attention for the cosine": _SPREAD | {"scales": (1.0,), "use_content": False, "relation": "none"},
    "attention, A @ E": _SPREAD | {"scales": (1.0,), "use_content": False, "relation": "keys", "temperature": 0.1},
    "attention, faded scales": _SPREAD | {"use_content": False, "relation": "none"},
    "attention x content, faded scales": _SPREAD | {"relation": "none"},
    "attention x content, the paper's three scales, A @ E": _SPREAD
    | {"scales": (1.0, 0.75, 0.5), "relation": "keys", "temperature": 0.1},
    "attention x content, faded scales, A @ E by keys": _SPREAD | {"relation": "keys", "temperature": 0.1},
    "attention x content, faded scales, A @ E by queries": _SPREAD | {"relation": "queries", "temperature": 0.1},
    "attention x content, faded scales, A @ E, softer": _SPREAD | {"relation": "keys", "temperature": 0.2},
}


def scenes_of(split: str, count: int) -> list:
    """The first scenes; of `crowded` as many of each number of objects."""
    every = list(range(len(mmel.scenes.split(split))))
    chosen = every[:: max(1, len(every) // count)] if split == "crowded" else every
    scenes = mmel.scenes.split(split)
    return [scenes[index] for index in chosen[:count]]


def measured(clip: mmel.Clip, scenes: list, makers: dict, learned: Learned | None, rivals: Mapping) -> dict:
    """Name -> metric -> a value a scene. `base` is Grad-ECLIP over all blocks."""
    found: dict[str, dict[str, list]] = {}
    for start in tqdm(range(0, len(scenes), BATCH), leave=False):
        traced = Traced(clip, scenes[start : start + BATCH])
        parts = Parts(traced, learned)
        maps = {"base": parts.base, **{name: make(parts) for name, make in makers.items()}}
        maps = {name: to_grid(map, traced.trace.grid) for name, map in maps.items()}
        for name, (method, settings) in rivals.items():
            made = mmel.explain(clip, traced.pixels, traced.embeds, method, **{"modality": "image", **settings})
            maps[name] = made.image
        for name, map in maps.items():
            for metric, values in traced.measure(map).items():
                found.setdefault(name, {}).setdefault(metric, []).extend(values.tolist())
    return found


def learned_by(clip: mmel.Clip, scenes: list) -> tuple[Learned, dict]:
    """What one model's candidates learn, from scenes that no choice is made on."""
    with torch.no_grad():
        traced = Traced(clip, scenes)
        parts = Parts(traced)
    return learn(traced, parts)


def gaps(found: dict, name: str) -> dict[str, list[float]]:
    """Mean difference from Grad-ECLIP with its 95 % interval, for each metric."""
    rows = {}
    for metric in SHOWN:
        gap = mmel.stats.paired_difference(found[name][metric], found["base"][metric])
        rows[metric] = [gap.mean, gap.low, gap.high]
    return rows


def choose(tables: dict[str, dict]) -> str:
    """The rule of the choice, from the validation tables of the models."""
    energy = {name: min(table[name]["energy_pointing_game"][0] for table in tables.values()) for name in CANDIDATES}
    allowed = [name for name in CANDIDATES if energy[name] > 0] or list(CANDIDATES)
    gain = {
        name: np.mean([t[name]["insertion_auc"][0] - t[name]["deletion_auc"][0] for t in tables.values()])
        for name in allowed
    }
    return max(gain, key=gain.get)


def wins(table: dict[str, list[float]]) -> bool:
    """Whether each deciding interval lies on the better side of zero."""
    return all(better(table[metric], side) for metric, side in DECIDING.items())


def validation(clips: dict, count: int, learning: int) -> tuple[dict, dict, dict]:
    """Tables of each model on the first `count` scenes of `validation`, what was learned on the next ones, and how."""
    tables, learned, reports = {}, {}, {}
    scenes = scenes_of("validation", count + learning)
    for model, clip in clips.items():
        learned[model], reports[model] = learned_by(clip, scenes[count:])
        found = measured(clip, scenes[:count], {**CANDIDATES, **CONTROLS}, learned[model], rivals={})
        tables[model] = {name: gaps(found, name) for name in found if name != "base"}
        tables[model]["base"] = {metric: float(np.mean(found["base"][metric])) for metric in SHOWN}
    return tables, learned, reports


def tested(clips: dict, scenes: Mapping, chosen: str, learned: Mapping, rivals: Mapping) -> dict:
    """Model -> split -> name -> metric -> mean, and difference from Grad-ECLIP with its interval."""
    result: dict = {}
    for model, clip in clips.items():
        for split, own in scenes.items():
            found = measured(clip, own, {"chosen": CANDIDATES[chosen]}, learned.get(model), rivals)
            rows = {name: gaps(found, name) for name in found if name != "base"}
            means = {name: {metric: float(np.mean(found[name][metric])) for metric in SHOWN} for name in found}
            head = {metric: mmel.stats.paired_difference(found["chosen"][metric], found["chefer"][metric])[:3]
                    for metric in SHOWN}  # fmt: skip
            result.setdefault(model, {})[split] = {
                "means": means, "to_grad_eclip": rows, "chosen_to_chefer": head, "wins": wins(rows["chosen"]),
            }  # fmt: skip
    return result


def show(tables: dict, names: list[str]) -> None:
    """Print differences from Grad-ECLIP over all blocks."""
    for model, table in tables.items():
        print(f"\n{model}: difference from Grad-ECLIP over all blocks (deletion, insertion, energy)")
        for name in names:
            shown = "  ".join("{:+.3f} [{:+.3f}, {:+.3f}]".format(*table[name][metric]) for metric in DECIDING)
            print(f"  {name:54} {shown}")


def keep(path: Path, value: dict) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.replace(path)


def weights_of(model: str) -> str:
    """The hash of a bundled model's file, from its card."""
    return mmel.training.card()[model]["sha256"]


def loaded() -> dict[str, mmel.Clip]:
    torch.set_num_threads(1)
    return {model: mmel.load_clip(model, device="cpu") for model in MODELS}


def line(options: argparse.Namespace, kind: str, chosen: str, scenes: Mapping, candidates: int) -> dict:
    """A reading as the log has it before it is made."""
    return {
        "time": time.strftime("%FT%TZ", time.gmtime()), "kind": kind, "again": options.again, "chosen": chosen,
        "candidates": candidates, "scenes": len(next(iter(scenes.values()))),
        "scenes_hash": {split: hash_of(list(own)) for split, own in scenes.items()},
        "weights": {model: weights_of(model) for model in MODELS},
    }  # fmt: skip


def select(options: argparse.Namespace) -> dict:
    """The choice on `validation`; with --test the reading after it."""
    clips = loaded()
    tables, learned, reports = validation(clips, options.validation_scenes, options.learning_scenes)
    show(tables, [*CANDIDATES, *CONTROLS])
    for model, gates in reports.items():
        for reading, said in gates.items():
            before, after = said["before"]["held_out"], said["after"]["held_out"]
            print(f"{model}, {reading} gate: agreement on scenes kept back {before:.3f} -> {after:.3f}")
    chosen = choose(tables)
    print(f"\nchosen among {len(CANDIDATES)} candidates: {chosen}")
    value = {"scenes": options.validation_scenes, "candidates": list(CANDIDATES), "chosen": chosen,
             "validation": tables, "learning_scenes": options.learning_scenes, "gates": reports,
             "block_weights": {model: each.weights.tolist() for model, each in learned.items()},
             "weights": {m: weights_of(m) for m in MODELS}}  # fmt: skip
    if not options.test:
        keep(CHOICE, value)
        return value
    scenes = {split: scenes_of(split, options.test_scenes) for split in SPLITS}
    begin(line(options, "test", chosen, scenes, len(CANDIDATES)))
    test = tested(clips, scenes, chosen, learned, RIVALS)
    end(report(test, chosen))
    keep(RESULT, value | {"test_scenes": options.test_scenes, "test": test, "wins": not outcome(test)["missed"]})
    return value


def confirm(options: argparse.Namespace) -> dict:
    """The shipped candidate on scenes that nothing has seen; of a rehearsal nothing is kept or shown."""
    choice = json.loads(RESULT.read_text())
    chosen, weights = choice["chosen"], {model: weights_of(model) for model in MODELS}
    if chosen not in SETTINGS:
        raise SystemExit(f"{chosen!r} has learned parts: only a candidate that is a setting of mmel_plus is confirmed.")
    count, first = (3, REHEARSAL) if options.rehearse else (options.confirm_scenes, FRESH)
    scenes = {kind: fresh_scenes(kind, count, weights, first) for kind in KINDS}
    entry = line(options, "confirmation", chosen, scenes, 1) | {"chosen_on": choice["weights"]}
    if not options.rehearse:
        begin(entry)
    test = tested(loaded(), scenes, chosen, {}, {"chefer": RIVALS["chefer"]})
    value = {**entry, "test": test, "wins": not outcome(test)["missed"]}
    if not options.rehearse:
        end(report(test, chosen))
        keep(CONFIRMED, value)
    return value


def report(test: dict, chosen: str) -> dict:
    """Print a reading and return its outcome."""
    for split in SPLITS:
        print(f"\n{split}")
        tables = {model: test[model][split]["to_grad_eclip"] for model in MODELS}
        show(tables, list(next(iter(tables.values()))))
    found = outcome(test)
    word = "does not win" if found["missed"] else "wins"
    print(f"\n{chosen}: {found['won']} of {found['of']} comparisons, {word} by the rule written down before")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reading = parser.add_mutually_exclusive_group()
    reading.add_argument("--test", action="store_true", help="read the test splits after the choice")
    reading.add_argument("--confirm", action="store_true", help="read fresh scenes for the candidate chosen before")
    parser.add_argument("--rehearse", action="store_true", help="with --confirm: a few other scenes, nothing kept")
    parser.add_argument("--again", default="", metavar="REASON", help="why they are read another time")
    parser.add_argument("--validation-scenes", type=int, default=24)
    parser.add_argument("--learning-scenes", type=int, default=96, help="of `validation`, after those")
    parser.add_argument("--test-scenes", type=int, default=64, help="of each split")
    parser.add_argument("--confirm-scenes", type=int, default=COUNT, help="of each kind")
    options = parser.parse_args()
    if options.rehearse and not options.confirm:
        parser.error("--rehearse goes with --confirm: everything else is no rehearsal")
    kind = "test" if options.test else "confirmation" if options.confirm and not options.rehearse else ""
    weights = {model: weights_of(model) for model in MODELS}
    if kind and (why := refused(kind, weights, options.again)):
        print(why, file=sys.stderr)
        return 2
    began = time.time()
    (confirm if options.confirm else select)(options)
    print(f"{time.time() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
