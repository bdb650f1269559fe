"""A scenario and a plan of purchases that take no time."""

from __future__ import annotations

from typing import Any

SCENARIO: dict[str, Any] = {
    "name": "tiny",
    "cluster": {"name": "tiny", "pools": {"a": {"accelerator": "H20", "nodes": 2}}},
    "workload": {"trace": "jobs.csv"},
    "scheduler": {"policy": "fcfs"},
    "seed": 1,
}
PLAN: dict[str, Any] = {
    "name": "one chip",
    "quarters": 1,
    "budget": "60e6 CNY",
    "chips": {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY", "available": 20}},
    "demand": {
        "tuning": {
            "model": "llama3-8b",
            "accelerators": 8,
            "tokens": 5.0e12,
            "job_tokens": 2.0e10,
            "must_meet": 1,
        }
    },
}
