"""Explore stored maps: a scene, a text, layers, and two methods with a wipe between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import BadSetting
from ..figures import Words, row
from ..figures.frame import array_of
from .packing import maps_of, pack, sprite
from .playable import Playable, alike, colours, first_state, named


def explorer(
    pictures: Sequence,
    texts: Sequence[Sequence[str]],
    maps: Mapping[str, object],
    scores,
    *,
    layers: Sequence[str] = ("all",),
    words: Mapping[str, Sequence[Words]] | None = None,
    pair: Sequence[str] = (),
    title: str = "Explore the maps",
) -> Playable:
    """Every stored map: choose scene, text and layers, and wipe between two methods.

    `texts[scene]` starts with the caption; `maps[method]`: [scene, text, layer, rows, columns], with one layer for a
    method that has no choice, else one for each of `layers`; `scores`: [scene, text]; `words[method][scene]`: the
    caption's words with their values. `pair`: the two methods shown first. Colours run from each map's lowest value to
    its highest. Errors: ShapeMismatch, NotANumber, BadSetting.
    """
    alike("texts", len(texts), len(pictures))
    if len({len(each) for each in texts}) != 1 or not texts[0]:
        raise BadSetting(f"each scene has as many texts as the others; got {[len(each) for each in texts]}.")
    if len(maps) < 2:
        raise BadSetting(f"a wipe is between two methods; maps of {len(maps)} came.")
    sizes = {"scene": len(pictures), "text": len(texts[0])}
    methods = {name: _method(name, each, sizes, len(layers)) for name, each in maps.items()}
    named(list(words or {}), list(maps), "words are of methods with maps")
    pair = named(pair or list(maps)[:2], list(maps), "pair names two methods of maps")
    alike("pair", len(pair), 2)
    data = {
        "sprite": sprite(pictures), "texts": [list(each) for each in texts], "layers": list(layers), "maps": methods,
        "scores": maps_of(scores, ("scene", "text"), sizes, "scores").round(5).tolist(), "pair": pair,
        "words": {name: _words(name, each, len(pictures)) for name, each in (words or {}).items()},
        "colours": colours(),
    }  # fmt: skip
    shown = [array_of(maps[name], name)[0, 0, 0] for name in pair]
    alt = f"A scene beneath two maps for the text \u201c{texts[0][0]}\u201d, by {pair[0]} and by {pair[1]}."
    return Playable("explorer", title, alt, data, first_state(row(shown, pair, image=pictures[0])))


def _method(name: str, values, sizes: Mapping[str, int], layers: int) -> dict[str, object]:
    values = maps_of(values, ("scene", "text", "layer", "rows", "columns"), sizes, f"maps of {name}")
    if values.shape[2] not in (1, layers):
        raise BadSetting(f"maps of {name} have one layer, or {layers} as `layers` has names; got {values.shape[2]}.")
    return pack(values, rows=3)


def _words(name: str, words: Sequence[Words], scenes: int) -> list[list[list]]:
    alike(f"words of {name}", len(words), scenes)
    return [[[word, round(float(value), 6)] for word, value in zip(*each, strict=True)] for each in words]
