"""Control: a Gaussian in the middle of the picture, where photographers put what they name."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ...clip import Clip, prepare, similarity
from ...errors import BadSetting
from ...types import Attribution
from ..parts import asked, grid_of, wide
from ..parts.perturb import embeds

OFFICIAL: dict[str, object] = {}  # a control of ours


def gaussian(grid: tuple[int, int], sigma: float) -> Float[Tensor, "rows columns"]:
    r"""$\exp(-\frac{y^2 + x^2}{2\sigma^2})$ with y and x from -0.5 to 0.5 at the edges of the picture."""
    rows, columns = ((torch.arange(size, dtype=torch.float64) + 0.5) / size - 0.5 for size in grid)
    return torch.exp(-(rows[:, None] ** 2 + columns[None, :] ** 2) / (2 * sigma**2))


def explain(clip: Clip, images, texts, *, sigma: float = 0.25, modality: str = "image") -> Attribution:
    r"""Control without a source: the same centred Gaussian for every pair, `sigma` in sides of the picture.

    Explains nothing; measures how far "guess the middle" goes. Image only.

    .. math:: \exp(-(x_i^2 + y_i^2) / 2 \sigma^2)

    Shapes: image [batch, rows, columns]. Cost: the score's own forward pass of each tower.

    Notes
    -----
    `sigma=0.25` (not from a paper) leaves 0.14 of the largest value in the middle of each edge.
    """
    pairs = prepare(clip, images, texts)
    asked("centre_gaussian", modality, pairs, has=("image",))
    if not (isinstance(sigma, int | float) and 0 < sigma < float("inf")):
        raise BadSetting(f"sigma is a positive number, in sides of the picture; got {sigma!r}.")
    grid = grid_of(clip, pairs)
    image = gaussian(grid, sigma).to(wide(pairs.images)).expand(len(pairs), *grid).clone()
    settings = {"sigma": sigma, "modality": modality}
    return Attribution(image, None, similarity(*embeds(clip, pairs)), "centre_gaussian", settings)
