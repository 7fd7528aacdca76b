"""MMEL (Eq. 1 to 7 and 9): Grad-ECLIP's map times a gate made of the patches' likeness to each other.

One function for each equation. What the paper leaves open is a field of `MmelSettings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..clip import Clip, prepare
from ..errors import ShapeMismatch, UnsupportedModality
from ..maps import enhance_contrast
from ..trace import blocks, record
from ..types import Attribution, ClipTrace
from .grad_eclip import image_maps, min_max, sum_layers, text_map
from .mmel_settings import MmelSettings, temper
from .parts import asked, last_blocks, one_by_one, token_map, wide

OFFICIAL: dict[str, object] = {}  # no code was published


def spatial_tokens(
    q: Float[Tensor, "batch token width"], grid: tuple[int, int]
) -> Float[Tensor, "batch rows columns 1 width"]:
    r"""Eq. 1a: $q[1:]$ without the class token, as a picture of patches, $(H, W, 1, d)$."""
    if q.shape[1] != grid[0] * grid[1] + 1:
        raise ShapeMismatch(f"{grid[0]} x {grid[1]} patches and a class token expected; got {q.shape[1]} tokens.")
    return q[:, 1:].unflatten(1, grid).unsqueeze(3)


def scale_tokens(tokens: Tensor, s: float) -> Tensor:
    r"""Eq. 1b: tokens $\times s$. A factor, no change of resolution; the paper has no Eq. 2."""
    return tokens * s


class FeatureTransform(nn.Module):
    r"""Eq. 3 and 4: $T(x) = \text{LayerNorm}(\text{Linear}_2(\text{ReLU}(\text{Linear}_1(x))))$, d to 2d to d.

    Weights are drawn as torch's own default, from `seed` alone: the paper names no training of T. Without biases
    (and with eps = 0) T is exactly scale invariant, T(s x) = T(x): the scales of Eq. 1 then change nothing at all.
    """

    def __init__(self, width: int, seed: int = 0, *, bias: bool = True, eps: float = 1e-5):
        super().__init__()
        self.linear_1 = nn.utils.skip_init(nn.Linear, width, 2 * width, bias=bias)
        self.linear_2 = nn.utils.skip_init(nn.Linear, 2 * width, width, bias=bias)
        self.norm = nn.LayerNorm(width, eps=eps, bias=bias)
        draw = torch.Generator("cpu").manual_seed(seed)
        with torch.no_grad():
            for linear in (self.linear_1, self.linear_2):
                for parameter in linear.parameters():
                    parameter.uniform_(-1, 1, generator=draw).div_(linear.in_features**0.5)
        self.requires_grad_(False)

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return self.norm(self.linear_2(self.linear_1(x).relu()))

    def of_scales(self, x: Float[Tensor, "*batch width"], scales: Sequence[float]) -> Tensor:
        r"""$T(s x)$, [scale, *batch, width], with one product for all s: $\text{Linear}_1(s x) = s W_1 x + b_1$.

        Without biases every scale has the same direction, which is all that Eq. 5 reads: one stands for all.
        """
        product, bias = F.linear(x, self.linear_1.weight), self.linear_1.bias
        inner = product[None]
        if bias is not None:
            inner = torch.stack([scale_tokens(product, s) for s in scales]).add_(bias)
        return self.norm(self.linear_2(inner.relu_()))


@lru_cache(maxsize=4)
def transform_of(width: int, seed: int, bias: bool, dtype: torch.dtype, device: torch.device) -> FeatureTransform:
    """T as its arguments decide it, drawn once: at a width of 768 drawing it takes longer than Eq. 3 for a layer."""
    with torch.inference_mode(False):
        return FeatureTransform(width, seed, bias=bias).to(device, dtype)


def semantic_attention(x: Float[Tensor, "*batch token width"]) -> Float[Tensor, "*batch token token"]:
    r"""Eq. 5: $A = F_{norm}(x) F_{norm}(x)^T / \sqrt d$ of transformed tokens x: cosines over the root of the width."""
    unit = F.normalize(x, dim=-1)
    return unit @ unit.mT / x.shape[-1] ** 0.5


def layer_weight(theta: float | Tensor) -> Tensor:
    r"""Eq. 6: $w = \text{Softplus}(\theta)$; 1.3133 for the paper's 1.0, the same for every layer."""
    return F.softplus(torch.as_tensor(theta, dtype=torch.float64)).to(torch.get_default_dtype())


def weight_attention(attention: Tensor, weight: float | Tensor) -> Tensor:
    r"""Eq. 7: $A_{weighted} = A \times w$."""
    return attention * weight


def semantic_level(
    attention: Float[Tensor, "*scale batch token token"], counted: Bool[Tensor, "batch token"],
    reduction: str = "mean", base: Float[Tensor, "batch token"] | None = None,
) -> Float[Tensor, "*scale batch token"]:  # fmt: skip
    r"""Eq. 9, $\text{SemanticLevel}_s$: one number a token from the weighted attention of one layer and scale.

    Notes
    -----
    The paper never says how the N x N of Eq. 5 becomes a number a patch. "mean" and "sum" run over the `counted`
    tokens; "relevance" weighs each row with the min-max `base` map, so that a patch that looks like relevant patches
    gains. Tokens that are not counted (start and end of a text) get 0.
    """
    attention = attention.masked_fill(~(counted[:, :, None] & counted[:, None]), 0)
    if reduction == "relevance":
        return (attention @ min_max(base, counted)[..., None])[..., 0]
    summed = attention.sum(-1)
    return summed if reduction == "sum" else summed / counted.sum(-1, keepdim=True).clamp(min=1)


def enhance(
    base: Float[Tensor, "batch token"], levels: Float[Tensor, "scale batch token"], alpha: float = 2.0, *,
    preserve: float = 1.0,
) -> Float[Tensor, "batch token"]:  # fmt: skip
    r"""Eq. 9: $E_{MMEL} = E \cdot [1 + \alpha \, \sigma(\sum_s \text{SemanticLevel}_s)]$; `preserve` is the 1.

    For E >= 0 and alpha >= 0 it holds that E <= E_MMEL <= (1 + alpha) E.
    """
    return base * (preserve + alpha * levels.sum(0).sigmoid())


def layer_levels(
    tokens: Float[Tensor, "batch token width"], counted: Bool[Tensor, "batch token"],
    base: Float[Tensor, "batch token"], theta: float | Tensor, settings: MmelSettings,
    transform: FeatureTransform | None = None,
) -> Float[Tensor, "scale batch token"]:  # fmt: skip
    """Eq. 1b to 7 for one layer: a semantic level for each scale. `transform` stands for the T that `settings` draw."""
    transform = transform or transform_of(tokens.shape[-1], settings.seed, settings.bias, tokens.dtype, tokens.device)
    attention = semantic_attention(transform.of_scales(tokens, settings.scales))
    if settings.temperature_place == "softmax":  # tokens that do not count have no share of it
        attention = attention.masked_fill(~counted[:, None], -torch.inf)
    attention = temper(attention, settings.temperature, settings.temperature_place, tokens.shape[-1])
    weighted = weight_attention(attention, layer_weight(theta).to(tokens))
    return semantic_level(weighted, counted, settings.reduction, base).expand(len(settings.scales), -1, -1)


def gated(
    bases: Sequence[Float[Tensor, "batch token"]], queries: Sequence[Float[Tensor, "batch token width"]],
    counted: Bool[Tensor, "batch token"], thetas: Sequence[float], settings: MmelSettings, part: int,
) -> Float[Tensor, "batch token"]:  # fmt: skip
    """Eq. 9 over layers: base maps summed and gated once, or each gated by its own layer (`gate="each"`).

    Eq. 5 is computed on consecutive parts of q, `part` channels wide, and averaged: heads, or the whole width.
    """
    whole, levels = sum_layers(bases), []
    for q, theta, base in zip(queries, thetas, bases, strict=True):
        parts = wide(q).split(part, dim=-1)
        shown = base if settings.gate == "each" else whole
        each = [layer_levels(p, counted, shown, theta, settings) for p in parts]
        levels.append(each[0] if len(each) == 1 else torch.stack(each).mean(0))
    preserve = settings.beta if settings.beta_place == "base" else 1.0
    if settings.gate == "each":
        pairs = zip(bases, levels, strict=True)
        return sum_layers([enhance(base, level, settings.alpha, preserve=preserve) for base, level in pairs])
    level = torch.stack(levels).sum(0) if settings.gate == "sum" else torch.stack(levels).mean(0)
    return enhance(whole, level, settings.alpha, preserve=preserve)


def image_part(clip: Clip, trace: ClipTrace, settings: MmelSettings) -> Float[Tensor, "batch rows columns"]:
    """The image map: patches are the tokens, and all of them count."""
    bases = image_maps(clip, trace, **{n: settings[n] for n in ("key_similarity", "projected_keys", "similarity")})
    with torch.no_grad():
        queries = [spatial_tokens(layer.q, trace.grid).flatten(1, 3) for layer in trace.image_layers]
        counted = torch.ones_like(bases[0], dtype=torch.bool)
        thetas = settings.thetas(len(blocks(clip, "image")))[-len(bases) :]
        part = settings.part(blocks(clip, "image")[-1].attn)
        map = gated(bases, queries, counted, thetas, settings, part).unflatten(1, trace.grid)
    return map if settings.contrast_share is None else enhance_contrast(map, settings.contrast_share)


def text_part(clip: Clip, trace: ClipTrace, settings: MmelSettings) -> Float[Tensor, "batch token"]:
    """The text map: words are the tokens; start and end of text are no words and keep a level of 0."""
    base = text_map(clip, trace, trace.eos, **{name: settings[name] for name in ("key_similarity", "projected_keys")})
    with torch.no_grad():
        positions = torch.arange(base.shape[1], device=base.device)
        counted = (positions > 0) & (positions < trace.eos[:, None])
        queries = [layer.q for layer in trace.text_layers]
        shared = [base / len(queries)] * len(queries)  # the text's ReLU comes after the sum: no map of one layer
        thetas = settings.thetas(len(blocks(clip, "text")))[-len(queries) :]
        return gated(shared, queries, counted, thetas, settings, settings.part(blocks(clip, "text")[-1].attn))


@torch.enable_grad()
def explain(
    clip: Clip,
    images,
    texts,
    *,
    modality: str = "both",
    alpha: float = MmelSettings.alpha,
    scales: tuple[float, ...] = MmelSettings.scales,
    theta: float | tuple[float, ...] = MmelSettings.theta,
    temperature: float = MmelSettings.temperature,
    temperature_place: str = MmelSettings.temperature_place,
    beta: float = MmelSettings.beta,
    beta_place: str = MmelSettings.beta_place,
    reduction: str = MmelSettings.reduction,
    gate: str = MmelSettings.gate,
    head_wise: bool = MmelSettings.head_wise,
    seed: int = MmelSettings.seed,
    bias: bool = MmelSettings.bias,
    layers: int | None = MmelSettings.layers,
    heads: int | None = MmelSettings.heads,
    key_similarity: bool = MmelSettings.key_similarity,
    projected_keys: bool = MmelSettings.projected_keys,
    similarity: str = MmelSettings.similarity,
    contrast_share: float | None = MmelSettings.contrast_share,
    text: str = MmelSettings.text,
) -> Attribution:
    r"""Eq. 9: Imran and Lee 2025 (arXiv 2509.15243), with the fields of `MmelSettings`; no code was published.

    Explains the cosine of the pair. `**mmel.LITERAL` is what the equations say and nothing else, `**mmel.WORKING` our
    best reading of the module over the same map of Eq. 8, chosen on the validation split of the bundled world.

    .. math:: E_{MMEL} = E \cdot [1 + \alpha \, \sigma(\textstyle\sum_s \text{SemanticLevel}_s)]

    Shapes: image [batch, rows, columns], text [batch, context] (`text="none"`: no map). Cost: one forward pass of each
    tower, for each map a backward pass to the first of `layers`; in each block 1 + `scales` products of Eq. 4's size.

    Notes
    -----
    Read literally, Eq. 9 hardly re-orders Grad-ECLIP: the cosines of Eq. 5 are divided by the root of the width, so
    the gate lies close to 1 + alpha / 2 for every patch, and T ends in a layer norm and forgets the scale of Eq. 1.
    Deletion and insertion depend on the order of the patches only. Texts: not defined by the paper.
    """
    named = {name: value for name, value in locals().items() if name in MmelSettings.__dataclass_fields__}
    pairs, settings = prepare(clip, images, texts), MmelSettings(**named)
    wanted = asked("mmel", modality, pairs)
    if settings.text == "none":
        if modality == "text":
            raise UnsupportedModality("the paper defines no text map, and text='none' makes none: pass text='words'.")
        wanted = ("image",)
    if settings.heads is not None and len(wanted) == 2:
        return one_by_one(explain, clip, pairs, **settings)
    trace = record(
        clip, pairs, heads=settings.heads, full_context=True,
        modality=wanted[0] if len(wanted) == 1 else "both",
        layers=last_blocks(clip, "image", settings.layers) if "image" in wanted else None,
        text_layers=last_blocks(clip, "text", settings.layers) if "text" in wanted else None,
    )  # fmt: skip
    image = image_part(clip, trace, settings) if "image" in wanted else None
    words = token_map(text_part(clip, trace, settings), trace.eos, clip.context_length) if "text" in wanted else None
    return Attribution(image, words, trace.score.detach(), "mmel", {**settings, "modality": modality})
