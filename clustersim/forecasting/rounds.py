"""Refuses forecasts with too many rounds, under policies that solve a program in each."""

from __future__ import annotations

import math

import numpy as np

from clustersim.errors import InputError
from clustersim.forecasting.case import Case
from clustersim.scheduling.policies.elastic_rounds import ElasticRounds
from clustersim.seeds import Streams
from clustersim.units import format_duration

__all__ = ["check_rounds"]

_MOST_ROUNDS = 20_000
"""Rounds of all replications together that a forecast may take: about a minute for few jobs."""
_STEP_S = 60.0


def check_rounds(case: Case, replications: int, seed: int) -> None:
    """Raise an error if the replications have too many rounds of the policy.

    Parameters
    ----------
    case : Case
    replications, seed : int
        As for :func:`clustersim.forecast`.

    Raises
    ------
    InputError
        The message says the number of replications and the length of a round that are possible.
    """
    if not issubclass(case.policy, ElasticRounds):
        return
    jobs = case.snapshot.jobs
    run_s = case.run_times.drawer(jobs)(Streams(seed, replication=0))
    elapsed_s = np.nan_to_num(jobs["elapsed_s"].to_numpy(dtype=np.float64), nan=0.0)
    left_s = np.maximum(run_s - elapsed_s, 0.0)
    sizes = jobs["n_accelerators"].to_numpy(dtype=np.float64)
    work_s = float((sizes * left_s).sum()) / sum(pool.n_chips for pool in case.cluster.pools)
    time_s = max(float(left_s.max(initial=0.0)), work_s)
    each = math.ceil(time_s / case.policy.round)
    if each * replications <= _MOST_ROUNDS:
        return
    longer_s = math.ceil(time_s * replications / _MOST_ROUNDS / _STEP_S) * _STEP_S
    fewer = _MOST_ROUNDS // each
    few = f"--replications {fewer}, " if fewer else ""
    raise InputError(
        "forecast",
        f"policy {case.policy.__name__} solves a program every "
        f"{format_duration(case.policy.round)}: {replications:,} replications of about "
        f"{format_duration(time_s)} are {each * replications:,} rounds, more than "
        f"{_MOST_ROUNDS:,}; give {few}longer rounds (--option round={longer_s:.0f}), shorter "
        "limits (--default-limit) or another policy (--policy)",
    )
