"""The cost of maintenance or reservations, which happen once and cannot be scaled to a year."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clustersim.whatif.groups import GroupNames
from clustersim.whatif.question import Question
from clustersim.whatif.runs import Measured, Task, run_tasks

__all__ = ["cost_once_cny"]


def cost_once_cny(
    question: Question,
    done: Sequence[tuple[Task, Measured]],
    names: GroupNames,
    *,
    workers: int | None = None,
) -> float:
    """Return what a change that happens once adds to the cost of the fleet, CNY.

    Work that a window only postpones is no saving: both sides are counted up to the time at which
    the last job of either has ended, so that both have done the same work and the side that ends
    first stands idle until then.

    Parameters
    ----------
    question : Question
    done : sequence of (Task, Measured)
        The runs of the question.
    names : GroupNames
    workers : int, optional
        See :func:`~clustersim.whatif.runs.run_tasks`.

    Returns
    -------
    float
        NaN if the change lasts or costs are not computed.
    """
    if not question.happens_once:
        return math.nan
    usual = {
        task.system: own for task, own in done if task.replication == 0 and not task.alternative
    }
    pair = [usual[system.key] for system in question.compared]
    if any(math.isnan(own.cost_cny) for own in pair):
        return math.nan
    end_s = max(own.end_s for own in pair)
    for place, system in enumerate(question.compared):
        if pair[place].end_s < end_s:
            tree = {**system.tree, "horizon": f"{end_s!r} s"}
            task = Task(system.key, 0, "", tree)
            [pair[place]] = run_tasks([task], question.log, names, workers=workers)
    before, after = pair
    return after.cost_cny - before.cost_cny
