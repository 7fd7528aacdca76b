"""pairs.py [PAIR ...] [--folder FOLDER] [--python PROGRAM] [--keep]: does the package work with other versions?

A pair is a Python with a torch (PAIRS). For each one: a new environment in FOLDER, what pyproject.toml asks for (or the
lock), the fast tests (FAST: no browser, no notebook), a line in benchmarks/results/pairs.json, and the sentence in
README.md that is made of these lines. Exits 1 if a test fails. `--keep` leaves the environment (each has several GB);
one that was left is used again. Needs nothing but Python, and a network for the installation.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "pairs.json"
START, END = "<!-- pairs: made by tools/pairs.py -->", "<!-- end of pairs -->"
LOCK = "requirements.lock"
PAIRS: dict[str, tuple[str, list[str]]] = {  # name -> Python, and what is asked for besides pyproject.toml
    "3.11-lock": ("3.11", [LOCK]),
    "3.13-lock": ("3.13", [LOCK]),
    "3.12-oldest": ("3.12", ["torch==2.4.*", "torchvision==0.19.*", "open_clip_torch==3.0.*"]),
    "3.11-newest": ("3.11", []),
}
FAST = (
    "contract", "golden", "clip", "trace", "loading", "bad_input", "maps", "grad_eclip", "mmel", "scenes", "bundled",
    "metrics_curves", "metrics_golden", "metrics_scores", "metrics_text", "metrics_bad_input", "evaluation", "cli",
    "floors", "house",
)  # fmt: skip
OF_THE_LOCK = "tests/test_house.py::test_the_lock_is_closed"  # reads what the installed, pinned packages ask for
APART = {  # pair -> test that it does not pass, and why; README.md says it
    "3.12-oldest": {
        "tests/test_contract.py::test_half_precision_is_close_to_single[cci]": "`cci` in half precision, whose k-means "
        "cuts the patches of a model of random weights elsewhere as torch 2.4 rounds",
    },
}
PACKAGES = ("torch", "torchvision", "open_clip_torch", "numpy")


def wishes(name: str) -> list[str]:
    """What pip is asked for."""
    also = PAIRS[name][1]
    if also == [LOCK]:
        return ["--requirement", str(ROOT / LOCK)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["test"], *also]


def program(wanted: str, given: str | None) -> str:
    """A Python of the version that a pair names."""
    for each in filter(None, (given, sys.executable, shutil.which(f"python{wanted}"))):
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        if subprocess.run([each, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == wanted:
            return each
    raise SystemExit(f"pairs.py: no Python {wanted} here: name one with --python, or put python{wanted} on the path")


def environment(name: str, folder: Path, given: str | None) -> str:
    """The Python of a pair's environment, which is made where it is not there yet."""
    place = folder / name
    inner, done = str(place / "bin" / "python"), place / ".made"
    if not done.exists():
        subprocess.run([program(PAIRS[name][0], given), "-m", "venv", "--clear", str(place)], check=True)
        for what in (wishes(name), ["--no-deps", "--editable", str(ROOT)]):
            subprocess.run([inner, "-m", "pip", "install", "--quiet", *what], check=True)
        done.touch()
    return inner


def tested(name: str, python: str) -> dict[str, object]:
    """Run the fast tests there; what was found."""
    files = [f"tests/test_{each}.py" for each in FAST]
    left_out = [*([] if PAIRS[name][1] == [LOCK] else [OF_THE_LOCK]), *APART.get(name, ())]
    alone = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", "-r", "fE"]
    command += [*(part for test in left_out for part in ("--deselect", test)), *files]
    with subprocess.Popen(command, cwd=ROOT, env=alone, stdout=subprocess.PIPE, text=True) as running:
        lines = []
        for line in running.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1])}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    return {
        "pair": name, **versions(python), "passed": counts.get("passed", 0), "skipped": counts.get("skipped", 0),
        "failed": failed or int(running.returncode != 0), "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).date().isoformat(),
    }  # fmt: skip


def versions(python: str) -> dict[str, str]:
    """Of an environment's Python and of what matters in it."""
    code = f"""if True:
        import json, platform
        from importlib.metadata import version
        print(json.dumps({{"python": platform.python_version(), **{{n: version(n) for n in {PACKAGES!r}}}}}))"""
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def record(found: dict[str, object], path: Path = RESULTS) -> list[dict[str, object]]:
    """Add a line; an older one of the same pair and system goes."""
    kept = json.loads(path.read_text()) if path.exists() else []
    kept = [line for line in kept if (line["pair"], line["system"]) != (found["pair"], found["system"])]
    kept = sorted([*kept, found], key=lambda line: (list(PAIRS).index(line["pair"]), line["system"]))
    path.write_text("[\n" + ",\n".join(json.dumps(line) for line in kept) + "\n]\n")
    return kept


def sentence(lines: list[dict[str, object]]) -> str:
    """What README.md says of the lines: only what passed, only where it was tried."""
    good = [line for line in lines if line["passed"] and not line["failed"]]
    told = [
        f"* Python {line['python']}, torch {line['torch']}, open_clip {line['open_clip_torch']}"
        f"{' (the lock)' if PAIRS[line['pair']][1] == [LOCK] else ''}: {line['passed']} tests, {line['system']}, "
        f"{line['date']}{''.join(f'; apart from {why}' for why in APART.get(line['pair'], {}).values())}"
        for line in good
    ]
    away = [name for name in PAIRS if name not in {line["pair"] for line in good}]
    away += ["macOS"] * (not any(line["system"].startswith("Darwin") for line in good))
    head = "`python tools/pairs.py` installs pairs of versions and runs fast tests, without browser and notebook."
    head += " These pass:" if told else ""
    rest = [f"Not tried by it yet: {', '.join(away)}."] if away else []
    return "\n\n".join([head, *(["\n".join(told)] if told else []), *rest])


def write(lines: list[dict[str, object]], path: Path = ROOT / "README.md") -> None:
    """Put the sentence between its markers."""
    before, start, rest = path.read_text().partition(START)
    if not start or END not in rest:
        raise SystemExit(f"pairs.py: {path.name} has no lines {START} and {END}")
    path.write_text(f"{before}{START}\n\n{sentence(lines)}\n\n{END}{rest.partition(END)[2]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("pair", nargs="*", help=f"of {', '.join(PAIRS)}; without one, all")
    parser.add_argument("--folder", type=Path, help="where the environments go; without it, a temporary folder")
    parser.add_argument("--python", help="the Python to make them with, where it is not on the path")
    parser.add_argument("--keep", action="store_true", help="leave the environments there")
    asked = parser.parse_args()
    if unknown := set(asked.pair) - set(PAIRS):
        parser.error(f"no pair {', '.join(sorted(unknown))}: there are {', '.join(PAIRS)}")
    folder, failed = asked.folder or Path(tempfile.mkdtemp(prefix="pairs")), 0
    for name in asked.pair or PAIRS:
        found = tested(name, environment(name, folder.resolve(), asked.python))
        write(record(found))
        print(json.dumps(found))
        failed += found["failed"]
        if not asked.keep:
            shutil.rmtree(folder / name)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
