"""Runs that are killed at random points, workers that are lost, and memory that does not grow with the samples."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from evaluation_toy import DEADLY, LOG, ROWS, TINY, begun, kill_one, peak_in_child, run_in_child, tiny_job, wait_for

from mmel.errors import EvaluationError, UnknownName
from mmel.evaluation import Plan, crews, run
from mmel.evaluation.job import ModelName

COUNT, SIZE = 60, 3
PAUSE = 0.02  # seconds a row: so slow that no run is done before it is killed, on a busy machine either
FEW = {"resamples": 200}
BUNDLED = ModelName("bundled", None, "cpu", "fp32")


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture
def children(monkeypatch):
    """New processes from a server that has everything imported and does nothing else."""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["evaluation_toy"])
    return context


def test_killed_at_random_points_it_goes_on_and_gives_the_same_bytes(tmp_path, log, children):
    draw = random.Random(0)
    for _ in range(4):
        child = children.Process(target=run_in_child, args=(tmp_path / "killed", log, COUNT, PAUSE, SIZE))
        child.start()
        wait_for(len(begun(log)) + draw.randint(1, 9), log)
        time.sleep(draw.uniform(0, 0.03))
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
    child = children.Process(target=run_in_child, args=(tmp_path / "killed", log, COUNT, PAUSE, SIZE))
    child.start()
    child.join()
    assert child.exitcode == 0
    times = Counter(line.split()[0] for line in begun(log))
    assert len(times) == COUNT
    assert 0 < sum(times.values()) - COUNT <= 4 * SIZE  # at most one shard for each kill
    assert not list((tmp_path / "killed").glob(".*"))
    run(tiny_job(COUNT, pause=PAUSE), tmp_path / "whole", Plan(shard_size=7, **FEW))
    assert (tmp_path / "killed" / "results.json").read_bytes() == (tmp_path / "whole" / "results.json").read_bytes()


def test_killed_before_the_results_it_measures_nothing_again(tmp_path, log):
    job = tiny_job(6)
    run(job, tmp_path / "run", Plan(**FEW))
    before, whole = begun(log), (tmp_path / "run" / "results.json").read_bytes()
    for name in ("results.json", "provenance.json"):
        (tmp_path / "run" / name).unlink()
    run(job, tmp_path / "run", Plan(**FEW))
    assert begun(log) == before and (tmp_path / "run" / "results.json").read_bytes() == whole


def test_memory_does_not_grow_with_the_samples(tmp_path, children):
    peaks = []
    for count in (10, 1_000):  # pictures of 768 KiB: the thousand would be 750 MiB
        child = children.Process(target=peak_in_child, args=(tmp_path / str(count), count, tmp_path / "peak"))
        child.start()
        child.join()
        peaks.append(float((tmp_path / "peak").read_text()))
    assert peaks[1] - peaks[0] < 120, peaks


@pytest.fixture
def alone(tmp_path):
    """The bytes of a run of one process, on the model that others load by its name."""
    run(tiny_job(COUNT, model=BUNDLED, pause=0.01), tmp_path / "alone", Plan(shard_size=5, **FEW))
    return (tmp_path / "alone" / "results.json").read_bytes()


def test_a_lost_process_is_replaced_and_gives_the_same_bytes(tmp_path, alone, log, children):
    log.unlink(missing_ok=True)
    job, plan, killed = tiny_job(COUNT, model=BUNDLED, pause=0.01), Plan(shard_size=SIZE, workers=2, **FEW), []
    killer = threading.Thread(target=kill_one, args=(log, 8, killed), daemon=True)
    killer.start()
    run(job, tmp_path / "two", plan)
    killer.join()
    workers = {int(line.split()[1]) for line in begun(log)}
    assert killed[0] in workers and os.getpid() not in workers and len(workers) >= 2
    times = Counter(line.split()[0] for line in begun(log))
    assert len(times) == COUNT and sum(times.values()) - COUNT <= SIZE  # the one shard that was lost
    assert (tmp_path / "two" / "results.json").read_bytes() == alone


def test_a_shard_that_kills_every_worker_is_named(tmp_path, log, monkeypatch, children):
    """The sample of place 4 ends its process; parts before it are kept."""
    monkeypatch.setenv(DEADLY, "picture-0004")
    monkeypatch.setattr(crews, "TRIES", 2)
    with pytest.raises(EvaluationError, match=r"samples 3 to 5 lost 2 workers.*last sample begun was picture-0004"):
        run(tiny_job(6, ROWS[:2], model=TINY), tmp_path / "run", Plan(shard_size=SIZE, workers=2, **FEW))
    times = Counter(line.split()[0] for line in begun(log))
    assert times["picture-0004"] == 2 and times["picture-0005"] == 0
    monkeypatch.delenv(DEADLY)
    run(tiny_job(6, ROWS[:2], model=TINY), tmp_path / "run", Plan(shard_size=SIZE, **FEW))
    run(tiny_job(6, ROWS[:2], model=TINY), tmp_path / "whole", Plan(**FEW))
    assert (tmp_path / "run" / "results.json").read_bytes() == (tmp_path / "whole" / "results.json").read_bytes()


def test_errors_of_a_worker_come_as_they_were_raised(tmp_path, children):
    with pytest.raises(UnknownName, match="unknown model 'bundeld': did you mean"):
        run(tiny_job(2, model=ModelName("bundeld", None, "cpu")), tmp_path, Plan(workers=2, **FEW))
