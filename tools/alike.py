"""Whether two runs show the same: noted values, the numbers of tables, and pictures."""

from __future__ import annotations

import base64
import io
import math
import re

import numpy as np
from collect import outputs
from nbformat import NotebookNode
from PIL import Image

CLOSE = 1e-5  # relative: batches and threads may round differently
OFF, SHARE = 24, 0.002  # levels of 255 by which a pixel is another one, and the share that may be
NUMBER = re.compile(r"[-+\N{MINUS SIGN}]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
TABLES = ("text/html", "text/markdown")


def differences(old: object, new: object, where: str = "") -> list[str]:
    """One line for each number or text that is not the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(set(old) | set(new))
        return [line for key in keys for line in differences(old.get(key), new.get(key), f"{where} / {key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for index, pair in pairs for line in differences(*pair, f"{where}[{index}]")]
    numbers = [isinstance(each, (int, float)) and not isinstance(each, bool) for each in (old, new)]
    same = math.isclose(old, new, rel_tol=CLOSE, abs_tol=CLOSE) if all(numbers) else old == new
    return [] if same else [f"{where.removeprefix(' / ')}: was {old}, is {new}"]


def same_text(old: str, new: str) -> bool:
    """The same words, and the same numbers as far as they are printed: the last digit of a fraction may round away."""
    if NUMBER.split(old) != NUMBER.split(new):
        return False
    return all(map(same_number, NUMBER.findall(old), NUMBER.findall(new)))


def same_number(old: str, new: str) -> bool:
    was, now = (each.replace(",", "").replace("\N{MINUS SIGN}", "-") for each in (old, new))
    if "." not in was:
        return was == now
    whole, _, power = was.partition("e")
    step = 10.0 ** (int(power or 0) - len(whole.partition(".")[2]))
    return abs(float(was) - float(now)) <= 1.01 * step


def shown(cell: NotebookNode) -> list[dict]:
    """What a cell displays that can be compared."""
    return [data for _, data in outputs(NotebookNode(cells=[cell])) if "image/png" in data or set(TABLES) & set(data)]


def pixels(data: dict) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB"), float)


def other_picture(old: np.ndarray, new: np.ndarray) -> str:
    """In what two pictures differ; empty where they are alike."""
    if old.shape != new.shape:
        return f"was {old.shape[1]} by {old.shape[0]} pixels, is {new.shape[1]} by {new.shape[0]}"
    share = float((np.abs(old - new).max(-1) > OFF).mean())
    return "" if share <= SHARE else f"{share:.1%} of the pixels are others"


def displayed(name: str, old: NotebookNode, new: NotebookNode) -> list[str]:
    """One line for each table or picture of a cell that is not the same."""
    was, now = shown(old), shown(new)
    if len(was) != len(now):
        return [f"{name}: showed {len(was)} tables and pictures, shows {len(now)}"]
    wrong = []
    for place, (first, second) in enumerate(zip(was, now, strict=True), 1):
        which = f"{name}, {place}" if len(was) > 1 else name
        if "image/png" in first:
            said = other_picture(pixels(first), pixels(second)) if "image/png" in second else "is no picture now"
            wrong += [f"{which}: {said}"] if said else []
        else:
            for kind in set(TABLES) & set(first):
                wrong += table_lines(which, first[kind], second.get(kind, ""))
    return wrong


def table_lines(name: str, old: str, new: str) -> list[str]:
    """The lines of a table that are not the same."""
    was, now = old.splitlines(), new.splitlines()
    if len(was) != len(now):
        return [f"{name}: had {len(was)} lines, has {len(now)}"]
    return [f"{name}: was {a.strip()}, is {b.strip()}" for a, b in zip(was, now, strict=True) if not same_text(a, b)]
