"""Local hours, days and months against the standard library, and what follows from them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pytest
from fleets import cluster, pool
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.availability.serving import service_demands
from clustersim.availability.serving_spec import Serving
from clustersim.calendar import DAY_S, HOUR_S, UNDATED, WEEK_S, Calendar, period_ends_s
from clustersim.costs.integrals import DailyRate
from clustersim.files import validate
from clustersim.seeds import Streams
from clustersim.time_zones import is_twice, parse_start, parse_zone, zone_name
from clustersim.workload.arrivals import Arrivals, arrival_times
from tests.examples import examples

Floats = npt.NDArray[np.float64]
ZONES = (
    "Asia/Shanghai",
    "Asia/Kolkata",  # half an hour
    "Asia/Kathmandu",  # three quarters
    "Europe/Berlin",
    "America/Los_Angeles",
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Africa/Casablanca",  # changes around Ramadan
    "America/Santiago",  # changes at midnight
    "Pacific/Apia",  # left out 30 December 2011
)
STARTS = st.builds(
    lambda zone, second: datetime.fromtimestamp(second, ZoneInfo(zone)),
    st.sampled_from(ZONES),
    st.integers(int(datetime(2010, 1, 1).timestamp()), int(datetime(2030, 1, 1).timestamp())),
)


def shown(start: datetime, time_s: float) -> datetime:
    """The local date and time, by the standard library alone."""
    return datetime.fromtimestamp(start.timestamp() + time_s, start.tzinfo)


def dated(text: str, zone: str | None = None) -> Calendar:
    start = datetime.fromisoformat(text)
    return Calendar(start if zone is None else start.replace(tzinfo=parse_zone(zone)))


# --- The clock ------------------------------------------------------------------------


@settings(max_examples=examples(60), deadline=None)
@given(STARTS, st.lists(st.integers(0, 900 * 86400), min_size=1, max_size=20))
def test_the_local_clock_is_that_of_the_standard_library(start: datetime, times: list[int]) -> None:
    calendar = Calendar(start)
    by_hand = [shown(start, time_s) for time_s in times]
    assert (calendar.hour_of_week(times) % 24).tolist() == [at.hour for at in by_hand]
    assert calendar.hour_of_week(times).tolist() == [at.weekday() * 24 + at.hour for at in by_hand]
    seconds = [(at.minute * 60 + at.second) for at in by_hand]
    assert (calendar.local_s(times) % HOUR_S).tolist() == seconds
    assert [calendar.at(time_s) for time_s in times] == by_hand
    again = Calendar.of_document(calendar.document())
    assert again == calendar
    assert again.local_s(times).tolist() == calendar.local_s(times).tolist()


@settings(max_examples=examples(30), deadline=None)
@given(STARTS)
def test_hours_begin_where_the_clock_shows_another(start: datetime) -> None:
    start = start.replace(second=0)
    calendar, days = Calendar(start), 250
    minutes = np.arange(0, days * DAY_S, 60.0)
    of_week, local = calendar.hour_of_week(minutes), calendar.local_s(minutes)
    new = np.flatnonzero((np.diff(of_week) != 0) | (np.diff(local) != 60.0)) + 1
    np.testing.assert_array_equal(calendar.hour_edges_s(days * DAY_S), np.append(0.0, minutes[new]))


@settings(max_examples=examples(40), deadline=None)
@given(STARTS, st.integers(1, 1200))
def test_months_begin_at_local_midnight(start: datetime, days: int) -> None:
    edges = Calendar(start).month_edges_s(days * DAY_S)
    by_hand = []
    year, month = start.year, start.month
    while True:
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        first = datetime(year, month, 1, tzinfo=start.tzinfo)
        # Where the clocks skip midnight, the month begins when they do.
        skipped = first.astimezone(UTC).astimezone(start.tzinfo).replace(tzinfo=None)
        missing = skipped - first.replace(tzinfo=None)
        since = first.timestamp() - start.timestamp() - missing.total_seconds() * (missing.days < 0)
        if since >= days * DAY_S:
            break
        by_hand.append(since)
    assert edges.tolist() == by_hand


def test_days_of_23_and_25_hours() -> None:
    one = np.eye(24)
    for day, twice, absent in (("2026-03-29", None, 2), ("2026-10-25", 2, None)):
        calendar = dated(day, "Europe/Berlin")
        end_s = DAY_S + 3600.0 * ((twice is not None) - (absent is not None))
        assert calendar.text(end_s)[-5:] == "00:00"
        for hour in range(24):
            seconds = float(DailyRate(one[hour].tolist(), calendar).until(np.array(end_s)))
            assert seconds == (7200.0 if hour == twice else 0.0 if hour == absent else 3600.0)


def test_without_a_date_every_week_begins_at_time_0() -> None:
    times = np.arange(0.0, 3 * WEEK_S, 1234.5)
    assert UNDATED.hour_of_week(times).tolist() == (times // HOUR_S % 168).tolist()
    assert UNDATED.local_s(times).tolist() == times.tolist()
    assert UNDATED.text(8 * DAY_S + 90.0 * 60) == "Tuesday 01:30"
    assert UNDATED.document() == {}
    with pytest.raises(ValueError, match="no months"):
        UNDATED.month_edges_s(1e7)
    with pytest.raises(ValueError, match="no dates"):
        UNDATED.at(0.0)


def test_a_century_and_the_end_of_dates() -> None:
    calendar = dated("2026-01-01", "Europe/Berlin")
    century = 100 * 365.25 * DAY_S
    assert calendar.text(century) == f"{shown(calendar.start, century):%Y-%m-%d %H:%M}"  # type: ignore[arg-type]
    assert len(calendar.month_edges_s(century)) == 1200, "2100 is no leap year"
    far = 9000 * 365.25 * DAY_S
    assert "years after 2026-01-01" in calendar.text(far)
    assert calendar.iso(far) == ""
    assert 0 <= calendar.hour_of_week(far) < 168


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("Asia/Shanghai", "Asia/Shanghai"),
        ("asia/shanghai", "Asia/Shanghai"),
        ("UTC", "UTC"),
        ("+05:30", "UTC+05:30"),
        ("UTC+8", "UTC+08:00"),
        ("GMT-0330", "UTC-03:30"),
        ("Etc/GMT+8", "Etc/GMT+8"),
    ],
)
def test_names_of_zones(name: str, canonical: str) -> None:
    assert zone_name(parse_zone(name)) == canonical
    assert zone_name(parse_zone(canonical)) == canonical


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Asia/Beijing", "'Asia/Shanghai'"),
        ("shanghai", "'Asia/Shanghai'"),
        ("Europe/Berln", "'Europe/Berlin'"),
        ("San Francisco", "'America/Los_Angeles'"),
        ("PST", "'America/Los_Angeles'"),
        ("CST", "; allowed"),
        ("localtime", "allowed"),
        ("local", "allowed"),
        ("UTC+25", "allowed"),
        ("", "allowed"),
        (8, "allowed"),
        ("x" * 100_000, "allowed"),
    ],
)
def test_unknown_zones_name_the_nearest(name: object, near: str) -> None:
    with pytest.raises(
        ValueError, match=f"unknown time zone {re.escape(repr(name)[:50])}.*{near}"
    ) as problem:
        parse_zone(name)
    assert len(str(problem.value)) < 250
    assert "localtime'?" not in str(problem.value), "another zone on each machine"


def test_starts_and_times_that_the_clock_shows_twice() -> None:
    assert parse_start("2026-01-01T08:00Z") == datetime(2026, 1, 1, 8, tzinfo=UTC)
    assert is_twice(datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")))
    assert not is_twice(datetime(2026, 3, 29, 3, 30, tzinfo=ZoneInfo("Europe/Berlin")))
    # The same instant on two clocks is not the same calendar.
    there = dated("2026-01-01T08:00", "Asia/Shanghai")
    assert Calendar(there.start.astimezone(UTC)) != there  # type: ignore[union-attr]


# --- Prices by the hour ---------------------------------------------------------------


@settings(max_examples=examples(40), deadline=None)
@given(
    STARTS,
    st.lists(st.integers(0, 9), min_size=24, max_size=24),
    st.integers(0, 400 * 1440),
)
def test_a_daily_rate_on_a_clock_adds_up_minute_by_minute(
    start: datetime, values: list[int], minutes: int
) -> None:
    start = start.replace(second=0)
    calendar = Calendar(start)
    each = np.array(values)[calendar.hour_of_week(np.arange(minutes) * 60.0) % 24]
    found = DailyRate(values, calendar).until(np.array([0.0, minutes * 60.0]))
    np.testing.assert_allclose(found, [0.0, 60.0 * each.sum()], rtol=1e-12, atol=1e-6)


# --- Arrivals -------------------------------------------------------------------------

NINE = [0.0] * 9 + [1.0] + [0.0] * 14


def arrivals(**fields: Any) -> Arrivals:
    return validate(Arrivals, {"mean_interarrival": "10 min", **fields}, "arrivals")


def drawn(process: Arrivals, calendar: Calendar, days: float = 365) -> Floats:
    return arrival_times(process, Streams(3)("arrivals"), horizon_s=days * DAY_S, calendar=calendar)


@pytest.mark.parametrize("growth", [1.0, 2.0])
@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe"])
def test_arrivals_keep_their_local_hour_all_year(zone: str, growth: float) -> None:
    calendar = dated("2026-02-10T18:23:11", zone)
    found = drawn(arrivals(daily=NINE, growth=growth), calendar)
    assert set((calendar.hour_of_week(found) % 24).tolist()) == {9}
    assert (np.diff(found) >= 0).all()
    of_day = np.bincount((calendar.local_s(found) // DAY_S).astype(int))
    assert (of_day[2:365] > 0).all(), "every day has its hour"


def test_an_hour_that_the_clock_skips_has_no_arrivals() -> None:
    """All come between 2:00 and 3:00 on Sundays: none on 29 March, twice as many on 25 October."""
    weekly, daily = [0.0] * 6 + [1.0], [0.0] * 2 + [1.0] + [0.0] * 21
    calendar = dated("2026-01-01", "Europe/Berlin")
    process = arrivals(daily=daily, weekly=weekly)
    days = calendar.month_edges_s(365 * DAY_S)
    until = process.to_operational(np.concatenate([[0.0], days]), 1.0, calendar)
    sundays = np.diff(until) / WEEK_S  # from January to November
    assert sundays == pytest.approx([4, 4, 4, 4, 5, 4, 4, 5, 4, 5, 5])


@settings(max_examples=examples(30), deadline=None)
@given(STARTS, st.sampled_from([1.0, 1.5, 4.0]), st.integers(1, 900))
def test_operational_time_and_back(start: datetime, growth: float, days: int) -> None:
    draw = np.random.default_rng(days)
    process = arrivals(
        daily=draw.uniform(0.1, 3, 24).tolist(), weekly=draw.uniform(0.1, 3, 7).tolist(),
        growth=growth,
    )  # fmt: skip
    calendar = Calendar(start)
    times = np.sort(draw.uniform(0, days * DAY_S, 50))
    operational = process.to_operational(times, 0.01, calendar)
    np.testing.assert_allclose(process.to_seconds(operational, 0.01, calendar), times, rtol=1e-9)
    # A plain twin: the rate of each hour of the local clock, summed.
    edge_s = np.append(calendar.hour_edges_s(days * DAY_S), days * DAY_S)
    rate = 0.01 * process.weekly_profile()[calendar.hour_of_week(edge_s[:-1])]
    growth_per_s = math.log(growth) / (365.25 * DAY_S)
    factor = np.exp(growth_per_s * (edge_s[:-1] + edge_s[1:]) / 2)
    twin = float((rate * factor * np.diff(edge_s)).sum())
    found = process.to_operational(np.array([days * DAY_S]), 0.01, calendar)[0]
    assert found == pytest.approx(twin, rel=1e-7)


def test_a_calendar_without_a_date_changes_nothing() -> None:
    process = arrivals(daily=NINE, weekly=[1.0] * 5 + [0.2] * 2)
    monday = dated("2026-01-05")
    np.testing.assert_array_equal(drawn(process, UNDATED, 60), drawn(process, monday, 60))
    even = arrivals()
    np.testing.assert_array_equal(
        drawn(even, UNDATED, 60), drawn(even, dated("2026-02-10T18:23", "Europe/Berlin"), 60)
    )


# --- Serving --------------------------------------------------------------------------

FLEET = cluster(pool("h200", 4, 8))
CHAT = {
    "name": "chat",
    "pool": "h200",
    "peak_requests_per_s": 24.0,
    "input_tokens": 300,
    "output_tokens": 200,
    "tokens_per_s_per_chip": 500,
    "shape": [float(hour) for hour in range(1, 25)],
    "lend": True,
}
"""One chip a request a second: as many chips as the hour's number from 1 on."""


def test_serving_follows_the_local_clock() -> None:
    calendar = dated("2026-03-28T18:45", "Europe/Berlin")
    spec = validate(Serving, {"services": [CHAT]}, "serving")
    (demand,) = service_demands(spec, FLEET, DAY_S, calendar)
    # From 18:45 on 15 minutes at 19 chips; on the night of 29 March hour 2 is left out.
    assert demand.begin_s[:3].tolist() == [0.0, 900.0, 4500.0]
    assert demand.chips[:12].tolist() == [19, 20, 21, 22, 23, 24, 1, 2, 4, 5, 6, 7]
    assert demand.nodes[:12].tolist() == [3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1]
    weekend = {**CHAT, "shape": [1.0] * 120 + [2.0] * 48}
    (demand,) = service_demands(
        validate(Serving, {"services": [weekend]}, "serving"), FLEET, DAY_S, calendar
    )
    assert demand.chips[0] == 24, "28 March 2026 is a Saturday"
    (plain,) = service_demands(spec, FLEET, DAY_S)
    assert plain.begin_s.tolist() == (np.arange(len(plain.chips)) * HOUR_S).tolist()
    assert plain.chips[:3].tolist() == [1, 2, 3]


# --- Periods of a study ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "days", "periods", "ends"),
    [
        ("2026-01-01", 365, 4, [0, 90, 181, 273, 365]),
        ("2026-01-01", 365.25, 4, [0, 90, 181, 273, 365.25]),
        ("2028-01-01", 366, 2, [0, 182, 366]),
        ("2026-04-01", 91, 3, [0, 30, 61, 91]),
        ("2026-01-15", 365, 4, [0, 91.25, 182.5, 273.75, 365]),  # no month begins at time 0
        ("2026-01-01", 120, 4, [0, 31, 59, 90, 120]),
        ("2026-01-01", 120, 5, [0, 24, 48, 72, 96, 120]),  # four months cannot be divided by 5
        ("2026-01-01", 100, 4, [0, 25, 50, 75, 100]),
        ("2026-01-01T08:00", 365, 4, [0, 91.25, 182.5, 273.75, 365]),
    ],
)
def test_quarters_are_those_of_the_calendar(
    start: str, days: float, periods: int, ends: list[float]
) -> None:
    found = period_ends_s(days * DAY_S, periods, dated(start, "Asia/Shanghai"))
    assert [end / DAY_S for end in found] == pytest.approx(ends)


def test_a_quarter_of_a_zone_with_daylight_saving_ends_at_its_midnight() -> None:
    calendar = dated("2026-01-01", "Europe/Berlin")
    found = period_ends_s(365 * DAY_S, 4, calendar)
    assert [calendar.text(end) for end in found[:4]] == [
        f"2026-{month:02}-01 00:00" for month in (1, 4, 7, 10)
    ]
    assert found[1] == 90 * DAY_S - HOUR_S
    assert timedelta(seconds=found[-1]) == timedelta(days=365)
