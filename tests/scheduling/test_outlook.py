"""Jobs looked at together, of which conservative backfilling searches only some, against a twin."""

from __future__ import annotations

import numpy as np
import pytest
import twins
from hypothesis import given
from hypothesis import strategies as st
from logs import TENTHS, WHOLE, large_log, pool_result, small_logs, starts
from test_twins import SIZE, repeatable

from clustersim.scheduling.policies import outlook, profile
from clustersim.scheduling.policies.profile import Profile


@pytest.fixture(autouse=True)
def always_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few jobs are looked at together, too, and again after every other search."""
    monkeypatch.setattr(outlook, "_FEW_JOBS", 0)
    monkeypatch.setattr(outlook, "_MOST_FAILED", 1)
    monkeypatch.setattr(profile, "_JOBS_A_SIZE", 0)


@pytest.mark.parametrize("step", [WHOLE, TENTHS], ids=["whole seconds", "tenths"])
@repeatable
@given(data=st.data())
def test_small_logs_with_jobs_looked_at_together(step: float, data: st.DataObject) -> None:
    jobs = data.draw(small_logs(SIZE, step=step))
    by_hand = twins.pool_starts(jobs, SIZE, "conservative")
    assert starts(pool_result(jobs, SIZE, "conservative")) == by_hand


@pytest.mark.parametrize("seed", range(3))
def test_overload_with_jobs_looked_at_together(seed: int) -> None:
    jobs = large_log(seed, 32, 250, step=WHOLE)
    by_hand = twins.pool_starts(jobs, 32, "conservative")
    assert starts(pool_result(jobs, 32, "conservative")) == by_hand


@pytest.mark.parametrize("held", [True, False])
def test_no_job_is_left_out_that_would_find_an_earlier_place(held: bool) -> None:
    draw = np.random.default_rng(5)
    of_times = Profile(0.0, 12)
    for _ in range(150):
        n, run_s = int(draw.integers(1, 13)), float(draw.integers(1, 40))
        start = of_times.earliest(n, run_s)
        of_times.change(start, start + run_s, -n)
    n, run_s = draw.integers(1, 13, 400), draw.integers(1, 40, 400).astype(float)
    before = draw.integers(0, 2500, 400).astype(float)
    may = of_times.may_be_earlier(n, run_s, before, np.full(400, held))
    jobs = zip(n.tolist(), run_s.tolist(), before.tolist(), strict=True)
    found = [of_times.earliest_before(*job, held=held) is not None for job in jobs]
    assert may.tolist() == found
    assert 0 < may.sum() < 400
