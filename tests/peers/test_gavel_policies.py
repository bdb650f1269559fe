"""Gavel's policies in the simulator, against the average job completion times of its simulator.

Rules: Gavel drops jobs whose rest has fewer steps than accelerators (five failed micro-tasks);
only jobs that it did not drop are averaged. Its programs' optima are degenerate, so averages are
compared within 10 %, not jobs one by one; those of its heterogeneity-agnostic variants, which
shuffle the pools by chance in every round, within 20 %.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clustersim.simulation.simulate import replay
from clustersim.topology import Cluster, Pool
from tests.reference_data import data_folder

pytestmark = pytest.mark.peers

POLICIES = {
    "max_min_fairness": "max_min_fairness",
    "finish_time_fairness": "finish_time_fairness",
    "min_total_duration": "min_makespan",
    "max_sum_throughput": "max_throughput",
    "max_sum_throughput_normalized_by_cost": "max_throughput_per_cost",
    "max_min_fairness_water_filling": "max_min_water_filling",
    "isolated": "isolated",
}
"""Names here of Gavel's policies, whose heterogeneity-aware variants end in ``_perf``."""
SHORT = 200
"""Largest number of jobs of a trace whose runs are fast."""
PRICES = {"v100": 0.74, "p100": 0.43, "k80": 0.135}


def runs() -> list[Path]:
    schedulers = data_folder() / "schedulers"
    files = [*schedulers.glob("gavel_*/expected_*.csv")]
    files += schedulers.glob("peers/gavel_*/expected_*.csv")
    return sorted(path for path in files if policy_of(path)[0] in POLICIES)


def policy_of(path: Path) -> tuple[str, bool]:
    """Return Gavel's policy of a file, and whether it is heterogeneity-aware."""
    name = path.stem.removeprefix("expected_")
    return name.removesuffix("_perf"), name.endswith("_perf")


def cluster_of(folder: Path) -> Cluster:
    gpus = json.loads((folder / "cluster.json").read_text(encoding="utf-8"))["gpus"]
    pools = [
        Pool(
            name=name,
            accelerator="",
            n_nodes=gpus[name],
            chips_per_node=1,
            nic_Bps=float("inf"),
            scaleup_size=1,
            leaf_of_node=np.zeros(gpus[name], dtype=np.int32),
            unit_of_node=np.zeros(gpus[name], dtype=np.int32),
            virtual_clusters={},
        )
        for name in PRICES
        if gpus.get(name)
    ]
    return Cluster(folder.name, tuple(pools))


def jobs_of(folder: Path, pools: list[str]) -> pd.DataFrame:
    names = {"arrival_s": "submit_s", "gpus": "n_accelerators", "total_steps": "steps"}
    rates = {f"{pool}_steps_per_s": f"steps_per_s.{pool}" for pool in pools}
    return pd.read_csv(folder / "jobs.csv").rename(columns={**names, **rates})


def params() -> list[Any]:
    """Return the runs as parameters, those of long traces marked as slow."""
    return [
        pytest.param(
            path,
            id=f"{path.parent.name}-{path.stem.removeprefix('expected_')}",
            marks=[pytest.mark.slow] if len(jobs_of(path.parent, [])) > SHORT else [],
        )
        for path in runs()
    ]


@pytest.mark.skipif(not runs(), reason=f"no runs of Gavel in {data_folder() / 'schedulers'}")
@pytest.mark.parametrize("path", params())
def test_average_completion_time_is_that_of_gavel(path: Path) -> None:
    gavel, aware = policy_of(path)
    cluster = cluster_of(path.parent)
    pools = [pool.name for pool in cluster.pools]
    options: dict[str, object] = {"cost": 0, "round": 360}
    if gavel != "isolated":
        options["heterogeneity_aware"] = aware
    if gavel == "max_sum_throughput_normalized_by_cost":
        options["prices"] = {pool: PRICES[pool] for pool in pools}
    result = replay(
        jobs_of(path.parent, pools),
        policy=POLICIES[gavel],
        options=options,
        cluster=cluster,
        placement="pooled",
    )
    expected = pd.read_csv(path).set_index("job_id")["jct_s"].dropna()
    done = result.jobs.set_index("job_id").loc[expected.index]
    assert (done["finish_s"] - done["submit_s"]).mean() == pytest.approx(
        expected.mean(), rel=0.1 if aware else 0.2
    )
