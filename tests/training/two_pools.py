"""A fleet of two pools that grows and shrinks on known dates."""

from __future__ import annotations

from typing import Any

FLEET: dict[str, Any] = {
    "name": "by hand",
    "start": "2026-01-01",
    "cluster": {
        "name": "two pools",
        "pools": {
            "new": {"accelerator": "H200", "nodes": 40},
            "old": {"accelerator": "H20", "nodes": 30},
        },
    },
    "workload": {"generate": "philly-2017", "jobs": 10},
    "horizon": "365 d",
    "supply": {
        "deliveries": [
            {"pool": "new", "nodes": 10, "at": "2026-02-01"},
            {"pool": "new", "nodes": 20, "at": "2026-03-01", "ramp": "20 d"},
        ],
        "retirements": [{"pool": "old", "nodes": 12, "at": "2026-04-01"}],
    },
}
