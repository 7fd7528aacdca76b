"""The engine on Ray: the same bytes as alone, a worker killed, a cluster of its own and one that is there already."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest
import ray
from evaluation_toy import LOG, TINY, begun, kill_one, tiny_job

from mmel.cli import main
from mmel.errors import BadSetting, EvaluationError, MissingExtra, UnknownName
from mmel.evaluation import Plan, Row, crews, run
from mmel.evaluation.job import ModelName

HERE = Path(__file__).parent
COUNT, SIZE = 60, 3
FEW = {"resamples": 200}
SLOW = 300  # seconds, on a busy machine
ENVIRONMENT = {
    "RAY_worker_niceness": "0",  # else a busy machine starves the workers
    "RAY_USAGE_STATS_ENABLED": "0",
}


@pytest.fixture(scope="module", autouse=True)
def rays():
    """Workers find the tests; all of Ray's files are in a folder of their own; in the end no process of it is left."""
    place = tempfile.mkdtemp(prefix="ray-")  # short, for the paths of its sockets are long
    path = os.pathsep.join(filter(None, [str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")]))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        for name, value in {**ENVIRONMENT, "RAY_TMPDIR": place, "PYTHONPATH": path}.items():
            patch.setenv(name, value)
        yield
    assert not ray.is_initialized()
    assert ended(children()) == []
    shutil.rmtree(place, ignore_errors=True)


def children() -> list[psutil.Process]:
    """Ray's processes below this one: its programs and scripts lie in its package, its workers name themselves."""
    return [each for each in psutil.Process().children(recursive=True) if is_ray(command_of(each))]


def command_of(process: psutil.Process) -> list[str]:
    """Nothing for one that has ended by now."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def is_ray(command: list[str]) -> bool:
    """What others began has Ray's folder at most inside a line of code, for `import ray` puts it on their path."""
    return any(word.startswith("ray::") or "/ray/" in word.partition(" ")[0] for word in command)


def ended(processes: list[psutil.Process]) -> list[str]:
    """Wait for their end; the names of those that had to be killed."""
    _, alive = psutil.wait_procs(processes, timeout=30)
    for each in alive:
        each.kill()
    return [each.name() for each in alive]


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv(LOG, str(tmp_path / "log"))
    return tmp_path / "log"


@pytest.fixture(scope="module")
def head(rays):
    """A cluster of two cores, begun by Ray's own command."""
    ray_start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--num-cpus=2", "--num-gpus=0"]
    quiet = ["--node-ip-address=127.0.0.1", "--port=0", "--include-dashboard=false", "--disable-usage-stats", "--block"]
    log = Path(os.environ["RAY_TMPDIR"], "log")
    with open(log, "w") as said:
        process = subprocess.Popen([*ray_start, *quiet], stdout=said, stderr=said, start_new_session=True)
    end = time.monotonic() + SLOW
    while "Ray runtime started" not in log.read_text():
        assert process.poll() is None and time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    assert children(), "none of Ray's processes is known as one"
    yield
    every = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    process.wait(SLOW)
    assert ended(every) == []


def test_a_killed_worker_is_replaced_and_gives_the_same_bytes(tmp_path, log):
    job = tiny_job(COUNT, model=ModelName("bundled", None, "cpu"), pause=0.01)
    run(job, tmp_path / "alone", Plan(shard_size=5, **FEW))
    log.unlink()
    killed: list[int] = []
    killer = threading.Thread(target=kill_one, args=(log, 8, killed), daemon=True)
    killer.start()
    run(job, tmp_path / "ray", Plan(shard_size=SIZE, engine="ray", workers=2, **FEW))
    killer.join()
    workers = {int(line.split()[1]) for line in begun(log)}
    assert killed[0] in workers and os.getpid() not in workers and len(workers) >= 2
    times = Counter(line.split()[0] for line in begun(log))
    assert len(times) == COUNT and sum(times.values()) - COUNT <= SIZE  # the one shard that was lost
    assert (tmp_path / "ray" / "results.json").read_bytes() == (tmp_path / "alone" / "results.json").read_bytes()
    assert not ray.is_initialized() and not children()


def test_without_a_cluster_it_says_how_to_start_one(tmp_path):
    with pytest.raises(EvaluationError, match=r"no Ray cluster was found at 'auto' \(.*`ray start --head`"):
        run(tiny_job(2, model=TINY), tmp_path, plan())


def test_a_cluster_that_is_there_is_taken_by_the_command_line(tmp_path, head, capsys):
    """A real protocol, by names alone; torch has as many threads as an actor has cores."""
    what = ("--protocol", "localisation", "--dataset", "scenes/pairs", "--count", 4, "--methods", "grad_eclip,random")
    said = []
    for folder, how in {"one": ("--threads", 1), "ray": ("--engine", "ray", "--address", "auto")}.items():
        line = ("evaluate", *what, "--device", "cpu", "--out", tmp_path / folder, "--shard-size", 1, *how)
        with pytest.raises(SystemExit) as end:
            main([str(each) for each in (*line, "--resamples", 100)])
        assert not end.value.code
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] and "pointing_game" in said[0]
    assert (tmp_path / "ray" / "results.json").read_bytes() == (tmp_path / "one" / "results.json").read_bytes()
    assert not ray.is_initialized()


def test_errors_of_a_worker_come_as_they_were_raised(tmp_path, head):
    with pytest.raises(UnknownName, match="unknown model 'bundeld': did you mean"):
        run(tiny_job(2, model=ModelName("bundeld", None, "cpu")), tmp_path, plan(workers=1))
    assert not ray.is_initialized()


def test_more_workers_than_there_is_room_for_are_an_error_at_once(tmp_path, head):
    for many in ({"workers": 3}, {"workers": 2, "cpus": 2}, {"cpus": 3}):
        with pytest.raises(EvaluationError, match=r"room for \d workers.*machines: 2.*take fewer"):
            run(tiny_job(2, model=TINY), tmp_path, plan(**many))


def test_a_shard_that_kills_every_worker_is_named(tmp_path, head, monkeypatch, capsys):
    monkeypatch.setattr(crews, "TRIES", 1)
    job = tiny_job(6, [Row("deadly", "rise", {"trouble": "deadly picture-0004"})], model=TINY)
    with pytest.raises(EvaluationError, match=r"samples 3 to 5 lost 1 workers[^\n]*finished parts are kept"):
        run(job, tmp_path / "run", plan(workers=1))
    assert capsys.readouterr().out == ""  # where a table would be
    assert [part.name for part in (tmp_path / "run").glob("part-*")] == ["part-00000000-00000003.parquet"]


def test_without_ray_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mmel\[cluster\]'"):
        run(tiny_job(2, model=TINY), tmp_path, plan())


def test_a_model_in_memory_is_no_model_for_ray(tmp_path):
    with pytest.raises(BadSetting, match="for Ray name it"):
        run(tiny_job(2), tmp_path, plan())


def plan(**more) -> Plan:
    return Plan(shard_size=SIZE, engine="ray", address="auto", **more, **FEW)
