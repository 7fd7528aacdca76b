"""A whole evaluation in one loop: the plain twin of the engine, and the seeds that both take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from math import isfinite

import pandas as pd

from ..clip import Clip
from ..errors import MmelError, NotANumber
from .protocol import Batch, EvaluationProtocol, Row, findings_of, hook, opened

COLUMNS = ("sample", "row", "modality", "metric", "value", "steps", "error")


def measured(
    protocol: EvaluationProtocol,
    clip: Clip,
    data,
    rows: Sequence[Row],
    *,
    counts: Mapping[str, int] | None = None,  # how many of the first samples a row gets; others get all
    seed: int = 0,
) -> pd.DataFrame:
    """Every measurement of every row on every sample, in `COLUMNS`; a failure is a line with its reason.

    The seed of a method that draws comes from `seed`, the sample and the method, so that order and company change
    nothing. Only a named `MmelError` is a failure of a sample; anything else is raised.
    """
    state = protocol.prepare(clip, data)
    lines = []
    for place, example in enumerate(data):
        for row in rows:
            if place < (counts or {}).get(row.name, len(data)):
                lines += list(_lines(protocol, clip, state, example, row, seed, place))
    return pd.DataFrame(lines, columns=COLUMNS)


def seed_of(seed: int, sample: str, method: str) -> int:
    """A seed for one sample and one method, the same everywhere."""
    return int.from_bytes(sha256(f"{seed}/{sample}/{method}".encode()).digest()[:4], "big") >> 1


def _lines(protocol, clip: Clip, state, example, row: Row, seed: int, place: int) -> Iterator[tuple]:
    try:
        for one in _measured(protocol, clip, state, example, row, seed_of(seed, example.key, row.method), place):
            if not isfinite(one.value):
                raise NotANumber(f"{one.metric} is {one.value}: look at the map that it was measured on.")
            yield example.key, row.name, one.modality, one.metric, one.value, list(one.steps), ""
    except MmelError as error:
        yield example.key, row.name, "", "", float("nan"), [], str(error)


def _measured(protocol, clip: Clip, state, example, row: Row, seed: int, place: int):
    if not hook(protocol, "measure_batches"):
        return protocol.measure(clip, state, example, row, seed)
    ((_, _, found),) = findings_of(protocol, clip, state, [Batch(row, [example], [place], [seed])])
    return opened(found)
