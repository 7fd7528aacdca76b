"""What a command line asks for, checked before anything is loaded: pictures, results, methods and their settings."""

from __future__ import annotations

import inspect
import json
import os
import types
import typing
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import BadSetting, ImageError, UnknownName

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")  # taken from a folder
MARK = ".mmel"  # before the suffix of a result, which is then not taken for a picture to explain
WRITTEN = {int: "a whole number", float: "a number", bool: "true or false", str: "text", types.NoneType: "null"}


class Job(NamedTuple):
    """A picture to explain, and where the explanation goes."""

    source: Path
    target: Path


def jobs_of(image: Path, output: Path | None) -> list[Job]:
    """Every picture with the file that its explanation goes to."""
    if not os.path.exists(image):  # which, unlike Path.exists, never raises
        raise ImageError(f"{str(image)!r} does not exist: give a picture, or a folder of pictures.")
    if image.is_dir():
        return jobs_of_folder(image, output)
    if output is None or output.is_dir():
        return [Job(image, (output or image.parent) / f"{image.stem}{MARK}.png")]
    from ..figures import FORMATS

    if output.suffix.lower().removeprefix(".") not in FORMATS:
        endings = ", ".join("." + each for each in FORMATS)
        raise BadSetting(f"the result {output.name!r} should end with one of: {endings}.")
    if output.exists() and output.samefile(image):
        raise BadSetting(f"the result would replace the picture {str(output)!r} itself: give it another name.")
    return [Job(image, output)]


def jobs_of_folder(folder: Path, output: Path | None) -> list[Job]:
    """The pictures of a folder in the order of their names, without results of an earlier run."""
    if output and not output.is_dir() and (output.exists() or output.suffix):
        raise BadSetting(f"the results of a folder go to a folder, but {str(output)!r} is a file: give -o FOLDER.")
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file())
    except OSError as error:
        raise ImageError(f"the folder {str(folder)!r} cannot be read ({error.strerror}).") from error
    found = [path for path in found if not path.stem.endswith(MARK) and not path.name.startswith(".")]
    if not found:
        raise ImageError(f"the folder {str(folder)!r} has no pictures ({' '.join(PICTURES)}): check its name.")
    alike = Counter(path.stem for path in found)  # photo.jpg beside photo.png
    names = [path.stem if alike[path.stem] == 1 else path.name for path in found]
    return [Job(path, (output or folder) / f"{name}{MARK}.png") for path, name in zip(found, names, strict=True)]


class Ask(NamedTuple):
    """A method with its settings, checked, and the title of its panel."""

    title: str
    method: str
    settings: Mapping[str, object]


def chosen(methods: Sequence[str], written: Sequence[str]) -> list[Ask]:
    """The methods, each with those of the `written` settings that it has; one that none of them has is an error.

    A name may bring its own settings in brackets, as for `mmel evaluate`: they come first.
    """
    from ..methods import METHODS

    asks = dict.fromkeys(map(bracketed, methods))
    hints = {ask.method: kinds(METHODS[ask.method]) for ask in asks}
    shared = shared_settings(hints, written)
    return [ask._replace(settings={**shared[ask.method], **dict(ask.settings)}) for ask in asks]


def bracketed(written: str) -> Ask:
    """A method's name with the settings that stand in brackets behind it."""
    from ..methods import METHODS

    name = written.partition("[")[0].strip()
    if name not in METHODS:
        raise UnknownName("method", name, METHODS, "`mmel methods` lists them all.")
    if name == written:
        return Ask(name, name, ())
    from ..evaluation.rows import Row, asked

    row = asked(written, known=lambda name: Row(name, name))  # not the table's row of that name, which has settings
    return Ask(row.name, row.method, tuple(row.settings.items()))


def shared_settings(hints: Mapping[str, Mapping], written: Sequence[str]) -> dict[str, dict[str, object]]:
    """For each method what `--set` gives it."""
    every = {key for keys in hints.values() for key in keys}
    asked: dict[str, dict[str, object]] = {name: {} for name in hints}
    for each in written:
        key, equals, value = each.partition("=")
        if not equals:
            raise BadSetting(f"a setting is written NAME=VALUE, such as layers=2; got {each!r}.")
        if key not in every:
            raise UnknownName(f"setting of {' and '.join(hints)}", key, every)
        for name, keys in hints.items():
            if key in keys:
                asked[name][key] = parsed(name, key, value, keys[key])
    return asked


def kinds(method: Callable) -> dict[str, object]:
    """The type of each of a method's settings."""
    hints = typing.get_type_hints(method)
    return {key: hints.get(key, object) for key in defaults(method)}


def defaults(method: Callable) -> dict[str, object]:
    """A method's settings with their defaults."""
    named = inspect.signature(method).parameters.values()
    return {each.name: each.default for each in named if each.kind is each.KEYWORD_ONLY}


def parsed(method: str, key: str, written: str, kind: object) -> object:
    """A setting's value: what JSON reads (3, 0.5, true, null, [1, 2]), or else the text itself, if its type fits."""
    try:
        values = [json.loads({"True": "true", "False": "false", "None": "null"}.get(written, written)), written]
    except ValueError:
        values = [written]
    for value in values:
        if fits(value, kind):
            return value
    raise BadSetting(
        f"{key} of {method} is {' or '.join(named(kind)) or 'not to be set here'}; got {written!r}. "
        "Write numbers as 0.5, lists as [1, 2], else true, false or null."
    )


def fits(value: object, kind: object) -> bool:
    """Does a value read from JSON have this type? Lists stand for sequences; nothing stands for a tensor."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, each) for each in inside)
    if kind in (int, float):
        number = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
        return number and abs(value) < 2**63
    if kind in WRITTEN:
        return isinstance(value, kind)
    if listed(origin):
        return isinstance(value, list) and all(fits(each, inside[0]) for each in value)
    return kind is object


def listed(origin: object) -> bool:
    return isinstance(origin, type) and issubclass(origin, Sequence)


def named(kind: object) -> list[str]:
    """The kinds of values that a type takes, as a reader would write them."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return [name for each in typing.get_args(kind) for name in named(each)]
    return ["a list"] if listed(typing.get_origin(kind)) else [WRITTEN[kind]] if kind in WRITTEN else []


def listing() -> None:
    """Print every method: what it needs, costs and comes from; then the settings of each."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ..methods import METHODS
    from ..methods.catalogue import COLUMNS, catalogue

    about = Table(*COLUMNS, box=box.SIMPLE_HEAD, pad_edge=False)
    settings = Table("method", "settings and their defaults", box=box.SIMPLE_HEAD, pad_edge=False)
    about.columns[0].no_wrap = settings.columns[0].no_wrap = True
    for row in catalogue():
        about.add_row(Text(row.method, "bold"), *map(Text, row[1:]))
        known = defaults(METHODS[row.method]).items()
        shown = ", ".join(f"{key}={value if isinstance(value, str) else repr(value)}" for key, value in known)
        settings.add_row(Text(row.method, "bold"), Text(shown))
    console = Console(highlight=False)
    console.width = console.width if console.is_terminal else 140
    console.print(about)
    console.print(settings)
