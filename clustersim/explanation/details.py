"""Texts on the constraint that binds during an interval of a wait."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from clustersim.explanation.queue_order import order_text, reserves
from clustersim.explanation.state import RunState
from clustersim.units import counted, format_number, listed

__all__ = ["detail_of", "room_of"]

_MOST = 3


def detail_of(
    state: RunState, row: int, interval: Mapping[str, Any], head_size: int, *, known: bool
) -> str:
    """Return a text on the constraint that binds during an interval of a wait.

    Parameters
    ----------
    state : RunState
    row : int
        The job.
    interval : mapping
        A row of ``intervals`` without ``detail``.
    head_size : int
        Accelerators of the first job ahead; 0 without one.
    known : bool
        Whether the order of the queue is known.
    """
    cause, room = str(interval["cause"]), room_of(state, row, interval)
    if cause == "order":
        return f"{room}, so it fitted, but {_held_by(state, interval, head_size, known)}"
    if cause == "placement":
        return f"{room}, but not on nodes as its gang needs them"
    if cause == "out_of_service":
        return f"{room}; it would have fitted with the nodes that were out of service"
    if cause == "not_delivered":
        return f"{room}; it would have fitted with nodes that came later or had no power or space"
    if cause == "service":
        return f"{room}; it would have fitted on nodes that inference services reserved"
    if cause == "partition":
        others = [state.partitions[i].name for i in state.others[int(state.choice_of[row])]]
        return f"{room}; it would have fitted on {listed(others[:_MOST])}, which it may not use"
    if cause == "suspended":
        return "it can only go on on its own nodes, which were taken or out of service"
    held = _holders(interval["holders"])
    taken = f"{room}; held by {held}" if held else f"{room}; no job held any"
    if cause == "preempted":
        return taken + _meanwhile(interval)
    return taken + _meanwhile(interval, {str(each.get("job", "")) for each in interval["holders"]})


def room_of(state: RunState, row: int, interval: Mapping[str, Any]) -> str:
    """Return a text on what a job needed during an interval and what was free.

    Parameters
    ----------
    state, row, interval
        As for :func:`detail_of`.
    """
    n, asked = int(state.needs[row]), int(state.sizes[row])
    least, most = interval["free_least"], interval["free_most"]
    free = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    needs = f"needs {n:,}" if n == asked else f"needs at least {n:,} (asks for {asked:,})"
    return f"{needs} on {state.where(int(state.choice_of[row]))}, {free} free"


def _held_by(state: RunState, interval: Mapping[str, Any], head_size: int, known: bool) -> str:
    """Return who was ahead of a job that would have fitted."""
    meanwhile = _meanwhile(interval)
    policy = f"policy {state.policy}" if state.policy else "the policy"
    if not head_size or not known:
        return f"{policy} did not start it: {order_text(state)}{meanwhile}"
    more = int(interval["jobs_ahead"]) - 1
    others = f" and {counted(more, 'more job')}" if more > 0 else ""
    head = f"job {interval['behind']} ({counted(head_size, 'accelerator')}){others}"
    if reserves(state.policy):
        return f"{policy} reserved accelerators for {head}{meanwhile}"
    return f"{head} came first under {policy}{meanwhile}"


def _meanwhile(interval: Mapping[str, Any], named: Collection[str] = ()) -> str:
    """Return which jobs the policy started meanwhile, without those that are named already."""
    shown = [str(job) for job in interval["started"] if str(job) not in named]
    count = int(interval["n_started"]) - (len(interval["started"]) - len(shown))
    if not count:
        return ""
    names = shown[:_MOST]
    more = count - len(names)
    names += [f"{more:,} more"] if more > 0 else []
    return f"; meanwhile {'job' if count == 1 else 'jobs'} {listed(names)} started"


def _holders(holders: Sequence[Mapping[str, Any]]) -> str:
    parts = [
        f"{counted(each['jobs'], 'other job')} ({format_number(each['accelerators'], 3)})"
        if "jobs" in each
        else f"job {each['job']} ({format_number(each['accelerators'], 3)})"
        for each in holders
    ]
    return listed(parts)
