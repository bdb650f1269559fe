"""A small scenario with everything that is drawn: deliveries, production, memory, software."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clustersim.scenario.scenario import LoadedScenario, define_scenario

__all__ = ["SMALL", "small"]

FABRIC = {"type": "rail-optimised", "unit_nodes": 8, "units_per_pod": 4, "radix": 64}
SLIP = {"kind": "exponential", "average": "20 d"}
TOKENS = {"kind": "lognormal", "median": 2.0e9, "sigma": 0.5}
SMALL: dict[str, Any] = {
    "name": "small",
    "start": "2026-01-01",
    "horizon": "181 d",
    "seed": 5,
    "fleet": {
        "training_share": 0.5,
        "pools": {
            "h200": {
                "accelerator": "H200",
                "stock": 64,
                "fabric": FABRIC,
                "deliveries": {
                    "first": {
                        "chips": 256,
                        "at": "2026-02-01",
                        "lots": 4,
                        "every": "20 d",
                        "ramp": "10 d",
                        "slip": SLIP,
                        "probability": 0.6,
                        "usable": 0.9,
                    }
                },
            },
            "seedchip": {
                "accelerator": "SeedChip",
                "fabric": FABRIC,
                "made": {
                    "one": {
                        "chips": 160,
                        "foundry": "Samsung",
                        "at": "2026-02-10",
                        "ramp": "30 d",
                        "chips_per_month": 90,
                        "usable": 0.8,
                        "slip": SLIP,
                    },
                    "two": {
                        "chips": 96,
                        "foundry": "TSMC",
                        "at": "2026-03-01",
                        "chips_per_month": 60,
                        "slip": SLIP,
                    },
                },
            },
            "910c": {
                "accelerator": "910C",
                "stock": 32,
                "fabric": FABRIC,
                "made": {
                    "three": {
                        "chips": 64,
                        "foundry": "SMIC",
                        "at": "2026-02-20",
                        "ramp": "20 d",
                        "chips_per_month": 100,
                        "slip": SLIP,
                    }
                },
            },
        },
        "memory": {"stacks_per_month": 600, "priority": ["910c"]},
    },
    "workload": {
        "generate": {
            "arrivals": {"mean_interarrival": "3 h"},
            "classes": [
                {
                    "name": "small",
                    "weight": 3,
                    "sizes": {8: 2, 16: 1},
                    "model": "llama3-8b",
                    "tokens": TOKENS,
                },
                {
                    "name": "large",
                    "weight": 1,
                    "sizes": {32: 1},
                    "model": "seed-oss-36b",
                    "tokens": TOKENS,
                },
            ],
        },
        "duration": "181 d",
    },
    "software": {
        "ports": [
            {
                "name": "large on 910C",
                "accelerators": ["910C"],
                "models": ["seed-oss-36b"],
                "at": "60 d",
                "slip": SLIP,
                "efficiency": 0.5,
                "halving": "60 d",
            },
            {"name": "SeedChip", "accelerators": ["SeedChip"], "at": "30 d", "efficiency": 0.7},
        ]
    },
    "scheduler": {"policy": "easy", "placement": "consolidate"},
}


def small(changes: Mapping[str, Any] | None = None) -> LoadedScenario:
    """Return the scenario with changes."""
    return define_scenario(SMALL, changes or {})
