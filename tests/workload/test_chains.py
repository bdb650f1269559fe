"""Chains of jobs in a log, and logs whose jobs wait for each other when they are changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.calendar import DAY_S, UNDATED, WEEK_S
from clustersim.seeds import Streams
from clustersim.simulation.dependencies import Dependencies
from clustersim.workload.chains import chained, links_of
from clustersim.workload.log_resample import resampled
from clustersim.workload.log_scale import LogScale, scaled

HOUR = 3600.0


def log(*jobs: tuple[str, float, float, float]) -> pd.DataFrame:
    """Return jobs: user, submission, start and run time."""
    table = pd.DataFrame(jobs, columns=["user", "submit_s", "start_s", "duration_s"])
    return table.assign(job_id=np.arange(len(jobs)), n_accelerators=8, estimate_s=HOUR)


CHAIN = [("ann", 0.0, 0.0, 9.0), ("ann", 1.0, 9.0, 9.0), ("ann", 2.0, 30.0, 9.0)]


@pytest.mark.parametrize(
    ("jobs", "links"),
    [
        (CHAIN, [-1, 0, 1]),
        (CHAIN[::-1], [1, 2, -1]),
        (CHAIN[:2], [-1, -1]),  # two jobs may do so by chance
        ([*CHAIN[:2], ("ann", 2.0, 17.0, 9.0)], [-1] * 3),  # the last two overlap
        ([*CHAIN[:2], ("ann", 20.0, 30.0, 9.0)], [-1] * 3),  # submitted after the end
        ([*CHAIN[:2], ("bob", 2.0, 30.0, 9.0)], [-1] * 3),  # another user
        ([("", *job[1:]) for job in CHAIN], [-1] * 3),  # no user
        ([*CHAIN, ("ann", 1.0e5, 1.0e5, 9.0)], [-1, 0, 1, -1]),  # another session
    ],
)
def test_links_by_hand(jobs: list[tuple[str, float, float, float]], links: list[int]) -> None:
    assert links_of(log(*jobs)).tolist() == links
    assert links_of(log(*jobs).assign(start_s=np.nan)).tolist() == [-1] * len(jobs)
    assert links_of(log(*jobs).rename(columns={"start_s": "recorded_start_s"})).tolist() == links


def test_jobs_keep_what_they_wait_for() -> None:
    jobs, note = chained(log(*CHAIN).assign(after_any=["", "", "0"]))
    assert jobs["after_any"].tolist() == ["", "0", "0"]
    assert note == "chains: 2 jobs wait for the end of the one before"
    assert chained(log(*CHAIN[:2]))[1] == "chains: none are seen in the log"


def weeks_of(n: int, **more: Any) -> pd.DataFrame:
    """Return a chain of three jobs a day for some weeks."""
    rows = [
        (f"{day}-{link}", day * DAY_S + link, f"{day}-{link - 1}" if link else "")
        for day in range(7 * n)
        for link in range(3)
    ]
    table = pd.DataFrame(rows, columns=["job_id", "submit_s", "after_ok"])
    table = table.assign(array=[f"a{row // 3}" for row in range(len(rows))], array_limit=1)
    return table.assign(
        user="ann", n_accelerators=8, duration_s=60.0, not_before_s=table["submit_s"] + 10, **more
    )


def check_links(jobs: pd.DataFrame) -> None:
    """Each job waits for the one that was submitted a second earlier, or for none."""
    found = Dependencies.of(jobs)
    assert found is not None
    submit = jobs["submit_s"].to_numpy()
    links = 0
    for row, others in found.after_ok.items():
        (other,) = others
        assert submit[row] - submit[other] == pytest.approx(1.0)
        links += 1
    assert links == jobs["after_ok"].ne("").sum()
    assert (jobs["not_before_s"] - submit).to_numpy() == pytest.approx(10.0)
    arrays = jobs.groupby("array")["submit_s"]
    assert (arrays.max() - arrays.min() <= 2.0).all()


@given(st.integers(1, 40))
def test_weeks_that_are_drawn_again_keep_their_chains(replication: int) -> None:
    jobs = weeks_of(5)
    drawn, note = resampled(jobs, UNDATED, Streams(1, replication=replication))
    assert note
    assert drawn["job_id"].is_unique
    check_links(drawn)
    assert drawn["after_ok"].ne("").sum() == 2 * len(drawn) // 3


@given(st.floats(0.3, 3.0), st.sampled_from(["user", None]))
def test_more_or_less_load_keeps_the_chains_that_are_whole(load: float, by: str | None) -> None:
    spec = {"load": load, "method": "superpose"} | ({"by": by} if by else {})
    jobs = pd.concat([weeks_of(3), weeks_of(3).assign(
        job_id=lambda t: "b" + t["job_id"], user="bob", array=lambda t: "b" + t["array"],
        after_ok=lambda t: t["after_ok"].where(t["after_ok"] == "", "b" + t["after_ok"]),
    )]).sort_values("submit_s", kind="stable", ignore_index=True)  # fmt: skip
    changed, _ = scaled(jobs, LogScale.model_validate(spec), UNDATED, Streams(1))
    check_links(changed)


def test_compression_moves_the_time_before_which_a_job_does_not_start() -> None:
    jobs = weeks_of(1)
    half, _ = scaled(jobs, 2.0, UNDATED, Streams(1))
    assert half["not_before_s"].max() == pytest.approx((6 * DAY_S + 2 + 10) / 2)
    assert half["submit_s"].max() < WEEK_S / 2
