"""Playable figures: for a page without a kernel, and their twins that ask the model as they are played.

The figures for a page are plain HTML with a little JavaScript of our own, made of arrays that a notebook computed. They
need no kernel and load nothing. Each shows itself in a notebook, works by mouse, touch and keyboard, prints as its
first state, and is a picture with a text where no script runs. The twins (`live_...`, `scene_editor`) need ipywidgets,
which is imported when one of them is first used.
"""

from importlib import import_module

from .dials import dials
from .explorer import explorer
from .ladder import ladder
from .packing import pack, unpack
from .playable import Playable
from .quiz import quiz
from .scrubber import scrubber

LIVE = ("live_dials", "live_explorer", "live_ladder", "live_quiz", "live_scrubber", "scene_editor")

__all__ = ["Playable", "dials", "explorer", "ladder", "pack", "quiz", "scrubber", "unpack", *LIVE]


def __getattr__(name: str) -> object:
    if name in LIVE:
        return getattr(import_module(".kernel", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
