"""Playable figures: for a page without a kernel, and their twins that ask the model as they are played.

The twins need ipywidgets, which is imported when one of them is first used.
"""

from importlib import import_module

LIVE = ("live_dials", "live_explorer", "live_ladder", "live_quiz", "live_scrubber", "scene_editor")

__all__ = [*LIVE]


def __getattr__(name: str) -> object:
    if name in LIVE:
        return getattr(import_module(".kernel", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
