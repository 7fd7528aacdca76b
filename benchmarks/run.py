"""Time and count the methods on this machine: `make bench`, on an idle machine.

    python benchmarks/run.py [--models bundled ViT-B-32 ViT-B-16] [--rounds 5] [--only times] [--light]

Writes `benchmarks/results/times.json` (seconds and ratios), `counts.json` (operations and memory), `seeds.json` (do two
seeds agree?) and, apart from them, `provenance.json` (hardware, versions). A cost is counted in units of one plain
`encode_image` of the same model and batch, which is timed right before and right after each call, so that a machine
that slows down slows both. Each value is the median over the rounds. With `--models` the other models' entries stay as
they are, `--only` makes one of the files, and `--light` leaves out what takes a hundred passes.
"""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler talks otherwise

import torch
from cases import CASES, FEW, LARGE, MODELS, SMALL, TIMED, Case, Subject, curve, others, subject
from counting import MIB, operations, peak_bytes
from scipy.stats import spearmanr
from torch.nn.functional import adaptive_avg_pool2d

import mmel
from mmel.methods import METHODS

RESULTS = Path(__file__).with_name("results")
CURVE = "deletion curve, 11 scorings"
CURVE_LIMITS = {"ViT-B-32": 15.3, "ViT-B-16": 17.8}
BRIEF, MANY = 1.0, 10  # a ratio of calls that take less than BRIEF seconds together gets up to MANY times the rounds
SLOW = 2.0  # seconds: a call that takes longer needs no warming up
PACKAGES = ("torch", "open_clip_torch", "captum", "scipy", "grad-cam")


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def digits(value: float) -> float:
    """Four digits: more of a time mean nothing."""
    return float(f"{value:.4g}")


class Timer:
    """Rounds of calls in turn, each between two units, which neighbours share."""

    def __init__(self, of: Subject, rounds: int):
        self.of, self.rounds = of, rounds

    def times(self, calls: dict[str, Callable[[], object]], batch: int = 1) -> dict[str, dict[str, float]]:
        """For each call: the median of its ratios to the unit, their range, and milliseconds a pair."""
        device, unit = self.of.clip.device, self.of.unit(batch)
        seen, warm, before = {name: [] for name in calls}, set(), seconds(unit, device)
        for _ in range(self.rounds + 1):
            for name, run in calls.items():
                if len(seen[name]) == self.rounds:
                    continue
                own, after = (seconds(each, device) for each in (run, unit))
                if name in warm or own > SLOW:
                    seen[name].append((own, 2 * own / (before + after)))
                warm, before = warm | {name}, after
        return {name: self.summary(rounds, batch) for name, rounds in seen.items()}

    def summary(self, rounds: list[tuple[float, float]], batch: int) -> dict[str, float]:
        own, ratios = zip(*rounds, strict=True)
        return {
            "units": digits(statistics.median(ratios)), "lowest": digits(min(ratios)), "highest": digits(max(ratios)),
            "ms_a_pair": digits(1e3 * statistics.median(own) / batch), "rounds": len(rounds), "batch": batch,
        }  # fmt: skip

    def ratio(self, one: Callable[[], object], other: Callable[[], object]) -> float:
        """Median over the rounds of how many times as long `one` takes as `other`, called in turn."""
        device, found = self.of.clip.device, []
        one(), other()
        before = seconds(other, device)
        while len(found) < self.rounds or (sum(own for own, _ in found) < BRIEF and len(found) < MANY * self.rounds):
            own, after = (seconds(each, device) for each in (one, other))
            found.append((own, 2 * own / (before + after)))
            before = after
        return digits(statistics.median(ratio for _, ratio in found))


def timed(of: Subject, rounds: int, cases: list[Case], whole: bool) -> dict[str, object]:
    """Everything that is timed on one model."""
    timer = Timer(of, rounds)
    calls = {case.name: of.call(case) for case in cases}
    more = {CURVE: curve(of)} if whole else {}
    entry = {"cases": timer.times({"encode_image": of.unit(), **calls, **more})}
    paired = [case for case in cases if case.over in calls]
    entry["over"] = {
        c.name: {"base": c.over, "ratio": timer.ratio(calls[c.name], calls[c.over]), "most": c.most_over}
        for c in paired
    }
    found = {other: pair for other, pair in others(of).items() if pair[0] in calls}
    entry["others"] = {
        name: {"ours": ours, "ratio_of_ours": timer.ratio(calls[ours], run), "most": 1.0}
        for name, (ours, run) in found.items()
    }
    if of.name == "bundled":
        entry["large_batch"] = {"encode_image": digits(timer.ratio(of.unit(LARGE), of.unit()) / LARGE)}
        for case in cases:
            large, small = (of.call(case, batch, **FEW.get(case.method, {})) for batch in (LARGE, 1))
            entry["large_batch"][case.name] = digits(timer.ratio(large, small) / LARGE)
    limits = {case.name: case.limits[of.name] for case in cases if of.name in case.limits}
    entry["limits"] = limits | {name: most for name, most in {CURVE: CURVE_LIMITS.get(of.name)}.items() if most}
    return entry


def counted(of: Subject, cases: list[Case]) -> dict[str, object]:
    """Everything that is counted on one model: operations and memory, of a single pair and of the large batch."""
    entry: dict[str, object] = {"parameters": sum(p.numel() for p in of.clip.model.visual.parameters())}
    entry["cases"] = {"encode_image": count(of, of.unit())}
    for case in cases:
        if case.method in TIMED and of.name not in SMALL:
            continue  # a hundred passes, twice, that are those of any model
        entry["cases"][case.name] = count(of, of.call(case))
        if of.name == "bundled":
            for name, size in {"peak_mib_of_32": None, "peak_mib_of_32_by_4": 4}.items():
                run = of.call(case, LARGE, batch_size=size, **FEW.get(case.method, {}))
                entry["cases"][case.name][name] = digits(peak_bytes(run, of.clip.device) / MIB)
    return entry


def seeds(of: Subject, cases: list[Case], pairs: int = 2) -> dict[str, object]:
    """How well two seeds of a method that draws agree with each other, at its own default budget."""
    drawn = {case.method for case in cases if "seed" in inspect.signature(METHODS[case.method]).parameters}
    found: dict[str, object] = {"pairs": pairs}
    for method in sorted(drawn):
        maps = [explained(of, method, pairs, seed) for seed in (0, 1)]
        both = [spearmanr(one, other).statistic for one, other in zip(*maps, strict=True)]
        found[method] = digits(statistics.mean(both))
    return found


def explained(of: Subject, method: str, pairs: int, seed: int) -> torch.Tensor:
    """Image maps by patch, all defaults but the seed."""
    how = {"method": method, "modality": "image", "seed": seed}
    maps = mmel.explain(of.clip, of.images[:pairs], of.texts[:pairs], **how).image[:, None]
    grid = [side // of.clip.patch_size for side in of.images.shape[-2:]]
    return adaptive_avg_pool2d(maps, grid).flatten(1).cpu()


def count(of: Subject, run: Callable[[], object]) -> dict[str, float]:
    return {"gflop": digits(operations(run) / 1e9), "peak_mib": digits(peak_bytes(run, of.clip.device) / MIB)}


def provenance(device: torch.device, models: list[str], rounds: int, took: float) -> dict[str, object]:
    """Where and with what the numbers were made."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            installed[package] = None
    card = torch.cuda.get_device_name() if device.type == "cuda" else None
    return {
        "processor": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "gpu": card,
        "load_at_the_end": digits(os.getloadavg()[0]), "python": platform.python_version(), "packages": installed,
        "models": models, "rounds": rounds, "seconds": round(took),
    }  # fmt: skip


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def keep(file: str, name: str, entry: object) -> None:
    """Put one model's entry into a file of results."""
    path = RESULTS / file
    old = json.loads(path.read_text()) if path.exists() else {}
    RESULTS.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({**old, name: entry}, indent=1, sort_keys=True) + "\n")
    temporary.replace(path)


def verdict(value: float, most: float | None) -> str:
    """What is said behind a number that is above its limit."""
    return f"  <- above {most}" if most and value > most else ""


def show(name: str, times: dict) -> None:
    """One model's times as lines, and which limits they break."""
    print(f"\n{name:28} {'units':>7} {'most':>6} {'ms':>9}")
    for case, row in times["cases"].items():
        most = times["limits"].get(case)
        print(f"{case:28} {row['units']:7.2f} {most or '':>6} {row['ms_a_pair']:9.1f}{verdict(row['units'], most)}")
    for case, row in times["over"].items():
        print(f"{case} / {row['base']}: {row['ratio']:.3f}{verdict(row['ratio'], row['most'])}")
    for other, row in times["others"].items():
        print(f"{row['ours']} / {other}: {row['ratio_of_ours']:.3f}{verdict(row['ratio_of_ours'], row['most'])}")
    if large := times.get("large_batch"):
        worse = [case for case, ratio in large.items() if ratio >= 1]
        print(f"a pair in a batch of {LARGE} takes longer than alone: {', '.join(worse) or 'with none'}")


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=("times", "counts", "seeds"))
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--cases", nargs="+", default=[case.name for case in CASES], help="names of some calls only")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.disable(logging.WARNING)
    began = time.perf_counter()
    for name in options.models:
        of = subject(name, options.device)
        heavy = set(TIMED) if options.light else set()
        cases = [c for c in CASES if name in c.models and c.name in options.cases and c.method not in heavy]
        if options.only in (None, "times"):
            times = timed(of, options.rounds, cases, len(options.cases) == len(CASES))
            keep("times.json", name, times)
            made = provenance(of.clip.device, options.models, options.rounds, time.perf_counter() - began)
            keep("provenance.json", name, made)
            show(name, times)
        if options.only in (None, "counts"):
            keep("counts.json", name, counted(of, cases))
        if options.only in (None, "seeds") and name == "bundled":
            keep("seeds.json", name, seeds(of, cases))
            print("two seeds agree (rank correlation):", json.loads((RESULTS / "seeds.json").read_text())[name])


if __name__ == "__main__":
    main()
