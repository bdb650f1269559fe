"""Dates in place of times in scenarios."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clustersim as cs
from clustersim.calendar import DAY_S, Calendar
from clustersim.errors import InputError
from clustersim.scenario.dates import seconds_of_date, time_s
from clustersim.units import parse_quantity
from clustersim.whatif.question import ask

SCENARIO: dict[str, Any] = {
    "start": "2026-01-01",
    "cluster": {"name": "two", "pools": {"a": {"accelerator": "H20", "nodes": 4}}},
    "workload": {"generate": "philly-2017", "duration": "2026-07-01"},
    "horizon": "Q4",
    "supply": {
        "deliveries": [{"name": "second", "pool": "a", "nodes": 2, "at": "Q2"}],
        "retirements": [{"pool": "a", "nodes": 1, "at": "2026-09-01T12:00"}],
        "embargoes": [{"name": "stop", "pools": ["a"], "at": "2026-03"}],
    },
    "software": {"ports": [{"name": "port", "accelerators": ["H20"], "at": "2026-02-01"}]},
}


def test_dates_are_days_after_the_start() -> None:
    scenario = cs.define_scenario(SCENARIO).scenario
    assert scenario.horizon == 273 * DAY_S
    assert scenario.workload.duration == 181 * DAY_S
    assert scenario.supply is not None
    assert scenario.supply.deliveries[0].at == 90 * DAY_S
    assert scenario.supply.retirements[0].at == 243.5 * DAY_S
    assert scenario.supply.embargoes[0].at == 59 * DAY_S
    assert scenario.software is not None
    assert scenario.software.ports[0].at == 31 * DAY_S


def test_a_change_by_path_may_be_a_date() -> None:
    found = cs.define_scenario(SCENARIO, ["supply.deliveries.second.at=2026-05-01"])
    assert found.scenario.supply is not None
    assert found.scenario.supply.deliveries[0].at == 120 * DAY_S


def test_a_written_scenario_reads_back_the_same() -> None:
    one = cs.define_scenario(SCENARIO).scenario
    again = cs.define_scenario(one.model_dump(mode="json", exclude_none=True)).scenario
    assert again == one


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": None}, "supply.deliveries.second.at: 'Q2' needs `start`"),
        ({"horizon": "2025-12-31"}, "horizon: '2025-12-31' is before the start"),
        ({"horizon": "2026-02-30"}, "horizon: '2026-02-30' is not a date"),
        ({"horizon": "2026-13"}, "horizon: "),
        ({"horizon": "Q5"}, "horizon"),
    ],
)
def test_errors_name_the_field(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(cs.InputError) as error:
        cs.define_scenario({**SCENARIO, **changes})
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("text", "day"),
    [("Q1", 0), ("Q3", 181), ("2027-Q1", 365), ("Q1 2027", 365), ("q2", 90), ("2026Q4", 273)],
)
def test_quarters(text: str, day: int) -> None:
    assert seconds_of_date(text, Calendar(datetime(2026, 1, 1))) == day * DAY_S


def test_a_quarter_that_has_begun_is_that_of_the_next_year() -> None:
    start = Calendar(datetime(2026, 1, 2))
    assert seconds_of_date("Q1", start) == 364 * DAY_S


def test_daylight_saving_time() -> None:
    berlin = Calendar(datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")))
    assert seconds_of_date("2026-04-01", berlin) == 90 * DAY_S - 3600.0
    assert seconds_of_date("2026-04-01T00:00+00:00", berlin) == 90 * DAY_S + 3600.0


@given(
    st.datetimes(datetime(2026, 1, 2), datetime(2035, 1, 1)),
    st.sampled_from([None, "Europe/Berlin", "Asia/Shanghai", "America/New_York"]),
)
def test_dates_are_the_inverse_of_the_calendar(moment: datetime, zone: str | None) -> None:
    moment = moment.replace(microsecond=0, fold=0)
    zoned = None if zone is None else ZoneInfo(zone)
    calendar = Calendar(datetime(2026, 1, 1, tzinfo=zoned))
    found = calendar.at(seconds_of_date(moment.isoformat(), calendar)).replace(tzinfo=None)
    if zoned is None or abs((found - moment).total_seconds()) != 3600.0:  # a skipped hour
        assert found == moment


@pytest.mark.parametrize("text", ["11.11.2026", "1/11/26", "2026/11/01", "01-11-2026 08:00"])
def test_other_notations_of_dates_are_refused_with_the_one_that_is_read(text: str) -> None:
    with pytest.raises(InputError, match=r"--since: a date is written 2026-04-01 \(year, month"):
        time_s(text, Calendar(datetime(2026, 1, 1)), "--since")


def test_the_dates_of_a_log_are_those_of_its_windows(tmp_path: Path) -> None:
    rows = ["2026-03-02T08:00:00", "2026-03-02T09:30:00"]
    jobs = pd.DataFrame({"job_id": [1, 2], "submit_time": rows, "n_accelerators": 4})
    jobs.assign(duration_s=600).to_csv(tmp_path / "log.csv", index=False)
    window = {"pools": ["a"], "at": "2026-03-02T10:00", "duration": "1 h"}
    scenario = {
        "cluster": SCENARIO["cluster"],
        "workload": {"trace": "log.csv"},
        "windows": {"maintenance": [window]},
        "horizon": "2026-03-03",
    }
    found = cs.define_scenario(scenario, folder=tmp_path).scenario
    assert found.windows is not None
    assert found.windows.maintenance[0].at == 2 * 3600
    assert found.horizon == 16 * 3600
    own = cs.define_scenario(scenario, {"start": "2026-03-02"}, folder=tmp_path).scenario
    assert own.windows is not None
    assert own.windows.maintenance[0].at == 10 * 3600  # `start` replaces the clock of the log
    early = {**window, "at": "2026-03-01"}
    with pytest.raises(cs.InputError, match=r"is before the start \(2026-03-02 08:00\)"):
        cs.define_scenario(scenario, {"windows.maintenance": [early]}, folder=tmp_path)
    with pytest.raises(cs.InputError, match=r"workload\.trace: .*nowhere\.csv"):
        cs.define_scenario(scenario, {"workload.trace": "nowhere.csv"}, folder=tmp_path)


def test_a_log_without_dates_needs_a_start(tmp_path: Path) -> None:
    jobs = pd.DataFrame({"job_id": [1], "submit_s": [0], "n_accelerators": [4], "duration_s": [9]})
    jobs.to_csv(tmp_path / "log.csv", index=False)
    scenario = {
        "cluster": SCENARIO["cluster"],
        "workload": {"trace": "log.csv"},
        "horizon": "2026-03-03",
    }
    with pytest.raises(cs.InputError, match="horizon: '2026-03-03' needs `start`"):
        cs.define_scenario(scenario, folder=tmp_path)


def test_a_log_that_changed_is_read_again(tmp_path: Path) -> None:
    scenario = {
        "cluster": SCENARIO["cluster"],
        "workload": {"trace": "log.csv"},
        "horizon": "2026-03-03",
    }
    for day, hours in (("2026-03-01", 48), ("2026-03-02", 24)):
        jobs = pd.DataFrame({"job_id": [1], "submit_time": [f"{day}T00:00:00"], "duration_s": 9})
        jobs.assign(n_accelerators=4).to_csv(tmp_path / "log.csv", index=False)
        found = cs.define_scenario(scenario, folder=tmp_path).scenario
        assert found.horizon == hours * 3600


def test_a_question_takes_the_dates_of_its_log(tmp_path: Path) -> None:
    rows = ["2026-03-02T08:00:00", "2026-03-02T09:30:00"]
    jobs = pd.DataFrame({"job_id": [1, 2], "submit_time": rows, "n_accelerators": 4})
    jobs.assign(duration_s=600).to_csv(tmp_path / "log.csv", index=False)
    window = {"pools": ["a"], "at": "2026-03-02T10:00", "duration": "1 h"}
    question = ask(
        tmp_path / "log.csv",
        cluster=SCENARIO["cluster"],
        changes={"windows.maintenance": [window]},
    )
    at = question.systems[-1].tree["windows"]["maintenance"][0]["at"]
    assert parse_quantity(at, "duration") == 2 * 3600
