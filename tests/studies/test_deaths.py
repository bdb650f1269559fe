"""Workers that die cost time and nothing else; a run that kills its workers is given up."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conducted import (
    GRID,
    SEQUENTIAL,
    Conductor,
    conduct,
    exact,
    message,
    policy_file,
    rows_in,
    study_command,
    until,
)
from dask_cluster import DaskCluster, dask_cluster
from distributed import Client

from clustersim.errors import InputError
from clustersim.studies.execution import Progress
from clustersim.studies.study_result import load_result

DIES_ONCE = """
if not os.path.exists({marker!r}):
    open({marker!r}, "x").close()
    os.kill(os.getpid(), signal.SIGKILL)
"""
DIES = "os._exit(3)"


def with_policies(*policies: str, loads: int = 3) -> dict[str, Any]:
    varied = {"workload.load": [0.5, 0.7, 0.9][:loads], "scheduler.policy": list(policies)}
    return {**GRID, "parameters": varied, "replications": 1}


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[DaskCluster]:
    with dask_cluster(tmp_path) as cluster:
        yield cluster


@pytest.mark.slow
def test_worker_killed_within_a_run(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    own = policy_file(tmp_path / "own.py", DIES_ONCE.format(marker=str(marker)))
    fields = with_policies("easy", own)
    killed = conduct(fields, tmp_path / "killed", workers=2)
    assert marker.exists()
    assert (killed["status"] == "finished").all()
    assert exact(killed) == exact(conduct(fields, tmp_path / "whole", workers=1))


@pytest.mark.slow
@pytest.mark.full
def test_workers_killed_at_random_moments(tmp_path: Path) -> None:
    draw = random.Random(4)
    conductor = Conductor(SEQUENTIAL, tmp_path / "killed", workers=2)
    for least in (0, 15, 30):
        assert until(
            lambda least=least: len(conductor.workers) == 2 and rows_in(tmp_path / "killed") > least
        )
        time.sleep(draw.uniform(0.0, 0.1))
        os.kill(draw.choice(conductor.workers), signal.SIGKILL)
    _, errors = conductor.process.communicate(timeout=60)
    assert conductor.process.returncode == 0, errors
    assert conductor.is_left_alone()
    whole = conduct(SEQUENTIAL, tmp_path / "whole", workers=1)
    assert exact(load_result(tmp_path / "killed").runs) == exact(whole)


def check_given_up(runs: pd.DataFrame, own: str) -> None:
    bad = runs["scheduler.policy"] == own.rpartition("/")[2]
    assert (runs["status"] == "failed").tolist() == bad.tolist()
    assert set(runs.loc[bad, "error"]) == {
        "its worker process died 3 times or more (killed, or out of memory)"
    }


@pytest.mark.slow
def test_run_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    own = policy_file(tmp_path / "own.py", f"open({str(tries)!r}, 'a').write('x')\n{DIES}")
    runs = conduct(with_policies("fcfs", own, "easy"), tmp_path / "out", workers=2)
    assert len(runs) == 9
    check_given_up(runs, own)
    assert 3 * 2 <= len(tries.read_text()) <= 3 * 3, "one death may be that of a neighbour"


@pytest.mark.slow
def test_executor_of_the_caller_that_breaks(tmp_path: Path) -> None:
    own = policy_file(tmp_path / "own.py", DIES)
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=spawn) as executor,
        pytest.raises(InputError, match="executor: broke: "),
    ):
        conduct(with_policies("easy", own), tmp_path / "out", executor=executor)
    assert rows_in(tmp_path / "out") >= 1, "what was done is kept"


@pytest.mark.parametrize(
    "who",
    [
        "group",
        pytest.param("conductor", marks=pytest.mark.slow),
        pytest.param("worker", marks=pytest.mark.slow),
    ],
)
def test_killed_processes_leave_nothing(tmp_path: Path, who: str) -> None:
    own = policy_file(tmp_path / "own.py", "time.sleep(0.1)")
    conductor = Conductor(with_policies(own), tmp_path / "out", workers=2)
    assert until(lambda: len(conductor.workers) == 2 and rows_in(tmp_path / "out") > 0)
    maps = [message(pid, "maps") for pid in conductor.alive]
    assert len(maps) == 4, "the conductor, what its workers are forked from, and the workers"
    assert all(maps)
    assert not any("/dev/shm/sem." in text for text in maps), "a semaphore that could be left"
    if who == "worker":
        os.kill(conductor.workers[0], signal.SIGKILL)
        _, errors = conductor.process.communicate(timeout=60)
        assert (conductor.process.returncode, errors) == (0, "")
    else:
        (os.kill if who == "conductor" else os.killpg)(conductor.process.pid, signal.SIGKILL)
        conductor.process.wait()
        assert conductor.process.stderr is not None
        assert conductor.process.stderr.read() == ""
        conductor.kill()
    assert conductor.is_left_alone()


UNGUARDED = f"""
from pathlib import Path
from clustersim.studies.execution import make_runs
from clustersim.studies.study import define_study
Path("times").open("a").write("x")
make_runs(define_study({GRID!r}), "out", workers=2)
"""


@pytest.mark.slow
def test_script_without_a_main_block(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(UNGUARDED)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "times").read_text() == "x", "workers do not run the script"
    assert rows_in(tmp_path / "out") == 24


def test_workers_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(InputError, match="workers: the worker processes die as soon as they start"):
        conduct(GRID, tmp_path / "out", workers=2)


class Forgetful(Executor):
    """Loses the result of each run so many times before it reports it, as Dask may (cfexecutor)."""

    def __init__(self, times: int) -> None:
        self._times = times
        self._lost: Counter[str] = Counter()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        outcome = fn(*args, **kwargs)
        self._lost[outcome.key] += 1
        if self._lost[outcome.key] <= self._times:
            future.set_exception(TypeError("cannot unpack non-iterable Outcome object"))
        else:
            future.set_result(outcome)
        return future


@pytest.mark.slow
def test_results_that_are_lost_on_the_way_are_made_again(tmp_path: Path) -> None:
    fields = {**GRID, "replications": 1}
    alone = conduct(fields, tmp_path / "alone", workers=1)
    found = conduct(fields, tmp_path / "lost", executor=Forgetful(2), workers=2)
    assert exact(found) == exact(alone)
    never = conduct(fields, tmp_path / "never", executor=Forgetful(99), workers=2)
    assert set(never["error"]) == {"TypeError: cannot unpack non-iterable Outcome object"}


@pytest.mark.slow
@pytest.mark.full
def test_dask_worker_killed(tmp_path: Path, dask: DaskCluster) -> None:
    out = tmp_path / "killed"

    def kill_one() -> None:
        assert until(lambda: rows_in(out) > 10)
        with Client(dask.address, set_as_default=False) as client:
            os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    killed = conduct(SEQUENTIAL, out, dask=dask.address)
    killer.join()
    assert exact(killed) == exact(conduct(SEQUENTIAL, tmp_path / "whole", workers=1))


@pytest.mark.slow
def test_run_that_kills_dask_workers_is_given_up(tmp_path: Path, dask: DaskCluster) -> None:
    own = policy_file(tmp_path / "own.py", DIES)
    fields = with_policies("fcfs", "easy", own, "sjf", "conservative", loads=1)
    runs = conduct(fields, tmp_path / "out", dask=dask.address)
    assert len(runs) == 5
    check_given_up(runs, own)


@pytest.mark.slow
@pytest.mark.full
def test_dask_worker_that_joins_later_has_its_share(tmp_path: Path) -> None:
    """Each run leaves a file that is named by its worker."""
    (tmp_path / "seen").mkdir()
    body = f"open({str(tmp_path / 'seen')!r} + '/' + str(os.getpid()), 'w').close(); time.sleep(1)"
    own = policy_file(tmp_path / "own.py", body)
    fields = {**GRID, "parameters": {"scheduler.policy": [own]}, "replications": 24}
    with dask_cluster(tmp_path, workers=1) as cluster:

        def join() -> None:
            assert until(lambda: rows_in(tmp_path / "out") > 0)
            cluster.add_worker()

        joining = threading.Thread(target=join)
        joining.start()
        runs = conduct(fields, tmp_path / "out", dask=cluster.address)
        joining.join()
    assert runs["error"].tolist() == [""] * 24
    assert len(list((tmp_path / "seen").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.full
def test_dask_scheduler_killed(tmp_path: Path, dask: DaskCluster) -> None:
    out = tmp_path / "out"
    process = study_command(SEQUENTIAL, out, "--dask", dask.address)
    assert until(lambda: rows_in(out) > 10)
    dask.scheduler.kill()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert [line for line in errors.splitlines() if " runs, " not in line] == [
        "clustersim: error: executor: lost its workers or their scheduler; finished runs are kept"
    ]
    kept = rows_in(out)
    assert 10 < kept < 61
    message: list[Progress] = []
    conduct(SEQUENTIAL, out, workers=1, resume=True, progress=message.append)
    assert message[-1].reused == kept


def test_dask_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clustersim.studies.executors.CONNECT_S", 0.5)
    with pytest.raises(InputError, match=r"^--dask: no scheduler answers at 'tcp://127.0.0.1:9'"):
        conduct(GRID, tmp_path / "out", dask="tcp://127.0.0.1:9")
    assert not (tmp_path / "out").exists()
