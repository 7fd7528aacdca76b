"""Golden values, all in `golden.yml` with their tolerances: formulas, the toy model's maps, metrics; and chapters'.

What the chapters note in their quick run is compared in test_book.py, once they have run.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path

import golden
import nbformat
import nbref
import pytest
import torch
from golden import close, several
from toy import pair_batch, toy_clip

import mmel
from mmel import metrics
from mmel.maps import upsample
from mmel.methods.mmel import FeatureTransform, layer_weight, semantic_attention

ROOT = Path(__file__).parents[1]
GOLDEN, CHAPTERS = golden.entries(chapters=False), golden.entries(chapters=True)
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


def test_every_golden_value_is_measured_and_has_a_tolerance():
    assert set(GOLDEN) == set(MEASURED)
    for name, entry in {**GOLDEN, **CHAPTERS}.items():
        smallest = min(map(abs, several(entry["value"])))
        assert 0 < entry["tolerance"] < 0.01 * smallest, name


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_value_holds_and_another_one_would_not(name):
    found, entry = MEASURED[name](), GOLDEN[name]
    assert close(entry, found), f"{name}: {entry['value']} expected within {entry['tolerance']}; got {found}"
    for other in changed(entry):
        assert not close(other, found), "a changed golden value has to be noticed"


def changed(entry):
    """The entry with each of its numbers changed in turn."""
    for place in range(len(several(entry["value"]))):
        other = copy.deepcopy(several(entry["value"]))
        other[place] += 3 * entry["tolerance"]
        yield {**entry, "value": other if isinstance(entry["value"], list) else other[0]}


def noted():
    """Results that have the chapters' golden values, and nothing else."""
    results: dict = {}
    for name, entry in CHAPTERS.items():
        *way, last = name.split(golden.STEP)
        place = results
        for step in way:
            place = place.setdefault(step, {})
        place[last] = entry["value"]
    return results


def test_chapters_have_golden_values_and_they_exist():
    chapters = {name.split(golden.STEP)[0] for name in CHAPTERS}
    assert chapters == {path.stem for path in CHECKED} and len(CHAPTERS) >= 90
    assert not [name for name in CHAPTERS if "bundled-1" in name], "the second model's weights are not for keeps"
    assert golden.faults(CHAPTERS, noted()) == []
    assert len(golden.faults(CHAPTERS, {})) == len(CHAPTERS)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_changed_golden_value_of_a_chapter_fails(name):
    for other in changed(CHAPTERS[name]):
        (said,) = golden.faults({**CHAPTERS, name: other}, noted())
        assert said.startswith(f"{name}: ") and "expected within" in said


def test_chapters_values_are_taken_from_a_run_and_tolerances_stay(tmp_path, monkeypatch, capsys):
    path, results = tmp_path / "golden.yml", tmp_path / "results.json"
    monkeypatch.setattr(golden, "RESULTS", results)
    monkeypatch.setattr(golden, "GOLDEN", path)
    assert golden.main(["update"]) == 2 and "make notebooks PROFILE=quick" in capsys.readouterr().err
    results.write_text('{"a": {"b": {"c": [0.25, 1, 0.00001]}}, "other": 3}')
    path.write_text('# head\n"other": {value: 2, tolerance: 0.1}\n"a / b / c": {value: 0, tolerance: 0.0012}\n')
    assert golden.main(["update"]) == 0
    now = path.read_text().splitlines()
    assert now[:2] == ["# head", '"other": {value: 2, tolerance: 0.1}']
    assert now[2] == '"a / b / c": {value: [0.25, 1, 0.00001], tolerance: 0.0012}'
    path.write_text(path.read_text() + '"a / gone": {value: 1, tolerance: 0.1}\n')
    assert golden.main(["update"]) == 1 and "a / gone: 1 expected" in capsys.readouterr().err


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
