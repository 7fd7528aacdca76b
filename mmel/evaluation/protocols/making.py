"""Maps for the protocols: one row of a table, one sample."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ...clip import Clip
from ...errors import UnsupportedModality
from ...methods import explain
from ..protocol import Row
from ..rows import draws, why_no_text


def settings_of(row: Row, seed: int, run: int = 0) -> dict[str, object]:
    """The row's settings, with a seed of this run where the method draws.

    A seed among the settings (that of MMEL's network) is the same for all samples; else `seed` is the sample's own.
    """
    settings = dict(row.settings)
    if draws(row):
        settings["seed"] = (seed if seeded_apart(row) else int(settings["seed"])) + run
    return settings


def seeded_apart(row: Row) -> bool:
    """Does the method draw, for each sample by its own seed? A seed among the row's settings is that of all samples."""
    return draws(row) and "seed" not in row.settings


def image_maps(clip: Clip, row: Row, images, texts, seed: int, run: int = 0) -> Float[Tensor, "batch rows columns"]:
    """Raw image maps of one row."""
    made = explain(clip, images, texts, row.method, modality="image", **settings_of(row, seed, run))
    return made.image.detach()


def text_maps(clip: Clip, row: Row, images, texts, seed: int, run: int = 0) -> Float[Tensor, "batch context"]:
    """Raw text maps of one row. Raises `UnsupportedModality` with the reason where it has none."""
    if why := why_no_text(row.name, row.method):
        raise UnsupportedModality(why)
    made = explain(clip, images, texts, row.method, modality="text", **settings_of(row, seed, run))
    return made.text.detach()
