"""The summary of a run as text."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from clustersim.cli.texts.result_text import result_text
from clustersim.report.amounts import percent
from clustersim.simulation.simulate import replay


@pytest.mark.parametrize("utilisation", [-0.0, -1e-12, -4e-4])
def test_no_share_is_minus_zero(utilisation: float) -> None:
    """What rounds to zero has no sign, wherever a small difference made it negative."""
    jobs = pd.DataFrame(
        {"job_id": [1], "submit_s": [0.0], "n_accelerators": [8], "duration_s": [60.0]}
    )
    result = replay(jobs, policy="fcfs", accelerators=8)
    message = result_text(replace(result, summary=result.summary.assign(utilisation=utilisation)))
    assert "-0.0 %" not in message
    assert "0.0 %" in message
    assert percent(utilisation) in ("0 %", "-0.040 %")


def test_nothing_in_service_is_not_used() -> None:
    """A pool whose accelerators were never there has no utilisation, and no negative one."""
    from clustersim.simulation.metrics import summary

    jobs = pd.DataFrame(
        {
            "job_id": [1],
            "submit_s": [0.0],
            "n_accelerators": [8],
            "duration_s": [60.0],
            "start_s": [float("nan")],
            "finish_s": [float("nan")],
            "total_wait_s": [float("nan")],
            "pool": ["a"],
            "outcome": ["unfinished"],
            "vc": [""],
        }
    )
    steps = pd.DataFrame(
        {
            "pool": pd.Categorical(["a", "a"]),
            "time_s": [0.0, 10.0],
            "allocated": [0, 0],
            "installed": [8, 8],
            "out": [9, 9],
        }
    )
    held = pd.DataFrame(
        {name: [] for name in ("job", "pool", "start_s", "end_s", "n_accelerators")}
    )
    message = summary(jobs, steps, held, {})
    assert [str(value) for value in message["utilisation"]] == ["0.0", "0.0"]
