"""A result without the nodes that jobs ran on says the same of all else."""

from __future__ import annotations

import pandas as pd
import pytest

from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario

SCENARIO = {
    "cluster": "mixed-small",
    "workload": {"generate": "large-model-lab", "jobs": 150, "load": 0.9},
    "scheduler": {"policy": "easy", "placement": "consolidate"},
    "failures": {"sources": "meta-llama3", "rate": 2000},
    "energy": {},
    "money": {},
    "horizon": "20 d",
    "seed": 6,
}


def test_only_the_rows_of_nodes_are_left_out() -> None:
    loaded = define_scenario(SCENARIO)
    whole, short = (run_scenario(loaded, by_node=by_node) for by_node in (True, False))
    assert whole.attempts is not None
    assert (whole.attempts["attempt"] > 0).sum() > 20
    pd.testing.assert_frame_equal(short.attempts, whole.attempts, check_exact=True)
    pd.testing.assert_frame_equal(short.utilisation, whole.utilisation, check_exact=True)
    pd.testing.assert_frame_equal(short.costs, whole.costs, check_exact=True)
    pd.testing.assert_frame_equal(short.jobs, whole.jobs, rtol=1e-12)
    pd.testing.assert_frame_equal(short.summary, whole.summary, rtol=1e-12)
    assert (short.allocations["node"] == -1).all()
    assert len(short.allocations) == len(short.attempts) < len(whole.allocations)
    seconds = [
        (each["n_accelerators"] * (each["end_s"] - each["start_s"])).sum()
        for each in (short.allocations, whole.allocations)
    ]
    assert seconds[0] == pytest.approx(seconds[1], rel=1e-12)
