"""The training run: open_clip's own loss over the stream of scenes, with checkpoints to go on from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import open_clip
import torch
from jaxtyping import Int, UInt8
from open_clip.loss import ClipLoss
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from ..errors import BadSetting
from ..scenes import NAMES, class_prompts
from ..scenes.sampling import class_scene
from .recipe import CONFIG, EARLIER, Recipe, Stream, build, optimizer_of, pixels_in, rate, text_features

CACHE = Path(os.environ.get("MMEL_CACHE", Path.home() / ".cache" / "mmel"))


class Run(NamedTuple):
    """A training run as it stands before step `start`."""

    model: open_clip.CLIP
    optimizer: torch.optim.Optimizer
    start: int


def folder_of(recipe: Recipe) -> Path:
    """Where a run keeps its checkpoint and its log, unless told otherwise: by its seed and the run it comes after."""
    return CACHE / "training" / f"seed-{recipe.seed}{'-after-' * bool(recipe.after)}{recipe.after}"


def train(recipe: Recipe, *, device: str = "cpu", folder: Path | None = None, every: int = 50) -> Path:
    """Run or go on with `recipe`; returns the checkpoint: "model", "optimizer", "step", "recipe".

    A recipe that comes `after` another starts from the last weights of that one, which is run first where it has not
    been run yet.

    Every `every` steps the checkpoint is written, and a line with loss and accuracy goes to `log.jsonl`.
    Killed at any time and started again, the run ends with the same numbers, bit by bit, on the same
    processor. Raises `BadSetting` for a checkpoint of another recipe.
    """
    folder = folder or folder_of(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, log = folder / "checkpoint.pt", folder / "log.jsonl"
    model, optimizer, start = _start(recipe, device, checkpoint)
    _forget(log, start)
    loss, mean, score, began = ClipLoss(), 0.0, 0.0, time.time()
    bar = tqdm(_batches(recipe, start), "training", recipe.steps, initial=start, unit="step", disable=None)
    for step, (pixels, tokens) in enumerate(bar, start):
        torch.manual_seed(recipe.seed * 1_000_003 + step)  # the patches left out depend on the step alone
        if step >= recipe.steps - recipe.decay:
            model.visual.patch_dropout = torch.nn.Identity()
        for group in optimizer.param_groups:
            group["lr"] = rate(recipe, step)
        with _precision(recipe, device):
            value = _step(model, loss, optimizer, pixels, tokens)
        mean = value if step == start else 0.97 * mean + 0.03 * value
        if (step + 1) % every == 0 or step + 1 == recipe.steps:
            score = accuracy(model)
            speed = recipe.batch * (step + 1 - start) / (time.time() - began)
            _save(Run(model, optimizer, step + 1), recipe, checkpoint)
            line = {"step": step + 1, "loss": round(mean, 4), "lr": rate(recipe, step), "accuracy": score}
            _write(log, line | {"scale": float(model.logit_scale.detach().exp()), "scenes_per_second": speed})
        bar.set_postfix(loss=f"{mean:.3f}", accuracy=f"{score:.3f}", refresh=False)
    return checkpoint


@torch.no_grad()
def accuracy(model: open_clip.CLIP, count: int = 200) -> float:
    """Zero-shot top-1 on `count` scenes with one main object, from seeds that nothing else uses."""
    device, tokenize = next(model.parameters()).device, open_clip.SimpleTokenizer()
    model.eval()
    prompts = [prompt for prompts in class_prompts() for prompt in prompts]
    classes = text_features(model, tokenize(prompts).to(device)).view(len(NAMES), -1, CONFIG["embed_dim"]).mean(1)
    scenes = [class_scene(np.random.default_rng([999, index])) for index in range(count)]
    pixels = torch.from_numpy(np.stack([np.asarray(scene.image) for scene in scenes]))
    image = model.visual(pixels_in(pixels, device))
    chosen = (image @ torch.nn.functional.normalize(classes, dim=-1).T).argmax(1).tolist()
    model.train()
    return float(np.mean([NAMES[i] == scene.plan.objects[0].name for i, scene in zip(chosen, scenes, strict=True)]))


def read(checkpoint: Path, device: str = "cpu") -> dict:
    """A checkpoint, read without running code."""
    return torch.load(checkpoint, weights_only=True, map_location=device)


def _start(recipe: Recipe, device: str, checkpoint: Path) -> Run:
    torch.manual_seed(recipe.seed)
    model = build(recipe.patch_dropout).to(device).train()
    optimizer = optimizer_of(model, recipe)
    if not checkpoint.exists():
        if recipe.after:
            model.load_state_dict(read(train(EARLIER[recipe.after], device=device), device)["model"])
        return Run(model, optimizer, 0)
    state = read(checkpoint, device)
    if state["recipe"] != asdict(recipe):
        raise BadSetting(
            f"a checkpoint of {recipe} was expected in {checkpoint}, but it was made by {state['recipe']}: "
            "give its settings, or name another folder."
        )
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Run(model, optimizer, state["step"])


def _batches(recipe: Recipe, start: int) -> torch.utils.data.DataLoader:
    """The stream from step `start` on, drawn by a worker while the model learns."""
    stream = Stream(recipe, start)
    return torch.utils.data.DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=4)


def _step(
    model: open_clip.CLIP,
    loss: ClipLoss,
    optimizer: torch.optim.Optimizer,
    pixels: UInt8[Tensor, "batch rows columns 3"],
    tokens: Int[Tensor, "batch context"],
) -> float:
    device = next(model.parameters()).device
    image = torch.nn.functional.normalize(model.visual(pixels_in(pixels, device)).float(), dim=-1)
    text = text_features(model, tokens.to(device)).float()
    with torch.autocast(device.type, enabled=False):
        value = loss(image, text, model.logit_scale.exp())
    optimizer.zero_grad()
    value.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    with torch.no_grad():
        model.logit_scale.clamp_(0, np.log(100))
    return float(value.detach())


@contextmanager
def _precision(recipe: Recipe, device: str) -> Iterator[None]:
    """bfloat16 where the recipe wants it; then attention as plain products: the fused one is slow in it on a CPU."""
    if not recipe.half:
        yield
        return
    fused = [] if device == "cpu" else [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
    with torch.autocast(device.split(":")[0], torch.bfloat16), sdpa_kernel([*fused, SDPBackend.MATH]):
        yield


def _save(run: Run, recipe: Recipe, path: Path) -> None:
    state = {"model": run.model.state_dict(), "optimizer": run.optimizer.state_dict(), "step": run.start}
    temporary = path.with_suffix(".tmp")
    torch.save(state | {"recipe": asdict(recipe)}, temporary)
    temporary.replace(path)


def _write(log: Path, line: dict) -> None:
    tqdm.write(json.dumps(line))
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")


def _forget(log: Path, start: int) -> None:
    """Drop lines of steps that a killed run made after its last checkpoint."""
    if log.exists():
        lines = [line for line in log.read_text().splitlines(True) if json.loads(line)["step"] <= start]
        log.write_text("".join(lines))
