"""Queues of HTCondor, Flux, OAR and Grid Engine, with jobs worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError
from clustersim.sites import read_queue

AD = {"ClusterId": 1, "ProcId": 0, "Owner": "a", "QDate": 1740823200, "JobStatus": 2,
      "JobCurrentStartDate": 1740823500, "RequestGPUs": 8, "ServerTime": 1740824100}  # fmt: skip
WAITS = {**AD, "ClusterId": 2, "JobStatus": 1, "JobCurrentStartDate": 0}
LONG = "\n\n".join(
    "\n".join(f"{key} = {json.dumps(value)}" for key, value in ad.items()) for ad in (AD, WAITS)
)
RUNS = {"id": 1, "username": "a", "t_submit": 1740823200.0, "t_run": 1740823500.0, "ngpus": 8,
        "state": "RUN", "runtime": 600.0, "duration": 7200.0}  # fmt: skip
OAR = {"owner": "a", "submissionTime": 1740823200, "wanted_resources": "/host=2/gpu=4"}
QSTAT = """\
job-ID     prior   name       user  state submit/start at     queue      slots ja-task-ID
-----------------------------------------------------------------------------------------
         1 0.55500 x          a     r     03/01/2025 10:05:00 gpu.q@n1       2
       Hard Resources:   gpu=4 (0.000000)
                         h_rt=7200 (0.000000)
         2 0.55500 x          a     qw    03/01/2025 10:00:00                2 1-9:2
       Hard Resources:   gpu=4 (0.000000)
"""


@pytest.mark.parametrize(
    ("text", "elapsed", "tasks"),
    [
        (json.dumps([AD, WAITS]), 600.0, 1),
        (LONG, 600.0, 1),
        (json.dumps({"jobs": [RUNS, {**RUNS, "id": 2, "state": "SCHED", "t_run": 0}]}), 600.0, 1),
        (json.dumps({"1": {**OAR, "id": 1, "state": "Running", "startTime": 1740823500},
                     "2": {**OAR, "id": 2, "state": "Waiting"}}), None, 1),
        (QSTAT, None, 5),
    ],
    ids=["condor-json", "condor-long", "flux", "oar", "grid-engine"],
)  # fmt: skip
def test_queues(tmp_path: Path, text: str, elapsed: float | None, tasks: int) -> None:
    path = tmp_path / "queue.txt"
    path.write_text(text)
    state = read_queue(path, time_zone="UTC")
    (runs,), (waits,) = state.running, state.waiting
    assert (runs.job_id.partition(".")[0], runs.n_accelerators) == ("1", 8)
    assert runs.start is not None
    assert runs.start.isoformat() == "2025-03-01T10:05:00+00:00"
    assert runs.elapsed_s == elapsed
    assert (waits.job_id.partition(".")[0], waits.n_accelerators, waits.tasks) == ("2", 8, tasks)
    assert waits.submit is not None
    assert waits.submit.isoformat() == "2025-03-01T10:00:00+00:00"


def test_rows_that_cannot_be_read_are_no_empty_queue(tmp_path: Path) -> None:
    path = tmp_path / "showq.txt"
    path.write_text(
        "JOBID              USERNAME      STATE PROCS   REMAINING            STARTTIME\n\n"
        "1                  a           Running    64    23:50:00  Sat Mar  1 10:05:00\n\n"
        "1 active job             64 of 128 processors in use by local jobs (50.00%)\n"
    )
    with pytest.raises(InputError, match="no row of the queue can be read"):
        read_queue(path)


def test_grid_engine_without_requests_tells_no_accelerators(tmp_path: Path) -> None:
    path = tmp_path / "qstat.txt"
    rows: list[Any] = [line for line in QSTAT.split("\n") if "=" not in line]
    path.write_text("\n".join(rows))
    state = read_queue(path)
    assert [job.n_accelerators for job in state.jobs] == [None, None]
    assert "qstat -r" in " ".join(state.notes)
