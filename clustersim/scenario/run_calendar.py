"""The calendar of a scenario, from its `start` and `time_zone` or from the clock of its log."""

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
    """The calendar of a run, and the origin of its date.

    Attributes
    ----------
    calendar : Calendar
    source : {"scenario", "log", "default"}
        Origin of the date of time 0.
    notes : tuple of str
        Notes on conflicts between the scenario and its log.
    """

    calendar: Calendar
    source: Literal["scenario", "log", "default"]
    notes: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the calendar and its origin as plain data, for the provenance of a result."""
        notes = {"notes": list(self.notes)} if self.notes else {}
        return {**self.calendar.document(), "source": self.source, **notes}


def run_calendar(
    start: datetime | None = None,
    time_zone: str | None = None,
    clock: datetime | None = None,
    *,
    source: str = "scenario",
) -> RunCalendar:
    """Return the calendar of a run.

    The `start` of the scenario is the date and time at time 0. If `start` is not set, the clock of
    the log applies. The `time_zone` of the scenario applies to all local hours, and instants of the
    log are converted to this zone. If `time_zone` is not set, the zone of `start` applies or, if
    `start` has no zone, the zone of the log.

    Parameters
    ----------
    start, time_zone : optional
        Fields of the scenario.
    clock : datetime, optional
        Local date and time at second 0 of the log, with its time zone if it is known.
    source : str
        The scenario's file, for messages.

    Raises
    ------
    InputError
        If there is a time zone but no date, or the local clock in the zone skips the start.

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
            raise InputError(
                f"{source}: time_zone",
                "has no effect without a date; add `start`, such as start: 2026-01-01",
            )
        return RunCalendar(UNDATED, "default")
    zone = None if time_zone is None else parse_zone(time_zone)
    if zone is None and start is not None and start.tzinfo is None and clock is not None:
        zone = clock.tzinfo
    moment = clock if start is None else start
    assert moment is not None, "one of them is given"
    try:
        calendar = Calendar(in_zone(moment, zone))
    except ValueError as error:
        field = "time_zone" if start is None else "start"
        raise InputError(f"{source}: {field}", str(error)) from None
    notes = [*_notes_on_log(calendar, start, time_zone, clock)]
    if moment.tzinfo is None and calendar.start is not None and is_twice(calendar.start):
        notes.append(
            f"{moment:%Y-%m-%d %H:%M} occurs twice in {calendar.time_zone}; the first is used "
            f"({calendar.start.isoformat()}); add an offset from UTC to choose"
        )
    return RunCalendar(calendar, "log" if start is None else "scenario", tuple(notes))


def _notes_on_log(
    calendar: Calendar, start: datetime | None, time_zone: str | None, clock: datetime | None
) -> list[str]:
    """Describe how the scenario overrides the clock of its log."""
    if clock is None:
        return []
    own = Calendar(clock)
    if start is not None:
        if own == calendar:
            return []
        assert calendar.start is not None
        moved = _of_week(clock) != _of_week(calendar.start)
        return [
            f"`start` replaces the clock of the log, in which time 0 is {own}"
            + ("; jobs are submitted at other hours of the week than in the log" if moved else "")
        ]
    if time_zone is None or own.time_zone == calendar.time_zone:
        return []
    if own.time_zone is None:
        return [f"the log has no time zone; its times are treated as local times of {time_zone}"]
    return [
        f"local hours use `time_zone` ({calendar.time_zone}) instead of the time zone of the log "
        f"({own.time_zone}), in which time 0 is {own}"
    ]


def _of_week(moment: datetime) -> tuple[Any, ...]:
    return moment.weekday(), moment.time()


_ORIGIN = {
    "scenario": "from `start` of the scenario",
    "log": "from the clock of the log",
    "default": "by default; `start` sets a date",
}


def calendar_text(provenance: Mapping[str, Any]) -> list[str]:
    """Return a line on time 0 of a result, and one line per note on its calendar."""
    dated = provenance.get("calendar")
    if dated is None:
        return []
    first = f"time 0 is {Calendar.of_document(dated)}, {_ORIGIN[dated['source']]}"
    return [first, *(f"Note: {note}" for note in dated.get("notes", ()))]
