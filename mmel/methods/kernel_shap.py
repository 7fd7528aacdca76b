"""Kernel SHAP: Shapley values of patches and of words, by one weighted least-squares fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from math import comb

import torch
from captum.attr import KernelShap
from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import DataLoader

from ..clip import Clip, prepare, similarity
from ..errors import ShapeMismatch
from ..types import Attribution
from .parts import asked, grid_of
from .parts.perturb import COPIES, at_least, at_once, embeds, image_score, seeded, text_score, words

OFFICIAL: dict[str, object] = {}  # no code of its own: captum's, whose 25 samples leave patches undetermined


@dataclass(frozen=True)
class Plan:
    """The settings of `explain` that a fit needs."""

    n_samples: int | None
    pad: int
    seed: int
    batch_size: int | None


class LeastSquares:
    """Weighted linear regression with an intercept, solved in float64: captum's own needs scikit-learn."""

    def fit(self, loader: DataLoader) -> None:
        """Fit to (coalitions, values, weights), read as a whole: a walk through a loader would draw."""
        coalitions, values, weights = (part.double().cpu() for part in loader.dataset.tensors)
        root = weights.flatten().sqrt()[:, None]
        design = torch.cat([coalitions, torch.ones(len(coalitions), 1, dtype=torch.float64)], 1)
        solved = torch.linalg.lstsq(design * root, values.reshape(-1, 1) * root, driver="gelsd").solution
        self.slopes = solved[:-1, 0]

    def representation(self) -> Float[Tensor, " feature"]:
        """The slope of each feature: its Shapley value."""
        return self.slopes


def kernel(features: int, present: int) -> float:
    r"""Theorem 2 of Lundberg and Lee 2017: $\frac{M - 1}{\binom{M}{z} z (M - z)}$, for 0 < z < M."""
    return (features - 1) / (comb(features, present) * present * (features - present))


def drawn_coalitions(features: int, n_samples: int, draw: torch.Generator) -> Int[Tensor, "coalition feature"]:
    """Coalitions drawn by the kernel: a size by its total weight, then any set of that size."""
    sizes = torch.arange(1, features)
    size = sizes[torch.multinomial(1 / (sizes * (features - sizes)), n_samples, True, generator=draw)]
    rank = torch.rand(n_samples, features, generator=draw).argsort(1).argsort(1)
    return (rank < size[:, None]).long()


class Coalitions(KernelShap):
    """captum's Kernel SHAP on coalitions of ours: all of them, weighted, or drawn ones, each alike."""

    def __init__(self, score: Callable, features: int, plan: Plan, modality: str):
        super().__init__(score)
        self.interpretable_model = LeastSquares()
        n_samples = 2 * features + 2048 if plan.n_samples is None else plan.n_samples
        self.every = 2**features - 2 <= n_samples
        if self.every:
            inner = torch.tensor(list(product((0, 1), repeat=features))[1:-1]).reshape(-1, features)
        else:
            inner = drawn_coalitions(features, n_samples, seeded(plan.seed, f"kernel_shap {modality}"))
        ends = torch.tensor([[1], [0]]).expand(2, features)
        self.coalitions = torch.cat([ends, inner])
        self.similarity_func = self._weight
        self.perturb_func = self._sample

    def _sample(self, original, **named) -> Iterator[Int[Tensor, "1 feature"]]:
        yield from self.coalitions.to(original.device).split(1)

    def _weight(self, original, perturbed, coalition: Tensor, **named) -> Float[Tensor, " 1"]:
        features, present = coalition.shape[1], int(coalition.sum())
        if present in (0, features):
            return torch.tensor([self.inf_weight])
        return torch.tensor([kernel(features, present) if self.every else 1.0])

    def values(self, inputs: Tensor, baselines: Tensor, mask: Tensor, batch_size: int) -> Float[Tensor, " feature"]:
        """Shapley values of the features that `mask` numbers, in the unit of the score."""
        found = self.attribute(
            inputs, baselines=baselines, feature_mask=mask, n_samples=len(self.coalitions),
            perturbations_per_eval=batch_size, return_input_shape=False,
        )  # fmt: skip
        return found.flatten().float()


def patch_numbers(grid: tuple[int, int], patch: int) -> Int[Tensor, "1 1 height width"]:
    """The number of the patch that each pixel belongs to, row by row."""
    numbers = torch.arange(grid[0] * grid[1]).view(grid)
    return repeat(numbers, "row column -> 1 1 (row p) (column q)", p=patch, q=patch)


def image_values(
    clip: Clip, image: Tensor, text_embed: Tensor, grid: tuple[int, int], baseline: Tensor, plan: Plan
) -> Float[Tensor, "rows columns"]:
    """Shapley values of the patches of one image, which lie in a `grid`."""
    score = image_score(clip, text_embed)
    if grid == (1, 1):  # nothing to share out
        return (score(image[None]) - score(baseline[None])).view(grid)
    mask = patch_numbers(grid, image.shape[1] // grid[0]).to(image.device)
    coalitions = Coalitions(score, grid[0] * grid[1], plan, "image")
    size = at_once(image[None], plan.batch_size)
    return coalitions.values(image[None], baseline[None], mask, size).view(grid)


def text_values(
    clip: Clip, ids: Int[Tensor, " context"], here: Int[Tensor, " words"], image_embed: Tensor, plan: Plan
) -> Float[Tensor, " context"]:
    """Shapley values of the words of one text; beginning and end of text play no part and get 0."""
    of_text = text_score(clip, image_embed)

    def score(some: Int[Tensor, "copies words"]) -> Float[Tensor, " copies"]:
        copies = ids.repeat(len(some), 1)
        copies[:, here] = some
        return of_text(copies)

    out = torch.zeros(len(ids), device=ids.device)
    own = ids[here][None]
    absent = torch.full_like(own, plan.pad)
    if len(here) == 1:  # nothing to share out
        out[here] = (score(own) - score(absent)).to(out)
    elif len(here):
        mask = torch.arange(len(here), device=ids.device)[None]
        coalitions = Coalitions(score, len(here), plan, "text")
        out[here] = coalitions.values(own, absent, mask, plan.batch_size or COPIES).to(out)
    return out


def hidden_pixels(baseline: float | Tensor | None, images: Tensor) -> Float[Tensor, "3 height width"]:
    """The picture that absent patches show, in normalised values: None is 0, the mean colour."""
    value = torch.as_tensor(0.0 if baseline is None else baseline).to(images)
    value = value.view(3, 1, 1) if value.shape == (3,) else value
    try:
        return value.expand(images.shape[1:]).contiguous()
    except RuntimeError as error:
        raise ShapeMismatch(
            f"baseline is a number, a colour [3] or a picture {list(images.shape[1:])}, normalised; "
            f"got the shape {list(value.shape)}. Leave it out for the mean colour."
        ) from error


def explain(
    clip: Clip,
    images,
    texts,
    *,
    n_samples: int | None = 1024,  # coalitions; None = 2 M + 2048 for M features, "auto" of the shap package
    baseline: float | Float[Tensor, "3 height width"] | None = None,  # an absent patch; None = mean colour
    pad: int = 0,  # id that stands where a word is absent: the padding of CLIP's tokenizer
    seed: int = 0,
    modality: str = "both",
    batch_size: int | None = None,
) -> Attribution:
    r"""Theorem 2 of Lundberg and Lee 2017 (arXiv 1705.07874), with captum.attr.KernelShap.

    Explains the cosine of the pair: the values of all features add up to what the cosine loses when all are absent.
    Image: a value a patch. Text: a value a word.

    .. math:: \min_\phi \textstyle\sum_z \pi(z) \big(c(z) - \phi_0 - \sum_i \phi_i z_i\big)^2

    Shapes: image [batch, rows, columns], text [batch, context]. Cost: `n_samples` + 2 forward passes of the
    explained tower, `batch_size` at a time; no backward pass. Seeded: every sample sees the same coalitions,
    whatever its batch.

    Notes
    -----
    Where `n_samples` would cover every coalition (10 words at the default), each is scored once and weighted
    by the kernel: the values are then exact and no seed matters. captum draws from torch's global state and
    fits with scikit-learn; ours draws from a generator of its own and solves in float64. Its default of 25
    samples would leave most patches undetermined.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("kernel_shap", modality, pairs)
    if n_samples is not None:
        at_least("n_samples", n_samples)
    if batch_size is not None:
        at_least("batch_size", batch_size)
    plan = Plan(n_samples, pad, seed, batch_size)
    image_embed, text_embed = embeds(clip, pairs)
    image = text = None
    if "image" in wanted:
        hidden = hidden_pixels(baseline, pairs.images)
        rows = zip(pairs.images, text_embed, strict=True)
        image = torch.stack([image_values(clip, *row, grid_of(clip, pairs), hidden, plan) for row in rows])
    if "text" in wanted:
        rows = zip(pairs.tokens, words(clip, pairs.tokens), image_embed, strict=True)
        text = torch.stack([text_values(clip, *row, plan) for row in rows])
    settings = {"n_samples": n_samples, "baseline": baseline, "pad": pad, "seed": seed, "modality": modality}
    return Attribution(image, text, similarity(image_embed, text_embed), "kernel_shap", settings)
