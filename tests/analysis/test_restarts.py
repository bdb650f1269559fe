"""Why jobs were started again, by hand, and that no restart is left without a count."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from clustersim.analysis.restarts import restart_causes
from clustersim.cli.texts.result_text import exit_code, result_text
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.simulation.simulate import Scheduling, simulate
from tests.simulation.fleets import cluster, jobs, pool


def attempts(*rows: tuple[int, str, float, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["job_id", "pool", "end_s", "attempt"])


def outages(*rows: tuple[str, float, str, str, bool, float]) -> pd.DataFrame:
    columns = ["pool", "begin_s", "cause", "kind", "absent", "slowdown"]
    return pd.DataFrame(rows, columns=columns)


OUT = outages(
    ("a", 5.0, "gpu", "failure", False, math.inf),
    ("a", 7.0, "serving chat", "service", False, math.inf),
    ("b", 7.0, "retired", "retirement", True, math.inf),
    ("b", 8.0, "slow", "slowdown", False, 1.5),
    ("b", 9.0, "serving chat", "service", False, math.inf),
    ("b", 9.0, "gpu", "failure", False, math.inf),
)


def test_by_hand() -> None:
    table = attempts(
        (1, "a", 5.0, 0),  # broken
        (1, "a", 7.0, 1),  # to a service
        (1, "b", 9.0, 2),  # both at once: broken
        (1, "b", 11.0, 3),  # the end
        (2, "b", 7.0, 0),  # retired
        (2, "b", 8.0, 1),  # a slow node stops nothing
        (2, "b", 12.0, 2),
        (3, "a", 5.0, 0),  # ends as a node breaks: no restart
        (4, "a", 6.0, 0),
    )
    assert restart_causes(table, OUT) == {
        "on nodes that went out of service": 2,
        "on nodes taken by services": 1,
        "on nodes that left the fleet or lost power": 1,
        "for another reason": 1,
    }
    assert restart_causes(table.iloc[-2:], OUT) == {}
    # No job started, nothing went out of service, or neither.
    assert restart_causes(table.iloc[:0], OUT) == {}
    assert restart_causes(table.iloc[:0], OUT.iloc[:0]) == {}
    assert restart_causes(table, OUT.iloc[:0]) == {"for another reason": 5}


@pytest.mark.parametrize(
    "gone",
    [[], [NodeEvent(0.0, math.inf, 0, 0, "retired", NodeEventKind.RETIREMENT)]],
    ids=["all stay", "one leaves"],
)
@pytest.mark.parametrize("size", [24, 64])
def test_a_run_in_which_no_job_starts_has_a_summary(size: int, gone: list[NodeEvent]) -> None:
    gone = [*gone, *(NodeEvent(0.0, math.inf, 0, n, "gpu") for n in (1, 2))]
    log = jobs([(0, size, 1000.0)] * 2)
    fleet = cluster(pool("a", 3, 8))
    result = simulate(log, fleet, Scheduling("fcfs", "consolidate"), node_events=gone)
    assert result.attempts is not None
    assert result.attempts.empty
    message = result_text(result)
    assert "nodes went out of service 2 times; 0 restarts of jobs" in message
    assert exit_code(result) == 1


def test_every_restart_of_a_run_has_a_cause() -> None:
    fleet = cluster(pool("a", 3, 8))
    gone = [
        NodeEvent(100.0, 400.0, 0, 0, "gpu"),
        NodeEvent(250.0, math.inf, 0, 1, "retired", kind=NodeEventKind.RETIREMENT),
        NodeEvent(600.0, 700.0, 0, 2, "chat", kind=NodeEventKind.SERVICE),
    ]
    log = jobs([(0, 8, 1000.0), (0, 8, 1000.0), (0, 8, 1000.0)], preemptible=True)
    result = simulate(log, fleet, Scheduling("fcfs", "consolidate"), node_events=gone)
    causes = restart_causes(result.attempts, result.outages)
    assert sum(causes.values()) == (result.attempts["attempt"] > 0).sum()
    assert "for another reason" not in causes
    assert set(causes) == {
        "on nodes that went out of service",
        "on nodes taken by services",
        "on nodes that left the fleet or lost power",
    }
