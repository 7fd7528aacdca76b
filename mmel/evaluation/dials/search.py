"""Search over MMEL's dials. Pairs are traced once, maps of any setting come from that trace, scores are remembered.

So a setting costs passes only for edited pictures that no setting before it has shown to the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...clip import Clip, embed_image, embed_text
from ...errors import BadSetting, MmelError, UnknownName
from ...maps import to_grid
from ...methods.grad_eclip import image_maps, sum_layers
from ...methods.mmel import gated, layer_weight
from ...methods.mmel_settings import MmelSettings
from ...methods.parts import last_blocks
from ...metrics import (
    PROTOCOLS,
    auc,
    deletion_curve,
    energy_pointing_game,
    insertion_curve,
    multi_object_recall,
    pointing_game,
)
from ...scenes import Scene
from ...trace import blocks, record

METRICS = ("deletion_auc", "insertion_auc", "energy_pointing_game", "pointing_game", "multi_object_recall")
OBJECTIVES: Mapping[str, Callable[[Mapping[str, np.ndarray]], np.ndarray]] = {
    "deletion": lambda found: -found["deletion_auc"],
    "insertion": lambda found: found["insertion_auc"],
    "faithfulness": lambda found: found["insertion_auc"] - found["deletion_auc"],
    "pointing_game": lambda found: found["pointing_game"],
    "multi_object": lambda found: found["multi_object_recall"],
}
CURVES = {"deletion_auc": deletion_curve, "insertion_auc": insertion_curve}
BASE = ("layers", "key_similarity", "projected_keys", "similarity")  # settings that change Grad-ECLIP's map


class BudgetSpent(MmelError):
    """No forward pass is left for what was asked; what was found before is kept."""


class Remembered:
    """A score of pictures that asks the model about each picture once; `new` counts what the model has seen."""

    def __init__(self, score: Callable[[Tensor], Tensor]):
        self.score, self.known, self.new = score, {}, 0

    def __call__(self, pictures: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
        keys = [sha256(picture.cpu().numpy().tobytes()).digest() for picture in pictures]
        fresh = list({key: place for place, key in enumerate(keys) if key not in self.known}.values())
        if fresh:
            values = self.score(pictures[fresh]).tolist()
            self.known.update({keys[place]: value for place, value in zip(fresh, values, strict=True)})
            self.new += len(fresh)
        return torch.tensor([self.known[key] for key in keys], dtype=torch.float64)


class Traced:
    """Scenes with their main captions, traced once: the map of any `MmelSettings`, and what a map is worth.

    `heads` cannot change here, for it changes the trace. `steps` and `protocol` are those of the curves; `by_patch`
    edits whole patches, so that maps of one order share every picture, and a map that is interpolated does not.
    """

    def __init__(
        self, clip: Clip, scenes: Sequence[Scene], *, steps: int = 10, protocol: str = "full", by_patch: bool = False,
        budget: int | None = None,
    ):  # fmt: skip
        self.clip, self.budget, self.by_patch = clip, budget, by_patch
        self.embeds = embed_text(clip, [scene.captions[0].text for scene in scenes])
        self.pixels = torch.stack([clip.preprocess(scene.image) for scene in scenes]).to(clip.device, clip.dtype)
        self.masks = [named_masks(scene) for scene in scenes]
        with torch.enable_grad():
            self.trace = record(clip, self.pixels, self.embeds, modality="image")
        self.how = {**PROTOCOLS[protocol], "steps": steps}
        self.scores = [Remembered(self._score(index)) for index in range(len(scenes))]
        self._bases: dict[tuple, list[Tensor]] = {}

    def __len__(self) -> int:
        return len(self.pixels)

    def bases(self, settings: MmelSettings) -> list[Float[Tensor, "batch patch"]]:
        """Eq. 8's summands for the blocks and choices of `settings`, computed once."""
        count = last_blocks(self.clip, "image", settings.layers)
        key = tuple(settings[name] for name in BASE[1:])
        if key not in self._bases:
            with torch.enable_grad():
                self._bases[key] = image_maps(self.clip, self.trace, **dict(zip(BASE[1:], key, strict=True)))
        return self._bases[key][-count:]

    @torch.no_grad()
    def map(self, settings: MmelSettings) -> Float[Tensor, "batch rows columns"]:
        """What `mmel.explain(..., "mmel", **settings).image` gives, without a pass; contrast is left out."""
        if settings.heads is not None:
            raise BadSetting("heads changes the trace, which was made with the model's own: leave it None here.")
        bases = self.bases(settings)
        queries = [layer.q[:, 1:] for layer in self.trace.image_layers[-len(bases) :]]
        depth = blocks(self.clip, "image")
        width = queries[0].shape[-1] // (depth[-1].attn.num_heads if settings.head_wise else 1)
        counted = torch.ones_like(bases[0], dtype=torch.bool)
        made = gated(bases, queries, counted, settings.thetas(len(depth))[-len(bases) :], settings, width)
        return to_grid(made, self.trace.grid)

    def base(self, settings: MmelSettings) -> Float[Tensor, "batch rows columns"]:
        """Grad-ECLIP's map over the same blocks with the same choices."""
        return to_grid(sum_layers(self.bases(settings)), self.trace.grid)

    def measure(self, maps: Float[Tensor, "batch rows columns"]) -> dict[str, np.ndarray]:
        """Each of METRICS for each pair. Raises `BudgetSpent` where the curves may not fit into the budget."""
        points = 2 * (int(self.how["steps"]) + 1)
        if self.budget is not None and self.passes + points * len(self) > self.budget:
            raise BudgetSpent(
                f"{self.passes:,} of {self.budget:,} forward passes are used, and another map may take "
                f"{points * len(self):,}: raise the budget, or take fewer scenes or settings."
            )
        maps = maps.detach().cpu()
        side = self.clip.patch_size
        edited = maps.repeat_interleave(side, 1).repeat_interleave(side, 2) if self.by_patch else maps
        found = {name: np.array(self._areas(curve, edited)) for name, curve in CURVES.items()}
        union = torch.stack([mask.any(0) for mask in self.masks])
        found["energy_pointing_game"] = energy_pointing_game(maps, union).numpy()
        found["pointing_game"] = pointing_game(maps, union).numpy()
        found["multi_object_recall"] = multi_object_recall(maps, self.masks).numpy()
        return found

    @property
    def passes(self) -> int:
        """Pictures that the model was asked about."""
        return sum(score.new for score in self.scores)

    def _areas(self, curve: Callable, maps: Tensor) -> list[float]:
        drawn = zip(self.scores, self.pixels.cpu(), maps, strict=True)
        return [float(auc(*curve(score, pixels, map, **self.how)[:2])) for score, pixels, map in drawn]

    def _score(self, index: int) -> Callable[[Tensor], Tensor]:
        @torch.no_grad()
        def score(pictures: Tensor) -> Tensor:
            return embed_image(self.clip, pictures.to(self.pixels)) @ self.embeds[index]

        return score


def named_masks(scene: Scene) -> Bool[Tensor, "object rows columns"]:
    """Masks of the objects that the main caption names and that can be seen."""
    named = {index for word in scene.captions[0].words if word.role == "object" for index in word.objects}
    masks = torch.as_tensor(scene.masks[sorted(named)])
    return masks[masks.flatten(1).any(1)]


def grid(start: MmelSettings, **dials: Sequence) -> list[MmelSettings]:
    """Every combination of the dials' values, the last dial turning fastest; all else as in `start`."""
    settings = [start]
    for name, values in dials.items():
        settings = [replace(each, **{name: value}) for each in settings for value in values]
    return settings


def theta_profiles(depth: int) -> dict[str, tuple[float, ...]]:
    """Thetas per layer to try: all alike, one half alone, one block alone; the blocks' mean weight is always the same.

    Otherwise a profile would also change the strength of the gate, which is alpha's part.
    """
    mean, half, off = float(layer_weight(1.0)), depth // 2, -30.0
    late = float(np.log(np.expm1(mean * depth / (depth - half))))  # Softplus of it is that weight
    early, alone = (float(np.log(np.expm1(mean * depth / count))) for count in (half, 1))
    profiles = {"flat": (1.0,) * depth, "early": (early,) * half + (off,) * (depth - half)}
    profiles["late"] = (off,) * half + (late,) * (depth - half)
    for block in range(depth):
        profiles[f"block {block + 1}"] = tuple(alone if each == block else off for each in range(depth))
    return profiles


def search(
    traced: Traced, settings: Sequence[MmelSettings], objective: str = "faithfulness", store: Path | None = None
) -> list[dict]:
    """A row for each setting: {"settings", "value" (mean objective), "samples" (a value a pair, for each metric)}.

    With `store`, rows are appended to that file as they are found, and those that are there already, for the same
    model, pairs and curves, are taken from it. Stops before the budget is passed and keeps what it has: rows may be
    fewer than settings. Errors: UnknownName.
    """
    if objective not in OBJECTIVES:
        raise UnknownName("objective", objective, OBJECTIVES)
    known, rows = _kept(store), []
    mark = fingerprint(traced)
    for each in settings:
        key = sha256(json.dumps([mark, asdict(each)], sort_keys=True).encode()).hexdigest()
        if key not in known:
            try:
                found = traced.measure(traced.map(each))
            except BudgetSpent:
                break
            known[key] = {name: values.tolist() for name, values in found.items()}
            if store is not None:
                with store.open("a") as file:
                    file.write("\n" + json.dumps({"key": key, "samples": known[key]}))
        samples = {name: np.array(values) for name, values in known[key].items()}
        rows.append({"settings": each, "value": float(OBJECTIVES[objective](samples).mean()), "samples": samples})
    return rows


def best(rows: Sequence[Mapping]) -> Mapping:
    """The row with the largest value; of equal ones the first."""
    return max(rows, key=lambda row: row["value"])


def fingerprint(traced: Traced) -> str:
    """A hash of the model's weights, the pictures, the texts and the curves."""
    whole = sha256(json.dumps([traced.how, traced.by_patch], default=dict, sort_keys=True).encode())
    for value in (*traced.clip.model.state_dict().values(), traced.pixels, traced.embeds):
        whole.update(value.detach().cpu().float().numpy().tobytes())
    return whole.hexdigest()


def _kept(store: Path | None) -> dict[str, dict]:
    if store is None or not store.exists():
        return {}
    found = {}
    for line in store.read_text().splitlines():
        with suppress(ValueError):  # a line that was cut off, or an empty one
            row = json.loads(line)
            found[row["key"]] = row["samples"]
    return found
