"""Logs and tables that a forecast cannot use, and what does not change it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.errors import InputError
from clustersim.forecasting.coverage import check_forecast
from tests.forecasting.test_coverage import drawn
from tests.forecasting.test_forecast import HOUR, running, state, waiting


@pytest.mark.parametrize("started", [True, False])
def test_the_order_of_the_rows_of_a_history_does_not_matter(started: bool) -> None:
    log = drawn(200, 3)
    if started:
        log = log.assign(start_s=log["submit_s"] + 60.0)
    jobs = state(running("1", 8, 60.0, HOUR, user="1"), waiting("2", 4, user="2"))
    mixed = log.sample(frac=1.0, random_state=4)
    one, other = (
        cs.forecast(jobs, accelerators=8, history=history, replications=8)
        for history in (log, mixed)
    )
    assert np.array_equal(one.start_s, other.start_s)
    assert one.assumptions == other.assumptions


@pytest.mark.parametrize("duration", [0.0, None])
def test_a_history_without_run_times_is_refused(duration: float | None) -> None:
    log = drawn(40, 3).assign(duration_s=duration)
    with pytest.raises(InputError, match=r"no job with a run time: .* all of its 40 jobs"):
        cs.forecast(state(waiting("2", 4)), accelerators=8, history=log, replications=2)


def test_an_empty_table_is_refused() -> None:
    table = pd.DataFrame({"job_id": [], "submit_s": [], "n_accelerators": []})
    with pytest.raises(InputError, match="without a row"):
        cs.forecast(table, accelerators=8)


def test_jobs_that_are_not_compared_are_counted() -> None:
    """The second job has no room in the cluster of the forecast, but had in that of the run."""
    log = pd.DataFrame(
        {"job_id": [1, 2, 3, 4], "submit_s": [0.0, 0.0, 10.0, 3000.0],
         "n_accelerators": [16, 16, 8, 8], "duration_s": HOUR, "estimate_s": HOUR}
    )  # fmt: skip
    result = cs.replay(log, policy="fcfs", accelerators=16)
    options = {"policy": "fcfs", "replications": 2, "arrivals": False}
    found = check_forecast(result, times=2, accelerators=16, **options)
    assert (found.not_started, found.not_forecast, found.left_out) == (0, 0, "")
    table = result.allocation_ranges
    cut = table[~table["job_id"].isin([3])]
    object.__setattr__(result, "allocation_ranges", cut)
    found = check_forecast(result, times=2, accelerators=16, **options)
    assert found.not_started == 2
    assert found.left_out == "2 waiting jobs did not start before the run ended"
    object.__setattr__(result, "allocation_ranges", table[table["job_id"] == 1])
    with pytest.raises(InputError, match="no job of this run waits that can be compared: "):
        check_forecast(result, times=2, accelerators=16, **options)
