"""What the catalogue says of each method is true, and its documentation is whole."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest
import torch
from test_contract import CHEAP
from toy import toy_clip, toy_images, toy_tokens

from mmel.methods import METHODS, explain
from mmel.methods.catalogue import COLUMNS, catalogue, markdown, missing

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from counting import operations, peak_bytes

CONTROLS = {"random", "centre_gaussian", "edges"}  # they hold nothing but the forward pass of their score
ROWS = {row.method: row for row in catalogue()}


@pytest.fixture(scope="module")
def clip():
    return toy_clip()


@pytest.fixture(scope="module")
def pairs():
    return toy_images(), torch.stack(list(toy_tokens().values()))


def test_every_method_has_a_whole_row():
    assert list(ROWS) == list(METHODS)
    for row in ROWS.values():
        assert all(row) and row.gradients in ("yes", "no") and row.draws in ("seeded", "nothing")
    lines = markdown(catalogue()).splitlines()
    assert len(lines) == 2 + len(METHODS) and {line.count("|") for line in lines} == {len(COLUMNS) + 1}


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_taken_where_the_catalogue_says_so(clip, pairs, method, monkeypatch):
    taken, grad = [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *some, **named: taken.append(1) or grad(*some, **named))
    explain(clip, pairs[0][:1], pairs[1][:1], method=method, **CHEAP.get(method, {}))
    assert bool(taken) == (ROWS[method].gradients == "yes")


@pytest.mark.parametrize("method", METHODS)
def test_documentation_is_whole(method):
    said = inspect.getdoc(METHODS[method])
    assert missing(METHODS[method]) == []
    assert ("text [batch, context]" in said) == (ROWS[method].maps == "image, text")
    source = ROWS[method].source
    assert re.search(r"(19|20)\d\d|Control without a source", source)
    official = re.search(r"\w+\.(py|ipynb)|captum\.attr\.\w+|no code|Control|\w+ of \w+/\w+", source)
    assert official, source


@pytest.mark.parametrize("method", [name for name in METHODS if name not in CONTROLS])
def test_batch_size_bounds_the_memory(clip, pairs, method):
    """Twelve pairs by two at a time hold less at once than all together, whatever the method."""
    images, tokens = (part.repeat(4, *(1,) * (part.ndim - 1)) for part in pairs)

    def peak(size):
        how = {"method": method, "modality": "image", **CHEAP.get(method, {})}
        return peak_bytes(lambda: explain(clip, images, tokens, batch_size=size, **how))

    assert peak(2) < 0.8 * peak(64)


def test_operations_are_those_of_the_products():
    left, right = torch.ones(3, 4), torch.ones(4, 5).requires_grad_()
    assert operations(lambda: left @ right) == 2 * 3 * 4 * 5
    assert operations(lambda: torch.autograd.grad((left @ right).sum(), right)) == 2 * 2 * 3 * 4 * 5


def test_peak_memory_is_the_most_at_once():
    def both():
        first = torch.ones(1000)
        del first
        return torch.ones(2000)

    assert peak_bytes(both) == 8000
    assert peak_bytes(lambda: (torch.ones(1000), torch.ones(2000))) == 12000
