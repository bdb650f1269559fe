"""A small fleet file with a section `briefing`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from clustersim.briefing.fleet_file import FleetFile, read_fleet_file
from tests.outlook.small_fleet import SMALL

__all__ = ["BRIEFING", "briefed", "briefed_data"]

BRIEFING: dict[str, Any] = {
    "title": "What should a small company buy?",
    "facts": "2026-05-01",
    "base": "as planned",
    "cases": ["no H200"],
    "target": {"capacity": "60 PFLOP/s", "months": 2},
    "stop": {"pools": ["h200"], "at": "2026-03-01", "probability": 0.25},
    "trainings": [{"name": "eight", "model": "llama3-8b", "tokens": 1e12}],
    "chips": ["H200", "910C"],
    "counts": [32, 64],
    "served": [
        {
            "name": "chat",
            "model": "llama3-8b",
            "tokens_per_day": 1e11,
            "at": "2026-01-01",
            "growth": 2,
        },
        {
            "name": "film",
            "model": "jimeng-class",
            "videos_per_day": 100,
            "at": "2026-01-01",
        },
    ],
    "purchases": {
        "h200": {"at": "2026-02-15", "lots": 2, "every": "30 d", "at_most": 200},
        "910c": {"at": "2026-02-15"},
    },
    "options": {
        "H200 first": {"h200": "rest", "910c": "rest"},
        "halves": {"h200": 0.5, "910c": 0.5},
        "nothing": {},
    },
    "between": ["h200", "910c"],
    "caveats": ["Invented numbers."],
}


def briefed_data(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the content of the file, with changes of the section."""
    data = copy.deepcopy(SMALL)
    data["fleet"]["purchases"] = {"budget": "60e6 CNY"}
    data["money"] = {"pools": {"h200": {"price": "200000 CNY"}, "910c": {"price": "150000 CNY"}}}
    data["cases"] = {"as planned": {}, "no H200": {"fleet.pools.h200.deliveries.first.chips": 0}}
    data["briefing"] = {**copy.deepcopy(BRIEFING), **(changes or {})}
    return data


def briefed(folder: Path, changes: Mapping[str, Any] | None = None) -> FleetFile:
    """Write the file into a folder and read it, with changes of the section."""
    path = folder / "fleet.yaml"
    yaml = YAML(typ="safe")
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump(briefed_data(changes), path)
    return read_fleet_file(path)
