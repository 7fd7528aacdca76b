"""What `make bench` measures: each case is a name and a call, with the most that it may cost where there is a limit."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import open_clip
import torch
from PIL import Image
from torch.nn.functional import interpolate, normalize

import mmel
from mmel.methods import METHODS
from mmel.metrics import deletion_curve, protocol

MODELS = ("bundled", "ViT-B-32", "ViT-B-16")
SMALL = ("bundled", "ViT-B-32")
TIMED = {
    "rise": {"n_masks": 100},
    "kernel_shap": {"n_samples": 100},
}  # copies, where a call takes as many as it is told
FEW = {  # for the large batch against single pairs: what a pair costs there does not hang on how often
    "rise": {"n_masks": 20},
    "kernel_shap": {"n_samples": 20},
    "m2ib": {"steps": 2},
}
LARGE = 32  # pairs of the large batch


@dataclass(frozen=True)
class Case:
    """One measured call. `limits`: the most units, for each model that has a limit."""

    name: str
    method: str
    settings: dict = field(default_factory=dict)
    modality: str = "image"
    models: tuple[str, ...] = MODELS
    limits: dict = field(default_factory=dict)
    over: str = ""  # the case that it is compared with, as a ratio of the two
    most_over: float | None = None  # the most that this ratio may be


def limit(b32: float, b16: float | None = None) -> dict:
    """The most units for both ViTs: the least that the authors' code took on two cores, or what we ask of ourselves.

    The small bundled model has none, for there Python's calls cost more than the products.
    """
    return {"ViT-B-32": b32, "ViT-B-16": b32 if b16 is None else b16}


RAW = {"projected_keys": False}
CASES = (
    Case("raw_attention", "raw_attention", limits=limit(1.1)),
    Case("attention_rollout", "attention_rollout"),
    Case("grad_cam", "grad_cam", limits=limit(1.3)),
    Case("grad_eclip", "grad_eclip", limits=limit(1.2)),
    Case("chefer", "chefer", limits=limit(1.3, 1.2)),
    Case("chefer, all blocks", "chefer", {"start_layer": 0}, limits=limit(3.2)),
    Case("grad_eclip, last block", "grad_eclip", {**RAW, "layers": 1}, limits=limit(1.2)),
    Case("mmel, last block", "mmel", {"layers": 1}, over="grad_eclip, last block", most_over=1.08),
    Case("grad_eclip, all blocks", "grad_eclip", {**RAW, "layers": None}, limits=limit(3.2)),
    Case("mmel, all blocks", "mmel", over="grad_eclip, all blocks"),
    Case("mmel, all blocks, no biases", "mmel", {"bias": False}, over="grad_eclip, all blocks"),
    Case("legrad", "legrad"),
    Case("mask_clip", "mask_clip"),
    Case("clip_surgery", "clip_surgery", {"empty": True}, limits=limit(1.0, 1.1)),
    Case("saliency", "saliency"),
    Case("cci", "cci", models=SMALL),
    Case("m2ib", "m2ib", limits=limit(60)),
    Case("m2ib, text", "m2ib", modality="text", limits=limit(60)),
    Case("rise, 100 masks", "rise", limits=limit(65, 86)),
    Case("kernel_shap, 100 coalitions", "kernel_shap", models=SMALL),
    Case("attention_flow", "attention_flow", models=("bundled",)),
    *(Case(name, name, models=("bundled",)) for name in ("edges", "centre_gaussian", "random")),
)
CASES += tuple(Case(name, name, models=SMALL) for name in METHODS if name not in {case.method for case in CASES})


@dataclass(frozen=True)
class Subject:
    """A model with the pairs that it explains."""

    name: str
    clip: mmel.Clip
    images: torch.Tensor
    texts: torch.Tensor
    tokens: torch.Tensor

    def unit(self, batch: int = 1) -> Callable[[], object]:
        """One plain `encode_image` of the same batch: what costs are counted in."""
        return torch.no_grad()(partial(self.clip.model.encode_image, self.images[:batch]))

    def call(self, case: Case, batch: int = 1, **more) -> Callable[[], object]:
        """The explanation of a case. Texts are embedded beforehand where only the image is explained."""
        settings = {**TIMED.get(case.method, {}), **case.settings, **more}
        if settings.get("empty") is True:  # the text of CLIP Surgery that is embedded once and for all
            settings["empty"] = self.texts[0]
        texts = self.texts if case.modality == "image" else self.tokens
        how = {"method": case.method, "modality": case.modality, **settings}
        return partial(mmel.explain, self.clip, self.images[:batch], texts[:batch], **how)


def subject(name: str, device: str, batch: int = LARGE) -> Subject:
    """The bundled model with scenes of its world, or a ViT with random weights: its products are as many."""
    if name == "bundled":
        clip = mmel.load_clip(device=device)
        scenes = list(mmel.scenes.split("validation", batch))
        captions = [scene.captions[0].text for scene in scenes]
        pairs = mmel.prepare(clip, [scene.image for scene in scenes], captions)
    else:
        torch.manual_seed(0)
        model = open_clip.create_model(name).to(device).eval().requires_grad_(False)
        clip = mmel.Clip(model, open_clip.image_transform(224, is_train=False), open_clip.get_tokenizer(name), name)
        pixels = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(0))
        pairs = mmel.prepare(clip, pixels, "a photograph of a dog behind a red car")
    with torch.no_grad():
        return Subject(name, clip, pairs.images, mmel.embed_text(clip, pairs.tokens), pairs.tokens)


def curve(of: Subject) -> Callable[[], object]:
    """The official deletion curve of a picture of 500 x 375: 11 scorings, of which each prepares its picture."""
    draw = torch.Generator().manual_seed(0)
    noise = (interpolate(torch.rand(1, 3, 12, 16, generator=draw), (375, 500), mode="bilinear")[0] * 255).byte()
    picture, ranks = Image.fromarray(noise.movedim(0, -1).numpy()), torch.rand(7, 7, generator=draw)

    def score(pictures) -> torch.Tensor:
        ready = torch.stack([of.clip.preprocess(each) for each in pictures]).to(of.clip.device)
        return mmel.similarity(mmel.embed_image(of.clip, ready), of.texts[:1].expand(len(ready), -1))

    return partial(deletion_curve, score, picture, ranks, **protocol("official"))


def others(of: Subject) -> dict[str, tuple[str, Callable[[], object]]]:
    """Calls of other packages: name -> the case of ours that does the same work, and their call."""
    from captum.attr import LayerGradientXActivation, Saliency

    visual, pixels = of.clip.model.visual, of.images[:1]

    def score(x: torch.Tensor) -> torch.Tensor:
        return (normalize(visual(x), dim=-1) * of.texts[:1]).sum(-1)

    block = visual.transformer.resblocks[-2]
    made = {
        "captum Saliency": ("saliency", lambda: Saliency(score).attribute(pixels.clone().requires_grad_())),
        "captum LayerGradientXActivation": (
            "grad_cam",
            lambda: LayerGradientXActivation(score, block).attribute(pixels.clone().requires_grad_()),
        ),
    }
    with suppress(ImportError):  # where it is installed, with all that it needs
        made["grad-cam GradCAM"] = ("grad_cam", grad_cam_package(visual, pixels, score))
    return made


def grad_cam_package(visual: torch.nn.Module, pixels: torch.Tensor, score: Callable) -> Callable[[], object]:
    """`GradCAM` of the package grad-cam on the last block's first norm, as its own example of CLIP has it."""
    from pytorch_grad_cam import GradCAM

    class Scored(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.visual = visual

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return score(x)[:, None]

    def grid(tokens: torch.Tensor) -> torch.Tensor:
        side = int((tokens.shape[1] - 1) ** 0.5)
        return tokens[:, 1:].unflatten(1, (side, side)).movedim(-1, 1)

    layer = visual.transformer.resblocks[-1].ln_1

    def run() -> object:
        with GradCAM(model=Scored(), target_layers=[layer], reshape_transform=grid) as cam:
            return cam(input_tensor=pixels.clone().requires_grad_(), targets=[lambda out: out.sum()])

    return run
