"""The work of jobs, and the islands of a fleet that they keep busy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fleets import cluster, pool

from clustersim.analysis.stationary_work import Offer, stationary_work
from clustersim.analysis.unfinished_work import unfinished_work
from clustersim.catalogue import load_catalogue
from clustersim.files import validate
from clustersim.seeds import Streams
from clustersim.simulation.load import OfferedWork, offered_work
from clustersim.simulation.speeds import Speeds
from clustersim.topology import Cluster
from clustersim.workload import WorkloadSpec
from clustersim.workload.generate import generate_jobs

HOUR = {"kind": "exponential", "average": "1 h"}


def workload(*classes: dict[str, Any], process: dict[str, Any] | None = None) -> WorkloadSpec:
    arrivals = {"mean_interarrival": "1 s", "process": process or {"kind": "poisson"}}
    tree = {"arrivals": arrivals, "classes": [{"weight": 1, **each} for each in classes]}
    return validate(WorkloadSpec, tree, "test")


def teams(first: int, second: int) -> Cluster:
    """A pool whose nodes belong to two virtual clusters."""
    nodes = {"first": first, "second": second}
    return cluster(pool("gpu", first + second, virtual_clusters=nodes))


def by_team(**more: Any) -> WorkloadSpec:
    job = {"name": "job", "sizes": {1: 1, 8: 1}, "duration": HOUR, "vcs": {"first": 1, "second": 1}}
    return workload({**job, **more})


def test_equal_islands_have_equal_prices() -> None:
    kinds = offered_work(by_team(), Speeds(teams(4, 4))).kinds
    assert sorted(kinds["island"].unique()) == [0, 1]
    for _, same in kinds.groupby("n_accelerators"):
        assert np.ptp(same["work_s"]) == 0.0
        assert np.ptp(same["island_per_s"]) == 0.0


def test_a_little_more_capacity_changes_the_work_a_little() -> None:
    equal = offered_work(by_team(), Speeds(teams(10_000, 10_000)))
    other = offered_work(by_team(), Speeds(teams(10_000, 10_001)))
    assert other.rate_per_s == equal.rate_per_s
    assert other.kinds["work_s"].to_numpy() == pytest.approx(equal.kinds["work_s"], rel=1.1e-4)


def chips(required: int, other: int, share: float) -> OfferedWork:
    """Offered work if a share of the jobs requires the first of two pools."""
    fleet = cluster(
        pool("first", required, accelerator="H200"), pool("second", other, accelerator="H20")
    )
    job = {"sizes": {8: 1}, "duration": HOUR}
    spec = workload(
        {**job, "name": "picky", "weight": share, "accelerators": ["H200"]},
        {**job, "name": "any", "weight": 1 - share},
    )
    return offered_work(spec, Speeds(fleet, load_catalogue()))


def test_jobs_that_can_balance_two_pools_join_them_to_one_island() -> None:
    kinds = chips(4, 4, 0.4).kinds
    assert kinds["island"].tolist() == [0, 0]
    assert kinds["work_s"].tolist() == pytest.approx([3600 / 8, 3600 / 8])


def test_a_pool_that_is_full_first_is_an_island() -> None:
    """Its jobs do not feel the other pool, and the other jobs do not use it."""
    offered = chips(4, 4, 0.6)
    assert offered.rate_per_s == pytest.approx(4 / 3600 / 0.6)
    assert offered.kinds["island"].tolist() == [0, 1]
    assert offered.kinds["work_s"].tolist() == pytest.approx([900.0, 900.0])
    per_s = 4 / 3600 / np.array([0.6, 0.4])
    assert offered.kinds["island_per_s"].tolist() == pytest.approx(per_s)


def test_mean_work_is_the_inverse_of_the_rate_of_an_island() -> None:
    spec = by_team(vcs={"first": 3, "second": 1}, sizes={1: 1, 8: 2, 64: 1})
    offered = offered_work(spec, Speeds(teams(4, 9)))
    kinds = offered.kinds
    never = (kinds["vc"] == "first") & (kinds["n_accelerators"] == 64)
    assert (kinds.loc[never, "island"] == -1).all()
    assert (kinds.loc[never, "work_s"] == 0).all()
    values = offered.values(spec)
    assert values is not None
    assert sum(part for part, _, _ in values) == pytest.approx(1.0)
    for island, (_, work_s, probability) in enumerate(values):
        own = kinds[kinds["island"] == island]
        rate = own["island_per_s"].iloc[0]
        assert (own["share"] * own["work_s"]).sum() == pytest.approx(1 / rate, rel=1e-12)
        assert (work_s * probability).sum() == pytest.approx(1 / rate, rel=1e-5)
        assert probability.sum() == pytest.approx(1.0)
    assert offered.rate_per_s == kinds["island_per_s"].min()


@pytest.mark.parametrize(
    "process", [{"kind": "hyperexponential", "cv": 3.0}, {"kind": "batch", "mean_batch": 5}]
)
def test_drawn_jobs_have_the_stationary_distribution(process: dict[str, Any]) -> None:
    spec = workload(
        {"name": "job", "sizes": {1: 4, 8: 1}, "duration": HOUR, "vcs": {"first": 3, "second": 2}},
        process=process,
    )
    offered = offered_work(spec, Speeds(teams(5, 3)))
    rate_per_s = 0.6 * offered.rate_per_s
    jobs = generate_jobs(spec, Streams(3), n_jobs=300_000, rate_scale=rate_per_s)
    before_s = unfinished_work(jobs["submit_s"].to_numpy(), *offered.of_jobs(jobs))
    offers = [Offer(*each) for each in offered.values(spec) or ()]
    found = stationary_work(offers, spec.arrivals.process.mixture(), rate_per_s)
    assert found is not None
    assert before_s.mean() == pytest.approx(found.sample.mean, rel=0.05)
    for q, noise in ((0.5, 0.03), (0.9, 0.1), (0.99, 0.2)):
        limit = found.sample.quantile(q)
        assert (before_s > limit).mean() == pytest.approx(1 - q, rel=noise)


@pytest.mark.parametrize(("sigma", "known"), [(2.5, True), (3.0, False), (8.0, False)])
def test_a_tail_that_no_values_represent(sigma: float, known: bool) -> None:
    heavy = {"kind": "lognormal", "median": "1 h", "sigma": sigma}
    spec = by_team(duration=heavy)
    assert (offered_work(spec, Speeds(teams(1, 1))).values(spec) is not None) == known
    limited = by_team(duration={**heavy, "at_most": "1000 h"})
    assert offered_work(limited, Speeds(teams(1, 1))).values(limited) is not None


def test_jobs_of_another_workload_are_no_jobs_of_this_one() -> None:
    offered = offered_work(by_team(), Speeds(teams(1, 1)))
    other = by_team(sizes={2: 1})
    jobs = generate_jobs(other, Streams(1), n_jobs=10)
    with pytest.raises(AssertionError, match="drawn from a class"):
        offered.of_jobs(jobs)
