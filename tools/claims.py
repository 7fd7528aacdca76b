"""Take over the verdicts that follow from the numbers: claims.py accept [--profile bundled].

Read what `mmel verify` prints first: a verdict that changes is a finding, not a formality.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from collect import write

from mmel.cli.verifying import read_ledger
from mmel.ledger import stale

ROOT = Path(__file__).parents[1]


def accept(root: Path, profile: str) -> list[str]:
    """Rewrite the stored verdict of each stale claim; returns a line for each."""
    path, said = root / "book" / "claims.yml", []
    text = path.read_text(encoding="utf-8")
    for entry in stale(read_ledger(root, profile)):
        if entry.problem:
            raise SystemExit(f"{entry.claim.id}: {entry.problem} Wire the claim to a value that is there.")
        block = re.compile(rf"(  - id: {re.escape(entry.claim.id)}\n(?:    .*\n)*?    verdict: ).*\n")
        text, changed = block.subn(lambda found, to=entry.verdict: f"{found[1]}{to}\n", text)
        if changed != 1:
            raise SystemExit(f"claims.yml has no block of {entry.claim.id} that ends with its verdict")
        said.append(f"{entry.claim.id}: {entry.claim.verdict} -> {entry.verdict}")
    write(path, text)
    return said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accept"])
    parser.add_argument("--profile", default="bundled")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    print("\n".join(accept(chosen.root, chosen.profile)) or "every stored verdict follows from the numbers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
