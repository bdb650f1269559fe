"""What the allocation programs are given: jobs with their rates on each pool, and the pools.

The programs answer with time fractions (D. Narayanan et al., "Heterogeneity-Aware Cluster
Scheduling Policies for Deep Learning Workloads", OSDI 2020, section 4): ``x[i, j]`` is the
fraction of time that job ``i`` runs on pool ``j``. A job runs on one pool at a time, with its
whole gang.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError

__all__ = ["Allocation", "AllocationProblem"]


@dataclass(frozen=True, kw_only=True)
class AllocationProblem:
    """Jobs and pools at one instant.

    Parameters
    ----------
    rates : array of float, shape (jobs, pools)
        Steps per second of the whole job on each pool; 0 where it cannot run. Rates on a pool
        with fewer accelerators than the gang count as 0.
    gangs : array of int, shape (jobs,)
        Accelerators of each job.
    accelerators : array of int, shape (pools,)
        Accelerators of each pool.
    remaining_steps : array of float, shape (jobs,), optional
        Steps left; needed for the makespan and for finish-time fairness.
    since_arrival_s : array of float, shape (jobs,), optional
        Seconds since the job arrived; 0 by default.
    isolated_so_far_s : array of float, shape (jobs,), optional
        Seconds that the steps done so far would have taken with an equal share of the cluster;
        0 by default.
    weights : array of float, shape (jobs,), optional
        Weights of the jobs in max-min fairness; 1 by default.
    prices : array of float, shape (pools,), optional
        Price of an accelerator of each pool for an hour; equal by default.

    Raises
    ------
    InputError
        If shapes differ, a value is negative or not finite, or a gang, a number of remaining
        steps, a weight or a price is 0.

    Examples
    --------
    >>> problem = AllocationProblem(rates=[[4.0, 1.0]], gangs=[2], accelerators=[8, 8])
    >>> problem.n_jobs, problem.n_pools
    (1, 2)
    """

    rates: Floats
    gangs: Ints
    accelerators: Ints
    remaining_steps: Floats | None = None
    since_arrival_s: Floats | None = None
    isolated_so_far_s: Floats | None = None
    weights: Floats | None = None
    prices: Floats | None = None

    def __post_init__(self) -> None:
        rates = np.asarray(self.rates, dtype=np.float64)
        if rates.ndim != 2:
            _refuse("rates", f"has {rates.ndim} dimensions; must have 2 (jobs, pools)")
        jobs, pools = rates.shape
        _checked(self, "rates", rates, (jobs, pools), at_least_0=True)
        for name, length, zero in (
            ("gangs", jobs, False),
            ("accelerators", pools, True),
            ("remaining_steps", jobs, False),
            ("since_arrival_s", jobs, True),
            ("isolated_so_far_s", jobs, True),
            ("weights", jobs, False),
            ("prices", pools, False),
        ):
            values = getattr(self, name)
            if values is None:
                continue
            if name in ("gangs", "accelerators"):
                whole = np.asarray(values, dtype=np.int64)
                _checked(self, name, whole, (length,), at_least_0=zero)
            else:
                real = np.asarray(values, dtype=np.float64)
                _checked(self, name, real, (length,), at_least_0=zero)
        fits = self.gangs[:, None] <= self.accelerators
        _checked(self, "rates", np.where(fits, self.rates, 0.0), (jobs, pools), at_least_0=True)

    @property
    def n_jobs(self) -> int:
        """Number of jobs."""
        return int(self.rates.shape[0])

    @property
    def n_pools(self) -> int:
        """Number of pools."""
        return int(self.rates.shape[1])

    @cached_property
    def equal_split(self) -> Floats:
        """Fractions if each pool is divided equally among the jobs, regardless of their gangs.

        Shape (jobs, pools); each row adds up to at most 1.
        """
        if not self.n_jobs:
            return np.zeros(self.rates.shape)
        row = self.accelerators / self.n_jobs
        return np.tile(row / max(1.0, float(row.sum())), (self.n_jobs, 1))

    @cached_property
    def isolated(self) -> Floats:
        """Fractions if each job has an equal share of each pool to itself.

        A gang of g accelerators needs g times the time for the same share. Shape (jobs, pools);
        each row adds up to at most 1.
        """
        if not self.n_jobs:
            return np.zeros(self.rates.shape)
        split = self.accelerators / self.n_jobs / self.gangs[:, None]
        fractions: Floats = split / np.maximum(1.0, split.sum(axis=1, keepdims=True))
        return fractions

    @cached_property
    def isolated_rates(self) -> Floats:
        """Steps per second of each job under `isolated`."""
        return self.effective_rates(self.isolated)

    @cached_property
    def normalised_rates(self) -> Floats:
        """Rates on each pool, times the gang, over the job's rate under `equal_split` and weight.

        The normalised throughput of max-min fairness; shape (jobs, pools). A job that cannot run
        on any pool has zeros.
        """
        split = self.effective_rates(self.equal_split)
        if self.weights is not None:
            split = split * self.weights
        scale = np.divide(self.gangs, split, out=np.zeros(self.n_jobs), where=split > 0)
        normalised: Floats = self.rates * scale[:, None]
        return normalised

    def effective_rates(self, fractions: Floats) -> Floats:
        """Return steps per second of each job, averaged over time."""
        rates: Floats = (self.rates * fractions).sum(axis=1)
        return rates


@dataclass(frozen=True)
class Allocation:
    """Answer of a program.

    Parameters
    ----------
    fractions : array of float, shape (jobs, pools)
        Fraction of time of each job on each pool; rows add up to at most 1, and the accelerators
        in use on average to at most those of the pool.
    objective : float
        Value of the program's objective for these fractions; its meaning depends on the program.
    programs : int
        Number of linear programs solved.
    losses : array of float, shape (jobs, pools), optional
        What a unit of further time of a pair would take from the objective (reduced costs): 0
        where the fraction is positive. Accelerators that are left over go to small losses first.
    """

    fractions: Floats
    objective: float
    programs: int = 1
    losses: Floats | None = None


def _checked(
    problem: AllocationProblem,
    name: str,
    values: npt.NDArray[np.float64] | npt.NDArray[np.int64],
    shape: tuple[int, ...],
    *,
    at_least_0: bool,
) -> None:
    """Check an array of a problem and store it, read-only."""
    if values.shape != shape:
        _refuse(name, f"has the shape {values.shape}; must be {shape}")
    wrong = ~np.isfinite(values) | ((values < 0) if at_least_0 else (values <= 0))
    if wrong.any():
        at = tuple(int(k) for k in np.argwhere(wrong)[0])
        allowed = "finite and at least 0" if at_least_0 else "finite and above 0"
        _refuse(name, f"is {values[at]} at {list(at)}; must be {allowed}")
    values = values.copy()
    values.flags.writeable = False
    object.__setattr__(problem, name, values)


def _refuse(name: str, what: str) -> None:
    raise InputError("allocation program", f"{name}: {what}")
