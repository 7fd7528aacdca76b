"""Pictures and texts, in every form that the contract names, made ready for a model: checked, and warned about."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import ImageError, NotANumber, OutOfWorld, ShapeMismatch, TextCut, TextError, UnseenWord
from ..maps import all_finite
from ..types import Pairs
from .images import Picture, check_aspect, check_pixels, read_image

if TYPE_CHECKING:
    from ..clip import Clip


def prepare(clip: Clip, images, texts=None) -> Pairs:
    """Images and texts of every form that the contract names, as tensors of one batch size.

    One text with many images, and one image with many texts, are repeated. `Pairs` that were made here before come
    back as they are, in the place of both: a method may be called with them, and nothing is checked twice. Errors:
    TextError where texts come beside such pairs.
    """
    if isinstance(images, Pairs):
        if texts is not None:
            raise TextError(f"pairs have their texts already, but {_short(texts)} came too: prepare its own pairs.")
        return images
    pixels, text = prepare_images(clip, images), prepare_texts(clip, texts)
    size = max(len(pixels), len(text))
    if len(pixels) not in (1, size) or len(text) not in (1, size):
        raise ShapeMismatch(
            f"as many texts as images were expected, or one of either for all, but {len(pixels)} images and "
            f"{len(text)} texts came: repeat or drop some."
        )
    pixels = pixels if len(pixels) == size else pixels.repeat(size, 1, 1, 1)
    text = text if len(text) == size else text.repeat(size, 1)
    return Pairs(pixels, None, text) if text.is_floating_point() else Pairs(pixels, text, None)


def prepare_images(clip: Clip, images) -> Float[Tensor, "batch 3 height width"]:
    """Pictures, paths or preprocessed pixels as a batch on the model's device, checked."""
    if isinstance(images, Tensor):
        return _check_images(clip, images)
    if isinstance(images, (list, tuple)) and images and all(isinstance(image, Tensor) for image in images):
        if len({image.shape for image in images}) > 1:
            raise ShapeMismatch("images of several sizes cannot be one batch: explain them one by one, or resize.")
        return _check_images(clip, torch.stack(list(images)))
    pictures = [images] if isinstance(images, Picture) else images
    if not isinstance(pictures, (list, tuple)) or not pictures:
        raise ImageError(f"images are a tensor, a picture, a path or a list of them; got {_short(images)}.")
    if wrong := [item for item in pictures if not isinstance(item, Picture)]:
        raise ImageError(f"a list of images holds PIL pictures or paths, or tensors only; this has {_short(wrong[0])}.")
    return _check_images(clip, transformed(clip, pictures))


def transformed(clip: Clip, pictures: Sequence[Picture]) -> Float[Tensor, "batch 3 height width"]:
    """Pictures or paths as pixels, not yet checked, nor on the model's device: what can be done ahead of use."""
    read = [read_image(picture) for picture in pictures]
    _warn_world(clip, read)
    for picture in read:
        check_aspect(picture, clip.image_size)
    return torch.stack([clip.preprocess(picture) for picture in read])


def prepare_texts(clip: Clip, texts) -> Int[Tensor, "batch context"] | Float[Tensor, "batch embed"]:
    """Strings or token ids as token ids, embeddings as unit embeddings, on the model's device and checked."""
    return _check_texts(clip, texts) if isinstance(texts, Tensor) else token_ids(clip, texts).to(clip.device)


def token_ids(clip: Clip, texts) -> Int[Tensor, "batch context"]:
    """Strings as token ids, checked, and not yet on the model's device: reading them there would wait for it."""
    strings = [texts] if isinstance(texts, str) else texts
    if not isinstance(strings, (list, tuple)) or not strings or not all(isinstance(text, str) for text in strings):
        raise TextError(f"texts are a string, a list of strings, token ids or embeddings; got {_short(texts)}.")
    for text in strings:
        if not text.strip():
            raise TextError(f"a text to explain has at least one word, but {text!r} came: write what to look for.")
    _warn_cut(clip, strings)
    _warn_words(clip, strings)
    return clip.tokenizer(list(strings)).long()


def _short(value: object) -> str:
    shown = repr(value)
    return f"{shown[:60]}{'...' if len(shown) > 60 else ''} of type {type(value).__name__}"


def _check_images(clip: Clip, images: Tensor) -> Float[Tensor, "batch 3 height width"]:
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point() or not len(images):
        raise ShapeMismatch(
            f"pixels are floats of shape [batch, 3, height, width], preprocessed; got {images.dtype} of shape "
            f"{list(images.shape)}: pass pictures, or `clip.preprocess` of them."
        )
    size = tuple(images.shape[-2:])
    if size != (clip.image_size,) * 2 and (0 in size or any(side % clip.patch_size for side in size)):
        raise ShapeMismatch(
            f"height and width have to be multiples of the patch ({clip.patch_size}), but are {size[0]} x {size[1]}: "
            "resize or crop, or pass pictures."
        )
    check_pixels(all_finite(images))
    images = images.clone() if images.is_inference() and not torch.is_inference_mode_enabled() else images
    return images.to(clip.device, clip.dtype)


def _check_texts(clip: Clip, texts: Tensor) -> Tensor:
    texts = texts[None] if texts.ndim == 1 else texts
    if texts.is_floating_point():
        width = _embed_width(clip)
        if texts.ndim != 2 or not len(texts) or width not in (None, texts.shape[1]):
            raise ShapeMismatch(
                f"text embeddings have the shape [batch, {width}] here, but {list(texts.shape)} came: "
                "make them with `embed_text` of this model."
            )
        if not all_finite(texts):
            raise NotANumber("text embeddings must be finite numbers, but these hold NaN or infinity: make them again.")
        unit = F.normalize(texts.to(clip.device, torch.promote_types(texts.dtype, torch.float32)), dim=-1)
        return unit.to(clip.dtype)
    if texts.ndim != 2 or not len(texts) or not 1 <= texts.shape[1] <= clip.context_length or texts.dtype == torch.bool:
        raise ShapeMismatch(
            f"token ids are integers of shape [batch, context] with a context up to {clip.context_length}, but "
            f"{texts.dtype} of shape {list(texts.shape)} came: make them with `clip.tokenizer`."
        )
    words = getattr(clip.model, "vocab_size", None) or texts.max() + 1
    if texts.min() < 0 or texts.max() >= words:
        raise TextError(
            f"token ids run from 0 to {int(words) - 1}, but {int(texts.min())} to {int(texts.max())} came: "
            "make them with this model's own tokenizer."
        )
    padded = F.pad(texts, (0, clip.context_length - texts.shape[1]))
    return padded.to(clip.device).long()


def _embed_width(clip: Clip) -> int | None:
    projection = getattr(clip.model.visual, "proj", None)
    return projection.shape[1] if isinstance(projection, Tensor) else None


def _warn_world(clip: Clip, pictures: Sequence) -> None:
    foreign = [picture.size for picture in pictures if picture.size != (clip.image_size, clip.image_size)]
    if clip.vocabulary is not None and foreign:
        warnings.warn(
            f"the model {clip.name!r} has only ever seen emoji scenes of {clip.image_size} x {clip.image_size} pixels, "
            f"and a picture of {foreign[0][0]} x {foreign[0][1]} is none: what it says of photographs means nothing. "
            'For those load a real CLIP: load_clip("ViT-B-16", pretrained="openai"), or a local file of its weights.',
            OutOfWorld,
            stacklevel=2,
        )


def _warn_words(clip: Clip, texts: Sequence[str]) -> None:
    if clip.vocabulary is None:
        return
    words = dict.fromkeys(word for text in texts for word in re.findall(r"[^\W_]+", text.lower()))
    if unseen := [word for word in words if word not in clip.vocabulary]:
        warnings.warn(
            f"the model {clip.name!r} has never seen {', '.join(map(repr, unseen))}: its embedding says nothing. "
            "Use the words of mmel.scenes, or load a real CLIP.",
            UnseenWord,
            stacklevel=2,
        )


def _warn_cut(clip: Clip, texts: Sequence[str]) -> None:
    encode, decode = (getattr(clip.tokenizer, name, None) for name in ("encode", "decode"))
    if encode is None or decode is None:
        return
    room = clip.context_length - 2  # start and end of text
    for text in texts:
        if len(ids := encode(text)) > room:
            warnings.warn(
                f"a text of {len(ids)} tokens is longer than the {room} that this model reads, and was cut: it does "
                f"not see {decode(ids[room:]).strip()!r}. Shorten it, or explain it in parts.",
                TextCut,
                stacklevel=2,
            )
