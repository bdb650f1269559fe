"""M/M/c as a scenario, and what is known of it."""

from __future__ import annotations

import math
from typing import Any

from scipy.optimize import brentq

SERVICE_S = 60.0


def scenario(servers: int, load: float, jobs: int, seed: int = 0) -> dict[str, Any]:
    """Poisson arrivals at `servers` accelerators, exponential run times, FCFS."""
    pool = {"accelerator": "H200", "nodes": 1, "chips_per_node": servers}
    job_class = {
        "name": "job",
        "weight": 1,
        "sizes": {1: 1},
        "duration": {"kind": "exponential", "average": f"{SERVICE_S} s"},
    }
    return {
        "cluster": {"name": "mmc", "pools": {"servers": pool}},
        "workload": {
            "generate": {"arrivals": {"mean_interarrival": "1 min"}, "classes": [job_class]},
            "jobs": jobs,
            "load": load,
        },
        "scheduler": {"policy": "fcfs", "placement": "pooled"},
        "seed": seed,
    }


def erlang_c(servers: int, load: float) -> float:
    """Probability to wait (A. K. Erlang, 1917), from Erlang B by recursion."""
    offered, blocked = servers * load, 1.0
    for c in range(1, servers + 1):
        blocked = offered * blocked / (c + offered * blocked)
    return blocked / (1 - load * (1 - blocked))


def mean_wait_s(servers: int, load: float) -> float:
    """Mean wait in the steady state."""
    return erlang_c(servers, load) * SERVICE_S / (servers * (1 - load))


def wait_quantile_s(servers: int, load: float, q: float) -> float:
    """Quantile of the wait: it is exponential for those who wait."""
    waiting = erlang_c(servers, load)
    if waiting <= 1 - q:
        return 0.0
    return math.log(waiting / (1 - q)) * SERVICE_S / (servers * (1 - load))


def load_of_mean_wait(servers: int, wait_s: float) -> float:
    """Load at which the mean wait is `wait_s`."""
    return float(brentq(lambda load: mean_wait_s(servers, load) - wait_s, 1e-6, 1 - 1e-9))
