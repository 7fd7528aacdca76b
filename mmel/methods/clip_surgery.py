"""CLIP Surgery: patches that attend value to value, compared with a text less what all texts share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from open_clip import OPENAI_IMAGENET_TEMPLATES
from torch import Tensor
from torch.nn.functional import normalize, scaled_dot_product_attention

from ..clip import Clip, embed_text, prepare, prepare_texts
from ..errors import ShapeMismatch
from ..trace import blocks, image_readout, record
from ..types import Attribution, LayerTrace, Pairs
from .mask_clip import finish_block
from .parts import asked, last_blocks, wide

OFFICIAL: dict[str, object] = {"layers": 6}  # clip/clip_surgery_model.py
SCENES = tuple(  # clip/clip.py adds them to the 80 templates of OpenAI
    f"{start} {{}} in the scene." for start in ("there is a", "there is the", "this is a", "this is the", "this is one")
)


def value_attention(v: Float[Tensor, "batch token width"], heads: int) -> Float[Tensor, "batch token width"]:
    r"""`Attention.forward`: $\mathrm{softmax}(v v^\top / \sqrt{d})\, v$, head by head."""
    v = rearrange(v, "batch token (head width) -> batch head token width", head=heads)
    return rearrange(scaled_dot_product_attention(v, v, v), "batch head token width -> batch token (head width)")


def second_path(clip: Clip, layers: Sequence[LayerTrace]) -> Float[Tensor, "batch token width"]:
    """The dual path of clip/clip_surgery_model.py: value attention summed onto the stream, no MLP between."""
    tokens = layers[0].block_in
    for block, layer in zip(list(blocks(clip, "image"))[-len(layers) :], layers, strict=True):
        tokens = tokens + block.attn.out_proj(value_attention(layer.v, block.attn.num_heads))
    return tokens


def feature_surgery(
    tokens: Float[Tensor, "batch token embed"], texts: Float[Tensor, "batch text embed"]
) -> Float[Tensor, "batch patch"]:
    r"""`clip_feature_surgery` for the first text: its products with a patch, less the mean of all texts.

    The weights are $w_t = T\,\mathrm{softmax}_t(2\,x_{cls}\cdot y_t)$, the map is
    $w_1\,x\cdot y_1 - \frac1T\sum_t w_t\,x\cdot y_t$.
    """
    products = tokens @ texts.mT  # batch token text
    weight = (2 * products[:, 0]).softmax(-1) * texts.shape[1]
    weighted = products[:, 1:] * weight[:, None]
    return weighted[..., 0] - weighted.mean(-1)


def without_empty(
    tokens: Float[Tensor, "batch token embed"],
    text: Float[Tensor, "batch embed"],
    empty: Float[Tensor, " embed"],
) -> Float[Tensor, "batch patch"]:
    r"""`clip_feature_surgery` for one text alone: less what the empty text shares, $x \cdot (y - y_0)$."""
    return torch.einsum("bte,be->bt", tokens[:, 1:], text - empty)


@torch.no_grad()
def empty_text(clip: Clip, templates: Sequence[str] | None = None) -> Float[Tensor, " embed"]:
    """Unit embedding of the empty string in every template: mean of the unit embeddings, made unit again.

    `templates` is None for the 85 of the official code; a model with a vocabulary of its own has never seen
    their words, and takes the empty string as it is.
    """
    if templates is None:
        official = [template("") for template in OPENAI_IMAGENET_TEMPLATES]
        texts = official + [scene.format("") for scene in SCENES] if clip.vocabulary is None else [""]
    else:
        texts = [template.format("") for template in templates]
    return normalize(embed_text(clip, clip.tokenizer(texts)).mean(0), dim=-1)


@torch.no_grad()
def other_texts(clip: Clip, contrast: Sequence[str] | Tensor, width: int) -> Float[Tensor, "text embed"]:
    """The other texts' unit embeddings: strings and token ids are embedded, embeddings made unit."""
    if isinstance(contrast, Tensor) and contrast.is_floating_point():
        if contrast.ndim != 2 or contrast.shape[1] != width or not len(contrast):
            raise ShapeMismatch(
                f"contrast embeddings have the shape [texts, {width}] here; got {list(contrast.shape)}. "
                "Pass embed_text of the other texts, the texts themselves, or None for the empty string."
            )
        return normalize(contrast.to(clip.device, clip.dtype), dim=-1)
    return embed_text(clip, prepare_texts(clip, contrast))


def explain(
    clip: Clip,
    images,
    texts,
    *,
    contrast: Sequence[str] | Tensor | None = None,  # the other classes; None = the empty string
    layers: int = 6,  # blocks with a second path: range(1, 7) in clip_surgery_model.py
    templates: Sequence[str] | None = None,  # of the empty string; None = the 85 of clip/clip.py
    empty: Float[Tensor, " embed"] | None = None,  # what `empty_text` gave, where it is known already
    modality: str = "image",
) -> Attribution:
    r"""Li et al. 2023 (arXiv 2304.05653): clip_surgery_model.py and clip.py of xmed-lab/CLIP_Surgery.

    Explains which patches look like the text and not like any text, a value a patch; image only. With `contrast`, a
    list of texts or their embeddings, what all of them share is removed; without, what the empty string shares.

    .. math:: w_1\, x_i \cdot y_1 - \tfrac1T \textstyle\sum_t w_t\, x_i \cdot y_t

    Shapes: image [batch, rows, columns]. Cost: one forward pass of each tower, one of the text tower for each
    contrast text (85 short ones for the empty string: pass `empty=empty_text(clip)` to pay once), no backward pass.

    Notes
    -----
    The pair's own text is embedded as given; the official demo embeds class names in 85 templates (pass such
    embeddings to have the same). The official function has a setting t that it does not read: the weight is
    softmax(2 c). `score` is the cosine of the unchanged model.
    """
    pairs = prepare(clip, images, texts)
    asked("clip_surgery", modality, pairs, has=("image",))
    count = last_blocks(clip, "image", layers)
    with torch.no_grad():
        text_embed = pairs.text_embed if pairs.tokens is None else embed_text(clip, pairs.tokens)
        text_embed = normalize(wide(text_embed), dim=-1)
        trace = record(clip, Pairs(pairs.images, None, text_embed.to(clip.dtype)), layers=count, modality="image")
        tokens = second_path(clip, trace.image_layers)
        if contrast is not None:  # the weights of the texts are read from the model's own class token
            last = trace.image_layers[-1]
            own = finish_block(blocks(clip, "image")[-1], last.block_in[:, :1], last.attn_out[:, :1])
            tokens = torch.cat([own, tokens[:, 1:]], 1)
        tokens = normalize(wide(image_readout(clip, tokens)), dim=-1)
        if contrast is None:
            none = empty_text(clip, templates) if empty is None else empty
            values = without_empty(tokens, text_embed, wide(none.to(clip.device)))
        else:
            others = wide(other_texts(clip, contrast, text_embed.shape[1]))
            together = torch.cat([text_embed[:, None], others.expand(len(pairs), *others.shape)], 1)
            values = feature_surgery(tokens, together)
    image = rearrange(values, "batch (rows columns) -> batch rows columns", rows=trace.grid[0])
    settings = {
        "contrast": contrast,
        "layers": layers,
        "templates": templates,
        "empty": empty,
        "modality": modality,
    }
    return Attribution(image, None, trace.score.detach(), "clip_surgery", settings)
