"""The command line as a process: how fast it starts, pipes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim.simulation.result import Result
from tests.signals import default_signals

COMMAND = [sys.executable, "-m", "clustersim.cli.main"]
HEAVY = ("matplotlib", "pandas", "scipy", "pyarrow", "networkx")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_import_is_light() -> None:
    code = (
        "import sys, time, json; t = time.perf_counter(); import clustersim; "
        "print(json.dumps([time.perf_counter() - t, sorted(sys.modules)]))"
    )
    runs = [json.loads(python(code)) for _ in range(3)]
    assert min(seconds for seconds, _ in runs) < 0.6
    assert not set(HEAVY) & set(runs[0][1])


def test_version_and_help_start_quickly() -> None:
    for argument in ("--version", "--help"):
        code = (
            "import sys\nfrom clustersim.cli.main import main\n"
            f"try:\n    main([{argument!r}])\nexcept SystemExit:\n    pass\n"
            f"print([name for name in {HEAVY!r} if name in sys.modules])"
        )
        assert python(code).splitlines()[-1] == "[]"


@pytest.mark.slow
def test_public_names() -> None:
    code = (
        "import clustersim\n"
        "assert dir(clustersim) == sorted(clustersim.__all__)\n"
        "for name in clustersim.__all__:\n    getattr(clustersim, name)\n"
        "assert clustersim.run is getattr(clustersim, 'run')\n"
        "assert not hasattr(clustersim, 'bogus')\n"
        "from clustersim import run_study, single_pool\n"
        "print(callable(run_study), single_pool(8).pools[0].n_chips)"
    )
    assert python(code).split() == ["True", "8"]


def write_log(path: Path, n_jobs: int) -> None:
    draw = np.random.default_rng(0)
    pd.DataFrame(
        {
            "job_id": np.arange(n_jobs),
            "submit_s": np.arange(n_jobs),
            "n_accelerators": draw.integers(1, 9, n_jobs),
            "duration_s": draw.integers(1, 4000, n_jobs),
        }
    ).to_parquet(path)


@pytest.mark.slow
def test_silent_in_a_pipe_and_when_the_pipe_closes(tmp_path: Path) -> None:
    write_log(tmp_path / "jobs.parquet", 2000)
    arguments = ["replay", "jobs.parquet", "--policy", "fcfs", "--accelerators", "8000"]
    done = subprocess.run(
        [*COMMAND, *arguments, "--out", "out"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stderr == ""
    closed = subprocess.run(
        f"{sys.executable} -m clustersim.cli.main catalogue --sources | head -1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in closed.stderr


@pytest.mark.slow
def test_interrupt_keeps_what_is_done(tmp_path: Path) -> None:
    write_log(tmp_path / "jobs.parquet", 400_000)
    arguments = ["replay", "jobs.parquet", "--policy", "fcfs", "--accelerators", "9000"]
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--out", "out"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=default_signals,
    )
    while not (tmp_path / "out").exists() and process.poll() is None:
        time.sleep(0.01)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted at simulated time" in printed
    result = Result.load(tmp_path / "out")
    assert result.interrupted
    outcome = result.jobs["outcome"].value_counts()
    assert outcome["finished"] > 0
    assert outcome["unfinished"] > 0
    assert len(result.jobs) == 400_000
    ended = result.jobs[result.jobs["outcome"] == "finished"]
    assert (ended["finish_s"] - ended["start_s"] == ended["duration_s"]).all()
