"""The small CLIP of the golden arrays: image 64, patch 16, 12 blocks of 4 heads in both towers."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import load_file

from mmel.clip import Clip

DATA = Path(__file__).parent / "data"


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(DATA / f"{name}.npz") as stored:
        return {key: stored[key] for key in stored.files}


def toy_clip(dtype: torch.dtype = torch.float32) -> Clip:
    """A new model every time; token embeddings that the weights leave out are zero."""
    weights = load_file(DATA / "weights.safetensors")
    rows, values = weights.pop("token_rows.ids").long(), weights.pop("token_rows.values").float()
    state = {name: value.float() for name, value in weights.items()}
    state["token_embedding.weight"] = torch.zeros(49408, 64).index_copy(0, rows, values)
    model = open_clip.CLIP(
        embed_dim=64,
        vision_cfg=open_clip.CLIPVisionCfg(layers=12, width=128, head_width=32, patch_size=16, image_size=64),
        text_cfg=open_clip.CLIPTextCfg(context_length=77, vocab_size=49408, width=64, heads=4, layers=12),
        quick_gelu=True,
    )
    model.load_state_dict(state, strict=False)
    return Clip(model.to(dtype).eval(), open_clip.image_transform(64, is_train=False), open_clip.tokenize)


def toy_images(key: str = "pp", ids: tuple[int, ...] = (0, 1, 4)) -> torch.Tensor:
    return torch.tensor(np.stack([arrays("inputs")[f"i{image}__{key}"] for image in ids]))


def toy_tokens() -> dict[int, torch.Tensor]:
    """Token ids of the golden prompts by their number."""
    rows = torch.tensor(arrays("inputs")["tokens"]).long()
    return dict(zip(PROMPTS, rows, strict=True))


IMAGES, PROMPTS = (0, 1, 4), (0, 2, 5)
PAIRS = [(image, prompt) for image in IMAGES for prompt in PROMPTS]


def pair_batch(key: str = "pp") -> tuple[torch.Tensor, torch.Tensor]:
    """The nine golden pairs, images of one size only."""
    images = torch.cat([toy_images(key, (image,)) for image, _ in PAIRS])
    return images, torch.stack([toy_tokens()[prompt] for _, prompt in PAIRS])
