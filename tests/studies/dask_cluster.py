"""A Dask cluster on this machine: a scheduler and two workers, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conducted import until

__all__ = ["DaskCluster", "dask_cluster"]


class DaskCluster:
    """Processes as a person would start them by ``dask scheduler`` and ``dask worker``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0")
        assert until(self._is_up), "the Dask scheduler did not start"
        self.address: str = json.loads(self._file.read_text())["address"]

    def _is_up(self) -> bool:
        return self._file.exists() and bool(self._file.read_text())

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker of one thread; a nanny starts it again when it dies."""
        return self._start("worker", "--nthreads", "1", "--local-directory", str(self._folder))

    def _start(self, command: str, *options: str) -> subprocess.Popen[bytes]:
        options = (*options, "--scheduler-file", str(self._file), "--no-dashboard")
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", command, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"},
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def stop(self) -> None:
        """End all its processes at once."""
        for process in self._processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[DaskCluster]:
    """Yield a cluster whose workers are there."""
    from distributed import Client

    cluster = DaskCluster(folder)
    try:
        for _ in range(workers):
            cluster.add_worker()
        with Client(cluster.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield cluster
    finally:
        cluster.stop()
