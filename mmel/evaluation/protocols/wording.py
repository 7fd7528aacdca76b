"""Text maps against the truth: which words of a caption name something that can be seen."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...clip import Clip
from ...metrics import energy_pointing_game, pointing_game
from ...metrics.localisation import average_precision
from .scoring import spans_of

SCORES = ("word_pointing_game", "word_energy_pointing_game", "word_average_precision")
ROLES = ("object", "background", "count", "relation")


def word_truth(clip: Clip, caption, roles: tuple[str, ...] = ("object",)) -> Bool[Tensor, " word"]:
    """For each token of a scene's caption: does it belong to a content word of one of these roles?"""
    spans = spans_of(clip, caption.text)
    named = [(word.start, word.end) for word in caption.words if word.role in roles]
    return torch.tensor([any(a < end and start < b for a, b in named) for start, end in spans])


def judged_words(values: Float[Tensor, " word"], truth: Bool[Tensor, " word"]) -> dict[str, float]:
    """The scores of the localisation games, for words: the highest one, the share of positive mass, the ranking."""
    line, mask = values.detach().cpu().double()[None, None], truth[None, None]  # batch 1 word
    return {
        "word_pointing_game": float(pointing_game(line, mask)[0]),
        "word_energy_pointing_game": float(energy_pointing_game(line, mask)[0]),
        "word_average_precision": float(average_precision(line[0, 0], truth)),
        "chance": float(truth.double().mean()),
    }
