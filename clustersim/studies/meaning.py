"""Notes on how to interpret a study: what its parameters mean and what they do not change.

The offered load is relative to the capacity of the fleet. At a fixed load, a larger or faster fleet
is therefore offered more jobs per day, and its waits do not show the value of its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clustersim.scheduling import SPEED_NOTE
from clustersim.studies.search_spec import LOAD
from clustersim.studies.spec import StudySpec
from clustersim.units import format_number

__all__ = ["load_notes", "paths_that_set_the_rate", "placement_notes"]

SET_THE_RATE = (
    "cluster",
    "catalogue",
    "workload.generate",
    "workload.reference_accelerator",
    "workload.reference_models",
    "performance",
    "scheduler.choose",
    "scheduler.wait_for_best",
    "network",
)
"""Parts of a scenario on which the jobs per day at a load of 1 depend; see `offered_work`."""
BUT = (
    "workload.generate.arrivals",
    "performance.draw",
    "catalogue.assumptions",
    "cluster.name",
    "cluster.notes",
    "network.faults",
)
"""Fields of these parts on which the jobs per day do not depend."""
CHANGE_THE_FLEET = ("supply", "serving", "software", "failures", "network.faults")
"""Parts that change the share of the fleet in service, but not the jobs per day at a load of 1."""


def paths_that_set_the_rate(paths: Iterable[str]) -> list[str]:
    """Return the paths on which the jobs per day at a fixed load depend.

    Examples
    --------
    >>> paths_that_set_the_rate(["cluster.pools.h200.nodes", "scheduler.policy", "supply.site"])
    ['cluster.pools.h200.nodes']
    """
    return [path for path in paths if _within(path, SET_THE_RATE) and not _within(path, BUT)]


def load_notes(
    spec: StudySpec, tree: Mapping[str, Any], jobs_per_day: tuple[float, float] | None = None
) -> list[str]:
    """Return notes on how the parameters of a study change the meaning of an offered load.

    Parameters
    ----------
    spec : StudySpec
    tree : mapping
        The base scenario as plain data, with its cases.
    jobs_per_day : (float, float), optional
        Smallest and largest number of jobs per day that were offered at a point.
    """
    paths = list(dict.fromkeys(path for _, path in spec.named_paths))
    if not _has_load(spec, tree, paths):
        return []
    varied = list(dict.fromkeys(_with_cases(spec, tree, paths)))
    return [*_rate_note(spec, tree, paths, varied, jobs_per_day), *_fleet_note(varied)]


def placement_notes(spec: StudySpec, tree: Mapping[str, Any]) -> list[str]:
    """Return a note on the limits of placements, for studies of policies or placements.

    There is none if the network is simulated.
    """
    paths = list(dict.fromkeys(path for _, path in spec.named_paths))
    compared = ("scheduler", "scheduler.policy", "scheduler.placement")
    varied = list(_with_cases(spec, tree, paths))
    if tree.get("network") is not None or any(_within(path, ("network",)) for path in varied):
        return []
    if any(path in compared for path in varied):
        return [f"Note: {SPEED_NOTE}."]
    return []


def _has_load(spec: StudySpec, tree: Mapping[str, Any], paths: list[str]) -> bool:
    """Whether a run derives its arrival rate from an offered load."""
    if LOAD in paths:
        return True
    cases = (tree.get("cases") or {}).values()
    by_case = "case" in paths and any((case or {}).get(LOAD) is not None for case in cases)
    return by_case or tree.get("workload", {}).get("load") is not None


def _with_cases(spec: StudySpec, tree: Mapping[str, Any], paths: list[str]) -> Iterator[str]:
    """Yield the paths that vary; if `case` varies, the paths that its values change."""
    for path in paths:
        if path != "case":
            yield path
            continue
        cases = tree.get("cases") or {}
        for name in spec.listed("case"):
            yield from cases.get(str(name)) or {}


def _rate_note(
    spec: StudySpec,
    tree: Mapping[str, Any],
    paths: list[str],
    varied: list[str],
    jobs_per_day: tuple[float, float] | None,
) -> Iterator[str]:
    found = paths_that_set_the_rate(varied)
    if not found or (LOAD not in paths and _is_one(jobs_per_day)):
        return
    name = "case" if "case" in paths and len(found) > 1 else ", ".join(found)
    if LOAD in paths:
        begin = (
            f"Note: an offered load of 1 means a different number of jobs per day at each value "
            f"of {name}. Compare jobs per day instead of loads or of waits at one load."
        )
    else:
        load = tree.get("workload", {}).get("load")
        at = (
            "the offered load of each case" if load is None else f"a fixed offered load of {load:g}"
        )
        begin = (
            f"Note: at {at} (workload.load) the jobs per day grow with the capacity of the fleet. "
            f"Points with different values of {name} therefore do not run the same jobs"
            f"{_between(jobs_per_day)}, and their waits do not show the benefit of more capacity."
        )
    yield (
        f"{begin} To run the same jobs at every point, set workload.jobs_per_day instead of "
        "workload.load."
    )


def _is_one(jobs_per_day: tuple[float, float] | None) -> bool:
    """Return whether all points run the same jobs per day, apart from rounding."""
    return jobs_per_day is not None and math.isclose(*jobs_per_day, rel_tol=1e-9)


def _between(jobs_per_day: tuple[float, float] | None) -> str:
    if jobs_per_day is None:
        return ""
    least, most = jobs_per_day
    return f" ({format_number(least)} to {format_number(most)} jobs per day)"


def _fleet_note(varied: list[str]) -> Iterator[str]:
    found = [path for path in varied if _within(path, CHANGE_THE_FLEET)]
    if found:
        yield (
            "Note: workload.load refers to all nodes that the pools ever have, with mature "
            "software and without failures or services. The jobs are the same at each value of "
            f"{', '.join(found)}, but the load on the nodes in service differs."
        )


def _within(path: str, parts: Iterable[str]) -> bool:
    return any(path == part or path.startswith(f"{part}.") for part in parts)
