"""Time the methods on this machine: `make bench`, or `python benchmarks/run.py [--pairs 8] [--device cpu]`.

Each method explains the same pairs of the bundled world, once to warm up and `--rounds` times in turn with all others,
so that a machine that slows down slows all alike. Printed: the least seconds a pair, and how many times Grad-ECLIP's.
"""

from __future__ import annotations

import argparse
import time

import torch

import mmel

CHEAP = {"rise": {"n_masks": 100}, "kernel_shap": {"n_samples": 100}}


def seconds(clip: mmel.Clip, method: str, images: torch.Tensor, texts: torch.Tensor) -> float:
    """Wall seconds a pair of one call."""
    began = time.perf_counter()
    mmel.explain(clip, images, texts, method, modality="image", **CHEAP.get(method, {}))
    if clip.device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / len(images)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--methods", nargs="*", default=[name for name in mmel.METHODS if name != "attention_flow"])
    options = parser.parse_args()
    clip = mmel.load_clip(device=options.device)
    scenes = list(mmel.scenes.split("validation", options.pairs))
    pairs = mmel.prepare(clip, [scene.image for scene in scenes], [scene.captions[0].text for scene in scenes])
    best = {method: float("inf") for method in options.methods}
    for _ in range(options.rounds + 1):
        for method in options.methods:
            best[method] = min(best[method], seconds(clip, method, pairs.images, pairs.tokens))
    base = best.get("grad_eclip", min(best.values()))
    print(f"{'method':18} {'ms a pair':>10} {'x Grad-ECLIP':>13}   ({clip.device}, torch {torch.__version__})")
    for method, value in sorted(best.items(), key=lambda item: item[1]):
        print(f"{method:18} {1e3 * value:10.1f} {value / base:13.1f}")


if __name__ == "__main__":
    main()
