"""Every error that a user can cause. A message says what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class MmelError(Exception):
    """Base of all errors that `mmel` raises on purpose; the command line prints it and exits 2."""

    def __reduce__(self):
        return _again, (type(self), self.args)  # from one process to another, whatever its arguments were


def _again(kind: type[MmelError], said: tuple) -> MmelError:
    return kind.__new__(kind, *said)


class UnknownName(MmelError):
    """A method, setting, model, tag, protocol or split that does not exist."""

    def __init__(self, kind: str, name: object, known: Iterable[str], hint: str = ""):
        known = sorted(map(str, known))
        near = get_close_matches(str(name), known, n=3, cutoff=0.5)
        choice = f"did you mean {' or '.join(near)}?" if near else f"choose one of: {', '.join(known)}."
        super().__init__(f"unknown {kind} {name!r}: {choice}" + (f" {hint}" if hint else ""))


class BadSetting(MmelError):
    """A setting of a known name with a value out of range or of a wrong type."""


class UnsupportedModality(MmelError):
    """A method asked for a map of a modality that it does not define."""


class UnfitMethod(MmelError):
    """A file of `mmel/methods/` without what every method has."""


class UnsupportedModel(MmelError):
    """A tower without the structure that a method needs."""


class WeightsError(MmelError):
    """Weights that are missing, corrupt, of another architecture, or that would run code when read."""


class HubUnreachable(WeightsError):
    """Pretrained weights that had to be downloaded and could not be."""


class ImageError(MmelError):
    """An image that cannot be read or explained."""


class TextError(MmelError):
    """A text that cannot be read or explained."""


class ShapeMismatch(MmelError):
    """Arrays whose shapes do not fit together."""


class NotANumber(MmelError):
    """NaN or infinity where finite numbers were expected."""


class FlatMap(MmelError):
    """A map whose values are all equal, where its order was asked for."""


class SceneError(MmelError):
    """A scene, caption or split of the bundled world that cannot be made."""


class DatasetError(MmelError):
    """A dataset that is not there, not whole, or laid out in a way that is not known."""


class DownloadError(MmelError):
    """Why a web address gave no file. The words before the colon are a kind to count by."""


class EvaluationError(MmelError):
    """A run that cannot begin, go on or be read: parts of another run, a full disk, a lost worker."""


class MissingExtra(MmelError):
    """A part of the package that needs an optional extra which is not installed."""


class MmelWarning(UserWarning):
    """Something that works, but probably not as its user expects."""


class UnseenWord(MmelWarning):
    """A prompt with a word that the bundled model has never seen."""


class TextCut(MmelWarning):
    """A text longer than the model's context, and what was cut."""


class OutOfWorld(MmelWarning):
    """A photograph given to the bundled model, which has only ever seen emoji scenes."""
