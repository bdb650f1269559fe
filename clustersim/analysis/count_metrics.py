"""Metrics of the offered and measured jobs, and of the steady state of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from clustersim.analysis.cost_metrics import UNIT_COSTS
from clustersim.analysis.metric import Metric
from clustersim.analysis.part import Part
from clustersim.array_types import Floats
from clustersim.calendar import DAY_S, HOUR_S
from clustersim.simulation.metrics import accelerator_seconds, served

__all__ = ["METRICS"]


def _served(part: Part) -> float:
    if part.result.serving is None:
        return 1.0
    return served(part.result.serving, begin_s=part.begin_s, end_s=part.end_s)


def _lent_hours_per_day(part: Part) -> float:
    """Return the accelerator-hours per day that jobs used in pools that lend their chips."""
    days = part.span_s / DAY_S
    if days <= 0:
        return math.nan
    serving, lent_s = part.result.serving, 0.0
    if serving is not None:
        lends = serving.loc[serving["lends"], "pool"].unique()
        use = accelerator_seconds(part.result.utilisation, begin_s=part.begin_s, end_s=part.end_s)
        lent_s = float(use.loc[[pool for pool in use.index if pool in lends], "allocated"].sum())
    return lent_s / HOUR_S / days


def _jobs_per_day(part: Part) -> float:
    """Return the submission rate of the workload model or the mean rate of a log (1/d)."""
    stated = part.result.provenance.get("arrival_rate_per_s")
    if stated is not None:
        return DAY_S * float(stated)
    submit = part.result.jobs["submit_s"]
    span = float(submit.iloc[-1] - submit.iloc[0])
    return DAY_S * ((len(submit) - 1) / span if span > 0 else math.nan)


def _work_hours_per_day(part: Part) -> float:
    days = part.span_s / DAY_S
    work = float(np.nansum(part.run.submitted.work[part.chosen]))
    return work / HOUR_S / days if days > 0 else math.nan


def _makespan_s(part: Part) -> float:
    jobs = part.run.submitted
    return float(np.nanmax(jobs.finish_s, initial=jobs.end_s) - jobs.submit_s[0])


def _censored(part: Part) -> float:
    return float(part.waits_still.mean()) if len(part.waits_still) else math.nan


def _work(part: Part) -> Floats:
    """Return the work of each submitted job; jobs that never ran have the mean run time."""
    jobs = part.run.submitted
    ran = np.isfinite(jobs.start_s)
    mean_held = float(jobs.held_s[ran].mean()) if ran.any() else 0.0
    return np.asarray(jobs.n_accelerators * np.where(ran, jobs.held_s, mean_held) * jobs.runnable)


def _waiting_work(part: Part, work: Floats, at_s: float) -> float:
    """Return the work of the jobs that wait for their first start at a time."""
    jobs = part.run.submitted
    start_s = np.where(np.isfinite(jobs.start_s), jobs.start_s, np.inf)
    return float(work[(jobs.submit_s <= at_s) & (start_s > at_s)].sum())


def _backlog_growth(part: Part) -> float:
    """Return the growth of the waiting work as a share of the work that arrived in the window."""
    if part.run.of_log:
        return math.nan
    jobs, work = part.run.submitted, _work(part)
    arrived = float(work[(jobs.submit_s > part.begin_s) & (jobs.submit_s <= part.end_s)].sum())
    grown = _waiting_work(part, work, part.end_s) - _waiting_work(part, work, part.begin_s)
    return grown / arrived if arrived > 0 else 0.0


def _of_log(name: str, part: Part) -> float:
    return float(part.result.provenance.get("log_blocks", {}).get(name, math.nan))


def _backlog_at_end(part: Part) -> float:
    """Return the work that waits at the last submission as a share of all submitted work."""
    work = _work(part)
    total = float(work.sum())
    at_s = float(part.run.submitted.submit_s[-1])
    return _waiting_work(part, work, at_s) / total if total > 0 else 0.0


def _offers() -> Iterator[Metric]:
    yield Metric(
        name="served",
        label="served share of the demand",
        definition="Accelerator-seconds that served requests, divided by the accelerator-seconds "
        "that services needed; 1 without services.",
        compute=_served,
        dimension="share",
        better="more",
        least=0.0,
        most=1.0,
        subject="work",
    )
    yield Metric(
        name="lent_accelerator_hours_per_day",
        label="accelerator-hours per day of jobs in lending pools",
        definition="Accelerator-hours per day that jobs held in pools that lend the accelerators "
        "of services.",
        compute=_lent_hours_per_day,
        dimension="count",
        unit="h/d",
        better="more",
        least=0.0,
        subject="work",
    )
    yield Metric(
        name="jobs_per_day",
        label="offered jobs per day",
        definition="Submission rate of the workload model, or of the log from its first to its "
        "last job.",
        compute=_jobs_per_day,
        dimension="count",
        unit="1/d",
        better="more",
        least=0.0,
        constant=True,
        subject="counts",
    )
    yield Metric(
        name="accelerator_hours_per_day",
        label="accelerator-hours of work per day",
        definition="Accelerator-hours per day that the measured jobs held, in all their attempts.",
        compute=_work_hours_per_day,
        dimension="count",
        unit="h/d",
        better="more",
        least=0.0,
        subject="work",
    )


def _counts() -> Iterator[Metric]:
    yield Metric(
        name="makespan_s",
        label="makespan",
        definition="Time from the first submission to the end of the run.",
        compute=_makespan_s,
        dimension="duration",
        better="less",
        least=0.0,
        subject="counts",
    )
    yield Metric(
        name="jobs_submitted",
        label="jobs submitted",
        definition="Number of jobs submitted before the run stopped.",
        compute=lambda part: float(len(part.run.submitted.submit_s)),
        dimension="count",
        least=0.0,
        subject="counts",
    )
    yield Metric(
        name="jobs",
        label="measured jobs",
        definition="Number of jobs within the window, excluding jobs that can never run.",
        compute=lambda part: float(part.chosen.sum()),
        dimension="count",
        least=0.0,
        subject="counts",
    )
    yield Metric(
        name="warm_up_jobs",
        label="warm-up jobs",
        definition="Number of jobs excluded as warm-up.",
        compute=lambda part: float(part.first),
        dimension="count",
        least=0.0,
        subject="counts",
    )
    yield Metric(
        name="warm_up_reached",
        label="steady state found",
        definition="1 if a steady state was found or the window sets the warm-up, else 0.",
        compute=lambda part: float(part.warm_up_reached),
        unit="1",
        least=0.0,
        most=1.0,
        subject="counts",
    )
    yield Metric(
        name="never_runnable",
        label="jobs that can never run",
        definition="Number of jobs within the window that can never run on this fleet.",
        compute=lambda part: float((~part.run.submitted.runnable[part.first : part.last]).sum()),
        dimension="count",
        least=0.0,
        subject="counts",
    )


def _left_at_the_horizon() -> Iterator[Metric]:
    yield Metric(
        name="censored",
        label="share of measured jobs not started at the horizon",
        definition="Share of the measured jobs that had not started when the run stopped.",
        compute=_censored,
        per_period=True,
        dimension="share",
        least=0.0,
        most=1.0,
        subject="counts",
    )
    yield Metric(
        name="unfinished",
        label="share of measured jobs not finished at the horizon",
        definition="Share of the measured jobs that had not finished when the run stopped.",
        compute=lambda part: float(np.isnan(part.run.submitted.finish_s[part.chosen]).mean()),
        dimension="share",
        least=0.0,
        most=1.0,
        subject="counts",
    )
    yield Metric(
        name="backlog_growth",
        label="backlog growth",
        definition="Work waiting at the end of the window minus work waiting at its start, divided "
        "by the work that arrived in between. A point above 2 % is overloaded. NaN for a log, "
        "which has no steady state.",
        compute=_backlog_growth,
        dimension="share",
        better="less",
        subject="counts",
    )


def _end() -> Iterator[Metric]:
    yield Metric(
        name="backlog_at_end",
        label="share of the work that waits at the end",
        definition="Work of the jobs that wait when the last job is submitted, divided by the work "
        "of all submitted jobs. If it is considerable, a longer log would show other waits.",
        compute=_backlog_at_end,
        dimension="share",
        better="less",
        least=0.0,
        most=1.0,
        subject="counts",
    )


def _log() -> Iterator[Metric]:
    for name, key, label, definition in (
        (
            "log_blocks",
            "count",
            "blocks of the log",
            "Number of complete weeks or days of the log from which replications draw another "
            "period; 0 if it is not drawn again, NaN without a log.",
        ),
        (
            "log_classes",
            "classes",
            "classes of blocks of the log",
            "Number of classes of these blocks, for example the seven days of the week: a block is "
            "replaced by one of its class.",
        ),
    ):
        yield Metric(
            name=name,
            label=label,
            definition=definition,
            compute=partial(_of_log, key),
            dimension="count",
            least=0.0,
            constant=True,
            subject="counts",
        )


def _steady_state() -> Iterator[Metric]:
    yield Metric(
        name="relaxation_times",
        label="measured relaxation times",
        definition="Length of the window in relaxation times of the queue: the time after which it "
        "has forgotten its past. With few of them, longer runs would show other waits. NaN for a "
        "log or a workload that changes with time.",
        compute=lambda part: part.relaxation_times,
        unit="relaxation times",
        least=0.0,
        subject="counts",
    )


METRICS = (
    *_offers(),
    *UNIT_COSTS,
    *_counts(),
    *_left_at_the_horizon(),
    *_steady_state(),
    *_end(),
    *_log(),
)
