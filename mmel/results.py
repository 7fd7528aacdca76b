"""Values that a notebook measures: shown on its page, and collected by the build into `results.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from .errors import BadSetting, NotANumber

if TYPE_CHECKING:
    from .clip import Clip

VALUE = "application/vnd.mmel.value+json"  # the type of the output that the build collects


def plain(value: object) -> object:
    """A value as JSON knows it: tensors and arrays become numbers and lists, tuples lists, keys strings."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        raise NotANumber(f"a result has to be finite, not {value}: note a count of such cases instead.")
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise BadSetting(
        f"a result is a number, a text, or a list or mapping of them, not {type(value).__name__}: "
        "note what it measures."
    )


def short(value: object) -> str:
    """A value to read: four digits of each float, everything else as it is."""
    return json.dumps(json.loads(json.dumps(value), parse_float=lambda text: float(f"{float(text):.4g}"))).strip('"')


def note(name: str, value: object) -> None:
    """Show `name = value`, and keep the value with all its digits for `results.json`; elsewhere print it."""
    _emit(name, plain(value), f"{name} = {short(plain(value))}")


def finish(clip: Clip | tuple[Clip, ...], budget: int) -> None:
    """Show and keep how many images and texts went through the towers; above `budget` the build fails."""
    clips = clip if isinstance(clip, tuple) else (clip,)
    used = sum(one.passes.total for one in clips)
    value = {"used": int(used), "budget": int(budget)}
    _emit("forward_passes", value, f"forward passes: {used:,} of {budget:,} allowed")


def _emit(name: str, value: object, text: str) -> None:
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:  # a plain installation, without the [book] extra
        print(text)
        return
    if get_ipython() is None:
        print(text)
    else:
        display({VALUE: {"name": name, "value": value}, "text/plain": text}, raw=True)
