"""Accelerator-hours of waiting by cause, over all jobs of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Bools, Floats
from clustersim.brief import Brief
from clustersim.explanation.causes import CAUSES, Phase
from clustersim.explanation.holds import holds_of
from clustersim.explanation.quotas import quota_rooms
from clustersim.explanation.seconds import seconds_by_cause
from clustersim.explanation.spells import Spells, spells_of
from clustersim.explanation.state import RunState
from clustersim.explanation.steps import partition_steps
from clustersim.explanation.windows import closures_of
from clustersim.units import format_number, format_percent, listed
from clustersim.workload.describe import size_bins
from clustersim.workload.job_groups import MOST_PARTITIONS, OTHER_PARTITIONS

__all__ = ["WaitCauses", "explain_run"]

ALL = "all"
_HOUR_S = 3600.0
_MOST_NAMED = 3
_LEAST_SHARE = 0.05
"""Share of the waiting from which the sentence names a cause, besides the largest one."""


@dataclass(frozen=True, repr=False)
class WaitCauses(Brief):
    """Why the jobs of a run waited, as :func:`clustersim.explain` returns it.

    Attributes
    ----------
    groups : pandas.DataFrame
        One row for all jobs, each set of partitions (``kind`` partition) and each range of sizes:
        ``kind``, ``group``, ``jobs`` (that can run), ``waited`` (jobs that waited),
        ``accelerator_hours`` of waiting, and those for each cause.
    phases : pandas.DataFrame
        The same hours by what the wait followed: ``phase`` (submission, preemption, suspension,
        node_event), ``waits``, ``accelerator_hours``.
    jobs : pandas.DataFrame
        One row for each job: ``job_id``, ``partition`` (all on which it may run),
        ``n_accelerators``, ``waited_s``, ``waited_for`` (the cause with the most time; empty if it
        did not wait) and ``CAUSE_s`` for each cause (seconds).
    notes : tuple of str

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> jobs = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 0], "n_accelerators": [8, 8]})
    >>> run = cs.replay(jobs.assign(duration_s=3600), policy="fcfs", accelerators=8)
    >>> cs.explain(run).jobs["waited_for"].tolist()
    ['', 'accelerators']
    """

    groups: pd.DataFrame
    phases: pd.DataFrame
    jobs: pd.DataFrame
    notes: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        hours = self.hours
        return "Waiting", {
            "accelerator-hours": format_number(float(sum(hours.values()))),
            **{name: format_number(value) for name, value in hours.items() if value > 0},
        }

    @property
    def hours(self) -> dict[str, float]:
        """Accelerator-hours of waiting of all jobs by cause."""
        whole = self.groups.iloc[0]
        return {name: float(whole[name]) for name in CAUSES}

    @property
    def sentence(self) -> str:
        """The largest causes in a sentence."""
        hours = self.hours
        total = sum(hours.values())
        if not total > 0:
            return "No job waited."
        ranked = sorted(hours, key=lambda name: -hours[name])
        named = [name for name in ranked[:_MOST_NAMED] if hours[name] >= _LEAST_SHARE * total]
        parts = [
            f"{format_percent(hours[name] / total, 0)} for {_SHORT[name]}"
            for name in named or ranked[:1]
        ]
        return f"Jobs waited {format_number(total)} accelerator-hours: {listed(parts)}."


_SHORT = {
    "order": "the policy's order (their gang fitted, but others came first)",
    "quota": "quota (their gang fitted, but their queue had none left)",
    "placement": "placement (enough accelerators were free, but not on the nodes that they needed)",
    "out_of_service": "nodes out of service",
    "not_delivered": "nodes that came later, or had no power or space",
    "service": "nodes that inference services reserved",
    "partition": "a full partition, while another one of the same accelerator had room",
    "accelerators": "accelerators that other jobs held",
    "preempted": "the jobs that preempted them",
    "suspended": "their own nodes after a suspension",
    "dependency": "other jobs (after_ok, after_any)",
    "not_before": "their earliest time",
    "array_limit": "the limits of their arrays",
    "limit": "limits, quotas and budgets of users, teams and queues",
    "window": "windows planned ahead and hero jobs (their gang fitted on nodes closed to them)",
}
"""What jobs waited for, for the sentence."""


def explain_run(state: RunState) -> WaitCauses:
    """Return why the jobs of a run waited.

    Parameters
    ----------
    state : RunState
    """
    holds, rooms = holds_of(state), quota_rooms(state)
    spells = spells_of(state, holds)
    steps = partition_steps(state)
    closures = closures_of(state, steps)
    by_spell = seconds_by_cause(state, spells, steps, holds, rooms, closures)
    n_jobs = len(state.jobs)
    seconds = np.stack(
        [np.bincount(spells.job, by_spell[:, k], minlength=n_jobs) for k in range(len(CAUSES))],
        axis=1,
    )
    can = state.choice_of >= 0
    where = np.array([state.where(index) for index in range(len(state.choices))] + [""], object)
    partition = where[state.choice_of]
    waited_s = seconds.sum(axis=1)
    main = np.array([*CAUSES, ""], dtype=object)
    columns = {f"{name}_s": seconds[:, index] for index, name in enumerate(CAUSES)}
    jobs = pd.DataFrame(
        {
            "job_id": state.jobs["job_id"].to_numpy(),
            "partition": pd.Series(partition, dtype="string"),
            "n_accelerators": state.sizes,
            "waited_s": waited_s,
            "waited_for": pd.Series(
                main[np.where(waited_s > 0, seconds.argmax(axis=1), -1)], dtype="string"
            ),
            **columns,
        }
    )
    hours = seconds * state.sizes[:, None] / _HOUR_S
    groups = [_row(ALL, ALL, can, hours, waited_s)]
    groups += [
        _row("partition", name, which, hours, waited_s)
        for name, which in _by_partition(partition, can, hours)
    ]
    if can.any():
        index, labels = size_bins(state.sizes)
        for size in np.flatnonzero(np.bincount(index[can])).tolist():
            groups.append(_row("size", labels[size], can & (index == size), hours, waited_s))
    return WaitCauses(pd.DataFrame(groups), _phases(state, spells), jobs, state.notes)


def _by_partition(
    partition: npt.NDArray[np.object_], can: Bools, hours: Floats
) -> list[tuple[str, Bools]]:
    """Return the sets of partitions; those with the least waiting share a row if there are many."""
    codes, names = pd.factorize(partition)
    weight = np.bincount(codes, hours.sum(axis=1), minlength=len(names))
    present = np.bincount(codes[can], minlength=len(names)) > 0
    order = [code for code in np.argsort(-weight, kind="stable").tolist() if present[code]]
    rest = order[MOST_PARTITIONS:]
    found = [(str(names[code]), can & (codes == code)) for code in order[:MOST_PARTITIONS]]
    return found + ([(OTHER_PARTITIONS, can & np.isin(codes, rest))] if rest else [])


def _row(kind: str, group: str, which: Bools, hours: Floats, waited_s: Floats) -> dict[str, object]:
    own = hours[which].sum(axis=0)
    return {
        "kind": kind,
        "group": group,
        "jobs": int(which.sum()),
        "waited": int((waited_s[which] > 0).sum()),
        "accelerator_hours": float(own.sum()),
        **{name: float(value) for name, value in zip(CAUSES, own, strict=True)},
    }


def _phases(state: RunState, spells: Spells) -> pd.DataFrame:
    hours = (spells.end_s - spells.begin_s) * state.sizes[spells.job] / _HOUR_S
    table = pd.DataFrame(
        {
            "phase": [phase.label for phase in Phase],
            "waits": np.bincount(spells.phase, minlength=len(Phase)),
            "accelerator_hours": np.bincount(spells.phase, hours, minlength=len(Phase)),
        }
    )
    return table if table["waits"].iloc[Phase.NETWORK_FAULT] else table.drop(Phase.NETWORK_FAULT)
