"""Sec. 4.7: sanity checks (do maps depend on what was learned?) and error analysis (where do they fail?)."""

from .controlled import covered, nested, resized
from .crowd import Question, named, question, relation, traits
from .failures import KINDS, failure, spread_of
from .fresh import Law, law_of
from .gentler import entropy_rise, histogram_entropy, smoothed
from .knee import Knee, Line, broken_line, knee, straight_line
from .likeness import SIMILARITIES, flat, hog_correlation, on_grid, second_moment, spearman, ssim, top_overlap
from .randomization import ORDERS, Climb, Rung, Share, cascade, climbs, randomize
from .runs import Band, interval_of
from .slopes import slope, standardized_slopes
from .steps import Step, ladder
from .swaps import distance, random_texts, strangers

__all__ = [
    "KINDS", "ORDERS", "SIMILARITIES",
    "Band", "Climb", "Knee", "Law", "Line", "Question", "Rung", "Share", "Step",
    "broken_line", "cascade", "climbs", "covered", "distance", "entropy_rise", "failure", "flat",
    "histogram_entropy", "hog_correlation", "interval_of", "knee", "ladder", "law_of", "named", "nested",
    "on_grid", "question", "random_texts", "randomize", "relation", "resized", "second_moment", "slope",
    "smoothed", "spearman", "spread_of", "ssim", "standardized_slopes", "straight_line", "strangers",
    "top_overlap", "traits",
]  # fmt: skip
