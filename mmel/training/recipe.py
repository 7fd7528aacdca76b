"""What makes a bundled model: its architecture, every choice of its training, its batches, its embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import open_clip
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ..scenes.sampling import train_scene

CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 112, "layers": 12, "width": 128, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 12},
    "quick_gelu": True,
}


@dataclass(frozen=True)
class Recipe:
    """Every choice of a training run. The rate rises, stays, and falls to zero in the last `decay` steps."""

    seed: int = 0
    steps: int = 2400
    decay: int = 600
    batch: int = 128  # scenes
    lr: float = 2e-3
    warmup: int = 100  # steps
    simple: int = 1200  # steps over which the share of one-object scenes falls from 1 to 0
    weight_decay: float = 0.1
    patch_dropout: float = 0.5  # share of patches left out of a step; none are in the last `decay` steps
    single: float = 0.3  # share of scenes with one main object
    half: bool = False  # matrix products in bfloat16 (twice as fast on a processor that has it)
    after: str = ""  # the run of `EARLIER` whose last weights it starts from; "": from nothing
    first: int = 0  # which scene of the stream step 0 begins with: those before it were seen in the earlier run


EARLIER = {  # runs that others go on from
    "bundled": Recipe(seed=0, batch=64, lr=1.5e-3, patch_dropout=0.25, steps=4800, decay=1600, simple=2000),
    "bundled-1": Recipe(seed=1, batch=64, lr=2e-3, patch_dropout=0.5, steps=2500, decay=1000, simple=2000),
}


def going_on(after: str, **choices) -> Recipe:
    """A run that starts from the weights of an earlier one, behind the scenes that it has seen."""
    earlier = EARLIER[after]
    seen = earlier.first + earlier.steps * earlier.batch
    return Recipe(seed=earlier.seed, batch=64, simple=0, half=True, after=after, first=seen, **choices)


EARLIER |= {
    "bundled-late": going_on("bundled", lr=1.2e-3, patch_dropout=0.0, steps=10000, decay=5000, single=0.45),
    "bundled-1-late": going_on("bundled-1", lr=1.5e-3, patch_dropout=0.25, steps=10000, decay=5000, single=0.6),
}
RECIPES = {  # of the shipped files; `make train SEED=...` takes the one of its seed, or else the first
    "bundled": going_on("bundled-late", lr=1.2e-3, patch_dropout=0.0, steps=8000, decay=5000, single=0.7),
    "bundled-1": going_on("bundled-1-late", lr=1.2e-3, patch_dropout=0.0, steps=9500, decay=6000, single=0.7),
}


def build(patch_dropout: float = 0.0) -> open_clip.CLIP:
    """The architecture of the bundled models, freshly initialised by torch's global generator."""
    vision = CONFIG["vision_cfg"] | {"patch_dropout": patch_dropout}
    return open_clip.CLIP(**{**CONFIG, "vision_cfg": vision})


def rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step (0-based): linear warm-up, plateau, linear decay to zero."""
    fall = (recipe.steps - step) / max(1, recipe.decay)
    return recipe.lr * min(1.0, (step + 1) / recipe.warmup, fall)


def ease(recipe: Recipe, step: int) -> float:
    """Share of one-object scenes in a step: from 1 to 0 over the first `simple` steps."""
    return max(0.0, 1 - step / recipe.simple) if recipe.simple else 0.0


def optimizer_of(model: open_clip.CLIP, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; vectors, scalars and embeddings do not decay."""
    decays, plain = [], []
    for name, parameter in model.named_parameters():
        (decays if parameter.ndim >= 2 and "embedding" not in name else plain).append(parameter)
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": decays, "weight_decay": recipe.weight_decay}]
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(0.9, 0.98), fused=recipe.half)


class Stream(torch.utils.data.IterableDataset):
    """Batches of training scenes, pixels and token ids, from step `start` on.

    Batch `step` is the same whatever came before it.
    """

    def __init__(self, recipe: Recipe, start: int):
        self.recipe, self.start = recipe, start

    def __iter__(
        self,
    ) -> Iterator[tuple[UInt8[Tensor, "batch rows columns 3"], Int[Tensor, "batch context"]]]:
        tokenize = open_clip.SimpleTokenizer()
        for step in range(self.start, self.recipe.steps):
            first = self.recipe.first + step * self.recipe.batch
            seeds = ([1000 + self.recipe.seed, first + i] for i in range(self.recipe.batch))
            mix = {"ease": ease(self.recipe, step), "single": self.recipe.single}
            scenes = [train_scene(np.random.default_rng(seed), **mix) for seed in seeds]
            pixels = torch.from_numpy(np.stack([np.asarray(scene.image) for scene in scenes]))
            yield pixels, tokenize([scene.captions[0].text for scene in scenes])


def pixels_in(
    pixels: UInt8[Tensor, "batch rows columns 3"], device: torch.device
) -> Float[Tensor, "batch 3 rows columns"]:
    """Pixels from 0 to 255 as the image tower takes them: normalised with OpenAI's mean and deviation."""
    mean = torch.tensor(open_clip.OPENAI_DATASET_MEAN, device=device).view(1, 3, 1, 1)
    std = torch.tensor(open_clip.OPENAI_DATASET_STD, device=device).view(1, 3, 1, 1)
    return (pixels.to(device).permute(0, 3, 1, 2).float() / 255 - mean) / std


def text_features(model: open_clip.CLIP, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch embed"]:
    """Unit text embeddings. Positions after the last end of text are left out; the mask is causal."""
    eos = tokens.argmax(-1)
    length = int(eos.max()) + 1
    hidden = model.token_embedding(tokens[:, :length]) + model.positional_embedding[:length]
    hidden = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask[:length, :length]))
    read = hidden[torch.arange(len(tokens), device=tokens.device), eos] @ model.text_projection
    return torch.nn.functional.normalize(read, dim=-1)
