"""Saliency: how fast the cosine changes with each pixel, and with each token's embedding."""

from __future__ import annotations

import torch
from captum.attr import Saliency
from jaxtyping import Float
from torch import Tensor

from ..clip import Clip, embed_image, embed_text, prepare, similarity
from ..types import Attribution
from .parts import asked, texts_of, wide
from .parts.insert import given_embedding, token_embedding

OFFICIAL: dict[str, object] = {}  # no code of its own; captum's Saliency is called as it is


def pixel_saliency(grad: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch height width"]:
    r"""Sec. 3 of Simonyan et al. 2013: $M_{ij} = \max_c |\partial c / \partial x_{c,i,j}|$."""
    return wide(grad).abs().amax(1)


def token_saliency(grad: Float[Tensor, "batch context width"]) -> Float[Tensor, "batch context"]:
    r"""$M_j = \sum_d |\partial c / \partial e_{j,d}|$ of the token embeddings e, positions not yet added."""
    return wide(grad).abs().sum(-1)


def slope(score, inputs: Tensor) -> Tensor:
    """The signed gradient of each sample's score, by captum."""
    return Saliency(score).attribute(inputs.detach().requires_grad_(), abs=False)


def explain(clip: Clip, images, texts, *, modality: str = "both") -> Attribution:
    r"""Sec. 3 of Simonyan, Vedaldi and Zisserman 2013 (arXiv 1312.6034), with captum.attr.Saliency.

    Explains the cosine of the pair. Image: a value a pixel, [batch, height, width]. Text: a value a token position,
    beginning and end of text included, 0 behind the end.

    .. math:: \max_{ch} |\partial c / \partial x_{ch,i}|

    Shapes: image [batch, height, width], text [batch, context]. Cost: one forward pass of each tower, for each map
    a backward pass through the whole of its own, and for the text map one more forward pass.

    Notes
    -----
    The text map has no paper: it is the same slope at the token embeddings, summed over their width.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("saliency", modality, pairs)
    with torch.no_grad():
        embed = {"text": embed_text(clip, texts_of(pairs))}
        if "image" not in wanted:
            embed["image"] = embed_image(clip, pairs.images)
    image = text = None
    if "image" in wanted:

        def of_pixels(pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " batch"]:
            embed["image"] = embed_image(clip, pixels)
            return similarity(embed["image"], embed["text"])

        image = pixel_saliency(slope(of_pixels, pairs.images))
    image_embed = embed["image"].detach()
    if "text" in wanted:

        def of_tokens(embedded: Float[Tensor, "batch context width"]) -> Float[Tensor, " batch"]:
            with given_embedding(clip, embedded):
                return similarity(image_embed, embed_text(clip, pairs.tokens))

        with torch.no_grad():
            embedded = token_embedding(clip)(pairs.tokens)
        text = token_saliency(slope(of_tokens, embedded))
    return Attribution(image, text, similarity(image_embed, embed["text"]), "saliency", {"modality": modality})
