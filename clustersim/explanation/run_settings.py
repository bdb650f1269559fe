"""The settings of a finished run, as far as its provenance or the user says them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError
from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.resolved import scheduling_of
from clustersim.scenario.scenario import LoadedScenario, as_loaded
from clustersim.scheduling import (
    POLICIES,
    Consolidate,
    Placement,
    Policy,
    Pooled,
    Spread,
    find_placement,
    find_policy,
)
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.windows import with_nodes
from clustersim.topology import Cluster, compile_cluster, load_cluster, single_pool

__all__ = [
    "RunSettings",
    "counts_accelerators",
    "name_of_policy",
    "placement_of",
    "pools_of",
    "rules_of",
    "settings_of",
]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run was given; `scenario` is None if it was not made from one."""

    cluster: Cluster
    scheduling: Scheduling
    catalogue: Catalogue | None
    scenario: tuple[LoadedScenario, Platform] | None = None


def settings_of(
    result: Result, cluster: Cluster | str | Path | None, catalogue: Sequence[str | Path]
) -> RunSettings:
    """Return the settings of a run; see :func:`~clustersim.explanation.state.open_state`."""
    facts = result.provenance
    scenario, replayed = facts.get("scenario"), facts.get("replay")
    if isinstance(cluster, str | Path):
        cluster = compile_cluster(load_cluster(cluster, load_catalogue(*catalogue)))
    if isinstance(scenario, Mapping):
        if cluster is not None:
            raise InputError("--cluster", "is not allowed: the result says on which cluster it ran")
        loaded = as_loaded({**scenario})
        platform = open_platform(loaded)
        scheduling = scheduling_of(loaded)
        return RunSettings(platform.cluster, scheduling, platform.catalogue, (loaded, platform))
    if not isinstance(replayed, Mapping):
        return RunSettings(
            _cluster_in_python(result) if cluster is None else cluster,
            Scheduling(policy="", placement=_likely_placement(result)),
            load_catalogue(*catalogue) if {"model", "accelerators"} & {*result.jobs} else None,
        )
    if cluster is None:
        cluster = _cluster_of_replay(replayed)
    has_nodes = bool(replayed.get("cluster"))
    if result.windows is not None and not has_nodes:  # as `replay` does for windows
        cluster, has_nodes = with_nodes(cluster), True
    default = "consolidate" if has_nodes else "pooled"
    scheduling = Scheduling(
        policy=str(replayed.get("policy", "")),
        placement=str(replayed.get("placement") or default),
        options=dict(text.partition("=")[::2] for text in replayed.get("option") or ()),
        placement_options=dict(
            text.partition("=")[::2] for text in replayed.get("placement_option") or ()
        ),
        exact_estimates=bool(replayed.get("exact_estimates")),
        span_pools=replayed.get("span_pools") or None,
    )
    return RunSettings(cluster, scheduling, None)


def _cluster_of_replay(replayed: Mapping[str, Any]) -> Cluster:
    if replayed.get("accelerators"):
        return single_pool(int(replayed["accelerators"]))
    if not replayed.get("cluster"):
        raise InputError("explain", "the result does not say on which cluster it ran: --cluster")
    catalogue = load_catalogue(*(replayed.get("catalogue") or ()))
    return compile_cluster(load_cluster(str(replayed["cluster"]), catalogue))


def _cluster_in_python(result: Result) -> Cluster:
    """Return the single pool of a result without provenance.

    Raises
    ------
    InputError
        If it is another cluster.
    """
    use = result.utilisation
    if pools_of(result) == {"pool"} and not _tracks_nodes(result):
        return single_pool(int(use["installed"].max()))
    raise InputError(
        "explain", "the result does not say on which cluster it ran; give it with cluster=..."
    )


def pools_of(result: Result) -> set[str]:
    """Return the names of the pools of a run."""
    return {str(name) for name in result.utilisation["pool"].unique()}


def _tracks_nodes(result: Result) -> bool:
    return bool((result.allocation_ranges["nodes"] != "").any())


def _likely_placement(result: Result) -> str:
    return "consolidate" if _tracks_nodes(result) else "pooled"


def name_of_policy(policy: str | type[Policy]) -> str:
    """Return the name of a policy; that of its class if it is given as a class of the user."""
    if isinstance(policy, str):
        return policy
    return next((name for name, each in POLICIES.items() if each is policy), policy.__name__)


def rules_of(scheduling: Scheduling, notes: list[str]) -> type[Policy] | None:
    """Return the policy of a run with its options; None if it is not known or not available."""
    if not scheduling.policy:
        return None
    try:
        return find_policy(scheduling.policy, options=scheduling.options, folder=scheduling.folder)
    except InputError as error:
        notes.append(
            f"the policy of the run is not available with its options ({error}): who was ahead, "
            "and waits for quota, are not known"
        )
        return None


def placement_of(scheduling: Scheduling, notes: list[str]) -> type[Placement]:
    """Return the placement of a run, with a note if its rules cannot be applied to the tables."""
    name = scheduling.placement
    found: type[Placement] = Pooled
    try:
        found = find_placement(name, options=scheduling.placement_options, folder=scheduling.folder)
    except InputError as error:
        notes.append(f"the placement of the run is not available ({error})")
    if found not in (Pooled, Consolidate, Spread):
        notes.append(
            f"the tables do not show whether a gang fitted on nodes under placement {name}: waits "
            "in which enough accelerators were free count as order"
        )
    return found


def counts_accelerators(placement: type[Placement], result: Result, notes: list[str]) -> bool:
    """Return whether a gang fits as soon as enough accelerators of a partition are free."""
    if placement is not Consolidate:
        return True
    if len(result.allocation_ranges) and not _tracks_nodes(result):
        notes.append(
            "the result does not have the nodes of the jobs: whether a gang fitted on nodes is not "
            "known, and waits in which enough accelerators were free count as order"
        )
        return True
    return False
