"""Metrics of the time that jobs lose to what they share: the network, and storage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy as np
import pandas as pd

from clustersim.analysis.metric import Metric
from clustersim.analysis.part import Part
from clustersim.array_types import Floats
from clustersim.simulation.metrics import network_loss, storage_loss

__all__ = ["METRICS", "network_s", "network_slowdown", "storage_s"]

Loss = Callable[[pd.DataFrame], float]


def network_s(part: Part) -> Floats:
    """Return the time that each measured job lost to the network, seconds."""
    return part.of_measured(part.run.network_s)


def storage_s(part: Part) -> Floats:
    """Return the time that each measured job lost to other jobs on the storage, seconds."""
    return part.of_measured(part.run.storage_s)


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


def _mean(part: Part, series: Callable[[Part], Floats]) -> float:
    values = series(part)
    return float(np.mean(values)) if len(values) else math.nan


def _loss_of_part(part: Part, column: str, loss: Loss) -> float:
    return _loss(part.attempts, column, loss)


def _loss(attempts: pd.DataFrame | None, column: str, loss: Loss) -> float:
    if attempts is None or column not in attempts:
        return 0.0
    return loss(attempts)


def _loss_by_pool(part: Part, column: str, loss: Loss) -> Mapping[str, float]:
    attempts = part.attempts
    names = part.result.utilisation["pool"].unique()
    if attempts is None:
        return {str(name): 0.0 for name in names}
    return {str(name): _loss(attempts[attempts["pool"] == name], column, loss) for name in names}


def _storage_utilisation(part: Part) -> float:
    """Return the mean utilisation of the storage system that is used most."""
    load = part.result.storage_load
    if load is None:
        return 0.0
    inside_s = load["end_s"].clip(part.begin_s, part.end_s)
    inside_s -= load["time_s"].clip(part.begin_s, part.end_s)
    used_s = (load["utilisation"] * inside_s).groupby(load["storage"], observed=True).sum()
    if not part.span_s > 0:
        return math.nan
    return min(1.0, float(used_s.max()) / part.span_s)  # rates have a tolerance


def _losses() -> Iterator[Metric]:
    """Yield the losses to the network and to the storage, as shares and by job."""
    for name, loss, series, of_what, because, without in (
        (
            "network",
            network_loss,
            network_s,
            "the network",
            "of the position of their nodes in the network and of other jobs on its links",
            "without a section `network`",
        ),
        (
            "storage",
            storage_loss,
            storage_s,
            "other jobs on the storage",
            "other jobs saved or loaded their state, too",
            "if jobs do not share storage",
        ),
    ):
        yield Metric(
            name=f"{name}_loss",
            label=f"share of time lost to {of_what}",
            definition=f"Accelerator-seconds that jobs lost because {because}, divided by all "
            "accelerator-seconds of the attempts that ended within the time interval; 0 "
            f"{without}.",
            compute=partial(_loss_of_part, column=f"{name}_s", loss=loss),
            by_pool=partial(_loss_by_pool, column=f"{name}_s", loss=loss),
            dimension="share",
            better="less",
            least=0.0,
            most=1.0,
            per_period=True,
            on_request=True,
            subject="work",
        )
        yield Metric(
            name=f"mean_{name}_s",
            label=f"mean time lost to {of_what}",
            definition=f"Mean time that the measured jobs lost because {because}; 0 {without}. "
            "NAME.GROUP is that of a job class.",
            compute=partial(_mean, series=series),
            of_jobs=(f"{name}_s", None),
            dimension="duration",
            better="less",
            least=0.0,
            per_period=True,
            on_request=True,
            subject="work",
        )


METRICS = (
    *_losses(),
    *_slowdowns(),
    Metric(
        name="storage_utilisation",
        label="utilisation of the storage",
        definition="Mean part in use of what shared storage gives to its clients: of its "
        "bandwidth, or of its metadata rate if more of this is in use. Of several systems, that of "
        "the busiest; 0 if jobs do not share storage.",
        compute=_storage_utilisation,
        dimension="share",
        least=0.0,
        most=1.0,
        per_period=True,
        on_request=True,
        subject="work",
    ),
)
