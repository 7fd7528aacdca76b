"""The picture that a live widget shows, with a text alternative: ipywidgets' own Image has none."""

from __future__ import annotations

from importlib.resources import files

import anywidget
import traitlets as T


class Picture(anywidget.AnyWidget):
    """`value` is a PNG, `alt` what a screen reader says in its place."""

    _esm = files(__package__).joinpath("picture.js").read_text(encoding="utf-8")
    value = T.Bytes().tag(sync=True)
    alt = T.Unicode().tag(sync=True)

    def show(self, value: bytes, alt: str) -> None:
        """Another picture, together with its words."""
        with self.hold_sync():
            self.value, self.alt = value, alt
