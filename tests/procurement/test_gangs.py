"""Gangs that the averages of a plan do not see, and scales that leave no room for them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from files import planned, queue, two_chips

from clustersim.errors import InputError
from clustersim.procurement.gangs import check_scale
from clustersim.procurement.summary_text import conclusion


def test_a_gang_that_never_fits_is_no_service_and_reported() -> None:
    """A node does the work of a gang of 128 by the average; that is not said by the plan alone."""
    fields = queue(rounds=1, replications=1)
    fields["demand"]["tuning"] |= {"accelerators": 128, "tokens": 1.0e12, "job_tokens": 1.0e10}
    plan = planned(fields)
    assert plan.verified is not None
    assert plan.verified.outcome == "missed"
    assert math.isinf(plan.verified.rounds["value"].max())
    assert plan.schedule is not None
    chips = 8 * int(plan.schedule.bought.sum())
    assert chips < 128
    warning = f"tuning is planned on {chips} chips of h200, too few for a gang of 128"
    assert plan.warnings == [f"{warning} (as planned: Q1)"]
    assert warning in conclusion(plan)
    assert warning in conclusion(planned({**fields, "verify": None}))


def test_room_for_a_gang_in_one_quarter_is_reported_of_the_other() -> None:
    """The h200 that do the growth have room for the gang in the second quarter only."""
    fields = two_chips(budget=None, verify=None)
    fields["chips"] = {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"}}
    fields["scenarios"] = {"sure": {"probability": 1}}
    fields["demand"]["tuning"] |= {"accelerators": 64, "tokens": [3.0e12, 9.0e12]}
    plan = planned(fields)
    assert plan.schedule is not None
    assert (plan.schedule.nodes[0, :, 0] >= 8).tolist() == [False, True]
    assert [warning.endswith("(sure: Q1)") for warning in plan.warnings] == [True]


@pytest.mark.parametrize(("scale", "enough"), [("1/16", "1/10"), ("1/3", "1/2")])
def test_a_scale_that_changes_the_fleet_is_refused(scale: str, enough: str) -> None:
    """Ten nodes: a sixteenth would be one instead of 0.6, a third three instead of 3.3."""
    assert planned(queue(rounds=1, replications=1, scale=enough)).schedule is not None
    with pytest.raises(InputError, match=rf"The smallest scale allowed is {enough}$"):
        planned(queue(rounds=1, scale=scale))


def test_a_scale_that_leaves_no_room_for_a_gang_is_refused() -> None:
    """Of ten nodes at a fifth two are left: enough for a gang of 16, not for one of 32."""
    fields = queue(rounds=1, replications=1, scale="1/5")
    fields["demand"]["tuning"]["accelerators"] = 16
    assert planned(fields).schedule is not None
    fields["demand"]["tuning"]["accelerators"] = 32
    with pytest.raises(InputError, match="turns 10 nodes of h200 into 2"):
        planned(fields)


@pytest.mark.parametrize(("share", "refused"), [(0.02, True), (0.005, False)])
def test_a_pool_with_little_of_a_class_may_lose_its_room(
    share: float, refused: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Forty nodes of the second chip at a twentieth are two, too few for a gang of 64."""
    fields = two_chips(verify=None)
    fields["demand"]["tuning"]["accelerators"] = 64
    plan = planned(fields)
    assert plan.schedule is not None
    problem, busy = plan.schedule.problem, np.zeros_like(plan.schedule.busy)
    existing = np.zeros(np.shape(problem.existing))
    existing[..., 0], existing[..., 1] = 4000.0, 40.0
    busy[..., 0], busy[..., 1] = 4000.0 * (1.0 - share), 4000.0 * share
    schedule = dataclasses.replace(
        plan.schedule,
        problem=dataclasses.replace(problem, existing=existing),
        lots=np.zeros_like(plan.schedule.lots),
        busy=busy,
    )
    if refused:
        with pytest.raises(InputError, match="turns 40 nodes of"):
            check_scale(plan.question, schedule, [0], 1 / 20)
        return
    check_scale(plan.question, schedule, [0], 1 / 20)
    assert "has too few chips for a job of tuning" in capsys.readouterr().err
