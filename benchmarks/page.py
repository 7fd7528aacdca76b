"""From a change to the new map in the book's playground: `python benchmarks/page.py`, after `make book`.

A crowded scene of sixteen objects in headless Chromium; one key is pressed `PRESSES` times, and the page says how long
it took from the question to the new map. In turns with the presses a fixed product of matrices is timed in the same
page: `yard` says how fast this machine was just then. Writes `benchmarks/results/page.json`.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from playwright.sync_api import Page
from run import keep, processor

from mmel.scenes import split

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book" / "_build" / "html"
sys.path.insert(0, str(ROOT / "tools"))

from browser import chromium, served  # noqa: E402

PRESSES = 9
YARD = 4.0  # ms that `PRODUCT` takes on the machine that the limits were set on, with nothing beside it
PRODUCT = """() => {
    const n = 96, of = (x) => new Float32Array(n * n).fill(x), a = of(0.5), b = of(0.25), c = of(0);
    const begun = performance.now();
    for (let again = 0; again < 4; again++)
        for (let i = 0; i < n; i++)
            for (let k = 0; k < n; k++) {
                const x = a[i * n + k];
                for (let j = 0; j < n; j++) c[i * n + j] += x * b[k * n + j];
            }
    return performance.now() - begun + 0 * c[0];
}"""


class Change(NamedTuple):
    """What is shown at the left and the right, what is pressed, and how long the new map may take at the median."""

    left: str
    right: str
    dial: bool
    limit: int  # ms


CHANGES = {
    "last block": Change("grad-eclip", "attention", False, 300),
    "all blocks": Change("grad-eclip-all", "working", False, 800),
    "a dial, no forward pass": Change("grad-eclip-all", "mine", True, 30),
}


def times(page: Page, change: Change, settle: Callable[[], None]) -> dict[str, float]:
    """Medians in ms: `map` from the question to the new map, `yard` of the fixed product. The last object is chosen."""
    page.evaluate("document.querySelectorAll('#mmel-live details').forEach((each) => (each.open = true))")
    settle()
    name = split("crowded")[639].plan.objects[15].name
    page.get_by_role("button", name=name, exact=True).click()
    target = page.get_by_label("strength of the gate") if change.dial else page.locator(".live-stage")
    maps, yards = [], []
    for _ in range(PRESSES):
        yards.append(page.evaluate(PRODUCT))
        target.press("ArrowRight")
        settle()
        maps.append(float(page.locator("#mmel-live").get_attribute("data-milliseconds")))
    return {"map": float(np.median(maps)), "yard": float(np.median(yards[1:]))}


def address(change: Change) -> str:
    """The playground with the most crowded scene and the two maps of a change."""
    crowd = split("crowded")[639]
    scene, captions = json.loads(json.dumps(crowd.plan.to_json())), [crowd.captions[0].text]
    state = {"version": 1, "scene": scene, "erased": {"runs": [], "fill": "black"}, "captions": captions}
    shown = json.dumps(state | {"left": change.left, "right": change.right})
    return "book/playground.html#scene=" + base64.urlsafe_b64encode(shown.encode()).decode().rstrip("=")


def settled(page: Page) -> None:
    """Wait until the latest change has been answered."""
    page.wait_for_timeout(60)
    page.wait_for_selector('#mmel-live[aria-busy="false"]', timeout=60_000)


def main() -> None:
    """Measure, write and print."""
    if not (BOOK / "book" / "playground.html").exists():
        sys.exit(f"a built book was expected in {BOOK}: run `make book` first.")
    with served(BOOK) as site, chromium() as browser:
        for name, change in CHANGES.items():
            page = browser.new_page(viewport={"width": 1280, "height": 1000})
            page.goto(site + address(change))
            page.wait_for_selector(".live-stage")
            found = times(page, change, lambda page=page: settled(page))
            made = {
                "limit": change.limit,
                "browser": browser.version,
                "processor": processor(),
                "cores": os.cpu_count(),
            }
            keep("page.json", name, found | made)
            broken = "  <- above" if found["map"] > change.limit else ""
            print(f"{name:24} {found['map']:6.0f} ms of {change.limit}, the yard {found['yard']:.1f} ms{broken}")
            page.close()


if __name__ == "__main__":
    main()
