"""The choices of MMEL: what its equations name, what they leave open, and two presets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from numbers import Real

from jaxtyping import Float
from torch import Tensor, nn

from ..errors import BadSetting
from .grad_eclip import SIMILARITIES
from .parts.settings import check_kinds

CHOICES = {
    "reduction": ("mean", "sum", "relevance"),
    "gate": ("mean", "sum", "each"),
    "temperature_place": ("none", "attention", "softmax"),
    "beta_place": ("none", "base"),
    "similarity": SIMILARITIES,
    "text": ("none", "words"),
}


@dataclass(frozen=True)
class MmelSettings(Mapping):
    """Everything that MMEL's equations name or leave open. Usable as `**settings`, for it is a mapping too."""

    alpha: float = 2.0  # Sec. 3.4: enhancement strength of Eq. 9
    scales: tuple[float, ...] = (1.0, 0.75, 0.5)  # Eq. 1
    theta: float | tuple[float, ...] = 1.0  # Eq. 6: one for all blocks, or one a block, first to last
    temperature: float = 0.1  # Sec. 3.4; no equation has it
    temperature_place: str = "none"  # "attention": A / temperature; "softmax": rows of A through a softmax with it
    beta: float = 2.0  # Sec. 3.4: "signal preservation"; no equation has it
    beta_place: str = "none"  # "base": Eq. 9's 1 becomes beta
    reduction: str = "mean"  # from the N x N of Eq. 5 to one number a patch; "relevance": A times the base map
    gate: str = "mean"  # over layers inside sigma; "sum"; "each": a gate of its own for each layer's map
    head_wise: bool = False  # Eq. 5 on each head's part of q, averaged; default: the whole width
    seed: int = 0  # of T (Eq. 3), which the paper never trains
    bias: bool = True  # of T's linear layers, as torch has them
    layers: int | None = None  # last blocks; None: all, as Eq. 8 prints
    heads: int | None = None  # None: the model's own; 1: the official Grad-ECLIP's
    key_similarity: bool = True  # Eq. 8's sim_qk
    projected_keys: bool = False  # Eq. 8 compares q and k as they are
    similarity: str = "class"  # "combined": Sec. 3.5, which Eq. 8 and 9 do not have
    contrast_share: float | None = None  # Sec. 3.4: contrast enhancement for display; None: raw maps
    text: str = "words"  # ours: the same equations on words; "none": the paper defines no text map

    def __post_init__(self):
        check_kinds("mmel", MmelSettings, self)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise BadSetting(f"{name} of mmel is one of {', '.join(allowed)}; got {getattr(self, name)!r}.")
        if not self.scales or not all(s > 0 for s in self.scales):
            raise BadSetting(f"scales are positive numbers, at least one; got {self.scales!r}.")
        if self.temperature <= 0 or self.alpha < 0:
            raise BadSetting(f"temperature > 0 and alpha >= 0 expected; got {self.temperature} and {self.alpha}.")

    def thetas(self, depth: int) -> list[float]:
        """Eq. 6's theta of each of the `depth` blocks of a tower."""
        if isinstance(self.theta, Real):
            return [float(self.theta)] * depth
        if len(self.theta) != depth:
            raise BadSetting(
                f"theta has one number for each of the {depth} blocks, or one for all; got {len(self.theta)}."
            )
        return [float(theta) for theta in self.theta]

    def part(self, attention: nn.Module) -> int:
        """How many channels of a block's queries Eq. 5 reads together: a head's, or all of them."""
        heads = (self.heads or attention.num_heads) if self.head_wise else 1
        return attention.in_proj_weight.shape[1] // heads

    def __getitem__(self, name: str) -> object:
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return getattr(self, name)

    def __iter__(self) -> Iterator[str]:
        return iter(field.name for field in fields(self))

    def __len__(self) -> int:
        return len(fields(self))


LITERAL = MmelSettings(text="none")
WORKING = MmelSettings(temperature_place="softmax", reduction="relevance", alpha=8.0)  # benchmarks/choose_working.py


def temper(
    attention: Float[Tensor, "batch token token"], temperature: float, place: str, width: int
) -> Float[Tensor, "batch token token"]:
    r"""Sec. 3.4's temperature, in no equation: A / t, or $\text{softmax}(\cos / t)$ in place of $\cos / \sqrt d$.

    Masked entries, minus infinity, come with "softmax" only; "none" leaves everything alone.
    """
    if place == "softmax":
        return (attention * width**0.5 / temperature).softmax(-1).nan_to_num()
    return attention / temperature if place == "attention" else attention
