"""Convert loaded scenarios to plain data, for use in studies and plans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clustersim.scenario.file_names import full_paths
from clustersim.scenario.resolved import ResolvedScenario
from clustersim.scenario.scenario import LoadedScenario, Scenario

__all__ = ["with_plain_scenario"]


def with_plain_scenario(fields: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return the fields with the scenario under `key` as plain data, with full paths of its files.

    Examples
    --------
    >>> from clustersim.scenario.scenario import load_scenario
    >>> plain = with_plain_scenario({"base": load_scenario("mixed_small.yaml")}, "base")
    >>> plain["base"]["workload"]["jobs"]
    5000
    """
    given: object = fields.get(key)
    folder = "."
    if isinstance(given, ResolvedScenario):
        given = given.loaded
    if isinstance(given, LoadedScenario):
        folder, given = str(given.folder), given.scenario
    if not isinstance(given, Scenario):
        return fields
    written = given.model_dump(mode="json", exclude_none=True)
    return {**fields, key: full_paths(written, folder)}
