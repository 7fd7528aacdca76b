"""Control: an edge detector, which knows the picture but neither the model nor the text."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ...clip import Clip, prepare, similarity
from ...types import Attribution
from ..parts import asked, wide
from ..parts.perturb import embeds

SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))

OFFICIAL: dict[str, object] = {}  # a control of ours


def edge_strength(pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch height width"]:
    r"""$\sqrt{G_x^2 + G_y^2}$ of the channels' mean, with Sobel's 3 x 3 kernels, the border repeated."""
    grey = F.pad(pixels.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    kernel = torch.tensor(SOBEL, dtype=pixels.dtype, device=pixels.device)
    gradient = F.conv2d(grey, torch.stack([kernel, kernel.T])[:, None])  # batch 2 height width
    return gradient.square().sum(1).sqrt()


def explain(clip: Clip, images, texts, *, modality: str = "image") -> Attribution:
    r"""Control of Adebayo et al. 2018 (arXiv 1810.03292): mean Sobel edge strength of each patch.

    Explains nothing about the model; a map that looks like it may be one of the picture only. Image only.

    .. math:: \text{mean over the patch of } \sqrt{G_x^2 + G_y^2}

    Shapes: image [batch, rows, columns]. Cost: the score's own forward pass of each tower.

    Notes
    -----
    Edges are those of the normalised pixels that the model sees, averaged over the patch.
    """
    pairs = prepare(clip, images, texts)
    asked("edges", modality, pairs, has=("image",))
    strength = edge_strength(wide(pairs.images))
    image = F.avg_pool2d(strength[:, None], clip.patch_size)[:, 0]  # batch rows columns
    return Attribution(image, None, similarity(*embeds(clip, pairs)), "edges", {"modality": modality})
