"""Small studies for the tests of conducting, their exact tables, and processes that run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.studies.execution import make_runs
from clustersim.studies.study import Study, define_study
from clustersim.studies.study_result import load_result
from tests.signals import default_signals

QUEUE = {
    "cluster": {
        "name": "one",
        "pools": {"gpu": {"accelerator": "H200", "nodes": 2, "chips_per_node": 8}},
    },
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "1 min"},
            "classes": [
                {
                    "name": "small",
                    "weight": 1,
                    "sizes": {1: 3, 8: 1},
                    "duration": {"kind": "exponential", "average": "1 min"},
                }
            ],
        },
        "jobs": 150,
        "load": 0.8,
    },
    "scheduler": {"policy": "fcfs", "placement": "pooled"},
    "seed": 5,
}
"""A scenario whose run takes some 20 ms."""

TRAINING = {
    "cluster": "mixed-small",
    "workload": {
        "generate": {
            "reference_accelerator": "H200",
            "arrivals": {"mean_interarrival": "10 min"},
            "classes": [
                {
                    "name": "fine-tuning",
                    "weight": 1,
                    "sizes": {64: 3, 128: 1},
                    "model": "llama3-8b",
                    "tokens": {"kind": "lognormal", "median": 3e8, "sigma": 0.8},
                }
            ],
        },
        "jobs": 200,
        "load": 0.8,
    },
    "scheduler": {"policy": "fcfs", "placement": "consolidate"},
    "seed": 3,
}
"""A scenario that depends on the draw."""

GRID = {
    "name": "grid",
    "base": QUEUE,
    "parameters": {"workload.load": [0.5, 0.7, 0.9], "scheduler.policy": ["fcfs", "easy"]},
    "replications": 4,
}
SEQUENTIAL = {
    "name": "sequential",
    "base": QUEUE,
    "parameters": {"workload.load": [0.5, 0.7, 0.9], "scheduler.policy": ["fcfs", "easy"]},
    "replications": {"at_most": 12, "relative_width": 0.3, "metric": "mean_bounded_slowdown"},
}
CAPACITY = {
    "name": "capacity",
    "base": TRAINING,
    "parameters": {"scheduler.policy": ["fcfs", "easy"]},
    "replications": 2,
    "draws": 2,
    "objective": {"metric": "mean_wait_s", "at_most": "5 min"},
    "capacity": {"between": [0.3, 1.0], "tolerance": 0.05},
}

EXACT = dict[str, tuple[str, bytes | list[Any]]]


def conduct(
    fields: dict[str, Any], out: Path, *, check: bool = True, **options: Any
) -> pd.DataFrame:
    """Run a study and return the table of its runs."""
    assert make_runs(define_study(fields, check=check), out, **options)
    return load_result(out).runs


def exact(runs: pd.DataFrame) -> EXACT:
    """All that is in a table: names, types, and every bit of every value."""
    return {
        str(name): (
            str(column.dtype),
            column.tolist() if column.dtype.kind not in "biuf" else column.to_numpy().tobytes(),
        )
        for name, column in runs.items()
    }


def small(**changes: Any) -> Study:
    """A grid of 6 runs, with some changes of its file."""
    grid = {"parameters": {"workload.load": [0.5, 0.7, 0.9]}, "replications": 2}
    return define_study({**GRID, **grid, **changes})


def policy_file(path: Path, body: str) -> str:
    """Write a policy of a user's own, `fcfs` that does something more as it starts."""
    head = """\
        import os, signal, sys, time
        from clustersim.scheduling.policies.strict import Fcfs

        class Own(Fcfs):
            def __init__(self, queue):
                super().__init__(queue)
    """
    lines = textwrap.indent(textwrap.dedent(body), 8 * " ")
    path.write_text(textwrap.dedent(head) + lines + "\n")
    return f"{path}:Own"


CONDUCTOR = """
import json, sys
from clustersim.studies.execution import make_runs
from clustersim.studies.study import define_study
study = define_study(json.loads(sys.argv[1]))
sys.exit(0 if make_runs(study, sys.argv[2], **json.loads(sys.argv[3])) else 130)
"""


class Conductor:
    """A process that conducts a study.

    Its workers and all that they start carry a mark in their environment, by which they are found
    even when their parent is gone.
    """

    def __init__(self, fields: dict[str, Any], out: Path, **options: Any) -> None:
        self.mark = f"CLUSTERSIM_TEST={os.getpid()}-{time.monotonic_ns()}"
        name, value = self.mark.split("=")
        self.process = subprocess.Popen(
            [sys.executable, "-c", CONDUCTOR, json.dumps(fields), str(out), json.dumps(options)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, name: value},
            preexec_fn=default_signals,
            start_new_session=True,
        )

    @property
    def alive(self) -> list[int]:
        """It and the processes that came of it, as far as they are alive."""
        return [pid for pid in _processes() if self.mark in message(pid, "environ")]

    @property
    def workers(self) -> list[int]:
        """Its workers: what was forked off a server of processes, and so is called the same."""
        return [
            pid
            for pid in self.alive
            if (line := message(pid, "cmdline")) and line == message(_parent(pid), "cmdline")
        ]

    def kill(self) -> None:
        """End it by SIGKILL, it alone."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def is_left_alone(self, within_s: float = 5.0) -> bool:
        """Whether nothing of it is left, at the latest after some seconds."""
        return until(lambda: not self.alive, within_s)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def message(pid: int, name: str) -> str:
    """What the system reports of a process; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def _parent(pid: int) -> int:
    stat = message(pid, "stat")
    return int(stat.rpartition(")")[2].split()[1]) if stat else 0


def study_command(
    fields: dict[str, Any], out: Path, *options: str, **environment: str
) -> subprocess.Popen[str]:
    """Start the command line on a study, in a session of its own."""
    file = out.with_name(f"{out.name}.study.yaml")
    file.write_text(json.dumps(fields))  # JSON is YAML
    command = [sys.executable, "-m", "clustersim.cli.main", "study", str(file), "--out", str(out)]
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=default_signals,
        start_new_session=True,
    )


def until(happened: Callable[[], bool], within_s: float = 30.0) -> bool:
    """Wait for something; return whether it happened."""
    end = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def rows_in(folder: Path) -> int:
    """How many runs a folder's store has, also while it is written."""
    import sqlite3

    if not (folder / "runs.sqlite").exists():
        return 0
    connection = sqlite3.connect(f"{(folder / 'runs.sqlite').resolve().as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM runs").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0
    finally:
        connection.close()
