"""What chains of jobs in a log tell of jobs on which others depend."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.forecasting.run_times import run_times_of
from clustersim.seeds import Streams

HOUR = 3600.0


def log(*jobs: tuple[str, float, float, float]) -> pd.DataFrame:
    """Return jobs: user, submission, start and run time."""
    table = pd.DataFrame(jobs, columns=["user", "submit_s", "start_s", "duration_s"])
    return table.assign(n_accelerators=8, limit_s=HOUR)


def test_a_job_that_others_follow_runs_as_long_as_links_do() -> None:
    """Links of ann's chains take the whole limit, her other jobs a tenth of it."""
    rows = []
    for day in range(40):
        begin = day * 24 * HOUR
        rows += [("ann", begin + at, begin + at * HOUR, HOUR) for at in range(2)]
        rows += [("ann", begin + 2, begin + 2 * HOUR, 0.1 * HOUR)]
        rows += [("bob", begin + 10 * HOUR, begin + 10 * HOUR, 0.1 * HOUR)]
    history = log(*rows).rename(columns={"limit_s": "estimate_s"})
    jobs = pd.DataFrame(
        {"user": "ann", "n_accelerators": 8, "limit_s": HOUR, "elapsed_s": np.nan,
         "submit_s": 0.0, "followed": [True, False]}
    )  # fmt: skip
    draw = run_times_of(history, jobs).drawer(jobs)
    runs = np.array([draw(Streams(1, replication=k)) for k in range(200)]) / HOUR
    assert np.median(runs[:, 0]) == pytest.approx(1.0, abs=0.02)
    # The other one may be a link, too: two thirds of her jobs are.
    assert (runs[:, 0] > 0.9).mean() > 0.95 > 0.75 > (runs[:, 1] > 0.9).mean()
