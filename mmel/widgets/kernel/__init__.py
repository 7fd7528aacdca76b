"""Figures that ask the model as they are played: widgets for JupyterLab, each with a kernel behind it.

Each of these functions makes one. The last value of a cell shows it; `picture()` is what it shows now, as a picture.
"""

from __future__ import annotations

from ...clip import Clip
from ...errors import MissingExtra

try:
    import anywidget  # noqa: F401
    import ipywidgets  # noqa: F401
except ImportError as error:
    raise MissingExtra("live widgets need ipywidgets and anywidget: pip install 'mmel[book]' brings both.") from error

from .dials import Dials
from .editor import SceneEditor
from .explorer import Explorer
from .ladder import Ladder
from .quiz import Quiz
from .scrubber import Scrubber


def live_explorer(clip: Clip) -> Explorer:
    """A scene or a picture of your own, any text, two methods side by side: maps, words and scores."""
    return Explorer(clip)


def live_dials(clip: Clip) -> Dials:
    """MMEL's gate under your hands: the model is asked again only for another picture or text."""
    return Dials(clip)


def live_scrubber(clip: Clip) -> Scrubber:
    """Deletion and insertion, step by step: the edited picture, its score, and where that stands on the curve."""
    return Scrubber(clip)


def live_ladder(clip: Clip) -> Ladder:
    """Down the randomisation cascade: the map dissolves, or does not. The model is bit by bit as before after it."""
    return Ladder(clip)


def scene_editor(clip: Clip) -> SceneEditor:
    """Draw a scene with emoji and see two methods' maps change with it."""
    return SceneEditor(clip)


def live_quiz(clip: Clip, seed: int = 0) -> Quiz:
    """Which method made this map? Blind, with a score; `seed` decides the questions."""
    return Quiz(clip, seed)
