"""Gains in capacity from one system to another, under common random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import pandas as pd
from scipy import special

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.root_search import Root, RootSearch, begins_overload
from clustersim.studies.capacity.trials import (
    Samples,
    common_replications,
    complete_runs,
    measured_trials,
)
from clustersim.studies.design import column_value
from clustersim.studies.objective import (
    Measured,
    chosen,
    measured_for_next,
    plain_of,
    root_search,
)
from clustersim.studies.points import estimates_beside, groups_by
from clustersim.studies.search_spec import LOAD, CapacitySearch, Objective
from clustersim.studies.spec import Comparison

__all__ = ["Gain", "gains_table", "paired_gain"]

UNKNOWN = Estimate(math.nan, math.nan, math.nan)
SAME = 1e-9
"""Relative difference below which two rates of jobs are the same."""


def gains_table(
    runs: pd.DataFrame,
    others: Sequence[str],
    compare: Comparison,
    search: CapacitySearch,
    objective: Objective,
    *,
    samples: Samples = MappingProxyType({}),
) -> pd.DataFrame:
    """Compare the capacities of systems under common random numbers.

    Both systems use the same random numbers, so the errors of their capacities partly cancel.  For
    each replication that both have, the contributions to the errors of the two capacities are
    subtracted, and Student's t applies to the root of the sum of squares of these differences.
    Both capacities have a control variate, or none: otherwise, their noise would not cancel.  If
    overload begins at a capacity, the ends are the least and the largest difference of
    the two intervals, and `note` says that they are not a 95 % interval.  Gains of whole numbers
    are not rounded.

    Parameters
    ----------
    runs, others, search, objective, samples
        See :func:`capacities_table`.
    compare : Comparison
        The parameter whose values are compared, and the baseline.

    Returns
    -------
    pandas.DataFrame
        The parameters other than the compared and the searched one, ``system``, ``baseline``,
        ``replications``, ``pairs`` (replications that both have at every trial value), ``gain``
        (capacity of the system minus capacity of the baseline) with ``gain_low`` and ``gain_high``
        (95 %; NaN if a capacity lies beyond the trial values), ``same_jobs`` (whether both systems
        are offered the same jobs per day at equal values of the searched parameter) and ``note``.
        For an offered load, ``same_jobs`` is false if the compared parameter changes what the fleet
        can do.
    """
    rows = []
    for values, group in groups_by(runs, [name for name in others if name != compare.of]):
        reference = column_value(compare.baseline)
        baseline = complete_runs(group[group[compare.of] == reference], search.of)
        for system, every in group.groupby(compare.of, sort=False):
            own = complete_runs(every, search.of)
            if system == reference or baseline.empty or own.empty:
                continue
            found = paired_gain(own, baseline, search, objective, samples=samples)
            two = pd.concat([own, baseline])
            compared = {
                "system": system,
                "baseline": reference,
                "replications": int(two["replication"].nunique()),
                "pairs": found.pairs,
                "same_jobs": _same_jobs(two, compare.of, search.of),
            }
            estimates = estimates_beside("gain", found.plain, found.controlled)
            rows.append({**values, **compared, **estimates, "note": found.note})
    return pd.DataFrame(rows)


@dataclass(frozen=True, slots=True)
class Gain:
    """The gain in capacity from a baseline to a system.

    Attributes
    ----------
    pairs : int
        Replications that both have at every trial value.
    plain : Estimate
        The gain without control variates; NaN if it is not known.
    controlled : Estimate or None
        The gain with control variates; None if none is used.
    baseline : float
        Capacity of the baseline over these replications.
    note : str
        Why the ends are not those of a 95 % interval; empty if they are.
    """

    pairs: int
    plain: Estimate = UNKNOWN
    controlled: Estimate | None = None
    baseline: float = math.nan
    note: str = ""

    @property
    def best(self) -> Estimate:
        """The controlled gain if there is one."""
        return self.controlled or self.plain


def paired_gain(
    own: pd.DataFrame,
    baseline: pd.DataFrame,
    search: CapacitySearch,
    objective: Objective,
    *,
    samples: Samples = MappingProxyType({}),
    measure: Callable[..., Measured] = measured_for_next,
) -> Gain:
    """Return the gain in capacity from a baseline to a system; see :func:`gains_table`.

    Parameters
    ----------
    own, baseline : pandas.DataFrame
        Finished runs of each at the posterior mean.
    search, objective, samples
        See :func:`capacities_table`.
    measure : callable
        See :func:`~clustersim.studies.capacity.trials.measured_trials`.
    """
    both = common_replications(own, baseline, search.of)
    if len(both) < 2:
        return Gain(len(both))
    ours, theirs = (
        measured_trials(
            each[each["replication"].isin(both)], search, objective, samples, measure=measure
        )
        for each in (own, baseline)
    )
    return _gain(ours, theirs, root_search(search, objective), len(both))


def _gain(
    ours: Mapping[float, Measured],
    theirs: Mapping[float, Measured],
    finder: RootSearch,
    pairs: int,
) -> Gain:
    """Return the gain with control variates if both capacities have one, else without."""
    systems = (ours, theirs)
    own, plain = [chosen(each, finder) for each in systems], [plain_of(each) for each in systems]
    is_controlled = all(each != without for each, without in zip(own, plain, strict=True))
    roots = [finder.result(each) for each in (own if is_controlled else plain)]
    note, base = "", roots[1].crossing
    if any(begins_overload(root.note) for root in roots):
        note = "overload begins at a capacity: bounds, not a 95 % interval"
    best = _difference(*roots)
    if not is_controlled or note or not math.isfinite(best.value):
        return Gain(pairs, best, None, base, note)
    without = _difference(*(finder.result(each, extend=True) for each in plain))
    ratio = (best.high - best.low) / (without.high - without.low)
    explained = max(0.0, 1.0 - ratio**2) if math.isfinite(ratio) else math.nan
    return Gain(pairs, without, replace(best, explained=explained), base, note)


def _difference(ours: Root, theirs: Root) -> Estimate:
    """Return the difference of two capacities with its interval."""
    gain = ours.crossing - theirs.crossing
    if not math.isfinite(gain):
        return UNKNOWN
    freedom = min(ours.freedom, theirs.freedom)
    if not freedom or len(ours.influence) != len(theirs.influence):
        return Estimate(gain, ours.low - theirs.high, ours.high - theirs.low)
    parts = np.array(ours.influence) - np.array(theirs.influence)
    half = float(special.stdtrit(freedom, 0.975) * math.sqrt((parts**2).sum()))
    return Estimate(gain, gain - half, gain + half)


def _same_jobs(runs: pd.DataFrame, compared: str, searched: str) -> bool:
    """Whether both systems are offered the same jobs at equal values of the searched parameter."""
    rate = runs["jobs_per_day"] / runs[searched].astype(np.float64)
    means = rate.groupby(runs[compared], sort=False).mean()
    return searched != LOAD or bool(np.ptp(means) <= SAME * means.max())
