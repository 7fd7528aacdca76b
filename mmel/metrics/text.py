"""Deletion and insertion for texts: words go or come in the order of a text map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import ShapeMismatch, TextError, UnknownName
from .checks import numbers, whole
from .curves import Curve, Score, scored
from .plan import check_steps, near_counts, own_fill, ranking, reaches_all, with_ends

TEXT_FILLS = ("noise", "remove")


@dataclass(frozen=True, eq=False)
class TextEdits:
    """The token ids that a text curve scores: `edits[2:4]` are those of the third and the fourth point.

    `fractions` is the share of the words taken away (deletion) or put back (insertion). `kept` says which positions
    of the text are left to see, for a score that would rather hide them from attention.
    """

    fractions: Float[Tensor, " points"]
    order: Int[Tensor, " word"]
    kept: Bool[Tensor, "points context"]
    tokens: Int[Tensor, "points context"]

    def __len__(self) -> int:
        return len(self.fractions)

    def __getitem__(self, points: slice | Int[Tensor, " points"]) -> Int[Tensor, "points context"]:
        return self.tokens[points]


def text_deletion_curve(
    score: Score,
    tokens,
    map,
    *,
    steps: int | None = 20,  # None: one edit, of all words above the median of the map (M2IB)
    every: int = 1,  # steps from one scored point to the next
    fraction: float = 1.0,  # share of the words edited at the last step
    fill="remove",  # remove: later words move up; noise: another word; or the id that takes the place
    ends: str = "both",  # end points scored too: original, empty, both, none
    seed: int = 0,  # of the noise
    eos: int | None = None,  # where the text ends; None: at its highest id, as CLIP reads it
    order=None,  # indices of the words (0 is the first word), first those edited first; None: by falling value
    batch_size: int | None = None,  # texts in one call of `score`; None: all
) -> Curve:
    """The score while words are taken from a text, those with the highest map values first.

    `tokens` and `map`: [context], ids and one value a position (as `Attribution.text[i]`); words are the tokens
    between the start of the text and its end, which always stay. `score` gets ids [batch, context] and gives back one
    number a text. At step k of `steps` the number of words next to `fraction * k / steps` of them is gone, and the
    curve holds the true share. Errors: ShapeMismatch, NotANumber, TextError (no words), UnknownName, BadSetting.

    Notes
    -----
    Not in the paper, which gives areas for texts but no protocol, nor is one in the official code: this one is ours.
    """
    settings = {"steps": steps, "every": every, "fraction": fraction, "fill": fill, "ends": ends}
    edits = text_deletion_edits(tokens, map, **settings, seed=seed, eos=eos, order=order)
    return scored(score, edits, batch_size=batch_size)


def text_insertion_curve(
    score: Score,
    tokens,
    map,
    *,
    steps: int | None = 20,
    every: int = 1,
    fraction: float = 1.0,
    fill="remove",
    ends: str = "both",
    seed: int = 0,
    eos: int | None = None,
    order=None,
    batch_size: int | None = None,
) -> Curve:
    """The score while words are put back into a text that has none, those with the highest map values first.

    Arguments, errors and notes as of `text_deletion_curve`. Words come back in their own place: the order of the
    text is never changed.
    """
    settings = {"steps": steps, "every": every, "fraction": fraction, "fill": fill, "ends": ends}
    edits = text_insertion_edits(tokens, map, **settings, seed=seed, eos=eos, order=order)
    return scored(score, edits, batch_size=batch_size)


def text_deletion_edits(
    tokens, map, *, steps=20, every=1, fraction=1.0, fill="remove", ends="both", seed=0, eos=None, order=None
) -> TextEdits:
    """The token ids of `text_deletion_curve`, with the same settings."""
    return _edits(tokens, map, False, (steps, every, fraction), fill, ends, seed, eos, order)


def text_insertion_edits(
    tokens, map, *, steps=20, every=1, fraction=1.0, fill="remove", ends="both", seed=0, eos=None, order=None
) -> TextEdits:
    """The token ids of `text_insertion_curve`, with the same settings."""
    return _edits(tokens, map, True, (steps, every, fraction), fill, ends, seed, eos, order)


def end_of(tokens: Int[Tensor, " context"], eos: int | None) -> int:
    """The position of the end of a text: as given, or of its highest id; before it stands at least one word."""
    end = int(tokens.argmax()) if eos is None else whole("eos", int(eos), 0)
    if not 1 < end < len(tokens):
        raise TextError(
            f"a text has a start, one word or more, and an end, but its end stands at position {end} of {len(tokens)}: "
            "pass `eos`, or a text with words."
        )
    return end


def replaced(
    tokens: Int[Tensor, " context"], kept: Bool[Tensor, "batch context"], end: int, fill, seed: int = 0
) -> Int[Tensor, "batch context"]:
    """Copies of a text in which only the `kept` positions stay: the other words go, or another id takes their place."""
    rest = tokens[-1] if end + 1 < len(tokens) else torch.zeros_like(tokens[0])  # the padding behind the end
    if isinstance(fill, str):
        if fill not in TEXT_FILLS:
            raise UnknownName("fill of a text", fill, TEXT_FILLS, "Or give the id that takes a word's place.")
        if fill == "remove":
            place = torch.argsort(~kept, dim=1, stable=True)  # kept ones first, in their own order
            copies = tokens.expand_as(kept).gather(1, place)
            return torch.where(kept.gather(1, place), copies, rest)
        ids = whole("the id of the start of text, for noise", int(tokens[0]), 2)  # words have lower ids
        draw = torch.Generator("cpu").manual_seed(whole("seed", seed, 0))
        other = torch.randint(1, ids, tokens.shape, generator=draw).to(tokens)
    else:
        other = torch.full_like(tokens, whole("a fill that is not remove or noise", fill, 0))
    other = torch.where(torch.arange(len(tokens), device=tokens.device) > end, tokens, other)
    return torch.where(kept, tokens, other)


def read_text(tokens, map) -> tuple[Int[Tensor, " context"], Float[Tensor, " context"]]:
    """Ids and map of one text, with or without a batch axis of one, checked."""
    ids = tokens if isinstance(tokens, Tensor) else torch.from_numpy(np.array(tokens))
    ids, map = ids.detach(), numbers(map, "maps")
    ids, map = (each[0] if each.ndim == 2 and len(each) == 1 else each for each in (ids, map))
    if ids.ndim != 1 or ids.is_floating_point() or ids.dtype == torch.bool or map.shape != ids.shape:
        raise ShapeMismatch(
            f"one text's token ids and a map value for each were expected, both [context]; got {ids.dtype} of shape "
            f"{list(ids.shape)} and a map of shape {list(map.shape)}."
        )
    return ids.long(), map.to(ids.device)


def above_median(words: Float[Tensor, " word"]) -> Bool[Tensor, " word"]:
    """Words whose map value lies above the median: fewer than half of an odd number, none of equal ones."""
    return words.double() > words.double().quantile(0.5)


def _edits(tokens, map, inserting: bool, stride: tuple, fill, ends, seed, eos, order) -> TextEdits:
    steps, every, fraction = stride
    check_steps(steps, every, fraction)
    tokens, map = read_text(tokens, map)
    end = end_of(tokens, eos)
    words = map[1:end]
    order, total = ranking(words, order), len(words)
    middle = [int(above_median(words).sum())] if steps is None else near_counts(total, steps, every, fraction)
    counts = with_ends(middle, ends, inserting, reaches_all(steps, every, fraction), (0, total))
    counts = torch.tensor(counts, device=tokens.device)
    edited = torch.argsort(order) < counts[:, None]  # points word
    kept = torch.zeros(len(counts), len(tokens), dtype=torch.bool, device=tokens.device)
    kept[:, [0, end]] = True
    kept[:, 1:end] = edited if inserting else ~edited
    fractions = counts.cpu().double() / total
    return TextEdits(fractions, order, kept, replaced(tokens, kept, end, own_fill(fill, "text"), seed))
