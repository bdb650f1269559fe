"""The same table, bit for bit, wherever the runs are made and however often it was stopped."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conducted import (
    CAPACITY,
    EXACT,
    GRID,
    SEQUENTIAL,
    Conductor,
    conduct,
    exact,
    rows_in,
    until,
)
from dask_cluster import dask_cluster

from clustersim.studies.study_result import load_result
from tests.full_counts import first_of

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("same tables")]

STUDIES = {fields["name"]: fields for fields in (GRID, SEQUENTIAL, CAPACITY)}
Fields = dict[str, Any]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, EXACT]:
    """The tables as this process makes them, one run after the other."""
    folder = tmp_path_factory.mktemp("alone")
    return {
        name: exact(conduct(fields, folder / name, workers=1)) for name, fields in STUDIES.items()
    }


def test_studies_are_of_three_kinds(alone: dict[str, EXACT], tmp_path: Path) -> None:
    n_runs = {name: len(table["run"][1]) for name, table in alone.items()}
    assert n_runs["grid"] == 3 * 2 * 4
    assert 6 * 3 < n_runs["sequential"] < 6 * 12, "some stop early, none at once"
    assert set(alone["capacity"]["status"][1]) == {"finished"}
    # Each value has two replications, and one run of each draw.
    assert n_runs["capacity"] > 2 * (2 + 2) * 4, "searches that go on after the ends"


def test_runs_differ_by_draw_load_and_replication(alone: dict[str, EXACT]) -> None:
    jct = alone["capacity"]["mean_jct_s"][1]
    assert isinstance(jct, bytes)
    different = {jct[k : k + 8] for k in range(0, len(jct), 8)}
    assert len(different) > 0.85 * len(jct) / 8, "but for policies that agree under a low load"


@pytest.mark.parametrize("name", first_of(["capacity", "sequential", "grid"]))
def test_two_processes(alone: dict[str, EXACT], tmp_path: Path, name: str) -> None:
    assert exact(conduct(STUDIES[name], tmp_path / "out", workers=2)) == alone[name]


@pytest.mark.parametrize("name", first_of(["grid", "sequential", "capacity"]))
def test_threads_of_the_caller(alone: dict[str, EXACT], tmp_path: Path, name: str) -> None:
    with ThreadPoolExecutor(3) as executor:
        table = exact(conduct(STUDIES[name], tmp_path / "out", executor=executor))
        assert executor.submit(int).result() == 0, "the executor is still the caller's"
    assert table == alone[name]


def test_dask_cluster(alone: dict[str, EXACT], tmp_path: Path) -> None:
    with dask_cluster(tmp_path) as cluster:
        for name, fields in STUDIES.items():
            table = exact(conduct(fields, tmp_path / name, dask=cluster.address))
            assert table == alone[name], name


@pytest.mark.parametrize(
    ("name", "kills"), [("capacity", 7), pytest.param("sequential", 3, marks=pytest.mark.full)]
)
def test_killed_at_random_moments(
    alone: dict[str, EXACT], tmp_path: Path, name: str, kills: int
) -> None:
    draw = random.Random(20)
    out = tmp_path / "out"
    n_runs = len(alone[name]["run"][1])
    found = [0]
    for turn in range(kills):
        conductor = Conductor(STUDIES[name], out, workers=1 + turn % 2, resume=True)
        least = found[-1] + draw.randint(0, n_runs // kills)
        assert until(lambda least=least: out.exists() and rows_in(out) >= least)
        time.sleep(draw.uniform(0.0, 0.1))
        conductor.kill()
        assert conductor.is_left_alone(), "its workers end with it"
        found.append(rows_in(out))
        assert found == sorted(found), "what was kept stays"
    assert 0 < found[(kills + 1) // 2] < n_runs, f"killed in the middle: {found}"
    assert exact(conduct(STUDIES[name], out, workers=2, resume=True)) == alone[name]
    assert rows_in(out) == n_runs, "no run but those of the study"
    assert len(load_result(out).series) == n_runs
