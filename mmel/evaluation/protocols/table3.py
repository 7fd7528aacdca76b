"""Table 3: words go from captions, or come back, while pictures and captions look for each other in a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import torch

from ...clip import Clip, prepare_images
from ...data.iterating import key_of
from ...errors import BadSetting, DatasetError
from ...loading.inputs import token_ids
from ...metrics import step_auc
from ..protocol import FATAL, Measurement, Row, reason_of
from .checking import check_protocol
from .making import text_maps
from .retrieval import KS, READINGS, Gallery, Retrieved, edited_texts, embed_edited, retrieved
from .scoring import embed_pixels, embed_tokens, pixels_of

KINDS = ("deletion", "insertion")


@dataclass(frozen=True)
class Searched:
    """A gallery, and at which place each sample's picture stands; `unreadable` ones are left out, with the reason.

    What changes while it is in use is no part of what it is, nor of a run's header.
    """

    gallery: Gallery
    places: Mapping[str, int]
    manifest: str = ""  # of the dataset that it was made from
    unreadable: Mapping[str, str] = field(default_factory=dict)
    # edited texts of the sample at hand, for the next row, and of those kept
    memo: dict[str, dict[bytes, object]] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Table3:
    """For each of a picture's captions a text map; the captions are edited in its order, the gallery stays whole.

    Our protocol, for the official one is not published. Pictures that cannot be read are not in the gallery.
    """

    readings: tuple[str, ...] = ("remove",)  # what becomes of a word that goes
    steps: int = 10
    captions: int = 5  # of each picture
    gallery: object = None  # the dataset to look in, or what `prepare` made of it; None: the one that is evaluated
    keep: int = 0  # of the first so many samples edited texts are remembered, for whoever asks about them later
    name: str = "table3"
    wants_pixels = True  # of each sample, made once for all rows

    @property
    def wants_all(self) -> bool:
        """Of the dataset that is evaluated, to look in; a gallery that is given is whole already."""
        return self.gallery is None

    def __post_init__(self) -> None:
        check_protocol(self, {"readings": READINGS}, least={"steps": 1, "captions": 1, "keep": 0})
        given = self.gallery
        known = given is None or isinstance(given, Searched)
        if not known and (isinstance(given, str) or not hasattr(given, "__getitem__")):
            raise BadSetting(
                "gallery of table3 is a dataset as `mmel.data.open_dataset` gives it, or what `prepare` made of one; "
                f"got {given!r}. On the command line the gallery is all of --dataset."
            )

    def prepare(self, clip: Clip, data) -> Searched:
        """Embeddings of the whole gallery."""
        if isinstance(self.gallery, Searched):
            return self.gallery
        data = data if self.gallery is None else self.gallery
        pictures, texts, owner, places, unreadable = [], [], [], {}, {}
        for start in range(0, len(data), size := clip.scoring.batch):
            some, gone = _readable(clip, data, range(start, min(start + size, len(data))))
            unreadable |= gone
            if some:
                pictures.append(embed_pixels(clip, torch.cat([pixels for _, pixels in some])))
            for example, _ in some:
                places[example.key] = len(places)
                own = example.captions[: self.captions]
                texts += own
                owner += [places[example.key]] * len(own)
        if not texts:
            why = next(iter(unreadable.values()), "it has no captions")
            raise DatasetError(f"the gallery of table3 holds no picture with a caption: {why}")
        whole = Gallery(torch.cat(pictures), embed_tokens(clip, token_ids(clip, texts)), torch.tensor(owner))
        return Searched(whole, places, getattr(data, "manifest", ""), unreadable)

    def prepared(self, state: Searched) -> dict[str, object]:
        """What the results say of the gallery."""
        count, gone = len(state.places), dict(state.unreadable)
        notes = [f"Gallery: {count:,} pictures, whatever the number of samples."]
        if gone:
            name, why = next(iter(gone.items()))
            notes.append(f"Left out of the gallery: {len(gone):,} that cannot be read, such as {name}: {why}")
        return {"gallery": count, "unreadable": gone, "notes": notes}

    def measure(self, clip: Clip, state: Searched, example, row: Row, seed: int) -> Iterator[Measurement]:
        """Areas of recall at 1, 5 and 10 in both directions; `steps` are the points of the curve."""
        if example.key not in state.places:
            if example.key in state.unreadable:
                raise DatasetError(state.unreadable[example.key])
            raise DatasetError(f"{example.key} is not in the gallery: evaluate samples that it holds.")
        texts = list(example.captions[: self.captions])
        maps = text_maps(clip, row, pixels_of(clip, example), texts, seed).cpu()
        if example.key not in state.memo:
            for key in list(state.memo)[self.keep :]:
                del state.memo[key]
        memo = state.memo.setdefault(example.key, {})
        asked, found = list(product(self.readings, KINDS)), []
        for reading, kind in asked:
            how = {"kind": kind, "reading": reading, "steps": self.steps}
            edited = [edited_texts(clip, text, map, **how) for text, map in zip(texts, maps, strict=True)]
            embeds = embed_edited(clip, edited, memo)
            found.append(torch.stack(retrieved(state.gallery, state.places[example.key], embeds)))
        for (reading, kind), hits in zip(asked, torch.stack(found).cpu(), strict=True):  # all in one transfer
            yield from _scores(Retrieved(*hits), kind, reading)


def _readable(clip: Clip, data, indices: Sequence[int]) -> tuple[list[tuple], dict[str, str]]:
    """These samples with their pixels; and why others have none, by their names."""
    some, gone = [], {}
    for index in indices:
        try:
            example = data[index]
            some.append((example, prepare_images(clip, example.image)))
        except FATAL:
            raise
        except Exception as error:
            gone[key_of(data, index)] = reason_of(error)
    return some, gone


def _scores(found: Retrieved, kind: str, reading: str) -> Iterator[Measurement]:
    suffix = "" if reading == "remove" else f" {reading}"
    for direction, hits in found._asdict().items():
        for k, points in zip(KS, hits, strict=True):
            yield Measurement("text", f"{kind} {direction} @{k}{suffix}", float(step_auc(points)), points.tolist())
