"""Time zones as in the variable TZ of POSIX, which some logs name."""

from __future__ import annotations

import copy
import io
import pickle
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest

from clustersim.calendar import Calendar
from clustersim.cli.main import main
from clustersim.posix_zone import US_RULES, posix_zone, with_rules
from clustersim.time_zones import parse_zone, zone_name
from clustersim.workload import read_jobs

UNIX = int(datetime(2019, 3, 31, 0, 59, 59, tzinfo=UTC).timestamp())
"""A second before the clocks of central Europe change."""
CET = "CET-1CEST,M3.5.0,M10.5.0/3"


def swf(path: Path, zone: str, n_jobs: int = 2) -> Path:
    head = f"; UnixStartTime: {UNIX}\n; TimeZoneString: {zone}\n"
    rows = [f"{k} {60 * k} 0 10 1 -1 -1 1 -1 -1 1 1 1 1 1 1 -1 -1" for k in range(n_jobs)]
    path.write_text(head + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("zone", "first", "later", "words"),
    [
        (CET, "01:59:59+01:00", "03:00:59+02:00", ""),
        (f":{CET}", "01:59:59+01:00", "03:00:59+02:00", ""),
        ("EST5EDT", "20:59:59-04:00", "21:00:59-04:00", ""),  # a name of zoneinfo, too
        ("EST5EDT,M4.1.0,M10.5.0", "19:59:59-05:00", "20:00:59-05:00", ""),  # until 2006
        ("<+03>-3", "03:59:59+03:00", "04:00:59+03:00", ""),
        ("<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", "21:59:59-03:00", "23:00:59-02:00", ""),
        ("IST-5:30", "06:29:59+05:30", "06:30:59+05:30", "positive hours west of UTC: UTC+05:30"),
        ("UTC8", "16:59:59-08:00", "17:00:59-08:00", "positive hours west of UTC: UTC-08:00"),
        ("MET-1MEST", "02:59:59+02:00", "03:00:59+02:00", "rules of the USA since 2007 are assu"),
        (
            "CET-1CEST,M3.9.0,M10.5.0",
            "00:59:59+00:00",
            "01:00:59+00:00",
            "hours of the day are in UTC",
        ),
        ("CET-99", "00:59:59+00:00", "01:00:59+00:00", "hours of the day are in UTC"),
        ("C1", "00:59:59+00:00", "01:00:59+00:00", "hours of the day are in UTC"),
    ],
)
def test_logs(tmp_path: Path, zone: str, first: str, later: str, words: str) -> None:
    log = read_jobs(swf(tmp_path / "log.swf", zone))
    assert log.origin is not None
    calendar = Calendar(log.origin)
    at = (log.origin, (log.origin.astimezone(UTC) + timedelta(seconds=60)))
    shown = [moment.astimezone(log.origin.tzinfo).isoformat()[11:] for moment in at]
    assert shown == [first, later]
    message = [note for note in log.notes if "zone" in note.lower() or "utc" in note.lower()]
    assert (words in " ".join(message)) if words else message == []
    # It goes into a result and comes back, and to other processes.
    again = Calendar.of_document(calendar.document())
    assert again.document() == calendar.document()
    assert again.start == calendar.start
    assert pickle.loads(pickle.dumps(log.origin)) == copy.deepcopy(log.origin) == log.origin


@pytest.mark.parametrize(
    ("zone", "offset"),
    [
        ("<+20>-20", "+20:00"),
        ("<-15>15", "-15:00"),
        ("<+03>-3:00:07", "+3:00:07"),
        ("<+14>-14:01", "+14:01"),
        ("AAA-1BBB-23,M3.5.0,M10.5.0", "+23:00"),
        ("AAA-1BBB-2:00:30,M3.5.0,M10.5.0", "+2:00:30"),
        ("AAA-14BBB,M3.5.0,M10.5.0", "+15:00"),  # summer time is an hour ahead by default
        ("AAA-24BBB-1,M3.5.0,M10.5.0", "+24:00"),
    ],
)
def test_offsets_are_of_whole_minutes_up_to_14_hours(zone: str, offset: str) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"has an offset of {offset} from UTC; allowed: whole min")
    ):
        parse_zone(zone)


@pytest.mark.parametrize(("zone", "offset"), [("UTC-24", "+24:00"), ("CET-99", "+99:00")])
def test_offsets_beyond_a_day_are_refused_in_our_words(zone: str, offset: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{zone!r} has an offset of {offset} from UTC")):
        posix_zone(zone)


@pytest.mark.parametrize(
    "zone", ["<+14>-14", "<-12>12", "<+0545>-5:45", "<+13>-13<+14>,M9.5.0,M4.1.0"]
)
def test_offsets_at_the_limit(zone: str) -> None:
    assert parse_zone(zone).utcoffset(datetime(2026, 1, 1)) is not None


def test_zones_that_have_both() -> None:
    """After the last change that is written out, a zone of the database follows the POSIX string at
    the end of its file.
    """
    draw = np.random.default_rng(5)
    seen: dict[str, tuple[str, bytes]] = {}
    for key in sorted(available_timezones()):
        path = resources.files("tzdata.zoneinfo").joinpath(*key.split("/"))
        with suppress(FileNotFoundError):
            content = path.read_bytes()
            text = content.rstrip(b"\n").rpartition(b"\n")[2].decode()
            seen.setdefault(text, (key, content))
    assert len(seen) > 50
    begin, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2090, 2300))
    for text, (key, content) in seen.items():
        zone, own = posix_zone(text), ZoneInfo.from_file(io.BytesIO(content))
        for moment in draw.integers(begin, end, 100).tolist():
            at = datetime.fromtimestamp(moment, UTC)
            assert at.astimezone(zone).isoformat() == at.astimezone(own).isoformat(), (text, key)


def test_the_clock_of_a_year_is_that_of_zoneinfo() -> None:
    """Local times of a calendar, changes included, against the same zone by its name."""
    starts = [
        datetime(2026, 1, 1, tzinfo=zone) for zone in (posix_zone(CET), ZoneInfo("Europe/Paris"))
    ]
    times = np.arange(0, 2 * 365 * 86400, 1800.0)
    posix, named = (Calendar(start).local_s(times) for start in starts)
    np.testing.assert_array_equal(posix, named)


def test_names() -> None:
    assert zone_name(parse_zone(CET)) == CET
    assert zone_name(parse_zone("<+0545>-5:45")) == "UTC+05:45"
    assert with_rules("CET-1CEST") == f"CET-1CEST{US_RULES}"
    for text, words in (
        ("CET-1CEST", f"has no rules .* append them, as in 'CET-1CEST{US_RULES}'"),
        ("UTC8", "unknown time zone 'UTC8'"),  # eight hours west or east?
        ("CET-1CEST,M3.9.0,M10.5.0", "is not a POSIX time zone"),
    ):
        with pytest.raises(ValueError, match=words):
            parse_zone(text)


def test_trace_and_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Jobs a minute apart from 1:59:59 on for ten days: by the local clock none is between 2 and 3
    on the first day.
    """
    path = swf(tmp_path / "log.swf", CET, 15_000)
    assert main(["trace", str(path)]) == 0
    assert re.search(rf"hours and days: local time: .*{re.escape(CET)}", capsys.readouterr().out)
    replay = ["replay", str(path), "--policy", "fcfs", "--accelerators", "8"]
    assert main([*replay, "--out", str(tmp_path / "out")]) == 0
    assert CET in capsys.readouterr().out
