"""Two later forms of the randomisation test (Hedström et al. 2023): smoothed maps, and entropy instead of likeness."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadSetting, ShapeMismatch
from ..methods.parts.perturb import at_least, seeded

Maps = Float[Tensor, "batch rows columns"]


def smoothed(
    look: Callable[[Float[Tensor, "batch 3 height width"]], Maps],
    pixels: Float[Tensor, "batch 3 height width"],
    *,
    samples: int = 50,
    noise: float = 0.1,  # standard deviation, as a share of each picture's range
    seed: int | Sequence[int] = 0,  # or one for each picture
) -> Maps:
    """Smooth MPRT: the mean of the maps of `samples` pictures with noise added, against the shattering of gradients.

    Put it around a method inside `cascade`. The defaults are those of Quantus. A picture's noise depends on its seed
    alone, and not on its batch. Errors: BadSetting, ShapeMismatch.
    """
    if not 0 <= noise < float("inf"):
        raise BadSetting(f"noise is a share of a picture's range, from 0 on; got {noise}.")
    reach = pixels.amax((1, 2, 3), keepdim=True) - pixels.amin((1, 2, 3), keepdim=True)
    seeds, total = [seed] * len(pixels) if isinstance(seed, int) else list(seed), None
    if len(seeds) != len(pixels):
        raise ShapeMismatch(f"one seed, or one for each of {len(pixels)} pictures, was expected; got {len(seeds)}.")
    generators = [seeded(each, "smoothed") for each in seeds]
    for _ in range(at_least("samples", samples)):
        drawn = torch.stack([torch.randn(pixels.shape[1:], generator=each) for each in generators]).to(pixels)
        made = look(pixels + noise * reach * drawn).double()
        total = made if total is None else total + made
    return total / samples


def histogram_entropy(map: Maps, *, bins: int = 100) -> Float[Tensor, " batch"]:
    r"""$-\sum_b p_b \log p_b$ of each map's histogram over its own range, in nats: how complex it is.

    At most the log of the number of bins, and of values: a map of 7 x 7 patches reaches 3.9.
    """
    at_least("bins", bins, 2)
    entropies = []
    for values in map.detach().cpu().double().flatten(1):
        counts = torch.histc(values, bins) if values.max() > values.min() else torch.ones(1, dtype=torch.float64)
        entropies.append(torch.special.entr(counts / counts.sum()).sum())
    return torch.stack(entropies)


def entropy_rise(trained: Maps, random: Maps, *, bins: int = 100) -> Float[Tensor, " batch"]:
    r"""Efficient MPRT: $(H_{\text{random}} - H_{\text{trained}}) / H_{\text{trained}}$; NaN for a flat trained map.

    Two maps only, those of the trained and of the fully randomised model, and no layers whose order could matter.
    """
    before, after = (histogram_entropy(each, bins=bins) for each in (trained, random))
    return torch.where(before > 0, (after - before) / before, torch.nan)
