"""The explorer: any picture, any text, two methods side by side."""

from __future__ import annotations

import ipywidgets as W

from ...clip import Clip
from ...figures.words import short, words_of_text
from ...loading.images import seen
from ...trace import blocks
from ...types import Attribution
from .base import Live, Seen, Side, Subject, column, explained
from .draw import fitted, line, sheet


class Explorer(Live):
    """`subject` has the controls of picture and text; `left` and `right` those of the two methods."""

    def __init__(self, clip: Clip):
        self.subject = Subject(clip, self)
        self.left = Side(clip, self, "Left method", "grad_eclip", len(blocks(clip, "image")))
        self.right = Side(clip, self, "Right method", "mmel_working")
        super().__init__(clip, self.subject, W.HBox([self.left, self.right], layout=W.Layout(flex_flow="row wrap")))

    def look(self) -> Seen:
        picture, text = self.subject.picture, self.subject.text
        shown, columns, words = seen(self.clip, picture), [], []
        for side in (self.left, self.right):
            found = explained(self, picture, text, side)
            columns.append(column(self, side.title, shown, text, found))
            words.append(told(self.clip, side.title, text, found))
        columns.insert(0, [line("picture"), fitted(shown)])
        alt = compared(self.subject.name, text, self.left, self.right)
        return Seen(sheet(f"\u201c{text.strip()}\u201d", columns), " ".join(words), alt)


def compared(name: str, text: str, left: Side, right: Side) -> str:
    """What is to be seen of two methods beside a picture."""
    return (
        f"Beside {name} two heat maps over it for the text \u201c{text.strip()}\u201d, by {left.title} and by "
        f"{right.title}; below each its scale, its score and, where it has some, the values of the words."
    )


def told(clip: Clip, title: str, text: str, found: Attribution) -> str:
    """A method's answer as a sentence: where its map is highest, and what its words are worth."""
    row, place = divmod(int(found.image[0].argmax()), found.image.shape[2])
    height, width = found.image.shape[1:]
    where = f"{across(row, height, 'top', 'bottom')} {across(place, width, 'left', 'right')}".replace(
        "middle middle", "middle"
    )
    said = f"{title}: score {float(found.score[0]):.3f}, highest at the {where}"
    words = None if found.text is None else words_of_text(clip.tokenizer, text, found.text[0])
    return said + ("" if not words else "; " + ", ".join(f"{w} {short(v)}" for w, v in zip(*words, strict=True))) + "."


def across(place: int, length: int, first: str, last: str) -> str:
    """Which third of a side a place lies in."""
    return (first, "middle", last)[min(2, 3 * place // length)]
