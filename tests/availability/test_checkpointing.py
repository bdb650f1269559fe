"""What a checkpoint costs by model and storage, and what an asynchronous one is worth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clustersim.availability.checkpointing import optimal_interval_s, recovery_of
from clustersim.availability.failure_spec import Checkpointing, Failures
from clustersim.availability.stored_data import checkpoint_bytes
from clustersim.catalogue import load_catalogue
from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Checkpoints, Recovery
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.simulation.no_progress import checkpoint_notes
from clustersim.simulation.simulate import Scheduling, simulate
from tests.simulation.fleets import cluster, jobs, pool

CATALOGUE = load_catalogue()
LOG = jobs([(0, 512, 9e5), (0, 64, 9e5), (0, 8, 9e5)], model=["llama3-405b", "llama3-8b", None])
MTTF_S = np.array([3e4, 3e5, 3e6])


def recovery(**fields: object) -> Recovery:
    return recovery_of(validate(Checkpointing, fields, "checkpoints"), [MTTF_S], LOG, CATALOGUE)


def test_checkpoints_take_time_also_where_nothing_can_fail() -> None:
    """Ten checkpoints of 2 s in 110 s of work, none at the end; the result has no attempts."""
    recovery = Recovery([[10.0]], [2.0], [5.0])
    result = simulate(jobs([(0, 8, 110)]), cluster(pool("gpu")), recovery=recovery)
    assert result.jobs["finish_s"].tolist() == [130.0]
    assert result.attempts is None


def test_a_checkpoint_has_14_bytes_for_each_parameter() -> None:
    size = checkpoint_bytes(LOG, CATALOGUE)
    np.testing.assert_allclose(size, [14 * 405.85e9, 14 * 8.03e9, 0], rtol=2e-3)
    assert checkpoint_bytes(LOG.drop(columns="model"), CATALOGUE).tolist() == [0, 0, 0]


def test_its_cost_is_its_size_over_the_storages_rate_and_reading_it_delays_the_restart() -> None:
    found = recovery(storage="100 GB/s", cost="30 s", restart="10 min")
    np.testing.assert_allclose(found.cost_s, [56.8, 1.12, 30], rtol=0.01)
    np.testing.assert_allclose(found.restart_s, [656.8, 601.12, 600], rtol=1e-3)
    np.testing.assert_allclose(found.interval_s[0], optimal_interval_s(found.cost_s, MTTF_S))
    assert found.write_s == [0, 0, 0]


def test_an_asynchronous_one_costs_the_copy_to_the_host() -> None:
    found = recovery(storage="100 GB/s", asynchronous=True, host_link="20 GB/s")
    np.testing.assert_allclose(
        found.cost_s, [56.8 * 100 / (512 * 20), 1.12 * 5 / 64, 60], rtol=0.01
    )
    np.testing.assert_allclose(found.write_s, [56.8, 1.12, 0], rtol=0.01)
    assert found.interval_s[0][0] == pytest.approx(
        float(optimal_interval_s(found.cost_s[0], 3e4)), rel=1e-9
    )
    slow = recovery(storage="1 GB/s", asynchronous=True)
    assert slow.interval_s[0][0] == slow.write_s[0], "the next begins when this one is written"


def test_asynchronous_needs_storage() -> None:
    with pytest.raises(InputError, match="`asynchronous` needs `storage`, such as 2 TB/s"):
        validate(Failures, {"sources": "opt-175b", "checkpoints": {"asynchronous": True}}, "f")


@pytest.mark.parametrize(
    ("elapsed_s", "kept_s", "lost_s", "checkpoint_s"),
    [(12, 0, 10, 2), (18.9, 0, 16.9, 2), (19, 10, 7, 2), (24, 10, 10, 4), (31, 20, 7, 4)],
)
def test_a_checkpoint_counts_when_it_is_written(
    elapsed_s: float, kept_s: float, lost_s: float, checkpoint_s: float
) -> None:
    """10 s of work, 2 s of standing still, 7 s more until it is written."""
    checkpoints = Checkpoints(10, 2, 0, 7)
    found = checkpoints.progress(elapsed_s, 100, again=False, saved=False)
    assert found[:3] == pytest.approx((kept_s, lost_s, checkpoint_s))
    assert checkpoints.progress(elapsed_s, 100, again=False, saved=True).lost_s == 0


def test_in_a_run_asynchronous_checkpoints_cost_less_and_lose_more() -> None:
    fleet = cluster(pool("gpu", 64, 8))
    log, outages = jobs([(0, 512, 1e4)]), [NodeEvent(t, t + 10, 0, 0) for t in (2500.0, 6200.0)]

    def ran(cost_s: float, write_s: float) -> tuple[float, float]:
        saving = Recovery([[500.0]], [cost_s], [0.0], [write_s])
        placed = Scheduling(placement="consolidate")
        table = simulate(log, fleet, placed, node_events=outages, recovery=saving).attempts
        return float(table["checkpoint_s"].sum()), float(table["lost_s"].sum())

    synchronous, asynchronous = ran(50, 0), ran(1, 50)
    assert asynchronous[0] < synchronous[0] / 10
    assert math.isfinite(asynchronous[1])
    assert ran(1, 450)[1] >= ran(1, 0)[1]


@pytest.mark.parametrize(
    "sources",
    [{}, {"sources": []}, {"sources": "meta-llama3", "rate": 0}],
    ids=["none", "empty", "rate of 0"],
)
def test_checkpoints_without_failures_are_the_cost_of_preemptions(
    sources: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 280 s of work 200 s are kept; then 800 s, seven checkpoints and the restart remain."""
    monkeypatch.chdir(tmp_path)
    log = jobs([(0, 8, 1000), (300, 8, 100)], priority=[1, 9])
    log.to_csv("two.csv", index=False)
    given = define_scenario(
        {
            "cluster": {"name": "c", "pools": {"gpu": {"accelerator": "H200", "nodes": 1}}},
            "workload": {"trace": "two.csv"},
            "scheduler": {"policy": "priority", "options": {"preempt_by": "requeue"}},
            "failures": {
                **sources,
                "checkpoints": {"interval": "100 s", "cost": "10 s", "restart": "30 s"},
            },
        }
    )
    result = run_scenario(given)
    assert result.jobs["finish_s"].tolist() == [300 + 100 + 30 + 800 + 7 * 10, 400]
    assert result.outages is None or not len(result.outages)


def test_an_optimal_interval_without_failures_is_noted() -> None:
    [note] = checkpoint_notes(validate(Failures, {"checkpoints": {"cost": "10 s"}}, "failures"))
    assert "nothing fails, so the optimal interval is infinite" in note
    fixed = {"checkpoints": {"cost": "10 s", "interval": "1 h"}}
    assert checkpoint_notes(validate(Failures, fixed, "failures")) == []
