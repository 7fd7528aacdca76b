"""Control: a map of random numbers. A method that is no better has found nothing."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ...clip import Clip, end_of_text, prepare, similarity
from ...types import Attribution
from ..parts import asked, grid_of, token_map, wide
from ..parts.perturb import embeds, seeded

OFFICIAL: dict[str, object] = {}  # a control of ours


def uniform(seed: int, name: str, shape: tuple[int, ...]) -> Float[Tensor, "*shape"]:
    """Uniform numbers in [0, 1) from a generator of their own, which `seed` and `name` decide."""
    return torch.rand(shape, generator=seeded(seed, f"random {name}"))


def explain(clip: Clip, images, texts, *, seed: int = 0, modality: str = "both") -> Attribution:
    r"""Control without a source: independent uniform numbers in [0, 1), one a patch and one a token position.

    Explains nothing.

    .. math:: u_i \sim U[0, 1)

    Shapes: image [batch, rows, columns], text [batch, context]. Cost: the score's own forward pass of each tower.

    Notes
    -----
    The numbers depend on `seed` and the shape of the map only, so all pairs of one size get the same ones, in
    whatever batch they are: run several seeds to see the control's own noise. Text: 0 to end of text.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("random", modality, pairs)
    batch, image, text = len(pairs), None, None
    if "image" in wanted:
        grid = grid_of(clip, pairs)
        image = uniform(seed, "image", grid).to(wide(pairs.images)).expand(batch, *grid).clone()
    if "text" in wanted:
        row = uniform(seed, "text", (clip.context_length,)).to(wide(pairs.images)).expand(batch, -1)
        text = token_map(row, end_of_text(clip, pairs.tokens), clip.context_length)
    settings = {"seed": seed, "modality": modality}
    return Attribution(image, text, similarity(*embeds(clip, pairs)), "random", settings)
