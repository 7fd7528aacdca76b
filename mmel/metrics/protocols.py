"""How pictures and texts are edited, as named settings of the curves; which way each metric points."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..errors import UnknownName


def _frozen(**settings: object) -> Mapping[str, object]:
    """Settings that nobody can change, `fill` included."""
    return MappingProxyType({**settings, "fill": MappingProxyType(settings["fill"])})


# `fill` has one entry for each kind of curve, so that the same settings go to all four of them.
PROTOCOLS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        # imagenet_eval_deletion.py and imagenet_eval_insertion.py of Grad-ECLIP, on the source picture; seed: theirs
        # has none. Texts: theirs is not published, so the numbers are those of the pictures and the rule is ours.
        "official": _frozen(
            steps=100,
            every=10,
            fraction=0.5,
            fill={"deletion": "noise", "insertion": "black", "text": "remove"},
            ends="original",
        ),
        # scripts/eval.py of M2IB, on normalised pixels, where 0 is the mean colour of the model's training pictures:
        # the map itself is the mask. The two points of an insertion curve are what drop and increase compare.
        "m2ib": _frozen(
            steps=None,
            every=1,
            fraction=1.0,
            fill={"deletion": 0.0, "insertion": 0.0, "text": 0},
            ends="original",
        ),
        # ours: all of the picture, both end points, the picture's own mean colour
        "full": _frozen(
            steps=20,
            every=1,
            fraction=1.0,
            fill={"deletion": "mean", "insertion": "mean", "text": "remove"},
            ends="both",
        ),
    }
)

HIGHER_IS_BETTER: Mapping[str, bool] = MappingProxyType(
    {
        "confidence_drop": False,
        "confidence_increase": True,
        "deletion_auc": False,
        "insertion_auc": True,
        "text_deletion_auc": False,
        "text_insertion_auc": True,
        "recall_at_k": True,
        "pointing_game": True,
        "energy_pointing_game": True,
        "pixel_accuracy": True,
        "iou": True,
        "mean_iou": True,
        "average_precision": True,
        "multi_object_recall": True,
        "lift": True,
        "spread": False,
    }
)


def protocol(name: str) -> Mapping[str, object]:
    """The settings of one of PROTOCOLS, to be passed to any of the four curves."""
    if name not in PROTOCOLS:
        raise UnknownName("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
