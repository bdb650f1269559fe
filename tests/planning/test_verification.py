"""A plan is tried by simulation, and corrected until the service is good enough."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from files import BASE, queue, two_chips

from clustersim.errors import InputError
from clustersim.planning import define_plan, make_plan
from clustersim.planning.correction import Correction
from clustersim.planning.fleet import open_base_scenario, throughput
from clustersim.planning.problem import problem_of
from clustersim.planning.result import Plan
from clustersim.planning.solve import solve
from clustersim.planning.spec import QUARTER_S
from clustersim.planning.trial import Trial, run_trial, trial_jobs, trial_of
from clustersim.planning.words import conclusion


def planned(fields: dict[str, Any]) -> Plan:
    return make_plan(define_plan(fields), workers=1)


def trials(fields: dict[str, Any]) -> tuple[Any, list[Trial]]:
    question = define_plan(fields)
    base = open_base_scenario(question)
    assert base is not None
    schedule = solve(problem_of(question, throughput(question, base)))
    assert schedule is not None
    return schedule, [trial_of(question, base, schedule, s) for s in range(len(schedule.lots))]


def test_a_plan_that_misses_is_corrected() -> None:
    """At a utilisation of 1 the mean wait is hours; with more nodes it is under one."""
    plan = planned(queue())
    assert plan.verified is not None
    rounds = plan.verified.rounds
    assert not rounds["meets"].iloc[0]
    assert rounds["mean"].iloc[0] > 2 * 3600
    assert plan.verified.meets
    assert plan.meets
    kept = rounds[rounds["planning_utilisation"] == plan.problem.utilisation]
    assert kept["mean"].max() <= 3600
    assert plan.problem.utilisation == rounds[rounds["meets"]]["planning_utilisation"].max()
    first = rounds["expected_cost_cny"].iloc[0]
    assert plan.schedule is not None
    assert plan.schedule.expected_cost > first
    # The plan is the one whose cost was told in that round.
    assert plan.schedule.expected_cost == kept["expected_cost_cny"].iloc[0]


def test_a_plan_that_is_good_enough_stays() -> None:
    plan = planned(queue(objective={"metric": "mean_wait_s", "at_most": "300 d"}))
    assert plan.verified is not None
    assert plan.verified.rounds["round"].max() == 1
    assert plan.verified.note == "met by the first plan"
    assert plan.problem.utilisation == 1.0


def test_what_cannot_be_met_is_said() -> None:
    """The budget is for the first plan only: with less utilisation there is none."""
    fields = queue()
    first = planned({**fields, "verify": None}).schedule
    assert first is not None
    plan = planned({**fields, "budget": f"{first.spending.sum() + 1} CNY"})
    assert plan.verified is not None
    assert not plan.verified.meets
    assert not plan.meets
    assert "the limits leave no plan" in plan.verified.note
    assert not plan.verified.rounds["possible"].all()


def test_the_rounds_may_be_too_few() -> None:
    plan = planned(queue(rounds=1))
    assert plan.verified is not None
    assert not plan.verified.meets
    assert "not met in 1 rounds" in plan.verified.note


def test_a_gang_that_never_fits_is_no_service() -> None:
    """A sixteenth of the fleet is too few nodes for a gang of 64."""
    fields = queue(scale="1/8", rounds=1)
    fields["demand"]["tuning"] |= {"accelerators": 128, "job_tokens": 1.0e11}
    plan = planned(fields)
    assert plan.verified is not None
    assert math.isinf(plan.verified.rounds["mean"].max())


GROWING = {"base": BASE, "scale": 0.5}


def test_the_fleet_and_the_jobs_are_those_of_the_plan() -> None:
    """Nodes come at their quarters; the tokens submitted are those that the plan processes."""
    fields = two_chips(verify=GROWING)
    fields["demand"]["tuning"] |= {"tokens": [1.0e14, 3.0e14], "job_tokens": 5.0e10}
    schedule, (trial, stopped) = trials({**fields, "budget": None})
    nodes = schedule.nodes[0]
    pools = trial.tree["cluster"]["pools"]
    assert [pool["nodes"] for pool in pools.values()] == np.rint(nodes[1] / 2).tolist()
    delivered = {d["pool"]: d["nodes"] for d in trial.tree["supply"]["deliveries"]}
    grown = np.rint(nodes[1] / 2) - np.rint(nodes[0] / 2)
    assert delivered == {
        name: n for name, n in zip(("h200", "h20"), grown.tolist(), strict=True) if n
    }
    assert {d["at"] for d in trial.tree["supply"]["deliveries"]} == {f"{QUARTER_S} s"}
    jobs = trial_jobs(trial, 0)
    submitted = jobs.groupby(jobs["submit_s"] // QUARTER_S)["tokens"].sum()
    # Poisson counts of 1,000 and 3,000: within four standard deviations.
    assert submitted[0] == pytest.approx(5.0e13, rel=4 / math.sqrt(1000))
    assert submitted[1] == pytest.approx(1.5e14, rel=4 / math.sqrt(3000))
    # Where supply stops, the same demand is done by other chips: the same jobs.
    other = trial_jobs(stopped, 0)
    pd.testing.assert_frame_equal(
        jobs.drop(columns="accelerators"), other.drop(columns="accelerators")
    )
    assert not trial_jobs(trial, 1)["submit_s"].head(20).equals(jobs["submit_s"].head(20))


def test_unmet_demand_is_not_submitted() -> None:
    fields = two_chips(verify={"base": BASE}, scenarios=None)
    fields["demand"]["tuning"] |= {
        "tokens": [1.0e14, 1.0e14],
        "must_meet": 0,
        "value_per_million_tokens": "1e-6 CNY",
    }
    schedule, (trial,) = trials(fields)
    assert schedule.bought.sum() == 0
    assert schedule.unmet.sum() > 1e14
    share = trial_jobs(trial, 0)["tokens"].sum() / (2.0e14 - schedule.unmet.sum())
    assert share == pytest.approx(1.0, rel=0.1)


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
    schedule, (trial,) = trials(fields)
    used = set(trial_jobs(trial, 0)["accelerators"])
    assert used == {"H200" if schedule.busy[0, 0, 0, 0] > 0 else "H20"}
    _, (anywhere,) = trials({**fields, "verify": {"base": BASE, "routing": "any"}})
    assert {frozenset(names.split(",")) for names in trial_jobs(anywhere, 0)["accelerators"]} == {
        frozenset({"H200", "H20"})
    }


def test_a_base_that_does_not_fit_the_plan_is_told() -> None:
    """The plan's pools are its chips: `gpu` is a pool of the base only."""
    part = {
        "name": "node",
        "time_to_failure": {"kind": "exponential", "average": "2 d"},
        "repair": {"kind": "constant", "value": "1 d"},
        "pools": ["gpu"],
    }
    with pytest.raises(InputError, match=r"plan: verify: .*unknown pool 'gpu'.*h200"):
        planned(queue(base={**BASE, "failures": {"sources": [part]}}))


def test_failures_of_the_base_are_simulated() -> None:
    often = {
        "sources": [
            {
                "name": "node",
                "time_to_failure": {"kind": "exponential", "average": "2 d"},
                "repair": {"kind": "constant", "value": "1 d"},
            }
        ]
    }
    base = {**BASE, "failures": often}
    _, (trial,) = trials(queue(base=base, objective={"metric": "availability", "at_most": 1}))
    value = run_trial(trial, 0).values[0]
    assert value == pytest.approx(2 / 3, abs=0.1)


@pytest.mark.slow
def test_two_workers_see_what_one_does() -> None:
    fields = queue(rounds=1, replications=3)
    one = planned(fields).verified
    two = make_plan(define_plan(fields), workers=2).verified
    assert one is not None
    assert two is not None
    pd.testing.assert_frame_equal(one.rounds, two.rounds, check_exact=True)


def search(**fields: float) -> Correction:
    return Correction(**{"begin": 0.9, "lowest": 0.2, "at_most": 1.0, "tolerance": 0.01, **fields})


def tries(correction: Correction, measure: Any) -> dict[float, float | None]:
    tried: dict[float, float | None] = {}
    while (value := correction.next_value(tried)) is not None and len(tried) < 30:
        assert value not in tried
        tried[value] = measure(value)
    return tried


@pytest.mark.parametrize("root", [0.25, 0.4, 0.61, 0.8, 0.89])
def test_a_search_ends_within_its_tolerance(root: float) -> None:
    """Of a wait that goes to infinity at 0.95, as a queue's does."""
    scale = (0.95 - root) / root**4
    tried = tries(search(), lambda u: scale * u**4 / (0.95 - u))
    found = search().result(tried)
    assert found is not None
    assert root - 0.01 - 1e-12 <= found <= root
    assert len(tried) <= 12


def test_a_search_among_infinite_waits() -> None:
    tried = tries(search(), lambda u: math.inf if u > 0.5 else 0.0)
    found = search().result(tried)
    assert found is not None
    assert 0.49 <= found <= 0.5


def test_a_search_that_finds_nothing() -> None:
    assert search().result(tries(search(), lambda _: 2.0)) is None
    assert min(tries(search(), lambda _: 2.0)) == 0.2
    impossible = tries(search(), lambda u: None if u < 0.6 else 2.0)
    assert search().result(impossible) is None
    assert len(impossible) <= 12


def test_no_plan_at_less_does_not_end_a_search() -> None:
    """Plans are possible from 0.5 on and good enough up to 0.55."""
    measure = lambda u: None if u < 0.5 else (0.5 if u <= 0.55 else 2.0)  # noqa: E731
    found = search().result(tries(search(), measure))
    assert found is not None
    assert 0.54 <= found <= 0.55
