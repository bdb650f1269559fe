"""Forecasts of small states whose starts are worked out by hand, and of saved runs."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

import clustersim as cs
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.forecasting.run_times import RunTimes, assumed_run_times, run_times_of
from clustersim.forecasting.samples import Alike
from clustersim.forecasting.scores import Correlations
from clustersim.seeds import Streams
from clustersim.sites.queue import QueuedJob, QueueState
from tests.forecasting.test_coverage import drawn

HOUR = 3600.0


def running(number: str, n: int, elapsed_s: float, limit_s: float, **more: Any) -> QueuedJob:
    return QueuedJob(number, "running", n, elapsed_s=elapsed_s, time_limit_s=limit_s, **more)


def waiting(number: str, n: int, limit_s: float | None = HOUR, **more: Any) -> QueuedJob:
    return QueuedJob(number, "waiting", n, time_limit_s=limit_s, **more)


def state(*jobs: QueuedJob, **more: Any) -> QueueState:
    return QueueState("queue", "squeue", jobs, len(jobs), **more)


def exact(monkeypatch: pytest.MonkeyPatch, share: float = 1.0) -> None:
    """Let every job run for this share of its limit, so that starts can be worked out by hand."""

    def whole(jobs: pd.DataFrame, default_limit_s: float | None = None) -> RunTimes:
        limit = default_limit_s or float(jobs["limit_s"].max())
        whole = Alike.of(np.full(1, share), np.zeros(1, dtype=np.int64), [[()]])
        return RunTimes("whole", Correlations(0.0, 0.0, 0.0, 0.0), True, whole, limit)

    # The function of this name hides the module.
    module = importlib.import_module("clustersim.forecasting.forecast")
    monkeypatch.setattr(module, "assumed_run_times", whole)


def starts(found: cs.Forecast) -> dict[str, float]:
    return dict(zip(found.jobs["job_id"], found.jobs["median_s"], strict=True))


def test_starts_by_hand_with_backfilling(monkeypatch: pytest.MonkeyPatch) -> None:
    exact(monkeypatch)
    jobs = state(
        running("1", 6, HOUR / 2, HOUR),
        waiting("2", 8),
        waiting("3", 2, HOUR / 2),
        waiting("4", 2, HOUR),
    )
    easy = cs.forecast(jobs, accelerators=8, replications=3)
    # 2 needs all; 3 ends when 1 does, so it may start now; 4 would delay 2.
    assert starts(easy) == {"2": HOUR / 2, "3": 0.0, "4": HOUR * 1.5}
    assert easy.jobs["constraint"].tolist() == ["accelerators", "none", "queue"]
    assert easy.jobs["behind"].iloc[2] == "2"
    assert (easy.jobs["low_s"] == easy.jobs["high_s"]).all()
    fcfs = cs.forecast(jobs, accelerators=8, replications=3, policy="fcfs")
    assert starts(fcfs) == {"2": HOUR / 2, "3": HOUR * 1.5, "4": HOUR * 1.5}


def test_the_first_job_may_wait_for_one_that_was_backfilled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the limits, 3 ends when 1 does; but 1 ends after 1 h, and 3 after 3 h."""
    exact(monkeypatch, share=0.5)
    jobs = state(running("1", 4, 4 * HOUR, 10 * HOUR), waiting("2", 8), waiting("3", 4, 6 * HOUR))
    found = cs.forecast(jobs, accelerators=8, replications=2)
    assert starts(found) == {"2": 3 * HOUR, "3": 0.0}
    assert found.jobs["constraint"].tolist() == ["accelerators", "none"]
    assert found.jobs["detail"].iloc[0] == (
        "needs 8 accelerators, 4 free; alone it could start in 60 min"
    )


@pytest.mark.parametrize("policy", ["fcfs", "easy", "easy_sjbf", "conservative", "sjf"])
def test_an_array_runs_no_more_tasks_at_a_time_than_it_may(
    monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    exact(monkeypatch)
    array = waiting("5_[1-4%2]", 1, tasks=4, array="5", array_limit=2)
    task = running("5_0", 1, HOUR / 2, HOUR, array="5")
    found = cs.forecast(state(task, array), accelerators=8, replications=2, policy=policy)
    assert starts(found) == {"5_1": 0.0, "5_2": HOUR / 2, "5_3": HOUR, "5_4": 1.5 * HOUR}
    assert found.jobs["constraint"].tolist() == ["none", "limit", "limit", "limit"]


@pytest.mark.parametrize("policy", ["fcfs", "easy"])
def test_dependencies_holds_and_limits_of_users(
    monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    exact(monkeypatch)
    jobs = state(
        running("1", 4, 0.0, HOUR, user="ann", partition="a"),
        waiting("2", 1, depends_on=("1",), user="bob", partition="b"),
        waiting("3", 1, held="JobHeldUser", user="bob", partition="a"),
        waiting("4", 4, user="ann", partition="a"),
        waiting("5", 64, user="bob", partition="a"),
        waiting("6", 1, user="bob", partition="c"),
    )
    found = cs.forecast(
        jobs, accelerators={"a": 16, "b": 4}, user_limit=4, policy=policy, replications=2
    )
    assert found.jobs["constraint"].tolist() == [
        "dependency", "held", "limit", "never", "never",
    ]  # fmt: skip
    assert found.jobs["median_s"].iloc[[0, 2]].tolist() == [HOUR, HOUR]
    assert found.jobs["median_s"].iloc[[1, 3, 4]].isna().all()


def test_a_full_partition_binds_although_another_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    exact(monkeypatch)
    jobs = state(running("1", 8, 0.0, HOUR, partition="a"), waiting("2", 8, partition="a"))
    found = cs.forecast(jobs, accelerators={"a": 8, "b": 16}, replications=2)
    assert found.jobs["constraint"].tolist() == ["partition"]
    assert starts(found) == {"2": HOUR}


def test_a_job_with_several_partitions_starts_in_the_first_that_has_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Job 2 starts at once in b, as Slurm starts it; if both are full, where a job ends first."""
    exact(monkeypatch)
    one = running("1", 8, 0.0, 2 * HOUR, partition="a")
    both = waiting("2", 8, partition="a,b")
    sizes = {"a": 8, "b": 8}
    found = cs.forecast(state(one, both), accelerators=sizes, replications=2)
    assert starts(found) == {"2": 0.0}
    assert found.jobs["partition"].tolist() == ["a,b"]
    other = running("3", 8, 0.0, HOUR, partition="b")
    found = cs.forecast(state(one, other, both), accelerators=sizes, replications=2)
    assert starts(found) == {"2": HOUR}
    more = {"a": 8, "b": 8, "c": 8}
    found = cs.forecast(state(one, other, both), accelerators=more, replications=2)
    assert found.jobs["detail"].tolist() == ["needs 8 accelerators, 0 free in a or b, 8 in another"]


def test_a_job_runs_over_the_pools_of_its_partition(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exact(monkeypatch)
    site = tmp_path / "site.yaml"
    site.write_text(
        "name: site\npools:\n"
        "  wide: {accelerator: A100, nodes: 3, queues: [gpu]}\n"
        "  narrow: {accelerator: A100, nodes: 2, queues: [gpu]}\n"
    )
    jobs = state(
        running("1", 8, 0.0, HOUR, partition="gpu"),
        waiting("2", 40, partition="gpu"),
        waiting("3", 16, 2 * HOUR, partition="gpu"),
        waiting("4", 24, HOUR, partition="gpu"),
    )
    alone = cs.forecast(jobs, cluster=str(site), replications=2)
    # Job 4 waits for job 3, which runs in the only pool with 24.
    assert starts(alone) == pytest.approx({"2": np.nan, "3": 0.0, "4": 2 * HOUR}, nan_ok=True)
    both = cs.forecast(jobs, cluster=str(site), replications=2, span_pools="equal")
    # Job 2 needs all accelerators in an hour: job 4 ends by then on 16 and 8 of them, job 3 does
    # not.
    assert starts(both) == {"2": HOUR, "3": 2 * HOUR, "4": 0.0}
    assert "jobs may run on several pools at once (equal)" in both.assumptions
    run = cs.replay(
        pd.DataFrame(
            {"job_id": [1], "submit_s": 0.0, "n_accelerators": 40, "duration_s": 60.0, "vc": "gpu"}
        ),
        policy="fcfs",
        cluster=cs.compile_cluster(cs.load_cluster(site, cs.load_catalogue())),
        span_pools="equal",
    )
    with pytest.raises(InputError, match="job 1 of result runs on several pools"):
        cs.forecast(run, at_s=30.0, span_pools="equal")


def test_the_order_is_that_of_priorities_then_of_submission() -> None:
    jobs = state(waiting("1", 1, priority=1.0), waiting("2", 1, priority=5.0))
    assert cs.forecast(jobs, accelerators=8, replications=1).jobs["job_id"].tolist() == ["2", "1"]


def test_run_times_are_longer_than_the_time_that_has_passed() -> None:
    jobs = pd.DataFrame(
        {"user": ["ann", "bob", "cid", "dan", "ann"], "n_accelerators": 1, "limit_s": HOUR,
         "elapsed_s": [np.nan, 600.0, 3000.0, 2 * HOUR, np.nan]}
    )  # fmt: skip
    draw = assumed_run_times(jobs).drawer(jobs)
    drawn = np.array([draw(Streams(1, replication=k)) for k in range(400)])
    assert (drawn[:, 1:4] > jobs["elapsed_s"].to_numpy()[1:4]).all()
    assert (drawn[:, :3] <= HOUR).all()
    assert (drawn[:, 3] == 2 * HOUR + 60.0).all()
    share = (drawn[:, 0] / HOUR <= 0.131).mean()
    assert share == pytest.approx(0.5, abs=0.08)  # the median of the assumed shares
    assert np.corrcoef(drawn[:, 0], drawn[:, 4])[0, 1] > 0.3  # one batch
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 0.15  # two users


def test_a_job_of_a_batch_that_runs_long_tells_of_the_others() -> None:
    jobs = pd.DataFrame(
        {"user": ["ann", "ann", "bob"], "n_accelerators": 1, "limit_s": HOUR,
         "elapsed_s": [3000.0, np.nan, np.nan]}
    )  # fmt: skip
    draw = assumed_run_times(jobs).drawer(jobs)
    drawn = np.array([draw(Streams(1, replication=k)) for k in range(400)])
    assert np.median(drawn[:, 1]) > 3 * np.median(drawn[:, 2])
    assert (drawn[:, 0] > 3000.0).all()


def test_the_last_job_of_a_batch_tells_of_the_next() -> None:
    draw = np.random.default_rng(1)
    n = 400
    habit = np.repeat(draw.normal(size=n // 4), 4)  # sessions of four jobs
    score = np.sqrt(0.8) * habit + np.sqrt(0.2) * draw.normal(size=n)
    past = pd.DataFrame(
        {"user": np.arange(n) // 4 % 20, "n_accelerators": 8, "estimate_s": HOUR,
         "submit_s": np.arange(n) // 4 * 86400.0, "duration_s": HOUR * ndtr(score)}
    )  # fmt: skip
    jobs = pd.DataFrame({"user": [1, 2], "n_accelerators": 8, "limit_s": HOUR, "elapsed_s": np.nan})
    jobs["submit_s"] = 0.0
    last = past.iloc[:1].assign(user=1, duration_s=0.95 * HOUR, submit_s=-600.0)
    found = run_times_of(past, jobs, recent=last)
    assert 0.4 < found.correlations.of_session < 0.9
    drawer = found.drawer(jobs)
    drawn = np.array([drawer(Streams(1, replication=k)) for k in range(200)])
    assert np.median(drawn[:, 0]) > 1.2 * np.median(drawn[:, 1])


def test_few_days_of_a_log_leave_its_quantiles_uncertain() -> None:
    values = np.linspace(0.0, 1.0, 400)
    levels: list[list[tuple[object, ...]]] = [[()]] * 400

    def spread(sessions: int) -> float:
        alike = Alike.of(values, np.arange(400) % sessions, levels)
        medians = [
            float(alike.samples([()], Streams(1, replication=k))[()].quantile(np.array(0.5)))
            for k in range(200)
        ]
        assert np.mean(medians) == pytest.approx(0.5, abs=0.02)
        return float(np.std(medians))

    # Interleaved sessions weigh each part of the range alike: only blocks of values are uncertain.
    blocks = Alike.of(values, np.arange(400) // 40, levels)
    medians = [
        float(blocks.samples([()], Streams(1, replication=k))[()].quantile(np.array(0.5)))
        for k in range(200)
    ]
    assert np.std(medians) > 0.08 > spread(400)
    assert blocks.effective[()] == pytest.approx(10.0)


def test_a_history_gives_the_run_times_of_jobs_that_are_alike() -> None:
    past = pd.DataFrame(
        {"user": ["ann"] * 100 + ["bob"] * 100, "n_accelerators": 8, "estimate_s": HOUR,
         "duration_s": [360.0] * 100 + [3240.0] * 100}
    )  # fmt: skip
    jobs = pd.DataFrame(
        {"user": ["ann", "bob"], "n_accelerators": 8, "limit_s": 2 * HOUR, "elapsed_s": np.nan}
    )
    draw = run_times_of(past, jobs).drawer(jobs)
    drawn = np.median([draw(Streams(1, replication=k)) for k in range(200)], axis=0)
    assert drawn.tolist() == [720.0, 6480.0]


def test_the_same_seed_gives_the_same_forecast() -> None:
    jobs = state(running("1", 8, 60.0, HOUR), *(waiting(str(n), 4) for n in range(2, 8)))
    one, two, other = (
        cs.forecast(jobs, accelerators=8, replications=20, seed=seed) for seed in (1, 1, 2)
    )
    assert one.jobs.equals(two.jobs)
    assert not one.jobs.equals(other.jobs)


def test_what_is_not_recorded_or_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match=r"not recorded for 1 row .*--gpus-per-node"):
        cs.forecast(state(QueuedJob("1", "waiting", None)), accelerators=8)
    with pytest.raises(InputError, match="--taken-at"):
        cs.forecast(state(QueuedJob("1", "running", 8)), accelerators=8)
    with pytest.raises(InputError, match="use 16 accelerators, but there are only 8"):
        cs.forecast(state(running("1", 16, 0.0, HOUR)), accelerators=8)
    with pytest.raises(InputError, match="--cluster TOPOLOGY or --accelerators"):
        cs.forecast(state(waiting("1", 8)))
    with pytest.raises(InputError, match="--at"):
        cs.forecast(state(waiting("1", 8)), accelerators=8, at_s=5.0)


def test_a_saved_run_is_continued_from_any_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = cs.replay(
        drawn(400, 5), policy="easy", accelerators=64,
        provenance={"replay": {"policy": "easy", "accelerators": 64}},
    )  # fmt: skip
    folder = result.save(tmp_path / "run")
    jobs = result.jobs
    at_s = float(jobs["submit_s"].iloc[300])
    queue = jobs[(jobs["submit_s"] <= at_s) & (jobs["start_s"] > at_s)]
    runs = jobs[(jobs["start_s"] <= at_s) & (jobs["finish_s"] > at_s)]
    out = tmp_path / "out"
    words = ["forecast", str(folder), "--at", f"{at_s} s", "--replications", "20"]
    assert main([*words, "--out", str(out), "--csv", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["state"]["running_jobs"] == len(runs)
    assert data["state"]["accelerators_running"] == int(runs["n_accelerators"].sum())
    assert [row["job_id"] for row in data["forecast"]] == queue["job_id"].astype(str).tolist()
    assert data["policy"] == "easy"
    table = pd.read_parquet(out / "forecast.parquet")
    assert table["median_s"].tolist() == [row["median_s"] for row in data["forecast"]]
    assert len(pd.read_csv(out / "running.csv")) == len(runs)
    assert main(["forecast", str(folder)]) == 2
    assert main(["forecast", str(folder), "--at", "9000 d"]) == 2


def test_a_table_of_jobs_is_a_state(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"job_id": ["a", "b"], "submit_s": [0.0, 60.0], "n_accelerators": 8,
         "start_s": [0.0, None], "estimate_s": HOUR}
    )  # fmt: skip
    table.to_csv(tmp_path / "jobs.csv", index=False)
    found = cs.forecast(tmp_path / "jobs.csv", accelerators=8, replications=5)
    assert found.state.running[0].elapsed_s == 60.0
    assert found.jobs["job_id"].tolist() == ["b"]


def test_one_job_is_shown_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [f"10{number}" for number in range(70)]
    table = pd.DataFrame({"job_id": ids, "submit_s": 0.0, "n_accelerators": 8, "estimate_s": HOUR})
    table.assign(start_s=np.nan).to_csv(tmp_path / "jobs.csv", index=False)
    command = ["forecast", str(tmp_path / "jobs.csv"), "--accelerators", "8", "--replications", "2"]
    assert main([*command, "--job", "1069"]) == 0
    shown = capsys.readouterr().out
    assert "1069" in shown
    assert "1068" not in shown
    assert "no running job is given, so the whole cluster counts as free" in " ".join(shown.split())
    assert main(command) == 0
    assert "... and 10 more jobs (--job ID, --user NAME, --out, --json)" in capsys.readouterr().out
    assert main([*command, "--job", "1099", "--out", str(tmp_path / "out")]) == 2
    assert "--job: unknown waiting job '1099'; did you mean '10" in capsys.readouterr().err
    assert not (tmp_path / "out").exists(), "nothing is written, and nothing was simulated"


def test_a_job_that_does_not_wait_is_reported_although_none_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.DataFrame({"job_id": ["a"], "submit_s": 0.0, "n_accelerators": 8, "start_s": 0.0})
    table.assign(estimate_s=HOUR).to_csv(tmp_path / "jobs.csv", index=False)
    command = ["forecast", str(tmp_path / "jobs.csv"), "--accelerators", "8", "--replications", "2"]
    assert main([*command, "--job", "b"]) == 2
    assert "--job: unknown waiting job 'b'" in capsys.readouterr().err


def test_jobs_and_users_that_are_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = pd.DataFrame(
        {"job_id": ["r", "w1", "w2", "w3"], "submit_s": [0.0, 1.0, 2.0, 3.0], "n_accelerators": 8,
         "start_s": [0.0, None, None, None], "estimate_s": HOUR,
         "user": ["ann", "ann", "bo", "ann"]}
    )  # fmt: skip
    jobs.to_csv(tmp_path / "jobs.csv", index=False)
    command = ["forecast", str(tmp_path / "jobs.csv"), "--accelerators", "8", "--replications", "2"]
    assert main([*command, "--user", "ann"]) == 0
    shown = capsys.readouterr().out.partition("Assumed")[0]
    assert "w1" in shown
    assert "w3" in shown
    assert "w2" not in shown.partition("Start of each")[2]
    for words, message in (
        (["--job", "r"], "--job: job r runs already"),
        (["--job", "w9"], "unknown waiting job 'w9'; did you mean 'w"),
        (["--user", "anne"], "unknown user with waiting jobs 'anne'; did you mean 'ann'?"),
    ):
        assert main([*command, *words, "--out", str(tmp_path / "out")]) == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
