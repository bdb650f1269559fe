"""Local clocks of logs: daylight saving time in run times, and hours of the day by the clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.calendar import Calendar
from clustersim.cli.main import main
from clustersim.workload import describe_jobs, read_jobs
from clustersim.workload.fit import fit_arrivals
from clustersim.workload.readers.times import Clock, instants
from tests.examples import examples

PACIFIC = ZoneInfo("America/Los_Angeles")


def philly(tmp_path: Path, *jobs: tuple[str | None, list[tuple[str | None, str | None]]]) -> Path:
    """Write a Philly log of jobs on one GPU: submission, and start and end of each attempt."""
    entries = [
        {
            "jobid": f"job{number}",
            "vc": "a",
            "user": "u",
            "status": "Pass",
            "submitted_time": submitted,
            "attempts": [
                {"start_time": start, "end_time": end, "detail": [{"ip": "m1", "gpus": ["gpu0"]}]}
                for start, end in attempts
            ],
        }
        for number, (submitted, attempts) in enumerate(jobs, start=1)
    ]
    path = tmp_path / "cluster_job_log"
    path.write_text(json.dumps(entries))
    return path


def test_philly_over_the_end_of_daylight_saving_time(tmp_path: Path) -> None:
    """A day of 25 h; 01:50 to 01:10 is 20 min; and 20 min and 2 h together."""
    log = read_jobs(
        philly(
            tmp_path,
            ("2017-11-04 12:00:00", [("2017-11-04 12:00:00", "2017-11-05 12:00:00")]),
            ("2017-11-05 01:40:00", [("2017-11-05 01:50:00", "2017-11-05 01:10:00")]),
            (
                "2017-11-05 01:40:00",
                [
                    ("2017-11-05 01:50:00", "2017-11-05 01:10:00"),
                    ("2017-11-05 01:11:00", "2017-11-05 03:11:00"),
                ],
            ),
        )
    )
    assert log.jobs["duration_s"].tolist() == [90_000, 1_200, 8_400]
    assert (log.jobs["start_s"] - log.jobs["submit_s"]).tolist() == [0, 600, 600]
    assert log.notes == (
        "7 times are in an hour that the clocks of America/Los_Angeles show twice: the first "
        "instant that keeps the order of events is used",
    )
    assert log.origin == datetime(2017, 11, 4, 12, tzinfo=PACIFIC)


def test_philly_over_the_begin_of_daylight_saving_time(tmp_path: Path) -> None:
    """A day of 23 h in March, and a time that no clock showed."""
    log = read_jobs(
        philly(
            tmp_path,
            ("2018-03-10 12:00:00", [("2018-03-10 12:00:00", "2018-03-11 12:00:00")]),
            ("2018-03-11 01:30:00", [("2018-03-11 01:59:00", "2018-03-11 02:30:00")]),
        )
    )
    assert log.jobs["duration_s"].tolist() == [23 * 3600, 31 * 60]
    assert log.notes == (
        "1 time is in an hour that the clocks of America/Los_Angeles skip: it is read as one "
        "hour later",
    )


def test_philly_without_daylight_saving_time(tmp_path: Path) -> None:
    log = read_jobs(
        philly(tmp_path, ("2017-10-04 12:00:00", [("2017-10-04 12:00:00", "2017-10-05 12:00:00")]))
    )
    assert log.jobs["duration_s"].tolist() == [86_400]
    assert log.notes == ()


def test_philly_attempts_that_were_not_recorded_whole(tmp_path: Path) -> None:
    """Nothing is made up, subtracted or left out in silence: such jobs are dropped by reason."""
    good = ("2017-10-07 01:12:00", "2017-10-07 01:12:43")
    log = read_jobs(
        philly(
            tmp_path,
            ("2017-10-07 01:00:00", [good]),
            ("2017-10-07 01:01:00", [(None, "2017-10-07 01:10:00"), good]),
            ("2017-10-07 01:01:00", [("2017-10-07 01:05:00", "None"), good]),
            ("2017-10-07 01:01:00", [(None, None), good]),
            ("2017-10-07 01:02:00", [("2017-10-07 01:20:00", "2017-10-07 01:10:00"), good]),
            ("2017-10-07 01:03:00", [good, ("2017-10-07 01:20:00", None)]),
        )
    )
    assert log.jobs["job_id"].tolist() == ["job1"]
    assert log.jobs["duration_s"].tolist() == [43]
    assert dict(log.dropped) == {
        "run time unknown: an attempt has no recorded start or end": 3,
        "run time unknown: an attempt ends before it starts": 1,
        "still running at the end of the log, or last end not recorded": 1,
    }


@settings(max_examples=examples(200), deadline=None)
@given(
    zone=st.sampled_from(
        ["America/Los_Angeles", "Europe/Stockholm", "Asia/Shanghai", "Asia/Kolkata"]
    ),
    first=st.integers(1_509_700_000, 1_509_960_000) | st.integers(1_520_600_000, 1_520_860_000),
    gaps=st.lists(st.integers(0, 7200), min_size=1, max_size=6),
)
def test_clock_against_the_standard_library(zone: str, first: int, gaps: list[int]) -> None:
    """Events in order, as a clock showed them, come back in order and show the same.

    Where a time was shown twice the first that fits is taken, so that instants may be earlier by
    the hour, but never later.
    """
    moments = np.cumsum([first, *gaps])
    there = ZoneInfo(zone)
    shown = [datetime.fromtimestamp(int(moment), there).replace(tzinfo=None) for moment in moments]
    message = Clock(zone).in_order([pd.Series([pd.Timestamp(wall)]) for wall in shown])
    seconds = [round(column[0].timestamp()) for column in message]
    assert seconds == sorted(seconds)
    for got, moment, wall in zip(seconds, moments, shown, strict=True):
        assert got in (moment, moment - 3600)
        assert datetime.fromtimestamp(got, there).replace(tzinfo=None) == wall


def test_times_with_and_without_offsets_in_one_column() -> None:
    (got,) = instants(
        [
            pd.Series(
                [
                    *("2023-05-17 11:00:58+00:00", "2023-05-17T19:00:58+08:00"),
                    *("2023-05-17 19:00:58", "2023-05-17 11:00:58Z", "", None, "soon", "2023"),
                ]
            )
        ],
        Clock("Asia/Shanghai"),
    )
    moment = datetime(2023, 5, 17, 11, 0, 58, tzinfo=UTC)
    assert [None if pd.isna(each) else each for each in got[:7]] == [*[moment] * 4, *[None] * 3]


def swf(path: Path, header: str, submits: list[int]) -> Path:
    rows = [
        f"{number} {submit} 0 600 4 -1 -1 4 900 -1 1 1 1 -1 1 1 -1 -1"
        for number, submit in enumerate(submits, start=1)
    ]
    path.write_text("\n".join([*header.splitlines(), *rows]) + "\n")
    return path


def at_0930(zone: str, days: int = 300) -> tuple[int, list[int]]:
    """Unix time of a local midnight, and seconds from it of 09:30 on the days after it."""
    there = ZoneInfo(zone)
    midnight = datetime(1996, 9, 23, tzinfo=there)
    begin = round(midnight.timestamp())
    mornings = [
        (datetime(1996, 9, 23, 9, 30) + timedelta(days=day)).replace(tzinfo=there)
        for day in range(days)
    ]
    return begin, [round(morning.timestamp()) - begin for morning in mornings]


@pytest.mark.parametrize("zone", ["Europe/Stockholm", "America/Los_Angeles", "Australia/Sydney"])
def test_hours_of_the_day_are_those_of_the_local_clock(tmp_path: Path, zone: str) -> None:
    begin, submits = at_0930(zone)
    header = f"; Version: 2.2\n; UnixStartTime: {begin}\n; TimeZoneString: {zone}\n"
    log = read_jobs(swf(tmp_path / "log.swf", header, submits))
    assert log.origin is not None
    got = describe_jobs(log.jobs, calendar=Calendar(log.origin))
    assert np.flatnonzero(np.nan_to_num(got.by_hour)).tolist() == [9]
    week_hours = np.flatnonzero(np.nan_to_num(got.by_week_hour))
    assert week_hours.tolist() == [24 * day + 9 for day in range(7)]
    fitted = fit_arrivals(log.jobs, calendar=Calendar(log.origin))
    assert fitted.daily is not None
    assert np.flatnonzero(fitted.daily).tolist() == [9]


def test_trace_shows_local_hours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin, submits = at_0930("Europe/Stockholm")
    header = f"; UnixStartTime: {begin}\n; TimeZoneString: Europe/Stockholm\n"
    path = swf(tmp_path / "log.swf", header, submits)
    assert main(["trace", str(path)]) == 0
    printed = capsys.readouterr().out
    hours = next(line for line in printed.splitlines() if line.startswith("hour of the day"))
    rates = [float(rate) for rate in hours.split(":")[1].split()]
    assert [hour for hour, rate in enumerate(rates) if rate > 0] == [9]
    assert "hours and days: local time: Monday, 1996-09-23 00:00 (Europe/Stockholm)" in printed


def test_rates_count_the_time_that_each_local_hour_lasted() -> None:
    """A job every 10 min over the end of summer time: the same rate in all hours, also in hour 2,
    which the clock shows twice; hour 2 of the beginning is skipped.
    """
    for start, skipped in ((datetime(2026, 10, 24), None), (datetime(2026, 3, 28), 2)):
        calendar = Calendar(start.replace(tzinfo=ZoneInfo("Europe/Berlin")))
        submit = np.arange(24 * 3600, 47 * 3600 + 1, 600, dtype=np.float64)
        jobs = pd.DataFrame(
            {"job_id": range(len(submit)), "submit_s": submit, "n_accelerators": 1, "duration_s": 1}
        )
        rates = describe_jobs(jobs, calendar=calendar).by_hour
        known = ~np.isnan(rates)
        assert known.sum() >= 22
        assert skipped is None or np.isnan(rates[skipped])
        inner = np.flatnonzero(known)[1:-1]
        np.testing.assert_allclose(rates[inner], 1 / 600, rtol=0.2)
        if skipped is None:
            assert rates[2] == pytest.approx(1 / 600)


UNIX = 843_429_600  # Sunday, 1996-09-22 22:00 UTC
OFFSETS = {
    "; TimeZoneString: Europe/Stockholm": ("1996-09-23T00:00:00+02:00", 0),
    "; TimeZoneString: US/Pacific": ("1996-09-22T15:00:00-07:00", 0),
    ";TimeZoneString:   Asia/Tokyo  ": ("1996-09-23T07:00:00+09:00", 0),
    "; TimeZone: 3600": ("1996-09-22T23:00:00+01:00", 0),
    "; TimeZone: -18000": ("1996-09-22T17:00:00-05:00", 0),
    "; TimeZone: 19800": ("1996-09-23T03:30:00+05:30", 0),
    "; TimeZone: 0": ("1996-09-22T22:00:00+00:00", 0),
    "; TimeZone: +0100": ("1996-09-22T23:00:00+01:00", 0),
    "; TimeZone: Europe/Paris": ("1996-09-23T00:00:00+02:00", 0),
    "; TimeZone: 3600\n; TimeZoneString: Europe/Paris": ("1996-09-23T00:00:00+02:00", 0),
    "; TimeZoneString: Foo/Bar\n; TimeZone: 7200": ("1996-09-23T00:00:00+02:00", 1),
    "; TimeZoneString: Foo/Bar": ("1996-09-22T22:00:00+00:00", 2),
    "; TimeZone: 100000": ("1996-09-22T22:00:00+00:00", 2),
    "; MaxProcs: 100": ("1996-09-22T22:00:00+00:00", 1),
}


@pytest.mark.parametrize("header", OFFSETS)
def test_swf_headers_of_the_zone(tmp_path: Path, header: str) -> None:
    local, notes = OFFSETS[header]
    log = read_jobs(swf(tmp_path / "log.swf", f"; UnixStartTime: {UNIX}\n{header}\n", [0, 60]))
    assert log.origin is not None
    assert log.origin.isoformat() == local
    assert len(log.notes) == notes


def test_swf_zone_with_daylight_saving_time_is_kept(tmp_path: Path) -> None:
    header = f"; UnixStartTime: {UNIX}\n; TimeZoneString: Europe/Stockholm\n"
    log = read_jobs(swf(tmp_path / "log.swf", header, [0]))
    assert log.origin is not None
    assert log.origin.tzinfo == ZoneInfo("Europe/Stockholm")
    header = f"; UnixStartTime: {UNIX}\n; TimeZone: 3600\n"
    log = read_jobs(swf(tmp_path / "log.swf", header, [0]))
    assert log.origin is not None
    assert log.origin.tzinfo == timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("header", "local"),
    [
        ("; StartTime: Tue Feb 21 18:44:15 IST 2006\n", "2006-02-21T18:44:15"),
        (
            "; UnixStartTime: 0\n; StartTime: Tue Feb 21 18:44:15 IST 2006\n"
            "; TimeZoneString: Asia/Jerusalem\n",
            "2006-02-21T18:44:15+02:00",
        ),
        ("; UnixStartTime: -1\n", None),
        ("; UnixStartTime: 0\n; StartTime: long ago\n", None),
        ("; MaxProcs: 100\n", None),
    ],
)
def test_swf_headers_of_the_start(tmp_path: Path, header: str, local: str | None) -> None:
    log = read_jobs(swf(tmp_path / "log.swf", header, [0]))
    assert (None if log.origin is None else log.origin.isoformat()) == local
    assert bool(log.notes) == ("long ago" in header)


def test_days_of_a_picture_are_local_days(tmp_path: Path) -> None:
    """Jobs at 23:30 and 00:30 of a log that begins at 22:00 are of different days."""
    from matplotlib.figure import Figure

    from clustersim.plots.trace import plot_arrivals

    origin = datetime(2026, 3, 28, 22, tzinfo=ZoneInfo("Europe/Berlin"))
    submit = [5400.0 + 86400 * day for day in range(6)] + [9000.0]
    jobs = pd.DataFrame({"submit_s": sorted(submit)})
    ax = plot_arrivals(jobs, origin=origin, ax=Figure().subplots())
    # 23:30 on 28 March; then 00:30 by summer time on 30 March and so on.
    assert [bar.get_height() for bar in ax.patches] == [1, 1, 1, 1, 1, 1, 1]
