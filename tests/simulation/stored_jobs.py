"""Runs of jobs that share the storage of their checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import clustersim as cs
from clustersim.availability.checkpointing import recovery_of
from clustersim.availability.failure_spec import Checkpointing
from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.files import validate
from clustersim.topology import Cluster
from tests.simulation.fleets import cluster, pool

EIGHT = cluster(pool("gpu", 8, 8))
"""Eight nodes of eight accelerators."""
TB = {"write": "100 GB/s", "checkpoint_per_accelerator": "125 GB", "tolerance": 1e-9}
"""A checkpoint of a node has 1 TB, which takes 10 s alone."""


def sharing(
    table: pd.DataFrame, storage: Any = TB, *, on: Cluster = EIGHT, **checkpoints: Any
) -> Recovery:
    """How jobs recover; without another setting, they save only if they are asked to."""
    fields = {"interval": "never", "restart": "0 s", "storage": storage, **checkpoints}
    spec = validate(Checkpointing, fields, "checkpoints")
    never = [np.full(len(table), np.inf) for _ in on.pools]
    return recovery_of(spec, never, table, cs.load_catalogue(), cluster=on)


def fail(time_s: float, *nodes: int, until_s: float | None = None) -> list[NodeEvent]:
    """Some nodes fail; by default each is replaced at once."""
    return [NodeEvent(time_s, until_s or time_s, 0, node) for node in nodes]


def stored(
    table: pd.DataFrame,
    recovery: Recovery,
    events: Any = None,
    *,
    on: Cluster = EIGHT,
    policy: Any = "fcfs",
    placement: Any = "consolidate",
    **options: Any,
) -> cs.Result:
    """Simulate jobs with their invariants checked."""
    scheduling = cs.Scheduling(policy=policy, placement=placement)
    return cs.simulate(
        table, on, scheduling, recovery=recovery, node_events=events, check=True, **options
    )


def finishes(result: cs.Result) -> list[float]:
    return result.jobs["finish_s"].tolist()


def attempts(result: cs.Result, *columns: str) -> list[list[Any]]:
    assert result.attempts is not None
    return result.attempts[list(columns)].to_numpy().tolist()
