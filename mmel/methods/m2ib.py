"""M2IB: how many nats of each token have to get through a noisy channel for the pair to stay similar."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from ..clip import Clip, end_of_text, prepare, similarity
from ..errors import BadSetting, ShapeMismatch
from ..trace import blocks
from ..types import Attribution
from .parts import asked, grid_of, token_map, whole, wide
from .parts.insert import Tap, go_on, tapped
from .parts.perturb import COPIES, at_least, embeds, seeded, slices

OFFICIAL: dict[str, object] = {
    "layer": 9,
    "beta": 0.1,
    "steps": 10,
    "lr": 1.0,
    "n_samples": 10,
}  # scripts/eval.py
START = 5.0  # alpha before the first step: 99.3 % of every entry gets through

Rest = Callable[[Tensor], Float[Tensor, "copies embed"]]
Noise = Callable[[], Float[Tensor, "samples token width"]]


@dataclass(frozen=True)
class Plan:
    """How a channel is trained: the settings of `explain`, and how many copies one forward pass may hold."""

    layer: int
    beta: float
    steps: int
    lr: float
    n_samples: int
    noise: float | Tensor | Mapping | None
    seed: int
    size: int


def divergence(alpha: Float[Tensor, ...], hidden: Float[Tensor, ...]) -> Float[Tensor, ...]:
    r"""KL of the channel of each entry from the unit normal, in nats: `_calc_capacity` of scripts/iba.py.

    $-\frac12 (1 + \log\sigma^2 - \mu^2 - \sigma^2)$ with $\mu = \lambda x$, $\sigma = 1 - \lambda$,
    $\lambda = \mathrm{sigmoid}(\alpha)$. The logarithm is taken of sigmoid(-alpha), so that it stays finite.
    """
    return -0.5 * (1 + 2 * logsigmoid(-alpha) - (alpha.sigmoid() * hidden) ** 2 - (-alpha).sigmoid() ** 2)


def through(alpha: Tensor, hidden: Tensor, noise: Float[Tensor, "samples 1 token width"]) -> Tensor:
    r"""What leaves the channel, copies for each noise sample: $t = \lambda x + (1 - \lambda)\,\epsilon$."""
    return alpha.sigmoid() * hidden + (-alpha).sigmoid() * noise


def slope(
    alpha: Float[Tensor, "batch token width"],
    hidden: Float[Tensor, "batch token width"],
    own: Bool[Tensor, "batch token"],
    rest: Rest,
    target: Float[Tensor, "batch embed"],
    noise: Float[Tensor, "samples token width"],
    beta: float,
    size: int,
) -> Float[Tensor, "batch token width"]:
    r"""`calc_loss`: the gradient of $\beta\,E[KL] - E_\epsilon[c]$ in alpha, samples in runs of `size`."""
    with torch.enable_grad():
        alpha = alpha.detach().requires_grad_()
        nats = (divergence(alpha, hidden) * own[..., None]).sum((1, 2)) / own.sum(1) / hidden.shape[-1]
        (grad,) = torch.autograd.grad(beta * nats.sum(), alpha)
        for some in noise.split(size):
            copies = through(alpha, hidden, some[:, None]).flatten(0, 1)  # (samples batch) token width
            fit = similarity(rest(copies), target.repeat(len(some), 1))
            grad = grad - torch.autograd.grad(fit.sum() / len(noise), alpha)[0]
    return grad


def token_nats(
    hidden: Float[Tensor, "batch token width"],
    own: Bool[Tensor, "batch token"],
    rest: Rest,
    target: Float[Tensor, "batch embed"],
    noise: Noise,
    plan: Plan,
) -> Float[Tensor, "batch token"]:
    """Nats of each token that the last pass lets through, after `steps - 1` steps of Adam on its gates."""
    alpha = torch.full_like(hidden, START)
    adam = torch.optim.Adam([alpha], lr=plan.lr)
    for _ in range(plan.steps - 1):
        runs = max(1, plan.size // len(hidden))
        alpha.grad = slope(alpha, hidden, own, rest, target, noise(), plan.beta, runs)
        adam.step()
    return (divergence(alpha, hidden) * own[..., None]).sum(-1)


def noise_source(plan: Plan, modality: str, like: Float[Tensor, "batch token width"], context: int) -> Noise:
    """What gives the noise of each step: drawn for (seed, modality), the caller's own, or none."""
    noise = plan.noise.get(modality) if isinstance(plan.noise, Mapping) else plan.noise
    tokens, width = like.shape[1:]
    if noise is None:
        draw = seeded(plan.seed, f"m2ib {modality}")
        return lambda: torch.randn(plan.n_samples, context, width, generator=draw)[:, :tokens].to(like)
    if isinstance(noise, Tensor) and noise.ndim:
        shape = (plan.steps, plan.n_samples, tokens, width)
        if noise.ndim != 4 or noise[:, :, :tokens].shape != shape:
            raise ShapeMismatch(
                f"noise for this {modality} is [steps, n_samples, token, width], here {list(shape)}; got "
                f"{list(noise.shape)}. Change steps or n_samples, or pass a mapping with an entry a modality."
            )
        given = iter(noise[:, :, :tokens].to(like))
        return lambda: next(given)
    if noise != 0:
        raise BadSetting(f"noise is None (drawn from the seed), 0 (none) or a tensor; got {noise!r}.")
    return lambda: like.new_zeros(1, 1, 1)  # one copy stands for all of them


def tower_nats(
    clip: Clip,
    modality: str,
    tap: Tap,
    target: Float[Tensor, "batch embed"],
    end: Int[Tensor, " batch"],
    plan: Plan,
) -> Float[Tensor, "batch token"]:
    """Nats of each token of one tower up to `end`, a few pairs at a time."""
    hidden = wide(tap.hidden)
    own = torch.arange(hidden.shape[1], device=hidden.device) <= end[:, None]  # batch token
    context = clip.context_length if modality == "text" else hidden.shape[1]
    nats = []
    for some in slices(len(hidden), max(1, plan.size // plan.n_samples)):

        def rest(copies: Tensor, eos: Tensor = end[some]) -> Float[Tensor, "copies embed"]:
            eos = eos.repeat(len(copies) // len(eos))
            return wide(go_on(clip, modality, copies.to(tap.hidden.dtype), plan.layer, mask=tap.mask, eos=eos))

        noise = noise_source(plan, modality, hidden, context)
        nats.append(token_nats(hidden[some], own[some], rest, target[some], noise, plan))
    return torch.cat(nats)


def check_layer(clip: Clip, modality: str, layer: int) -> int:
    """`layer`, if the tower has it."""
    depth = len(blocks(clip, modality))
    if not 0 <= whole("layer", layer) < depth:
        raise BadSetting(
            f"layer is a block of the {modality} tower, from 0 to {depth - 1}; got {layer}. The official "
            f"code's 9 of 12 corresponds to {max(0, depth - 3)} here."
        )
    return layer


def explain(
    clip: Clip,
    images,
    texts,
    *,
    layer: int = 9,  # 0-based block behind which the channel sits: vlayer, tlayer of scripts/eval.py
    beta: float = 0.1,  # vbeta, tbeta
    steps: int = 10,  # train_steps
    lr: float = 1.0,  # of Adam
    n_samples: int = 10,  # batch_size of the official code: noise samples of one pair
    noise: float | Tensor | Mapping | None = None,  # 0 for none; or given, [steps, n_samples, token, width]
    seed: int = 0,
    modality: str = "both",
    batch_size: int | None = None,
) -> Attribution:
    r"""Wang, Rudner and Wilson 2023 (NeurIPS, arXiv 2312.17174): scripts/iba.py of YingWANGG/M2IB.

    Explains the cosine of the pair, one modality at a time with the other held fixed. Image: a value a patch. Text:
    a value a token position, beginning and end of text included, 0 behind it.

    .. math:: \min_\lambda \beta\, E[KL] - E_\epsilon[c(t)], \quad t = \lambda x + (1 - \lambda)\epsilon

    Shapes: image [batch, rows, columns], text [batch, context]. Cost: one forward pass of each tower, then `steps -
    1` times `n_samples` forward and backward passes of the blocks behind `layer`. Seeded: every sample sees the
    same noise, whatever its batch; with `noise=0` nothing is drawn.

    Notes
    -----
    The causal mask stays and the projection is applied once, as scripts/eval.py has it; the official wrapper
    of OpenAI models drops the one and doubles the other. The other tower and everything up to `layer` are
    computed once. The official code draws its map from the divergence before the last step of Adam; ours
    leaves that last pass and step out. `var` of the official code is read nowhere there, and is no setting
    here.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("m2ib", modality, pairs)
    at_least("steps", steps), at_least("n_samples", n_samples)
    if lr <= 0 or beta < 0:
        raise BadSetting(f"lr > 0 and beta >= 0 of m2ib expected; got {lr} and {beta}.")
    size = COPIES if batch_size is None else at_least("batch_size", batch_size)
    plan = Plan(layer, beta, steps, lr, n_samples, noise, seed, size)
    with torch.no_grad(), ExitStack() as stack:
        taps = {name: stack.enter_context(tapped(clip, name, check_layer(clip, name, layer))) for name in wanted}
        image_embed, text_embed = embeds(clip, pairs)
    image = text = None
    if "image" in wanted:
        last = torch.full((len(pairs),), taps["image"].hidden.shape[1] - 1, device=clip.device)
        nats = tower_nats(clip, "image", taps["image"], wide(text_embed), last, plan)
        rows = grid_of(clip, pairs)[0]
        image = rearrange(nats[:, 1:], "batch (rows columns) -> batch rows columns", rows=rows)
    if "text" in wanted:
        eos = end_of_text(clip, pairs.tokens)
        nats = tower_nats(clip, "text", taps["text"], wide(image_embed), eos, plan)
        text = token_map(nats, eos, clip.context_length)
    settings = {
        "layer": layer,
        "beta": beta,
        "steps": steps,
        "lr": lr,
        "n_samples": n_samples,
        "noise": noise,
    }
    settings |= {"seed": seed, "modality": modality}
    return Attribution(image, text, similarity(image_embed, text_embed), "m2ib", settings)
