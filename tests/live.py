"""What the playground's tests share: questions to the engine as a page of the book asks them, and Python's answers."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata

import mmel
from mmel.scenes import split

METHODS = {  # the page's choices
    "grad-eclip": ("grad_eclip", {}),
    "grad-eclip-all": ("grad_eclip", {"layers": None, "projected_keys": False}),
    "attention": ("raw_attention", {}),
    "literal": ("mmel", dict(mmel.LITERAL)),
    "working": ("mmel", dict(mmel.WORKING)),
}
CLOSE = {"score": 1e-3, "largest": 1e-2, "order": 0.999}
SETUP = """async () => {
    const folder = new URL("../_static/live/", location.href), from = (name) => import(new URL(name, folder).href);
    const world = await (await fetch(new URL("world.json", folder))).json();
    const { buildModel } = await from("weights.js");
    const buffer = await (await fetch(new URL(world.weights.file, folder))).arrayBuffer();
    const parts = Object.assign({}, ...(await Promise.all(
        ["explain.js", "tokenizer.js", "clip.js", "metrics.js", "gradients.js", "tensors.js", "client.js", "share.js", "state.js", "dials.js"].map(from))));
    const bytes = (text) => Uint8ClampedArray.from(atob(text), (c) => c.charCodeAt(0));
    window.live = { world, bytes, ...parts, model: buildModel(buffer, world), client: new parts.Client(folder, world) };
}"""
ANSWER = """([pixels, text, names]) => {
    const { model, world, bytes, Pair, explain, CHOICES, tokenize } = window.live;
    const read = tokenize(world, text), pair = Pair.of(model, bytes(pixels), read), maps = {};
    for (const name of names) {
        const { image, text: words } = explain(pair, CHOICES[name].method, CHOICES[name].settings);
        maps[name] = { image: [...image], text: words && [...words] };
    }
    return { tokens: [...read.tokens], eos: read.eos, score: pair.score, maps };
}"""
ASK = "([kind, asked]) => window.live.client.ask(kind, asked)"


@dataclass(frozen=True)
class Case:
    """A held-out scene with its caption, and its number among the cases."""

    index: int
    scene: object
    text: str

    @property
    def pixels(self) -> str:
        return base64.b64encode(self.scene.image.tobytes()).decode()


def fifty() -> list[Case]:
    """Scenes of the test splits: pairs, two objects, one main object, and crowds of up to 16."""
    crowds = split("crowded")
    chosen = [*split("pairs", 20), *split("two_objects", 10), *split("classes", 10)]
    chosen += [crowds[index] for index in range(36, 640, 67)]
    return [Case(i, scene, scene.captions[0].text) for i, scene in enumerate(chosen)]


def python_maps(clip, cases: list[Case]) -> dict[str, mmel.Attribution]:
    """Every method of the page for all cases."""
    images, texts = [case.scene.image for case in cases], [case.text for case in cases]
    made = {}
    for name, (method, settings) in METHODS.items():
        made[name] = mmel.explain(clip, images, texts, method=method, batch_size=25, **settings)
    return made


def differences(found, wanted: torch.Tensor) -> dict[str, float]:
    """Rank correlation and largest difference, as a share of the largest value, of two maps; 0 everywhere is special."""
    a, b = np.asarray(found, float), wanted.flatten().double().numpy()
    most = np.abs(b).max()
    if most == 0:
        return {"order": 1.0, "largest": float(np.abs(a).max())}
    order = float(np.corrcoef(*(rankdata((each / most).round(6)) for each in (a, b)))[0, 1])
    return {"order": order, "largest": float(np.abs(a - b).max() / most)}


def state_of(plan, text: str, **more) -> dict:
    """A state of the playground, as JSON would have it."""
    scene = json.loads(json.dumps(plan.to_json()))
    return {"version": 1, "scene": scene, "erased": {"runs": [], "fill": "black"}, "captions": [text]} | more
