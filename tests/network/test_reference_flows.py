"""Ends of flows against SimGrid and against exact rational arithmetic."""

from __future__ import annotations

import json

import numpy as np
import pytest

from clustersim.network import simulate_flows
from tests.reference_data import data_folder, reference_data

pytestmark = pytest.mark.skipif(reference_data() is None, reason=f"no data in {data_folder()}")

CASES = sorted((data_folder() / "network" / "flows").glob("c*.json"))
TOLERANCES = {"exact_rational": 1e-9, "numba_float64": 1e-9, "simgrid_3.32": 1e-8}


def test_the_folder_has_weighted_and_large_cases():
    assert {"c14_rttweighted_40f", "c10_fattree8_1000f_t0"} <= {path.stem for path in CASES}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_ends_are_those_of_independent_programs(path):
    case = json.loads(path.read_text())
    links, flows = case["links"], case["flows"]
    ends = simulate_flows(
        [link["capacity_Bps"] for link in links],
        [flow["path"] for flow in flows],
        [flow["start"] for flow in flows],
        [flow["bytes"] for flow in flows],
        latency=[link["latency_s"] for link in links],
        weight=[flow["weight"] for flow in flows] if "weight" in flows[0] else None,
    )
    compared = case["finish_s"]
    assert "simgrid_3.32" in compared
    for program, expected in compared.items():
        np.testing.assert_allclose(ends, expected, rtol=TOLERANCES[program], err_msg=program)
