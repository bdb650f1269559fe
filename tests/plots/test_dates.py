"""Axes of simulated time with dates: ticks by hand, clock changes, and every plot that has one."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim import plots
from clustersim.calendar import Calendar
from clustersim.plots.figure import study_figure
from clustersim.plots.parts.dates import date_ticks, date_title, set_time_axis
from tests.examples import examples

DAY, HOUR = 86400.0, 3600.0
ZURICH = ZoneInfo("Europe/Zurich")


def test_ticks_are_at_local_midnights_across_a_clock_change() -> None:
    calendar = Calendar(datetime(2026, 3, 27, 18, tzinfo=ZURICH))
    tick_s, labels = date_ticks(calendar, 0.0, 4 * DAY)
    # 18:00 to midnight is 6 h; the 29th of March has 23 hours.
    assert (tick_s / HOUR).tolist() == [6.0, 30.0, 53.0, 77.0]
    assert labels == ["28", "29", "30", "31"]
    assert date_title(calendar, tick_s) == "date in 2026-03 (Europe/Zurich)"


@settings(max_examples=examples(60), deadline=None)
@given(
    st.floats(0.0, 3e8),
    st.floats(60.0, 3e8),
    st.sampled_from([None, ZURICH, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")]),
)
def test_ticks_are_round_local_times_within_the_axis(
    begin_s: float, span_s: float, zone: ZoneInfo | None
) -> None:
    calendar = Calendar(datetime(2026, 2, 3, 7, 30, tzinfo=zone))
    tick_s, labels = date_ticks(calendar, begin_s, begin_s + span_s)
    assert len(tick_s) == len(labels) <= 12
    assert ((tick_s >= begin_s - 1e-3) & (tick_s <= begin_s + span_s + 1e-3)).all()
    assert (np.diff(tick_s) > 0).all()
    if span_s > 30 * DAY:
        local = [calendar.at(float(time_s)) for time_s in tick_s]
        assert all((moment.hour, moment.minute) == (0, 0) for moment in local)


@pytest.mark.parametrize(
    ("span_s", "title"),
    [
        (5 * HOUR, "time on 2026-03-27"),
        (1.5 * DAY, "date and time from 2026-03-27"),
        (3 * DAY, "date in 2026-03"),
        (60 * DAY, "date from 2026-04-01"),
        (250 * DAY, "date in 2026"),
        (1500 * DAY, "date from 2027-01"),
    ],
)
def test_the_title_has_what_the_labels_lack(span_s: float, title: str) -> None:
    calendar = Calendar(datetime(2026, 3, 27, 7, 30))
    ax = study_figure(width=7.0).panels[0]
    assert set_time_axis(ax, "x", [0.0, span_s], calendar) == title


def test_without_a_date_and_beyond_all_dates_the_axis_has_durations() -> None:
    ax = study_figure().panels[0]
    assert set_time_axis(ax, "x", [0.0, 3 * DAY], Calendar()) == "simulated time, d"
    title = set_time_axis(ax, "x", [0.0, 3e11], Calendar(datetime(2026, 1, 1)))
    assert title.startswith("simulated time since 2026-01-01 00:00, ")


@pytest.fixture(scope="module")
def result() -> cs.Result:
    jobs = pd.DataFrame(
        {"job_id": np.arange(30), "submit_s": 7200.0 * np.arange(30), "n_accelerators": 4,
         "duration_s": 5 * HOUR}
    )  # fmt: skip
    start = {"start": "2026-03-27T07:30:00+01:00", "time_zone": "Europe/Zurich"}
    return cs.replay(jobs, policy="fcfs", accelerators=8, provenance={"calendar": start})


def test_plots_of_a_run_show_dates(result: cs.Result) -> None:
    for ax in (plots.plot_queue(result), plots.plot_utilisation(result)):
        assert ax.get_xlabel() == "date in 2026-03 (Europe/Zurich)"
        assert [text.get_text() for text in ax.get_xticklabels()][:2] == ["28", "29"]
        assert ax.get_xticks()[0] == 16.5 * HOUR  # coordinates remain seconds
    gantt = plots.plot_gantt(result, by="job")
    title = "date in 2026-03 (Europe/Zurich); in the bars: accelerators"
    assert gantt.get_xlabel() == title
    found = cs.forecast(result, accelerators=8, at_s=30 * HOUR, replications=3)
    ax = plots.plot_forecast(found.jobs, calendar=found.calendar, now_s=found.now_s)
    assert ax.get_xlabel().endswith("(Europe/Zurich)")
    assert ax.get_xlim()[0] < 30 * HOUR < ax.get_xlim()[1]


def test_arrivals_of_a_dated_log_are_counted_by_date() -> None:
    jobs = pd.DataFrame(
        {"job_id": np.arange(40), "submit_s": 0.5 * DAY * np.arange(40), "n_accelerators": 1,
         "duration_s": HOUR}
    )  # fmt: skip
    ax = plots.plot_arrivals(jobs, origin=datetime(2026, 3, 27, 13))
    assert ax.get_xlabel() == "date from 2026-03-29"
    # The 29th is the third day of the log, and its bar is at 2.
    assert ax.get_xticks()[0] == 2.0
    assert plots.plot_arrivals(jobs).get_xlabel() == "day of the log"


def test_a_timeline_has_dates_and_takes_them(result: cs.Result) -> None:
    from clustersim.report.timeline import chrome_trace

    events = pd.DataFrame({"time_s": ["2026-03-28T07:30", 60.0], "kind": ["outage", "news"]})
    trace = [*chrome_trace(result, events=events).events()]
    marks = {event["name"]: event for event in trace if event["ph"] == "i"}
    assert marks["outage"]["ts"] == int(DAY * 1e6)
    assert marks["outage"]["args"]["date"] == "2026-03-28T07:30:00+01:00"
    first = next(event for event in trace if event["ph"] == "X")
    assert first["args"]["start"] == "2026-03-27T07:30:00+01:00"
    assert first["args"]["end"] == "2026-03-27T12:30:00+01:00"
    with pytest.raises(cs.InputError, match=r"row 1: time_s: .* is before the start"):
        chrome_trace(result, events=events.assign(time_s=["2026-03-01", 60.0]))
