"""The column `accelerators` of the jobs knows chips by all their names."""

from __future__ import annotations

import pandas as pd
import pytest

import clustersim as cs
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate


@pytest.mark.parametrize("with_catalogue", [False, True])
def test_a_chip_has_several_names(with_catalogue: bool) -> None:
    catalogue = cs.load_catalogue()
    pools = {"a": {"accelerator": "H20", "nodes": 1}, "b": {"accelerator": "910B", "nodes": 1}}
    spec = cs.topology.resolve_cluster({"name": "two", "pools": pools}, catalogue)
    names = ["910B", "910B2", "Ascend 910B", "h20"]
    jobs = pd.DataFrame(
        {
            "job_id": range(4),
            "submit_s": 0.0,
            "n_accelerators": 8,
            "duration_s": 60.0,
            "accelerators": names,
        }
    )
    scheduling = Scheduling(policy="fcfs", placement="consolidate", choose="listed")
    result = simulate(
        jobs,
        cs.compile_cluster(spec),
        scheduling,
        catalogue=catalogue if with_catalogue else None,
    )
    assert result.jobs["pool"].tolist() == ["b", "b", "b", "a"]
