"""What is known of the runs of a study while it runs, as the tables of its result need it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from clustersim.analysis.samples import Sample
from clustersim.studies.base import Run
from clustersim.studies.objective import NEEDED
from clustersim.studies.points import is_control
from clustersim.studies.spec import Replications
from clustersim.studies.store import Outcome

__all__ = ["Known", "all_known", "finished_runs", "more_replications", "samples_of"]

Known = Mapping[str, Outcome]
"""Outcomes of finished runs by hash."""


def all_known(runs: Iterable[Run], known: Known) -> bool:
    """Return whether all runs have an outcome."""
    return all(run.key in known for run in runs)


def finished_runs(
    runs: Sequence[Run],
    known: Known,
    metric: str,
    values: Mapping[str, Sequence[Any]] | None = None,
) -> pd.DataFrame:
    """Return the table of those runs that did not fail.

    Parameters
    ----------
    runs : sequence of Run
    known : mapping of str to Outcome
    metric : str
        Metric that the table has besides the controls and what shows overload.
    values : mapping of str to sequence, optional
        Further columns, with a value for each run.

    Returns
    -------
    pandas.DataFrame
        ``run`` (its hash), ``replication``, the further columns and the metrics, as in
        :func:`~clustersim.studies.runs_table.runs_table`.
    """
    more = values or {}
    rows = []
    for place, run in enumerate(runs):
        outcome = known[run.key]
        if outcome.failed:
            continue
        controls = {name: value for name, value in outcome.metrics.items() if is_control(name)}
        named = {name: outcome.metrics.get(name, math.nan) for name in (*NEEDED, metric)}
        own = {name: column[place] for name, column in more.items()}
        rows.append({"run": run.key, "replication": run.replication, **own, **controls, **named})
    columns = ["run", "replication", *more, *NEEDED, metric]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)


def samples_of(runs: Iterable[Run], known: Known) -> dict[str, Mapping[str, Sample]]:
    """Return the samples of each run by its hash."""
    return {run.key: known[run.key].samples for run in runs}


def more_replications(rule: Replications, count: int, half: float, enough: float) -> int:
    """Return the total number of replications for an interval as narrow as a rule demands.

    The width of an interval is assumed to be inversely proportional to the root of the number of
    replications (Law, "Simulation Modeling and Analysis", section 9.4.1).  No step more than
    doubles the number, because the width from few replications is itself uncertain.

    Parameters
    ----------
    rule : Replications
    count : int
        Replications so far.
    half, enough : float
        Half width of the interval, and the largest one that is allowed.

    Returns
    -------
    int
        `count` if the interval is narrow enough, or there must be no more replications.

    Examples
    --------
    >>> rule = Replications(at_most=50, relative_width=0.1)
    >>> more_replications(rule, 20, 0.12, 0.1), more_replications(rule, 20, 0.9, 0.1)
    (29, 40)
    >>> more_replications(rule, 20, 0.09, 0.1), more_replications(rule, 40, math.inf, 0.1)
    (20, 50)
    """
    if half <= enough or count >= rule.at_most:
        return count
    most = min(rule.at_most, 2 * count)
    if not (enough > 0 and math.isfinite(half)):
        return most
    return min(most, math.ceil(count * min((half / enough) ** 2, 2.0)))
