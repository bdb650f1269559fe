"""Goodput-optimised allocations of elastic jobs: Sia's integer program and Pollux' fitness.

Both give each job a *configuration*, a pool and a number of accelerators, or nothing, from the
goodput that it would have in each. Sia: S. Jayaram Subramanya et al., "Sia: Heterogeneity-aware,
goodput-optimized ML-cluster scheduling", SOSP 2023, section 3.4. Pollux: A. Qiao et al., "Pollux:
Co-adaptive Cluster Scheduling for Goodput-Optimized Deep Learning", OSDI 2021, section 4.2.

Where the papers leave room we chose: a job that does not run pays no restart factor, since it has
to start anyway. Sia's two penalties are read as follows: ``no_allocation`` (1.1) for a job that
gets nothing, which is above the cost of the worst configuration, 1, so that running is always
better; ``change`` (0.01) for a running job whose configuration changes or is taken away. Pollux
searches with a genetic algorithm; its objective is a sum over jobs with one constraint, so we
solve it exactly with the same integer program.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError
from clustersim.scheduling.programs.options import Choice, Options, choose

__all__ = ["Configurations", "pollux", "power_mean", "restart_factors", "sia", "sia_utilities"]

_MANY = 2**62
"""More accelerators than any configuration has."""


@dataclass(frozen=True, kw_only=True)
class Configurations:
    """Jobs and the configurations that they can have.

    Parameters
    ----------
    pools, counts : array of int, shape (configurations,)
        Pool and number of accelerators of each configuration.
    goodputs : array of float, shape (jobs, configurations)
        Progress per second of each job in each configuration; 0 where it cannot run.
    accelerators : array of int, shape (pools,)
        Accelerators of each pool.
    current : array of int, shape (jobs,)
        Configuration that each job has now; -1 if it does not run.
    age_s, restarts, restart_delay_s : array of float, shape (jobs,)
        Seconds since the job first started, restarts so far, and the seconds that one takes.

    Raises
    ------
    InputError
        If shapes differ or a goodput is negative or not finite.
    """

    pools: Ints
    counts: Ints
    goodputs: Floats
    accelerators: Ints
    current: Ints
    age_s: Floats
    restarts: Floats
    restart_delay_s: Floats

    def __post_init__(self) -> None:
        jobs, configurations = self.goodputs.shape
        for name, length in (
            ("pools", configurations),
            ("counts", configurations),
            ("current", jobs),
            ("age_s", jobs),
            ("restarts", jobs),
            ("restart_delay_s", jobs),
        ):
            if getattr(self, name).shape != (length,):
                what = f"{name}: has the shape {getattr(self, name).shape}; must be ({length},)"
                raise InputError("configurations", what)
        if not np.isfinite(self.goodputs).all() or (self.goodputs < 0).any():
            raise InputError("configurations", "goodputs: must be finite and at least 0")


def restart_factors(configurations: Configurations) -> Floats:
    r"""Return by what each goodput is multiplied for the time that a restart takes.

    1 in the configuration that the job has; in others of a running job
    :math:`\max(0, (T - N S) / (T + S))` with its age T, its restarts N and the restart delay S
    (the same in both papers). Shape (jobs, configurations).

    Examples
    --------
    >>> import numpy as np
    >>> one = Configurations(pools=np.array([0, 0]), counts=np.array([1, 2]),
    ...                      goodputs=np.array([[1.0, 1.8]]), accelerators=np.array([2]),
    ...                      current=np.array([0]), age_s=np.array([900.0]),
    ...                      restarts=np.array([1.0]), restart_delay_s=np.array([100.0]))
    >>> restart_factors(one).tolist()
    [[1.0, 0.8]]
    """
    delay = configurations.restart_delay_s
    age = np.maximum(configurations.age_s, 0.0)
    kept = np.maximum(age - configurations.restarts * delay, 0.0)
    moved = np.divide(kept, age + delay, out=np.ones(len(age)), where=age + delay > 0)
    running = configurations.current >= 0
    factors = np.where(running[:, None], moved[:, None], 1.0)
    factors = np.repeat(factors, configurations.goodputs.shape[1], axis=1)
    factors[np.flatnonzero(running), configurations.current[running]] = 1.0
    return factors


def sia_utilities(configurations: Configurations) -> Floats:
    """Return normalised goodputs with restarts, shape (jobs, configurations).

    A row is divided by its smallest positive goodput and multiplied by the smallest number of
    accelerators with which the job can run, so that jobs of different speed and size compare.
    """
    goodputs = configurations.goodputs
    able = goodputs > 0
    smallest = np.where(able, goodputs, np.inf).min(axis=1, initial=np.inf)
    fewest = np.where(able, configurations.counts, _MANY).min(axis=1, initial=_MANY)
    scale = np.where(able.any(axis=1), fewest / smallest, 0.0)
    utilities: Floats = goodputs * scale[:, None] * restart_factors(configurations)
    return utilities


def sia(
    configurations: Configurations,
    *,
    fairness: float = -0.5,
    no_allocation: float = 1.1,
    change: float = 0.01,
    gap: float = 1e-4,
) -> Choice:
    """Choose configurations by Sia's integer program.

    With a negative ``fairness`` p the sum over jobs of utility**p is minimised, a job without a
    configuration counts ``no_allocation`` and a changed one ``change`` more; with a positive p the
    sum is maximised and the penalties are subtracted.

    Parameters
    ----------
    configurations : Configurations
        The jobs and what they can have.
    fairness : float
        Power p; the smaller, the more the slow jobs count. Not 0.
    no_allocation, change : float
        Penalties.
    gap : float
        Relative difference to the bound at which the search may stop.

    Returns
    -------
    Choice
        ``option[i]`` is the configuration of job i, or -1; value and bound are those of the sum
        of the gains against giving nothing to anybody.

    Examples
    --------
    Two jobs, two fast accelerators and one slow: the job that loses little takes the slow one.

    >>> import numpy as np
    >>> found = sia(Configurations(pools=np.array([0, 0, 1]), counts=np.array([1, 2, 1]),
    ...                            goodputs=np.array([[4.0, 7.0, 1.0], [3.2, 3.4, 3.0]]),
    ...                            accelerators=np.array([2, 1]), current=np.array([-1, -1]),
    ...                            age_s=np.zeros(2), restarts=np.zeros(2),
    ...                            restart_delay_s=np.zeros(2)), gap=0.0)
    >>> found.option.tolist()
    [1, 2]
    """
    if fairness == 0:
        raise InputError("sia", "fairness: is 0; must be below or above 0")
    utilities = sia_utilities(configurations)
    jobs, columns = np.nonzero(utilities > 0)
    gains = np.sign(fairness) * utilities[jobs, columns] ** fairness + no_allocation
    running = configurations.current[jobs] >= 0
    gains += change * (running & (configurations.current[jobs] == columns))
    return _largest_gain(configurations, jobs, columns, gains, gap)


def power_mean(speedups: Floats, power: float = -1.0) -> float:
    """Return Pollux' fitness: the power mean of the jobs' speed-ups.

    0 if the power is negative and a job has no speed-up.

    Examples
    --------
    >>> import numpy as np
    >>> power_mean(np.array([1.0, 3.0]))
    1.5
    """
    if power < 0 and (speedups <= 0).any():
        return 0.0
    return float(np.mean(speedups**power) ** (1.0 / power))


def pollux(
    configurations: Configurations,
    *,
    power: float = -1.0,
    idle_speedup: float = 0.01,
    gap: float = 1e-4,
) -> Choice:
    """Choose configurations that maximise Pollux' fitness.

    The speed-up of a job is its goodput, with the restart factor, over its goodput with an equal
    share of the cluster, which is the best of its configurations that is not above
    accelerators / jobs (at least its smallest one). On several pools speed-ups are relative to
    the share of the pool where it is largest; Pollux itself takes the cluster to be homogeneous.

    Parameters
    ----------
    configurations : Configurations
        The jobs and what they can have.
    power : float
        Power p of the mean, not 0; -1 is the harmonic mean.
    idle_speedup : float
        Speed-up that counts for a job without accelerators; with 0 the fitness of a negative power
        would be 0 as soon as one job waits.
    gap : float
        Relative difference to the bound at which the search may stop.

    Returns
    -------
    Choice
        ``option[i]`` is the configuration of job i, or -1; value and bound are those of the sum
        over jobs of speed-up**p, against giving nothing to anybody, as a gain.

    Examples
    --------
    >>> import numpy as np
    >>> found = pollux(Configurations(pools=np.zeros(3, dtype=int), counts=np.array([1, 2, 3]),
    ...                               goodputs=np.array([[1.0, 1.9, 2.8], [1.0, 1.2, 1.3]]),
    ...                               accelerators=np.array([4]), current=np.array([-1, -1]),
    ...                               age_s=np.zeros(2), restarts=np.zeros(2),
    ...                               restart_delay_s=np.zeros(2)), gap=0.0)
    >>> found.option.tolist()
    [2, 0]
    """
    if power == 0:
        raise InputError("pollux", "power: is 0; must be below or above 0")
    if power < 0 and idle_speedup <= 0:
        raise InputError("pollux", f"idle_speedup: is {idle_speedup}; must be above 0")
    speedups = _speedups(configurations)
    jobs, columns = np.nonzero(speedups > 0)
    gains = np.sign(power) * (speedups[jobs, columns] ** power - idle_speedup**power)
    return _largest_gain(configurations, jobs, columns, gains, gap)


def _speedups(configurations: Configurations) -> Floats:
    """Return goodputs with restarts over those with an equal share of the cluster."""
    goodputs = configurations.goodputs
    share = configurations.accelerators[configurations.pools] / max(1, len(goodputs))
    able = goodputs > 0
    fewest = np.where(able, configurations.counts, _MANY)
    limit = np.maximum(share, fewest.min(axis=1, initial=_MANY, keepdims=True))
    fair = np.where(configurations.counts <= limit, goodputs, 0.0).max(axis=1, initial=0.0)
    scale = np.divide(1.0, fair, out=np.zeros(len(fair)), where=fair > 0)
    speedups: Floats = goodputs * scale[:, None] * restart_factors(configurations)
    return speedups


def _largest_gain(
    configurations: Configurations, jobs: Ints, columns: Ints, gains: Floats, gap: float
) -> Choice:
    """Choose the configurations with the largest sum of gains, at most one of each job.

    Each row of `jobs`, `columns` and `gains` is a configuration that a job can have.
    """
    found = choose(
        Options(
            jobs=jobs,
            pools=configurations.pools[columns],
            counts=configurations.counts[columns],
            values=gains,
            n_jobs=len(configurations.goodputs),
            accelerators=configurations.accelerators,
        ),
        gap=gap,
    )
    if not len(columns):  # no job can have any
        return found
    option = np.where(found.option >= 0, columns[np.maximum(found.option, 0)], -1)
    return Choice(option, found.value, found.bound)
