"""Runs whose jobs get nowhere, and counts that agree: the notes of `run` and `trace`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clustersim.cli.main import main
from clustersim.units import format_quantity

CLUSTER = "cluster: {name: c, pools: {a: {accelerator: H200, nodes: 2}}}\n"
JOBS = """\
workload:
  generate:
    arrivals: {mean_interarrival: 1 min}
    classes:
    - {name: x, weight: 1, sizes: {8: 1}, duration: {kind: constant, value: 5 h}}
  jobs: 3
scheduler: {policy: fcfs, placement: consolidate}
horizon: 5 d
"""
EVERY_HOUR = """\
failures:
  sources:
  - name: f
    time_to_failure: {kind: constant, value: 1 h}
    repair: {kind: constant, value: 1 h}
  checkpoints: {interval: INTERVAL, cost: 1 s, restart: 1 s}
"""


def run(text: str, capsys: pytest.CaptureFixture[str]) -> str:
    Path("s.yaml").write_text(text)
    assert main(["run", "s.yaml", "--out", "out"]) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("interval", "made"),
    [("1 h", "the first checkpoint is made after 60 min"), ("never", "no checkpoint is made")],
)
def test_failures_before_the_first_checkpoint_are_named(
    capsys: pytest.CaptureFixture[str], interval: str, made: str
) -> None:
    message = run(CLUSTER + JOBS + EVERY_HOUR.replace("INTERVAL", interval), capsys)
    assert message.startswith(
        "Note: failures: f: a node fails after exactly 60 min in service, and "
    )
    assert f"and {made}; no job" in message
    assert re.search(
        r"Note: \d unfinished jobs? kept no work in \d+ attempts, the longest of which", message
    )
    assert "each was stopped before its first checkpoint" in message


def test_jobs_that_progress_get_no_note(capsys: pytest.CaptureFixture[str]) -> None:
    message = run(CLUSTER + JOBS + EVERY_HOUR.replace("INTERVAL", "10 min"), capsys)
    assert "fails after exactly" not in message
    assert "kept no work" not in message
    assert "hardly any progress" not in message


def test_checkpoints_that_take_all_the_time_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    checkpoints = "failures: {sources: meta-llama3, checkpoints: {interval: 1e-9 s, cost: 1 s}}\n"
    message = run(CLUSTER + JOBS + checkpoints, capsys)
    assert "jobs spend 100.0 % of their time on checkpoints: each takes 1 s" in message
    assert re.search(
        r"Note: \d unfinished jobs? made hardly any progress: 0\.00 % of the time", message
    )
    assert "checkpoints took 100.0 %: a checkpoint takes longer than the work" in message


STUCK = """\
cluster: {name: c, pools: {b: {accelerator: H20, nodes: 8}, a: {accelerator: H200, nodes: 9}}}
workload:
  generate:
    arrivals: {mean_interarrival: 1 h}
    classes:
    - {name: x, weight: 1, sizes: {64: 1}, accelerators: [H20],
       duration: {kind: constant, value: 9 h}}
    - {name: y, weight: 1, sizes: {8: 1}, accelerators: [H200],
       duration: {kind: constant, value: 1 h}}
  jobs: 40
scheduler: {policy: fcfs, placement: consolidate}
failures: {sources: meta-llama3}
supply: {retirements: [{pool: b, nodes: 1, at: 5 h}]}
"""


def test_one_count_of_the_jobs_that_wait_for_ever(capsys: pytest.CaptureFixture[str]) -> None:
    """A job that ran before its node went for ever is one of them."""
    message = run(STUCK, capsys)
    waiting = re.search(r"unfinished: (\d+) x still waiting when the simulation ended: it", message)
    never = re.search(
        r"Note: (\d+) of 40 jobs can never run \(1 of them ran before but cannot", message
    )
    assert waiting is not None
    assert never is not None
    assert waiting[1] == never[1]


def test_rates_by_hour_are_at_most_24_times_their_mean(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{job},{86400 * day},8,10" for job, day in enumerate((0, 30, 90))]
    Path("log.csv").write_text("\n".join(["job_id,submit_s,n_accelerators,duration_s", *rows, ""]))
    assert main(["trace", "log.csv"]) == 0
    message = capsys.readouterr().out
    hours, days = (
        [float(rate) for rate in re.findall(r"[\d.]+", line.split(":", 1)[1])]
        for line in message.splitlines()
        if "rate over the mean" in line
    )
    assert hours == [24.0, *[0.0] * 23]
    assert sum(days) == pytest.approx(7.0, abs=0.05)
    assert "Note: 3 jobs are too few for reliable rates" in message


@pytest.mark.parametrize(
    ("amount", "dimension", "text"),
    [
        (53.35, "money", "53.35 CNY"),
        (2.5e6, "money", "2.5 million CNY"),
        (3.2e8, "energy", "88.89 kWh"),
        (7.2e9, "energy", "2 MWh"),
        (0.0, "mass", "0 kg"),
    ],
)
def test_small_runs_have_small_units(amount: float, dimension: str, text: str) -> None:
    assert format_quantity(amount, dimension) == text


def test_names_that_cannot_be_are_described_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    Path("s.yaml").write_text(CLUSTER.replace("{a:", "{-a:") + JOBS)
    assert main(["run", "s.yaml", "--out", "out"]) == 2
    message = capsys.readouterr().err
    assert "must start with a letter or digit and contain only letters" in message
    assert "pattern" not in message


def test_one_job_is_one_job(capsys: pytest.CaptureFixture[str]) -> None:
    Path("log.csv").write_text("jobid,arrival,num_gpu,runtime,status\n1,0,0.5,10,COMPLETED\n")
    assert main(["trace", "log.csv", "--accelerators", "8"]) == 0
    message = capsys.readouterr().out
    assert "1 row, 1 job\n" in message
    assert "1 job requests a fraction of an accelerator" in message


def test_columns_that_were_found_have_their_own_names(capsys: pytest.CaptureFixture[str]) -> None:
    Path("log.csv").write_text("jobid,arrival,num_gpu,iterations,job_type\n1,0,8,100,x\n")
    assert main(["trace", "log.csv"]) == 2
    message = capsys.readouterr().err
    assert "no columns tell how long a job ran (a run time, or start and end)" in message
    assert "columns: jobid, arrival, num_gpu, iterations, job_type" in message
    assert "n_accelerators" not in message
