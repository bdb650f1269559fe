"""The answer card of a run: how long jobs wait, what this depends on, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.size_waits import ALL_SIZES
from clustersim.analysis.statistics import run_quantile_interval
from clustersim.analysis.submitted import Submitted
from clustersim.array_types import Floats
from clustersim.report.amounts import in_one_unit
from clustersim.report.page import Answer
from clustersim.report.run_tables import RunTables
from clustersim.report.spans import span
from clustersim.simulation.metrics import lost_work, mean_utilisation
from clustersim.simulation.result import Result
from clustersim.simulation.unfinished import can_never_run, waits_for_ever
from clustersim.units import counted, format_duration, format_percent

__all__ = ["jobs_in_words", "policy_of", "run_answer"]

_NEAR = 1.5
"""Recorded and simulated waits that differ by less than this factor count as similar."""
_DRAIN = 0.05
"""Share of the run after the last arrival from which on the card tells it apart."""
_LOWER = 0.01
"""Difference of the utilisations from which on it matters that the fleet runs empty."""
_ENOUGH_JOBS = 20
"""With fewer jobs of a size, their 95th percentile is almost their longest wait."""


def run_answer(result: Result, tables: RunTables) -> Answer:
    """Return the answer card of a run."""
    waits = tables.waits_by_size
    never = can_never_run(result.jobs) | waits_for_ever(result.jobs)
    if waits.empty or can_never_run(result.jobs).all():
        why = f": {result.jobs['reason'].value_counts().index[0]}" if never.any() else "."
        return Answer(
            f"No job can run{why}",
            next_steps=("Change the fleet or the jobs, and run again.",),
        )
    whole = waits.iloc[0].to_dict()
    use = _Use.of(result)
    until = " until the last job arrives" if use.drains else ""
    busy = f"jobs use {format_percent(use.arrivals, 0)} of the fleet's accelerator time{until}"
    jobs, waited = int(whole["jobs"]), _jobs_that_waited(whole)
    if whole["most_wait_s"] == 0:
        sentence = f"No job waits, and {busy}."
    elif _few_wait(whole):
        longest = _wait(float(whole["most_wait_s"]))
        rest = f"{waited} wait, at most {longest}" if waited > 1 else f"one job waits {longest}"
        sentence = f"{jobs - waited:,} of {jobs:,} jobs start at once; {rest}; {busy}."
    else:
        sentence = f"95 % of the jobs start within {_wait(whole['p95_wait_s'])}, and {busy}."
    if result.interrupted:
        sentence = f"Up to the interrupt: {sentence[:1].lower()}{sentence[1:]}"
    label, value, interval = _value(result, tables)
    return Answer(
        sentence,
        label,
        value,
        interval,
        tuple(_hinges(result, tables, int(never.sum()))),
        tuple(_next_steps(result, tables, int(never.sum()))),
    )


def _wait(seconds: float) -> str:
    return format_duration(seconds, whole=True)


@dataclass(frozen=True)
class _Use:
    """Utilisation of the fleet.

    Attributes
    ----------
    arrivals, whole : float
        From the first to the last arrival, and until the last job ends.
    last_s, end_s : float
        Time of the last arrival, and of the end of the last job.
    """

    arrivals: float
    whole: float
    last_s: float
    end_s: float

    @classmethod
    def of(cls, result: Result) -> _Use:
        submit_s = result.jobs["submit_s"]
        first_s, last_s = float(submit_s.min()), float(submit_s.max())
        whole = float(result.summary.iloc[0]["utilisation"])
        end_s = first_s + float(result.summary.iloc[0]["makespan_s"])
        if not (last_s > first_s and end_s > last_s):
            return cls(whole, whole, last_s, end_s)
        arrivals = mean_utilisation(result.utilisation, begin_s=first_s, end_s=last_s)
        return cls(float(arrivals), whole, last_s, end_s)

    @property
    def drains(self) -> bool:
        """Whether a considerable part of the run is after the last arrival."""
        late = self.end_s - self.last_s > _DRAIN * self.end_s
        return late and self.arrivals - self.whole > _LOWER


def _jobs_that_waited(whole: Mapping[Any, Any]) -> int:
    return round(float(whole["waited"]) * int(whole["jobs"]))


def _few_wait(whole: Mapping[Any, Any]) -> bool:
    """Return whether the 95th percentile of the wait is 0 although jobs wait."""
    return bool(whole["p95_wait_s"] == 0 and whole["most_wait_s"] > 0)


def _value(result: Result, tables: RunTables) -> tuple[str, str, str]:
    """Return label, value and interval of the 95th percentile of the wait.

    If most jobs start at once, the number is the longest wait instead.
    """
    whole = tables.waits_by_size.iloc[0].to_dict()
    p95, label = float(whole["p95_wait_s"]), "95th percentile of the wait"
    if "replay" in result.provenance:
        interval = "no interval: these are the jobs of the log, not a sample"
        if _few_wait(whole):
            return "longest wait", _wait(float(whole["most_wait_s"])), interval
        return label, _wait(p95), interval
    if _few_wait(whole):
        most = _wait(float(whole["most_wait_s"]))
        return "longest wait", most, "no 95 % interval: one run has one longest wait"
    _, low, high = run_quantile_interval(Submitted.of(result).wait_s, 0.95)
    own = span(p95, low, high, (0.0, math.inf))
    if own.kind == "unknown" or not (math.isfinite(low) and math.isfinite(high)):
        return label, _wait(p95), "no 95 % interval: too few independent jobs in this one run"
    (middle, low_text, high_text), unit = in_one_unit([p95, own.low, own.high], "duration")
    interval = own.sentence(lambda _low, _high: (low_text, f"{high_text} {unit}"))
    return label, f"{middle} {unit}", interval.replace("interval", "interval from this one run", 1)


def policy_of(provenance: Mapping[str, Any]) -> str:
    """Return the policy of a run, as its user wrote it; "" if it is unknown."""
    if "replay" in provenance:
        return str(provenance["replay"].get("policy") or "")
    scenario = provenance.get("scenario")
    scheduler = scenario.get("scheduler") if isinstance(scenario, Mapping) else None
    return str((scheduler or {}).get("policy") or "")


def jobs_in_words(size: str) -> str:
    """Return a range of job sizes in words.

    Examples
    --------
    >>> jobs_in_words("1"), jobs_in_words("9-16")
    ('jobs with 1 accelerator', 'jobs with 9 to 16 accelerators')
    """
    return f"jobs with {size.replace('-', ' to ')} accelerator{'' if size == '1' else 's'}"


def _hinges(result: Result, tables: RunTables, never: int) -> Iterator[str]:
    """Yield what the waits of a run depend on, the most important first."""
    waits, recorded = tables.waits_by_size, tables.recorded_waits
    if recorded is not None:
        row = recorded.iloc[0]
        ends = [float(row[f"{kind}_p95_wait_s"]) for kind in ("recorded", "simulated")]
        (old, new), unit = in_one_unit(ends, "duration")
        yield (
            f"Agreement with the log: the 95th percentile of the wait is {new} {unit} in the "
            f"simulation and {old} {unit} in the log ({counted(int(row['jobs']), 'job')} compared)."
        )
    waiting = int(waits.iloc[0]["waiting"])
    if waiting:
        yield (
            f"The end of the run: {waiting:,} of {counted(int(waits.iloc[0]['jobs']), 'job')} had "
            "not started; their waits count until then and are lower bounds."
        )
    if never:
        yield f"Jobs that are left out: {counted(never, 'job')} can never run."
    sizes = waits[(waits["size"] != ALL_SIZES) & (waits["jobs"] >= _ENOUGH_JOBS)]
    few = waits[(waits["size"] != ALL_SIZES) & (waits["jobs"] < _ENOUGH_JOBS)]
    if _few_wait(waits.iloc[0].to_dict()):
        late = waits[(waits["size"] != ALL_SIZES) & (waits["most_wait_s"] > 0)]
        named = [
            f"{_jobs_that_waited(row)} of {counted(int(row['jobs']), 'job')} with "
            f"{jobs_in_words(str(row['size'])).partition(' with ')[2]}"
            for row in late.to_dict("records")
        ]
        yield f"Jobs that wait: {', '.join(named)}."
    elif len(few) and len(sizes) > 1:
        names = ", ".join(map(str, few["size"]))
        yield (
            f"Job sizes with less than {_ENOUGH_JOBS} jobs ({names} accelerators) are not compared."
        )
    if len(sizes) > 1 and sizes["p95_wait_s"].nunique() > 1:
        most, least = _row(sizes, "p95_wait_s", np.argmax), _row(sizes, "p95_wait_s", np.argmin)
        share = format_percent(float(most["jobs"] / waits.iloc[0]["jobs"]))
        (high, low), unit = in_one_unit([most["p95_wait_s"], least["p95_wait_s"]], "duration")
        yield (
            f"Job size: the 95th percentile of the wait is {high} {unit} for "
            f"{jobs_in_words(str(most['size']))} ({share} of the jobs) and {low} {unit} for "
            f"{jobs_in_words(str(least['size']))}."
        )
    use = _Use.of(result)
    if use.drains:
        yield (
            f"The end of the run: the last job arrives after {_wait(use.last_s)} and the last one "
            f"ends after {_wait(use.end_s)}. Until the end, jobs use "
            f"{format_percent(use.whole, 0)} of the accelerator time, because the fleet runs empty."
        )
    pools = result.summary[result.summary["kind"] == "pool"]
    if len(pools) > 1:
        busiest = _row(pools, "utilisation", np.argmax)
        idlest = _row(pools, "utilisation", np.argmin)
        yield (
            f"The fleet: pool {busiest['scope']} is used most "
            f"({format_percent(float(busiest['utilisation']), 0)}) and pool {idlest['scope']} "
            f"least ({format_percent(float(idlest['utilisation']), 0)})"
            f"{', until the end of the run' if use.drains else ''}."
        )
    if result.attempts is not None and len(result.attempts):
        lost = lost_work(result.attempts)
        if lost > 0:
            yield f"Failures: {format_percent(lost)} of the accelerator time is lost work."
    longest = _row(tables.queue_length, "jobs", np.argmax)
    if longest["jobs"] > 1:
        when = f"after {_wait(float(longest['time_s']))}"
        if result.calendar.is_dated:
            when = f"on {result.calendar.text(float(longest['time_s']))}"
        yield f"Bursts: the queue is longest {when}, with {counted(int(longest['jobs']), 'job')}."


def _row(table: pd.DataFrame, column: str, choose: Callable[[Floats], Any]) -> dict[Any, Any]:
    """Return the row of a table that `choose` picks from a column of numbers."""
    return table.iloc[int(choose(table[column].to_numpy(dtype=np.float64)))].to_dict()


def _next_steps(result: Result, tables: RunTables, never: int) -> Iterator[str]:
    """Yield what to do next."""
    if result.interrupted:
        yield "Run again without an interrupt: the numbers cover only a part of the run."
    if never:
        yield "Read why jobs can never run (below), and change the fleet or these jobs."
    recorded = tables.recorded_waits
    if recorded is not None:
        old, new = (float(recorded.iloc[0][f"{kind}_p95_wait_s"])
                    for kind in ("recorded", "simulated"))  # fmt: skip
        if max(old, new) > _NEAR * max(min(old, new), 1.0):
            yield (
                "Find out why simulated and recorded waits differ (size of the fleet, policy, "
                "priorities and outages of the site) before you use this replay for a decision."
            )
    policy = policy_of(result.provenance)
    if "replay" in result.provenance:
        other = "easy" if policy != "easy" else "fcfs"
        yield f"Replay the log with another policy (--policy {other}), and compare the waits."
    else:
        yield (
            "This is one sample of a random process: run a study (clustersim study) with several "
            "replications for intervals between runs, and to compare policies or fleets."
        )
