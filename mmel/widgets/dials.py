"""MMEL's dials: its gate computed again in the page, from stored queries and keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from ..errors import BadSetting, ShapeMismatch
from ..figures import row
from ..figures.frame import array_of
from ..methods.grad_eclip import sim_qk
from ..methods.mmel import gated, transform_of
from ..methods.mmel_settings import LITERAL, MmelSettings
from .packing import maps_of, pack, sprite
from .playable import Playable, alike, colours, first_state

PARTS = ("linear_1.weight", "linear_1.bias", "linear_2.weight", "linear_2.bias", "norm.weight", "norm.bias")
DIALS = ("alpha", "beta", "beta_place", "gate", "reduction", "scales", "temperature", "temperature_place", "theta")


def dials(
    pictures: Sequence,
    texts: Sequence[Sequence[str]],
    queries,
    keys,
    values,
    *,
    presets: Mapping[str, MmelSettings] | None = None,
    title: str = "Turn MMEL's dials",
) -> Playable:
    """MMEL's gate, live: every number that its equations and Sec. 3.4 name is a dial.

    `queries`, `keys`: [scene, layer, token, width], class token first; `values`: [scene, text, layer, patch], the sum
    over channels of gradient times value in each block, before its ReLU and without the keys' similarity. The page
    makes Grad-ECLIP's map from these, over all the blocks, then the gate, and shows their product, the gate's range
    and the rank correlation of the two maps. `presets` are offered by name, the first one to begin with; T is drawn
    from the seed that they share. Errors: ShapeMismatch, NotANumber, BadSetting.
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
        "transform": _weights(sizes["width"], list(presets.values())),
        "presets": {name: _dialled(each, sizes["layer"]) for name, each in presets.items()},
    }  # fmt: skip
    base, gate = _first(queries[0], keys[0], values[0, 0], next(iter(presets.values())))
    shown = [each.view(side, side) for each in (base, gate, base * gate)]
    titles = ["Grad-ECLIP", "gate", "MMEL"]
    alt = f"Three maps for the text \u201c{texts[0][0]}\u201d: Grad-ECLIP's, MMEL's gate with a bar of its values, and "
    return Playable("dials", title, f"{alt}their product.", data, first_state(row(shown, titles, image=pictures[0])))


def _weights(width: int, presets: Sequence[MmelSettings]) -> dict[str, object]:
    if len({each.seed for each in presets}) != 1 or not all(each.bias and not each.head_wise for each in presets):
        raise BadSetting("the page knows one T, with biases and over the whole width: presets of one seed are needed.")
    state = transform_of(width, presets[0].seed, True, torch.float32, torch.device("cpu")).state_dict()
    return {name: pack(state[name], rows=state[name].ndim - 1) for name in PARTS}


def _dialled(preset: MmelSettings, depth: int) -> dict[str, object]:
    found = {name: preset[name] for name in DIALS} | {"theta": preset.thetas(depth)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _first(queries, keys, values, preset: MmelSettings):
    """The base map of the first scene and text, and its gate by Python's own functions."""
    q, k, v = (torch.as_tensor(array_of(each, "")).float() for each in (queries, keys, values))
    bases = [(v[i] * sim_qk(q[i][None], k[i][None])[0]).relu()[None] for i in range(len(q))]
    counted = torch.ones_like(bases[0], dtype=torch.bool)
    with torch.no_grad():
        made = gated(bases, [each[None, 1:] for each in q], counted, preset.thetas(len(q)), preset, q.shape[-1])
    base = sum(bases)[0]
    return base, made[0] / base.clamp(min=1e-9)
