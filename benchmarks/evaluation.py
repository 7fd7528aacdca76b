"""What Table 2 costs: `make bench`, or `python benchmarks/evaluation.py [--pictures 8] [--model ViT-B-16 ...]`.

One deletion curve by the official settings, in three ways that take turns: our code; its forward passes alone, on edits
that are ready; and one picture at a time through PIL, as the official script does. Then the engine on whole samples:
pictures a second, and the share of the time that is spent in the model's forward passes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

import mmel
from mmel.data import open_dataset
from mmel.evaluation.protocols import PROTOCOLS
from mmel.evaluation.protocols.editing import EDITS, Ask, embedded_curves
from mmel.evaluation.protocols.scoring import device_pixels
from mmel.evaluation.rows import rows


@dataclass
class Spent:
    """Seconds, and calls."""

    seconds: float = 0.0
    calls: int = 0


def clock(clip: mmel.Clip) -> float:
    if clip.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def timed_passes(clip: mmel.Clip) -> Iterator[Spent]:
    """Count the time in both towers' forward passes."""
    spent, towers = Spent(), (clip.model.visual, clip.model.transformer)

    def timed(forward: Callable) -> Callable:
        def call(*args, **how):
            began = clock(clip)
            out = forward(*args, **how)
            spent.seconds, spent.calls = spent.seconds + clock(clip) - began, spent.calls + 1
            return out

        return call

    for tower in towers:
        tower.forward = timed(tower.forward)
    try:
        yield spent
    finally:
        for tower in towers:
            del tower.forward


def seconds(clip: mmel.Clip, call: Callable[[], object]) -> float:
    began = clock(clip)
    call()
    return clock(clip) - began


@torch.no_grad()
def curve_in_three_ways(clip: mmel.Clip, pictures: list[Image.Image], rounds: int) -> dict[str, float]:
    """The least seconds of one curve of all pictures: ours, the passes alone, one by one."""
    settings = mmel.metrics.PROTOCOLS["official"]
    maps = [torch.rand(7, 7, generator=torch.Generator().manual_seed(index)) for index in range(len(pictures))]
    edits = [EDITS["deletion"](picture, map, **settings)[:] for picture, map in zip(pictures, maps, strict=True)]
    arrays = [torch.from_numpy(np.stack([np.array(each) for each in some])) for some in edits]
    ready = [device_pixels(clip, some) for some in arrays]
    ways = {
        "ours": lambda: [
            embedded_curves(clip, p, [Ask("deletion", m, settings)]) for p, m in zip(pictures, maps, strict=True)
        ],
        "its passes alone": lambda: [mmel.embed_image(clip, some) for some in ready],
        "one by one": lambda: [
            mmel.embed_image(clip, each)
            for p, m in zip(pictures, maps, strict=True)
            for each in EDITS["deletion"](p, m, **settings)[:]
        ],
    }  # fmt: skip
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds + 1):  # the first one warms up
        for name, way in ways.items():
            best[name] = min(best[name], seconds(clip, way))
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--pretrained")
    parser.add_argument("--methods", nargs="*", default=["grad_eclip", "mmel_literal"])
    options = parser.parse_args()
    clip = mmel.load_clip(options.model, pretrained=options.pretrained, device=options.device)
    data = open_dataset("scenes/classes", count=options.pictures)
    found = curve_in_three_ways(clip, [data[index].image for index in range(len(data))], options.rounds)
    print(f"{clip.name}, {clip.device}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    for name, value in found.items():
        print(f"{'a curve, ' + name:28} {1e3 * value / len(data):8.1f} ms  {value / found['its passes alone']:6.2f} x")
    protocol, began = PROTOCOLS["table2"](protocols=("official",)), clock(clip)
    with timed_passes(clip) as spent:
        mmel.evaluate(protocol, data, clip=clip, rows=rows(options.methods))
    whole = clock(clip) - began
    print(f"table2, {len(options.methods)} rows: {len(data) / whole:.2f} pictures a second, ", end="")
    print(f"{spent.seconds / whole:.0%} of the time in {spent.calls} forward passes")


if __name__ == "__main__":
    main()
