"""The first page's figure: ask one picture for one word after another, and see every method's map answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from io import BytesIO
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib import colormaps
from PIL import Image
from scipy.ndimage import binary_dilation
from scipy.stats import spearmanr
from torch import Tensor

from ..errors import ShapeMismatch
from ..figures.frame import HUES, array_of, pixels_of
from ..figures.pictures import ALPHA, PALE, greyed
from ..maps import normalize, upsample
from ..metrics import energy_pointing_game
from ..scenes import Scene
from ..scenes.captions import assemble, noun_phrase
from ..scenes.objects import find
from .packing import address, raw
from .playable import colours, source

SIDE = 224  # pixels of a panel


class Stop(NamedTuple):
    """A place to stop at: characters `start` to `end` of the caption, the text asked for, and the truth about it."""

    text: str
    start: int
    end: int
    thing: str  # what the mask shows, after "on": "the dog"
    mask: Bool[np.ndarray, "height width"]


@dataclass(frozen=True)
class Living:
    """One picture, one caption with words to choose, and beside the picture each method's map of the chosen one.

    `maps` [stop, method, rows, columns] are raw. Works by mouse, touch and keyboard; prints its first stop, and
    shows it where no script runs. It moves by itself only where the reader's system has not asked for less motion.
    """

    image: Image.Image
    caption: str
    stops: tuple[Stop, ...]
    methods: tuple[str, ...]
    maps: Float[Tensor, "stop method rows columns"]

    def __post_init__(self):
        maps = torch.as_tensor(array_of(self.maps, "maps"), dtype=torch.float32)
        wanted = [len(self.stops), len(self.methods)]
        if maps.ndim != 4 or list(maps.shape[:2]) != wanted or not len(self.stops):
            raise ShapeMismatch(f"maps [stop, method, rows, columns] start with {wanted}; got {list(maps.shape)}.")
        object.__setattr__(self, "maps", maps)

    @property
    def shares(self) -> list[list[float]]:
        """For each stop and method, the share of the map that lies on what the stop's mask shows."""
        masks = [torch.from_numpy(np.asarray(stop.mask, bool)) for stop in self.stops]
        pairs = zip(self.maps, masks, strict=True)
        return [energy_pointing_game(maps, mask.expand(len(maps), -1, -1)).tolist() for maps, mask in pairs]

    @property
    def html(self) -> str:
        """The figure as a part of any page. It names no other file."""
        name = "living-" + sha256(repr([self.caption, self.methods, self.maps.tolist()]).encode()).hexdigest()[:8]
        return "\n".join([
            f'<div class="mmel-living" id="{name}" role="group" aria-label="One picture, asked for word by word">',
            f"<style>{source('living.css')}</style>",
            '<p class="lv-ask">Choose a word, and see where each method finds it.</p>',
            f'<p class="lv-caption">{self.marked()}</p>',
            f'<div class="lv-panels">{self.panels()}</div>',
            '<p class="lv-said" role="status"></p>',
            f'<p class="lv-legend">{self.legend()}</p>',
            f'<script type="application/json">{self.packed()}</script>',
            f"<script>{source('living.js')}</script>",
            "</div>",
        ])  # fmt: skip

    def _repr_html_(self) -> str:
        return self.html

    def marked(self) -> str:
        """The caption with its words to choose; what stands for the whole of it follows in the end."""
        parts, place, whole = [], 0, ""
        for index, stop in enumerate(self.stops):
            if stop.start == 0 and stop.end == len(self.caption):
                whole = f' <span class="lv-word lv-whole" data-stop="{index}">the whole caption</span>'
                continue
            word = escape(self.caption[stop.start : stop.end])
            parts += [
                escape(self.caption[place : stop.start]),
                f'<span class="lv-word" data-stop="{index}">{word}</span>',
            ]
            place = stop.end
        return "".join(parts) + escape(self.caption[place:]) + whole

    def panels(self) -> str:
        """The picture and one panel a method, each with its first state as a picture."""
        stop, shares = self.stops[0], self.shares[0]
        outlined = f"The picture; a line runs around {stop.thing}."
        made = [panel("The picture", "", pasted(pixels_of(self.image), outline(stop.mask)), outlined, "")]
        for place, name in enumerate(self.methods):
            said = f"{100 * shares[place]:.0f} % on {stop.thing}"
            alt = f"Heat map of {name} over the greyed picture for \u201c{stop.text}\u201d: {said}."
            shown = pasted(coloured(self.image, self.maps[0, place]), outline(stop.mask))
            made.append(panel(name, HUES[place % len(HUES)], shown, alt, said))
        return "".join(made)

    def legend(self) -> str:
        """What is seen, from the values."""
        known = "White line: the exact outline of what the word names."
        fixed = [
            name for place, name in enumerate(self.methods) if bool((self.maps[:, place] == self.maps[:1, place]).all())
        ]
        same = [f"{listed(fixed)} cannot hear the question: the map is the same each time."] if fixed else []
        like = []
        for place in range(1, len(self.methods)):
            orders = [spearmanr(*maps[[place - 1, place]].flatten(1)).statistic for maps in self.maps]
            names = f"{self.methods[place - 1]} and {self.methods[place]}"
            if not set(fixed) & {self.methods[place - 1], self.methods[place]}:
                order = "the same order, or nearly" if min(orders) > 0.95 else "not the same order"
                like.append(f"{names} put the patches in {order} (rank correlation {min(orders):.3f} or more).")
        bars = "Bar: how much of the map lies inside; tick: how much of an even map would."
        own = "Each map runs from its own lowest value (violet) to its own highest (yellow)."
        return escape(" ".join([known, bars, own, *same, *like]))

    def packed(self) -> str:
        """The data as JSON that no text in it can end."""
        return json.dumps(self.data(), separators=(",", ":")).replace("<", "\\u003c")

    def data(self) -> dict[str, object]:
        """What the script needs: maps from 0 to 1 as bytes, shares, outlines, colours."""
        codes = (normalize(self.maps.flatten(0, 1)) * 255).round().to(torch.uint8).numpy()
        stops = [
            {"text": stop.text, "thing": stop.thing, "even": round(float(stop.mask.mean()), 4),
             "outline": held(outline(stop.mask), "PNG"), "shares": [round(share, 4) for share in shares]}
            for stop, shares in zip(self.stops, self.shares, strict=True)
        ]  # fmt: skip
        return {
            "rows": self.maps.shape[2], "columns": self.maps.shape[3], "methods": list(self.methods), "stops": stops,
            "maps": raw(codes), "colours": colours()["viridis"],
            "alpha": ALPHA, "pale": PALE, "picture": held(sized(pixels_of(self.image)), "WEBP"),
        }  # fmt: skip


def ask(scene: Scene, methods: Sequence[str], maps: Float[Tensor, "stop method rows columns"]) -> Living:
    """The figure of a scene: `maps` are of the texts of `stops_of(scene)`, by each of `methods`."""
    return Living(scene.image, scene.captions[0].text, stops_of(scene), tuple(methods), maps)


def stops_of(scene: Scene) -> tuple[Stop, ...]:
    """Each object that a scene's first caption names, asked for by itself, and then the whole caption."""
    caption, stops = scene.captions[0], []
    for word in (word for word in caption.words if word.role == "object"):
        thing = find(scene.objects[word.objects[0]].name)
        asked = assemble(noun_phrase(thing, word.objects, word.text if len(word.objects) == 1 else thing.name)).text
        mask = scene.masks[list(word.objects)].any(0)
        stops.append(Stop(asked, word.start, word.end, f"the {word.text}", mask))
    things = " or ".join(stop.thing for stop in stops)
    whole = Stop(caption.text, 0, len(caption.text), things, np.any([stop.mask for stop in stops], 0))
    return (*stops, whole)


def panel(name: str, colour: str, shown: Image.Image, alt: str, said: str) -> str:
    """One panel; the picture has neither bar nor number."""
    dot = f'<i style="background:{colour}"></i>' if colour else ""
    bar = '<div class="lv-bar"><span></span><i></i></div>' if colour else ""
    return (
        f'<div class="lv-panel"><p class="lv-name">{dot}{escape(name)}</p>'
        f'<div class="lv-frame"><img src="{held(shown, "WEBP")}" alt="{escape(alt)}" width="{SIDE}" '
        f'height="{SIDE}"></div>'
        f'{bar}<p class="lv-share">{escape(said)}</p></div>'
    )


def coloured(image, map: Float[Tensor, "rows columns"]) -> Image.Image:
    """A map over its picture, which turns pale and grey beneath it: what the script paints too."""
    grey = greyed(pixels_of(sized(pixels_of(image))))[..., None]
    raised = normalize(upsample(normalize(map[None]), (SIDE, SIDE)))[0].numpy()
    return picture_of(grey * (1 - ALPHA) + colormaps["viridis"](raised)[..., :3] * ALPHA)


def outline(mask: Bool[np.ndarray, "height width"]) -> Image.Image:
    """A white line with a dark rim around what a mask shows, on nothing."""
    shown = (
        np.asarray(Image.fromarray(np.asarray(mask, np.uint8) * 255).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
        > 127
    )
    line = binary_dilation(shown, iterations=2) & ~shown
    rim = binary_dilation(line, iterations=1) & ~line
    made = np.zeros((SIDE, SIDE, 4), np.uint8)
    made[rim], made[line] = (0, 0, 0, 150), (255, 255, 255, 255)
    return Image.fromarray(made)


def pasted(below, above: Image.Image) -> Image.Image:
    """A picture with an outline on it."""
    below = sized(pixels_of(below)).convert("RGBA")
    return Image.alpha_composite(below, above).convert("RGB")


def sized(pixels: Float[np.ndarray, "rows columns 3"]) -> Image.Image:
    """A picture at the size of a panel."""
    return picture_of(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def picture_of(pixels: Float[np.ndarray, "rows columns 3"]) -> Image.Image:
    return Image.fromarray((np.clip(pixels, 0, 1) * 255).round().astype(np.uint8))


def held(picture: Image.Image, kind: str) -> str:
    """A picture as an address that holds its own bytes."""
    file = BytesIO()
    picture.save(file, kind, **({"optimize": True} if kind == "PNG" else {"quality": 88, "method": 6}))
    return address(file.getvalue(), kind.lower())


def listed(names: Sequence[str]) -> str:
    """One, two and three."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
