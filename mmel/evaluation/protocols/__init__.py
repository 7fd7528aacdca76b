"""Each protocol by its name, and its sheet: everything that a number of it depends on, and what it leaves out."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..protocol import EvaluationProtocol
from .errors import Errors, records_of
from .falling import Falling, falling
from .localisation import Localisation
from .microscope import Microscope
from .sanity import Sanity
from .swaps import Swaps
from .table1 import Table1
from .table2 import Table2
from .table3 import Table3
from .transform import Transform
from .words import Words

__all__ = [
    "PROTOCOLS", "SHEETS", "Errors", "Falling", "Sanity", "Sheet", "Swaps", "Transform", "falling", "records_of",
]  # fmt: skip

PROTOCOLS: dict[str, Callable[..., EvaluationProtocol]] = {
    "table1": Table1,
    "table2": Table2,
    "table3": Table3,
    "localisation": Localisation,
    "words": Words,
    "microscope": Microscope,
    "errors": Errors,
    "sanity": Sanity,
    "swaps": Swaps,
    "transform": Transform,
}


class Sheet(NamedTuple):
    """What a protocol fixes."""

    fill: str
    steps: str
    fraction: str
    score: str
    resolution: str
    ends: str
    leaves_out: str


SHEETS: dict[str, Sheet] = {
    "table1, image": Sheet(
        "0 after normalisation: the mean colour of CLIP's training pictures",
        "one: the min-maxed map itself is the mask",
        "as much as the map says",
        "cosine of the pair, before and after",
        "the model's own, after crop and normalisation; the map upsampled bilinearly",
        "two: the whole picture and the masked one",
        "how much is kept: a map of ones everywhere loses nothing",
    ),
    "table1, text": Sheet(
        "words go and the rest moves together (as written: id 0, no start and no end of text)",
        "one: words above the text's median stay",
        "half of the words or more",
        "cosine of the pair, before and after",
        "tokens",
        "two: the whole text and the shortened one",
        "the order among the words that stay",
    ),
    "table2, official": Sheet(
        "deletion: uniform noise; insertion: from black",
        "100, every tenth scored",
        "half: 0.5 % of the pixels a step",
        "accuracy @1 and @5 against the true label",
        "the source picture's, made smaller first where its shorter side has more than 640 pixels; resize and crop "
        "come after the edit. Of a picture that is not square, Grad-ECLIP, MMEL, Grad-CAM, MaskCLIP and raw attention "
        "explain all of it at its own size, sides rounded to whole patches; the map of any other method lies on the "
        "crop that the model sees, and pixels outside of it come last, in reading order",
        "the whole picture only: first in deletion, last in insertion",
        "the second half of the pixels, and how sure the model is; pixels outside of the crop are edited for nothing",
    ),
    "table2, full": Sheet(
        "the picture's own mean colour, for both kinds",
        "20, all scored",
        "all of the pixels",
        "probability of the true label, the model's own scale of cosines",
        "the source picture's; the map lies on the crop that the model sees, and pixels outside of it come last, in "
        "reading order",
        "both",
        "whether the prediction itself changes",
    ),
    "table3 (ours)": Sheet(
        "the word goes and the rest moves together (others: id 0 in its place; hidden from attention)",
        "10, the nearest whole number of words each",
        "all of the words",
        "recall at 1, 5 and 10 over the whole gallery",
        "tokens between start and end of text",
        "both",
        "how the other captions of the gallery would fare: they stay whole",
    ),
    "localisation": Sheet(
        "none: nothing is edited",
        "none",
        "segmentation: above the map's mean",
        "exact masks: highest pixel, share of the mass, overlap, objects found",
        "the mask's, cut to the crop that the model sees; the map upsampled bilinearly onto that crop",
        "none",
        "whether the model looked there: a map may be right about the world and wrong about the model; things of which "
        "no pixel lies in the crop are not asked for and need not be found",
    ),
    "words": Sheet(
        "none: nothing is edited",
        "none",
        "none",
        "words that name an object: highest token, share of the mass, ranking",
        "tokens between start and end of text",
        "none",
        "words that are right for another reason: of number, of place, of relation",
    ),
    "sanity": Sheet(
        "none: nothing is edited",
        "each rung of the ladder, down or up",
        "all of a tower's parameters at the end",
        "likeness to the trained model's map: rank correlation, SSIM, HOG, the top fifth, entropy",
        "patches, or tokens; a map of pixels is averaged over each patch",
        "the trained model and the one that is all random",
        "whether a map is right: noise passes; and which of two methods is better",
    ),
    "swaps": Sheet(
        "none: nothing is edited",
        "none",
        "none",
        "rank correlation with the map for another caption, and for a random direction",
        "patches; a map of pixels is averaged over each patch",
        "none",
        "whether the map for the right caption is right",
    ),
    "transform": Sheet(
        "none: nothing is edited",
        "none",
        "none",
        "distance from, and rank correlation with, MMEL's map with another T, and its map without a gate",
        "patches",
        "none",
        "a T that somebody has trained: none is published",
    ),
    "errors": Sheet(
        "curves: the picture's own mean colour; confidence: 0 after normalisation",
        "curves: 8, all scored",
        "all of the pixels",
        "exact masks of everything; cosine with the object's name",
        "the mask's; curves and confidence on the model's own pixels",
        "both",
        "photographs: without masks of everything, wrong objects cannot be told from background",
    ),
    "microscope": Sheet(
        "noise, black, blur and the mean colour",
        "20, all scored",
        "a quarter, a half and all of the pixels",
        "cosine, probability and hit @1",
        "the source picture's; the map lies on the crop that the model sees, and pixels outside of it come last, in "
        "reading order",
        "both, the whole picture only, none",
        "texts",
    ),
}
