"""Plots of a study file that name what it does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.bad_input.study_files import RUN, assert_one_line, write_study

Refuse = Callable[..., str]

POLICY = "parameters/scheduler.policy"
HOUR = {"metric": "p95_wait_s", "at_most": "1 h"}
CURVE = {"kind": "curve", "x": "workload.load"}
PLOTS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]] = {
    "no x": ({"kind": "curve"}, {}, ("plots[0].x: is required but absent",)),
    "unknown x": (
        {**CURVE, "x": "workload.laod"},
        {},
        ("plots[0].x: unknown parameter or metric", "'workload.load'"),
    ),
    "unknown y": (
        {**CURVE, "y": ["waited", "p95_wait"]},
        {},
        ("plots[0].y: unknown metric 'p95_wait'; did you mean 'p95_wait_s'",),
    ),
    "unknown lines": (
        {**CURVE, "by": "scheduler.policy"},
        {},
        ("plots[0].by: unknown parameter 'scheduler.policy'; allowed: workload.load",),
    ),
    "unknown pool": ({**CURVE, "y": "utilisation.b"}, {}, ("plots: utilisation.b: unknown pool",)),
    "a field of another kind": (
        {**CURVE, "value": "waited"},
        {},
        ("plots[0].value: not allowed for kind curve, which takes x, y, by",),
    ),
    "capacity without a search": (
        {"kind": "capacity", "x": "workload.load"},
        {},
        ("plots[0]: a capacity plot needs a `capacity` search",),
    ),
    "capacity along the searched": (
        {"kind": "capacity", "x": "workload.load"},
        {"objective": HOUR, "capacity": {}, POLICY: ["fcfs", "easy"]},
        ("plots[0].x: unknown parameter or fact of the fleet 'workload.load'", "scheduler.policy"),
    ),
    "capacity of a metric": (
        {"kind": "capacity", "x": "scheduler.policy", "y": "p95_wait_s"},
        {"objective": HOUR, "capacity": {}, POLICY: ["fcfs", "easy"]},
        ("plots[0].y: unknown value 'p95_wait_s'; allowed: capacity, jobs_per_day",),
    ),
    "differences of nothing": (
        {"kind": "differences"},
        {},
        ("plots[0]: a plot of differences needs `compare`",),
    ),
    "differences in another metric": (
        {"kind": "differences", "y": "waited"},
        {"compare": {"of": "workload.load", "baseline": 0.5, "metrics": ["utilisation"]}},
        ("plots[0].y: unknown metric 'waited'; allowed: utilisation",),
    ),
    "indices without a design": (
        {"kind": "indices"},
        {},
        ("plots[0]: a plot of indices needs sample: {method: sobol-indices}",),
    ),
    "heat map of two metrics": (
        {"kind": "heat-map", "x": "workload.load", "y": "waited", "value": "waited"},
        {},
        ("plots[0].y: unknown parameter 'waited'; allowed: workload.load",),
    ),
    "trade-off against nothing": (
        {"kind": "trade-off", "x": "waited"},
        {},
        ("plots[0].y: is required but absent",),
    ),
    "a warm-up along something": (
        {"kind": "warm-up", "x": "workload.load"},
        {},
        ("plots[0].x: not allowed for kind warm-up, which takes none of x, y, by and value",),
    ),
}


@pytest.mark.parametrize("case", PLOTS)
def test_bad_plot(refuse: Refuse, case: str) -> None:
    plot, edits, words = PLOTS[case]
    write_study({**edits, "plots": [plot]})
    assert_one_line(refuse(RUN, "study.yaml: ", *words))
