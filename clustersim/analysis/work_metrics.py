"""Work of a fleet in a time interval: useful work, utilisation, and losses to outages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from clustersim.analysis.metric import Metric
from clustersim.analysis.part import Part
from clustersim.calendar import DAY_S
from clustersim.simulation.metrics import (
    accelerator_seconds,
    ettr,
    lost_work,
    mean_utilisation,
    pool_utilisation,
)

__all__ = ["METRICS"]


def _rate(amount: float, span: float) -> float:
    return amount / span if span > 0 else float("nan")


def _useful_flops(part: Part) -> float:
    return _rate(float(part.done["flop"].sum()), part.span_s)


def _useful_flops_by_pool(part: Part) -> Mapping[str, float]:
    return {str(pool): _rate(own, part.span_s) for pool, own in part.done["flop"].items()}


def _tokens_per_day(part: Part) -> float:
    return _rate(float(part.done["token"].sum()), part.span_s / DAY_S)


def _jobs_done_per_day(part: Part) -> float:
    finish = part.result.jobs["finish_s"].to_numpy(dtype=np.float64)
    finished = int(((finish > part.begin_s) & (finish <= part.end_s)).sum())
    return _rate(finished, part.span_s / DAY_S)


def _utilisation(part: Part) -> float:
    return mean_utilisation(part.result.utilisation, begin_s=part.begin_s, end_s=part.end_s)


def _utilisation_by_pool(part: Part) -> Mapping[str, float]:
    return {
        pool: pool_utilisation(steps, begin_s=part.begin_s, end_s=part.end_s)
        for pool, steps in part.run.steps_by_pool.items()
    }


def _installed(steps: pd.DataFrame, part: Part) -> float:
    """Return the mean number of accelerators of a pool in the simulated part of the interval."""
    held = np.diff(np.clip(steps["time_s"].to_numpy(), part.begin_s, part.end_s))
    return _rate(float((held * steps["installed"].to_numpy()[:-1]).sum()), float(held.sum()))


def _installed_by_pool(part: Part) -> Mapping[str, float]:
    return {pool: _installed(steps, part) for pool, steps in part.run.steps_by_pool.items()}


def _availability(part: Part) -> float:
    """Return the share of installed accelerator-seconds in service, for jobs or for requests."""
    if part.result.outages is None:
        return 1.0
    use = part.result.utilisation.drop(columns="serving", errors="ignore")
    begin_s, end_s = part.begin_s, part.end_s
    there = accelerator_seconds(use, begin_s=begin_s, end_s=end_s)["available"].sum()
    installed = accelerator_seconds(use.drop(columns="out"), begin_s=begin_s, end_s=end_s)
    return _rate(float(there), float(installed["available"].sum()))


def _goodput() -> Iterator[Metric]:
    yield Metric(
        name="useful_flop_per_s",
        label="useful FLOP/s",
        definition="Goodput: model FLOPs per second of the work that is kept; work lost to "
        "failures is excluded. Jobs without a model contribute nothing.",
        compute=_useful_flops,
        by_pool=_useful_flops_by_pool,
        per_period=True,
        dimension="flop rate",
        better="more",
        least=0.0,
        subject="work",
    )
    yield Metric(
        name="tokens_per_day",
        label="useful tokens per day",
        definition="Goodput: tokens per day of the work that is kept. Jobs without a model "
        "contribute nothing.",
        compute=_tokens_per_day,
        per_period=True,
        dimension="count",
        unit="1/d",
        better="more",
        least=0.0,
        subject="work",
    )
    yield Metric(
        name="jobs_done_per_day",
        label="finished jobs per day",
        definition="Jobs that finish per day.",
        compute=_jobs_done_per_day,
        per_period=True,
        dimension="count",
        unit="1/d",
        better="more",
        least=0.0,
        subject="work",
    )


def _capacity() -> Iterator[Metric]:
    yield Metric(
        name="utilisation",
        label="utilisation",
        definition="Allocated divided by available accelerator-seconds (installed, not out of "
        "service, and not serving).",
        compute=_utilisation,
        by_pool=_utilisation_by_pool,
        per_period=True,
        dimension="share",
        better="more",
        least=0.0,
        most=1.0,
        subject="work",
    )
    yield Metric(
        name="accelerators",
        label="installed accelerators",
        definition="Time average of the installed accelerators.",
        compute=lambda part: float(np.sum(list(_installed_by_pool(part).values()))),
        by_pool=_installed_by_pool,
        per_period=True,
        dimension="count",
        least=0.0,
        subject="work",
    )


def _losses() -> Iterator[Metric]:
    yield Metric(
        name="ettr",
        label="effective training time ratio",
        definition="Accelerator-seconds of work that is kept, divided by all accelerator-seconds "
        "of the attempts that ended within the time interval (ETTR without waits; Kokolis et "
        "al., arXiv 2410.21680, section II-E); 1 without failures.",
        compute=lambda part: 1.0 if part.attempts is None else ettr(part.attempts),
        per_period=True,
        dimension="share",
        better="more",
        least=0.0,
        most=1.0,
        subject="work",
    )
    yield Metric(
        name="lost_work",
        label="share of lost work",
        definition="Accelerator-seconds of work that was lost, divided by all "
        "accelerator-seconds of the attempts that ended within the time interval; 0 without "
        "failures.",
        compute=lambda part: 0.0 if part.attempts is None else lost_work(part.attempts),
        per_period=True,
        dimension="share",
        better="less",
        least=0.0,
        most=1.0,
        subject="work",
    )
    yield Metric(
        name="availability",
        label="share of accelerators in service",
        definition="Share of the installed accelerator-seconds that are in service, for jobs or "
        "for requests.",
        compute=_availability,
        per_period=True,
        dimension="share",
        better="more",
        least=0.0,
        most=1.0,
        subject="work",
    )


METRICS = (*_goodput(), *_capacity(), *_losses())
