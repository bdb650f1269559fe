"""The store of runs: whole after any death, readable at any time, written by one alone."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clustersim.errors import InputError
from clustersim.studies.store import Outcome
from clustersim.studies.store_check import checksum
from clustersim.studies.store_file import open_store

METRICS = {f"metric_{k}": k / 7 for k in range(30)} | {"nan": float("nan"), "inf": float("inf")}
SERIES = np.random.default_rng(0).random(100)


def outcome(number: int, error: str = "") -> Outcome:
    key = f"{number:016x}"
    return Outcome(key, {} if error else METRICS, SERIES[: number % 101], error, wall_s=0.5)


def fill(folder: Path, n_runs: int) -> None:
    with open_store(folder, write=True) as store:
        study = store.begin_study({"name": "s"})
        for number in range(n_runs):
            store.add(outcome(number, "no" if number % 10 == 3 else ""), study=study, changes={})


def test_outcome_comes_back_bit_for_bit(tmp_path: Path) -> None:
    with open_store(tmp_path, write=True) as store:
        study = store.begin_study({"name": "s", "draws": 3})
        store.add(outcome(77), study=study, changes={"workload.load": 0.1, "a": "ü", "b": True})
        store.add(outcome(78, "first\nsecond: ü"), study=study, changes={})
        assert store.begin_study({"name": "s", "draws": 3}) == study
        assert store.begin_study({"name": "t"}) != study
    with open_store(tmp_path) as store:
        found, failed = store.get(f"{77:016x}"), store.get(f"{78:016x}")
        assert store.get("absent") is None
        assert store.origin(f"{77:016x}") == (
            {"name": "s", "draws": 3},
            {"workload.load": 0.1, "a": "ü", "b": True},
        )
        assert store.finished() == {f"{77:016x}"}
    assert found is not None
    assert failed is not None
    assert repr(found.metrics) == repr(METRICS)
    assert found.series.tobytes() == SERIES[:77].tobytes()
    assert (found.failed, found.wall_s) == (False, 0.5)
    assert (failed.failed, failed.error, dict(failed.metrics)) == (True, "first\nsecond: ü", {})


def test_new_attempt_takes_the_place_of_an_old_one(tmp_path: Path) -> None:
    with open_store(tmp_path, write=True) as store:
        study = store.begin_study({})
        store.add(outcome(1, "no"), study=study, changes={})
        assert store.finished() == set()
        store.add(outcome(1), study=study, changes={})
        assert [found.failed for found in store.outcomes().values()] == [False]


WRITER = """
import sys
from pathlib import Path
from clustersim.studies.store_file import open_store
from test_store import outcome
with open_store(Path(sys.argv[1]), write=True) as store:
    study = store.begin_study({"name": "s"})
    number = int(sys.argv[2])
    while True:
        store.add(outcome(number), study=study, changes={"n": number})
        print(number, flush=True)
        number += 1
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )


@pytest.mark.slow
def test_killed_while_it_writes(tmp_path: Path) -> None:
    draw = random.Random(1)
    reported = -1
    for _ in range(6):
        writer = start(WRITER, tmp_path, reported + 1)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        assert first, writer.communicate()[1]
        time.sleep(draw.uniform(0.0, 0.15))
        writer.kill()
        lines = [first, *writer.stdout.read().splitlines(keepends=True)]
        writer.communicate()
        reported = max(int(line) for line in lines if line.endswith("\n"))
        with open_store(tmp_path) as store:
            found = store.outcomes()
        numbers = sorted(int(key, 16) for key in found)
        assert numbers[: reported + 1] == list(range(reported + 1)), "what was reported is there"
        assert len(numbers) <= reported + 2, "and the one that it was at, if it was written"
        reported = numbers[-1]
    assert reported > 100
    for number in random.Random(2).sample(range(reported), 50):
        assert found[f"{number:016x}"].series.tobytes() == outcome(number).series.tobytes()
    check = sqlite3.connect(tmp_path / "runs.sqlite")
    assert check.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    check.close()


def test_read_while_another_process_writes(tmp_path: Path) -> None:
    writer = start(WRITER, tmp_path, 0)
    assert writer.stdout is not None
    writer.stdout.readline()
    seen = []
    with open_store(tmp_path) as store:
        for _ in range(8):
            seen.append(len(store.outcomes()))
            time.sleep(0.01)
    assert writer.poll() is None, "the reader does not disturb it"
    writer.kill()
    writer.communicate()
    assert seen == sorted(seen)
    assert seen[-1] > seen[0] >= 1


def test_one_writer_alone(tmp_path: Path) -> None:
    writer = start(WRITER, tmp_path, 0)
    assert writer.stdout is not None
    writer.stdout.readline()
    refused = rf"another study is running here \(process {writer.pid}\); wait for it or stop it"
    with pytest.raises(InputError, match=refused), open_store(tmp_path, write=True):
        pass
    writer.kill()
    writer.communicate()
    with open_store(tmp_path, write=True) as store:
        assert len(store.finished()) >= 1
        with pytest.raises(InputError, match=rf"process {os.getpid()}\)"):
            fill(tmp_path, 1)
    fill(tmp_path, 1)


READ_ONLY = """
import os, sys
from pathlib import Path
from clustersim.errors import InputError
from clustersim.studies.store_file import open_store
if os.geteuid() == 0:
    os.setuid(65534)  # nobody
for write in (False, True):
    try:
        with open_store(Path(sys.argv[1]), write=write) as store:
            print(len(store.finished()))
    except InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_folder_that_may_be_read_alone(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    fill(folder, 20)
    assert {entry.name for entry in folder.iterdir()} == {"runs.sqlite", "study.lock"}
    for parent in (path for path in folder.parents if "pytest-of" in str(path)):
        parent.chmod(parent.stat().st_mode | 0o055)
    folder.chmod(0o555)
    process = start(READ_ONLY, folder)
    printed, errors = process.communicate()
    assert printed.splitlines() == ["18", f"{folder}: cannot be written: Permission denied"], errors
    folder.chmod(0o777)
    (folder / "study.lock").chmod(0o666)
    printed, errors = start(READ_ONLY, folder).communicate()
    assert not errors
    read, refused = printed.splitlines()
    assert read == "18"
    assert refused.startswith(f"{folder / 'runs.sqlite'}: ")
    assert "readonly" in refused


FULL = """
import resource, sys
from pathlib import Path
from clustersim.studies.store_file import open_store
from clustersim.errors import InputError
from test_store import outcome
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
number = 0
try:
    with open_store(Path(sys.argv[1]), write=True) as store:
        study = store.begin_study({"name": "s"})
        while True:
            store.add(outcome(number), study=study, changes={})
            number += 1
except InputError as error:
    print(number, error, sep="\\n")
"""


def test_full_disk(tmp_path: Path) -> None:
    process = start(FULL, tmp_path)
    printed, errors = process.communicate(timeout=60)
    number, message = printed.splitlines()
    assert not errors
    assert message.startswith(f"{tmp_path / 'runs.sqlite'}: cannot be written: ")
    assert int(number) > 20
    with open_store(tmp_path) as store:
        assert len(store.outcomes()) == int(number), "what was done is kept"
    fill(tmp_path, 1)


@pytest.mark.slow
def test_ten_thousand_runs(tmp_path: Path) -> None:
    fill(tmp_path, 10_000)
    with open_store(tmp_path) as store:
        assert (len(store.finished()), len(store.outcomes())) == (9_000, 10_000)


def test_another_format_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, 2)
    connection = sqlite3.connect(tmp_path / "runs.sqlite")
    row = ("format", "99")
    connection.execute("INSERT OR REPLACE INTO about VALUES (?, ?, ?)", (*row, checksum(row)))
    connection.commit()
    connection.close()
    for write in (False, True):
        message = r"runs\.sqlite: has format 99, but this version reads format 6"
        with pytest.raises(InputError, match=message), open_store(tmp_path, write=write):
            pass


@pytest.mark.parametrize("write", [False, True])
def test_foreign_files_are_refused_and_left_as_they_are(tmp_path: Path, write: bool) -> None:
    path = tmp_path / "runs.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE mine (a)")
    connection.commit()
    connection.close()
    for content in (path.read_bytes(), b"run,mean_wait_s\n" * 500):
        path.write_bytes(content)
        with (
            pytest.raises(InputError, match=r"runs\.sqlite: is not a usable store of runs: "),
            open_store(tmp_path, write=write),
        ):
            pass
        assert path.read_bytes() == content


def test_damaged_file_is_reported(tmp_path: Path) -> None:
    fill(tmp_path, 500)
    path = tmp_path / "runs.sqlite"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\0" * (len(whole) - len(whole) // 2))
    with (
        pytest.raises(
            InputError,
            match=r"runs\.sqlite: is damaged: it cannot be read \(.*; continue .*--resume",
        ),
        open_store(tmp_path) as store,
    ):
        store.outcomes()


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no runs\.sqlite; is it"), open_store(tmp_path):
        pass
    (tmp_path / "runs.sqlite").mkdir()
    with pytest.raises(InputError, match="runs"), open_store(tmp_path, write=True):
        pass
