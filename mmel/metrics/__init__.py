"""The metrics of Sec. 4.2 and their neighbours. None of them knows a model: they take scores, or a `score` to call."""

from .checks import EmptyMask
from .confidence import bare_words, confidence_drop, confidence_increase, first_row, masked_image, masked_tokens
from .curves import Curve, auc, deletion_curve, insertion_curve, scored, step_auc
from .edits import Edits, deletion_edits, insertion_edits
from .fills import FILLS
from .localisation import (
    SegmentationScores,
    energy_pointing_game,
    multi_object_recall,
    pointing_game,
    segmentation_scores,
)
from .protocols import HIGHER_IS_BETTER, PROTOCOLS, protocol
from .retrieval import best_rank, hits_at_k, recall_at_k
from .text import TextEdits, text_deletion_curve, text_deletion_edits, text_insertion_curve, text_insertion_edits

__all__ = [
    "FILLS",
    "HIGHER_IS_BETTER",
    "PROTOCOLS",
    "Curve",
    "Edits",
    "EmptyMask",
    "SegmentationScores",
    "TextEdits",
    "auc",
    "bare_words",
    "best_rank",
    "confidence_drop",
    "confidence_increase",
    "deletion_curve",
    "deletion_edits",
    "energy_pointing_game",
    "first_row",
    "hits_at_k",
    "insertion_curve",
    "insertion_edits",
    "masked_image",
    "masked_tokens",
    "multi_object_recall",
    "pointing_game",
    "protocol",
    "recall_at_k",
    "scored",
    "segmentation_scores",
    "step_auc",
    "text_deletion_curve",
    "text_deletion_edits",
    "text_insertion_curve",
    "text_insertion_edits",
]
