"""Metrics of what a policy does: waits, fairness, preemptions, deadlines, free accelerators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from clustersim.analysis.metric import Metric
from clustersim.analysis.on_request import shared_losses
from clustersim.analysis.part import Part
from clustersim.analysis.policy.fairness import accelerator_s_of_jobs, jains_index, user_index
from clustersim.analysis.policy.preemption import CAUSES, lost_share
from clustersim.array_types import Floats
from clustersim.simulation.metrics import accelerator_seconds

__all__ = ["METRICS", "SERIES"]

Series = Callable[[Part], Floats]
_SHARE: dict[str, Any] = {"dimension": "share", "least": 0.0, "most": 1.0}
_RATIO: dict[str, Any] = {
    "dimension": "ratio", "logarithmic": True, "least": 0.0, "better": "less",
    "on_request": True, "subject": "fairness",
}  # fmt: skip
_FREE: dict[str, Any] = {"per_period": True, "on_request": True, "subject": "free"}


def _rho(part: Part) -> Floats:
    values = part.of_measured(part.run.finish_time_fairness)
    return values[~np.isnan(values)]


def _preemptions(part: Part) -> Floats:
    return part.of_measured(part.run.preemptions)


def _met(part: Part) -> Floats:
    values = part.of_measured(part.run.met_deadline)
    return values[~np.isnan(values)]


def _eligible_wait(part: Part) -> Floats:
    return part.eligible_wait_s


def _over(series: Series, statistic: Callable[[Floats], Any]) -> Callable[[Part], float]:
    def compute(part: Part) -> float:
        values = series(part)
        return float(statistic(values)) if len(values) else math.nan

    return compute


def _eligible_waits() -> Iterator[Metric]:
    eligible = (
        "time from when a job is eligible to its first start. A job is eligible (as in Slurm) once "
        "it is submitted, the jobs for which it waits have ended and its earliest time has come "
        "(after_any, after_ok, not_before_s); limits, quotas and budgets are part of this wait. "
        "Without such columns it is the wait. For a job that had not started when the run stopped, "
        "the wait until then counts, 0 if it was not eligible."
    )
    for name, what, q, statistic in (
        ("mean", "mean wait", None, np.mean),
        ("p95", "95th percentile of wait", 0.95, partial(np.quantile, q=0.95)),
    ):
        yield Metric(
            name=f"{name}_eligible_wait_s",
            label=f"{what} since eligible",
            definition=f"{what.partition(' wait')[0].removesuffix(' of').capitalize()} of the "
            f"{eligible}",
            compute=_over(_eligible_wait, statistic),
            of_jobs=("eligible_wait_s", q),
            service=True,
            dimension="duration",
            noun="wait",
            least=0.0,
            better="less",
            on_request=True,
            subject="waits",
        )


def _fairness() -> Iterator[Metric]:
    rho = (
        "finish-time fairness rho (Mahajan et al., Themis, NSDI 2020): the time from submission to "
        "finish, divided by the time that the job would have taken alone on 1/n of the "
        "accelerators in service, where n is the mean number of jobs in the system between its "
        "submission and its finish. As in the paper, time counts from the submission, also while "
        "the job waits for others. Alone, its kept work takes as long as it took here, and longer "
        "by the factor by which its gang is larger than this share. At most 1 is fair. Only "
        "finished jobs with work are included."
    )
    for name, what, q, statistic in (
        ("mean", "mean", None, np.mean),
        ("p95", "95th percentile of", 0.95, partial(np.quantile, q=0.95)),
    ):
        yield Metric(
            name=f"{name}_finish_time_fairness",
            label=f"{what} finish-time fairness",
            definition=f"{what.removesuffix(' of').capitalize()} of the {rho}",
            compute=_over(_rho, statistic),
            of_jobs=("finish_time_fairness", q),
            service=True,
            noun="finish-time fairness",
            **_RATIO,
        )
    yield Metric(
        name="max_finish_time_fairness",
        label="largest finish-time fairness",
        definition=f"Largest {rho}",
        compute=_over(_rho, np.max),
        **_RATIO,
    )
    yield Metric(
        name="jains_index",
        label="Jain's index over users",
        definition="Jain's index of fairness (Jain, Chiu and Hawe, DEC TR-301, 1984) of the "
        "accelerator-seconds that each user held in the time interval: the square of the sum, "
        "divided by the number of users times the sum of the squares. It is 1 if all users got "
        "the same, and 1/n if one of n got everything. Users are those with a job that waited or "
        "ran in the interval; NaN if jobs have no column user.",
        compute=_jain,
        per_period=True,
        better="more",
        on_request=True,
        subject="fairness",
        **_SHARE,
    )


def _jain(part: Part) -> float:
    index, names = user_index(part.result.jobs)
    held, present = accelerator_s_of_jobs(part.result, part.begin_s, part.end_s)
    own = index >= 0
    there = np.bincount(index[own & present], minlength=len(names)) > 0
    return jains_index(np.bincount(index[own], held[own], minlength=len(names))[there])


def _preempted() -> Iterator[Metric]:
    yield Metric(
        name="preemptions_per_job",
        label="preemptions per job",
        definition="Mean number of times that the policy stopped a measured job: preempted "
        "(saved, requeued or suspended) or cancelled it.",
        compute=_over(_preemptions, np.mean),
        of_jobs=("preemptions", None),
        dimension="ratio",
        better="less",
        least=0.0,
        per_period=True,
        on_request=True,
        subject="fairness",
    )
    yield Metric(
        name="jobs_preempted",
        label="share of jobs preempted",
        definition="Share of the measured jobs that the policy stopped at least once.",
        compute=_over(_preemptions, lambda own: np.mean(own > 0)),
        better="less",
        per_period=True,
        on_request=True,
        subject="fairness",
        **_SHARE,
    )
    causes = {
        "node": ("outages of nodes", "an outage of a node stopped"),
        "requeued": ("preemptions", "the policy preempted (requeued, saved or suspended)"),
        "cancelled": ("cancellations", "the policy cancelled"),
        "network": (
            "faults of the network",
            "a fault stopped that cut a node off from the network",
        ),
    }
    for cause in CAUSES:
        what, stopped = causes[cause]
        yield Metric(
            name=f"lost_work_{cause}",
            label=f"share of work lost to {what}",
            definition=f"Accelerator-seconds of work lost in attempts that {stopped}, divided by "
            "all accelerator-seconds of the attempts that ended within the time interval. The "
            "four causes add up to lost_work.",
            compute=partial(_lost, cause=cause),
            better="less",
            per_period=True,
            on_request=True,
            subject="fairness",
            **_SHARE,
        )


def _lost(part: Part, cause: str) -> float:
    return lost_share(part.attempts, cause)


def _deadlines() -> Iterator[Metric]:
    yield Metric(
        name="slo_attainment",
        label="SLO attainment",
        definition="Share of the measured jobs with a deadline that ended by it: the time "
        "deadline_s, or slo_s seconds after the submission, columns of the jobs table; with both, "
        "the earlier one. A job that had not ended when the run stopped before its deadline is "
        "left out. NaN without deadlines. NAME.GROUP is that of a job class.",
        compute=_over(_met, np.mean),
        of_jobs=("met_deadline", None),
        better="more",
        per_period=True,
        on_request=True,
        subject="fairness",
        **_SHARE,
    )


def _drained(part: Part, heroes: bool) -> float:
    table = part.result.windows
    if table is None:
        return 0.0
    begin_s = table["begin_s"].fillna(math.inf)
    own = table[((table["kind"] == "hero") == heroes) & (begin_s >= part.begin_s)]
    own = own[own["begin_s"] < part.end_s]
    available = sum(_available(part).values())
    return float(own["drained_accelerator_s"].sum()) / available if available > 0 else math.nan


def _kept_free() -> Iterator[Metric]:
    drained = (
        "Accelerator-seconds that were free on the nodes of {what} while others waited (at each "
        "time at most what those jobs ask for that would run past {past}), divided by the "
        "accelerator-seconds available; of those that {begin} in the time interval. 0 without "
        "windows in the scenario."
    )
    yield Metric(
        name="drained_for_windows",
        label="share of accelerator time drained for windows",
        definition=drained.format(
            what="maintenance windows and reservations before they begin",
            past="the beginning",
            begin="begin",
        ),
        compute=partial(_drained, heroes=False),
        better="less",
        **_SHARE,
        **_FREE,
    )
    yield Metric(
        name="drained_for_heroes",
        label="share of accelerator time drained for hero jobs",
        definition=drained.format(
            what="hero jobs between their submission and their start",
            past="the start",
            begin="start",
        ),
        compute=partial(_drained, heroes=True),
        better="less",
        **_SHARE,
        **_FREE,
    )


def _available(part: Part) -> dict[str, float]:
    use = accelerator_seconds(part.result.utilisation, begin_s=part.begin_s, end_s=part.end_s)
    return {str(pool): float(value) for pool, value in use["available"].items()}


def _shares(part: Part, kind: str, of: str = "") -> dict[str, float]:
    """Return a kind of free accelerators by pool, as a share of those available or of another."""
    found = part.run.free_while_waiting
    own = found.integrals(kind, part.begin_s, part.end_s)
    whole = found.integrals(of, part.begin_s, part.end_s) if of else _available(part)
    return {pool: own[pool] / whole[pool] if whole[pool] > 0 else math.nan for pool in own}


def _share(part: Part, kind: str, of: str = "") -> float:
    found = part.run.free_while_waiting
    own = sum(found.integrals(kind, part.begin_s, part.end_s).values())
    whole = found.integrals(of, part.begin_s, part.end_s) if of else _available(part)
    total = sum(whole.values())
    return own / total if total > 0 else math.nan


def _largest_by_pool(part: Part) -> Mapping[str, float]:
    found = part.run.free_while_waiting.integrals("largest", part.begin_s, part.end_s)
    held_s = min(part.end_s, part.run.submitted.end_s) - part.begin_s
    return {pool: own / held_s if held_s > 0 else math.nan for pool, own in found.items()}


def _largest(part: Part) -> float:
    run = part.run.free_while_waiting
    most = np.maximum.reduce([own["largest"] for own in run.by_pool.values()])
    held_s = np.diff(np.clip(run.time_s, part.begin_s, part.end_s))
    total_s = float(held_s.sum())
    return float((held_s * most).sum()) / total_s if total_s > 0 else math.nan


def _free() -> Iterator[Metric]:
    fits = (
        "A job fits if it is not larger than the largest gang that could start, see largest_gang."
    )
    for name, label, kind, of, definition in (
        (
            "head_of_line_blocking",
            "share of accelerator time blocked by the head of the queue",
            "blocked",
            "",
            "Accelerator-seconds that were free in pools where a waiting job fitted while the "
            "first job of the queue (the earliest submitted, by virtual cluster with nodes of its "
            f"own) fitted nowhere, divided by those available. {fits}",
        ),
        (
            "fragmentation",
            "share of accelerator time free in fragments",
            "unusable",
            "",
            "Accelerator-seconds that were free in pools where no waiting job fitted, although a "
            "waiting job needed no more accelerators than were free, divided by those available. "
            f"{fits}",
        ),
        (
            "fragmentation_rate",
            "fragmentation rate",
            "stranded",
            "free",
            "Fragmentation of Weng et al. (FGD, USENIX ATC 2023) for whole accelerators, divided "
            "by the free accelerators: the expected share of the free accelerators on nodes that "
            "have fewer of them than a job needs there, for a job drawn from all jobs of the run; "
            "a gang larger than a node needs entire nodes. 0 if the placement tracks no nodes.",
        ),
    ):
        yield Metric(
            name=name,
            label=label,
            definition=definition,
            compute=partial(_share, kind=kind, of=of),
            by_pool=partial(_shares, kind=kind, of=of),
            better="less",
            **_SHARE,
            **_FREE,
        )
    yield Metric(
        name="largest_gang",
        label="largest gang that could start",
        definition="Time average of the largest gang that could start: entirely free nodes and, "
        "for a remainder, the freest other node (an upper bound with buddy_cells); "
        "all free accelerators of a pool (of a virtual cluster's nodes) with the placements spread "
        "and pooled, and with one of your own.",
        compute=_largest,
        by_pool=_largest_by_pool,
        dimension="count",
        better="more",
        least=0.0,
        **_FREE,
    )


def _split_of(part: Part, name: str) -> float:
    return float(getattr(part.goodput.split(), name))


def _split_by_pool(part: Part, name: str) -> Mapping[str, float]:
    work = part.goodput
    pools = enumerate(work.of.pools)
    return {pool: float(getattr(work.split(pool=at), name)) for at, pool in pools}


def _goodput() -> Iterator[Metric]:
    weighted = " An accelerator counts with its peak FLOP/s."
    mpg = "ML productivity goodput, Wongpanich et al., arXiv 2502.06982"
    for name, label, definition in (
        (
            "scheduling",
            "scheduling goodput",
            f"Share of the capacity that is allocated to whole gangs ({mpg}). The capacity is the "
            f"accelerators in service that do not serve requests.{weighted}",
        ),
        (
            "runtime",
            "runtime goodput",
            "Share of the allocated time that makes progress that is kept, without lost work, "
            "checkpoints, restarts, slow nodes and waits for the network and the storage "
            f"({mpg}).{weighted}",
        ),
        (
            "program",
            "program goodput",
            "Model FLOPs of the kept progress, divided by the peak FLOPs of the accelerators in "
            f"that time: the MFU ({mpg}). Only jobs with a model are included; NaN if the peak of "
            "a chip is unknown.",
        ),
        (
            "goodput",
            "goodput",
            f"Product of scheduling, runtime and program goodput ({mpg}): if all jobs have a "
            "model, the useful FLOP/s as a share of the peak FLOP/s in service.",
        ),
    ):
        yield Metric(
            name=name if name == "goodput" else f"{name}_goodput",
            label=label,
            definition=definition,
            compute=partial(_split_of, name=name),
            by_pool=partial(_split_by_pool, name=name),
            better="more",
            **_SHARE,
            **_FREE,
        )


SERIES: Mapping[str, Series] = MappingProxyType(
    {
        "eligible_wait_s": _eligible_wait,
        "finish_time_fairness": _rho,
        "preemptions": _preemptions,
        "met_deadline": _met,
        "network_s": shared_losses.network_s,
        "storage_s": shared_losses.storage_s,
        "network_slowdown": shared_losses.network_slowdown,
    }
)
"""Quantities of jobs whose distributions are kept if a metric of them is asked for."""

METRICS = (
    *_eligible_waits(),
    *_fairness(),
    *_preempted(),
    *_deadlines(),
    *_free(),
    *_goodput(),
    *_kept_free(),
    *shared_losses.METRICS,
)
