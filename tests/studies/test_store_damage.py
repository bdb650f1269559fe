"""A damaged store: every change of its bytes is reported, or changes no number."""

from __future__ import annotations

import random
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conducted import GRID, conduct, exact

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.studies.execution import Progress
from clustersim.studies.store import Outcome, Store
from clustersim.studies.store_file import open_store
from clustersim.studies.study_result import load_result
from tests.damages import DAMAGES
from tests.full_counts import first_of

N_RUNS = 40
DOCUMENT = {"name": "s", "base": {"cluster": "c" * 3000}}
MARKS = (b'"mean_wait_s": 1', b"workload.load", b"replication", b"0000000000", b"total of runs")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    draw = np.random.default_rng(1)
    with open_store(folder, write=True) as store:
        study = store.begin_study(DOCUMENT)
        runs = [({"workload.load": k / 10, "replication": k}, f"{k:016x}") for k in range(N_RUNS)]
        store.want(study, 0, runs)
        for number, (changes, key) in enumerate(runs):
            metrics = {f"metric_{k}": float(draw.random()) for k in range(20)}
            metrics["mean_wait_s"] = 10.0 + number
            error = "ValueError: no" if number % 10 == 3 else ""
            made = Outcome(key, {} if error else metrics, draw.random(20), error, 0.5)
            store.add(made, study=study, changes=changes)
    return folder


def content(store: Store) -> dict[str, Any]:
    """All that can be read of a store, but how long its runs took."""
    found = store.outcomes()
    origins = {key: store.origin(key) for key in found}
    runs = {
        key: repr((dict(made.metrics), made.series.tobytes(), made.error, origins[key]))
        for key, made in found.items()
    }
    singly = {key: store.get(key) for key in found}
    assert all(made is not None and made.error == found[key].error for key, made in singly.items())
    assert store.finished() == {key for key, made in found.items() if not made.failed}
    return {"runs": runs, "study": repr(store.study()), "any failed": store.any_failed()}


def opened(folder: Path, *, write: bool = False) -> tuple[dict[str, Any] | None, str]:
    """Content of a store, or why it cannot be used."""
    try:
        with open_store(folder, write=write) as store:
            if write:
                store.begin_study(DOCUMENT)
            return content(store), ""
    except InputError as error:
        return None, str(error)


def near_text(draw: random.Random, data: bytearray) -> None:
    place = data.find(draw.choice(MARKS), draw.randrange(len(data)))
    data[place + draw.randrange(-12, 24)] = draw.randrange(256)


ALL = (*DAMAGES, near_text)


def try_damages(whole: Path, folder: Path, trials: int) -> dict[str, int]:
    with open_store(whole) as store:
        expected = content(store)
    original = (whole / "runs.sqlite").read_bytes()
    path = folder / "runs.sqlite"
    counts = {"reported": 0, "harmless": 0, "repaired": 0, "refused": 0}
    for trial in range(trials):
        draw = random.Random(trial)
        data = bytearray(original)
        while data == original:
            draw.choice(ALL)(draw, data)
        for left in folder.iterdir():
            left.unlink()
        path.write_bytes(data)
        found, message = opened(folder)
        if found is None:
            assert str(path) in message, trial
            assert "--resume" in message or "choose a new folder" in message, trial
            counts["reported"] += 1
        else:
            assert found == expected, f"trial {trial}: other numbers, and no message"
            counts["harmless"] += 1
        kept, message = opened(folder, write=True)
        if kept is None:
            assert path.read_bytes() == data, f"trial {trial}: changed what it refused"
            assert str(path) in message, trial
            counts["refused"] += 1
        else:
            assert kept["runs"].items() <= expected["runs"].items(), f"trial {trial}: wrong repair"
            assert opened(folder)[0] == kept, trial
            counts["repaired"] += 1
    return counts


@pytest.mark.slow
def test_random_damage_is_reported_or_harmless(whole: Path, tmp_path: Path) -> None:
    counts = try_damages(whole, tmp_path, 60)
    assert counts["reported"] > 30
    assert counts["repaired"] > 30


@pytest.mark.slow
@pytest.mark.full
def test_random_damage_is_reported_or_harmless_800_times(whole: Path, tmp_path: Path) -> None:
    counts = try_damages(whole, tmp_path, 800)
    print(counts)
    assert counts["reported"] > 400
    assert counts["repaired"] > 400


def change_a_metric(path: Path) -> str:
    """Write another number into a run, as a stray byte would; return the hash of the run."""
    connection = sqlite3.connect(path)
    key, metrics = connection.execute("SELECT key, metrics FROM runs ORDER BY key").fetchone()
    changed = metrics.replace('"mean_wait_s": ', '"mean_wait_s": 1', 1)
    assert changed != metrics
    connection.execute("UPDATE runs SET metrics = ? WHERE key = ?", (changed, key))
    connection.commit()
    connection.close()
    return str(key)


def test_resume_makes_damaged_runs_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {**GRID, "parameters": {"workload.load": [0.5, 0.7]}}
    alone = conduct(fields, tmp_path / "out", workers=1)
    key = change_a_metric(tmp_path / "out" / "runs.sqlite")
    with pytest.raises(InputError, match=rf"is damaged: 1 of 8 rows of the table runs \({key}\);"):
        load_result(tmp_path / "out")
    shown: list[Progress] = []
    again = conduct(fields, tmp_path / "out", workers=1, resume=True, progress=shown.append)
    assert shown[-1].reused == 7
    assert exact(again) == exact(alone)
    noted = capsys.readouterr().err
    assert noted.startswith("Note: ")
    assert f"({key}). 7 runs are kept and the others are made again." in noted
    kept = sqlite3.connect(tmp_path / "out" / "runs.damaged.sqlite")
    assert kept.execute("SELECT count(*) FROM runs").fetchone() == (8,)
    kept.close()


@pytest.mark.parametrize(
    "damage",
    first_of(
        [
            "UPDATE studies SET document = replace(document, 'load', 'lead')",
            "UPDATE studies SET id = id + 7",
            "UPDATE studies SET checksum = 1",
            "DELETE FROM studies",
            "DELETE FROM about WHERE name LIKE '%stud%'",
        ]
    ),
)
def test_runs_outlive_their_study(
    tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two studies in one store, one after the other; what is damaged is not the runs."""
    fields = {**GRID, "parameters": {"workload.load": [0.5, 0.7]}}
    out = tmp_path / "out"
    conduct({**fields, "parameters": {"workload.load": [0.5]}}, out, workers=1)
    alone = conduct(fields, out, workers=1, resume=True)
    with sqlite3.connect(out / "runs.sqlite") as connection:
        assert connection.execute("SELECT count(DISTINCT study) FROM runs").fetchone() == (2,)
        connection.execute(damage)
    connection.close()
    with pytest.raises(InputError, match=r"is damaged: .*stud"):
        load_result(out)
    shown: list[Progress] = []
    again = conduct(fields, out, workers=1, resume=True, progress=shown.append)
    assert shown[-1].reused == 8
    assert exact(again) == exact(alone)
    noted = capsys.readouterr().err
    lost = "about" not in damage
    assert "8 runs are kept" in noted
    assert ("of them was lost and is recorded again" in noted) == lost
    assert exact(load_result(out).runs) == exact(alone)
    with open_store(out) as store:
        for key in store.outcomes():
            assert store.origin(key)[0]["name"] == fields["name"]
    key = str(again["run"].iloc[0])
    redone = str(tmp_path / "redone")
    assert main(["run", "--from", str(out), "--run", key, "--out", redone]) == 0


def test_rows_that_are_gone_are_missed(tmp_path: Path, whole: Path) -> None:
    for table in ("runs", "wanted", "studies", "about"):
        data = (whole / "runs.sqlite").read_bytes()
        (tmp_path / "runs.sqlite").write_bytes(data)
        connection = sqlite3.connect(tmp_path / "runs.sqlite")
        where = "WHERE name = 'study'" if table == "about" else ""
        where = where or ("WHERE key = '0000000000000005'" if table != "studies" else "")
        connection.execute(f"DELETE FROM {table} {where}")
        connection.commit()
        connection.close()
        with (
            pytest.raises(InputError, match=f"is damaged: the .*table {table}"),
            open_store(tmp_path),
        ):
            pass


@pytest.mark.parametrize("damage", ["empty", "truncated", "another number"])
def test_commands_on_a_damaged_store(
    tmp_path: Path, whole: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "done"
    folder.mkdir()
    data = (whole / "runs.sqlite").read_bytes()
    keep = {"empty": 0, "truncated": len(data) // 2}.get(damage, len(data))
    (folder / "runs.sqlite").write_bytes(data[:keep])
    (folder / "study.yaml").write_text("name: s\n")
    if damage == "another number":
        change_a_metric(folder / "runs.sqlite")
    run = ["run", "--from", str(folder), "--run", f"{1:016x}", "--out", str(tmp_path / "redone")]
    for command in (["report", str(folder)], run):
        with suppress(SystemExit):
            assert main(command) == 2
        shown = capsys.readouterr().err
        assert f"clustersim: error: {folder / 'runs.sqlite'}: is " in shown
        assert "--resume" in shown
        assert "Traceback" not in shown
    assert not (tmp_path / "redone").exists()


def test_empty_store_is_no_new_study(tmp_path: Path) -> None:
    (tmp_path / "runs.sqlite").touch()
    with (
        pytest.raises(InputError, match="the file is empty; if it was the store of this study, mo"),
        open_store(tmp_path, write=True),
    ):
        pass
    assert (tmp_path / "runs.sqlite").stat().st_size == 0
