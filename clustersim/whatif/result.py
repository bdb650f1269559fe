"""The answer to a question about a log, as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.analysis.next_period import next_interval
from clustersim.analysis.size_waits import recorded_wait_s
from clustersim.brief import Brief
from clustersim.calendar import DAY_S, WEEK_S, Calendar
from clustersim.errors import InputError
from clustersim.scenario.run_calendar import run_calendar
from clustersim.units import counted, format_duration, format_number
from clustersim.whatif.alternatives import LOADED, Alternative, alternatives
from clustersim.whatif.cost_once import cost_once_cny
from clustersim.whatif.enough_replications import NEARLY, enough_replications, width_ratio
from clustersim.whatif.groups import FLEET, GROUPS, TIMES, GroupNames, asked_row
from clustersim.whatif.question import Question
from clustersim.whatif.runs import Measured, Task, run_tasks
from clustersim.workload.log_resample import block_counts, chosen_blocks

__all__ = ["WhatIf", "compare"]


@dataclass(frozen=True, repr=False)
class WhatIf(Brief):
    """What a change does to the jobs of a log, as :func:`clustersim.what_if` returns it.

    Attributes
    ----------
    question : Question
        The log and the systems that are compared.
    replications : pandas.DataFrame
        One row for each system, replication and group of jobs: ``system`` (before, load, after),
        ``replication`` (0 is the log as it happened), ``kind`` (all, partition, size), ``group``,
        ``jobs``, ``mean_wait_s``, ``p95_wait_s``, both also of ``total_wait_s`` (over all attempts)
        and ``jct_s`` (completion time), ``utilisation``, ``energy_j``, ``cost_cny``.
    fleets : pandas.DataFrame
        One row for each system and replication: ``accelerators``, ``utilisation``, ``power_w``,
        ``energy_j``, ``cost_cny``, both also ``_per_year``, ``backlog_at_end``, ``never`` (jobs
        that can never run), ``stops`` (how often attempts at jobs were stopped), ``time_lost``
        (share of the accelerator time of jobs that was lost work or restarts), ``unfinished``
        (jobs that can run and did not finish), ``why_never``.
    hinges : pandas.DataFrame
        One row for each alternative, by how much it moves the answer: ``key``, ``what``,
        ``before_s``, ``after_s`` (the time of the answer with the alternative), ``moves_s``,
        ``changes_gain_s``, and ``more_never`` (jobs that can run after the change and can never run
        with the alternative; 0 with another load, because its jobs are others).
    blocks : str
        Blocks in which replications draw the log again; see
        :func:`~clustersim.workload.log_resample.chosen_blocks`.
    notes : tuple of str
        What is assumed, and what the runs say.
    calendar : Calendar
    once_cny : float
        Cost of a change that happens once, log as it happened; see
        :func:`~clustersim.whatif.cost_once.cost_once_cny`.
    """

    question: Question
    replications: pd.DataFrame
    fleets: pd.DataFrame
    hinges: pd.DataFrame
    blocks: str
    notes: tuple[str, ...]
    calendar: Calendar
    once_cny: float = math.nan

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        row, metric = self.row, self.metric
        before, after = (system.key for system in self.question.compared)
        return f"WhatIf {self.question.changed!r}", {
            "jobs": f"{int(row['jobs']):,}",
            TIMES[metric]: f"{format_duration(row[f'{before}_{metric}'])} to "
            f"{format_duration(row[f'{after}_{metric}'])}",
            "replications": f"{self.replications['replication'].nunique():,}",
        }

    @property
    def metric(self) -> str:
        """The wait, or completion time, of the answer.

        It is the one that is asked about, or the 95th percentile of the wait or, if this is 0 in
        both systems, the mean.  If jobs are stopped, a wait is that over all attempts: until the
        first start, a policy that preempts jobs early and often looks better than it is.
        """
        if self.question.asked.metric:
            return self._over_all(self.question.asked.metric)
        p95 = self._over_all("p95_wait_s")
        rows = self.waits(p95)
        before, after = (rows[system.key][0] for system in self.question.compared)
        return p95 if max(before, after) > 0 else self._over_all("mean_wait_s")

    @property
    def stops(self) -> bool:
        """Whether a policy or a failure stops jobs in one of the compared systems."""
        own = self.fleets[self.fleets["system"].isin([each.key for each in self.question.compared])]
        return bool((own["stops"] > 0).any())

    @property
    def first_wait(self) -> str:
        """The statistic of the answer for waits until the first start; "" if it is of no wait."""
        return self.metric.replace("_total_wait_s", "_wait_s") if "_wait_" in self.metric else ""

    def _over_all(self, metric: str) -> str:
        own = metric.replace("_wait_s", "_total_wait_s")
        return own if self.stops and own in TIMES else metric

    def waits(self, metric: str) -> dict[str, list[float]]:
        """Return a metric of the jobs that the answer is about, as :meth:`of` does."""
        return self.of(metric, self.question.asked.kind, self.question.asked.group)

    @property
    def row(self) -> pd.Series:
        """The row of `groups` with the jobs that the answer is about."""
        return asked_row(self.groups, self.question.asked)

    @property
    def recorded_wait_s(self) -> float:
        """The wait of the answer until the first start that the log recorded, seconds.

        NaN if the log lacks the starts of these jobs, or both systems run other jobs than the log.
        """
        asked = self.question.asked
        return self.recorded_waits.get((asked.kind, asked.group), math.nan)

    @cached_property
    def recorded_waits(self) -> dict[tuple[str, str], float]:
        """The recorded wait (seconds) of each group, by its kind and name; see `recorded_wait_s`.

        Groups without one are left out.  Empty if the answer is not about a wait.
        """
        jobs, asked = self.question.log.whole, self.question.asked
        scaled = self.question.systems[0].tree["workload"].get("scale") is not None
        if scaled or not self.first_wait:
            return {}
        names = {"start_s": "recorded_start_s", "wait_s": "recorded_wait_s"}
        own = {name: other for name, other in names.items() if other not in jobs}
        waits = recorded_wait_s(jobs.rename(columns=own), {}, negative=True)
        found: dict[tuple[str, str], float] = {}
        if waits is None:
            return found
        for kind, group, mask in GroupNames.of(jobs, asked.group).masks(jobs):
            known = np.maximum(waits[mask & np.isfinite(waits)], 0.0)
            if len(known) and len(known) >= _MOST_KNOWN * int(mask.sum()):
                mean = self.first_wait == "mean_wait_s"
                found[kind, group] = float(known.mean() if mean else np.quantile(known, 0.95))
        return found

    def of(self, metric: str, kind: str, group: str) -> dict[str, list[float]]:
        """Return the values of a metric of a group by system, one for each replication in order.

        A replication without jobs of the group has NaN.
        """
        own = self.replications
        numbers = sorted(set(own["replication"]))
        own = own[(own["kind"] == kind) & (own["group"] == group)].set_index("replication")
        return {
            system.key: own.loc[own["system"] == system.key, metric]
            .astype(float).reindex(numbers).tolist()
            for system in self.question.systems
        }  # fmt: skip

    @cached_property
    def drawn_from(self) -> tuple[int, int]:
        """Numbers of blocks and of classes of blocks from which the replications are drawn."""
        return block_counts(self.question.log.whole, self.calendar, self.blocks)

    @property
    def period(self) -> tuple[float, str]:
        """Length of the log in whole blocks, in seconds and in words ("5 weeks")."""
        blocks, _ = self.drawn_from
        length_s, name = (WEEK_S, "week") if self.blocks == "week" else (DAY_S, "day")
        return blocks * length_s, counted(blocks, name)

    def _interval(
        self,
        values: npt.ArrayLike,
        *,
        waits: bool = False,
        most: float | None = None,
        seconds: bool = False,
    ) -> tuple[float, float]:
        """Return the interval of some values; those in `seconds` have ends within the log.

        A log cannot show waits that are longer than itself, so such an end is infinite.
        """
        blocks, classes = self.drawn_from
        low, high = next_interval(values, blocks=blocks, classes=classes, waits=waits, most=most)
        if not seconds:
            return low, high
        period_s, _ = self.period
        return -math.inf if low < -period_s else low, math.inf if high > period_s else high

    @cached_property
    def groups(self) -> pd.DataFrame:
        """One row per group: the log as it happened, with intervals from the replications.

        ``kind``, ``group``, ``jobs`` (in the first system), and for each system ``SYSTEM_METRIC``
        with ``_low`` and ``_high``; ``change_METRIC`` is the last system minus the one before it,
        with an interval from paired replications.  An end of the interval of a wait, or of its
        change, that is longer than the log is infinite.
        """
        first = self.replications
        first = first[
            (first["replication"] == 0) & (first["system"] == self.question.systems[0].key)
        ]
        rows = []
        for kind, group, jobs in first[["kind", "group", "jobs"]].itertuples(index=False):
            row: dict[str, object] = {"kind": kind, "group": group, "jobs": jobs}
            for metric in GROUPS[1:]:
                values = self.of(metric, kind, group)
                row |= self._columns(metric, values)
            rows.append(row)
        return pd.DataFrame(rows)

    def _columns(self, metric: str, values: Mapping[str, Sequence[float]]) -> dict[str, float]:
        """Return the values of all systems, and the change, with their intervals."""
        found: dict[str, float] = {}
        for key, own in values.items():
            is_time = metric in TIMES
            low, high = self._interval(own, waits=is_time, most=_most(metric), seconds=is_time)
            found |= {f"{key}_{metric}": own[0]}
            found |= {f"{key}_{metric}_low": low, f"{key}_{metric}_high": high}
        before, after = (values[system.key] for system in self.question.compared)
        change = np.subtract(after, before)
        low, high = self._interval(change, seconds=metric in TIMES)
        found |= {f"change_{metric}": float(change[0])}
        found |= {f"change_{metric}_low": low, f"change_{metric}_high": high}
        return found

    @cached_property
    def fleet(self) -> pd.DataFrame:
        """One row per system: the log as it happened, with intervals from the replications.

        ``system`` (its name) and the columns of `fleets`, those of utilisation, power and backlog
        with ``_low`` and ``_high``.
        """
        rows = []
        for system in self.question.systems:
            own = self.fleets[self.fleets["system"] == system.key].sort_values("replication")
            row: dict[str, object] = {"system": system.name}
            for name in FLEET:
                values = own[name].astype(float).tolist()
                row[name] = values[0]
                if name in ("utilisation", "power_w"):
                    row[f"{name}_low"], row[f"{name}_high"] = self._interval(
                        values, most=_most(name)
                    )
            row["why_never"] = own["why_never"].iloc[0] if "why_never" in own else ""
            rows.append(row)
        return pd.DataFrame(rows)

    @property
    def cost_cny_per_year(self) -> float:
        """Cost of the changes per year, log as it happened; NaN if costs are not computed."""
        return self._added("cost_cny_per_year")

    @property
    def cost_cny(self) -> float:
        """Cost of the changes from the first to the last submission of the log as it happened."""
        return self._added("cost_cny")

    def _added(self, name: str) -> float:
        before, after = (
            self.fleet.loc[self.fleet["system"] == system.name, name].iloc[0]
            for system in self.question.compared
        )
        return float(after - before)


_MOST_KNOWN = 0.95
"""Share of the jobs with a recorded start from which on recorded waits are those of the log."""


def _most(metric: str) -> float:
    return 1.0 if metric == "utilisation" else math.inf


def compare(
    question: Question,
    *,
    replications: int = 6,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> WhatIf:
    """Run the systems of a question, the replications and the alternatives.

    Parameters
    ----------
    question : Question
    replications : int
        Number of times that the weeks or days of the log are drawn again, in addition to the log as
        it happened.  All systems run the same drawn jobs.
    workers, progress
        See :func:`~clustersim.whatif.runs.run_tasks`.

    Raises
    ------
    InputError
        If a scenario cannot be run.
    """
    scenario = question.systems[0].loaded().scenario
    dated = run_calendar(scenario.start, scenario.time_zone, question.log.origin, source="what-if")
    blocks = chosen_blocks(question.log.whole, dated.calendar, scenario.workload.resample)
    count = 1 + (0 if blocks == "none" else replications)
    others = alternatives(question)
    tasks = [
        Task(system.key, replication, "", system.tree)
        for system in question.systems
        for replication in range(count)
    ]
    pairs = [(other, system) for other in others for system in question.compared]
    for other, system in pairs:
        changes = other.changes.get(system.key, {})
        tree = system.loaded(changes).scenario.model_dump(mode="json", exclude_none=True)
        tasks.append(Task(system.key, 0, other.what, tree, other.estimate_factor))
    names = GroupNames.of(question.log.jobs, question.asked.group)
    found = run_tasks(tasks, question.log, names, workers=workers, progress=progress)
    done = list(zip(tasks, found, strict=True))
    asked = [(task, own) for task, own in done if not task.alternative]
    for task, own in asked:
        if not own.runs:
            name = next(each.name for each in question.systems if each.key == task.system)
            period = "the log" if task.replication == 0 else "a period drawn from the log"
            alone = "" if task.replication == 0 else "; --replications 0 runs the log alone"
            raise InputError(
                "what-if",
                f"no job of {period} can run on the fleet ({name}): {own.why_never}{alone}",
            )
        if task.replication == 0 and task.system in {each.key for each in question.compared}:
            _check_asked(question, own, task.system)
    table = pd.concat(
        [
            own.groups.assign(system=task.system, replication=task.replication)
            for task, own in asked
        ],
        ignore_index=True,
    )
    fleets = pd.DataFrame(
        [{"system": task.system, "replication": task.replication, **own.fleet,
          "why_never": own.why_never} for task, own in asked]
    )  # fmt: skip
    whatif = WhatIf(
        question,
        table[["system", "replication", "kind", "group", *GROUPS]],
        fleets,
        pd.DataFrame(),
        blocks,
        (*question.notes, *_notes(question, asked)),
        Calendar.of_document(found[0].calendar),
    )
    of_blocks = _of_blocks(blocks, count, *whatif.drawn_from)
    whatif = replace(whatif, notes=(*whatif.notes, *of_blocks))
    once_cny = cost_once_cny(question, done, names, workers=workers)
    return replace(whatif, hinges=_hinges(whatif, others, done), once_cny=once_cny)


def _check_asked(question: Question, own: Measured, key: str) -> None:
    """Raise an error if a system has no waits of the jobs in question."""
    asked = question.asked
    if asked.metric and math.isnan(asked_row(own.groups, asked)[asked.metric]):
        name = next(each.name for each in question.systems if each.key == key)
        few = "no job of" if asked.metric.startswith("mean") else "too few jobs of"
        what = "finish" if asked.metric.endswith("jct_s") else "can run"
        raise InputError("--metric", f"{few} {asked.group} {what} on the fleet ({name})")


def _hinges(
    whatif: WhatIf, others: Sequence[Alternative], done: Sequence[tuple[Task, Measured]]
) -> pd.DataFrame:
    """Return the alternatives, the one that moves the answer most first."""
    metric = whatif.metric
    before, after = whatif.question.compared
    usual, asked = whatif.waits(metric), whatif.question.asked
    found = {
        (task.alternative, task.system): float(asked_row(own.groups, asked)[metric])
        for task, own in done
        if task.replication == 0
    }
    never = {
        (task.alternative, task.system): int(own.fleet["never"])
        for task, own in done
        if task.replication == 0
    }
    rows = []
    for other in others:
        old, new = (found[other.what, system.key] for system in (before, after))
        moves = new - usual[after.key][0]
        gain = (new - old) - (usual[after.key][0] - usual[before.key][0])
        # With another load, the jobs are others.
        more = never[other.what, after.key] - never["", after.key] if other.key != LOADED else 0
        rows.append(
            {"key": other.key, "what": other.what, "before_s": old, "after_s": new,
             "moves_s": moves, "changes_gain_s": gain, "more_never": more}
        )  # fmt: skip
    names = ["key", "what", "before_s", "after_s", "moves_s", "changes_gain_s", "more_never"]
    table = pd.DataFrame(rows, columns=names)
    order = np.argsort(-table["moves_s"].abs().to_numpy(dtype=np.float64), kind="stable")
    return table.iloc[order].reset_index(drop=True)


def _notes(question: Question, asked: Sequence[tuple[Task, Measured]]) -> list[str]:
    """Return the notes of the runs of the log as it happened, each once."""
    names = {system.key: system for system in question.systems}
    found: dict[str, str] = {}
    for task, own in asked:
        if task.replication == 0:
            for note in own.notes:
                found.setdefault(note, "" if task.system == "before" else names[task.system].name)
    return [f"{name}: {note}" if name else note for note, name in found.items()]


def _of_blocks(kind: str, count: int, blocks: int, classes: int) -> list[str]:
    """Return how the intervals are made.

    Examples
    --------
    >>> _of_blocks("day", 7, 2, 2)
    ['no intervals: of the 2 days of the log, no two can replace each other']
    """
    if kind == "none":
        return [
            "no intervals: the log is shorter than two days, so there are no days to draw again"
        ]
    if count < 2:
        return ["no intervals: one or more replications are needed"]
    length = "week" if kind == "week" else "day"
    if blocks - classes < 1:
        return [
            f"no intervals: of the {counted(blocks, length)} of the log, no two can replace each "
            "other"
        ]
    what = {
        "week": "weeks of the log",
        "weekday": "days of the log, each in place of the same day of the week,",
        "day": "days of the log, working days in place of working days,",
    }[kind]
    return [
        f"intervals: {what} are drawn again with replacement, {counted(count - 1, 'time')}; both "
        "sides run the same drawn jobs. An interval is that of another period like the log (95 %), "
        f"as far as {counted(blocks, length)} can tell{_narrower(count - 1, blocks, classes)}"
    ]


def _narrower(drawn: int, blocks: int, classes: int) -> str:
    """Return how much narrower more replications make the intervals; "" if hardly.

    Examples
    --------
    >>> _narrower(2, 5, 1)
    '; with 2 replications it is 2.6 times as wide as it could be, with 17 it is 1.1 times'
    >>> _narrower(50, 5, 1)
    ''
    """
    freedom = blocks - classes
    ratio = width_ratio(drawn, freedom)
    if ratio <= NEARLY:
        return ""
    return (
        f"; with {counted(drawn, 'replication')} it is {format_number(ratio, 2)} times as wide as "
        f"it could be, with {enough_replications(freedom)} it is {NEARLY:g} times"
    )
