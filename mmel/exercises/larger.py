"""Exercises of half an hour and more: a deletion curve, and a method of one's own on the bundled world."""

from __future__ import annotations

import torch

from ..maps import upsample
from ..metrics import deletion_curve
from .kinds import Coded, Exercise, Result, drawn


def brightness(images) -> list[float]:
    """A score that any reader can follow: the mean of the pixels."""
    return [float(torch.as_tensor(image).mean()) for image in images]


def reference_curve(score, image, map, steps):
    """The package's curve with these choices: equal steps, black, both end points."""
    return torch.tensor(list(deletion_curve(score, image, map, steps=steps, fill=0.0).values))


def curve_inputs() -> list[tuple]:
    image = drawn(3, 4, 4).abs().float()
    return [(brightness, image, drawn(4, 4, seed=1).float(), 4)]


def least_first(score, image, map, steps):
    return reference_curve(score, image, -torch.as_tensor(map), steps)


def put_back(score, image, map, steps):
    """What a step has blanked comes back in the next one."""
    order = torch.as_tensor(map).flatten().argsort(descending=True)
    pictures = [image]
    for part in order.chunk(steps):
        pictures.append(image.flatten(1).index_fill(1, part, 0).view_as(image))
    return torch.tensor(score(pictures))


class OwnMethod:
    """A method is right if it answers in the right shape, always the same, and its maps find what was named.

    Share of the map inside the named object, over scenes of two objects, against that object's share of the picture.
    """

    scenes = 4
    needed = 1.5  # times the share of an even map
    first = (
        "A first step: `trace = mmel.record(clip, images, texts, modality='image', layers=1)`, and from its only layer "
        "`pattern[:, :, 0, 1:].mean(1).unflatten(1, trace.grid)`: where the class token looks. It knows nothing of the "
        "text yet; the gradient of `trace.score` does."
    )

    def check(self, answer: object) -> Result:
        if not callable(answer):
            return Result(False, f"A function of (clip, images, texts) is asked for; this is {type(answer).__name__}.")
        from ..clip import load_clip
        from ..scenes import split

        clip, scenes = load_clip(), list(split("two_objects", self.scenes))
        images, texts = [scene.image for scene in scenes], [f"a {scene.objects[0].name}" for scene in scenes]
        before = [parameter.detach().clone() for parameter in clip.model.parameters()]
        try:
            given = [answer(clip, images, texts) for _ in range(2)]
            if given[0] is None or given[0] is ...:
                return Result(False, f"It returns no maps yet. {self.first}")
            maps, again = (torch.as_tensor(each).detach() for each in given)
        except Exception as error:
            return Result(False, f"It raises {type(error).__name__}: {error}")
        if said := self.fault(maps, again):
            return Result(False, said)
        if not all(torch.equal(one, other) for one, other in zip(before, clip.model.parameters(), strict=True)):
            return Result(False, "It changed the model's weights: work on a copy, or put them back in `finally`.")
        masks = torch.stack([torch.as_tensor(scene.masks)[0] for scene in scenes]).float()
        full = upsample(maps.float().clamp(min=0), masks.shape[1:])
        inside = ((full * masks).sum((1, 2)) / full.sum((1, 2)).clamp(min=1e-9)).mean() / masks.mean()
        if inside < self.needed:
            return Result(False, f"The maps have {inside:.1f} times an even map's share inside the named object; "
                                 f"{self.needed} needed. Do they depend on the text? What `trace.score` "
                                 "gains by a patch does: its gradient, times the values that are read.")  # fmt: skip
        return Result(True, f"Your maps have {inside:.1f} times an even map's share inside the named object.")

    def fault(self, maps: torch.Tensor, again: torch.Tensor) -> str:
        """What is wrong with the maps before anyone looks where they point."""
        if maps.ndim != 3 or len(maps) != self.scenes:
            got = tuple(maps.shape)
            return f"{self.scenes} maps of rows and columns expected, [batch, rows, columns]; the shape is {got}."
        if not maps.isfinite().all():
            return "Some values are no finite numbers."
        if not torch.equal(maps, again):
            return "Two calls gave two maps: draw from a seed of your own."
        return "A map is flat: it says nothing." if bool((maps.flatten(1).std(1) == 0).any()) else ""


LARGER = (
    Exercise(
        "4.2-deletion", "A deletion curve", 30,
        "Write `deletion(score, image, map, steps)`: the scores while pixels are set to 0, those with the highest map "
        "values first, in `steps` equal steps: `steps + 1` scores, the untouched picture's first and the empty one's "
        "last. `image` is [3, rows, columns], `map` [rows, columns], and `score` takes a list of pictures and returns "
        "a list of numbers.",
        Coded(reference_curve, curve_inputs, {
            "The lowest values went first.": least_first,
            "The untouched picture's score comes first.": lambda *a: reference_curve(*a)[1:],
            "The empty picture's score comes last.": lambda *a: reference_curve(*a)[:-1],
            "What has gone stays away: each step blanks its part too, and none comes back.": put_back,
            "That begins with the empty picture: an insertion curve read backwards? The untouched one comes first.":
                lambda *a: reference_curve(*a).flip(0),
        }, "Sort the flat map once; each step blanks its next part in all three channels, and that stays."),
        praise="Try it with black and with the mean colour on one picture: the choice moves the area more "
        "than most methods do.",
    ),
    Exercise(
        "own-method", "A method of your own", 60,
        "Write `my_method(clip, images, texts)` that returns maps [batch, rows, columns]. It may record what it likes "
        "with `mmel.record`. The check gives it four scenes of two objects, each with a text that names one of them. "
        "It asks for finite maps, the same in two calls, a model left as it was, and maps that lie on the named object "
        "at least one and a half times as much as an even map does.",
        OwnMethod(),
        praise="Now put it into `mmel.METHODS` and let the metrics judge it: the page on adding a method shows how.",
    ),
)  # fmt: skip
