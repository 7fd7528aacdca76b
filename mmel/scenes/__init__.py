"""The bundled world: emoji scenes with true captions and exact masks."""

from .backgrounds import BACKGROUNDS, SIZE
from .captions import TEMPLATES, Caption, Word, class_prompts, vocabulary
from .objects import NAMES, OBJECTS
from .scene import Placement, Plan, Scene
from .splits import SPLITS, Split, split, train_scene
from .states import State, read_state

__all__ = [
    "BACKGROUNDS", "NAMES", "OBJECTS", "SIZE", "SPLITS", "TEMPLATES",
    "Caption", "Placement", "Plan", "Scene", "Split", "State", "Word",
    "class_prompts", "read_state", "split", "train_scene", "vocabulary",
]  # fmt: skip
