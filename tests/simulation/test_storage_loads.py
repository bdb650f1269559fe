"""Load of shared storage over time, and metrics of the time lost to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.analysis.metrics import metric_of
from clustersim.analysis.part import MeasuredRun, Part
from clustersim.network import SharedStorage, StorageSystem
from clustersim.simulation.networked.storage_loads import MOST_INTERVALS, StorageLoads
from tests.simulation.fleets import jobs
from tests.simulation.stored_jobs import TB, sharing, stored


def total_bytes(load: pd.DataFrame, column: str) -> float:
    return float((load[column] * (load["end_s"] - load["time_s"])).sum())


def test_the_table_has_the_means_of_equal_intervals(tmp_path: Path) -> None:
    """Two jobs read 1 TB each in 20 s; then one of them saves 1 TB in each 30 s of 2,990 s."""
    table = jobs([(0, 8, 2000), (0, 8, 10)], read_bytes=[1e12, 1e12])
    result = stored(table, sharing(table, interval="20 s"))
    load = result.storage_load
    assert load is not None
    assert MOST_INTERVALS / 2 < len(load) <= MOST_INTERVALS
    width_s = load["end_s"] - load["time_s"]
    assert load["time_s"].tolist() == [0.0, *load["end_s"].tolist()[:-1]]
    assert set(width_s.tolist()[:-1]) == {8.0}
    assert load["end_s"].iloc[-1] == result.jobs["finish_s"].max() == pytest.approx(3010)
    assert load["read_Bps"].tolist()[:4] == pytest.approx([1e11, 1e11, 5e10, 0])
    assert load["utilisation"].tolist()[:2] == pytest.approx([1, 1])
    # 99 saves, of which the load expects 1 TB in each 2,990 s / 99.
    assert load["write_Bps"].iloc[5] == pytest.approx(99e12 / 2990)
    assert load["utilisation"].iloc[5] == pytest.approx(990 / 2990)
    assert total_bytes(load, "read_Bps") == pytest.approx(2e12)
    assert total_bytes(load, "write_Bps") == pytest.approx(99e12)
    folder = result.save(tmp_path / "result")
    read = cs.Result.load(folder).storage_load
    assert read is not None
    np.testing.assert_array_equal(read["utilisation"], load["utilisation"])
    plain = stored(table, sharing(table, "100 GB/s", interval="20 s"))
    assert plain.storage_load is None
    assert plain.attempts is None


def test_means_stay_exact_however_often_intervals_are_merged() -> None:
    storage, loads = SharedStorage(StorageSystem(1.0, 1.0)), StorageLoads(1)
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.exponential(100.0, 400))
    for number, time in enumerate(times.tolist()):
        if number % 2:
            storage.end(0)
        else:
            storage.begin(0, size_bytes=1.0, clients=1, reads=bool(number % 4))
        storage.settle()
        loads.changed(time, 0, storage)
    table = loads.table(float(times[-1]) + 50.0, ["shared"])
    on_s = np.diff(times)[::2]
    assert total_bytes(table, "write_Bps") == pytest.approx(on_s[::2].sum())
    assert total_bytes(table, "read_Bps") == pytest.approx(on_s[1::2].sum())
    assert len(table) <= MOST_INTERVALS


def test_an_empty_run_and_one_of_an_instant_have_a_row() -> None:
    loads = StorageLoads(2)
    table = loads.table(0.0, ["shared", "gpu"])
    assert table["storage"].tolist() == ["shared", "gpu"]
    assert table["utilisation"].tolist() == [0.0, 0.0]


def test_metrics_of_the_time_lost_by_hand() -> None:
    """Of two jobs of 8 and 16 chips that read 1 and 2 TB at once, the small one loses 10 s of 20 s.

    The large one reads its second TB alone in 10 s, and also loses 10 s.
    """
    table = jobs([(0, 8, 80), (0, 16, 70)], read_bytes=[1e12, 2e12], job_class=["small", "large"])
    result = stored(table, sharing(table))
    assert result.jobs["finish_s"].tolist() == pytest.approx([100, 100])
    part = Part(MeasuredRun(result, cs.load_catalogue()), 0, 2, 0.0, 200.0)
    lost, mean = metric_of("storage_loss"), metric_of("mean_storage_s")
    used = metric_of("storage_utilisation")
    assert lost.compute is not None
    assert mean.compute is not None
    assert used.compute is not None
    assert lost.by_pool is not None
    assert lost.compute(part) == pytest.approx(0.1)
    assert lost.by_pool(part) == {"gpu": pytest.approx(0.1)}
    assert mean.compute(part) == pytest.approx(10)
    assert used.compute(part) == pytest.approx(30 / 200)
    early = Part(MeasuredRun(result, cs.load_catalogue()), 0, 2, 10.0, 40.0)
    assert used.compute(early) == pytest.approx(20 / 30)
    plain = stored(table, sharing(table, "100 GB/s"))
    without = Part(MeasuredRun(plain, cs.load_catalogue()), 0, 2, 0.0, 1e9)
    assert [each.compute(without) for each in (lost, mean, used) if each.compute] == [0, 0, 0]


def test_storage_that_nobody_fills_changes_nothing() -> None:
    """With clients that are slow beside the system, times are those of each job for itself."""
    table = jobs([(0, 8, 1000), (5, 8, 1000), (9, 16, 500)])
    shared = {**TB, "write": "1000 TB/s", "client": "100 GB/s"}
    result = stored(table, sharing(table, shared, interval="90 s"))
    alone = [stored(table[k : k + 1], sharing(table[k : k + 1], shared, interval="90 s"))
             for k in range(3)]  # fmt: skip
    np.testing.assert_allclose(
        result.jobs["finish_s"],
        [float(each.jobs["finish_s"].iloc[0]) for each in alone],
        rtol=1e-12,
    )
