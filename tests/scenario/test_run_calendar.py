"""The calendar of a run: its own, its log's, and everything that follows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.measures import measure
from clustersim.calendar import DAY_S, HOUR_S, Calendar
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.report.timeline import chrome_trace
from clustersim.scenario.run import run, run_scenario
from clustersim.scenario.run_calendar import run_calendar
from clustersim.scenario.scenario import define_scenario, load_scenario
from clustersim.simulation.result import Result
from clustersim.simulation.software import DatedPort, Port
from clustersim.studies import load_study
from clustersim.studies.worker import simulate_changed
from clustersim.time_zones import parse_zone
from tests.simulation.fleets import scenario

KWH = 6.84
"""Of the job: 8 x (0.9 x 700 W + 1,800 W / 8) for an hour."""
HELIOS = (
    "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n"
    "1,uA,vcA,8,8,1,COMPLETED,2020-06-09 18:00:00,2020-06-09 18:00:00,2020-06-09 19:00:00,3600,0\n"
)
TARIFF = """\
name: tariff
cluster: mixed-small
workload: {trace: LOG}
scheduler: {policy: fcfs, placement: consolidate}
energy:
  pue: 1.0
  # one yuan from 18:00 to 19:00, nothing else
  price_cny_per_kwh: [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1.0,0,0,0,0,0]
seed: 1
"""


def swf(at: str, zone: str | None) -> str:
    """A log of one job of an hour on eight processors, submitted 600 s after its start."""
    start = datetime.fromisoformat(at).replace(tzinfo=parse_zone(zone or "UTC")).timestamp() - 600
    head = "" if zone is None else f"; UnixStartTime: {start:.0f}\n; TimeZoneString: {zone}\n"
    return head + "1 600 0 3600 8 -1 -1 8 3600 -1 1 1 1 1 1 1 -1 -1\n"


@pytest.fixture
def bill(tmp_path: Path) -> Callable[..., tuple[float, Result]]:
    """Electricity that the job of a log bears at the tariff, CNY."""

    def bill(log: str, name: str = "log.swf", *changes: str) -> tuple[float, Result]:
        (tmp_path / name).write_text(log)
        (tmp_path / "sc.yaml").write_text(TARIFF.replace("LOG", name))
        result = run(tmp_path / "sc.yaml", changes)
        assert result.jobs["energy_j"].sum() == pytest.approx(KWH * 3.6e6)
        return float(result.jobs["electricity_cny"].sum()), result

    return bill


def test_the_hours_of_a_tariff_are_those_of_the_log(bill: Callable[..., Any]) -> None:
    found, result = bill(HELIOS, "cluster_log.csv")
    assert found == pytest.approx(KWH, rel=1e-12)
    assert result.provenance["calendar"]["source"] == "log"
    assert result.calendar.text(0.0) == "2020-06-09 18:00"


@pytest.mark.parametrize(
    ("at", "zone", "changes", "share"),
    [
        ("2020-06-09T18:00", "Asia/Shanghai", [], 1.0),
        ("2020-06-09T17:30", "Asia/Shanghai", [], 0.5),
        ("2020-06-09T18:15", "Asia/Kolkata", [], 0.75),
        ("2020-06-09T19:00", "Europe/Berlin", [], 0.0),
        # The tariff of another place: the instants stay.
        ("2020-06-09T18:00", "Asia/Shanghai", ["time_zone=Asia/Kolkata"], 0.0),
        ("2020-06-09T20:30", "Asia/Shanghai", ["time_zone=Asia/Kolkata"], 1.0),
        ("2020-06-09T20:00", "Asia/Shanghai", ["time_zone=Asia/Kolkata"], 0.5),
        ("2020-06-09T12:00", "Europe/Berlin", ["time_zone=Asia/Shanghai"], 1.0),  # summer
        ("2020-12-09T11:00", "Europe/Berlin", ["time_zone=UTC+08:00"], 1.0),  # winter
        # Another date: the job comes 10 minutes after it.
        ("2020-06-09T18:00", "Asia/Shanghai", ["start=2026-07-01T17:50"], 1.0),
        ("2020-06-09T18:00", "Asia/Shanghai", ["start=2026-07-01T18:00"], 5 / 6),
        ("2020-06-09T18:00", "Asia/Shanghai", ["start=2026-07-01"], 0.0),
        ("2020-06-09T01:00", None, [], 0.0),
        ("2020-06-09T01:00", None, ["start=2026-07-01T17:50"], 1.0),
        ("2020-06-09T01:00", None, ["start=2026-07-01T09:50Z", "time_zone=Asia/Shanghai"], 1.0),
        ("2020-06-09T01:00", None, ["start=2026-07-01T17:50-07:00"], 1.0),
    ],
)
def test_zones_and_starts(
    bill: Callable[..., Any], at: str, zone: str | None, changes: list[str], share: float
) -> None:
    assert bill(swf(at, zone), "log.swf", *changes)[0] == pytest.approx(share * KWH, abs=1e-9)


def test_a_job_across_the_end_of_daylight_saving_time(tmp_path: Path) -> None:
    """Four hours from 0:30 on 25 October: 0:30 to 1:00, 1 to 2, twice 2 to 3, 3:00 to 3:30."""
    log = swf("2026-10-25T00:30", "Europe/Berlin").replace("3600", "14400")
    (tmp_path / "log.swf").write_text(log)
    prices = [10.0, 100.0, 1000.0, 10000.0, *[0.0] * 20]
    text = TARIFF.replace("LOG", "log.swf").replace("[0,", f"{prices} # ")
    (tmp_path / "sc.yaml").write_text(text)
    jobs = run(tmp_path / "sc.yaml").jobs
    assert jobs["electricity_cny"].sum() == pytest.approx(KWH * (5 + 100 + 2000 + 5000))


# --- Which clock counts ---------------------------------------------------------------

BEIJING = datetime(2020, 6, 9, 18, tzinfo=parse_zone("Asia/Shanghai"))


@pytest.mark.parametrize(
    ("start", "zone", "clock", "shown", "source", "note"),
    [
        (None, None, None, "midnight on a Monday", "default", None),
        (None, None, BEIJING, "2020-06-09 18:00 (Asia/Shanghai)", "log", None),
        (None, None, BEIJING.replace(tzinfo=None), "18:00 (no time zone, days of", "log", None),
        (None, "Asia/Shanghai", BEIJING, "18:00 (Asia/Shanghai)", "log", None),
        (
            None, "Asia/Kolkata", BEIJING, "2020-06-09 15:30 (Asia/Kolkata)", "log",
            "`time_zone` (Asia/Kolkata) instead of the time zone of the log (Asia/Shanghai)",
        ),
        (
            None, "Asia/Kolkata", BEIJING.replace(tzinfo=None), "18:00 (Asia/Kolkata)", "log",
            "has no time zone; its times are treated as local times of Asia/Kolkata",
        ),
        ("2026-01-01", None, None, "Thursday, 2026-01-01 00:00 (no time zone", "scenario", None),
        (
            "2026-01-01", None, BEIJING, "2026-01-01 00:00 (Asia/Shanghai)", "scenario",
            "`start` replaces the clock of the log, in which time 0 is Tuesday, 2020-06-09 18:00 "
            "(Asia/Shanghai); jobs are submitted at other hours",
        ),
        (
            "2026-06-09T18:00", None, BEIJING.replace(day=2), "2026-06-09 18:00", "scenario",
            "`start` replaces the clock of the log, in which time 0 is Tuesday, 2020-06-02 18:00 "
            "(Asia/Shanghai)",
        ),
        ("2020-06-09T18:00", None, BEIJING, "2020-06-09 18:00 (Asia/Shanghai)", "scenario", None),
        ("2026-01-01T08:00+09:00", None, None, "08:00 (UTC+09:00)", "scenario", None),
        ("2026-01-01T08:00+09:00", "Asia/Tokyo", None, "08:00 (Asia/Tokyo)", "scenario", None),
        ("2026-01-01T08:00+09:00", "Asia/Manila", None, "07:00 (Asia/Manila)", "scenario", None),
        ("2026-10-25T02:30", "Europe/Berlin", None, "02:30", "scenario", "occurs twice"),
        ("2026-10-25T02:30+01:00", "Europe/Berlin", None, "02:30", "scenario", None),
    ],
)  # fmt: skip
def test_which_clock_counts(
    start: str | None,
    zone: str | None,
    clock: datetime | None,
    shown: str,
    source: str,
    note: str | None,
) -> None:
    moment = None if start is None else datetime.fromisoformat(start)
    found = run_calendar(moment, zone, clock)
    assert shown in str(found.calendar)
    assert found.source == source
    assert len(found.notes) == (note is not None)
    assert note is None or note in found.notes[0]


def test_what_cannot_be_a_calendar(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="time_zone: has no effect without a date; add `start`"):
        define_scenario({**CYCLES, "time_zone": "Asia/Tokyo"})
    with pytest.raises(InputError, match="start: 2026-03-29 02:30 does not exist in Europe/Berlin"):
        define_scenario({**CYCLES, "start": "2026-03-29T02:30", "time_zone": "Europe/Berlin"})
    (tmp_path / "log.swf").write_text(swf("2020-06-09T18:00", None))
    (tmp_path / "sc.yaml").write_text(TARIFF.replace("LOG", "log.swf") + "time_zone: Asia/Tokyo\n")
    with pytest.raises(InputError, match=r"sc.yaml: time_zone: has no effect without a date"):
        run(tmp_path / "sc.yaml")


# --- Workload models ------------------------------------------------------------------

CYCLES: dict[str, Any] = scenario(jobs=40, load=0.01, sizes={8: 1}, average="1 min")
CYCLES["workload"]["generate"]["arrivals"] = {
    "mean_interarrival": "1 h",
    "daily": [0.0] * 9 + [1.0] + [0.0] * 14,
}
CYCLES["workload"]["load"] = None


def test_generated_jobs_come_at_the_hours_of_the_calendar() -> None:
    for changes in ({}, {"start": "2026-03-01T22:15", "time_zone": "America/Los_Angeles"}):
        result = run_scenario(define_scenario(CYCLES, changes))
        hours = result.calendar.hour_of_week(result.jobs["submit_s"]) % 24
        assert set(hours.tolist()) == {9}
        # What is kept with the result runs again to the same tables.
        again = run_scenario(define_scenario(result.provenance["scenario"]))
        pd.testing.assert_frame_equal(again.jobs, result.jobs)
        assert again.provenance["calendar"] == result.provenance["calendar"]


def test_months_of_the_table_of_costs() -> None:
    tree = {**CYCLES, "horizon": "70 d", "energy": {"price_cny_per_kwh": [1.0] * 24}, "money": {}}
    plain = run_scenario(define_scenario(tree))
    dated = {"start": "2026-01-31", "time_zone": "Europe/Berlin"}
    result = run_scenario(define_scenario(tree, dated))
    assert plain.costs is not None
    assert result.costs is not None
    assert plain.costs["begin_s"].unique() / DAY_S == pytest.approx([0, 30.4375, 60.875])
    assert "begin_local" not in plain.costs
    assert result.costs["begin_s"].unique().tolist() == [
        0.0,
        DAY_S,
        29 * DAY_S,
        60 * DAY_S - HOUR_S,
    ]
    assert result.costs["begin_local"].unique().tolist() == [
        "2026-01-31T00:00:00+01:00",
        "2026-02-01T00:00:00+01:00",
        "2026-03-01T00:00:00+01:00",
        "2026-04-01T00:00:00+02:00",
    ]
    assert result.costs["end_local"].iloc[-1] == "2026-04-11T01:00:00+02:00"
    for column in ("energy_j", "cost_cny"):
        assert result.costs[column].sum() == pytest.approx(plain.costs[column].sum(), rel=1e-3)
    fixed = run_scenario(define_scenario(tree, {**dated, "money.period": "35 d"}))
    assert fixed.costs is not None
    assert fixed.costs["begin_s"].unique().tolist() == [0.0, 35 * DAY_S]


def test_quarters_of_a_study_add_up_to_its_costs() -> None:
    tree = {**CYCLES, "horizon": "365 d", "energy": {}, "start": "2026-01-01"}
    result = run_scenario(define_scenario(tree))
    found = measure(result, warm_up=0.0, cool_down=0.0, periods=4).metrics
    quarters = [found[f"energy_j@{k}"] for k in (1, 2, 3, 4)]
    assert sum(quarters) == pytest.approx(found["energy_j"])
    # Nothing runs but in the first days: the energy of a quarter is in proportion to its days.
    assert quarters[2] / quarters[1] == pytest.approx(92 / 91)


# --- Files, commands, pictures --------------------------------------------------------


def test_dates_in_files_and_changes(tmp_path: Path) -> None:
    text = (
        "cluster: mixed-small\nworkload: {generate: philly-2017, jobs: 9}\n"
        "start: 2026-01-01\ntime_zone: asia/shanghai\n"
        "cases: {summer: {start: 2026-07-01}}\n"
    )
    (tmp_path / "base.yaml").write_text(text)
    (tmp_path / "top.yaml").write_text("extends: base.yaml\nseed: 3\n")

    def start(*changes: str) -> tuple[Any, Any]:
        loaded = load_scenario(tmp_path / "top.yaml", changes).scenario
        return loaded.start, loaded.time_zone

    assert start() == (datetime(2026, 1, 1), "Asia/Shanghai")
    assert start("case=summer") == (datetime(2026, 7, 1), "Asia/Shanghai")
    assert start("start=2026-07-01 06:30") == (datetime(2026, 7, 1, 6, 30), "Asia/Shanghai")
    assert start("time_zone=UTC+8")[1] == "UTC+08:00"


def test_a_study_may_vary_start_and_zone(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(json.dumps({**CYCLES, "start": "2026-02-01"}))
    text = (
        "name: dates\nbase: base.yaml\nset: {horizon: 60 d}\n"
        "parameters:\n  time_zone: [Asia/Shanghai, Europe/Berlin]\n"
        "  start: [2026-01-01, 2026-07-01]\nreplications: 1\nmetrics: [utilisation]\n"
    )
    (tmp_path / "study.yaml").write_text(text)
    study = load_study(tmp_path / "study.yaml")
    runs = [study.base.at(point.changes).run(-1, 0) for point in study.points]
    assert len({run.key for run in runs}) == 4
    assert runs[0].changes["start"] == "2026-01-01"
    assert json.loads(json.dumps(study.document())) == study.document()
    result, _ = simulate_changed(study.base.tree, runs[3].changes, periods=2)
    assert str(result.calendar) == "Wednesday, 2026-07-01 00:00 (Europe/Berlin)"
    (tmp_path / "set.yaml").write_text(
        "name: set\nbase: base.yaml\nset: {start: 2026-07-01T09:00, horizon: 9 d}\n"
        "parameters: {scheduler.policy: [fcfs, easy]}\nreplications: 1\n"
    )
    assert load_study(tmp_path / "set.yaml").base.tree["start"] == "2026-07-01T09:00:00"


def test_commands_say_what_time_0_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "log.swf").write_text(swf("2020-06-09T18:00", "Asia/Shanghai"))
    (tmp_path / "sc.yaml").write_text(TARIFF.replace("LOG", "log.swf"))
    arguments = ["run", str(tmp_path / "sc.yaml"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--set", "time_zone=Asia/Kolkata"]) == 0
    printed = capsys.readouterr().out
    assert (
        "time 0 is Tuesday, 2020-06-09 15:20 (Asia/Kolkata), from the clock of the log\n" in printed
    )
    assert "Note: local hours use `time_zone` (Asia/Kolkata)" in printed
    kept = Result.load(tmp_path / "out").provenance["calendar"]
    assert kept["start"] == "2020-06-09T15:20:00+05:30"
    replayed = str(tmp_path / "replayed")
    log = str(tmp_path / "log.swf")
    assert main(["replay", log, "--policy", "fcfs", "--accelerators", "8", "--out", replayed]) == 0
    assert "time 0 is Tuesday, 2020-06-09 17:50 (Asia/Shanghai)" in capsys.readouterr().out
    result = Result.load(replayed)
    assert (result.calendar.hour_of_week(result.jobs["start_s"]) % 24).tolist() == [18]
    trace = chrome_trace(result).other_data
    assert trace["start"] == "2020-06-09T17:50:00+08:00"
    assert trace["time_zone"] == "Asia/Shanghai"
    (tmp_path / "plain.yaml").write_text(json.dumps(CYCLES))
    plain = str(tmp_path / "plain")
    assert main(["run", str(tmp_path / "plain.yaml"), "--out", plain]) == 0
    assert "time 0 is midnight on a Monday (no date, days of 24 hours), by default" in (
        capsys.readouterr().out
    )


def test_the_schema_documents_the_calendar(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "scenario"]) == 0
    fields = json.loads(capsys.readouterr().out)["properties"]
    assert "midnight of a Monday" in fields["start"]["description"]
    assert "IANA" in fields["time_zone"]["description"]


def test_a_port_that_comes_later_names_its_date() -> None:
    calendar = Calendar(datetime(2026, 1, 1))
    port = Port(name="video", at="180 d")
    assert (
        "only from 180 d (2026-06-30 00:00) on" in DatedPort(port, 180 * DAY_S, calendar).obstacle()
    )
    assert "only from 180 d on" in DatedPort(port, 180 * DAY_S).obstacle()
    assert np.isfinite(DatedPort(port, 180 * DAY_S).at_s)


@pytest.mark.parametrize(
    ("hours", "meant"),
    [
        (8, "+08:00"),
        (-5, "-05:00"),
        (5.5, "+05:30"),
        (0, "+00:00"),
        (14, "+14:00"),
        (-3.5, "-03:30"),
    ],
)
def test_a_number_of_hours_is_taken_for_an_offset_in_the_hint(hours: float, meant: str) -> None:
    """YAML reads ``time_zone: +8`` as a number."""
    message = rf"time_zone: unknown time zone {hours}; did you mean '\{meant}'\? allowed: names of"
    with pytest.raises(InputError, match=message):
        define_scenario({**CYCLES, "start": "2026-01-01", "time_zone": hours})
    define_scenario({**CYCLES, "start": "2026-01-01", "time_zone": meant})


@pytest.mark.parametrize("zone", [True, 15, 99, "+05:30:15", "+15"])
def test_what_is_no_offset_has_no_such_hint(zone: object) -> None:
    with pytest.raises(InputError, match=r"time_zone: unknown time zone [^ ]+; allowed: "):
        define_scenario({**CYCLES, "start": "2026-01-01", "time_zone": zone})


@pytest.mark.parametrize("offset", ["+05:30:15", "-00:00:30", "+14:30", "-23:59"])
def test_an_offset_that_no_clock_has_is_refused(offset: str) -> None:
    with pytest.raises(
        InputError, match=r"start: .* offset from UTC that no time zone uses; allowed: whole"
    ):
        define_scenario({**CYCLES, "start": f"2026-01-01T08:00:00{offset}"})
    assert define_scenario({**CYCLES, "start": "2026-01-01T08:00+05:45"}).scenario.start
