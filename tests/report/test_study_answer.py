"""The answer cards of studies, from tables written down by hand."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from clustersim.report.findings import findings
from clustersim.report.spans import change_spans
from clustersim.report.study_answer import study_answer
from clustersim.studies import define_study
from clustersim.studies.spec import Preview
from clustersim.studies.study_result import StudyResult

BASE = {
    "cluster": {"name": "one", "pools": {"h20": {"accelerator": "H20", "nodes": 2}}},
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "1 min"},
            "classes": [
                {
                    "name": "job",
                    "weight": 1,
                    "sizes": {1: 1},
                    "duration": {"kind": "exponential", "average": "10 min"},
                }
            ],
        },
        "jobs": 50,
        "load": 0.5,
    },
    "scheduler": {"policy": "fcfs"},
}
GRID = [(policy, load) for policy in ("fcfs", "easy") for load in (0.5, 0.7)]


def result_of(fields, *, failed=0, **tables):
    """A result whose tables are given instead of computed."""
    study = define_study(
        {
            "name": "by hand",
            "base": BASE,
            "parameters": {"scheduler.policy": ["fcfs", "easy"], "workload.load": [0.5, 0.7]},
            "replications": 4,
            **fields,
        }
    )
    runs = pd.DataFrame({"status": ["finished"] * 8 + ["failed"] * failed, "code": "c"})
    runs["replication"], runs["mean_wait_s"] = [k % 4 for k in range(len(runs))], 1.0
    result = StudyResult(study, runs)
    empty = dict.fromkeys(("capacities", "gains", "differences", "indices"))
    result.__dict__.update({**empty, **tables})
    return result


def points_of(means, *, half=10.0, overload=()):
    """Points of the grid; the metric is infinite at an overloaded point."""
    rows = []
    for number, ((policy, load), mean) in enumerate(zip(GRID, means, strict=True)):
        value = math.inf if number in overload else mean
        rows.append(
            {
                "point": number,
                "scheduler.policy": policy,
                "workload.load": load,
                "replications": 4,
                "overload": number in overload,
                "mean_wait_s": value,
                "mean_wait_s_low": value - half,
                "mean_wait_s_high": value + half,
            }
        )
    return pd.DataFrame(rows)


OBJECTIVE = {"objective": {"metric": "mean_wait_s", "at_most": "2 min"}}


def test_points_and_an_objective():
    answer = study_answer(result_of(OBJECTIVE, points=points_of([100.0, 400.0, 60.0, 125.0])))
    assert answer.sentence == (
        "Meets the objective (mean wait ≤ 2 min): 2 of 4 points (1 of 4 is undecided: the 95 % "
        "interval includes the limit); best: easy, offered load 0.500, with mean wait 60 s; what "
        "matters most: offered load."
    )
    assert (answer.label, answer.value) == ("mean wait, easy, offered load 0.500", "60 s")
    assert answer.interval == "95 % interval 50 to 70 s"
    # Means over the other parameter: 80 and 262.5 s by load, 250 and 92.5 s by policy.
    assert answer.hinges_on == (
        "Offered load: mean wait is 80 s with 0.5 and 262 s with 0.7, averaged over the other "
        "parameters.",
        "Policy: mean wait is 92.5 s with easy and 250 s with fcfs, averaged over the other "
        "parameters.",
        "Chance: 4 replications; the second best, fcfs, offered load 0.500, is clearly worse "
        "(100 s).",
    )


def test_points_without_intervals_are_not_undecided():
    points = points_of([100.0, 400.0, 60.0, 125.0]).drop(columns="mean_wait_s_high")
    answer = study_answer(result_of(OBJECTIVE, points=points))
    assert "(mean wait ≤ 2 min): 2 of 4 points; best:" in answer.sentence
    assert answer.interval == "no 95 % interval: 4 replications"


@pytest.mark.parametrize(
    ("means", "words", "step"),
    [
        ([10.0, 10.0, 10.0, 10.0], "all 4 points", "Increase the load"),
        ([900.0, 800.0, 700.0, 600.0], "no point", "Add capacity, reduce the load"),
    ],
)
def test_all_or_no_point_meets_the_objective(means, words, step):
    answer = study_answer(result_of(OBJECTIVE, points=points_of(means)))
    assert f"(mean wait ≤ 2 min): {words};" in answer.sentence
    assert any(text.startswith(step) for text in answer.next_steps)


def test_overlapping_intervals_and_failures_lead_to_a_next_step():
    fields = {"metrics": ["mean_wait_s"]}
    answer = study_answer(
        result_of(fields, failed=2, points=points_of([60.0, 500.0, 65.0, 400.0], overload=(1,)))
    )
    assert answer.sentence.startswith("Best: fcfs, offered load 0.500, with mean wait 60 s;")
    assert "second best, easy, offered load 0.500, may be as good (65 s)" in answer.hinges_on[3]
    assert answer.hinges_on[2] == "Overload, without finite waits: fcfs, offered load 0.700."
    assert answer.hinges_on[4] == "Failures: 2 of 10 runs failed and are left out."
    assert "--resume" in answer.next_steps[0]
    assert answer.next_steps[1].startswith("Add replications")


def test_every_point_is_overloaded():
    points = points_of([1.0] * 4, overload=(0, 1, 2, 3))
    answer = study_answer(result_of({"metrics": ["mean_wait_s"]}, points=points))
    assert answer.sentence == "No point has a finite mean wait: all are overloaded."


CAPACITY = {
    **OBJECTIVE,
    "parameters": {"scheduler.policy": ["fcfs", "easy"]},
    "capacity": {"of": "workload.load", "between": [0.3, 1.0]},
}


def capacities_of(rows):
    names = ["scheduler.policy", "capacity", "capacity_low", "capacity_high", "note"]
    return pd.DataFrame(rows, columns=names).assign(jobs_per_day=1234.0, runs=12)


def test_capacities():
    table = capacities_of([("fcfs", 0.8, 0.78, 0.82, ""), ("easy", 0.9, 0.88, 0.92, "")])
    answer = study_answer(result_of(CAPACITY, points=points_of([1.0] * 4), capacities=table))
    assert answer.sentence == (
        "Meets the objective (mean wait ≤ 2 min): up to offered load 0.800 at worst and 0.900 at "
        "best; best: easy; what matters most: policy."
    )
    assert (answer.label, answer.value) == ("offered load at the objective, easy", "0.900")
    assert answer.interval == "95 % interval 0.880 to 0.920, 1,234 jobs a day"
    assert answer.hinges_on == (
        "Policy: offered load at the objective is 0.800 with fcfs and 0.900 with easy.",
        "Chance: 4 replications; the second best, fcfs, is clearly worse (0.800).",
    )


def test_capacities_that_are_alike_and_that_are_unknown():
    table = capacities_of(
        [("fcfs", 0.9, 0.8, 1.0, "at the edge"), ("easy", 0.9, 0.8, 1.0, "at the edge")]
    )
    answer = study_answer(result_of(CAPACITY, points=points_of([1.0] * 4), capacities=table))
    assert "up to offered load 0.900; both cases are equally good (0.900)." in answer.sentence
    assert answer.hinges_on[-1] == "Note on the best: at the edge."


@pytest.mark.parametrize(
    ("capacity", "note", "words", "number"),
    [
        (math.nan, "missed at every value from 0.3", "missed at every value", "less than 0.300"),
        (math.inf, "kept at every value up to 1", "no job waits in any run", "more than 1.000"),
    ],
)
@pytest.mark.parametrize("quick", [False, True])
def test_capacities_beyond_the_range_are_no_answer(capacity, note, words, number, quick):
    table = capacities_of([("fcfs", *[capacity] * 3, note), ("easy", *[capacity] * 3, note)])
    result = result_of(CAPACITY, points=points_of([1.0] * 4), capacities=table)
    result.runs["mean_wait_s"] = 0.0
    if quick:
        object.__setattr__(result.study.spec, "preview", Preview(changes={"replications": 2}))
    answer = study_answer(result)
    assert answer.sentence.startswith(
        "Quick version (--quick): not answered:" if quick else "Not answered:"
    )
    assert words in answer.sentence
    assert "in all 2 cases" in answer.sentence
    assert (answer.value, answer.interval[:18]) == (number, "no 95 % interval: ")
    assert answer.next_steps[0].startswith("Run the study without --quick") == quick
    (finding, _) = findings(result)
    assert f"the capacity is {number}" in finding


def test_some_capacities_beyond_the_range():
    table = capacities_of(
        [("fcfs", 0.8, 0.7, 0.9, ""), ("easy", *[math.inf] * 3, "kept at every value up to 1")]
    )
    answer = study_answer(result_of(CAPACITY, points=points_of([1.0] * 4), capacities=table))
    assert "and more than 1.000 in 1 of 2 cases (met at every value tried)" in answer.sentence


def test_gains_of_capacity_are_the_answer_if_systems_are_compared():
    fields = {**CAPACITY, "compare": {"of": "scheduler.policy", "baseline": "fcfs"}}
    names = ["system", "gain", "gain_low", "gain_high", "pairs"]
    gains = pd.DataFrame([("easy", 0.1, 0.08, 0.12, 4)], columns=names)
    gains = gains.assign(baseline="fcfs", note="")
    table = capacities_of([("fcfs", 0.8, 0.78, 0.82, ""), ("easy", 0.9, 0.88, 0.92, "a note")])
    known = {"points": points_of([1.0] * 4), "capacities": table}
    answer = study_answer(result_of(fields, **known, gains=gains))
    assert answer.sentence == (
        "At the objective (mean wait ≤ 2 min), offered load of fcfs: 0.800. Difference from it: "
        "easy +0.100 (95 % interval +0.080 to +0.120; +12 %)."
    )
    assert answer.label == "offered load at the objective, easy against fcfs"
    assert (answer.value, answer.interval) == ("+0.100 (+12 %)", "95 % interval +0.080 to +0.120")
    assert answer.hinges_on == (
        "Chance: 4 replications, with the same random numbers for all systems; of fcfs itself: "
        "95 % interval 0.780 to 0.820.",
        "Note on easy: a note.",
    )
    gains["gain_low"] = -0.02
    answer = study_answer(result_of(fields, **known, gains=gains))
    assert "(95 % interval −0.020 to +0.120, so it may be 0; +12 %)" in answer.sentence
    assert answer.next_steps == (
        "Add replications (replications: N, then --resume): a difference may be 0.",
    )
    overload = gains.assign(note="overload begins at a capacity: bounds, not a 95 % interval")
    answer = study_answer(result_of(fields, **known, gains=overload))
    assert answer.interval == "between −0.020 and +0.120, because overload begins at a capacity"
    gains["gain_high"] = math.inf
    assert "best: easy" in study_answer(result_of(fields, **known, gains=gains)).sentence


COMPARE = {"metrics": ["mean_wait_s"], "compare": {"of": "scheduler.policy", "baseline": "fcfs"}}


def differences_of(rows):
    names = ["workload.load", "relative", "relative_low", "relative_high"]
    table = pd.DataFrame(rows, columns=names)
    return table.assign(metric="mean_wait_s", system="easy", baseline="fcfs", pairs=4)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            [(0.5, -0.4, -0.5, -0.3), (0.7, -0.6, -0.7, -0.5)],
            "Best at both points: easy, with 40 % (offered load 0.500) to 60 % (offered load "
            "0.700) less wait than fcfs; what matters most: offered load.",
        ),
        (
            [(0.5, 0.4, 0.3, 0.5), (0.7, 0.6, 0.5, 0.7)],
            "No system is better than fcfs in mean wait; clearly worse: easy (+40 % to +60 %); "
            "what matters most: offered load.",
        ),
        (
            [(0.5, -0.1, -0.5, 0.3), (0.7, 0.0, -0.4, 0.5)],
            "No system clearly differs from fcfs in mean wait; what matters most: offered load.",
        ),
    ],
)
def test_differences(rows, sentence):
    points = points_of([100.0, 400.0, 60.0, 125.0])
    answer = study_answer(result_of(COMPARE, points=points, differences=differences_of(rows)))
    assert answer.sentence == sentence
    assert answer.label.endswith("against fcfs, over 2 points")
    # Each end of the range has its own interval; the smallest effect comes first.
    places = [
        f"at offered load {load:.3f}: 95 % interval {low:+.0%} to {high:+.0%}"
        for load, _, low, high in sorted(rows, key=lambda row: abs(row[1]))
    ]
    expected = "; ".join(places).replace("-", "−").replace("%", " %").replace("  %", " %")
    assert answer.interval == expected
    assert "Chance: 4 pairs of runs, each pair on the same random numbers." in answer.hinges_on


def test_without_a_clear_effect_nothing_matters_most():
    """A headline does not name what matters most if all intervals overlap."""
    points = points_of([100.0, 400.0, 60.0, 125.0], half=500.0)
    table = differences_of([(0.5, -0.4, -2.42, 1.21), (0.7, -0.6, -1.3, 0.08)]).assign(pairs=3)
    answer = study_answer(result_of(COMPARE, points=points, differences=table))
    assert answer.sentence == "No system clearly differs from fcfs in mean wait."
    assert answer.interval == "at all points: 95 % interval not determined by 3 pairs of runs"
    assert answer.hinges_on[0].endswith("; this may be chance.")
    assert "too few for narrow intervals" in answer.hinges_on[-1]


def test_the_range_of_the_runs_replaces_an_interval_of_few_runs():
    """Card, findings and table say the same about 3 pairs of runs."""
    table = differences_of([(0.5, -0.4, -2.42, 1.21)]).assign(pairs=3)
    result = result_of(COMPARE, points=points_of([100.0, 400.0, 60.0, 125.0]), differences=table)
    runs = pd.DataFrame(
        {
            "scheduler.policy": ["fcfs", "easy"] * 3,
            "workload.load": 0.5,
            "replication": [0, 0, 1, 1, 2, 2],
            "mean_wait_s": [100.0, 20.0, 100.0, 60.0, 100.0, 110.0],
        }
    )
    fields = {"status": "finished", "draw": -1, "code": "c", "seed": 0}
    object.__setattr__(result, "runs", runs.assign(**fields))
    answer = study_answer(result)
    words = "95 % interval not determined by 3 pairs of runs; single pairs: −80 % to +10 %"
    assert answer.interval == words
    relative = change_spans(result, table, "relative", "mean_wait_s")[0]
    assert (relative.prefix, relative.low, relative.high) == ("3 pairs: ", -0.8, pytest.approx(0.1))


def test_a_system_without_effect_is_named():
    rows = [(0.5, 0.0, 0.0, 0.0)]
    table = differences_of(rows).assign(difference=0.0, relative_note="", pairs=2)
    result = result_of(COMPARE, points=points_of([100.0, 400.0, 60.0, 125.0]), differences=table)
    runs = pd.DataFrame(
        {
            "scheduler.policy": ["fcfs", "easy"] * 2,
            "workload.load": 0.5,
            "replication": [0, 0, 1, 1],
            "mean_wait_s": [100.0, 100.0, 60.0, 60.0],
        }
    )
    object.__setattr__(result, "runs", runs.assign(status="finished", draw=-1, code="c"))
    assert study_answer(result).hinges_on[0].startswith("easy is identical to fcfs in every run")
    assert findings(result) == []
    assert not any(step.startswith("Add") for step in study_answer(result).next_steps)
    result.runs.loc[3, "mean_wait_s"] = 61.0
    (finding,) = findings(result)
    assert finding == "easy against fcfs at offered load 0.500: mean wait is the same (2 pairs)."


def test_a_point_from_which_a_run_is_left_out_has_no_interval():
    points = points_of([100.0, 400.0, 60.0, 125.0])
    result = result_of({"metrics": ["mean_wait_s"]}, points=points)
    values = {"point": [2, 2], "mean_wait_s": [60.0, math.nan], "replication": [0, 1]}
    runs = pd.DataFrame(values).assign(status="finished", draw=-1, code="c")
    object.__setattr__(result, "runs", runs)
    assert study_answer(result).interval == "95 % interval unknown: 1 of 2 runs without a value"


def test_systems_of_which_only_a_worse_one_differs_clearly():
    """The best is not clearly better; the sentence names the one that is clearly worse."""
    rows = [
        ("a", -0.2, -0.9, 0.5),
        ("b", 0.0, 0.0, 0.0),
        ("c", 0.5, 0.4, 0.6),
    ]
    names = ["system", "relative", "relative_low", "relative_high"]
    table = pd.DataFrame(rows, columns=names)
    table = table.assign(metric="mean_wait_s", baseline="fcfs", pairs=4)
    points = points_of([100.0, 400.0, 60.0, 125.0])
    answer = study_answer(result_of(COMPARE, points=points, differences=table))
    assert answer.sentence.startswith(
        "No system is clearly better than fcfs in mean wait; clearly worse: c (+50 %); no clear "
        "effect: a and b;"
    )
    assert (answer.label, answer.value) == ("mean wait, c against fcfs", "+50 %")
    assert answer.interval == "95 % interval +40 % to +60 %"
    # Without c, no system differs: the largest difference is that of a, not that of b (0 %).
    answer = study_answer(result_of(COMPARE, points=points, differences=table.head(2)))
    assert answer.sentence.startswith(
        "No system clearly differs from fcfs in mean wait; the largest difference is that of a;"
    )
    assert answer.next_steps[0].startswith("Add replications")


def test_sobol_indices():
    names = ["metric", "parameter", "first", "total", "total_low", "total_high"]
    table = pd.DataFrame(
        [
            ("mean_wait_s", "workload.load", 0.6, 0.7, 0.65, 0.75),
            ("mean_wait_s", "scheduler.policy", 0.1, 0.3, 0.2, 0.4),
        ],
        columns=names,
    )
    answer = study_answer(
        result_of({"metrics": ["mean_wait_s"]}, points=points_of([1.0] * 4), indices=table)
    )
    assert answer.sentence == (
        "What matters most for mean wait: offered load (70 %), policy (30 %), each with its "
        "interactions."
    )
    assert (answer.value, answer.interval) == ("70 %", "95 % bootstrap interval 65 to 75 %")


def test_without_a_finished_run_there_is_no_answer():
    result = result_of({}, points=points_of([1.0] * 4))
    result.runs["status"] = "failed"
    assert study_answer(result) is None
