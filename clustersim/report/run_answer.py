"""The answer card of a run: how long jobs wait, what this depends on, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.size_waits import ALL_SIZES, ENOUGH_JOBS
from clustersim.analysis.statistics import run_quantile_interval
from clustersim.analysis.submitted import Submitted
from clustersim.array_types import Bools, Floats
from clustersim.report.amounts import durations_text, in_one_unit
from clustersim.report.of_run.fleet import offered_load_text
from clustersim.report.of_run.idle import idle_text
from clustersim.report.of_run.network_cost import NetworkCost
from clustersim.report.page import Answer
from clustersim.report.run_tables import RunTables
from clustersim.report.spans import span
from clustersim.simulation.metrics import accelerator_seconds, lost_work, mean_utilisation
from clustersim.simulation.queue_length import idle_while_waiting
from clustersim.simulation.result import Result
from clustersim.simulation.unfinished import can_never_run, cancelled, waits_for_ever
from clustersim.units import capital, counted, format_duration, format_percent

__all__ = ["UsePeriod", "jobs_in_words", "policy_of", "run_answer"]

_NEAR = 1.5
"""Recorded and simulated waits that differ by less than this factor count as similar."""
_DRAIN = 0.05
"""Share of the run after the last arrival from which on the card tells it apart."""
_LOWER = 0.01
"""Difference of the utilisations from which on it matters when the utilisation ends."""
_ARRIVALS = 0.5
"""If jobs arrive during at least this share of the run, its utilisation is that of this time."""
_NO_WAIT = "No job waits"
_MANY_JOBS = 200
"""With fewer jobs, their number and the wait of one of them are stated, because a percentile lies
between two distant waits."""


def run_answer(result: Result, tables: RunTables) -> Answer:
    """Return the answer card of a run."""
    waits = tables.waits_by_size
    never = can_never_run(result.jobs) | waits_for_ever(result.jobs)
    if can_never_run(result.jobs).all():
        why = str(result.jobs["reason"].value_counts().index[0]).rstrip(".")
        return Answer(
            f"No job can run: {why}.",
            next_steps=("Change the fleet or the jobs, and run again.",),
        )
    if waits.empty:
        return _too_early(result, never)
    use = UsePeriod.of(result)
    busy = f"jobs use {format_percent(use.share, 0)} of the fleet's accelerator time {use.until}"
    waiting = _waits_sentence(result, waits.iloc[0].to_dict())
    joined = f", and {busy}" if waiting == _NO_WAIT else f". {capital(busy)}"
    network = NetworkCost.of(result)
    sentence = f"{network.sentence}{_cancelled(result)}{waiting}{joined}.{_waits_again(result)}"
    if result.interrupted:
        sentence = f"Up to the interrupt: {sentence[:1].lower()}{sentence[1:]}"
    label, value, interval = _value(result, tables)
    return Answer(
        sentence,
        label,
        value,
        interval,
        tuple(filter(None, [network.hinges_on, *_hinges(result, tables, use, int(never.sum()))])),
        tuple(_next_steps(result, tables, int(never.sum()), network.next_step)),
    )


def _too_early(result: Result, never: Bools) -> Answer:
    """Return the answer of a run that ends before a job that can run is submitted."""
    end_s = float(result.provenance["simulated_s"])
    end, first = durations_text(end_s, float(result.jobs.loc[~never, "submit_s"].min()))
    which = " that can run" if never.any() else ""
    return Answer(
        f"No job{which} is submitted before the run ends (after {end}); the first one is submitted "
        f"after {first}.",
        next_steps=("Extend the horizon, and run again.",),
    )


def _waits_again(result: Result) -> str:
    """Return how long jobs wait over all attempts, if the policy preempts some; else empty."""
    if "preemptions" not in result.jobs:
        return ""
    jobs = result.jobs
    count = int((jobs["preemptions"] > 0).sum())
    mean_s = float(jobs.loc[jobs["start_s"].notna(), "total_wait_s"].mean())
    return (
        f" These are waits until the first start: the policy preempts {counted(count, 'job')}, and "
        f"the mean wait over all attempts is {_wait(mean_s)}."
    )


def _cancelled(result: Result) -> str:
    """Return how many jobs the policy cancelled, so that they never finish; "" if none."""
    jobs, gone = len(result.jobs), int(cancelled(result.jobs).sum())
    if not gone:
        return ""
    never, them = ("finishes", "it") if gone == 1 else ("finish", "them")
    return f"{gone:,} of {counted(jobs, 'job')} never {never}: the policy cancels {them}. "


def _wait(seconds: float) -> str:
    return format_duration(seconds, whole=True)


def _waits_sentence(result: Result, whole: Mapping[Any, Any]) -> str:
    """Return how many jobs start at once, how many within which wait, and the longest wait."""
    p95, most = float(whole["p95_wait_s"]), float(whole["most_wait_s"])
    jobs, started = int(whole["jobs"]), Submitted.of(result)
    if most == 0:
        return _NO_WAIT
    wait_s = started.wait_s[np.isfinite(started.start_s)]
    once, within = int((wait_s == 0).sum()), int((wait_s <= p95).sum())
    within_p95, at_most = durations_text(p95, most)
    longest = f"the longest waits {at_most}"
    if within <= once:
        rest = jobs - once
        if once == 0:
            return f"None of {counted(jobs, 'job')} starts within {within_p95}; {longest}"
        waits = "one job waits" if rest == 1 else f"{rest:,} wait, at most"
        return f"{_of_jobs(once, jobs)} at once; {waits} {_wait(most)}"
    if within == jobs:
        longest = ""
    if jobs < _MANY_JOBS:
        reached_s = float(wait_s[wait_s <= p95].max())
        within_p95, at_most = durations_text(reached_s, most)
        longest = f"the longest waits {at_most}" if longest else ""
    first = f"{_of_jobs(once, jobs)} at once and " if once else ""
    if jobs < _MANY_JOBS:
        then = f"{within:,}" if once else _of_jobs(within, jobs)
    else:
        share = format_percent(within / jobs, 0)
        then = f"{share} within" if once else f"{share} of the jobs start within"
        first = f"{format_percent(once / jobs, 0)} of the jobs start at once and " if once else ""
        return f"{first}{then} {within_p95}{'; ' * bool(longest)}{longest}"
    return f"{first}{then} within {within_p95}{'; ' * bool(longest)}{longest}"


def _of_jobs(count: int, jobs: int) -> str:
    """Return the first words of a sentence on some of the jobs that start.

    Examples
    --------
    >>> _of_jobs(14, 24), _of_jobs(1, 4), _of_jobs(4, 4)
    ('14 of 24 jobs start', '1 of 4 jobs starts', 'All 4 jobs start')
    """
    if count == jobs > 1:
        return f"All {counted(jobs, 'job')} start"
    return f"{count:,} of {counted(jobs, 'job')} start{'s' * (count == 1)}"


@dataclass(frozen=True)
class UsePeriod:
    """Utilisation of the fleet, and the period that it covers.

    Attributes
    ----------
    arrivals, whole : float
        From the first to the last arrival, and until the end of the run.
    begin_s, last_s, end_s : float
        Time of the first and of the last arrival, and of the end of the run.
    finished : bool
        Whether the run ends with its last job.
    """

    arrivals: float
    whole: float
    begin_s: float
    last_s: float
    end_s: float
    finished: bool

    @classmethod
    def of(cls, result: Result) -> UsePeriod:
        """Return the utilisation of a run."""
        submit_s = result.jobs["submit_s"]
        first_s, last_s = float(submit_s.min()), float(submit_s.max())
        whole = result.summary.iloc[0]
        share, end_s = float(whole["utilisation"]), float(result.provenance["simulated_s"])
        finished = not result.interrupted and not whole["unfinished"]
        finished = finished and first_s + float(whole["makespan_s"]) >= (1 - _DRAIN) * end_s
        last_s = min(last_s, end_s)
        if not first_s < last_s < end_s:
            return cls(share, share, first_s, last_s, end_s, finished)
        arrivals = mean_utilisation(result.utilisation, begin_s=first_s, end_s=last_s)
        return cls(float(arrivals), share, first_s, last_s, end_s, finished)

    @property
    def drains(self) -> bool:
        """Whether a considerable part of the run is after the last arrival."""
        late = self.end_s - self.last_s > _DRAIN * self.end_s
        return late and self.arrivals - self.whole > _LOWER

    @property
    def is_arrivals(self) -> bool:
        """Whether the utilisation on the card is that until the last arrival."""
        return self.drains and self.last_s - self.begin_s >= _ARRIVALS * (self.end_s - self.begin_s)

    @property
    def share(self) -> float:
        """The utilisation on the card."""
        return self.arrivals if self.is_arrivals else self.whole

    @property
    def stop_s(self) -> float:
        """End of the period of the utilisation on the card."""
        return self.last_s if self.is_arrivals else self.end_s

    @property
    def until(self) -> str:
        """A text that states when this period ends."""
        if self.is_arrivals:
            return f"until the last job arrives (after {_wait(self.last_s)})"
        return f"until {self.end} (after {_wait(self.end_s)})"

    @property
    def end(self) -> str:
        """What the end of the run is, as the rest of a sentence."""
        return "the last job ends" if self.finished else "the end of the run"


def _jobs_that_waited(whole: Mapping[Any, Any]) -> int:
    return round(float(whole["waited"]) * int(whole["jobs"]))


def _few_wait(whole: Mapping[Any, Any]) -> bool:
    """Return whether the 95th percentile of the wait is 0 although jobs wait."""
    return bool(whole["p95_wait_s"] == 0 and whole["most_wait_s"] > 0)


def _value(result: Result, tables: RunTables) -> tuple[str, str, str]:
    """Return label, value and interval of the 95th percentile of the wait.

    With few jobs, or if most jobs start at once, the number is the longest wait instead.
    """
    whole = tables.waits_by_size.iloc[0].to_dict()
    p95, most = float(whole["p95_wait_s"]), _wait(float(whole["most_wait_s"]))
    label, longest = "95th percentile of the wait", "longest wait"
    few = p95 == 0 or int(whole["jobs"]) < _MANY_JOBS
    if "replay" in result.provenance:
        interval = "no interval: these are the jobs of the log, not a sample"
        return (longest, most, interval) if few else (label, _wait(p95), interval)
    if whole["most_wait_s"] == 0:
        return longest, most, "no job of this run waits; this does not exclude waits in other runs"
    if few:
        return longest, most, "no 95 % interval: one run has one longest wait"
    _, low, high = run_quantile_interval(Submitted.of(result).wait_s, 0.95)
    own = span(p95, low, high, (0.0, math.inf))
    if own.kind == "unknown" or not (math.isfinite(low) and math.isfinite(high)):
        return label, _wait(p95), "no 95 % interval: too few independent jobs in this one run"
    (middle, low_text, high_text), unit = in_one_unit([p95, own.low, own.high], "duration")
    if low_text == high_text:
        return label, f"{middle} {unit}", "both ends of the 95 % interval round to this number"
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


def _hinges(result: Result, tables: RunTables, use: UsePeriod, never: int) -> Iterator[str]:
    """Yield what the waits of a run depend on, the most important first."""
    waits, recorded = tables.waits_by_size, tables.recorded_waits
    if recorded is not None:
        yield _agreement(recorded)
    if load := offered_load_text(result):
        yield f"The load: {load}."
    waiting = int(waits.iloc[0]["waiting"])
    if waiting:
        yield (
            f"The end of the run: {waiting:,} of {counted(int(waits.iloc[0]['jobs']), 'job')} had "
            "not started; their waits count until then and are lower bounds."
        )
    if never:
        yield f"Jobs that are left out: {counted(never, 'job')} can never run."
    yield from _sizes(waits)
    yield from idle_text(result, tables.queue_length, use.begin_s, use.end_s)
    yield from _pools(result, use)
    yield from _ends(result, tables, use)
    if result.attempts is not None and len(result.attempts):
        lost = lost_work(result.attempts)
        if lost > 0:
            causes = "Preemptions" if result.outages is None else "Failures"
            if result.outages is not None and "preemptions" in result.jobs:
                causes = "Failures and preemptions"
            yield f"{causes}: {format_percent(lost)} of the accelerator time is lost work."
    longest = _row(tables.queue_length, "jobs", np.argmax)
    if longest["jobs"] > 1:
        when = f"after {_wait(float(longest['time_s']))}"
        if result.calendar.is_dated:
            when = f"on {result.calendar.text(float(longest['time_s']))}"
        yield f"Bursts: the queue is longest {when}, with {counted(int(longest['jobs']), 'job')}."


def _agreement(recorded: pd.DataFrame) -> str:
    """Return how far the waits are from those of the log."""
    label, old_s, new_s = _compared(recorded)
    new, old = durations_text(new_s, old_s)
    count = counted(int(recorded.iloc[0]["jobs"]), "job")
    return (
        f"Agreement with the log: the {label} is {new} in the simulation and {old} in the log "
        f"({count} compared)."
    )


def _sizes(waits: pd.DataFrame) -> Iterator[str]:
    """Yield how the waits depend on the size of the jobs."""
    sizes = waits[(waits["size"] != ALL_SIZES) & (waits["jobs"] >= ENOUGH_JOBS)]
    few = waits[(waits["size"] != ALL_SIZES) & (waits["jobs"] < ENOUGH_JOBS)]
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
            f"Job sizes with less than {ENOUGH_JOBS} jobs ({names} accelerators) are not compared."
        )
    if len(sizes) > 1 and sizes["p95_wait_s"].nunique() > 1:
        most, least = _row(sizes, "p95_wait_s", np.argmax), _row(sizes, "p95_wait_s", np.argmin)
        share = format_percent(float(most["jobs"] / waits.iloc[0]["jobs"]))
        high, low = durations_text(float(most["p95_wait_s"]), float(least["p95_wait_s"]))
        yield (
            f"Job size: the 95th percentile of the wait is {high} for "
            f"{jobs_in_words(str(most['size']))} ({share} of the jobs) and {low} for "
            f"{jobs_in_words(str(least['size']))}."
        )


def _pools(result: Result, use: UsePeriod) -> Iterator[str]:
    """Yield which pools are used most and least."""
    if result.utilisation["pool"].nunique() < 2:
        return
    found = accelerator_seconds(result.utilisation, begin_s=use.begin_s, end_s=use.stop_s)
    shares = found["allocated"].div(found["available"]).where(found["available"] > 0, 0.0)
    busiest, idlest = shares.idxmax(), shares.idxmin()
    yield (
        f"The fleet: {use.until}, pool {busiest} is used most "
        f"({format_percent(float(shares.max()), 0)}) and pool {idlest} "
        f"least ({format_percent(float(shares.min()), 0)})."
    )


def _compared(recorded: pd.DataFrame) -> tuple[str, float, float]:
    """Return a statistic of the wait in the log and in the simulation, with its name.

    With few jobs, a high percentile lies between two distant waits, so it is the longest wait.
    """
    row = recorded.iloc[0]
    few = int(row["jobs"]) < _MANY_JOBS
    label, name = ("longest wait", "most") if few else ("95th percentile of the wait", "p95")
    return label, float(row[f"recorded_{name}_wait_s"]), float(row[f"simulated_{name}_wait_s"])


def _ends(result: Result, tables: RunTables, use: UsePeriod) -> Iterator[str]:
    """Yield what the utilisation is in another period, and how the run starts."""
    if use.drains and use.is_arrivals:
        after = idle_while_waiting(
            tables.queue_length, result.utilisation, begin_s=use.last_s, end_s=use.end_s
        )
        tail_s, waiting_s = use.end_s - use.last_s, after.waiting_s
        known = [use.end_s, use.last_s, waiting_s if waiting_s > _DRAIN * tail_s else use.last_s]
        end, last, waiting = durations_text(*known)
        why = f"because no job arrives after {last}"
        if waiting_s > 0.5 * tail_s:
            why = f"although jobs wait for {waiting} after the last arrival"
        elif waiting_s > _DRAIN * tail_s:
            why += f", and jobs wait only for {waiting} after that"
        yield (
            f"The run ends after {end}. Until then, jobs use {format_percent(use.whole, 0)} of the "
            f"accelerator time, {why}."
        )
    elif use.drains:
        yield (
            f"The arrivals: all jobs arrive within the first {_wait(use.last_s)}; until then, they "
            f"use {format_percent(use.arrivals, 0)} of the accelerator time."
        )
    arrivals = f"jobs arrive for {_wait(use.last_s)}" if use.last_s > 0 else "all jobs arrive then"
    if use.begin_s == use.last_s > 0:
        arrivals = f"all jobs arrive at {_wait(use.last_s)}"
    yield (
        f"The start of the run: the fleet is empty at time 0, and {arrivals}. No warm-up is left "
        "out, so these waits can be shorter than those of a fleet in steady state."
    )


def _row(table: pd.DataFrame, column: str, choose: Callable[[Floats], Any]) -> dict[Any, Any]:
    """Return the row of a table that `choose` picks from a column of numbers."""
    return table.iloc[int(choose(table[column].to_numpy(dtype=np.float64)))].to_dict()


def _next_steps(result: Result, tables: RunTables, never: int, first: str) -> Iterator[str]:
    """Yield what to do next, with `first` (if it is not empty) before most others."""
    if result.interrupted:
        yield "Run again without an interrupt: the numbers cover only a part of the run."
    if first:
        yield first
    if never:
        yield "Read why jobs can never run (below), and change the fleet or these jobs."
    recorded = tables.recorded_waits
    if recorded is not None:
        _, old, new = _compared(recorded)
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
