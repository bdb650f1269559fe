"""`clustersim what-if` and `clustersim.what_if`: small cases by hand, and the whole command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.analysis.next_period import next_interval
from clustersim.calendar import DAY_S, HOUR_S
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.plots.what_if import draw_what_if
from clustersim.report.amounts import in_unit
from clustersim.report.of_what_if.answer import (
    _change,
    _in_other_periods,
    _moved,
    _unit,
    what_if_answer,
)
from clustersim.report.of_what_if.doubts import (
    apart_text,
    contradiction,
    doubt,
    is_apart,
    recorded_data,
    verb_of,
)
from clustersim.report.of_what_if.prices import prices_of
from clustersim.whatif.question import ask, load_text

HOURS = (3600, "h")
CLUSTER: dict[str, Any] = {
    "name": "lab",
    "pools": {"gpu": {"accelerator": "H200", "nodes": 2, "chips_per_node": 8}},
}


def table(submit_s: list[float], **columns: Any) -> pd.DataFrame:
    jobs = pd.DataFrame({"job_id": np.arange(1, len(submit_s) + 1), "submit_s": submit_s})
    return jobs.assign(**{"n_accelerators": 8, "duration_s": 3600.0, **columns})


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def month() -> pd.DataFrame:
    """Five weeks of jobs of six users in two partitions, with estimates."""
    generator = np.random.default_rng(2)
    count = 1200
    duration_s = generator.lognormal(8.0, 1.0, count)
    return table(
        np.sort(generator.uniform(0, 35 * DAY_S, count)).tolist(),
        n_accelerators=generator.choice([1, 2, 8, 16], count, p=[0.3, 0.2, 0.4, 0.1]),
        duration_s=duration_s,
        estimate_s=duration_s * generator.uniform(1, 4, count),
        user=generator.choice(list("abcdef"), count),
        vc=generator.choice(["prod", "dev"], count),
    )


@pytest.fixture(scope="module")
def answered(month: pd.DataFrame) -> Any:
    return cs.what_if(month, cluster=CLUSTER, load=1.1, add_nodes=1, replications=4)


def test_waits_by_hand() -> None:
    """Three jobs of 8 accelerators and an hour at once wait 0, 1 and 2 h, or 0, 0 and 1 h."""
    jobs = table([0.0, 0.0, 0.0], vc=["a", "b", "b"])
    found = cs.what_if(jobs, accelerators=8, add_accelerators=8, policy="fcfs")
    groups = found.groups.set_index(["kind", "group"])
    assert groups.loc[("all", "all"), "before_mean_wait_s"] == 3600.0
    assert groups.loc[("all", "all"), "after_mean_wait_s"] == 1200.0
    assert groups.loc[("partition", "b"), "before_mean_wait_s"] == 1.5 * 3600.0
    assert groups.loc[("partition", "b"), "after_mean_wait_s"] == 1800.0
    assert groups.loc[("size", "5-8"), "change_mean_wait_s"] == -2400.0
    assert np.isnan(groups.loc[("all", "all"), "before_mean_wait_s_low"])  # too short a log
    assert "no intervals: the log is shorter than two days" in " ".join(found.notes)


def test_groups_are_the_queues_to_which_jobs_belong() -> None:
    """Three jobs of x share a node and wait 0, 1 and 2 h; the job of y has its own."""
    pool = {"accelerator": "H200", "nodes": 1, "chips_per_node": 8}
    pools = {space: {**pool, "queues": [f"{space}/lq"]} for space in "xy"}
    jobs = table([0.0] * 4, job_id=["x/1", "x/2", "x/3", "y/1"], partition="lq")
    found = cs.what_if(
        jobs, cluster={"name": "teams", "pools": pools}, load=2, method="compress", policy="fcfs",
        metric="mean_wait_s.x/lq",
    )  # fmt: skip
    groups = found.groups[found.groups["kind"] == "partition"].set_index("group")
    assert groups["before_mean_wait_s"].to_dict() == {"x/lq": 3600.0, "y/lq": 0.0}
    with pytest.raises(InputError, match="unknown partition or size of jobs 'lq'"):
        cs.what_if(jobs, cluster={"name": "teams", "pools": pools}, load=2,
                   metric="mean_wait_s.lq")  # fmt: skip


def test_utilisation_energy_and_cost_by_hand() -> None:
    """Two jobs of 8 accelerators for a day and half a day on 16, within two days of submissions."""
    jobs = table([0.0, DAY_S, 2 * DAY_S], duration_s=[DAY_S, DAY_S / 2, 60.0], vc=["a", "b", "b"])
    found = cs.what_if(jobs, cluster=CLUSTER, add_nodes=2)
    groups = found.groups.set_index("group")
    assert groups.loc["a", "before_utilisation"] == pytest.approx(8 / (16 * 2))
    assert groups.loc["b", "before_utilisation"] == pytest.approx(4 / (16 * 2))
    assert groups.loc["a", "after_utilisation"] == pytest.approx(8 / (32 * 2))
    fleet = found.fleet.set_index("system")
    assert fleet.loc["as it is", "accelerators"] == 16
    assert fleet.loc["2 more nodes", "accelerators"] == 32
    # Twice the nodes cost twice the capital, and draw twice the idle power at least.
    assert fleet["cost_cny_per_year"].iloc[1] > 1.8 * fleet["cost_cny_per_year"].iloc[0]
    assert found.cost_cny_per_year == pytest.approx(
        fleet["cost_cny_per_year"].iloc[1] - fleet["cost_cny_per_year"].iloc[0]
    )
    assert groups.loc["a", "before_energy_j"] > groups.loc["b", "before_energy_j"] > 0


def test_the_log_as_it_happened_is_a_replay(month: pd.DataFrame, answered: Any) -> None:
    plain = cs.run(
        {
            "cluster": CLUSTER,
            "workload": {"trace": str(_written(month))},
            "scheduler": {"policy": "easy"},
        }
    )
    waits = plain.jobs["wait_s"]
    row = answered.groups.iloc[0]
    assert row["before_mean_wait_s"] == pytest.approx(waits.mean())
    assert row["before_p95_wait_s"] == pytest.approx(np.quantile(waits, 0.95))
    assert row["jobs"] == len(month)


def _written(jobs: pd.DataFrame) -> Path:
    path = Path("month.csv")
    jobs.to_csv(path, index=False)
    return path


def test_three_systems_and_their_order(answered: Any) -> None:
    names = [(system.key, system.name) for system in answered.question.systems]
    assert names == [
        ("before", "as it is"),
        ("load", "10 % more load"),
        ("after", "10 % more load and 1 more node"),
    ]
    row = answered.groups.iloc[0]
    assert row["before_mean_wait_s"] < row["load_mean_wait_s"]
    assert row["after_mean_wait_s"] < row["load_mean_wait_s"]
    assert row["change_mean_wait_s"] == row["after_mean_wait_s"] - row["load_mean_wait_s"]


def test_intervals_hold_what_happened(answered: Any) -> None:
    groups = answered.groups
    for key in ("before", "load", "after"):
        for metric in ("mean_wait_s", "p95_wait_s", "utilisation"):
            value, low, high = (
                groups[f"{key}_{metric}{end}"].dropna() for end in ("", "_low", "_high")
            )
            assert len(value) > 3
            assert (low <= value).all()
            assert (value <= high).all()
            assert (low < high).any()


def test_both_sides_run_the_same_drawn_jobs(answered: Any) -> None:
    own = answered.replications[answered.replications["kind"] == "all"]
    jobs = own.pivot(index="replication", columns="system", values="jobs")
    assert (jobs["load"] == jobs["after"]).all()
    assert jobs["before"].nunique() > 1
    work = answered.replications.groupby(["system", "replication", "kind"])["jobs"].sum().unstack()
    assert (work["all"] == work["partition"]).all()
    assert (work["all"] == work["size"]).all()


def test_partitions_add_up(answered: Any) -> None:
    groups = answered.groups
    for column in ("before_utilisation", "after_energy_j", "load_cost_cny"):
        parts = groups.groupby("kind")[column].sum()
        assert parts["partition"] == pytest.approx(parts["all"])
        assert parts["size"] == pytest.approx(parts["all"])


def test_hinges_are_computed(answered: Any) -> None:
    hinges = answered.hinges
    assert set(hinges["key"]) == {
        "the policy", "the load", "the run-time estimates", "the nodes in service",
    }  # fmt: skip
    assert hinges["moves_s"].abs().is_monotonic_decreasing
    usual = answered.groups.iloc[0][f"after_{answered.metric}"]
    assert np.allclose(hinges["after_s"] - usual, hinges["moves_s"])
    policy = hinges.set_index("key").loc["the policy"]
    fcfs = cs.what_if(
        answered.question.log, cluster=CLUSTER, load=1.1, add_nodes=1, policy="fcfs",
        replications=0,
    ).groups.iloc[0]  # fmt: skip
    assert policy["before_s"] == fcfs[f"load_{answered.metric}"]
    assert policy["after_s"] == fcfs[f"after_{answered.metric}"]


def test_the_sentence_names_what_moves_the_answer_most(answered: Any) -> None:
    answer = what_if_answer(answered)
    found = re.fullmatch(
        r"With 1 more node, at 10 % more load, the 95th percentile of wait falls from "
        r"[\d.,]+ (?P<unit>s|min|h|d) \([\d.,]+ to [\d.,]+ (?P=unit)\) to [\d.,]+ (?P=unit) "
        r"\([\d.,]+ to [\d.,]+ (?P=unit)\) at [\d.,]+ (million )?CNY of "
        r"purchase and electricity a year; "
        r"this hinges on (?P<hinge>.*); it falls in (?P<periods>.*) periods drawn from the log.*\. "
        r"By partition: .*\.",
        answer.sentence,
    )
    assert found is not None, answer.sentence
    assert found["hinge"].startswith(answered.hinges.iloc[0]["key"])
    waits = answered.of("p95_wait_s", "all", "all")
    falls = np.subtract(waits["after"], waits["load"])[1:] < 0
    assert found["periods"] == (f"all {len(falls)}" if falls.all() else f"{falls.sum()} of 4")


def drawn(before: list[float], after: list[float]) -> Any:
    """An answer to which only the waits of all jobs belong."""
    systems = (SimpleNamespace(key="before"), SimpleNamespace(key="after"))
    waits = {"before": before, "after": after}
    return SimpleNamespace(
        metric="p95_wait_s", question=SimpleNamespace(compared=systems), waits=lambda _: waits
    )


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([100.0, 90.0, 80.0], [50.0, 60.0, 70.0], "falls in all 2 periods, too"),
        ([100.0, 90.0, 80.0], [50.0, 95.0, 70.0], "falls in only 1 of 2 periods"),
        ([1.0, 1.0, 1.0, 1.0], [9.0, 9.0, 9.0, 1.0], "rises in 2 of 3 periods"),
        ([100.0, 90.0], [90.0, 80.0], "falls in the one period, too"),
        ([100.0, 90.0], [100.0, 80.0], ""),
        ([100.0], [50.0], ""),
    ],
)  # fmt: skip
def test_in_how_many_periods_the_wait_moves_the_same_way(
    before: list[float], after: list[float], words: str
) -> None:
    text = _in_other_periods(drawn(before, after))
    assert text.replace("; it ", "").replace(" drawn from the log", "") == words


def test_the_recorded_wait_stands_next_to_the_simulated_one() -> None:
    """Three jobs of an hour on 8 accelerators wait 0, 1 and 2 h; the log recorded 10 h more."""
    jobs = table([0.0, 0.0, 0.0], start_s=[36_000.0, 39_600.0, 43_200.0])
    options: Any = {"accelerators": 8, "add_accelerators": 8, "metric": "mean_wait_s"}
    found = cs.what_if(jobs, **options)
    assert found.recorded_wait_s == 11 * HOUR_S
    answer = what_if_answer(found)
    assert answer.hinges_on[0] == (
        "The log recorded a mean wait of 11 h; the simulation of the same log says 1 h, a "
        "factor of 11 below. Run clustersim validate on this log before you rely on the answer."
    )
    assert answer.next_steps[0].startswith("Run clustersim validate")
    assert (
        "from 60 min to 20 min; but the simulated wait as it is, 60 min, is a factor of 11 below "
        "the recorded 660 min; none of"
    ) in answer.sentence
    near = cs.what_if(jobs.assign(start_s=[0.0, 3600.0, 7200.0]), **options)
    assert recorded_data(near) == {
        "metric": "mean_wait_s", "recorded_s": HOUR_S, "simulated_s": HOUR_S, "differs": False,
    }  # fmt: skip
    assert "recorded" not in what_if_answer(near).sentence
    without = cs.what_if(jobs.drop(columns="start_s"), **options)
    assert np.isnan(without.recorded_wait_s)
    assert recorded_data(without) is None


def test_each_partition_has_its_recorded_wait() -> None:
    """Partition a waits 0 h and 1 h as recorded; b waits for 2 h instead of the recorded 30 min."""
    jobs = table(
        [0.0, 0.0, 0.0], vc=["a", "a", "b"], start_s=[0.0, 3600.0, 1800.0], duration_s=3600.0
    )
    found = cs.what_if(jobs, accelerators=8, add_accelerators=8, metric="mean_wait_s.a")
    assert found.recorded_waits == {
        ("all", "all"): 1800.0, ("partition", "a"): 1800.0, ("partition", "b"): 1800.0,
        ("size", "5-8"): 1800.0,
    }  # fmt: skip
    sentence = what_if_answer(found).sentence
    assert "but the simulated wait" not in sentence
    assert sentence.endswith(
        " Other partitions: b falls from 120 to 60 min (simulated as it is: 120 min, a factor "
        "of 4 above the recorded 30 min)."
    )


def test_a_short_wait_is_taken_as_a_minute() -> None:
    assert apart_text(0.0, 7200.0) == "more than a factor of 120 above the recorded 0 h"
    assert not is_apart(0.0, 89.0)
    assert is_apart(0.0, 91.0)
    assert not is_apart(np.nan, 7200.0)


def test_an_interval_beyond_the_log_says_so() -> None:
    """A log of 5 weeks cannot show waits of more than 35 days."""
    row = pd.Series({"c": -12.0, "c_low": -513.0, "c_high": np.inf}) * 3600
    text = _change(row, "c", HOURS, "5 weeks")[1]
    assert text == "95 % interval −513 h to more than the log's 5 weeks more, from paired runs"
    row["c_low"], row["c_high"] = -np.inf, 3600.0
    text = _change(row, "c", HOURS, "5 weeks")[1]
    assert text == "95 % interval more than the log's 5 weeks less to +1 h, from paired runs"


def test_ends_of_intervals_are_within_the_log(answered: Any) -> None:
    """The log has four whole weeks; drawn periods have waits of 30 days."""
    assert answered.period == (28 * DAY_S, "4 weeks")
    table = answered.replications.copy()
    drawn = (table["replication"] > 0) & (table["system"] == "after")
    table.loc[drawn, "p95_wait_s"] = 30 * DAY_S
    far = replace(answered, replications=table, hinges=answered.hinges)
    row = far.groups.iloc[0]
    assert row["after_p95_wait_s_high"] == np.inf
    assert row["change_p95_wait_s_high"] == np.inf
    assert np.isfinite(row["load_p95_wait_s_high"])
    assert row["after_utilisation_high"] <= 1
    answer = what_if_answer(far)
    assert " to more than the log's 4 weeks)" in answer.sentence
    assert "more than the log's 4 weeks more, from paired runs" in answer.interval
    assert "inf" not in f"{answer.sentence}{answer.interval}"
    drawn_far = draw_what_if(
        far.groups, {"before": "as it is", "after": "more"}, metric="p95_wait_s"
    )
    assert drawn_far.panels[0].get_xlim()[1] < 28 * DAY_S


def test_too_few_replications_are_said(answered: Any) -> None:
    few = replace(answered, replications=answered.replications.query("replication < 3"))
    further = answered.replications.query("replication > 0")
    again = [further.assign(replication=further["replication"] + 4 * k) for k in (1, 2)]
    many = replace(answered, replications=pd.concat([answered.replications, *again]))
    said = [text for text in what_if_answer(few).hinges_on if "number of replications" in text]
    assert said == [
        "The number of replications: 2 are too few. The intervals are 2.7 times as wide as the "
        "log's 4 weeks allow; --replications 19 makes that 1.1 times. Only a longer log narrows "
        "them further."
    ]
    assert "number of replications" in "".join(what_if_answer(answered).hinges_on)
    assert "number of replications" not in "".join(what_if_answer(many).hinges_on)
    assert any("with 4 replications it is 1.6 times as wide" in note for note in answered.notes)


def test_chips_that_are_replaced_are_no_saving() -> None:
    jobs = table([0.0, DAY_S, 3 * DAY_S])
    dear = {**CLUSTER, "pools": {"gpu": {**CLUSTER["pools"]["gpu"], "accelerator": "H100"}}}
    found = cs.what_if(
        jobs, cluster=dear, changes=["cluster.pools.gpu.accelerator=H200"], replications=0
    )
    assert found.question.replaced == ["H200 instead of H100 in pool gpu"]
    answer = what_if_answer(found)
    assert answer.sentence.startswith("With H200 instead of H100 in pool gpu the mean wait stays")
    assert "a year less for purchase and electricity, if the chips that are replaced cost" in (
        answer.sentence
    )
    assert answer.hinges_on[0].startswith("The run times, which are those of the log: H200")
    load = cs.what_if(jobs, cluster=CLUSTER, load=2, replications=0)
    assert load.question.replaced == []
    assert "CNY of electricity a year" in what_if_answer(load).sentence


def contradicted(after_s: float, hinges: list[tuple[str, str, float, float]]) -> Any:
    """An answer on a fleet of 8, then 16 accelerators, of which all waits are given."""
    systems = tuple(
        SimpleNamespace(key=key, tree={"workload": {}, "seed": 0}) for key in ("before", "after")
    )
    waits = {"before": [100.0], "after": [after_s]}
    return SimpleNamespace(
        metric="p95_wait_s",
        question=SimpleNamespace(compared=systems, systems=systems),
        waits=lambda _: waits,
        fleets=pd.DataFrame(
            {"system": ["before", "after"], "replication": 0, "accelerators": [8.0, 16.0]}
        ),
        hinges=pd.DataFrame(hinges, columns=["key", "what", "before_s", "after_s"]),
    )


def test_a_longer_wait_on_a_larger_fleet_is_a_contradiction() -> None:
    policy = ("the policy", "fcfs instead of easy", 200.0, 150.0)
    more = ("the load", "10 % more load than asked about", 90.0, 140.0)
    found = contradicted(120.0, [policy, more])
    text = " ".join(contradiction(found))
    assert text.startswith(
        "A contradiction: more capacity or less load makes the wait longer; 1 of 2"
    )
    assert "with 10 % more load than asked about the wait falls (before the change)" in text
    assert "within that chaos" in text
    assert doubt(found).endswith("shortens waits, and 1 of 2 alternatives go the other way")
    assert doubt(contradicted(80.0, [more])) == "; but 1 of 1 alternatives go the other way"
    usual = contradicted(80.0, [policy, ("the load", "10 % less load", 90.0, 70.0)])
    assert list(contradiction(usual)) == []
    assert doubt(usual) == ""


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        (71 * HOUR_S, 19.4 * HOUR_S, "19.4 to 71 h"),
        (30.0, 5 * HOUR_S, "5 h to 30 s"),
        (500.0, 2 * DAY_S, "2 d to 8.33 min"),
        (600.0, 2 * HOUR_S, "120 to 10 min"),
        (0.0, 3 * DAY_S, "3 to 0 d"),
        (0.0, 0.0, "0 to 0 s"),
    ],
)
def test_each_wait_is_readable_in_its_unit(before: float, after: float, text: str) -> None:
    """One unit if both are readable in it; else each has its own, not 0.00579 d."""
    assert in_unit([after, before]) == text


def test_units_of_a_change() -> None:
    row = pd.Series({"c": -3600.0 * 12, "c_low": -3600.0 * 31, "c_high": 3600.0 * 5})
    assert _change(row, "c", HOURS) == ("−12 h", "95 % interval −31 to +5 h, from paired runs")
    row["c_high"] = 40.0
    assert _change(row, "c", HOURS) == ("−12 h", "95 % interval −31 h to +40 s, from paired runs")
    row["c_low"] = -3600.0 * 2400  # 2,400 h are not read as such
    assert _change(row, "c", HOURS)[1] == "95 % interval −100 d to +40 s, from paired runs"
    row["c_low"] = float("nan")
    assert _change(row, "c", HOURS)[0] == "−12 h"


@pytest.mark.parametrize(
    ("before_h", "after_h", "change_h", "unit"),
    [
        # Alone, the waits are read in hours and the change in days.
        ((40.0, 20.0, 60.0), (8.0, 5.0, 9.0), (-32.0, -50.0, -25.0), HOURS),
        # All amounts are of a day or more.
        ((400.0, 300.0, 600.0), (280.0, 250.0, 290.0), (-120.0, -350.0, -30.0), (86400, "d")),
        # An end of 36 s is read in no unit of the others, which then have that of the waits.
        ((40.0, 20.0, 60.0), (8.0, 5.0, 9.0), (-32.0, -250.0, 0.01), HOURS),
    ],
)
def test_one_unit_for_the_waits_and_their_change(
    before_h: Any, after_h: Any, change_h: Any, unit: Any
) -> None:
    ends = {"before_w": before_h, "after_w": after_h, "change_w": change_h}
    row = pd.Series({
        f"{name}{end}": hours * HOUR_S
        for name, three in ends.items()
        for end, hours in zip(("", "_low", "_high"), three, strict=True)
    })  # fmt: skip
    systems = tuple(SimpleNamespace(key=key) for key in ("before", "after"))
    found: Any = SimpleNamespace(
        metric="w",
        row=row,
        question=SimpleNamespace(compared=systems),
        hinges=pd.DataFrame({"before_s": [1.0], "after_s": [float("nan")]}),
    )
    assert _unit(found) == unit
    assert _moved(found, row).count(f" {unit[1]}") == 4  # two waits, each with an interval
    assert _change(row, "change_w", unit)[0].endswith(f" {unit[1]}")


@pytest.mark.slow
def test_results_do_not_depend_on_the_workers(month: pd.DataFrame) -> None:
    few = month.iloc[:300]
    one, two = (
        cs.what_if(few, accelerators=16, load=1.2, replications=3, workers=workers)
        for workers in (1, 2)
    )
    assert one.replications.equals(two.replications)
    assert one.hinges.equals(two.hinges)
    assert one.fleets.equals(two.fleets)


@pytest.mark.slow
def test_another_seed_draws_other_weeks(month: pd.DataFrame) -> None:
    found = [
        cs.what_if(month, accelerators=16, load=1.2, replications=3, seed=seed) for seed in (0, 1)
    ]
    own = [each.replications[each.replications["replication"] > 0]["jobs"] for each in found]
    assert not own[0].equals(own[1])


def test_a_question_about_the_policy(month: pd.DataFrame) -> None:
    found = cs.what_if(
        month.iloc[:300], accelerators=16, changes=["scheduler.policy=fcfs"], replications=2
    )
    assert found.question.changed == "the policy fcfs"
    assert "the policy" not in set(found.hinges["key"])
    assert np.isnan(found.cost_cny_per_year)


def test_the_command(month: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    path = _written(month.iloc[:400])
    arguments = ["what-if", str(path), "--accelerators", "16", "--add-accelerators", "8"]
    assert main([*arguments, "--replications", "3", "--out", "out", "--workers", "1"]) == 0
    text = capsys.readouterr().out
    assert "all jobs" in text
    assert "→" in text
    assert "Answer: With 8 more accelerators the" in text
    content = json.loads(Path("out/what_if.json").read_text(encoding="utf-8"))
    assert content["answer"]["sentence"].startswith("With 8 more accelerators")
    assert content["command"].endswith(
        "--accelerators 16 --add-accelerators=8 --replications 3 --out again"
    )
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "<svg" in page or "data:image/svg" in page
    assert "this hinges on" in page
    assert "share of the fleet" in text
    assert "share of the fleet, after" in page
    for name in ("groups", "fleet", "hinges", "replications"):
        assert len(pd.read_csv(f"out/{name}.csv")) > 0
    # The page can be written again from the folder alone.
    Path("out/report.html").unlink()
    assert main(["report", "out"]) == 0
    assert Path("out/report.html").read_text(encoding="utf-8") == page
    # The scenarios run as they are.
    result = cs.run("out/after.yaml")
    after = pd.read_csv("out/groups.csv")["after_mean_wait_s"].iloc[0]
    assert result.jobs["wait_s"].mean() == pytest.approx(after)
    assert main([*arguments, "--out", "out"]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing changes; give --load, --add-nodes"),
        (["--load", "0"], "--load: must be a factor above 0 and at most 10, found 0"),
        (["--load", "20"], "at most 10, found 20; 20 % more load is 1.2"),
        (["--set", "workload.scale={load: 0.8, where: 5}"], "workload.scale"),
        (["--load", "1.2", "--set", "workload.scale={load: 0.8}"], "--load: is not allowed with"),
        (["--load", "20%"], "must be a factor, such as 1.2 for 20 % more load, found '20%'"),
        (["--add-nodes", "2"], "--add-nodes: needs --cluster"),
        (["--set", "scheduler.polcy=fcfs"], "did you mean 'policy'"),
        (["--load", "1.2", "--policy", "eazy"], "did you mean 'easy'"),
        (["--load", "1.2", "--assume", "start=2026-13-01"], "start"),
    ],
)
def test_unusable_questions(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _written(table([0.0, 60.0]))
    assert main(["what-if", str(path), "--accelerators", "16", *arguments, "--out", "o"]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert not Path("o").exists()


def test_seconds_since_1970_give_the_same_answer() -> None:
    jobs = table([0.0, DAY_S, 2 * DAY_S], vc=["a", "b", "b"])
    late = jobs.assign(submit_s=jobs["submit_s"] + 2800 * 7 * DAY_S)
    one, other = (cs.what_if(each, cluster=CLUSTER, add_nodes=1) for each in (jobs, late))
    assert one.groups.equals(other.groups)
    assert one.fleet.equals(other.fleet)
    assert any("moved to the week of the first job" in note for note in other.notes)


def test_jobs_that_a_smaller_fleet_can_no_longer_run_are_in_the_sentence() -> None:
    jobs = table([60.0 * minute for minute in range(6)], n_accelerators=[8, 16] * 3)
    found = cs.what_if(jobs, accelerators=16, add_accelerators=-8)
    answer = what_if_answer(found)
    assert " 3 jobs can never run after the change and are" in answer.sentence
    after = found.fleet["system"].iloc[1]
    why = "3 jobs ask for more accelerators than the largest pool has (16; it has 8)"
    assert f"Jobs that are left out ({after}): 3 jobs can never run on this fleet: {why}." in (
        answer.hinges_on
    )
    assert found.fleet["why_never"].tolist() == ["", why]
    jobs["n_accelerators"] = [8, 32] * 3  # on both sides, and so named once
    found = cs.what_if(jobs, accelerators=16, changes=["scheduler.policy=fcfs"], replications=0)
    (left_out,) = (each for each in what_if_answer(found).hinges_on if "left out" in each)
    assert left_out.startswith(f"Jobs that are left out ({' and '.join(found.fleet['system'])}): ")
    assert left_out.endswith("than the largest pool has (32; it has 16).")


def test_overload_and_partitions_that_are_ignored_are_said_first() -> None:
    """A day of work every two hours for four days; of the partitions, the fleet knows none."""
    starts = [2 * HOUR_S * number for number in range(48)]
    jobs = table(starts, duration_s=DAY_S, vc=["a", "b"] * 24)
    answer = what_if_answer(cs.what_if(jobs, accelerators=8, add_accelerators=8, replications=2))
    assert "the fleet is overloaded, and these waits grow" in answer.sentence
    assert answer.hinges_on[0].startswith("Partitions: 48 jobs name one of 2 virtual clusters")
    assert any("under queues: of the pools" in step for step in answer.next_steps)


def test_names_that_look_like_formulas_are_text_in_files_and_the_same_when_read_back() -> None:
    jobs = table([0.0, 60.0, 120.0], vc=["=1+1", "=1+1", "dev"])
    found = cs.what_if(jobs, accelerators=16, add_accelerators=8)
    Path("out").mkdir()
    page = cs.write_what_if(found, "out")
    assert "'=1+1" in Path("out/groups.csv").read_text()
    first = page.read_text(encoding="utf-8")
    assert main(["report", "out"]) == 0
    assert page.read_text(encoding="utf-8") == first


def test_a_fleet_on_which_no_job_can_run_is_refused() -> None:
    words = (
        "no job of the log can run on the fleet (as it is): 2 jobs ask for more accelerators than "
        "the largest pool has (8; it has 4)"
    )
    with pytest.raises(cs.InputError, match=re.escape(words)):
        cs.what_if(table([0.0, 60.0]), accelerators=4, add_accelerators=8)


def test_a_topology_without_the_partitions_of_the_log_is_refused_with_the_nearest_name() -> None:
    named = {"name": "lab", "pools": {"gpu": {**CLUSTER["pools"]["gpu"], "queues": ["batch"]}}}
    words = (
        "2 jobs name a partition that the topology lacks, 'bacth' "
        "(did you mean 'batch'? allowed: batch)"
    )
    with pytest.raises(cs.InputError, match=re.escape(words)):
        cs.what_if(table([0.0, 60.0], vc="bacth"), cluster=named, add_nodes=1)


def test_a_log_without_a_header_and_its_time_zone() -> None:
    """The columns and the zone reach the reader, as with `cs.read_jobs` before."""
    rows = ["7,8,2026-03-02T08:00:00,2026-03-02T09:00:00,2026-03-02T10:00:00"]
    rows += ["8,8,2026-03-02T08:30:00,2026-03-02T10:00:00,2026-03-02T11:00:00"]
    Path("site.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    how = {"time_zone": "Europe/Berlin", "columns": "JobID,GPUs,Submit,Start,End"}
    found = cs.what_if("site.txt", accelerators=8, add_accelerators=8, **how)
    log = cs.read_jobs("site.txt", **how)
    assert found.groups["jobs"].iloc[0] == len(log.jobs) == 2
    assert found.groups["before_mean_wait_s"].iloc[0] == 900.0  # 0 and 30 min; an hour each
    assert found.groups["after_mean_wait_s"].iloc[0] == 0.0
    assert str(found.calendar.time_zone) == "Europe/Berlin"
    with pytest.raises(cs.InputError, match=r"header|columns"):
        cs.what_if("site.txt", accelerators=8, add_accelerators=8)


def test_an_interval_of_a_share_or_an_amount_ends_where_it_must() -> None:
    low, high = next_interval([0.9, 0.5, 0.99, 0.2], blocks=4, most=1.0)
    assert (low, high) == (0.0, 1.0)
    low, high = next_interval([0.9, 0.5, 0.99, 0.2], blocks=4)
    assert low < 0.0
    assert high > 1.0
    assert next_interval([10.0, 1.0, 30.0], blocks=4, most=np.inf)[0] == 0.0


def test_words_of_loads() -> None:
    assert [load_text(each) for each in (1.2, 0.9, 1.125, 3.0)] == [
        "20 % more load", "10 % less load", "12.5 % more load", "3 times the load",
    ]  # fmt: skip


def test_the_wait_of_one_partition_is_the_answer(month: pd.DataFrame, answered: Any) -> None:
    """The answer is about the same runs: only the row changes, and the rest of the table stays."""
    found = cs.what_if(
        month, cluster=CLUSTER, load=1.1, add_nodes=1, replications=0, metric="mean_wait_s.dev"
    )
    same = ["kind", "group", "jobs", "load_mean_wait_s", "after_p95_wait_s"]
    pd.testing.assert_frame_equal(found.groups[same], answered.groups[same])
    row = found.groups.set_index("group").loc["dev"]
    assert (found.metric, found.row["group"]) == ("mean_wait_s", "dev")
    after = found.hinges["after_s"] - found.hinges["moves_s"]
    assert after.to_numpy() == pytest.approx(np.full(len(after), row["after_mean_wait_s"]))
    text = what_if_answer(found).sentence
    assert "the mean wait in partition dev " in text
    assert "Other partitions: prod " in text
    assert "; dev " not in text
    cs.write_what_if(found, Path())
    stored = json.loads(Path("what_if.json").read_text(encoding="utf-8"))["stored"]
    assert stored["asked"] == {"metric": "mean_wait_s", "kind": "partition", "group": "dev"}
    page = Path("report.html").read_text(encoding="utf-8")
    assert main(["report", "."]) == 0
    assert Path("report.html").read_text(encoding="utf-8") == page


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("p95_wait_s.pord", "did you mean 'prod'?"),
        ("p59_wait_s", "did you mean 'p95_wait_s'?"),
        ("p95_wait_s.8", "unknown partition or size of jobs '8'"),
        ("p95_wait_s.rare", "rare has 3 jobs; a 95th percentile needs 20"),
    ],
)
def test_unknown_waits(month: pd.DataFrame, metric: str, message: str) -> None:
    jobs = month.assign(vc=["rare"] * 3 + month["vc"].tolist()[3:])
    with pytest.raises(cs.InputError, match=re.escape(message)):
        cs.what_if(jobs, cluster=CLUSTER, add_nodes=1, metric=metric)


def test_a_small_partition_that_is_asked_about_has_a_row() -> None:
    names = [f"vc{k:02d}" for k in range(15)]
    run_s = [3600.0 - k for k in range(15)]
    jobs = table([60.0 * k for k in range(15)], vc=names, duration_s=run_s)
    found = cs.what_if(
        jobs, accelerators=16, add_accelerators=8, metric="mean_wait_s.vc14", replications=0
    )
    assert found.row["group"] == "vc14"
    assert found.groups["group"].tolist().count("other partitions") == 1


def test_prices_of_a_catalogue_count_and_are_listed_with_their_sources() -> None:
    """16 H200 at 187,500 CNY with a fifth more for the site, over 8 years, without electricity."""
    Path("mine.yaml").write_text(
        "assumptions: {life: 8 yr, electricity_per_kwh: {value: 0 CNY, source: solar}}\n"
    )
    jobs = table([0.0, 10 * DAY_S])
    found = cs.what_if(jobs, cluster=CLUSTER, add_nodes=1, replications=0, catalogue=["mine.yaml"])
    yearly = 16 * 187_500 * 1.2 / 8
    assert found.fleet["cost_cny_per_year"].tolist() == pytest.approx([yearly, 1.5 * yearly])
    prices = {price: (value, source) for price, value, source in prices_of(found).to_numpy()}
    value, source = prices["lifetime for depreciation"]
    assert value == "8 yr"
    assert "mine.yaml gives no source" in source
    assert prices["electricity, per kWh"] == ("0 CNY", "solar")
    assert prices["one H200 with its share of the server"][0] == "187,500 CNY"


def test_prices_that_are_given_or_differ() -> None:
    given = {"money.pools.gpu.price": "100000 CNY", "energy.price_cny_per_kwh": 0.5}
    question = ask(
        table([0.0, 60.0]), cluster=CLUSTER, assume=given, changes={"money.life": "5 yr"}
    )
    found: Any = SimpleNamespace(question=question)
    rows = [tuple(row) for row in prices_of(found).to_numpy()]
    given_price = "given by you (money.pools.gpu)"
    assert ("one H200 with its server (pool gpu)", "100,000 CNY", given_price, "both") in rows
    given_tariff = "given by you (energy.price_cny_per_kwh)"
    assert ("electricity, per kWh", "0.5 CNY", given_tariff, "both") in rows
    lives = [(value, system) for price, value, _, system in rows if "lifetime" in price]
    assert lives == [("4 yr", "as it is"), ("5 yr", "money.life = 5 yr")]


def chains(n: int) -> pd.DataFrame:
    """Return a log of `n` days, each with a chain of three jobs of 4 accelerators, 1 h each."""
    rows = [
        (f"{day}-{link}", 86400.0 * day + link, 86400.0 * day + 3600.0 * link)
        for day in range(n)
        for link in range(3)
    ]
    jobs = pd.DataFrame(rows, columns=["job_id", "submit_s", "start_s"])
    return jobs.assign(user="ann", n_accelerators=4, duration_s=3600.0, estimate_s=3600.0)


def test_jobs_of_a_chain_wait_for_each_other_if_this_is_assumed() -> None:
    """There is room for all three at once, so more accelerators never help."""
    asked = {"accelerators": 16, "add_accelerators": 16, "metric": "mean_wait_s"}
    alone = cs.what_if(chains(4), replications=1, **asked)
    assert alone.row["before_mean_wait_s"] == 0.0
    said = "Chains: 8 jobs with 100.0 % of the recorded waiting time ran one after the other"
    assert [hinge.startswith(said) for hinge in what_if_answer(alone).hinges_on].count(True) == 1
    chained = cs.what_if(chains(4), replications=1, assume={"workload.chains": True}, **asked)
    mean_s = (3599.0 + 7198.0) / 3
    assert chained.row["before_mean_wait_s"] == chained.row["after_mean_wait_s"] == mean_s
    assert chained.recorded_wait_s == mean_s
    (said,) = (each for each in what_if_answer(chained).hinges_on if each.startswith("Chains:"))
    assert "are assumed to wait for each other" in said
    assert "chains: 8 jobs wait for the end of the one before" in chained.notes


def test_a_partition_says_in_how_many_periods_its_wait_moves_so() -> None:
    """Both partitions share the accelerators; one draws few jobs, whose waits move either way."""
    rng = np.random.default_rng(5)
    n = 400
    jobs = pd.DataFrame(
        {"job_id": np.arange(n), "submit_s": np.sort(rng.uniform(0, 14 * DAY_S, n)),
         "n_accelerators": rng.choice([1, 4, 8], n), "duration_s": rng.exponential(4 * HOUR_S, n),
         "vc": np.where(np.arange(n) % 20 == 0, "few", "many")}
    )  # fmt: skip
    found = cs.what_if(
        jobs, accelerators=24, add_accelerators=1, replications=6, metric="mean_wait_s"
    )
    said = {}
    for name in ("many", "few"):
        waits = found.of("mean_wait_s", "partition", name)
        verbs = [verb_of(*pair) for pair in zip(waits["before"], waits["after"], strict=True)]
        said[name] = verbs[0], verbs[1:].count(verbs[0])
    assert said == {"many": ("falls", 6), "few": ("falls", 5)}
    sentence = what_if_answer(found).sentence
    assert re.search(r"many falls from [^;(]*; few falls from [^;]* \(in 5 of 6 drawn", sentence)
