"""Playable figures for a page: plain HTML with a little JavaScript of our own, made of arrays that a notebook computed.

They need no kernel and load nothing. Each shows itself in a notebook, works by mouse, touch and keyboard, prints as its
first state, and is a picture with a text where no script runs.
"""

from .dials import dials
from .explorer import explorer
from .ladder import ladder
from .packing import pack, unpack
from .playable import Playable
from .quiz import quiz
from .scrubber import scrubber

__all__ = ["Playable", "dials", "explorer", "ladder", "pack", "quiz", "scrubber", "unpack"]
