"""RISE: the average of random masks, each weighted by the score of what it left to see."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from ..clip import Clip, prepare, similarity
from ..errors import BadSetting, ShapeMismatch
from ..types import Attribution, Pairs
from .parts import asked, wide
from .parts.perturb import at_least, at_once, embeds, image_score, seeded, slices, text_score, words

OFFICIAL: dict[str, object] = {"n_masks": 2000, "cells": 8, "keep": 0.5}  # generate_emap.py


class PixelMasks:
    """Sec. 3.2 of Petsiuk et al. 2018: coarse random grids, blown up bilinearly, shifted by less than a cell.

    Only the grids and shifts are held; the masks are drawn large when they are asked for.
    """

    def __init__(self, size: tuple[int, int], n_masks: int, cells: int, keep: float, draw: torch.Generator):
        self.size, self.cells = size, cells
        self.cell = [-(-side // cells) for side in size]  # rounded up
        self.grids = (torch.rand(n_masks, 1, cells, cells, generator=draw) < keep).float()
        self.shifts = [torch.randint(0, side, (n_masks,), generator=draw) for side in self.cell]

    def __len__(self) -> int:
        return len(self.grids)

    def __getitem__(self, part: slice) -> Float[Tensor, "masks height width"]:
        large = interpolate(self.grids[part], size=[(self.cells + 1) * side for side in self.cell], mode="bilinear")
        rows, columns = (shift[part] for shift in self.shifts)
        height, width = self.size
        cut = [m[0, r : r + height, c : c + width] for m, r, c in zip(large, rows, columns, strict=True)]
        return torch.stack(cut)


def weighted_masks(masks: Float[Tensor, "masks ..."], scores: Float[Tensor, " masks"]) -> Tensor:
    r"""The sum of Eq. 6 of Petsiuk et al. 2018, not yet divided: $\sum_k c(x \odot M_k)\, M_k$."""
    return torch.tensordot(scores, masks, 1)


def image_maps(
    clip: Clip, pairs: Pairs, text_embed: Tensor, masks, keep: float, batch_size: int | None
) -> Float[Tensor, "batch height width"]:
    """Eq. 6 for images: masks multiply the normalised picture, so that a hidden pixel has the mean colour."""
    total = torch.zeros_like(wide(pairs.images[:, 0]))  # batch height width
    scores = [image_score(clip, text) for text in text_embed]
    for part in slices(len(masks), at_once(pairs.images, batch_size)):
        some = masks[part].to(total)
        for i, image in enumerate(pairs.images):
            shown = image * some[:, None].to(image)  # masks 3 height width
            total[i] += weighted_masks(some, scores[i](shown))
    return total / len(masks) / keep


def text_maps(
    clip: Clip,
    pairs: Pairs,
    image_embed: Tensor,
    masks: Tensor,
    keep: float,
    batch_size: int | None,
    pad: int,
) -> Float[Tensor, "batch context"]:
    """Eq. 6 for texts: a hidden word becomes `pad`; beginning and end of text always stay, and get no value.

    Masks that agree on a text's words give the same copy of it, which is scored once.
    """
    total = torch.zeros_like(pairs.tokens, dtype=wide(image_embed).dtype)
    for i, (ids, here) in enumerate(zip(pairs.tokens, words(clip, pairs.tokens), strict=True)):
        if not len(here):
            continue
        score = text_score(clip, image_embed[i])
        distinct, which = torch.unique(masks[:, here.cpu()], dim=0, return_inverse=True)
        distinct, which = distinct.to(total), which.to(total.device)
        copies = ids.repeat(len(distinct), 1)
        copies[:, here] = torch.where(distinct > 0, ids[here], pad)
        scores = torch.cat([score(copies[part]) for part in slices(len(copies), batch_size)])
        total[i, here] = weighted_masks(distinct[which], scores[which])
    return total / len(masks) / keep


def given(masks: Tensor, modality: str, shape: tuple[int, ...]) -> Tensor:
    """Masks of the caller's own, checked."""
    masks = torch.as_tensor(masks)
    if masks.ndim != len(shape) + 1 or tuple(masks.shape[1:]) != shape or not len(masks):
        want = ", ".join(map(str, ("masks", *shape)))
        raise ShapeMismatch(
            f"masks for this {modality} have the shape [{want}]; got {list(masks.shape)}. Make them as "
            f"large as the prepared {modality}, pass a mapping with an entry each, or have n_masks drawn."
        )
    return masks.float()


def chosen_masks(
    masks: Tensor | dict | None, modality: str, wanted: tuple[str, ...], shape: tuple[int, ...]
) -> Tensor | None:
    """The caller's masks for one modality; where two are asked for, the rank of a tensor says whose it is."""
    own = masks.get(modality) if isinstance(masks, Mapping) else masks
    if own is None or (isinstance(masks, Tensor) and len(wanted) == 2 and own.ndim != len(shape) + 1):
        return None
    return given(own, modality, shape)


def explain(
    clip: Clip,
    images,
    texts,
    *,
    masks: Tensor | Mapping[str, Tensor] | None = None,  # [masks, height, width] or [masks, context]
    n_masks: int = 1000,  # generate_emap.py takes 2000, Petsiuk's own notebook 6000
    cells: int = 8,  # s of the paper
    keep: float = 0.5,  # p of generate_emap.py; Petsiuk's own notebook takes 0.1
    pad: int = 0,  # id that stands where a word is hidden: the padding of CLIP's tokenizer
    seed: int = 0,
    modality: str = "both",
    batch_size: int | None = None,
) -> Attribution:
    r"""Eq. 6 of Petsiuk, Das and Saenko 2018 (arXiv 1806.07421): explanations.py of eclique/RISE.

    Explains the cosine of the pair. Image: a value a pixel, [batch, height, width], in units of the cosine. Text: a
    value a word.

    .. math:: \tfrac{1}{K p} \textstyle\sum_k c(x \odot M_k)\, M_k

    Shapes: image [batch, height, width], text [batch, context]. Cost: `n_masks` forward passes of the explained
    tower (fewer for a short text, whose masks repeat), `batch_size` at a time; no backward pass. Seeded: every
    sample sees the same masks, whatever its batch.

    Notes
    -----
    Grids are blown up by torch's bilinear interpolation, which holds the border where scikit-image mirrors
    it. The paper has images only; for texts each word is kept with probability `keep` by itself. Given
    `masks` replace the drawn ones, and `keep` still divides.
    """
    pairs = prepare(clip, images, texts)
    wanted = asked("rise", modality, pairs)
    if not 0 < keep <= 1:
        raise BadSetting(f"keep is the share of a picture that a mask leaves to see, in (0, 1]; got {keep}.")
    at_least("n_masks", n_masks), at_least("cells", cells)
    image_embed, text_embed = embeds(clip, pairs)
    image = text = None
    if "image" in wanted:
        size = tuple(pairs.images.shape[2:])
        own = chosen_masks(masks, "image", wanted, size)
        own = PixelMasks(size, n_masks, cells, keep, seeded(seed, "rise image")) if own is None else own
        image = image_maps(clip, pairs, text_embed, own, keep, batch_size)
    if "text" in wanted:
        own = chosen_masks(masks, "text", wanted, tuple(pairs.tokens.shape[1:]))
        if own is None:
            own = drawn_words(n_masks, pairs.tokens.shape[1], keep, seed)
        text = text_maps(clip, pairs, image_embed, own, keep, batch_size, pad)
    settings = {"masks": masks, "n_masks": n_masks, "cells": cells, "keep": keep, "pad": pad, "seed": seed}
    score = similarity(image_embed, text_embed)
    return Attribution(image, text, score, "rise", settings | {"modality": modality})


def drawn_words(n_masks: int, context: int, keep: float, seed: int) -> Float[Tensor, "masks context"]:
    """Which words each mask leaves, every one by itself with probability `keep`."""
    return (torch.rand(n_masks, context, generator=seeded(seed, "rise text")) < keep).float()
