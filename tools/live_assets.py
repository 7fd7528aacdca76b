"""The playground's files, made when the book is built: weights for the browser, and what the world holds."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import numpy as np

LIMIT = 8_000_000  # bytes of the weights
FIRST = {  # the page's names of the two maps that it shows first: how Python makes them
    "grad-eclip-all": ("grad_eclip", {"layers": None, "projected_keys": False}),
    "working": ("mmel", "WORKING"),
}
KINDS = {"float16": np.float16, "float32": np.float32, "int32": np.int32}


def tensors(clip, seed: int = 0) -> dict[str, np.ndarray]:
    """The package's safetensors as they are, the transforms T of every width, and the class prompts' embeddings."""
    import torch
    from safetensors.numpy import load_file

    from mmel.clip import embed_text
    from mmel.loading import WEIGHTS
    from mmel.methods.mmel import FeatureTransform
    from mmel.scenes import class_prompts

    found = dict(load_file(WEIGHTS / f"{clip.name}.safetensors"))
    towers = (clip.model.visual.transformer, clip.model.transformer)
    heads = {tower.width // tower.resblocks[0].attn.num_heads for tower in towers}
    for width in sorted({tower.width for tower in towers} | heads):
        found |= {
            f"transform.{width}.{name}": v.numpy() for name, v in FeatureTransform(width, seed).state_dict().items()
        }
    with torch.no_grad():
        embeds = [embed_text(clip, list(prompts)).mean(0) for prompts in class_prompts()]
        found["class_embeddings"] = torch.nn.functional.normalize(torch.stack(embeds), dim=-1).numpy()
    return found


def packed(arrays: dict[str, np.ndarray]) -> tuple[bytes, dict[str, dict]]:
    """One run of bytes, little endian, each tensor from a multiple of 4 on; and where each is."""
    data, places = bytearray(), {}
    for name, array in sorted(arrays.items()):
        data += bytes(-len(data) % 4)
        places[name] = {"dtype": str(array.dtype), "shape": list(array.shape), "offset": len(data)}
        data += np.ascontiguousarray(array, KINDS[str(array.dtype)]).astype(array.dtype.newbyteorder("<")).tobytes()
    return bytes(data), places


def world(clip) -> dict:
    """Words with their token ids, objects with their places in the sprite sheet, backgrounds, the paper's scenes."""
    from mmel.loading import WEIGHTS
    from mmel.scenes import BACKGROUNDS, OBJECTS, split
    from mmel.scenes.captions import PHRASES, RELATIONS
    from mmel.scenes.scene import SIZE, sprite_boxes

    card = json.loads((WEIGHTS / "card.json").read_text())
    things = [
        {**thing._asdict(), "synonyms": list(thing.synonyms), "box": list(box)}
        for thing, box in zip(OBJECTS, sprite_boxes(), strict=True)
    ]
    encode = clip.tokenizer.encode
    figures = [
        {"key": scene.key, "caption": scene.captions[0].text, "plan": scene.plan.to_json()}
        for scene in split("figures")
    ]
    return {
        "model": clip.name,
        "config": card[clip.name]["config"],
        "vocabulary": card["vocabulary"],
        "tokens": {word: encode(word) for word in [*card["vocabulary"], ","]},
        "start": clip.tokenizer.sot_token_id,
        "end": clip.tokenizer.eot_token_id,
        "objects": things,
        "backgrounds": {name: PHRASES[name] for name in BACKGROUNDS},
        "relations": list(RELATIONS),
        "figures": figures,
        "size": SIZE,
    }


def first(clip, classes: np.ndarray) -> tuple[dict, bytes]:
    """What the page shows before the model is loaded: its first scene explained here, and the picture as a PNG."""
    from io import BytesIO

    import mmel
    from mmel.clip import embed_image
    from mmel.scenes import NAMES, split

    scene, maps, file = split("figures")[0], {}, BytesIO()
    text = scene.captions[0].text
    rounded = lambda values: [float(f"{value:.6g}") for value in values.flatten().tolist()]  # noqa: E731
    for name, (method, settings) in FIRST.items():
        settings = getattr(mmel, settings) if isinstance(settings, str) else settings
        found = mmel.explain(clip, scene.image, text, method=method, **settings)
        maps[name] = {"image": rounded(found.image[0]), "text": rounded(found.text[0]), "mmel": method == "mmel"}
    score = float(found.score[0])
    logits = clip.model.logit_scale.exp().item() * embed_image(clip, scene.image)[0].detach().cpu().numpy() @ classes.T
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    names = [{"text": NAMES[i], "share": float(shares[i])} for i in np.argsort(-shares)[:5]]
    bars = {"captions": [{"text": text, "share": 1.0, "cosine": score}], "names": names}
    scene.image.save(file, "PNG", optimize=True)
    return {"caption": text, "score": score, "maps": maps, "bars": bars}, file.getvalue()


def make(folder: Path, name: str = "bundled") -> dict:
    """Write weights, sprites, first picture and `world.json` into `folder`; old ones go. Returns the world."""
    from importlib.resources import files

    import mmel

    clip = mmel.load_clip(name, device="cpu")
    arrays = tensors(clip)
    data, places = packed(arrays)
    if len(data) > LIMIT:
        raise ValueError(f"the playground's weights have {len(data):,} bytes, more than {LIMIT:,}: shrink the model.")
    sprites = files("mmel.scenes").joinpath("sprites.png").read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    for what in ("weights-*.bin", "sprites-*.png", "first-*.png"):
        for old in folder.glob(what):
            old.unlink()
    shown, picture = first(clip, arrays["class_embeddings"])

    def kept(what: str, ending: str, content: bytes) -> dict[str, object]:
        digest = sha256(content).hexdigest()
        name = f"{what}-{digest[:16]}.{ending}"
        (folder / name).write_bytes(content)
        return {"file": name, "bytes": len(content), "sha256": digest}

    made = world(clip) | {"tensors": places, "weights": kept("weights", "bin", data)}
    made |= {"sprites": kept("sprites", "png", sprites), "first": shown | {"picture": kept("first", "png", picture)}}
    (folder / "world.json").write_text(json.dumps(made, separators=(",", ":")))
    return made


def build_finished(app, error: Exception | None) -> None:
    """Beside the engine in the built book, so that no file of another commit is ever loaded with it."""
    if error is None and app.builder.name in ("html", "dirhtml", "singlehtml"):
        make(Path(app.outdir) / "_static" / "live")


def setup(app) -> dict[str, bool]:
    app.connect("build-finished", build_finished)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
