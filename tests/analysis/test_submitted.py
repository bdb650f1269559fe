"""How long jobs waited and held their accelerators, when they were stopped in between."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.analysis.submitted import Submitted
from clustersim.engine.node_events import NodeEvent
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.topology import Cluster, Pool


def ran(outages: list[NodeEvent] | None, **options: float) -> Result:
    """Three jobs of 100 s on one node of eight."""
    one = np.zeros(1, dtype=np.int32)
    pool = Pool("gpu", "", 1, 8, nic_Bps=1e9, scaleup_size=8, leaf_of_node=one, unit_of_node=one)
    jobs = pd.DataFrame(
        {"job_id": [7, 8, 9], "submit_s": [0.0, 5, 6], "n_accelerators": 8, "duration_s": 100.0}
    )
    placed = Scheduling(placement="consolidate")
    return simulate(jobs, Cluster("one", (pool,)), placed, node_events=outages, **options)


def test_a_job_holds_nothing_while_its_node_is_out() -> None:
    found = Submitted.of(ran([NodeEvent(30, 50, 0, 0)]))
    assert found.wait_s.tolist() == [0, 145, 244]
    assert found.held_s.tolist() == [130, 100, 100], "30 s are lost"
    assert found.work.tolist() == [1040, 800, 800]


def test_until_the_run_stops() -> None:
    for outages in (None, [NodeEvent(30, 50, 0, 0)]):
        found = Submitted.of(ran(outages, horizon_s=120))
        assert found.held_s[0] == 100 if outages is None else 30 + 70
        assert np.isnan(found.held_s[2])
        assert found.wait_s[2] == 114
