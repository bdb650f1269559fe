"""Metrics of the time that jobs lose to the network, and of their slowdown by it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from clustersim.analysis.metric import Metric
from clustersim.analysis.part import Part
from clustersim.array_types import Floats
from clustersim.simulation.metrics import network_loss

__all__ = ["METRICS", "network_s", "network_slowdown"]


def network_s(part: Part) -> Floats:
    """Return the time that each measured job lost to the network, seconds."""
    return part.of_measured(part.run.network_s)


def network_slowdown(part: Part) -> Floats:
    """Return the slowdown of each measured job that finished by the network."""
    return part.of_measured(part.run.network_slowdown)[part.finished]


def _slowdowns() -> Iterator[Metric]:
    for name, what, q in (("mean", "mean", None), ("p95", "95th percentile", 0.95)):
        of = "Mean" if q is None else "95th percentile"
        yield Metric(
            name=f"{name}_network_slowdown",
            label=f"{what} {'of ' if q else ''}network slowdown",
            definition=f"{of} of the network slowdown: the time for which a job held its "
            "accelerators, divided by that time without what it lost because of the position of "
            "its nodes in the network and of other jobs on its links; 1 without a section "
            "`network`. Only finished jobs are included. NAME.GROUP is that of a job class.",
            compute=partial(_slowdown_of, q=q),
            of_jobs=("network_slowdown", q),
            dimension="ratio",
            logarithmic=True,
            noun="slowdown",
            better="less",
            least=1.0,
            on_request=True,
            subject="waits",
        )


def _slowdown_of(part: Part, q: float | None) -> float:
    values = network_slowdown(part)
    if not len(values):
        return math.nan
    return float(values.mean() if q is None else np.quantile(values, q))


def _mean(part: Part) -> float:
    values = network_s(part)
    return float(np.mean(values)) if len(values) else math.nan


def _loss(attempts: pd.DataFrame | None) -> float:
    if attempts is None or "network_s" not in attempts:
        return 0.0
    return network_loss(attempts)


def _loss_by_pool(part: Part) -> Mapping[str, float]:
    attempts = part.attempts
    names = part.result.utilisation["pool"].unique()
    if attempts is None:
        return {str(name): 0.0 for name in names}
    return {str(name): _loss(attempts[attempts["pool"] == name]) for name in names}


METRICS = (
    Metric(
        name="network_loss",
        label="share of time lost to the network",
        definition="Accelerator-seconds that jobs lost because of the position of their nodes in "
        "the network and of other jobs on its links, divided by all accelerator-seconds of the "
        "attempts that ended within the time interval; 0 without a section `network`.",
        compute=lambda part: _loss(part.attempts),
        by_pool=_loss_by_pool,
        dimension="share",
        better="less",
        least=0.0,
        most=1.0,
        per_period=True,
        on_request=True,
        subject="work",
    ),
    Metric(
        name="mean_network_s",
        label="mean time lost to the network",
        definition="Mean time that the measured jobs lost because of the position of their nodes "
        "in the network and of other jobs on its links; 0 without a section `network`. "
        "NAME.GROUP is that of a job class.",
        compute=_mean,
        of_jobs=("network_s", None),
        dimension="duration",
        better="less",
        least=0.0,
        per_period=True,
        on_request=True,
        subject="work",
    ),
    *_slowdowns(),
)
