"""How far simulated waits are from recorded ones.

The distance of two distributions of waits is the Wasserstein distance of order 1 (the area between
their cumulative distributions, also earth mover's distance), in seconds: the mean amount by which
waits would have to change.  It is at least the difference of the means.  Ramdas, García Trillos and
Cuturi, "On Wasserstein two-sample testing and related families of nonparametric tests", Entropy
19(2), 2017; :func:`scipy.stats.wasserstein_distance`.

The distance of two sets of waits is the mean of this, over jobs, within each partition and size
class.  A policy that makes small jobs wait instead of large ones is therefore not near, although
the distribution over all jobs could be the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.stats import spearmanr, t, wasserstein_distance

from clustersim.array_types import Floats, Ints

__all__ = [
    "LIMITS_S",
    "distance_s",
    "given_comparison",
    "is_surely_less",
    "statistics_of",
    "wait_comparison",
]

LIMITS_S = {"10_min": 600.0, "1_h": 3600.0, "1_d": 86400.0}
"""Waits beyond which jobs are counted."""
_GROUPS, _LEVEL = 20, 0.05


def distance_s(recorded_s: Floats, simulated_s: Floats, stratum: Ints) -> float:
    """Return the mean over jobs of the Wasserstein distance within each stratum, seconds.

    Parameters
    ----------
    recorded_s, simulated_s : float64 arrays (jobs,)
    stratum : int64 array (jobs,)
        Number of the partition and size class of each job.

    Examples
    --------
    Two jobs that swap their waits are at no distance if they are of one kind, else at 5 s:

    >>> one, other = np.array([0.0, 5.0]), np.array([5.0, 0.0])
    >>> distance_s(one, other, np.array([0, 0])), distance_s(one, other, np.array([0, 1]))
    (0.0, 5.0)
    """
    if not len(recorded_s):
        return math.nan
    order = np.argsort(stratum, kind="stable")
    edges = np.flatnonzero(np.diff(stratum[order])) + 1
    total = 0.0
    for part in np.split(order, edges):
        total += len(part) * float(wasserstein_distance(recorded_s[part], simulated_s[part]))
    return total / len(recorded_s)


def is_surely_less(
    recorded_s: Floats, before_s: Floats, after_s: Floats, stratum: Ints, candidates: int = 1
) -> bool:
    """Return whether a distance is lower than another one by more than chance.

    The standard error of the difference is that of a jackknife which leaves out one of 20 groups of
    jobs at a time (every 20th job is in one group): Efron and Tibshirani, "An introduction to the
    bootstrap", 1993, chapter 11.  The difference must be above 0 at a level of 5 %, divided by the
    number of candidates of which the best is taken (Bonferroni).  Jobs that wait at the same time
    are not independent, so this is necessary and not sufficient.

    Parameters
    ----------
    recorded_s, before_s, after_s : float64 arrays (jobs,)
        Recorded waits, and those of two replays.
    stratum : int64 array (jobs,)
        As for `distance_s`.
    candidates : int

    Examples
    --------
    Waits that are too short by 10 s become too short by 5 s; a single job becomes right:

    >>> recorded, stratum = np.arange(100.0), np.zeros(100, dtype=int)
    >>> is_surely_less(recorded, recorded - 10, recorded - 5, stratum)
    True
    >>> before, after = recorded.copy(), recorded.copy()
    >>> before[:2], after[:1] = -1000.0, -999.0
    >>> is_surely_less(recorded, before, after, stratum)
    False
    """
    every = np.arange(len(recorded_s)) % _GROUPS
    falls = []
    for group in np.unique(every).tolist():
        kept = every != group
        if kept.any():
            own = recorded_s[kept], stratum[kept]
            falls.append(
                distance_s(own[0], before_s[kept], own[1])
                - distance_s(own[0], after_s[kept], own[1])
            )
    count = len(falls)
    fall = distance_s(recorded_s, before_s, stratum) - distance_s(recorded_s, after_s, stratum)
    if count < 2:
        return False
    spread = np.asarray(falls) - np.mean(falls)
    error = math.sqrt((count - 1) / count * float((spread**2).sum()))
    return fall > float(t.isf(_LEVEL / max(candidates, 1), count - 1)) * error


def statistics_of(wait_s: Floats) -> dict[str, float]:
    """Return mean, median, 95th percentile (seconds) and shares of long waits of the jobs.

    Examples
    --------
    >>> found = statistics_of(np.array([0.0, 1200.0]))
    >>> found["mean_wait_s"], found["over_10_min"]
    (600.0, 0.5)
    """
    if not len(wait_s):
        names = ("mean_wait_s", "median_wait_s", "p95_wait_s", *(f"over_{key}" for key in LIMITS_S))
        return dict.fromkeys(names, math.nan)
    median, p95 = np.quantile(wait_s, [0.5, 0.95])
    found = {
        "mean_wait_s": float(wait_s.mean()),
        "median_wait_s": float(median),
        "p95_wait_s": float(p95),
    }
    return found | {
        f"over_{key}": float((wait_s > limit).mean()) for key, limit in LIMITS_S.items()
    }


def wait_comparison(recorded_s: Floats, simulated_s: Floats, stratum: Ints) -> dict[str, float]:
    """Return the statistics of simulated waits, and how far they are from the recorded ones.

    ``distance_s`` (see the module), ``wasserstein_s`` (of all jobs together), ``ks`` (the largest
    difference of the cumulative distributions: the statistic of Kolmogorov and Smirnov),
    ``spearman`` (rank correlation of the waits of the same jobs; NaN if all waits are equal) and
    ``error_s`` (mean absolute difference of the waits of the same job).
    """
    varied = np.ptp(recorded_s) > 0 and np.ptp(simulated_s) > 0 if len(recorded_s) > 1 else False
    return statistics_of(simulated_s) | {
        "distance_s": distance_s(recorded_s, simulated_s, stratum),
        "wasserstein_s": float(wasserstein_distance(recorded_s, simulated_s)),
        "ks": _largest_gap(recorded_s, simulated_s),
        "spearman": float(spearmanr(recorded_s, simulated_s).statistic) if varied else math.nan,
        "error_s": float(np.abs(recorded_s - simulated_s).mean()),
    }


def _largest_gap(one: Floats, other: Floats) -> float:
    """Return the statistic of Kolmogorov and Smirnov of two samples, without its p-value."""
    values = np.concatenate((one, other))
    shares = [
        np.searchsorted(np.sort(own), values, side="right") / len(own) for own in (one, other)
    ]
    return float(np.abs(shares[0] - shares[1]).max())


def given_comparison(given: Mapping[str, float], simulated_s: Floats) -> dict[str, float]:
    """Return the statistics of simulated waits next to a known mean.

    The distance is then the difference of the means, which the Wasserstein distance is not below.

    Examples
    --------
    >>> given_comparison({"mean": 500.0}, np.array([0.0, 1200.0]))["distance_s"]
    100.0
    """
    own = statistics_of(simulated_s)
    return own | {"distance_s": abs(own["mean_wait_s"] - given["mean"])}
