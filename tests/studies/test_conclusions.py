"""What is concluded from tables of runs made by hand, and from studies that are not whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conducted import GRID, conduct, policy_file

from clustersim.analysis.samples import Sample
from clustersim.studies import define_study, load_result, make_runs
from clustersim.studies.capacity.capacities import capacities_table
from clustersim.studies.capacity.gains import gains_table
from clustersim.studies.conclusions import differences_table
from clustersim.studies.points import points_table
from clustersim.studies.search_spec import CapacitySearch, Objective
from clustersim.studies.spec import Comparison
from tests.study_stores import keep_runs

LOADS = (0.5, 0.7, 0.9)
OBJECTIVE = Objective(metric="mean_wait_s", at_most="10 s")
SEARCH = CapacitySearch(between=(0.5, 0.9), tolerance=0.2)


def row(policy: str, load: float, replication: int, wait: float, **more: Any) -> dict[str, Any]:
    return {
        "run": f"{policy}-{load}-{replication}",
        "point": LOADS.index(load) if load in LOADS else len(LOADS),
        "scheduler.policy": policy,
        "workload.load": load,
        "draw": -1,
        "replication": replication,
        "status": "finished",
        "mean_wait_s": wait,
        "wait_rise_s": 0.0,
        "backlog_growth": 0.0,
        "offered_load": load,
        "jobs_per_day": 100 * load,
        "error": "",
        **more,
    }


def curve(policy: str, factor: float, **more: Any) -> list[dict[str, Any]]:
    """Waits of 0, 10 and 20 s at the three loads, times a factor, a little apart."""
    waits = zip(LOADS, (0.0, 10.0, 20.0), strict=True)
    return [
        row(policy, load, k, factor * wait * (1 + 0.1 * k), **more)
        for load, wait in waits
        for k in (0, 1)
    ]


def capacities(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return capacities_table(pd.DataFrame(rows), ["scheduler.policy"], SEARCH, OBJECTIVE)


def test_a_draw_that_breaks_the_objective_everywhere_is_below_the_range() -> None:
    kept = [each for draw in range(5) for each in curve("fcfs", 1.0, draw=draw)]
    broken = [row("fcfs", x, k, 50.0, draw=w) for w in range(5, 10) for x in LOADS for k in (0, 1)]
    (found,) = capacities([*curve("fcfs", 1.0), *kept, *broken]).to_dict("records")
    assert found["capacity_draw_low"] == found["jobs_per_day_draw_low"] == -np.inf
    assert 0.6 < found["capacity_draw_high"] < 0.8


def test_a_value_of_few_of_the_runs_is_not_that_of_the_point() -> None:
    rows = [row("fcfs", 0.5, k, wait) for k, wait in enumerate([3.0, np.nan, np.nan])]
    found = points_table(pd.DataFrame(rows), ["workload.load"], ["mean_wait_s"])
    assert found["mean_wait_s"].isna().all()
    half = points_table(pd.DataFrame(rows[:2]), ["workload.load"], ["mean_wait_s"])
    assert half["mean_wait_s"].tolist() == [3.0]


def test_draws_without_a_run_are_reported() -> None:
    lost = [row("fcfs", 0.5, 0, np.nan, draw=3, status="failed")]
    (found,) = capacities([*curve("fcfs", 1.0), *lost]).to_dict("records")
    assert "1 run failed; coefficient draws without a run: 1" in found["note"]


def test_a_system_of_which_every_run_failed_has_no_capacity() -> None:
    rows = [row("fcfs", 0.5, k, np.nan, status="failed") for k in (0, 1)]
    (found,) = capacities(rows).to_dict("records")
    assert np.isnan(found["capacity"])
    assert found["note"] == "every run failed"


def test_a_metric_without_a_value_is_not_a_missed_objective() -> None:
    rows = [row("fcfs", load, k, 1.0, failures_per_day=np.nan) for load in LOADS for k in (0, 1)]
    objective = Objective(metric="failures_per_day", at_most=2.0)
    found = capacities_table(pd.DataFrame(rows), ["scheduler.policy"], SEARCH, objective)
    assert found["note"].tolist() == ["without a value in every run"]
    assert found["capacity"].isna().all()


def test_next_to_overload_a_bracket_is_reported_not_an_interval() -> None:
    rows = [row("fcfs", load, k, 1.0) for load in (0.5, 0.7) for k in (0, 1)]
    rows += [row("fcfs", 0.9, k, 99.0, backlog_growth=0.3) for k in (0, 1)]
    (found,) = capacities(rows).to_dict("records")
    assert found["note"] == "overload begins between 0.7 and 0.9"
    compare = Comparison(of="scheduler.policy", baseline="fcfs")
    both = pd.DataFrame([*rows, *curve("easy", 1.0)])
    (gain,) = gains_table(both, ["scheduler.policy"], compare, SEARCH, OBJECTIVE).to_dict("records")
    assert gain["note"] == "overload begins at a capacity: bounds, not a 95 % interval"
    (gain,) = gains_table(
        both.assign(backlog_growth=0.0), ["scheduler.policy"], compare, SEARCH, OBJECTIVE
    ).to_dict("records")
    assert gain["note"] == ""


def test_quantiles_that_are_0_may_differ_all_the_same() -> None:
    """2 of 50 jobs wait in one system, so more jobs could move its 95th percentile above 0."""
    some = Sample.of([0.0] * 48 + [5.0, 9.0])
    samples = {
        "a0": some, "a1": Sample.of([0.0] * 50), "b0": Sample.of([0.0] * 50),
        "b1": Sample.of([0.0] * 50),
    }  # fmt: skip
    rows = [
        row(name, 0.5, k, 0.0, run=f"{name}{k}", p95_wait_s=0.0) for name in "ab" for k in (0, 1)
    ]

    def compared(samples: dict[str, Sample]) -> dict[str, Any]:
        (found,) = differences_table(
            pd.DataFrame(rows),
            ["scheduler.policy"],
            of="scheduler.policy",
            baseline="b",
            metrics=["p95_wait_s"],
            samples={key: {"wait_s": each} for key, each in samples.items()},
        ).to_dict("records")
        return found

    found = compared(samples)
    assert (found["difference"], found["difference_low"]) == (0.0, 0.0)
    assert found["difference_high"] > 0
    assert found["relative_note"] == "both are 0"
    same = compared(samples | {"b0": some})
    assert (same["difference_high"], same["relative_note"]) == (0.0, "")


def test_rising_waits_at_the_capacity_are_reported() -> None:
    (found,) = capacities(curve("fcfs", 1.0, wait_rise_s=30.0)).to_dict("records")
    assert "longer runs would show less capacity" in found["note"]


def test_gains_by_hand() -> None:
    # Through two loads log(1 + wait / 10 s) is a line, which is log 2 at the objective.
    compare = Comparison(of="scheduler.policy", baseline="fcfs")
    rows = pd.DataFrame([*curve("fcfs", 1.0), *curve("easy", 0.6)])
    fcfs_rows = rows["scheduler.policy"] == "fcfs"
    load = rows["workload.load"]
    rows = rows[np.where(fcfs_rows, load < 0.8, load > 0.6)]
    found = gains_table(rows, ["scheduler.policy"], compare, SEARCH, OBJECTIVE)
    (gain,) = found.to_dict("records")
    assert (gain["system"], gain["pairs"], gain["replications"]) == ("easy", 2, 2)
    # mean waits are 10.5 s at 0.7 under fcfs, 6.3 and 12.6 s at 0.7 and 0.9 under easy
    fcfs = 0.5 + 0.2 * np.log(2) / np.log(2.05)
    easy = 0.7 + 0.2 * np.log(2 / 1.63) / np.log(2.26 / 1.63)
    assert gain["gain"] == pytest.approx(easy - fcfs)
    # the capacities of each replication alone; to first order, the error is theirs
    alone = (
        0.7 + 0.2 * np.log(2 / 1.66) / np.log(2.32 / 1.66) - 0.5 - 0.2 * np.log(2) / np.log(2.1),
        0.2 * np.log(2 / 1.6) / np.log(2.2 / 1.6),
    )
    spread = np.std(alone, ddof=1)
    assert gain["gain_high"] - gain["gain"] == pytest.approx(12.706204736432095 * spread, rel=0.15)
    assert gain["same_jobs"]
    other = rows.assign(jobs_per_day=rows["jobs_per_day"].where(rows["scheduler.policy"] == "easy"))
    other["jobs_per_day"] = other["jobs_per_day"].fillna(77.0)
    (scaled,) = gains_table(other, ["scheduler.policy"], compare, SEARCH, OBJECTIVE).to_dict(
        "records"
    )
    assert not scaled["same_jobs"]


def test_without_a_control_there_is_one_estimate() -> None:
    (found,) = capacities(curve("fcfs", 1.0)).to_dict("records")
    for end in ("", "_low", "_high"):
        assert found[f"capacity_plain{end}"] == found[f"capacity{end}"]
    kept = capacities(curve("fcfs", 0.4)).to_dict("records")[0]
    assert (kept["capacity"], kept["capacity_plain"]) == (np.inf, np.inf)


def test_a_pilot_whose_search_failed_has_no_capacity() -> None:
    rows = [row("fcfs", load, k, 5.0) for load in (0.5, 0.9) for k in (0, 1)]
    rows += [row("fcfs", 0.7, k, np.nan, status="failed") for k in range(12)]
    (found,) = capacities(rows).to_dict("records")
    assert np.isnan(found["capacity"])
    assert "every run at a value of the search failed" in found["note"]


def test_a_gain_has_the_same_control_for_both_systems() -> None:
    """A control of only one of the systems would undo the common random numbers."""
    random = np.random.Generator(np.random.PCG64(1))
    noise, rows, samples = 1 + 0.3 * random.standard_normal(12), [], {}
    for policy, factor in (("fcfs", 1.0), ("easy", 0.8)):
        for load, wait in zip(LOADS, (4.0, 10.0, 25.0), strict=True):
            for k in range(12):
                made = row(policy, load, k, factor * wait * noise[k])
                rows.append(made)
                work = noise[k] if policy == "fcfs" else 1.0
                samples[made["run"]] = {
                    "wait_s": Sample.of([made["mean_wait_s"]]),
                    "unfinished_work_s": Sample.of([work]),
                    "stationary_unfinished_work_s": Sample.of([0.0, 2.0]),
                }
    compare = Comparison(of="scheduler.policy", baseline="fcfs")
    given = (pd.DataFrame(rows), ["scheduler.policy"])
    assert capacities_table(*given, SEARCH, OBJECTIVE, samples=samples)["capacity"].notna().all()
    (gain,) = gains_table(*given, compare, SEARCH, OBJECTIVE, samples=samples).to_dict("records")
    (plain,) = gains_table(*given, compare, SEARCH, OBJECTIVE).to_dict("records")
    assert gain["gain"] == pytest.approx(plain["gain"])
    assert gain["gain_high"] - gain["gain_low"] == pytest.approx(
        plain["gain_high"] - plain["gain_low"]
    )


def test_a_point_that_a_design_repeats_is_one_pair() -> None:
    rows = [*curve("fcfs", 1.0), *curve("easy", 0.5)]
    parameters = ["scheduler.policy", "workload.load"]
    once, thrice = (
        differences_table(
            pd.DataFrame(rows * times),
            parameters,
            of="scheduler.policy",
            baseline="fcfs",
            metrics=["mean_wait_s"],
        )
        for times in (1, 3)
    )
    assert once["pairs"].tolist() == [2, 2, 2]
    pd.testing.assert_frame_equal(thrice, once, check_exact=True)


def test_overload_is_one_thing_in_all_tables() -> None:
    full = [row(p, 1.0, k, 50.0 + k, draw=w) for p in ("fcfs", "easy") for k in (0, 1)
            for w in (-1, 0, 1)]  # fmt: skip
    runs = pd.DataFrame([*curve("fcfs", 1.0), *curve("easy", 0.5), *full])
    parameters = ["scheduler.policy", "workload.load"]
    points = points_table(runs, parameters, ["mean_wait_s"]).set_index(parameters)
    assert points["overload"].to_dict() == {key: key[1] == 1.0 for key in points.index}
    assert points.loc[("fcfs", 1.0), "mean_wait_s"] == np.inf
    assert points.loc[("fcfs", 1.0), "mean_wait_s_draw_low"] == np.inf
    pairs = differences_table(
        runs, parameters, of="scheduler.policy", baseline="fcfs", metrics=["mean_wait_s"]
    ).set_index("workload.load")
    assert np.isnan(pairs.loc[1.0, "difference"])
    assert pairs.loc[0.7, "relative"] == pytest.approx(-0.5)


def test_overload_of_a_base_scenario_is_reported(tmp_path: Path) -> None:
    fields = {**GRID, "set": {"workload.load": 1.0}, "parameters": {"scheduler.policy": ["fcfs"]}}
    assert make_runs(define_study(fields), tmp_path / "out", workers=1)
    assert load_result(tmp_path / "out").points["overload"].tolist() == [True]


SOBOL = {
    **GRID,
    "parameters": {
        "workload.load": {"from": 0.3, "to": 0.7},
        "workload.generate.classes.small.duration.average": {"from": "1 min", "to": "2 min"},
    },
    "sample": {"method": "sobol-indices", "points": 8},
    "metrics": ["utilisation"],
    "replications": 1,
}


def test_indices_of_a_part_of_a_study_leave_out_what_is_not_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert make_runs(define_study(SOBOL), out, workers=1)
    whole = load_result(out).indices
    assert whole["first"].notna().all()
    keep_runs(out, 16)
    half = load_result(out).indices
    assert half["first"].isna().all(), "blocks A and B alone give no index"
    assert len(half) == len(whole)
    keep_runs(out, 0)
    assert load_result(out).indices is None


def test_a_finished_study_keeps_its_runs_whatever_changes(tmp_path: Path) -> None:
    own = policy_file(tmp_path / "own.py", "pass")
    fields = {**GRID, "parameters": {"scheduler.policy": ["fcfs", own]}, "replications": 2}
    before = conduct(fields, tmp_path / "out", workers=1)
    policy_file(tmp_path / "own.py", "self.changed = True")
    pd.testing.assert_frame_equal(load_result(tmp_path / "out").runs, before, check_exact=True)
    again = conduct(fields, tmp_path / "out", workers=1, resume=True)
    assert (again["run"] == before["run"]).tolist() == [True, True, False, False]
    assert len(again) == 4


def test_files_among_parameters_lie_beside_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy_file(tmp_path / "own.py", "pass")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    fields = {**GRID, "parameters": {"scheduler.policy": ["fcfs", "own.py:Own"]}}
    compare = {"compare": {"of": "scheduler.policy", "baseline": "own.py:Own"}}
    study = define_study({**fields, **compare, "replications": 2}, folder=tmp_path)
    assert make_runs(study, tmp_path / "out", workers=1)
    result = load_result(tmp_path / "out")
    assert result.runs["scheduler.policy"].unique().tolist() == ["fcfs", "own.py:Own"]
    assert set(result.differences["baseline"]) == {"own.py:Own"}
    assert (result.runs["status"] == "finished").all()
