"""Another period like a log: blocks of weeks and days."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.calendar import DAY_S, UNDATED, WEEK_S, Calendar
from clustersim.errors import InputError
from clustersim.seeds import Streams
from clustersim.workload import check_jobs
from clustersim.workload.log_resample import _draw, _drawn, chosen_blocks, resampled
from tests.examples import examples

MONDAY = Calendar(datetime(2026, 1, 5))
BERLIN = Calendar(datetime(2026, 3, 2, tzinfo=ZoneInfo("Europe/Berlin")))


def log(submit_s: list[float]) -> pd.DataFrame:
    count = len(submit_s)
    return pd.DataFrame(
        {"job_id": np.arange(count), "submit_s": submit_s, "n_accelerators": np.arange(count) + 1,
         "duration_s": 10.0 * np.arange(count) + 1}
    )  # fmt: skip


def original(jobs: pd.DataFrame) -> pd.Series:
    return jobs["job_id"].astype(str).str.split("~").str[0].astype(int)


@pytest.mark.parametrize(
    ("days", "blocks", "kind"),
    [(29, "auto", "week"), (27, "auto", "weekday"), (13, "auto", "day"), (1.9, "auto", "none"),
     (15, "week", "week"), (40, "day", "weekday"), (40, "none", "none")],
)  # fmt: skip
def test_kind_of_blocks(days: float, blocks: str, kind: str) -> None:
    assert chosen_blocks(log([0.0, days * DAY_S]), UNDATED, blocks) == kind


@pytest.mark.parametrize(("days", "blocks"), [(13, "week"), (1.5, "day")])
def test_too_short_a_log_is_refused(days: float, blocks: str) -> None:
    with pytest.raises(InputError, match=f"{blocks} needs a log of two {blocks}s or more"):
        chosen_blocks(log([0.0, days * DAY_S]), UNDATED, blocks)


def test_replication_0_is_the_log_as_it_happened() -> None:
    jobs = log([0.0, 40 * DAY_S])
    same, note = resampled(jobs, UNDATED, Streams(5))
    assert same is jobs
    assert note == ""


def test_weeks_are_kept_together() -> None:
    # Week k has the jobs 3k, 3k + 1, 3k + 2, one hour apart.
    jobs = log([k * WEEK_S + h * 3600.0 for k in range(6) for h in range(3)])
    jobs = pd.concat([jobs, log([6 * WEEK_S + 3 * 3600.0]).assign(job_id=99)], ignore_index=True)
    drawn, note = resampled(jobs, UNDATED, Streams(1, replication=4))
    assert note == "the log is drawn again in 6 blocks of a week (replication 4)"
    weeks = (drawn["submit_s"] // WEEK_S).astype(int)
    for week in range(6):
        own = original(drawn[(weeks == week) & (original(drawn) != 99)]).tolist()
        assert own in [[3 * k, 3 * k + 1, 3 * k + 2] for k in range(6)] or own == []
    check_jobs(drawn, "drawn")


@st.composite
def logs(draw: st.DrawFn) -> pd.DataFrame:
    days = draw(st.integers(3, 60))
    times = draw(st.lists(st.floats(0, days * DAY_S), min_size=2, max_size=80))
    return log(sorted(times))


@settings(max_examples=examples(200), deadline=None)
@given(logs(), st.integers(1, 5), st.sampled_from([UNDATED, MONDAY, BERLIN]))
def test_content_and_local_time_of_every_job_are_kept(
    jobs: pd.DataFrame, replication: int, calendar: Calendar
) -> None:
    kind = chosen_blocks(jobs, calendar)
    drawn, _ = resampled(jobs, calendar, Streams(3, replication=replication))
    if len(drawn):
        check_jobs(drawn, "drawn")
    source = jobs.set_index("job_id").loc[original(drawn)]
    for column in ("n_accelerators", "duration_s"):
        assert (source[column].to_numpy() == drawn[column].to_numpy()).all()
    period = {"week": WEEK_S, "weekday": WEEK_S, "day": DAY_S, "none": 1.0}[kind]
    moved = calendar.local_s(drawn["submit_s"]) - calendar.local_s(source["submit_s"])
    off = np.abs((moved + period / 2) % period - period / 2)
    changes = calendar is BERLIN
    assert (off <= (3600.0 if changes else 0.0) + 1e-3).all()
    first, last = jobs["submit_s"].iloc[0], jobs["submit_s"].iloc[-1]
    room = 3600.0 * changes + 1e-3
    assert drawn["submit_s"].between(first - room, last + room).all()


@pytest.mark.parametrize("days", [8, 17, 30, 45])
def test_each_job_is_expected_once(days: int) -> None:
    jobs = log((np.arange(days * 4 + 1) * DAY_S / 4).tolist())
    counts: Counter[int] = Counter()
    for replication in range(1, 121):
        drawn, _ = resampled(jobs, UNDATED, Streams(0, replication=replication))
        counts.update(original(drawn).tolist())
    mean = np.array([counts[k] for k in range(len(jobs))]) / 120
    assert mean.mean() == pytest.approx(1.0, abs=0.03)
    assert (np.abs(mean - 1.0) < 0.45).all()


def test_working_days_replace_working_days() -> None:
    jobs = log((np.arange(10 * 2 + 1) * DAY_S / 2).tolist())  # Monday to Thursday of the next week
    for replication in range(1, 20):
        drawn, _ = resampled(jobs, MONDAY, Streams(0, replication=replication))
        source = jobs.set_index("job_id").loc[original(drawn)]
        weekend = [(each["submit_s"] // DAY_S % 7 >= 5).to_numpy() for each in (drawn, source)]
        assert (weekend[0] == weekend[1]).all()


def test_the_clock_change_keeps_the_hour() -> None:
    # Noon of each day from 2 March on; on 29 March, clocks in Berlin go forward.
    noon = [BERLIN.times_of([k * DAY_S + 12 * 3600.0])[0] for k in range(56)]
    drawn, _ = resampled(log(noon), BERLIN, Streams(0, replication=1))
    assert set(BERLIN.local_s(drawn["submit_s"]) % DAY_S) == {12 * 3600.0}
    assert len(set(np.diff(noon).tolist())) > 1


def test_equal_replications_are_equal() -> None:
    jobs = log((np.arange(100) * DAY_S / 3).tolist())
    one, other = (resampled(jobs, UNDATED, Streams(2, replication=7))[0] for _ in range(2))
    assert one.equals(other)
    different = resampled(jobs, UNDATED, Streams(2, replication=8))[0]
    assert not one.equals(different)


@pytest.mark.parametrize("days", [14.5, 21.5, 28.2, 27.9])
def test_no_draw_is_the_log_in_another_order(days: float) -> None:
    """Of four weeks, 9 % of the draws would be; the others of a seed are as they were."""
    noon = [k * WEEK_S + DAY_S for k in range(round(days / 7))]
    ends = [log([at]).assign(job_id=number) for at, number in ((0.0, 98), (days * DAY_S, 99))]
    jobs = pd.concat([ends[0], log(noon), ends[1]], ignore_index=True)
    for replication in range(1, 41):
        drawn, _ = resampled(jobs, UNDATED, Streams(0, replication=replication), "week")
        assert len(set(original(drawn)) - {98, 99}) < len(noon)


def test_a_draw_with_repeats_is_kept() -> None:
    classes, again = np.zeros(5, dtype=np.int64), 0
    for seed in range(60):
        first = list(_draw(classes, 4, np.random.default_rng(seed)))
        found = _drawn(classes, 4, np.random.default_rng(seed), cut=True)
        if len({late for _, _, late in first[:4]}) < 4:
            assert found == first
        else:
            again += 1
            assert len({late for _, _, late in found[:4]}) < 4
    assert again > 0


def test_blocks_that_no_other_can_replace_stay() -> None:
    """A Friday, a Saturday and the morning of a Sunday: every draw has both days."""
    classes = np.array([0, 1, 1])
    for seed in range(20):
        found = _drawn(classes, 2, np.random.default_rng(seed), cut=True)
        assert [late for _, _, late in found] == [0, 1, -1]
