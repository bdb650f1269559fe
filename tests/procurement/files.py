"""Small plan files, and what is made of them."""

from __future__ import annotations

import copy
from typing import Any

from clustersim.procurement import PurchasePlan, define_plan, plan_purchases

TWO_CHIPS: dict[str, Any] = {
    "name": "two chips",
    "quarters": 2,
    "budget": "60e6 CNY",
    "chips": {
        "h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY", "available": 20},
        "h20": {"accelerator": "H20", "price_per_node": "0.8e6 CNY", "existing": 4},
    },
    "demand": {
        "tuning": {
            "model": "llama3-8b",
            "accelerators": 8,
            "tokens": {"first": 5.0e12, "growth": 1.5},
            "job_tokens": 2.0e10,
            "must_meet": 1,
        }
    },
    "scenarios": {
        "goes on": {"probability": 0.6},
        "stopped": {"probability": 0.4, "available": {"h200": {"factor": [1, 0]}}},
    },
}

BASE: dict[str, Any] = {
    "name": "base",
    "cluster": {"name": "base", "pools": {"gpu": {"accelerator": "H200", "nodes": 1}}},
    "workload": {"generate": "philly-2017", "jobs": 1},
    "scheduler": {"policy": "fcfs"},
    "seed": 5,
}
"""A scenario that lends its scheduler."""


def two_chips(**fields: Any) -> dict[str, Any]:
    """The small plan with other fields; None takes one away."""
    tree = {**copy.deepcopy(TWO_CHIPS), **fields}
    return {name: value for name, value in tree.items() if value is not None}


def queue(**fields: Any) -> dict[str, Any]:
    """A plan of H200 for one quarter of jobs of a node each, tried by simulation.

    A node does about 9e12 tokens in a quarter; at a planning utilisation of 1 the queue is full.
    """
    verify = {
        "base": copy.deepcopy(BASE),
        "objective": {"metric": "mean_wait_s", "at_most": "1 h"},
        "replications": 4,
        "rounds": 8,
        "tolerance": 0.03,
        **fields,
    }
    return {
        "name": "queue",
        "quarters": 1,
        "planning_utilisation": 1.0,
        "chips": {"h200": {"accelerator": "H200", "price_per_node": "1.5e6 CNY"}},
        "demand": {
            "tuning": {
                "model": "llama3-8b",
                "accelerators": 8,
                "tokens": 7.0e12,
                "job_tokens": {"kind": "exponential", "average": 2.0e10},
                "must_meet": 1,
            }
        },
        "verify": verify,
    }


def planned(fields: dict[str, Any]) -> PurchasePlan:
    """What is made of a plan file, in this process."""
    return plan_purchases(define_plan(fields), workers=1)
