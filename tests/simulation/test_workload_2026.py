"""The jobs of a company on the mixed fleet of 2026."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clustersim.catalogue import load_catalogue
from clustersim.seeds import Streams
from clustersim.simulation.load import offered_work
from clustersim.simulation.speeds import RunTimeModel, Speeds
from clustersim.topology import compile_cluster, load_cluster
from clustersim.workload import check_jobs, generate_jobs, load_workload

YEAR_S = 365.25 * 86400.0
TOPOLOGY = Path(__file__).parents[2] / "topologies" / "bytedance-2026.yaml"


def test_a_year_of_jobs() -> None:
    """They come as often as their growth says, and the small ones may be stopped."""
    spec = load_workload("doubao-jimeng-2026")
    jobs = generate_jobs(spec, Streams(1), horizon_s=YEAR_S)
    check_jobs(jobs, "jobs")
    expected = YEAR_S / 630.0 * (1.5 - 1) / np.log(1.5)
    assert len(jobs) == pytest.approx(expected, abs=4 * np.sqrt(expected))
    shares = jobs["job_class"].value_counts(normalize=True)
    for job_class in spec.classes:
        assert shares[job_class.name] == pytest.approx(job_class.weight, abs=0.01)
    large = jobs["job_class"].str.contains("training")
    assert (jobs["preemptible"] == ~large).all()
    assert jobs.loc[jobs["preemptible"], "n_accelerators"].max() == 1024


def test_a_year_of_the_fleet_is_some_ten_thousand_jobs() -> None:
    catalogue = load_catalogue()
    fleet = compile_cluster(load_cluster(TOPOLOGY, catalogue))
    assert sum(pool.n_chips for pool in fleet.pools) == pytest.approx(800_000, rel=0.05)
    spec = load_workload("doubao-jimeng-2026")
    model = RunTimeModel(spec.reference_accelerator, {"default": "llama3-8b"})
    rate = offered_work(spec, Speeds(fleet, catalogue, model)).rate_per_s
    assert 30_000 < 0.8 * rate * YEAR_S < 70_000
    # The model's own rate with its growth is that load over the first year.
    own = 1 / spec.arrivals.mean_interarrival * (1.5 - 1) / np.log(1.5)
    assert own / rate == pytest.approx(0.8, abs=0.05)
