"""What Table 2 costs: `make bench`, or `python benchmarks/evaluation.py [--pictures 8] [--model ViT-B-16 ...]`.

One deletion curve by the official settings, in three ways that take turns: our code; its forward passes alone, on edits
that are ready; and one picture at a time through PIL, as the official script does. Then the engine on whole samples:
pictures a second, and the share of the time that is spent in the model's forward passes. Each ratio is the median over
rounds in which the ways took turns, so that a busy machine slows all of them; they go to `results/evaluation.json`, and
where they were made to `results/evaluation_provenance.json`.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch
from cases import subject
from counting import operations
from PIL import Image
from run import digits, keep, provenance

import mmel
from mmel.data import open_dataset
from mmel.evaluation.job import scoring_of
from mmel.evaluation.protocols import PROTOCOLS
from mmel.evaluation.protocols.editing import EDITS, Ask, embedded_curves
from mmel.evaluation.protocols.scoring import device_pixels, embed_pixels
from mmel.evaluation.rows import rows
from mmel.loading import device_of, dtype_of

LIMITS = {"curve": 1.10, "share": 0.90}  # times its passes at most; of the time of deletion and insertion at least
FEW = 3  # pictures for a ViT, whose passes take twenty times as long


@dataclass
class Spent:
    """Seconds, and calls."""

    seconds: float = 0.0
    calls: int = 0


def model_of(name: str, pretrained: str | None, device: str) -> mmel.Clip:
    """The bundled model, one with weights, or one of open_clip as it is before training: as fast as any."""
    if pretrained or name.startswith("bundled"):
        return mmel.load_clip(name, pretrained=pretrained, device=device)
    return subject(name, str(device_of(device))).clip


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
def curve_in_three_ways(clip: mmel.Clip, pictures: list[Image.Image], rounds: int) -> list[dict[str, float]]:
    """The seconds of one curve of all pictures in each round: ours, the passes alone, one by one."""
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
    found = [{name: seconds(clip, way) for name, way in ways.items()} for _ in range(rounds + 1)]
    return found[1:]  # the first one warms up


def ratios(found: list[dict[str, float]]) -> dict[str, float]:
    """How many times as long as the passes alone each way took: the median over the rounds."""
    alone = [each["its passes alone"] for each in found]
    return {
        name: digits(median(each[name] / base for each, base in zip(found, alone, strict=True))) for name in found[0]
    }


def whole_samples(clip: mmel.Clip, data, methods: list[str]) -> dict[str, object]:
    """Table 2 by the engine: pictures a second, and the share of the time in forward passes, maps and curves alike."""
    protocol, began = PROTOCOLS["table2"](protocols=("official",)), clock(clip)
    with timed_passes(clip) as spent:
        mmel.evaluate(protocol, data, clip=clip, rows=rows(methods))
    took = clock(clip) - began
    return {
        "rows": methods, "pictures": len(data), "passes": spent.calls, "pictures_a_second": digits(len(data) / took),
        "share_in_passes": digits(spent.seconds / took),
    }  # fmt: skip


def curves_alone(clip: mmel.Clip, data) -> float:
    """The share of the time of deletion and insertion, maps being there, that is spent in forward passes."""
    draw = torch.Generator().manual_seed(0)
    asks = [
        Ask(kind, torch.rand(7, 7, generator=draw), mmel.metrics.PROTOCOLS[name])
        for name in ("official", "full") for kind in EDITS
    ]  # fmt: skip
    pictures = [data[index].image for index in range(len(data))]
    embedded_curves(clip, pictures[0], asks)
    began = clock(clip)
    with timed_passes(clip) as spent:
        for picture in pictures:
            embedded_curves(clip, picture, asks)
    return digits(spent.seconds / (clock(clip) - began))


def scoring_passes(clip: mmel.Clip, rounds: int) -> dict[str, float]:
    """Pictures a second in passes that only score, and the share of what the same chip reaches in matrix products.

    `hours_of_table2`: the passes of a row for 50,000 pictures, two targets and two official curves of 11 points each.
    """
    pixels = torch.randn(clip.scoring.batch, 3, clip.image_size, clip.image_size, device=clip.device, dtype=clip.dtype)
    dtype = dtype_of(clip.scoring.precision)
    side = 8192 if clip.device.type == "cuda" else 1024
    square = torch.randn(side, side, device=clip.device, dtype=dtype)
    ways = {"passes": lambda: embed_pixels(clip, pixels), "products": lambda: square @ square}
    found = [{name: seconds(clip, way) for name, way in ways.items()} for _ in range(rounds + 1)][1:]
    each = median(one["passes"] for one in found) / len(pixels)
    share = median(one["products"] / one["passes"] for one in found) * operations(ways["passes"]) / (2 * side**3)
    return {
        "pictures_a_second": digits(1 / each), "share_of_matrix_products": digits(share),
        "hours_of_table2": digits(50_000 * 2 * 2 * 11 * each / 3600),
    }  # fmt: skip


def measured(clip: mmel.Clip, pictures: int, rounds: int, methods: list[str]) -> dict[str, object]:
    """Everything that is measured on one model."""
    data = open_dataset("scenes/classes", count=pictures)
    found = curve_in_three_ways(clip, [data[index].image for index in range(len(data))], rounds)
    best = {name: digits(1e3 * min(each[name] for each in found) / len(data)) for name in found[0]}
    return {
        "curve": {"ratio_to_its_passes": ratios(found), "ms": best, "rounds": rounds, "pictures": pictures},
        "curves_share_in_passes": curves_alone(clip, data),
        "limits": LIMITS,
        "scoring": scoring_passes(clip, rounds),
        "table2": whole_samples(clip, data, methods),
    }  # fmt: skip


def show(name: str, entry: dict) -> None:
    """One model's numbers as lines."""
    for way, ratio in entry["curve"]["ratio_to_its_passes"].items():
        print(f"{name}: {'a curve, ' + way:28} {entry['curve']['ms'][way]:8.1f} ms  {ratio:6.2f} x")
    print(f"{name}: deletion and insertion, {entry['curves_share_in_passes']:.0%} of the time in forward passes")
    scoring, whole = entry["scoring"], entry["table2"]
    print(f"{name}: {scoring['pictures_a_second']:.0f} pictures a second in scoring passes, ", end="")
    print(f"{scoring['share_of_matrix_products']:.0%} of the rate of matrix products")
    print(f"{name}: table2, {len(whole['rows'])} rows: {whole['pictures_a_second']:.2f} pictures a second, ", end="")
    print(f"{whole['share_in_passes']:.0%} of the time in {whole['passes']} forward passes")


def main() -> None:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, help=f"8, or {FEW} for a ViT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--models", nargs="+", default=["bundled", "ViT-B-32"], help="an untrained one by its name")
    parser.add_argument("--pretrained", help="for one model of open_clip; else it has learned nothing")
    parser.add_argument("--scoring", default="fp32", help="fp32, bf16 or fp16")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--methods", nargs="*", default=["grad_eclip", "mmel_literal"])
    options = parser.parse_args()
    began = time.perf_counter()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore", mmel.MmelWarning)
    for name in options.models:
        clip = model_of(name, options.pretrained, options.device)
        clip = replace(clip, scoring=scoring_of(options.scoring, options.batch))
        pictures = options.pictures or (8 if name.startswith("bundled") else FEW)
        entry = measured(clip, pictures, options.rounds, options.methods)
        keep("evaluation.json", name, entry | {"how": clip.scoring._asdict()})
        took = time.perf_counter() - began
        keep("evaluation_provenance.json", name, provenance(clip.device, options.models, options.rounds, took))
        show(name, entry)


if __name__ == "__main__":
    main()
