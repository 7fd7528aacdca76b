"""CCI: how much the score falls when no token may look at a cluster of patches."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..clip import Clip, embed_pixels, prepare, similarity
from ..trace import blocks
from ..types import Attribution
from .parts import asked, grid_of, wide
from .parts.insert import hidden_keys, tapped
from .parts.perturb import at_least, at_once, embeds, seeded, slices

OFFICIAL: dict[str, object] = {"clusters": 7}  # the paper's K; no code was published
ROUNDS = 50  # of Lloyd's algorithm, which stops by itself much earlier


def first_centres(
    points: Float[Tensor, "patch width"], clusters: int, draw: torch.Generator
) -> Float[Tensor, "cluster width"]:
    """k-means++ (Arthur, Vassilvitskii 2007): each centre is drawn in proportion to its squared distance."""
    chosen = [int(torch.randint(len(points), (1,), generator=draw))]
    for _ in range(clusters - 1):
        distance = torch.cdist(points, points[chosen]).amin(1) ** 2
        weight = distance if distance.sum() > 0 else torch.ones_like(distance)
        chosen.append(int(torch.multinomial(weight, 1, generator=draw)))
    return points[chosen]


def k_means(
    points: Float[Tensor, "patch width"], clusters: int, draw: torch.Generator, restarts: int
) -> Int[Tensor, " patch"]:
    """Lloyd's algorithm from k-means++ centres: labels of the restart with the least squared distances."""
    points = points.double().cpu()
    best, least = None, float("inf")
    for _ in range(restarts):
        centres = first_centres(points, clusters, draw)
        labels = torch.cdist(points, centres).argmin(1)
        for _ in range(ROUNDS):
            members = torch.nn.functional.one_hot(labels, clusters).double()  # patch cluster
            counts = members.sum(0)[:, None]
            centres = torch.where(counts > 0, members.T @ points / counts.clamp(min=1), centres)
            before, labels = labels, torch.cdist(points, centres).argmin(1)
            if torch.equal(before, labels):
                break
        cost = float(((points - centres[labels]) ** 2).sum())
        if cost < least:
            best, least = labels, cost
    return best


def cluster_drops(
    score: Float[Tensor, " batch"], masked: Float[Tensor, "batch cluster"], labels: Int[Tensor, "batch patch"]
) -> Float[Tensor, "batch patch"]:
    r"""Each patch has the drop of its cluster: $\Delta s_k = s - s_k$ for patch i in cluster k."""
    return (score[:, None] - masked).gather(1, labels)


def hide(labels: Int[Tensor, "batch patch"], clusters: int) -> Bool[Tensor, "batch cluster token"]:
    """Which tokens each masked pass leaves out: one cluster of patches, never the class token."""
    members = torch.nn.functional.one_hot(labels, clusters).transpose(1, 2).bool()  # batch cluster patch
    return torch.nn.functional.pad(members, (1, 0))


@torch.no_grad()
def explain(
    clip: Clip,
    images,
    texts,
    *,
    clusters: int = 7,  # K of the paper
    restarts: int = 10,  # of k-means, as scikit-learn had it; the paper does not say
    seed: int = 0,  # of the first centres
    modality: str = "image",
    batch_size: int | None = None,
) -> Attribution:
    r"""Agarwal, Karanam and Gandhi 2025 (arXiv 2511.12978, CVPR 2026), from its description: it has no code.

    Explains the cosine of the pair: k-means of the last block's patch tokens, then one pass a cluster in which its
    patches' attention logits are minus infinity in every block and head; a patch's value is the drop of the cosine.
    Image only.

    .. math:: \Delta s_k = s - s_k \text{ for each patch of cluster } k

    Shapes: image [batch, rows, columns]. Cost: 1 + `clusters` forward passes of the image tower, one of the text
    tower, no backward pass.

    Notes
    -----
    The paper divides the drops by their sum over the clusters, which may be near zero or negative; ours are
    the raw drops, the same order wherever that sum is positive. It does not say how
    k-means starts; where clusters lie close together, half precision or another seed may cut them elsewhere.
    """
    pairs = prepare(clip, images, texts)
    asked("cci", modality, pairs, has=("image",))
    at_least("clusters", clusters), at_least("restarts", restarts)
    with tapped(clip, "image", len(blocks(clip, "image")) - 1) as tap:
        image_embed, text_embed = embeds(clip, pairs)
    patches = wide(tap.hidden[:, 1:])
    count = min(clusters, patches.shape[1])
    labels = torch.stack([k_means(points, count, seeded(seed, "cci"), restarts) for points in patches])
    labels = labels.to(patches.device)
    hidden = hide(labels, count).flatten(0, 1)  # (batch cluster) token
    pictures, score = pairs.images.repeat_interleave(count, 0), similarity(image_embed, text_embed)
    masked = []
    for part in slices(len(hidden), at_once(pairs.images, batch_size)):
        with hidden_keys(clip, "image", hidden[part]):
            embed = embed_pixels(clip, pictures[part])
        masked.append(similarity(embed, text_embed.repeat_interleave(count, 0)[part]))
    drops = cluster_drops(wide(score), wide(torch.cat(masked)).unflatten(0, (-1, count)), labels)
    settings = {"clusters": clusters, "restarts": restarts, "seed": seed, "modality": modality}
    return Attribution(drops.unflatten(1, grid_of(clip, pairs)), None, score, "cci", settings)
