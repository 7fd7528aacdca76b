"""Choose MMEL's WORKING reading on the validation split: `python benchmarks/choose_working.py [--scenes 60]`.

Every reading explains the same pairs. Chosen is the one with the largest mean of insertion AUC minus deletion AUC
(cosine, protocol `full` in ten steps) among those that start from Grad-ECLIP's map as Eq. 8 prints it, over all blocks:
WORKING then differs from that map by the module alone. Readings that change the map itself (its keys, its similarity,
its blocks) stand in the table and have no say, nor has the pointing game. Beside each reading is its difference to
LITERAL with a 95 % interval. The table goes to benchmarks/working.json; test splits are never looked at.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

import mmel
from mmel.metrics import PROTOCOLS, auc, deletion_curve, insertion_curve, pointing_game
from mmel.scenes import Scene

OUT = Path(__file__).with_name("working.json")
BASE = ("layers", "heads", "key_similarity", "projected_keys", "similarity")  # what makes Grad-ECLIP's own map
RELEVANCE = replace(mmel.LITERAL, reduction="relevance", temperature_place="softmax")
READINGS = {
    "literal": mmel.LITERAL,
    "literal, last block": replace(mmel.LITERAL, layers=1),
    "literal, last 6 blocks": replace(mmel.LITERAL, layers=6),
    "no key similarity": replace(mmel.LITERAL, key_similarity=False),
    "projected keys": replace(mmel.LITERAL, projected_keys=True),
    "combined similarity": replace(mmel.LITERAL, similarity="combined"),
    "sum over patches": replace(mmel.LITERAL, reduction="sum"),
    "sum over layers": replace(mmel.LITERAL, gate="sum"),
    "a gate a layer": replace(mmel.LITERAL, gate="each"),
    "temperature in Eq. 5": replace(mmel.LITERAL, temperature_place="attention"),
    "head by head": replace(mmel.LITERAL, head_wise=True),
    "relevance": RELEVANCE,
    "relevance, alpha 8": replace(RELEVANCE, alpha=8.0),
    "relevance, alpha 8, a gate a layer": replace(RELEVANCE, alpha=8.0, gate="each"),
    "relevance, alpha 8, no key similarity": replace(RELEVANCE, alpha=8.0, key_similarity=False),
    "relevance, alpha 8, combined similarity": replace(RELEVANCE, alpha=8.0, similarity="combined"),
}


def has_a_say(settings: mmel.MmelSettings) -> bool:
    """Whether a reading starts from the map of Eq. 8 as it is printed."""
    return all(settings[name] == mmel.LITERAL[name] for name in BASE)


def gains(clip: mmel.Clip, scene: Scene, readings: dict[str, mmel.MmelSettings]) -> Iterator[tuple[str, float, float]]:
    """For each reading: insertion minus deletion AUC, and whether its map points at an object that the text names."""
    text, pixels = scene.captions[0].text, clip.preprocess(scene.image)[None]
    wanted = mmel.embed_text(clip, text)
    named = sorted({index for word in scene.captions[0].words if word.role == "object" for index in word.objects})
    mask = torch.as_tensor(np.stack([scene.masks[index] for index in named])).any(0)[None]

    def score(batch: torch.Tensor) -> torch.Tensor:
        return mmel.similarity(mmel.embed_image(clip, batch), wanted.expand(len(batch), -1))

    how = {**PROTOCOLS["full"], "steps": 10}
    for name, settings in readings.items():
        map = mmel.explain(clip, pixels, text, "mmel", modality="image", **settings).image
        areas = [auc(*curve(score, pixels[0], map[0], **how)[:2]).item() for curve in (insertion_curve, deletion_curve)]
        yield name, areas[0] - areas[1], float(pointing_game(map, mask).mean())


def main() -> None:
    """Measure, print the table, keep it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=60)
    parser.add_argument("--model", default="bundled")
    options = parser.parse_args()
    clip, values = mmel.load_clip(options.model), {name: [] for name in READINGS}
    points = {name: [] for name in READINGS}
    for scene in tqdm(mmel.scenes.split("validation", options.scenes)):
        for name, gain, hit in gains(clip, scene, READINGS):
            values[name].append(gain)
            points[name].append(hit)
    rows = {}
    for name in sorted(READINGS, key=lambda name: -np.mean(values[name])):
        row = {"gain": float(np.mean(values[name])), "pointing_game": float(np.mean(points[name]))}
        if name != "literal":
            gap = mmel.stats.paired_difference(values[name], values["literal"])
            row["to_literal"] = [gap.mean, gap.low, gap.high]
        rows[name] = row | {"settings": dict(READINGS[name])}
        shown = " ".join(f"{value:+.4f}" for value in row.get("to_literal", []))
        print(f"{name:42} gain {row['gain']:+.4f}  pointing {row['pointing_game']:.2f}  to literal {shown}")
    chosen = next(name for name in rows if has_a_say(READINGS[name]))
    kept = {"model": options.model, "scenes": options.scenes, "chosen": chosen, "readings": rows}
    temporary = OUT.with_suffix(".tmp")
    temporary.write_text(json.dumps(kept, indent=1) + "\n")
    temporary.replace(OUT)


if __name__ == "__main__":
    main()
