"""What every method is, as one table made from the code: its settings and its documentation."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from . import METHODS

NEEDED = {  # what the documentation of `explain` says, by the words that the tables find it by
    "paper and official code, then `Explains ...`": "Explains",
    "the formula": ".. math::",
    "`Shapes: image [batch, rows, columns]`": "Shapes: image [batch, ",
    "`Cost: ` in forward and backward passes": "Cost: ",
    "a section `Notes`": "Notes\n-----\n",
}
COLUMNS = ("method", "maps", "gradients", "cost", "draws", "source")


class Entry(NamedTuple):
    """One row of the catalogue."""

    method: str
    maps: str  # modalities: "image" or "image, text"
    gradients: str  # "yes" where the method needs a backward pass
    cost: str  # in forward and backward passes
    draws: str  # "seeded" or "nothing": does the method draw random numbers?
    source: str  # paper and official code


def missing(method: Callable) -> list[str]:
    """What a method's documentation has to say and does not."""
    said = inspect.getdoc(method) or ""
    return [what for what, words in NEEDED.items() if words not in said]


def prose(method: Callable) -> str:
    """A method's documentation before its notes, as one line."""
    return " ".join((inspect.getdoc(method) or "").split("Notes\n")[0].split())


def cost_of(method: Callable) -> str:
    """What its documentation says after "Cost:", to the end of that sentence."""
    found = re.search(r"Cost: (.*?)\.(?= [A-Z`]|$)", prose(method))
    return found.group(1) if found else "not said"


def source_of(method: Callable) -> str:
    """The documentation's first sentence: equation, paper, official file."""
    return prose(method).partition(". Explains")[0].rstrip(".") or "not said"


def entry(name: str, method: Callable) -> Entry:
    """The row of one method."""
    settings, cost = inspect.signature(method).parameters, cost_of(method)
    return Entry(
        method=name,
        maps="image, text" if settings["modality"].default == "both" else "image",
        gradients="yes" if "backward" in cost.replace("no backward", "") else "no",
        cost=cost,
        draws="seeded" if "seed" in settings else "nothing",
        source=source_of(method),
    )


def catalogue() -> list[Entry]:
    """Every method of METHODS, in its order."""
    return [entry(name, method) for name, method in METHODS.items()]


def markdown(entries: Iterable[Entry]) -> str:
    """The catalogue as a table for a page."""
    rows = [COLUMNS, ["---"] * len(COLUMNS), *((f"`{each.method}`", *each[1:]) for each in entries)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows)
