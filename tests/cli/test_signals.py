"""SIGINT, SIGTERM and SIGHUP: every command ends soon and keeps what it computed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim import interrupts
from clustersim.cli.main import main
from clustersim.engine.clock import Clock
from clustersim.simulation.result import Result
from tests.full_counts import first_of
from tests.signals import SIGNALS, default_signals


def start(folder: Path, *arguments: str, code: str = "") -> subprocess.Popen[str]:
    run = [sys.executable, "-c", f"{code}\nimport sys\nfrom clustersim.cli.main import main\n"]
    run[-1] += "sys.exit(main())"
    return subprocess.Popen(
        [*run, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=default_signals,
        start_new_session=True,
    )


def wait_for(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def write_log(path: Path, n_jobs: int) -> None:
    draw = np.random.default_rng(0)
    table = {
        "job_id": np.arange(n_jobs),
        "submit_s": np.arange(n_jobs),
        "n_accelerators": draw.integers(1, 9, n_jobs),
        "duration_s": draw.integers(1, 4000, n_jobs),
    }
    pd.DataFrame(table).to_parquet(path)


TELLS_WHEN_IT_SIMULATES = """
import pathlib
from clustersim.engine.clock import Clock
run = Clock.run
def reported(self, until=None):
    pathlib.Path("simulates").touch()
    return run(self, until)
Clock.run = reported
"""
REPLAY = ("replay", "jobs.parquet", "--policy", "fcfs", "--accelerators", "20000", "--out", "out")


@pytest.mark.slow
@pytest.mark.parametrize("number", first_of(SIGNALS))
def test_a_simulation_keeps_what_is_done(tmp_path: Path, number: signal.Signals) -> None:
    write_log(tmp_path / "jobs.parquet", 150_000)
    process = start(tmp_path, *REPLAY, code=TELLS_WHEN_IT_SIMULATES)
    wait_for((tmp_path / "simulates").exists, process)
    time.sleep(0.2)
    os.killpg(process.pid, number)
    os.killpg(process.pid, number)  # as `timeout` does
    printed, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number, errors
    assert errors == ""
    assert "interrupted at simulated time" in printed
    result = Result.load(tmp_path / "out")
    assert result.interrupted
    end_s = result.provenance["simulated_s"]
    jobs = result.jobs
    ended = jobs["outcome"] == "finished"
    assert 0 < ended.sum() < len(jobs) == 150_000
    # The last instant is complete: all that was due has ended, and nothing waits on this fleet.
    due = jobs["start_s"] + jobs["duration_s"] <= end_s
    np.testing.assert_array_equal(ended, due)
    assert (jobs.loc[jobs["start_s"].isna(), "submit_s"] > end_s).all()


STOPS_AS_IT_READS = """
import time
import clustersim.workload as workload
def slow(*_arguments, **_options):
    import pathlib
    pathlib.Path("reads").touch()
    time.sleep(60)
workload.read_jobs = slow
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_nothing_is_left_of_what_had_not_begun(tmp_path: Path, number: signal.Signals) -> None:
    write_log(tmp_path / "jobs.parquet", 10)
    process = start(tmp_path, *REPLAY, code=STOPS_AS_IT_READS)
    wait_for((tmp_path / "reads").exists, process)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=10)
    assert (process.returncode, printed) == (128 + number, "")
    assert errors == "clustersim: interrupted\n"
    assert not (tmp_path / "out").exists()


WRITES_SLOWLY = """
import pathlib, time
import pandas as pd
write = pd.DataFrame.to_parquet
def slow(self, path, **options):
    pathlib.Path("writes").touch()
    time.sleep(0.7)
    write(self, path, **options)
pd.DataFrame.to_parquet = slow
"""


@pytest.mark.slow
def test_a_result_is_written_whatever_comes_in_between(tmp_path: Path) -> None:
    write_log(tmp_path / "jobs.parquet", 100)
    process = start(tmp_path, *REPLAY, code=WRITES_SLOWLY)
    wait_for((tmp_path / "writes").exists, process)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.1)
    process.send_signal(signal.SIGINT)
    printed, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert (
        errors == "clustersim: writing what was computed; a third signal ends the command at once\n"
    )
    assert "written to out" in printed
    assert (Result.load(tmp_path / "out").jobs["outcome"] == "finished").all()


LOOPS = """
from clustersim.scheduling.policies.strict import Fcfs

class Own(Fcfs):
    def schedule(self, now):
        open("loops", "w").close()
        while True:
            pass
"""


@pytest.mark.slow
def test_a_policy_that_never_returns_is_interrupted(tmp_path: Path) -> None:
    write_log(tmp_path / "jobs.parquet", 100)
    (tmp_path / "own.py").write_text(LOOPS)
    process = start(tmp_path, *(name.replace("fcfs", "own.py:Own") for name in REPLAY))
    wait_for((tmp_path / "loops").exists, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert errors == ""
    assert Result.load(tmp_path / "out").interrupted


WAITS_IN_C = """
import pathlib
from scipy import optimize
import numpy as np
from clustersim import procurement
def slow(*_arguments, **_options):
    draw = np.random.default_rng(0)
    weights = draw.integers(1, 1000, (40, 90)).astype(float)
    pathlib.Path("solves").touch()
    rule = optimize.LinearConstraint(weights, -np.inf, weights.sum(1) / 3)
    gain = -draw.integers(1, 1000, 90).astype(float)
    optimize.milp(gain, integrality=np.ones(90), bounds=optimize.Bounds(0, 1), constraints=rule,
                  options={"time_limit": 60})
procurement.plan_purchases = slow
"""
PLAN = """
name: one chip
quarters: 1
chips: {h200: {accelerator: H200, price_per_node: 1.5e6 CNY}}
demand:
  tuning: {model: llama3-8b, accelerators: 8, job_tokens: 1.0e9, tokens: 1.0e13, must_meet: 1}
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_compiled_code_that_does_not_return_is_ended(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    process = start(tmp_path, "plan", "plan.yaml", "--out", "out", code=WAITS_IN_C)
    wait_for((tmp_path / "solves").exists, process)
    time.sleep(0.2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert errors == "clustersim: interrupted\n"
    assert main(["plan", str(tmp_path / "plan.yaml"), "--out", str(tmp_path / "out")]) == 0


@pytest.mark.parametrize("command", ["run", "replay", "plan"])
def test_an_empty_folder_does_not_block(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    write_log(tmp_path / "jobs.parquet", 10)
    Path("plan.yaml").write_text(PLAN)
    Path("scenario.yaml").write_text(
        "cluster: mixed-small\nworkload: {trace: jobs.parquet}\nscheduler: {policy: fcfs}\n"
    )
    inputs = {"run": ["scenario.yaml"], "plan": ["plan.yaml"], "replay": list(REPLAY[1:-2])}
    assert main([command, *inputs[command], "--out", "out"]) == 0
    assert any(Path("out").iterdir())


SWALLOWED = """
class Finalised:
    def __del__(self):
        import os, signal
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass
"""


@pytest.mark.usefixtures("interruptible")
def test_a_signal_within_a_finaliser_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, type] = {}
    exec(SWALLOWED, scope)
    given_up = threading.Event()
    limit = threading.Timer(60, given_up.set)
    limit.start()
    try:
        with interrupts.watched(command=True):
            scope["Finalised"]()
            with pytest.raises(KeyboardInterrupt):
                given_up.wait()
        assert not given_up.is_set()
    finally:
        limit.cancel()
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("interruptible")
def test_signals_are_noted_where_something_would_be_lost() -> None:
    steps = []
    with interrupts.watched(), interrupts.held():
        signal.raise_signal(signal.SIGINT)
        steps.append("goes on")
        with pytest.raises(interrupts.Interrupted):
            interrupts.check()
        interrupts.check()
        with interrupts.allowed():
            steps.append("reported once")
    assert steps == ["goes on", "reported once"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_of_a_program_are_left_alone() -> None:
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        mine = signal.getsignal(signal.SIGINT)
        with interrupts.watched():
            assert signal.getsignal(signal.SIGINT) is mine
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with interrupts.watched(command=True):
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


STATE = "job_id,state,n_accelerators,submit_s,start_s,estimate_s\n" + "".join(
    f"{k},{'running' if k < 4 else 'waiting'},8,{k},{k if k < 4 else ''},3600\n" for k in range(12)
)
MANY_SIMULATIONS = {
    "validate": ["validate", "jobs.csv", "--accelerators", "16", "--policies", "easy,fcfs"],
    "forecast": ["forecast", "state.csv", "--accelerators", "32", "--at", "20s", "--no-arrivals"],
    "trace": ["trace", "jobs.csv", "--accelerators", "16", "--fit", "model.yaml"],
    "check-policy": ["check-policy", "easy"],
    "what-if": ["what-if", "jobs.csv", "--accelerators", "16", "--add-accelerators", "8",
                "--workers", "1", "--out", "out"],
}  # fmt: skip


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("command", MANY_SIMULATIONS)
def test_the_first_signal_ends_a_command_of_many_simulations(
    tmp_path: Path,
    command: str,
    at: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It stops the simulation at work, whose result must not be taken for a whole one."""
    monkeypatch.chdir(tmp_path)
    count, run = 60, Clock.run
    submit_s = 600.0 * np.arange(count)
    jobs = {"job_id": np.arange(count), "submit_s": submit_s, "n_accelerators": 8}
    jobs |= {"duration_s": 2000.0 - 15 * np.arange(count), "start_s": submit_s + 300.0}
    pd.DataFrame(jobs).to_csv("jobs.csv", index=False)
    Path("state.csv").write_text(STATE)
    made: list[int] = []

    def interrupted(clock: Clock, until: float | None = None) -> object:
        made.append(len(made))
        if made[-1] == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return run(clock, until)

    monkeypatch.setattr(Clock, "run", interrupted)
    assert main(MANY_SIMULATIONS[command]) == 128 + signal.SIGTERM
    assert made == list(range(at + 1)), "no simulation begins after the signal"
    assert "interrupted" in capsys.readouterr().err
    assert not Path("out").exists()
