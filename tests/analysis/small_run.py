"""A run of seconds that has all tables, for the tests of metrics and columns."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.resolved import resolve
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario
from clustersim.simulation.result import Result

HORIZON_S = 2 * 86400.0
TREE: dict[str, Any] = {
    "start": "2026-01-01",
    "cluster": {
        "name": "two",
        "pools": {
            "a": {"accelerator": "H200", "nodes": 4, "chips_per_node": 8},
            "b": {"accelerator": "H20", "nodes": 3, "chips_per_node": 8},
        },
    },
    "workload": {
        "generate": {
            "reference_accelerator": "H200",
            "arrivals": {"mean_interarrival": "25 min"},
            "classes": [
                {
                    "name": "train",
                    "weight": 2,
                    "sizes": {8: 1, 16: 1},
                    "model": "llama3-8b",
                    "tokens": {"kind": "lognormal", "median": 5e8, "sigma": 0.8},
                },
                {
                    "name": "other",
                    "weight": 1,
                    "sizes": {8: 1},
                    "duration": {"kind": "exponential", "average": "2 h"},
                },
            ],
        },
        "duration": "47 h",
    },
    "scheduler": {"policy": "easy", "placement": "consolidate"},
    "failures": {
        "sources": [
            {
                "name": "host",
                "time_to_failure": {"kind": "exponential", "average": "20 h"},
                "repair": {"kind": "constant", "value": "2 h"},
            }
        ],
        "checkpoints": {"interval": "30 min", "cost": "1 min", "restart": "5 min"},
    },
    "serving": {
        "services": [
            {
                "name": "chat",
                "pool": "b",
                "peak_requests_per_s": 10.0,
                "input_tokens": 500,
                "output_tokens": 100,
                "tokens_per_s_per_chip": 700.0,
                "shape": [1, 2] * 12,
                "lend": True,
            }
        ]
    },
    "energy": {},
    "money": {},
    "horizon": "2 d",
    "seed": 7,
}


@lru_cache(maxsize=1)
def small_run() -> tuple[Result, Platform]:
    """Return the result, with accounts at noon of the first day too, and what it ran on."""
    loaded = define_scenario(TREE)
    platform = open_platform(loaded)

    def dates_s(_calendar: Any) -> list[float]:
        return [0.0, HORIZON_S / 2, HORIZON_S]

    resolved = resolve(loaded, platform=platform)
    return run_scenario(resolved, cost_dates_s=dates_s), platform
