"""What each waiting job waits for, from the replications."""

from __future__ import annotations

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.forecasting.replicate import Replications
from clustersim.forecasting.snapshot import Snapshot
from clustersim.units import counted, format_duration

__all__ = ["CONSTRAINTS", "constraints"]

CONSTRAINTS = {
    "none": "it fits now and nothing is ahead of it",
    "accelerators": "too few accelerators are free, even if no other job waited",
    "partition": "as accelerators, but other partitions have enough free",
    "queue": "its place behind other jobs; alone it could start in less than half of the time",
    "limit": "a limit, such as on the tasks of an array that run at a time",
    "dependency": "a job that must end first (if that one is not simulated, nor is this one: only "
    "the time is given before which it cannot start, even if that one ended now)",
    "eligible time": "the time before which it may not start",
    "held": "the scheduler holds it: its start is not forecast",
    "never": "it cannot run on this cluster",
}
"""The constraints, and when each is the one that binds."""


def constraints(snapshot: Snapshot, found: Replications) -> pd.DataFrame:
    """Return the constraint that binds for each waiting job.

    Parameters
    ----------
    snapshot : Snapshot
    found : Replications

    Returns
    -------
    pandas.DataFrame
        ``constraint`` (a key of `CONSTRAINTS`), ``detail`` (in words), ``behind`` (the first job
        ahead of it), ``jobs_ahead``, ``accelerators_ahead``.
    """
    waiting = snapshot.waiting
    sizes = waiting["n_accelerators"].to_numpy(dtype=np.int64)
    median = {name: _median(getattr(found, name)) for name in ("start_s", "alone_s", "admitted_s")}
    masks = np.array(
        [sum(1 << index for index in choice) for choice in found.choices], dtype=object
    )
    ids = waiting["job_id"].to_numpy(dtype=object)
    rows = []
    in_queue: list[int] = []
    held_up: set[int] = set()
    for row in range(len(waiting)):
        ahead = [other for other in in_queue if masks[other] & masks[row]]
        able = [other for other in ahead if other not in held_up] or ahead
        delayed = [other for other in able if median["start_s"][other] > 0] or able
        facts = {
            "behind": str(ids[delayed[0]]) if delayed else "",
            "blockers": len(delayed),
            "jobs_ahead": len(ahead),
            "accelerators_ahead": int(sizes[ahead].sum()) if ahead else 0,
        }
        kind, detail = _why(row, waiting, found, median, facts)
        if kind not in ("held", "never") and row not in found.after_unknown:
            in_queue.append(row)
        if kind in ("limit", "dependency", "eligible time"):
            held_up.add(row)
        rows.append({"constraint": kind, "detail": detail, **facts})
    columns = ["constraint", "detail", "behind", "jobs_ahead", "accelerators_ahead"]
    return pd.DataFrame(rows, columns=columns)


def _median(values: Floats) -> Floats:
    if not values.size:
        return np.empty(values.shape[1])
    return np.asarray(np.quantile(values, 0.5, axis=0, method="lower"), dtype=np.float64)


def _why(
    row: int,
    waiting: pd.DataFrame,
    found: Replications,
    median: dict[str, Floats],
    facts: dict[str, object],
) -> tuple[str, str]:
    held = str(waiting["held"].iloc[row])
    if held:
        return "held", f"not forecast: {held}"
    if row in found.reasons:
        return "never", found.reasons[row]
    if row in found.after_unknown:
        return "dependency", found.after_unknown[row]
    start, alone, admitted = (median[name][row] for name in ("start_s", "alone_s", "admitted_s"))
    if start <= 0:
        return "none", "it can start now"
    if admitted >= start / 2:
        return _held_back(row, waiting, found)
    n = int(waiting["n_accelerators"].iloc[row])
    own = list(found.choices[row])
    free = int(found.free[own].sum())
    elsewhere = int(np.delete(found.free, own).max(initial=0))
    needs = f"needs {counted(n, 'accelerator')}, {free:,} free"
    if n <= free and alone > 0:
        needs += " but not together: nodes or pools are split up"
    behind, after = facts["behind"], waiting["depends_on"].iloc[row]
    alone = max(alone, admitted)
    could_start = f"alone it could start in {format_duration(alone)}"
    if after:
        could_start += f", after job {', '.join(after)}"
    if behind and alone < start / 2:
        more = int(str(facts["blockers"])) - 1
        others = f" and {more:,} more" if more > 0 else ""
        return "queue", f"behind job {behind}{others} ({needs}; {could_start})"
    if elsewhere >= n > free:
        place = str(waiting["vc"].iloc[row]).replace(",", " or ") or "its partition"
        return "partition", f"{needs} in {place}, {elsewhere:,} in another"
    if behind and alone <= 0:
        return "queue", f"behind job {behind} ({needs})"
    # Jobs that come later may be backfilled before the first one.
    return "accelerators", f"{needs}; {could_start}" if alone < start / 2 else needs


def _held_back(row: int, waiting: pd.DataFrame, found: Replications) -> tuple[str, str]:
    names = [found.groups[group] for group in found.limits_of.get(row, ())]
    if waiting["depends_on"].iloc[row]:
        return "dependency", f"after job {', '.join(waiting['depends_on'].iloc[row])}"
    if names:
        return "limit", "; ".join(names)
    return "eligible time", "it may not start before then"
