"""What a call costs on any machine: its floating-point operations, and the most memory that it held at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

MIB = 2**20


@contextmanager
def written_out() -> Iterator[None]:
    """Attention without torch's fused shortcut, whose operations the counter does not know."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class Counter(TorchDispatchMode):
    """Adds up the operations of every call by torch's own formulas.

    `FlopCounterMode` of the same file does so too, but its hooks on modules do not bear `torch.autograd.grad`.
    """

    total = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        named, kind = named or {}, function._overloadpacket
        if kind not in flop_registry:
            with self:
                whole = function.decompose(*arguments, **named)
            if whole is not NotImplemented:
                return whole
        out = function(*arguments, **named)
        if kind in flop_registry:
            self.total += flop_registry[kind](*arguments, **named, out_val=out)
        return out


def operations(run: Callable[[], object]) -> int:
    """Floating-point operations of all matrix products and convolutions of a call, backward passes included.

    A product and its sum are two. What is done entry by entry, and what is computed outside torch (the maximum flow of
    `attention_flow`), is not counted.
    """
    counter = Counter()
    with written_out(), counter:
        run()
    return int(counter.total)


def peak_bytes(run: Callable[[], object], device: torch.device | str = "cpu") -> int:
    """The most bytes that tensors made by a call held at once, beyond what was held before it."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        run()
    held = peak = 0
    for event in sorted(seen.profiler.kineto_results.events(), key=lambda one: one.start_ns()):
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    return peak
