"""Sec. 4.7, after Adebayo et al. 2018: weights drawn anew, part by part, and the trained ones back bit by bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Generic, NamedTuple, TypeVar

import torch

from ..clip import Clip
from ..errors import UnknownName
from ..methods.parts.perturb import at_least
from .fresh import draw, law_of
from .steps import Step, count, ladder, parameters

ORDERS = ("top_down", "bottom_up", "independent")
Seen = TypeVar("Seen")


class Share(NamedTuple):
    """Which share of the parameters is drawn anew: of the tower, and of the whole model."""

    tower: float
    model: float


class Rung(NamedTuple, Generic[Seen]):
    """What was seen after one step; `step` is "trained" for the model as it is, with shares of 0."""

    step: str
    share: Share
    seen: Seen


class Climb(NamedTuple):
    """One rung to come: the step that it is named after, and all that is drawn anew for it."""

    step: str
    drawn: tuple[Step, ...]


@contextmanager
def randomize(
    clip: Clip, steps: Sequence[Step | str] | None = None, *, tower: str = "image", seed: int = 0
) -> Iterator[Share]:
    """Parameters drawn anew while the context lasts; afterwards, whatever happened in it, the trained ones bit by bit.

    `steps`: those of `ladder(clip, tower)`, or their names; None: all. Each parameter has a generator of its own, from
    `seed`, the step's name and its own name: blocks differ from each other, and a parameter gets the same numbers in
    every order. Yields the shares that are drawn anew. Not for two threads with one model. Errors: UnknownName,
    UnsupportedModel, BadSetting.

    Notes
    -----
    Values are copied into the parameters, which stay the same objects: views, ties and hooks see them too.
    """
    at_least("seed", seed, 0)
    every = ladder(clip, tower)
    chosen = every if steps is None else tuple(_step(every, each) for each in steps)
    kept = {name: value.detach().clone() for name, value in parameters(clip.model, chosen).items()}
    drawn = {
        name: draw(law_of(clip, name), kept[name], seed, f"{step.name}/{name}")
        for step in chosen
        for name in step.parameters
    }
    try:
        _put(clip, drawn)
        yield share_of(clip, chosen, tower)
    finally:
        _put(clip, kept)


def share_of(clip: Clip, steps: Sequence[Step], tower: str = "image") -> Share:
    """Which share of the parameters some steps of a tower hold."""
    some, every = count(clip.model, steps), count(clip.model, ladder(clip, tower))
    return Share(some / every, some / sum(parameter.numel() for parameter in clip.model.parameters()))


def cascade(
    clip: Clip,
    look: Callable[[Clip], Seen],
    *,
    order: str = "top_down",  # bottom_up; independent: one step at a time, the others as trained
    tower: str = "image",
    seed: int = 0,
    steps: Sequence[str] | None = None,  # names of the steps after which to look; None: all
) -> tuple[Rung[Seen], ...]:
    """`look(clip)` of the trained model, then after each step of a randomisation.

    "top_down" is Adebayo's cascade, from what is read out down to the embedding, "bottom_up" the other way round: at
    the end of both all of the tower is drawn anew, with the same numbers. The model is as it was afterwards, also when
    `look` fails. Errors as of `randomize`.
    """
    coming = climbs(clip, order, tower, steps)
    rungs = [Rung("trained", Share(0.0, 0.0), look(clip))]
    with closing(climbed(clip, coming, tower=tower, seed=seed)) as standing:
        for climb in standing:
            rungs.append(Rung(climb.step, share_of(clip, climb.drawn, tower), look(clip)))
    return tuple(rungs)


def climbed(clip: Clip, coming: Sequence[Climb], *, tower: str = "image", seed: int = 0) -> Iterator[Climb]:
    """Each rung while the model stands on it: what it has in common with the one before is not drawn again.

    Close the generator (`contextlib.closing`), and the trained weights are back.
    """
    with ExitStack() as weights:
        before: tuple[Step, ...] = ()
        for climb in coming:
            if climb.drawn[: len(before)] != before:
                weights.close()  # the steps before are as trained again
                before = ()
            weights.enter_context(randomize(clip, climb.drawn[len(before) :], tower=tower, seed=seed))
            before = climb.drawn
            yield climb


def climbs(
    clip: Clip, order: str = "top_down", tower: str = "image", steps: Sequence[str] | None = None
) -> tuple[Climb, ...]:
    """What `cascade` draws anew for each rung after the first, the trained model. Errors as of `cascade`."""
    if order not in ORDERS:
        raise UnknownName("order of randomisation", order, ORDERS)
    every = ladder(clip, tower)
    wanted = {_step(every, name).name for name in (steps or [step.name for step in every])}
    ordered = every[::-1] if order == "bottom_up" else every
    return tuple(
        Climb(step.name, (step,) if order == "independent" else ordered[: index + 1])
        for index, step in enumerate(ordered)
        if step.name in wanted
    )


def _put(clip: Clip, values: dict[str, torch.Tensor]) -> None:
    named = dict(clip.model.named_parameters())
    with torch.inference_mode(False), torch.no_grad():
        for name, value in values.items():
            named[name].copy_(value)


def _step(every: tuple[Step, ...], wanted: Step | str) -> Step:
    name = wanted if isinstance(wanted, str) else wanted.name
    found = next((step for step in every if step.name == name), None)
    if found is None:
        raise UnknownName("step", name, [step.name for step in every])
    return found
