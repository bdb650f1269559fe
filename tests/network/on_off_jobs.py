"""Plain twins of shared trunks: max-min fairness, and jobs that compute and send in turns."""

from __future__ import annotations

import numpy as np

from clustersim.array_types import Bools, Floats


def max_min_shares(capacity: Floats, demand: Floats, active: Bools) -> Floats:
    """Return the max-min fair shares, at most 1, of the active jobs; `demand` is (jobs, trunks)."""
    share, left, growing = np.zeros(len(demand)), capacity.astype(float), active.copy()
    while growing.any():
        load = demand[growing].sum(axis=0)
        level = np.divide(left, load, out=np.full(len(left), np.inf), where=load > 0)
        least = min(level.min(initial=np.inf), 1.0)
        stop = growing & (demand[:, level <= least * (1 + 1e-12)] > 0).any(axis=1)
        if least == 1.0:
            stop = growing.copy()
        share[stop] = least
        left = np.maximum(left - (demand[stop] * least).sum(axis=0), 0.0)
        growing &= ~stop
    return share


def mean_steps_s(
    capacity: Floats,
    demand: Floats,
    compute_s: Floats,
    send_s: Floats,
    *,
    steps: int,
    rng: np.random.Generator,
) -> Floats:
    """Simulate jobs that compute and then send; return the mean step time of each.

    While several jobs send, their rates are max-min fair.  Computation varies by 5 %, so that jobs
    do not stay in step.
    """
    n = len(compute_s)
    sends = np.zeros(n, dtype=bool)
    left = compute_s * rng.random(n)
    ended: list[list[float]] = [[] for _ in range(n)]
    now, until, rate = 0.0, steps * float((compute_s + send_s).max()), np.ones(n)
    while now < until:
        wait = left / rate
        job = int(np.argmin(wait))
        now += wait[job]
        left = left - wait[job] * rate
        if sends[job]:
            ended[job].append(now)
        sends[job] = not sends[job]
        left[job] = send_s[job] if sends[job] else compute_s[job] * rng.uniform(0.95, 1.05)
        rate = np.where(sends, max_min_shares(capacity, demand, sends), 1.0)
    skipped = [len(each) // 10 for each in ended]
    return np.array(
        [
            (each[-1] - each[skip]) / (len(each) - 1 - skip)
            for each, skip in zip(ended, skipped, strict=True)
        ]
    )
