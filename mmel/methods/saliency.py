"""Saliency: how fast the cosine changes with each pixel, and with each token's embedding."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..clip import Clip, embed_pixels, embed_text, prepare, similarity
from ..types import Attribution
from .parts import asked, texts_of, wide
from .parts.insert import given_embedding, only_first_token, token_embedding

OFFICIAL: dict[str, object] = {}  # no code of its own; the tests compare with captum's


def pixel_saliency(grad: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch height width"]:
    r"""Sec. 3 of Simonyan et al. 2013: $M_{ij} = \max_c |\partial c / \partial x_{c,i,j}|$."""
    return wide(grad).abs().amax(1)


def token_saliency(grad: Float[Tensor, "batch context width"]) -> Float[Tensor, "batch context"]:
    r"""$M_j = \sum_d |\partial c / \partial e_{j,d}|$ of the token embeddings e, positions not yet added."""
    return wide(grad).abs().sum(-1)


def slope(score: Float[Tensor, " batch"], inputs: Tensor) -> Tensor:
    """The signed gradient of each sample's score; the graph goes with it, for nothing else is asked of it."""
    return torch.autograd.grad(score.sum(), inputs)[0]


@torch.enable_grad()
def explain(clip: Clip, images, texts, *, modality: str = "both") -> Attribution:
    r"""Sec. 3 of Simonyan, Vedaldi and Zisserman 2013 (arXiv 1312.6034), equal to captum.attr.Saliency.

    Explains the cosine of the pair. Image: a value a pixel, [batch, height, width]. Text: a value a token position,
    beginning and end of text included, 0 behind the end.

    .. math:: \max_{ch} |\partial c / \partial x_{ch,i}|

    Shapes: image [batch, height, width], text [batch, context]. Cost: one forward pass of each tower, for each map
    a backward pass through the whole of its own, and for the text map one more forward pass.

    Notes
    -----
    Of the last image block only the class token is computed, for nothing else is read. The text map has no paper: it
    is the same slope at the token embeddings, summed over their width.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("saliency", modality, pairs)
    with torch.no_grad():
        text_embed = embed_text(clip, texts_of(pairs))
        image_embed = None if "image" in wanted else embed_pixels(clip, pairs.images)
    image = text = None
    if "image" in wanted:
        pixels = pairs.images.detach().requires_grad_()
        with only_first_token(clip):
            image_embed = embed_pixels(clip, pixels)
        score = similarity(image_embed, text_embed)
        image = pixel_saliency(slope(score, pixels))
    else:
        score = similarity(image_embed, text_embed)
    if "text" in wanted:
        embedded = token_embedding(clip)(pairs.tokens).detach().requires_grad_()
        with given_embedding(clip, embedded):
            again = similarity(image_embed.detach(), embed_text(clip, pairs.tokens))
        text = token_saliency(slope(again, embedded))
    return Attribution(image, text, score.detach(), "saliency", {"modality": modality})
