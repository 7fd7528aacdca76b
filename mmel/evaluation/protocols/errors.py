"""The protocol errors, of Sec. 4.7: where maps fail in a crowd, by the exact masks of the bundled world.

Every metric of one object's map, with what the scene is like; or the same while one thing of the scene is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from ...clip import Clip
from ...errors import BadSetting, DatasetError, MmelError
from ...sanity.controlled import covered, nested, resized
from ...sanity.crowd import Question, Record, Stated, judged, missed, posed, question, relation, told
from ...sanity.failures import KINDS
from ..protocol import FATAL, Batch, Findings, Measurement
from .checking import check_data, check_protocol
from .making import seeded_apart

CHANGES = ("", "objects", "size", "cover")
TRAITS = ("objects", "area", "visible")
METRICS = (
    "score", "pointing_game", "energy_pointing_game", "lift", "spread", "confidence_drop", "confidence_increase",
    "multi_object_recall", "deletion_auc", "insertion_auc",
)  # fmt: skip


@dataclass(frozen=True)
class Errors:
    """One object of each scene, asked for by its name, and the relation that its caption states.

    With a `change` the scene is made anew for each value of `at`, and `steps` are these: `objects` leaves so many of
    them, `size` draws the object so many pixels large, `cover` hides such a share of it behind the scene's other one.
    """

    change: str = ""  # one of CHANGES
    at: tuple[float, ...] = ()
    curves: int = 0  # the first so many samples get deletion and insertion curves too
    steps: int = 8
    name: str = "errors"

    def __post_init__(self) -> None:
        check_protocol(self, {"change": CHANGES}, least={"curves": 0, "steps": 1})
        if bool(self.change) != bool(self.at):
            raise BadSetting(f"a change goes with the values that it takes: got {self.change!r} at {self.at}.")

    def prepare(self, clip: Clip, data) -> None:
        """Nothing: every sample stands by itself. Raises `DatasetError` where none is of the bundled world."""
        check_data("errors", data)

    def measure_batches(self, clip: Clip, state: None, batches: Sequence[Batch]) -> list[list[Findings]]:
        """Pictures and texts are embedded once for all rows; a group whose maps fail has no numbers."""
        groups: dict[tuple[int, ...], _Group] = {}
        found = []
        for batch in batches:
            key = tuple(batch.places)
            if key not in groups:
                groups[key] = _Group(self, clip, batch)
            found.append(groups[key].findings(batch))
        return found

    def variants(self, asked: Question) -> list[Question]:
        """The question itself, or one for each value of `at`."""
        if self.change == "objects":
            return nested(asked, [int(count) for count in self.at])
        if self.change == "size":
            return [resized(asked, size) for size in self.at]
        if self.change == "cover":
            return [covered(asked, (asked.target + 1) % len(asked.scene.objects), share) for share in self.at]
        return [asked]


class _Group:
    """Samples that rows look at together: their questions, and why some have none."""

    def __init__(self, how: Errors, clip: Clip, batch: Batch):
        self.how, self.clip, self.bare, asked = how, clip, {}, {}
        for place, example in zip(batch.places, batch.examples, strict=True):
            try:
                asked[place] = how.variants(_question(example))
            except MmelError as error:
                self.bare[place] = [error]
        self.places, self.each = list(asked), len(how.at) or 1
        self.ready = posed(clip, [one for some in asked.values() for one in some]) if asked else None
        stated = {} if how.change else {place: relation(some[0].scene) for place, some in asked.items()}
        self.stated = {place: Stated(asked[place][0].scene, *pair) for place, pair in stated.items() if pair}
        self.told = told(clip, list(self.stated.values())) if self.stated else None

    def findings(self, batch: Batch) -> list[Findings]:
        """What each sample of the group has for this row."""
        try:
            lines = dict(zip(self.places, self._lines(batch), strict=True)) | self.bare
            return [lines[place] for place in batch.places]
        except FATAL:
            raise
        except Exception as error:
            return [self.bare.get(place, [error]) for place in batch.places]

    def _lines(self, batch: Batch) -> list[Findings]:
        if not self.places:
            return []
        seeds = dict(zip(batch.places, batch.seeds, strict=True))
        own = seeded_apart(batch.row)  # a seed for each sample: one after the other
        parts = [[i] for i in range(len(self.places))] if own else [list(range(len(self.places)))]
        found = []
        for some in parts:
            settings = {**batch.row.settings, **({"seed": seeds[self.places[some[0]]]} if own else {})}
            found += self._row(some, (batch.row.method, settings))
        return found

    def _row(self, some: Sequence[int], row: tuple[str, Mapping[str, object]]) -> Iterator[Findings]:
        """The measurements of neighbouring samples by one call of the method."""
        chosen = slice(some[0] * self.each, (some[-1] + 1) * self.each)
        curves = sum(self.places[i] < self.how.curves for i in some) * self.each
        records = judged(self.clip, self.ready.some(chosen), row, curves=curves, steps=self.how.steps)
        kinds = self._relations([self.places[i] for i in some], row)
        for count, i in enumerate(some):
            own = records[count * self.each : (count + 1) * self.each]
            yield list(_measurements(own, kinds.get(self.places[i]), bool(self.how.change)))

    def _relations(self, places: Sequence[int], row: tuple[str, Mapping[str, object]]) -> dict[int, str]:
        chosen = [i for i, place in enumerate(self.stated) if place in places]
        if not chosen:
            return {}
        stated = list(self.stated.items())[chosen[0] : chosen[-1] + 1]
        pixels, texts = (each[chosen[0] : chosen[-1] + 1] for each in self.told)
        kinds = missed(self.clip, [pair for _, pair in stated], pixels, texts, row)
        return dict(zip([place for place, _ in stated], kinds, strict=True))


def _question(example) -> Question:
    if example.scene is None:
        raise DatasetError(
            f"{example.key} has no exact mask of everything in it, by which errors are told apart: take a dataset of "
            "the bundled world, such as scenes/crowded."
        )
    return question(example.scene)


def _measurements(records: Sequence[Record], related: str | None, several: bool) -> Iterator[Measurement]:
    """Traits first, which are no columns; a kind of failure as a share of 0 or 1."""
    values = {("", name): [float(each[name]) for each in records] for name in TRAITS}
    values |= {("image", name): [float(each[name]) for each in records] for name in METRICS if name in records[0]}
    values |= {("image", f"failure {kind}"): [float(each["failure"] == kind) for each in records] for kind in KINDS}
    if related:
        values |= {("image", f"relation {kind}"): [float(related == kind)] for kind in KINDS}
    for (modality, metric), some in values.items():
        yield Measurement(modality, metric, fmean(some), some if several else ())


def records_of(frame: pd.DataFrame, at: Sequence[float] = ()) -> pd.DataFrame:
    """The lines of a run as one line for each sample and row (and value of `at`), a column for each metric.

    Kinds of failure are columns `failure` and `relation` with their names. Samples without numbers are left out.
    """
    lines = frame[frame.kind == ""]
    if len(at):
        lines = lines.assign(at=[list(at)] * len(lines), value=lines["steps"]).explode(["at", "value"])
        lines = lines.astype({"at": float, "value": float})
    keys = ["row", "index", "sample", *(["at"] if len(at) else [])]
    wide = lines.pivot(index=keys, columns="metric", values="value").reset_index()
    for name in ("failure", "relation"):
        shares = wide[[each for each in wide if each.startswith(f"{name} ")]]
        known = shares.notna().any(axis=1)
        wide[name] = shares[known].idxmax(axis=1).str.removeprefix(f"{name} ")
    return wide.rename_axis(columns=None)
