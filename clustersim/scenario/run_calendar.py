"""The calendar of a scenario: its `start` and `time_zone`, or the clock of its log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from clustersim.calendar import UNDATED, Calendar
from clustersim.errors import InputError
from clustersim.time_zones import in_zone, is_twice, parse_start, parse_zone, zone_name

__all__ = ["RunCalendar", "Start", "TimeZone", "calendar_text", "run_calendar"]

Start = Annotated[
    datetime,
    BeforeValidator(parse_start),
    PlainSerializer(datetime.isoformat, when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["2026-01-01", "2026-01-01T08:00"]}),
]
TimeZone = Annotated[str, BeforeValidator(lambda name: zone_name(parse_zone(name)))]


@dataclass(frozen=True, slots=True)
class RunCalendar:
    """The calendar of a run and where it is from.

    Attributes
    ----------
    calendar : Calendar
    source : {"scenario", "log", "default"}
        What says which date time 0 is.
    notes : tuple of str
        What was decided between the scenario and its log.
    """

    calendar: Calendar
    source: Literal["scenario", "log", "default"]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return it as plain data, for the provenance of a result."""
        notes = {"notes": list(self.notes)} if self.notes else {}
        return {**self.calendar.document(), "source": self.source, **notes}


def run_calendar(
    start: datetime | None = None,
    time_zone: str | None = None,
    clock: datetime | None = None,
    *,
    source: str = "scenario",
) -> RunCalendar:
    """Find the calendar of a run.

    A `start` of the scenario says which date and time it is at time 0, also where a log has a clock
    of its own; without one the log's clock does.  A `time_zone` of the scenario is that of all
    local hours: instants of the log are converted to it.  Without one the zone is that of the
    `start` if it has one, else the log's.

    Parameters
    ----------
    start, time_zone : optional
        Of the scenario.
    clock : datetime, optional
        Local date and time at second 0 of the log, with its zone where that is known.
    source : str
        The scenario's file, for messages.

    Raises
    ------
    InputError
        If there is a time zone but no date, or the clocks of the zone skip the start.

    Examples
    --------
    >>> log = datetime(2020, 6, 9, 18, tzinfo=parse_zone("Asia/Shanghai"))
    >>> str(run_calendar(clock=log).calendar)
    'Tuesday, 2020-06-09 18:00 (Asia/Shanghai)'
    >>> str(run_calendar(time_zone="Asia/Kolkata", clock=log).calendar)
    'Tuesday, 2020-06-09 15:30 (Asia/Kolkata)'
    >>> str(run_calendar(datetime(2026, 1, 1), clock=log).calendar)
    'Thursday, 2026-01-01 00:00 (Asia/Shanghai)'
    """
    if start is None and clock is None:
        if time_zone is not None:
            told = "has no effect without a date; add `start`, such as start: 2026-01-01"
            raise InputError(f"{source}: time_zone", told)
        return RunCalendar(UNDATED, "default")
    zone = None if time_zone is None else parse_zone(time_zone)
    if zone is None and start is not None and start.tzinfo is None and clock is not None:
        zone = clock.tzinfo
    moment = clock if start is None else start
    assert moment is not None, "one of them is there"
    try:
        calendar = Calendar(in_zone(moment, zone))
    except ValueError as error:
        field = "time_zone" if start is None else "start"
        raise InputError(f"{source}: {field}", str(error)) from None
    notes = [*_notes_on_log(calendar, start, time_zone, clock)]
    if moment.tzinfo is None and calendar.start is not None and is_twice(calendar.start):
        notes.append(
            f"{moment:%Y-%m-%d %H:%M} occurs twice in {calendar.time_zone}; the first is taken "
            f"({calendar.start.isoformat()}); write an offset from UTC to choose"
        )
    return RunCalendar(calendar, "log" if start is None else "scenario", tuple(notes))


def _notes_on_log(
    calendar: Calendar, start: datetime | None, time_zone: str | None, clock: datetime | None
) -> list[str]:
    """Say what the scenario overrides of the clock of its log."""
    if clock is None:
        return []
    own = Calendar(clock)
    if start is not None:
        if own == calendar:
            return []
        assert calendar.start is not None
        moved = _of_week(clock) != _of_week(calendar.start)
        return [
            f"`start` replaces the clock of the log, by which time 0 is {own}"
            + ("; jobs are submitted at other hours of the week than in the log" if moved else "")
        ]
    if time_zone is None or own.time_zone == calendar.time_zone:
        return []
    if own.time_zone is None:
        return [f"the log names no time zone; its times are taken as local times of {time_zone}"]
    return [
        f"local hours are those of `time_zone`, {calendar.time_zone}, in place of the log's "
        f"{own.time_zone}, by which time 0 is {own}"
    ]


def _of_week(moment: datetime) -> tuple[Any, ...]:
    return moment.weekday(), moment.time()


_SAID_BY = {
    "scenario": "by `start` of the scenario",
    "log": "by the clock of the log",
    "default": "by default; `start` sets a date",
}


def calendar_text(provenance: Mapping[str, Any]) -> list[str]:
    """Say what time 0 of a result is, and what was decided about it, a line each."""
    told = provenance.get("calendar")
    if told is None:
        return []
    first = f"time 0 is {Calendar.of_document(told)}, {_SAID_BY[told['source']]}"
    return [first, *(f"Note: {note}" for note in told.get("notes", ()))]
