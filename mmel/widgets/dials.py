"""MMEL's dials: its gate computed again in the page, from stored queries and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ..errors import BadSetting, ShapeMismatch
from ..figures import row
from ..figures.frame import array_of
from ..maps import enhance_contrast
from ..methods.grad_eclip import sim_qk
from ..methods.mmel import gated, transform_of
from ..methods.mmel_settings import LITERAL, MmelSettings
from .packing import maps_of, pack, sprite
from .playable import Playable, alike, colours, first_state

PARTS = ("linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias", "norm.weight", "norm.bias")
DIALS = ("alpha", "beta", "beta_place", "contrast_share", "gate", "head_wise", "reduction", "scales", "temperature",
         "temperature_place", "theta")  # fmt: skip
BASE = {"layers": None, "key_similarity": True, "projected_keys": False, "similarity": "class"}  # of the page's Eq. 8


def dials(
    pictures: Sequence,
    texts: Sequence[Sequence[str]],
    queries,
    keys,
    values,
    *,
    heads: int = 1,
    presets: Mapping[str, MmelSettings] | None = None,
    title: str = "Turn MMEL's dials",
) -> Playable:
    """MMEL's gate, live: every number that its equations and Sec. 3.4 name is a dial.

    `queries`, `keys`: [scene, layer, token, width], class token first; `values`: [scene, text, layer, patch], the sum
    over channels of gradient times value in each block, before its ReLU and without the keys' similarity. The page
    makes Grad-ECLIP's map from these, over all the blocks, then the gate, and shows their product, the gate's range
    and the rank correlation of the two maps. `heads`: how many the queries have; with more than one the page offers
    Eq. 5 head by head. `presets` are offered by name, the first one to begin with; T is drawn from the seed that they
    share. Errors: ShapeMismatch, NotANumber, BadSetting.
    """
    presets = presets or {"LITERAL": LITERAL}
    alike("texts", len(texts), len(pictures))
    if len({len(each) for each in texts}) != 1 or not texts[0]:
        raise BadSetting(f"each scene has as many texts as the others; got {[len(each) for each in texts]}.")
    sizes = {"scene": len(pictures), "text": len(texts[0])}
    queries = maps_of(queries, ("scene", "layer", "token", "width"), sizes, "queries")
    sizes |= dict(zip(("layer", "token", "width"), queries.shape[1:], strict=True)) | {"patch": queries.shape[2] - 1}
    keys = maps_of(keys, ("scene", "layer", "token", "width"), sizes, "keys")
    values = maps_of(values, ("scene", "text", "layer", "patch"), sizes, "values")
    side = round(sizes["patch"] ** 0.5)
    if side**2 != sizes["patch"]:
        raise ShapeMismatch(f"patches of a square grid and a class token expected; got {sizes['token']} tokens.")
    data = {
        "sprite": sprite(pictures), "texts": [list(each) for each in texts], "side": side, "colours": colours(),
        "queries": pack(queries, rows=3), "keys": pack(keys, rows=3), "values": pack(values, rows=3, bits=16),
        "heads": heads, "transforms": _weights(sizes["width"], heads, list(presets.values())),
        "presets": {name: _dialled(each, sizes["layer"]) for name, each in presets.items()},
    }  # fmt: skip
    maps = _first(queries[0], keys[0], values[0, 0], next(iter(presets.values())), heads)
    shown = [each.view(side, side) for each in maps]
    titles = ["Grad-ECLIP", "gate", "MMEL"]
    alt = f"Three maps for the text \u201c{texts[0][0]}\u201d: Grad-ECLIP's, MMEL's gate with a bar of its values, and "
    return Playable("dials", title, f"{alt}their product.", data, first_state(row(shown, titles, image=pictures[0])))


def _weights(width: int, heads: int, presets: Sequence[MmelSettings]) -> dict[str, dict[str, object]]:
    """T for the whole width and for a head's, by how many parts the width has."""
    if len({each.seed for each in presets}) != 1 or not all(each.bias for each in presets):
        raise BadSetting("the page knows one T, with biases: presets of one seed are needed.")
    if others := [name for name, value in BASE.items() if any(each[name] != value for each in presets)]:
        raise BadSetting(f"the page's Eq. 8 is {BASE}; presets differ in {others}, which has no dial.")
    if heads < 1 or width % heads:
        raise ShapeMismatch(f"heads share the width of {width} evenly; got {heads!r}.")
    if heads == 1 and any(each.head_wise for each in presets):
        raise BadSetting("a preset is head-wise: say how many `heads` the queries have.")
    return {str(parts): _transform(width // parts, presets[0].seed) for parts in sorted({1, heads})}


def _transform(width: int, seed: int) -> dict[str, object]:
    state = transform_of(width, seed, True, torch.float32, torch.device("cpu")).state_dict()
    return {name: pack(state[name], rows=state[name].ndim - 1) for name in PARTS}


def _dialled(preset: MmelSettings, depth: int) -> dict[str, object]:
    found = {name: preset[name] for name in DIALS} | {"theta": preset.thetas(depth)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _first(queries, keys, values, preset: MmelSettings, heads: int):
    """The base map of the first scene and text, its gate and MMEL's map, by Python's own functions."""
    q, k, v = (torch.as_tensor(array_of(each, "")).float() for each in (queries, keys, values))
    bases = [(v[i] * sim_qk(q[i][None], k[i][None])[0]).relu()[None] for i in range(len(q))]
    counted = torch.ones_like(bases[0], dtype=torch.bool)
    part = q.shape[-1] // (heads if preset.head_wise else 1)
    with torch.no_grad():
        made = gated(bases, [each[None, 1:] for each in q], counted, preset.thetas(len(q)), preset, part)
    base = sum(bases)[0]
    shown = made if preset.contrast_share is None else enhance_contrast(made[None], preset.contrast_share)[0]
    return base, made[0] / base.clamp(min=1e-9), shown[0]
