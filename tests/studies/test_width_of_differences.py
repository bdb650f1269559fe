"""Replications are added until the number that is asked for is known: a metric, or a difference."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conducted import QUEUE, conduct, exact
from synthetic import noise, parts_of

import clustersim as cs
from clustersim.analysis.statistics import mean_interval
from clustersim.errors import InputError
from clustersim.report.spans import method_sentence
from clustersim.studies import define_study
from clustersim.studies.known_outcomes import more_replications
from clustersim.studies.spec import Replications

POLICIES = ["fcfs", "sjf"]
RULE = {"at_least": 4, "at_most": 32, "relative_width": 0.05, "metric": "mean_wait_s"}
GRID = {
    "name": "grid",
    "base": QUEUE,
    "parameters": {"scheduler.policy": POLICIES, "workload.load": [0.5, 0.7]},
    "metrics": ["mean_wait_s"],
    "compare": {"of": "scheduler.policy", "baseline": "fcfs"},
}


def counts(rule: dict[str, Any], order: int = 1, **fields: Any) -> dict[tuple[str, float], int]:
    """Number of replications by policy and load."""
    study = define_study({**GRID, **fields, "replications": {**RULE, **rule}}, check=False)
    found = parts_of(study, waits, order)
    return {
        tuple(study.points[number].changes.values()): len(runs) for number, runs in found.items()
    }  # type: ignore[return-value]


def waits(changes: Mapping[str, Any], _draw: int, replication: int) -> dict[str, float]:
    """Waits with much noise in common; that of `sjf` at a load of 0.7 has noise of its own."""
    policy, load = changes["scheduler.policy"], changes["workload.load"]
    common = 100.0 * math.exp(0.3 * noise(replication))
    own = 0.2 if (policy, load) == ("sjf", 0.7) else 0.01
    factor = {"fcfs": 1.0, "sjf": 0.7}[policy]
    return {"mean_wait_s": common * factor * math.exp(own * noise(replication, policy))}


def test_systems_that_are_compared_have_the_same_replications() -> None:
    """A difference is known after 4 replications where the waits themselves need 32."""
    assert set(counts({"of": "value"}).values()) == {32}
    found = counts({"of": "difference"})
    assert {found[policy, 0.5] for policy in POLICIES} == {4}
    (uncertain,) = {found[policy, 0.7] for policy in POLICIES}
    assert 12 < uncertain <= 32
    assert counts({"of": "difference"}, order=-1) == found
    without = {"compare": {"of": "scheduler.policy", "baseline": "fcfs", "metrics": ["mean_jct_s"]}}
    with pytest.raises(
        InputError, match=r"mean_wait_s is not compared; add it to compare\.metrics"
    ):
        counts({"of": "difference"}, **without)


def test_a_difference_of_exactly_0_is_known() -> None:
    study = define_study(
        {**GRID, "replications": {**RULE, "of": "difference", "relative_width": 1e-9}}, check=False
    )
    same = parts_of(study, lambda _changes, _draw, k: {"mean_wait_s": math.exp(noise(k))})
    assert {len(runs) for runs in same.values()} == {4}
    # Without a baseline other than 0, no width is narrow enough.
    zero = parts_of(
        study,
        lambda changes, _draw, k: {
            "mean_wait_s": 0.0 if changes["scheduler.policy"] == "fcfs" else math.exp(noise(k))
        },
    )
    assert {len(runs) for runs in zero.values()} == {32}


def test_the_rule_applies_to_the_interval_of_the_table_of_points() -> None:
    """The utilisation follows the work that arrived, a control variate of the table."""
    rule = {**RULE, "at_least": 8, "relative_width": 0.01, "metric": "utilisation"}
    fields = {**GRID, "metrics": ["utilisation"], "replications": rule}
    study = define_study({**fields, "parameters": {"workload.load": [0.5]}, "compare": None})

    def used(_changes: Mapping[str, Any], _draw: int, replication: int) -> dict[str, float]:
        arrived = 0.1 * noise(replication)
        rest = 1e-4 * noise(replication, "rest")
        return {
            "utilisation": 0.5 + 0.5 * arrived + rest,
            "arrived_load": 0.5 + arrived,
            "expected_arrived_load": 0.5,
        }

    (runs,) = parts_of(study, used).values()
    assert len(runs) == 8
    plain = parts_of(study, lambda *run: {"utilisation": used(*run)["utilisation"]})
    assert len(plain[0]) == 32


def test_asking_after_each_step_ends_with_the_width_asked() -> None:
    rule = Replications(at_least=4, at_most=5000, relative_width=0.1)
    values = np.random.default_rng(14).exponential(size=5000)
    total, steps = 4, 0
    while True:
        mean, low, _ = mean_interval(values[:total])
        wanted = more_replications(rule, total, mean - low, 0.1 * mean)
        if wanted == total:
            break
        assert total < wanted <= 2 * total
        total, steps = wanted, steps + 1
    assert mean - low <= 0.1 * mean
    assert 250 < total < 600  # (1.96 / 0.1)**2 = 384 in the mean
    assert steps < 30


SEARCH = {
    **GRID,
    "parameters": {"scheduler.policy": ["fcfs", "easy"]},
    "objective": {"metric": "mean_wait_s", "at_most": "1 min"},
    "capacity": {"between": [0.2, 0.95], "tolerance": 0.01},
}


def grows(changes: Mapping[str, Any], _draw: int, replication: int) -> dict[str, float]:
    """Waits that grow with the load; `easy` waits as long at a load that is 0.04 higher."""
    better = 0.04 if changes["scheduler.policy"] == "easy" else 0.0
    load = changes["workload.load"] - better + 0.05 * noise(replication)
    return {"mean_wait_s": 60.0 * math.exp(8.0 * (load - 0.6)), "jobs_per_day": 1.0}


@pytest.mark.parametrize("of", ["value", "difference"])
def test_capacities_until_their_gain_is_known(of: str) -> None:
    rule = {"at_least": 4, "at_most": 20, "relative_width": 0.01, "of": of}
    study = define_study({**SEARCH, "replications": rule}, check=False)
    found = parts_of(study, grows)
    used = [{run.replication for run in runs} for runs in found.values()]
    assert used[0] == used[1]
    assert len(used[0]) == (4 if of == "difference" else 20)
    loads = [{run.changes["workload.load"] for run in runs} for runs in found.values()]
    assert loads[0] != loads[1]
    backward = parts_of(study, grows, order=-1)
    assert [[run.key for run in runs] for runs in backward.values()] == [
        [run.key for run in runs] for runs in found.values()
    ]


def test_a_study_has_the_tables_of_its_points_in_any_order(tmp_path: Path) -> None:
    """Numbers of points are those of the design, although one request has several points."""
    base = {**QUEUE, "workload": {**QUEUE["workload"], "jobs": 40}}
    rule = {"at_least": 2, "at_most": 4, "relative_width": 0.2, "metric": "mean_wait_s"}
    fields = {
        **GRID,
        "base": base,
        "parameters": {"scheduler.policy": ["fcfs", "easy"], "workload.load": [0.4, 0.8]},
        "replications": {**rule, "of": "difference"},
    }
    runs = conduct(fields, tmp_path / "out", workers=1)
    result = cs.load_result(tmp_path / "out")
    points = result.points
    assert points["point"].tolist() == [0, 1, 2, 3]
    assert points["scheduler.policy"].tolist() == ["fcfs", "fcfs", "easy", "easy"]
    assert points["workload.load"].tolist() == [0.4, 0.8, 0.4, 0.8]
    by_load = points.groupby("workload.load")["replications"]
    assert (by_load.nunique() == 1).all()
    differences = result.differences
    assert differences is not None
    half = 0.5 * (differences["relative_high"] - differences["relative_low"]).to_numpy()
    assert ((half <= 0.2) | (by_load.first().to_numpy() == 4)).all()
    assert not np.isnan(half).any()
    said = method_sentence(result)
    assert "until the interval of each difference in mean wait is at most ±20 %" in said
    missed = int((half > 0.2).sum())
    assert (f"{missed} of 2 differences did not reach this" in said) == bool(missed)
    # Half of the runs are there already, made for a study with fewer replications.
    few = {
        **fields,
        "replications": 2,
        "parameters": {**fields["parameters"], "workload.load": [0.8]},
    }
    conduct(few, tmp_path / "other", workers=1)
    again = conduct(fields, tmp_path / "other", workers=1, resume=True)
    assert exact(again) == exact(runs)
