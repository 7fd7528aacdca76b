"""A CLIP with everything that belongs to it, and its embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from . import loading
from .errors import UnsupportedModel
from .loading.inputs import prepare, prepare_images, prepare_texts
from .types import PLAIN, Scoring

__all__ = [
    "Clip",
    "Passes",
    "embed_ids",
    "embed_image",
    "embed_pixels",
    "embed_text",
    "end_of_text",
    "evaluating",
    "load_clip",
    "normalize_pixels",
    "positions",
    "prepare",
    "prepare_images",
    "prepare_texts",
    "scoring",
    "similarity",
]


@dataclass
class Passes:
    """How many images and texts have gone through the towers."""

    image: int = 0
    text: int = 0

    @property
    def total(self) -> int:
        return self.image + self.text


@dataclass(frozen=True, eq=False)
class Clip:
    """An `open_clip` model with its picture transform and its tokenizer.

    `vocabulary` is set for a model that knows few words, such as the bundled one: prompts with other words, and
    pictures that are no scenes of its world, get a warning. `passes` counts what goes through the towers.
    """

    model: nn.Module
    preprocess: Callable
    tokenizer: Callable
    name: str = "custom"
    vocabulary: frozenset[str] | None = None
    passes: Passes = field(default_factory=Passes)
    scoring: Scoring = PLAIN

    @property
    def device(self) -> torch.device:
        return next(self.model.visual.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The number type of the image tower's first layer, which pixels have to have."""
        return next(p for name, p in self.model.visual.named_parameters() if p.ndim > 1).dtype

    @property
    def image_size(self) -> int:
        """Height and width of the images that the model was trained on."""
        return int(_side(self.model.visual.image_size, "image_size"))

    @property
    def patch_size(self) -> int:
        size = getattr(self.model.visual, "patch_size", None)
        if size is None:
            raise UnsupportedModel(
                f"a vision transformer with patches was expected, but the image tower is a "
                f"{type(self.model.visual).__name__}: load a plain ViT (ViT-B-32, say), or take rise or saliency, "
                "whose maps are of pixels."
            )
        return int(_side(size, "patch_size"))

    @property
    def context_length(self) -> int:
        return int(getattr(self.model, "context_length", None) or self.model.text.context_length)


def load_clip(
    model: str = "bundled",
    *,
    pretrained: str | None = None,  # None: only for the bundled models, which have no tags
    device: str = "auto",  # the GPU if there is one
    precision: str = "fp32",
) -> Clip:
    """A pretrained CLIP: "bundled", "bundled-1", or any open_clip name with a tag or a local file.

    Nothing is downloaded for the bundled models. `pretrained` is a tag of open_clip, or a file: safetensors, a state
    dict (.pt) or one of OpenAI's own .pt files; no code in a file is run. `precision` is fp32, bf16 or fp16. The
    weights ask for no gradients, and the model is in evaluation mode.

    Raises `UnknownName` for a model, tag or precision that does not exist, `BadSetting` for a device that is not there
    or a `pretrained` that is missing, `WeightsError` for a file that cannot be read, does not fit or would run code,
    and `HubUnreachable` where weights cannot be downloaded.

    Notes
    -----
    Half precision turns every weight, as open_clip's "pure" modes do, layer norms included. OpenAI's models were
    trained with quick GELU: their tags and their own .pt files get it here whatever the name, other files of their
    weights only where the name ends in "-quickgelu".
    """
    place, dtype = loading.device_of(device), loading.dtype_of(precision)
    loaded = loading.bundled(model, pretrained) if model in loading.BUNDLED else loading.named(model, pretrained)
    network = loaded.model.to(device=place, dtype=dtype).eval().requires_grad_(False)
    return Clip(network, loaded.preprocess, loaded.tokenizer, model, loaded.vocabulary)


def normalize_pixels(
    pixels: Float[Tensor, "batch 3 height width"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "batch 3 height width"]:
    r"""Sec. 3.1: $\tilde I = (I - \mu) / \sigma$ for each channel, of pixels from 0 to 1."""
    mean, std = (torch.as_tensor(x, dtype=pixels.dtype, device=pixels.device).view(-1, 1, 1) for x in (mean, std))
    return (pixels - mean).div_(std)


def similarity(
    image_embed: Float[Tensor, "batch embed"], text_embed: Float[Tensor, "batch embed"]
) -> Float[Tensor, " batch"]:
    r"""Sec. 3.2: the score $c$, the cosine of row i of one with row i of the other, in single precision at least."""
    wide = torch.promote_types(torch.promote_types(image_embed.dtype, text_embed.dtype), torch.float32)
    return (F.normalize(image_embed.to(wide), dim=-1) * F.normalize(text_embed.to(wide), dim=-1)).sum(-1)


def embed_image(clip: Clip, images) -> Float[Tensor, "batch embed"]:
    """Unit embeddings of images, by the model's own forward pass, with a graph to the pixels where they ask for one."""
    return embed_pixels(clip, prepare_images(clip, images))


def embed_pixels(clip: Clip, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
    """Unit embeddings of pixels that are ready on the model's device: nothing is checked, so nothing is waited for."""
    clip.passes.image += len(pixels)
    with evaluating(clip.model.visual):
        if tuple(pixels.shape[-2:]) == (clip.image_size, clip.image_size):
            return clip.model.encode_image(pixels, normalize=True)
        changed = {"positional_embedding": positions(clip, pixels)}
        return F.normalize(functional_call(clip.model.visual, changed, (pixels,)), dim=-1)


def embed_text(clip: Clip, texts) -> Float[Tensor, "batch embed"]:
    """Unit embeddings of texts, by the model's own forward pass; given embeddings come back as they are.

    Positions after the last end of text of the batch are left out where the mask is causal, for they cannot be seen
    from where the text is read: the same numbers, several times faster.
    """
    tokens = prepare_texts(clip, texts)
    return tokens if tokens.is_floating_point() else embed_ids(clip, tokens, tokens)


def embed_ids(clip: Clip, tokens: Int[Tensor, "batch context"], here: Tensor) -> Float[Tensor, "batch embed"]:
    """Unit embeddings of token ids on the model's device, unchecked; `here` they are once more, to be read at once."""
    clip.passes.text += len(tokens)
    model = clip.model
    with evaluating(model):
        if not isinstance(getattr(model, "attn_mask", None), Tensor) or not hasattr(model, "text_pool_type"):
            return model.encode_text(tokens, normalize=True)
        length = int(end_of_text(clip, here).max()) + 1
        changed = {
            "positional_embedding": model.positional_embedding[:length],
            "attn_mask": model.attn_mask[:length, :length],
        }
        out = functional_call(model, changed, (None, tokens[:, :length]))
    return out["text_features"] if isinstance(out, dict) else out[1]


def end_of_text(clip: Clip, tokens: Int[Tensor, "batch context"]) -> Int[Tensor, " batch"]:
    """The position that each text is read from: of the highest token id, or of the model's own end-of-text id."""
    text = getattr(clip.model, "text", clip.model)
    pool = getattr(clip.model, "text_pool_type", None) or getattr(text, "pool_type", "argmax")
    if pool == "argmax":
        return tokens.argmax(-1)
    if pool != "eos":
        raise UnsupportedModel(
            f"texts are read from their end, but this text tower pools by {pool!r}: ask for modality='image', or take "
            "a text tower of OpenAI's kind (that of ViT-B-32, say)."
        )
    end = getattr(clip.model, "text_eos_id", None) or text.eos_id
    return (tokens == end).int().argmax(-1)


def positions(clip: Clip, pixels: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "token width"]:
    """Positional embeddings for images of this size: the model's own, bicubically interpolated where sizes differ.

    As `upsample_pos_emb` in generate_emap.py of the official Grad-ECLIP; the class token keeps its own.
    """
    visual = clip.model.visual
    own = getattr(visual, "positional_embedding", None)
    grid = tuple(side // clip.patch_size for side in pixels.shape[-2:])
    trained = clip.image_size // clip.patch_size
    if not isinstance(own, Tensor) or own.ndim != 2 or len(own) != trained**2 + 1:
        raise UnsupportedModel(
            f"images of another size than {clip.image_size} need positional embeddings of a class token and "
            f"{trained} x {trained} patches, which this {type(visual).__name__} has not: resize them."
        )
    if grid == (trained, trained):
        return own
    patches = own[1:].T.reshape(1, -1, trained, trained)  # 1 width rows columns
    patches = F.interpolate(patches.float(), size=grid, mode="bicubic", align_corners=False).to(own.dtype)
    return torch.cat([own[:1], patches[0].flatten(1).T])


@contextmanager
def scoring(clip: Clip) -> Iterator[None]:
    """No gradients, and autocast to the number type of `clip.scoring`."""
    dtype = loading.dtype_of(clip.scoring.precision)
    cast = nullcontext() if dtype == torch.float32 else torch.autocast(clip.device.type, dtype)
    with torch.no_grad(), cast:
        yield


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while: no dropout, no statistics; each module gets its own mode back."""
    every = [model]
    for module in every:  # `model.modules()` takes several times as long: a tenth of a pass of the bundled model
        every += [child for child in module._modules.values() if child is not None]
    training = [module for module in every if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def _side(size: int | Sequence[int], what: str) -> int:
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(set(sides)) > 1:
        raise UnsupportedModel(f"a model with square images and patches was expected; its {what} is {sides}.")
    return sides[0]
