"""What is kept with the result of a scenario, so that it can be made again."""

from __future__ import annotations

from typing import Any

from clustersim.scenario.assumed import assumption_lines, with_assumptions
from clustersim.scenario.file_names import full_paths
from clustersim.scenario.resolved import ResolvedScenario

__all__ = ["document", "provenance"]


def provenance(resolved: ResolvedScenario) -> dict[str, Any]:
    """Return what is kept with the result of a scenario, beside what the run itself tells."""
    told: dict[str, Any] = {
        "scenario": document(resolved),
        "seed": resolved.scenario.seed,
        "calendar": resolved.dated.document(),
    }
    if resolved.arrival_per_s is not None:
        told["arrival_rate_per_s"] = resolved.arrival_per_s
    assumptions = assumption_lines(resolved.scenario, resolved.cluster, resolved.catalogue)
    if assumptions:
        told["assumptions"] = assumptions
    built = [
        f"Note: pool {pool.name}: {note}" for pool in resolved.cluster.pools for note in pool.notes
    ]
    if built:
        told["topology"] = built
    if resolved.log is not None:
        told["log"] = resolved.log.report().splitlines()
    return told


def document(resolved: ResolvedScenario) -> dict[str, Any]:
    """Return the scenario with all that its names stand for, as plain data.

    Running it again gives the same tables, in any folder of this machine: files of
    jobs, chips, policies and placements keep their place by their full path.
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
