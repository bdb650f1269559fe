"""Commands that are started quickly, and interrupted at random moments.

A command is forked from a process that has imported everything (a nursery), so that an interrupt
meets the work more often than the imports; or it is started as a user does.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conducted import GRID, QUEUE, policy_file, rows_in, until

from tests.signals import default_signals

NURSERY = """
import os, sys, json
import clustersim.report.study
from clustersim.cli.main import main
import clustersim.cli.run, clustersim.scenario.run, clustersim.procurement.output
clustersim.report.of_study.progress_display.SHOW_EVERY_S = 0.0
print("ready", flush=True)
for line in sys.stdin:
    task = json.loads(line)
    child = os.fork()
    if child:
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)
        continue
    os.setsid()
    os.environ["CLUSTERSIM_TEST"] = task["mark"]
    for number, name in enumerate(("in", "out", "err")):
        path = os.devnull if name == "in" else task[name]
        flags = os.O_RDONLY if name == "in" else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags), number)
    sys.exit(main(task["arguments"]))
"""
WITHIN_S = 10.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (-n: by signal n), the seconds since the signal, texts."""

    code: int
    seconds: float
    printed: str
    errors: str


class Nursery:
    """Starts commands by forking."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=default_signals,
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def run(self, arguments: list[str], after: list[tuple[float, int, bool]]) -> Ended:
        """Run a command and send it signals: seconds to wait before, number, whether to its group.

        Raises
        ------
        AssertionError
            If it, or a process that it started, is alive :data:`WITHIN_S` after the last one.
        """
        mark = f"{os.getpid()}-{time.monotonic_ns()}"
        out, err = (str(self._folder / f"{mark}.{name}") for name in ("out", "err"))
        task = {"arguments": arguments, "mark": mark, "out": out, "err": err}
        assert self._process.stdin is not None
        print(json.dumps(task), file=self._process.stdin, flush=True)
        pid = int(self._line())
        alive = Path(f"/proc/{pid}")
        since = _send(pid, after)
        ended = until(lambda: not alive.exists() or _is_zombie(pid), WITHIN_S if after else 60.0)
        seconds = time.monotonic() - since
        if not ended:
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(int(self._line()))
        printed, errors = (Path(path).read_text() for path in (out, err))
        assert ended, f"{arguments} goes on after {after}:\n{printed}\n{errors}"
        assert until(lambda: not marked(mark), 3.0), f"{arguments}: processes are left"
        return Ended(code, seconds, printed, errors)


def run_command(arguments: list[str], after: list[tuple[float, int, bool]]) -> Ended:
    """Run a command as a user does; as :meth:`Nursery.run`."""
    mark = f"{os.getpid()}-{time.monotonic_ns()}"
    process = subprocess.Popen(
        [sys.executable, "-m", "clustersim.cli.main", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CLUSTERSIM_TEST": mark},
        preexec_fn=default_signals,
        start_new_session=True,
    )
    since = _send(process.pid, after)
    try:
        printed, errors = process.communicate(timeout=WITHIN_S if after else 60.0)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{arguments} goes on: {process.communicate()}") from None
    assert until(lambda: not marked(mark), 3.0), f"{arguments}: processes are left"
    return Ended(process.returncode, time.monotonic() - since, printed, errors)


def _send(pid: int, after: list[tuple[float, int, bool]]) -> float:
    for seconds, number, to_group in after:
        time.sleep(seconds)
        with suppress(ProcessLookupError):
            (os.killpg if to_group else os.kill)(pid, number)
    return time.monotonic()


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def marked(mark: str) -> list[int]:
    """Processes that carry a mark in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def slow_grid(folder: Path, pause_s: float = 0.02) -> tuple[Path, dict[str, Any]]:
    """Write a study of 8 runs that mostly sleep; return its file and what is in it."""
    own = policy_file(folder / "own.py", f"time.sleep({pause_s})")
    base = {**QUEUE, "workload": {**QUEUE["workload"], "jobs": 20}}  # type: ignore[dict-item]
    varied = {"workload.load": [0.5, 0.7], "scheduler.policy": [own]}
    plot = {"kind": "curve", "x": "workload.load", "y": "mean_wait_s"}
    fields = {**GRID, "base": base, "parameters": varied, "replications": 4, "plots": [plot]}
    path = folder / "grid.yaml"
    path.write_text(json.dumps(fields))  # JSON is YAML
    return path, fields


def random_signals(draw: random.Random, longest_s: float) -> list[tuple[float, int, bool]]:
    """Draw when signals come within a command that takes so long, which, and how often."""
    number = draw.choice((signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    to_group = draw.random() < 0.7  # as a terminal, or as `kill`
    first = (draw.uniform(0.0, longest_s), number, to_group)
    again = draw.choice(([], [], [0.0], [0.0], [draw.uniform(0.0, 0.3)], [1.2]))
    return [first, *((pause, number, to_group) for pause in again)]


def reported_done(ended: Ended) -> int:
    """How many runs a study reported were done before it ended."""
    found = re.findall(r"^([\d,]+) of [\d,]+ runs", ended.errors, re.MULTILINE)
    return max((int(number.replace(",", "")) for number in found), default=0)


def rows_kept(out: Path) -> int:
    """How many runs a folder has."""
    return rows_in(out) if out.exists() else 0
