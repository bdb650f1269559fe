"""Sessions: jobs of a batch that were submitted shortly one after the other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from clustersim.forecasting.run_times import run_times_of
from clustersim.seeds import Streams

HOUR, DAY = 3600.0, 86400.0


def log_of_sessions(users: int = 25, sessions: int = 12, jobs: int = 6) -> pd.DataFrame:
    """Return batches, one a user, with correlations 0.3 in a batch and 0.8 in a session of it."""
    draw = np.random.default_rng(5)
    shape = (users, sessions, jobs)
    score = (
        np.sqrt(0.3) * draw.normal(size=(users, 1, 1))
        + np.sqrt(0.5) * draw.normal(size=(users, sessions, 1))
        + np.sqrt(0.2) * draw.normal(size=shape)
    )
    user, session, job = (part.ravel() for part in np.indices(shape))
    log = pd.DataFrame(
        {"user": user.astype(str), "n_accelerators": 8, "estimate_s": HOUR,
         "submit_s": session * DAY + job * 600.0 + user, "duration_s": HOUR * ndtr(score.ravel())}
    )  # fmt: skip
    return log.sort_values("submit_s", ignore_index=True)


def test_correlations_are_those_of_sessions_and_of_batches() -> None:
    found = run_times_of(log_of_sessions(), pd.DataFrame({"limit_s": [HOUR]})).correlations
    # The distributions of the users take part of the correlation of a batch.
    assert 0.5 < found.of_session < 0.85
    assert found.of_batch < found.of_session - 0.25
    assert found.of_user <= found.of_batch


def test_a_job_of_the_same_session_tells_more_than_one_of_the_same_batch() -> None:
    jobs = pd.DataFrame(
        {"user": ["1"] * 4, "n_accelerators": 8, "limit_s": HOUR,
         "submit_s": [-30 * HOUR, -29.5 * HOUR, -2 * HOUR, np.nan],
         "elapsed_s": [0.9 * HOUR, np.nan, np.nan, np.nan]}
    )  # fmt: skip
    draw = run_times_of(log_of_sessions(), jobs).drawer(jobs)
    drawn = np.array([draw(Streams(1, replication=k)) for k in range(120)])
    between = np.corrcoef(drawn.T)
    assert np.median(drawn[:, 1]) > np.median(drawn[:, 2]) + 0.1 * HOUR
    assert between[1, 2] < 0.5
    assert between[2, 3] < 0.5
    several = pd.concat([jobs.iloc[1:3], jobs.iloc[1:3]], ignore_index=True)
    draw = run_times_of(log_of_sessions(), several).drawer(several)
    between = np.corrcoef(np.array([draw(Streams(1, replication=k)) for k in range(120)]).T)
    assert between[0, 2] > 0.5 > between[0, 1] + 0.1


@pytest.mark.parametrize(("array", "kept"), [("", [6]), ("7", list(range(7))), ("8", [6])])
def test_the_last_job_of_each_session_that_ended_is_kept(array: str, kept: list[int]) -> None:
    """Of an array with tasks that wait, all are kept."""
    jobs = pd.DataFrame(
        {"user": ["1"], "n_accelerators": 8, "limit_s": HOUR, "submit_s": -600.0,
         "elapsed_s": np.nan, "array": array}
    )  # fmt: skip
    ended = pd.DataFrame(
        {"user": ["1"] * 9, "n_accelerators": 8, "estimate_s": HOUR, "duration_s": HOUR,
         "submit_s": [*(HOUR * (0.5 * at - 50) for at in range(7)), -2 * HOUR, -HOUR],
         "job_id": [*(f"7_{at}" for at in range(7)), "9", "10"]}
    )  # fmt: skip
    found = run_times_of(log_of_sessions(), jobs, recent=ended)
    table, value, groups = found._with_recent(jobs)
    assert table["submit_s"].tolist() == [-600.0, *ended["submit_s"][kept], -HOUR]
    assert value.tolist() == [1.0] * (len(kept) + 1)
    sessions = [0, *[1] * len(kept), 0]
    assert [part.tolist() for part in groups] == [[0] * len(sessions)] * 3 + [sessions]


def test_a_job_that_ended_tells_of_the_next_of_its_session() -> None:
    jobs = pd.DataFrame(
        {"user": ["1"] * 2, "n_accelerators": 8, "limit_s": HOUR, "submit_s": [0.0, -9 * HOUR],
         "elapsed_s": np.nan}
    )  # fmt: skip
    log = log_of_sessions()

    def medians(share: float) -> np.ndarray:
        ended = jobs.iloc[:1].assign(estimate_s=HOUR, duration_s=share * HOUR, submit_s=-600.0)
        draw = run_times_of(log, jobs, recent=ended).drawer(jobs)
        return np.median([draw(Streams(1, replication=k)) for k in range(80)], axis=0)

    same, other = medians(0.95) - medians(0.05)
    assert same > other + 0.2 * HOUR
