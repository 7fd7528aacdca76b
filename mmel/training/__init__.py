"""The recipe of the bundled models: a small CLIP of open_clip, trained on the bundled world.

`make train SEED=0` runs it; killed and started again, it goes on where it was. `export` makes the shipped
files from a checkpoint, and `scores` measures what they can do on the held-out splits.
"""

from .loop import accuracy, folder_of, train
from .measuring import scores
from .recipe import CONFIG, RECIPES, Recipe, Stream, build, pixels_in, text_features
from .shipping import card, export, record_scores

__all__ = [
    "CONFIG", "RECIPES", "Recipe", "Stream", "accuracy", "build", "card", "export", "folder_of", "pixels_in",
    "record_scores", "scores", "text_features", "train",
]  # fmt: skip
