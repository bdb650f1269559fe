"""The trial values of a capacity search: their runs, and what was measured at each of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from clustersim.analysis.samples import Sample
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.objective import (
    ENOUGH_FOR_PILOT,
    NEEDED,
    OVERLOADED,
    PILOT_REPLICATIONS,
    Measured,
    measured_for_next,
)
from clustersim.studies.search_spec import LOAD, CapacitySearch, Objective

__all__ = [
    "Samples",
    "common_replications",
    "complete_runs",
    "measured_trials",
    "paired_runs",
    "value_at_full_load",
    "without_pilots",
]

Samples = Mapping[str, Mapping[str, Sample]]
"""Samples of each run by its hash; see :class:`~clustersim.analysis.measures.Measured`."""


def without_pilots(runs: pd.DataFrame, others: Sequence[str], of: str) -> pd.DataFrame:
    """Return the runs without the trial values of pilot searches, which have few replications.

    See :class:`~clustersim.studies.capacity.requests.CapacityRequest`.

    Parameters
    ----------
    runs : pandas.DataFrame
        See :func:`~clustersim.studies.runs_table.runs_table`.
    others : sequence of str
        Parameters other than the searched one.
    of : str
        The searched parameter.

    Examples
    --------
    >>> runs = pd.DataFrame({"load": [0.5] * 2 + [0.8] * 12, "draw": -1})
    >>> without_pilots(runs, [], "load")["load"].unique().tolist()
    [0.8]
    """
    ones = pd.Series(1, index=runs.index[runs["draw"] == POSTERIOR_MEAN])
    system = [runs.loc[ones.index, name] for name in others]
    value = runs.loc[ones.index, of]
    count = ones.groupby([*system, value], dropna=False).transform("sum")
    most = count.groupby(system, dropna=False).transform("max") if others else count.max()
    pilot = (count == PILOT_REPLICATIONS) & (most >= ENOUGH_FOR_PILOT)
    return runs.drop(index=count.index[pilot])


def complete_runs(runs: pd.DataFrame, of: str) -> pd.DataFrame:
    """Return the finished runs at the posterior mean, without the trial values of a pilot.

    Parameters
    ----------
    runs, of
        As for :func:`without_pilots`, of one combination of the other parameters.
    """
    own = without_pilots(runs, [], of)
    return own[(own["draw"] == POSTERIOR_MEAN) & (own["status"] == "finished")]


def measured_trials(
    runs: pd.DataFrame,
    search: CapacitySearch,
    objective: Objective,
    samples: Samples,
    *,
    measure: Callable[..., Measured] = measured_for_next,
) -> dict[float, Measured]:
    """Return the plain and the controlled measurement by trial value of the search.

    Parameters
    ----------
    runs : pandas.DataFrame
        Finished runs, of one combination of the other parameters and of one draw.
    search : CapacitySearch
    objective : Objective
    samples : mapping of str to mapping of str to Sample
    measure : callable
        Measures the runs at a value, as :func:`~clustersim.studies.objective.measured_for_next`.
    """
    tried: dict[float, Measured] = {}
    ordered = runs.sort_values("replication", kind="stable")
    for value in sorted(ordered[search.of].astype(np.float64).unique().tolist()):
        group = ordered[ordered[search.of] == value]
        metrics = _columns(group, objective)
        own = [samples.get(key, {}) for key in group["run"]]
        tried[value] = measure(objective, metrics, own)
    if tried and (full := value_at_full_load(runs, search)) <= search.between[1]:
        tried.setdefault(full, (OVERLOADED, {}))
    return tried


def paired_runs(runs: pd.DataFrame, of: str) -> pd.DataFrame:
    """Return the runs of the replications that finished at all trial values, if there are two.

    What each replication contributes to an error is compared between trial values.
    """
    common = common_replications(runs, runs, of)
    return runs[runs["replication"].isin(common)] if len(common) > 1 else runs


def common_replications(ours: pd.DataFrame, theirs: pd.DataFrame, of: str) -> list[int]:
    """Return the replications that both systems have at every trial value."""
    common: set[int] | None = None
    for runs in (ours, theirs):
        for _, at in runs.groupby(of):
            found = {int(number) for number in at["replication"]}
            common = found if common is None else common & found
    return sorted(common or ())


def value_at_full_load(runs: pd.DataFrame, search: CapacitySearch) -> float:
    """Return the value at which the offered load is 1; infinite if a search has none."""
    if search.more_is != "worse":
        return math.inf
    if search.of == LOAD:
        return 1.0
    load = runs.groupby(search.of, sort=True)["offered_load"].mean()
    values = load.index.to_numpy(dtype=np.float64)
    if not load.iloc[-1] > load.iloc[0]:
        return math.inf
    per_value = (load.iloc[-1] - load.iloc[0]) / (values[-1] - values[0])
    return float(values[-1] + (1.0 - load.iloc[-1]) / per_value)


def _columns(runs: pd.DataFrame, objective: Objective) -> dict[str, list[float]]:
    """Return the metrics that a measurement needs; NaN if runs of an earlier version lack one."""
    known = runs.reindex(columns=[objective.metric, *NEEDED, "replication"])
    return {str(name): known[name].tolist() for name in known}
