"""A plan is tried by simulation, and corrected until the service is good enough."""

from __future__ import annotations

import math
import tempfile
from typing import Any

import numpy as np
import pandas as pd
import pytest
from files import BASE, planned, queue, two_chips

from clustersim.analysis.job_statistics import job_quantile
from clustersim.analysis.samples import Sample
from clustersim.errors import InputError
from clustersim.procurement import define_plan, plan_purchases
from clustersim.procurement.fleet import open_base_scenario, throughput
from clustersim.procurement.problem import problem_of
from clustersim.procurement.rounds import estimate_of, outcome_of, service_of
from clustersim.procurement.simulated_check import (
    Service,
    SimulatedCheck,
    run_simulated_check,
    simulated_check_jobs,
    simulated_check_of,
)
from clustersim.procurement.solve import solve
from clustersim.procurement.spec import QUARTER_S
from clustersim.procurement.summary_text import conclusion, interval_text
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.units import parse_quantity


def checks(fields: dict[str, Any]) -> tuple[Any, list[SimulatedCheck]]:
    question = define_plan(fields)
    base = open_base_scenario(question)
    assert base is not None
    schedule = solve(problem_of(question, throughput(question, base)))
    assert schedule is not None
    return schedule, [
        simulated_check_of(question, base, schedule, s) for s in range(len(schedule.lots))
    ]


def test_a_plan_that_misses_is_corrected() -> None:
    """At a utilisation of 1 the mean wait is hours; with more nodes it is under one."""
    plan = planned(queue())
    assert plan.verified is not None
    rounds = plan.verified.rounds
    search = rounds[~rounds["fresh"]]
    assert rounds["value"].iloc[0] > 2 * 3600
    kept = search[search["planning_utilisation"] == plan.problem.utilisation]
    assert kept["high"].max() <= 3600
    good = search[search["outcome"] == "kept"]
    assert plan.problem.utilisation == good["planning_utilisation"].max()
    new = rounds.iloc[-1]
    assert new["fresh"]
    assert new["round"] == search["round"].max() + 1
    assert new["planning_utilisation"] == plan.problem.utilisation
    assert new["value"] not in set(search["value"])
    assert plan.meets == (new["value"] <= 3600)
    first = rounds["expected_cost_cny"].iloc[0]
    assert plan.schedule is not None
    assert plan.schedule.expected_cost > first
    # The plan is the one whose cost was reported in that round.
    assert plan.schedule.expected_cost == kept["expected_cost_cny"].iloc[0]


def test_a_plan_that_is_good_enough_stays() -> None:
    plan = planned(queue(objective={"metric": "mean_wait_s", "at_most": "300 d"}))
    assert plan.verified is not None
    assert plan.verified.rounds["round"].tolist() == [1, 2]
    assert plan.verified.rounds["fresh"].tolist() == [False, True]
    assert plan.verified.outcome == "kept"
    assert plan.verified.note == "the first plan meets the objective"
    assert plan.problem.utilisation == 1.0


def test_what_cannot_be_met_is_said() -> None:
    """The budget is for the first plan only: with less utilisation there is none."""
    fields = queue(rounds=2, replications=2)
    first = planned({**fields, "verify": None}).schedule
    assert first is not None
    plan = planned({**fields, "budget": f"{first.spending.sum() + 1} CNY"})
    assert plan.verified is not None
    assert not plan.verified.meets
    assert not plan.meets
    assert "no plan satisfies the limits" in plan.verified.note
    rounds = plan.verified.rounds
    assert not rounds["possible"].all()
    assert rounds["possible"].iloc[-1]


def test_the_rounds_may_be_too_few() -> None:
    plan = planned(queue(rounds=1, replications=2))
    assert plan.verified is not None
    assert not plan.verified.meets
    assert "no plan meets the objective in 1 round," in plan.verified.note


@pytest.mark.parametrize(
    ("at_most", "outcome", "words"),
    [
        ("300 d", "kept", "the mean wait meets the objective of 300 d"),
        ("1 min", "missed", "the mean wait misses the objective of 60 s"),
        ("2 d", "undecided", "it is undecided whether the mean wait meets the objective of 2 d"),
    ],
)
def test_outcomes_are_by_the_interval(at_most: str, outcome: str, words: str) -> None:
    """At a planning utilisation of 1 the mean wait of six replications is about two days."""
    objective = {"metric": "mean_wait_s", "at_most": at_most}
    plan = planned(queue(rounds=1, replications=6, objective=objective))
    assert plan.verified is not None
    assert plan.verified.outcome == outcome
    low, value, high = plan.verified.rounds.iloc[-1][["low", "value", "high"]]
    limit = objective_limit(at_most)
    assert {"kept": high <= limit, "missed": low > limit, "undecided": low <= limit < high}[outcome]
    assert plan.meets == (value <= limit)
    assert f"In simulations of 'as planned', {words}: it is" in conclusion(plan)
    assert "(6 new replications, 95 % interval " in conclusion(plan)


def test_the_service_is_over_the_jobs_of_all_replications() -> None:
    """The 95th percentile is the wait that 5 % of all jobs exceed, not the mean of percentiles.

    Four of five replications have no wait, and 10 of the 100 jobs of the fifth wait for an hour.
    The mean of the percentiles is 720 s; 2 % of all jobs wait, so their 95th percentile is 0 s.
    """
    waits = [np.zeros(100) for _ in range(5)]
    waits[-1][:10] = 3600.0
    services = [
        Service([float(np.quantile(each, 0.95))], [100], [Sample.of(each)]) for each in waits
    ]
    assert np.mean([service.values[0] for service in services]) == pytest.approx(720)
    value, low, high = estimate_of(services, 0, "p95_wait_s")
    assert (value, low) == (0.0, 0.0)
    # As in a study of the same replications; 5 % of all jobs may still exceed a higher limit.
    known, _ = job_quantile([{"wait_s": Sample.of(each)} for each in waits], "wait_s", 0.95)
    assert (value, low, high) == (known.value, known.low, known.high)
    means = [Service([float(each.mean())], [100], [Sample.of(each)]) for each in waits]
    value, low, high = estimate_of(means, 0, "mean_wait_s")
    assert value == pytest.approx(72.0)
    assert 0 < low < value < high  # Student's t would begin at -128 s.


def test_a_replication_counts_by_its_number_of_jobs() -> None:
    sizes = ((1, 100.0), (99, 0.0), (0, math.nan))
    services = [Service([mean], [n], [Sample.of([mean] * n)]) for n, mean in sizes]
    assert estimate_of(services, 0, "mean_wait_s")[0] == pytest.approx(1.0)
    alone = estimate_of(services[:1], 0, "mean_wait_s")
    assert alone[0] == 100.0
    assert np.isnan(alone[1:]).all()
    endless = [*services, Service([math.inf], [1], [Sample.of([])])]
    assert estimate_of(endless, 0, "mean_wait_s") == (math.inf,) * 3


def test_an_interval_that_is_not_determined_keeps_no_objective() -> None:
    """Its upper end counts, also in the search; without an interval, the value does."""
    row = {"jobs": 9, "value": 60.0}
    endless = pd.DataFrame([{**row, "low": 1.0, "high": math.inf}])
    assert service_of(endless) == math.inf
    assert outcome_of(60.0, 1.0, math.inf, 3600.0) == "undecided"
    assert service_of(pd.DataFrame([{**row, "low": np.nan, "high": np.nan}])) == 60.0
    assert outcome_of(60.0, math.nan, math.nan, 3600.0) == "undecided"
    texts = [interval_text((low, math.inf), "mean_wait_s", (1.0, "s")) for low in (0.0, 5.0)]
    assert texts == [", which do not determine a 95 % interval", ", 95 % interval from 5 s"]
    unknown = interval_text((math.nan, math.nan), "mean_wait_s", (1.0, "s"))
    assert unknown == ", so there is no 95 % interval"


def objective_limit(at_most: str) -> float:
    return parse_quantity(at_most, "duration")


def test_one_replication_decides_nothing_finite() -> None:
    objective = {"metric": "mean_wait_s", "at_most": "300 d"}
    plan = planned(queue(rounds=1, replications=1, objective=objective))
    assert plan.verified is not None
    assert plan.verified.outcome == "undecided"


GROWING = {"base": BASE, "scale": 0.5}


def test_the_fleet_and_the_jobs_are_those_of_the_plan() -> None:
    """Nodes come at their quarters; the tokens submitted are those that the plan processes."""
    fields = two_chips(verify=GROWING)
    fields["demand"]["tuning"] |= {"tokens": [1.0e14, 3.0e14], "job_tokens": 5.0e10}
    schedule, (check, stopped) = checks({**fields, "budget": None})
    nodes = schedule.nodes[0]
    pools = check.tree["cluster"]["pools"]
    assert [pool["nodes"] for pool in pools.values()] == np.rint(nodes[1] / 2).tolist()
    delivered = {d["pool"]: d["nodes"] for d in check.tree["supply"]["deliveries"]}
    grown = np.rint(nodes[1] / 2) - np.rint(nodes[0] / 2)
    assert delivered == {
        name: n for name, n in zip(("h200", "h20"), grown.tolist(), strict=True) if n
    }
    assert {d["at"] for d in check.tree["supply"]["deliveries"]} == {f"{QUARTER_S} s"}
    jobs = simulated_check_jobs(check, 0)
    submitted = jobs.groupby(jobs["submit_s"] // QUARTER_S)["tokens"].sum()
    # Poisson counts of 1,000 and 3,000: within four standard deviations.
    assert submitted[0] == pytest.approx(5.0e13, rel=4 / math.sqrt(1000))
    assert submitted[1] == pytest.approx(1.5e14, rel=4 / math.sqrt(3000))
    # Where supply stops, the same demand is done by other chips: the same jobs.
    other = simulated_check_jobs(stopped, 0)
    pd.testing.assert_frame_equal(
        jobs.drop(columns="accelerators"), other.drop(columns="accelerators")
    )
    assert not simulated_check_jobs(check, 1)["submit_s"].head(20).equals(jobs["submit_s"].head(20))


def test_unmet_demand_is_not_submitted() -> None:
    fields = two_chips(verify={"base": BASE}, scenarios=None)
    fields["demand"]["tuning"] |= {
        "tokens": [1.0e14, 1.0e14],
        "must_meet": 0,
        "value_per_million_tokens": "1e-6 CNY",
    }
    schedule, (check,) = checks(fields)
    assert schedule.bought.sum() == 0
    assert schedule.unmet.sum() > 1e14
    share = simulated_check_jobs(check, 0)["tokens"].sum() / (2.0e14 - schedule.unmet.sum())
    assert share == pytest.approx(1.0, rel=0.1)


def test_a_plan_with_a_model_of_its_own() -> None:
    fields = queue(rounds=1, replications=1)
    fields["catalogue"] = [{"models": {"mine": {"extends": "llama3-8b"}}}]
    fields["demand"]["tuning"]["model"] = "mine"
    own = planned(fields).verified
    usual = planned(queue(rounds=1, replications=1)).verified
    assert own is not None
    assert usual is not None
    pd.testing.assert_frame_equal(own.rounds, usual.rounds, rtol=1e-9)


def test_metrics_are_those_of_the_jobs_of_the_quarter() -> None:
    """Against the jobs of each quarter of the same run, where failures make attempts too."""
    fields = two_chips(verify={"base": often_broken("1 h")}, scenarios=None, budget=None)
    fields["verify"]["objective"] = {"metric": "mean_jct_s", "at_most": "1 d"}
    _, (check,) = checks(fields)
    jobs = simulated_check_jobs(check, 0)
    with tempfile.TemporaryDirectory() as folder:
        jobs.to_parquet(f"{folder}/jobs.parquet", index=False)
        tree = {**check.tree, "workload": {"trace": f"{folder}/jobs.parquet"}}
        result = run_scenario(define_scenario(tree))
    assert result.attempts is not None
    assert len(result.attempts) > len(result.jobs)
    done = result.jobs
    jct = (done["finish_s"] - done["submit_s"]).groupby(done["submit_s"] // QUARTER_S).mean()
    assert run_simulated_check(check, 0).values == pytest.approx(jct.tolist(), rel=1e-12)


def test_a_replication_has_the_jobs_that_were_drawn_for_it(monkeypatch):
    """They are a log that covers two quarters, whose days a study would draw again."""
    (check, *_) = checks(queue())[1]
    ran = []

    def recorded(loaded):
        ran.append(run_scenario(loaded))
        return ran[-1]

    monkeypatch.setattr("clustersim.procurement.simulated_check.run_scenario", recorded)
    run_simulated_check(check, 3)
    drawn = simulated_check_jobs(check, 3)
    assert len(drawn) > 100
    assert ran[0].jobs["submit_s"].tolist() == drawn["submit_s"].tolist()


def test_a_replication_without_a_job_has_no_service() -> None:
    """One job or none in a quarter: replications without one are left out, not refused."""
    fields = queue(replications=6, rounds=1)
    fields["demand"]["tuning"] |= {"tokens": 2.0e10, "job_tokens": 2.0e10}
    _, (check,) = checks(fields)
    services = [run_simulated_check(check, replication) for replication in range(6)]
    assert {bool(service.jobs[0]) for service in services} == {True, False}
    for service in services:
        assert math.isnan(service.values[0]) == (service.jobs[0] == 0)
    plan = planned(fields)
    assert plan.verified is not None
    assert plan.verified.rounds["value"].notna().all()


def test_no_number_of_jobs_is_no_kept_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service([math.nan], [3], [Sample.of([])])
    monkeypatch.setattr("clustersim.procurement.verify.run_simulated_check", lambda *_: service)
    plan = planned(queue(rounds=1))
    assert plan.verified is not None
    assert plan.verified.outcome == "missed"
    assert not plan.meets


def test_what_the_base_lends() -> None:
    """Its supply, horizon, replication and catalogue are the plan's."""
    base = {
        **BASE,
        "horizon": "1 d",
        "replication": 7,
        "supply": {"retirements": [{"pool": "gpu", "nodes": 1, "at": "1 d"}]},
        "money": {},
    }
    _, (check,) = checks(queue(base=base))
    _, (plain,) = checks(queue())
    assert check.tree == plain.tree
    assert check.tree["seed"] == 5
    dated = {"start": "2026-07-01T00:00:00", "time_zone": "Asia/Shanghai"}
    _, (check,) = checks(queue(base={**base, **dated}))
    assert check.tree == {**plain.tree, **dated}


def test_a_plan_of_nothing_has_no_service() -> None:
    fields = queue()
    fields["demand"]["tuning"] |= {"must_meet": 0, "value_per_million_tokens": "0 CNY"}
    plan = planned(fields)
    assert plan.meets
    assert "nothing to simulate" in conclusion(plan)


def test_routing() -> None:
    """Planned: only on chips that the plan uses for them; any: on all that can."""
    fields = two_chips(verify={"base": BASE}, scenarios=None, budget=None)
    fields["chips"]["h20"] |= {"existing": 0}
    schedule, (check,) = checks(fields)
    used = set(simulated_check_jobs(check, 0)["accelerators"])
    assert used == {"H200" if schedule.busy[0, 0, 0, 0] > 0 else "H20"}
    _, (anywhere,) = checks({**fields, "verify": {"base": BASE, "routing": "any"}})
    assert {
        frozenset(names.split(",")) for names in simulated_check_jobs(anywhere, 0)["accelerators"]
    } == {frozenset({"H200", "H20"})}


def test_a_base_that_does_not_fit_the_plan_is_reported() -> None:
    """The plan's pools are its chips: `gpu` is a pool of the base only."""
    part = {
        "name": "node",
        "time_to_failure": {"kind": "exponential", "average": "2 d"},
        "repair": {"kind": "constant", "value": "1 d"},
        "pools": ["gpu"],
    }
    with pytest.raises(InputError, match=r"plan: verify: .*unknown pool 'gpu'.*h200"):
        planned(queue(base={**BASE, "failures": {"sources": [part]}}))


def often_broken(repair: str = "1 d") -> dict[str, Any]:
    often = {
        "sources": [
            {
                "name": "node",
                "time_to_failure": {"kind": "exponential", "average": "2 d"},
                "repair": {"kind": "constant", "value": repair},
            }
        ]
    }
    return {**BASE, "failures": often}


def test_failures_of_the_base_are_simulated() -> None:
    """Nodes that work two days of three make jobs wait."""
    waits = [
        run_simulated_check(checks(queue(base=base))[1][0], 0).values[0]
        for base in (BASE, often_broken())
    ]
    assert waits[1] > 2 * waits[0]


def test_a_stop_of_supply_may_stop_spare_parts() -> None:
    """From the quarter on from which none can be bought, what fails stays out: jobs never end."""
    values = {}
    for spare_parts in (True, False):
        fields = two_chips(verify={"base": often_broken("1 h")}, budget=None)
        fields["scenarios"]["stopped"]["available"]["h200"]["spare_parts"] = spare_parts
        fields["chips"].pop("h20")
        fields["demand"]["tuning"]["tokens"] = [3.0e12, 2.0e12]
        _, (goes_on, stopped) = checks(fields)
        embargo = {"pools": ["h200"], "at": f"{QUARTER_S} s"}
        assert stopped.tree["supply"]["embargoes"] == ([] if spare_parts else [embargo])
        assert goes_on.tree["supply"]["embargoes"] == []
        values[spare_parts] = run_simulated_check(stopped, 0).values
    assert np.isfinite(values[True]).all()
    assert values[False][1] == math.inf


@pytest.mark.slow
def test_two_workers_see_what_one_does() -> None:
    fields = queue(rounds=1, replications=2)
    one = planned(fields).verified
    two = plan_purchases(define_plan(fields), workers=2).verified
    assert one is not None
    assert two is not None
    pd.testing.assert_frame_equal(one.rounds, two.rounds, check_exact=True)
