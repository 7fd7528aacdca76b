"""Maps and numbers as matplotlib figures.

They take pictures, arrays and tensors, know no model, show nothing by themselves and keep nothing open: each returns a
`Drawing`, which a notebook shows as its cell's value and `save` writes to a file.
"""

from .bands import bands
from .forest import forest, markdown_table
from .frame import FORMATS, Drawing, save
from .panels import Explained, explanation, explanations, row
from .pictures import grid, overlay, scenes
from .plots import bars, curves, heat, histogram
from .word_table import word_table
from .words import Words, word_strip, words_of

__all__ = [
    "FORMATS", "Drawing", "Explained", "Words",
    "bands", "bars", "curves", "explanation", "explanations", "forest", "grid", "heat", "histogram", "markdown_table",
    "overlay", "row", "save", "scenes", "word_strip", "word_table", "words_of",
]  # fmt: skip
