"""Where, when and how long: everything about a run that is no value, kept apart from its values."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import torch

from .parts import Folder


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def provenance_text(folder: Folder, how: dict[str, object]) -> str:
    """`provenance.json`: every call that worked on the run, and the seconds of each row."""
    before = json.loads(folder.read("provenance.json") or "{}").get("calls", [])
    calls = [*before, {**how, "ended": now(), **machine()}]
    return json.dumps({"calls": calls, "seconds": seconds_of(folder)}, indent=1, ensure_ascii=False) + "\n"


def seconds_of(folder: Folder) -> dict[str, float]:
    """Row -> seconds of all its samples, added up over all workers."""
    found: dict[str, float] = defaultdict(float)
    for table in folder.tables(["index", "row", "seconds"]):
        each = table.to_pandas().groupby(["row", "index"], sort=False).seconds.first().groupby("row", sort=False).sum()
        for row, seconds in each.items():
            found[row] += float(seconds)
    return {row: round(seconds, 3) for row, seconds in found.items()}


def machine() -> dict[str, object]:
    """The machine that this process runs on, and what it runs."""
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "commit": commit(),
    }


def commit() -> str | None:
    """The commit of the sources, where they lie in a repository."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
