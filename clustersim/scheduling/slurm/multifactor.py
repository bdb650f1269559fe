"""Multifactor priority: a weighted sum of factors between 0 and 1.

Source: Slurm's page "Multifactor Priority Plugin".  Everything is computed for all jobs at once;
arguments that are the same for all may be single numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError

__all__ = [
    "MAX_AGE_S",
    "Factors",
    "Weights",
    "age_factor",
    "job_size_factor",
    "normalised",
    "priority",
    "priority_terms",
]

MAX_AGE_S = 7 * 86400.0
"""Default of ``PriorityMaxAge``, seconds."""
_NAMES = ("age", "association", "fair_share", "job_size", "partition", "qos")


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of the factors (``PriorityWeightAge`` and so on); all are 0 by default.

    Attributes
    ----------
    age, association, fair_share, job_size, partition, qos : float
    tres : mapping of str to float
        ``PriorityWeightTRES`` by resource.

    Examples
    --------
    >>> Weights(age=1000, tres={"gpu": 500}).age
    1000
    """

    age: float = 0.0
    association: float = 0.0
    fair_share: float = 0.0
    job_size: float = 0.0
    partition: float = 0.0
    qos: float = 0.0
    tres: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in _NAMES}
        given |= {f"tres.{name}": weight for name, weight in self.tres.items()}
        problems = [f"{k}: must be 0 or more, found {v}" for k, v in given.items() if not v >= 0]
        if problems:
            raise InputError("weights", problems)


@dataclass(frozen=True, slots=True)
class Factors:
    """The factors of jobs, each between 0 and 1: one number, or an array of shape (n,).

    Factors that are not normalised (``NO_NORMAL_PART`` and the like) may be larger.

    Attributes
    ----------
    age, association, fair_share, job_size, partition, qos : float or array of float
    tres : mapping of str to float or array of float
        The part of each resource of its partition that each job requests.

    Examples
    --------
    >>> Factors(age=np.array([0.0, 0.5])).age.tolist()
    [0.0, 0.5]
    """

    age: npt.ArrayLike = 0.0
    association: npt.ArrayLike = 0.0
    fair_share: npt.ArrayLike = 0.0
    job_size: npt.ArrayLike = 0.0
    partition: npt.ArrayLike = 0.0
    qos: npt.ArrayLike = 0.0
    tres: Mapping[str, npt.ArrayLike] = field(default_factory=dict)


def priority_terms(weights: Weights, factors: Factors) -> dict[str, Floats]:
    """Return each weighted factor by name; those of resources are called ``tres.NAME``.

    Examples
    --------
    >>> terms = priority_terms(Weights(age=10, tres={"gpu": 4}), Factors(0.59, tres={"gpu": 0.5}))
    >>> terms["age"].item(), terms["tres.gpu"].item()
    (5.8999999999999995, 2.0)
    """
    terms = {
        name: getattr(weights, name) * np.asarray(getattr(factors, name), dtype=np.float64)
        for name in _NAMES
    }
    for name, weight in weights.tres.items():
        terms[f"tres.{name}"] = weight * np.asarray(factors.tres.get(name, 0.0), dtype=np.float64)
    return terms


def priority(
    weights: Weights, factors: Factors, *, site: npt.ArrayLike = 0, nice: npt.ArrayLike = 0
) -> Ints:
    """Return the priorities of jobs: the site's factor, plus all terms, minus their nice values.

    A priority is a whole number of at least 1, because 0 means that a job is held. Fractions are
    cut off, so that weights below about 1,000 make different jobs equal.

    Parameters
    ----------
    weights : Weights
    factors : Factors
    site : int or array of int
        The factor that a site's own plug-in sets.
    nice : int or array of int
        What the user gives away (positive), or what an administrator adds (negative).

    Returns
    -------
    array of int, shape (n,) or ()

    Examples
    --------
    >>> weights = Weights(age=1000, qos=2000)
    >>> priority(weights, Factors(age=np.array([0.5, 1.0]), qos=0.25), nice=100).tolist()
    [900, 1400]
    """
    total: Floats = np.asarray(site, dtype=np.float64)
    for term in priority_terms(weights, factors).values():
        total = total + term
    total = total - np.asarray(nice, dtype=np.float64)
    # A sum such as 0.1 x 30 + 0.7 x 10 falls short of a whole number by rounding alone.
    whole = np.floor(total + 1e-9 * np.maximum(1.0, np.abs(total)))
    return np.maximum(whole, 1).astype(np.int64)


def age_factor(waited_s: npt.ArrayLike, max_age_s: float = MAX_AGE_S) -> Floats:
    """Return the age factor: 1 from ``PriorityMaxAge`` on.

    Parameters
    ----------
    waited_s : float or array of float
        Time for which jobs have been waiting and eligible, seconds. The time in which a job waits
        for others that it depends on does not count.
    max_age_s : float
        ``PriorityMaxAge``, seconds.

    Raises
    ------
    InputError
        If `max_age_s` is not above 0.

    Examples
    --------
    >>> age_factor([0, 302400, 1e7]).tolist()
    [0.0, 0.5, 1.0]
    """
    if not max_age_s > 0:
        raise InputError("max_age_s", f"must be above 0, found {max_age_s:g}")
    return np.clip(np.asarray(waited_s, dtype=np.float64) / max_age_s, 0.0, 1.0)


def job_size_factor(
    nodes: npt.ArrayLike,
    cpus: npt.ArrayLike,
    cluster_nodes: float,
    cluster_cpus: float,
    *,
    favor_small: bool = False,
    time_limit_s: npt.ArrayLike | None = None,
) -> Floats:
    """Return the job size factor: the mean of the parts of the nodes and of the CPUs.

    A simulated cluster without CPUs counts accelerators instead.

    Parameters
    ----------
    nodes, cpus : float or array of float
        What each job requests.
    cluster_nodes, cluster_cpus : float
        What the cluster has.
    favor_small : bool
        ``PriorityFavorSmall``: small jobs have the large factor. The page says that a job of one
        node has the factor 1; Slurm's program gives its nodes' part as (N-1)/N, and so does this.
    time_limit_s : float or array of float, optional
        With ``SMALL_RELATIVE_TO_TIME``: time limits in seconds. The factor is then the CPUs,
        divided by the minutes of the time limit, as a part of the cluster's CPUs.

    Raises
    ------
    InputError
        If the cluster has no nodes or CPUs.

    Examples
    --------
    >>> job_size_factor([10, 5, 1], [160, 80, 16], 10, 160).tolist()
    [1.0, 0.5, 0.1]
    >>> job_size_factor([10, 5, 1], [160, 80, 16], 10, 160, favor_small=True).tolist()
    [0.0, 0.5, 0.9]
    """
    if not (cluster_nodes > 0 and cluster_cpus > 0):
        raise InputError("cluster", f"has {cluster_nodes:g} nodes and {cluster_cpus:g} CPUs")
    of_nodes = np.clip(np.asarray(nodes, dtype=np.float64) / cluster_nodes, 0.0, 1.0)
    of_cpus = np.clip(np.asarray(cpus, dtype=np.float64) / cluster_cpus, 0.0, 1.0)
    if time_limit_s is not None:
        minutes = np.maximum(np.asarray(time_limit_s, dtype=np.float64) / 60, 1.0)
        part = of_cpus / minutes
    else:
        part = (of_nodes + of_cpus) / 2
    return 1 - part if favor_small else part


def normalised(values: npt.ArrayLike) -> Floats:
    """Return values divided by the largest, as the priorities of partitions and of QOS are.

    Examples
    --------
    >>> normalised([20, 10, 0]).tolist()
    [1.0, 0.5, 0.0]
    """
    array = np.asarray(values, dtype=np.float64)
    largest = array.max(initial=0.0)
    return array / largest if largest > 0 else np.zeros_like(array)
