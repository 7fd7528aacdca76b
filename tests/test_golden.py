"""Golden values, all in `golden.yml` with their tolerances: formulas, the toy model's maps, metrics, scenes."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
import nbref
import pytest
import torch
import yaml
from toy import pair_batch, toy_clip

import mmel
from mmel import metrics
from mmel.maps import upsample
from mmel.methods.mmel import FeatureTransform, layer_weight, semantic_attention

ROOT = Path(__file__).parents[1]
GOLDEN = yaml.safe_load((ROOT / "tests" / "golden.yml").read_text())
CHECKED = sorted((ROOT / "notebooks").glob("*.ipynb"))


def tokens() -> torch.Tensor:
    return torch.randn(1, 49, 64, generator=torch.Generator().manual_seed(0))


def gate_ratio(width: int) -> float:
    largest = 3 * float(layer_weight(1.0)) * width**-0.5
    low, high = (1 + 2 * torch.tensor([-largest, largest]).sigmoid()).tolist()
    return high / low


def toy_map(method: str, **settings) -> torch.Tensor:
    images, texts = pair_batch()
    return mmel.explain(toy_clip(), images[:2], texts[:2], method, modality="image", **settings).image


def toy_scores() -> list[float]:
    images, texts = pair_batch()
    return mmel.explain(toy_clip(), images[:2], texts[:2], "raw_attention", modality="image").score.tolist()


def area(curve: Callable) -> float:
    image = torch.linspace(0, 1, 3 * 64).view(3, 8, 8)
    map = upsample(torch.arange(16.0).view(1, 4, 4), (8, 8))[0]
    found = curve(
        lambda pictures: [float(torch.as_tensor(one).mean()) for one in pictures], image, map, steps=8, fill=0.0
    )
    return float(metrics.auc(found.fractions, found.values))


MEASURED: dict[str, Callable[[], object]] = {
    "layer weight at theta 1": lambda: float(layer_weight(1.0)),
    "largest gate over smallest, width 768": lambda: gate_ratio(768),
    "largest gate over smallest, width 128": lambda: gate_ratio(128),
    "mean of A, transformed drawn tokens": lambda: float(semantic_attention(FeatureTransform(64)(tokens())).mean()),
    "toy scores": toy_scores,
    "toy grad_eclip, sums": lambda: toy_map("grad_eclip", layers=None).sum((1, 2)).tolist(),
    "toy mmel literal, sums": lambda: toy_map("mmel", **mmel.LITERAL).sum((1, 2)).tolist(),
    "deletion area of a ramp": lambda: area(metrics.deletion_curve),
    "insertion area of a ramp": lambda: area(metrics.insertion_curve),
}


def close(entry: Mapping[str, object], found: object) -> bool:
    """Whether a value is the golden one within its tolerance, which is absolute."""
    wanted = entry["value"] if isinstance(entry["value"], list) else [entry["value"]]
    got = found if isinstance(found, list) else [found]
    return len(wanted) == len(got) and all(
        math.isclose(one, other, rel_tol=0, abs_tol=entry["tolerance"]) for one, other in zip(wanted, got, strict=True)
    )


def test_every_golden_value_is_measured_and_has_a_tolerance():
    assert set(GOLDEN) == set(MEASURED)
    for name, entry in GOLDEN.items():
        smallest = min(map(abs, entry["value"] if isinstance(entry["value"], list) else [entry["value"]]))
        assert 0 < entry["tolerance"] < 0.01 * smallest, name


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_value_holds_and_another_one_would_not(name):
    found, entry = MEASURED[name](), GOLDEN[name]
    assert close(entry, found), f"{name}: {entry['value']} expected within {entry['tolerance']}; got {found}"
    values = entry["value"] if isinstance(entry["value"], list) else [entry["value"]]
    for place in range(len(values)):
        other = copy.deepcopy(values)
        other[place] += 3 * entry["tolerance"]
        assert not close({**entry, "value": other}, found), "a changed golden value has to be noticed"


@pytest.mark.parametrize("path", CHECKED, ids=lambda path: path.stem)
def test_emptying_any_checked_cell_is_noticed(path):
    notebook = nbformat.read(path, 4)
    assert nbref.faults(notebook) == []
    cells = [index for index, cell in enumerate(notebook.cells) if nbref.tagged(cell)]
    assert cells
    for index in cells:
        emptied = copy.deepcopy(notebook)
        emptied.cells[index].outputs = []
        assert any(f"cell {index} " in fault for fault in nbref.faults(emptied))


def test_a_changed_checked_cell_fails_under_nbval(tmp_path):
    """The comparison itself, on a notebook of one cell that needs no model."""
    import subprocess

    notebook = nbformat.v4.new_notebook(metadata=nbref.KERNEL)
    cell = nbformat.v4.new_code_cell("print(1 + 1)", metadata={"tags": [nbref.TAG]}, execution_count=1)
    for stored, code in (("2\n", 0), ("3\n", 1)):
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=stored)]
        notebook.cells = [cell]
        (tmp_path / "one.ipynb").write_text(nbformat.writes(notebook))
        words = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", "-p", "no:cacheprovider"]
        done = subprocess.run([*words, "one.ipynb"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == code, done.stdout
