"""Results in a folder: what is loaded is what was saved."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pandas as pd
import pytest
from fleets import cluster, crowd, pool

from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.errors import InputError
from clustersim.simulation.result import Result, with_kind
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.simulation.tables import serves

TABLES = ("jobs", "allocations", "utilisation", "summary")


@pytest.fixture(scope="module")
def result() -> Result:
    log = crowd(2, 300)
    log.loc[5, "n_accelerators"] = 1000  # never runnable
    log["user"] = [f"user {k % 7}" for k in range(len(log))]
    log["outcome"] = "a column of the log's own"
    fleet = cluster(pool("one", 2), pool("two", 3))
    scheduling = Scheduling(policy="easy", placement="consolidate")
    result = simulate(log, fleet, scheduling)
    return result.with_provenance({"seed": 2, "note": "größer"})


def test_round_trip(result: Result, tmp_path: Path) -> None:
    loaded = Result.load(result.save(tmp_path / "new" / "folder"))
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(result, name))
    assert loaded.provenance == result.provenance
    assert loaded.provenance["seed"] == 2


def test_a_column_of_the_log_with_a_name_of_ours_is_kept(result: Result) -> None:
    assert set(result.jobs["recorded_outcome"]) == {"a column of the log's own"}
    assert set(result.jobs["outcome"]) == {"finished", "never runnable"}
    assert result.jobs["user"].tolist()[:2] == ["user 0", "user 1"]


def test_a_result_can_be_replayed_again_and_again(result: Result) -> None:
    fleet = cluster(pool("one", 2), pool("two", 3))
    scheduling = Scheduling(policy="easy", placement="consolidate")
    again = simulate(result.jobs, fleet, scheduling).jobs
    assert not again.columns.has_duplicates
    assert again["start_s"].equals(result.jobs["start_s"])
    assert again["recorded_start_s"].equals(result.jobs["start_s"].rename("recorded_start_s"))
    assert set(again["recorded_recorded_outcome"]) == {"a column of the log's own"}


def test_an_old_table_of_outages_gets_the_kinds_of_its_events(tmp_path: Path) -> None:
    """Version 0.1 stored causes and flags instead of kinds, and no checksums."""
    kinds = [each for each in NodeEventKind if each is not NodeEventKind.CUT_OFF]  # a later one
    causes = {
        NodeEventKind.LATE_DELIVERY: "not delivered",
        NodeEventKind.NO_ROOM: "no power or space",
        NodeEventKind.RETIREMENT: "retired",
    }
    events = [
        NodeEvent(
            float(k),
            k + 0.5,
            0,
            0,
            causes.get(kind, "chat"),
            kind,
            2.0 if kind is NodeEventKind.SLOWDOWN else math.inf,
        )
        for k, kind in enumerate(kinds)
    ]
    scheduling = Scheduling(placement="consolidate")
    table = simulate(crowd(2, 3), cluster(pool("one", 2)), scheduling, node_events=events).outages
    assert table is not None
    assert table["kind"].tolist() == [kind.label for kind in kinds]
    found = with_kind(table.drop(columns="kind"))["kind"].tolist()
    # A repair was a planned outage like any other.
    assert found == ["maintenance" if each == "repair" else each for each in table["kind"]]
    assert with_kind(table) is table


def test_a_failure_may_be_named_like_a_service() -> None:
    events = [NodeEvent(1.0, 2.0, 0, 0, "serving chat")]
    scheduling = Scheduling(placement="consolidate")
    result = simulate(crowd(2, 3), cluster(pool("one", 2)), scheduling, node_events=events)
    assert result.outages is not None
    assert result.outages["kind"].tolist() == ["failure"]
    assert not serves(result.outages).any()
    assert result.utilisation["out"].max() > 0


def test_nothing_is_overwritten(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "out")
    with pytest.raises(InputError, match="exists already"):
        result.save(tmp_path / "out")


@pytest.mark.parametrize("name", [*(f"{table}.parquet" for table in TABLES), "provenance.json"])
@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_a_broken_folder_is_refused(result: Result, tmp_path: Path, name: str, harm: str) -> None:
    path = result.save(tmp_path / "out") / name
    if harm == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError):
        Result.load(tmp_path / "out")


def test_any_change_of_a_saved_result_is_reported(result: Result, tmp_path: Path) -> None:
    folder = result.save(tmp_path / "out")
    read = [folder / "provenance.json", *folder.glob("*.parquet")]
    whole = {path: path.read_bytes() for path in read}
    for trial in range(60):
        draw = random.Random(trial)
        path = draw.choice(sorted(read))
        data = bytearray(whole[path])
        place = draw.randrange(len(data))
        data[place] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        # Elsewhere than in a value, such as in the spaces of the JSON file, it says the same.
        again, named = None, ""
        try:
            again = Result.load(folder)
        except InputError as error:
            named = error.source
        assert str(folder) in named or again is not None
        if again is not None:
            assert path.suffix == ".json", trial
            assert again.provenance == result.provenance, trial
        path.write_bytes(whole[path])


def test_a_number_changed_by_hand_is_reported(result: Result, tmp_path: Path) -> None:
    path = result.save(tmp_path / "out") / "provenance.json"
    path.write_text(path.read_text().replace('"seed": 2', '"seed": 3'))
    with pytest.raises(InputError, match="was changed or damaged"):
        Result.load(path.parent)
