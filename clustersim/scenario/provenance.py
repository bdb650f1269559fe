"""Provenance of a scenario's result, from which the result can be reproduced."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clustersim.scenario.assumed import assumption_lines, with_assumptions
from clustersim.scenario.file_names import full_paths
from clustersim.scenario.resolved import ResolvedScenario
from clustersim.workload.log_resample import block_counts, chosen_blocks

__all__ = ["document", "provenance"]


def provenance(resolved: ResolvedScenario) -> dict[str, Any]:
    """Return the provenance of a scenario's result, without the facts that the run adds."""
    facts: dict[str, Any] = {
        "scenario": document(resolved),
        "seed": resolved.scenario.seed,
        "calendar": resolved.dated.document(),
    }
    if resolved.arrival_per_s is not None:
        facts["arrival_rate_per_s"] = resolved.arrival_per_s
    assumptions = assumption_lines(resolved.scenario, resolved.cluster, resolved.catalogue)
    if assumptions:
        facts["assumptions"] = assumptions
    built = [
        f"Note: pool {pool.name}: {note}" for pool in resolved.cluster.pools for note in pool.notes
    ]
    if built:
        facts["topology"] = built
    if resolved.log is not None:
        facts["log"] = resolved.log.report().splitlines()
        facts["log_blocks"] = _blocks(resolved, resolved.log.whole)
    return facts


def _blocks(resolved: ResolvedScenario, jobs: pd.DataFrame) -> dict[str, int]:
    """Return the number of blocks of a log from which replications draw, and of their classes."""
    calendar = resolved.dated.calendar
    kind = chosen_blocks(jobs, calendar, resolved.scenario.workload.resample)
    return dict(zip(("count", "classes"), block_counts(jobs, calendar, kind), strict=True))


def document(resolved: ResolvedScenario) -> dict[str, Any]:
    """Return the scenario as plain data, including its topology and its workload model.

    A run of these data produces the same tables in any folder on this machine, because files of
    jobs, chips, policies and placements are given by their full paths.
    """
    scenario = with_assumptions(resolved.scenario, resolved.catalogue.assumptions)
    written = scenario.model_dump(mode="json", exclude_none=True)
    data = full_paths(written, resolved.loaded.folder)
    platform = resolved.platform
    data["cluster"] = platform.spec.model_dump(mode="json", exclude_none=True)
    if platform.workload is not None:
        generate = platform.workload.model_dump(mode="json", exclude_none=True)
        data["workload"]["generate"] = generate
    return data
