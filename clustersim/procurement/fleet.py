"""Conversion of a plan's chips to pools of a cluster, and the speed of each class on each chip."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.errors import InputError, named_in
from clustersim.extended import read_extended
from clustersim.procurement.load import PlanQuestion
from clustersim.procurement.spec import Verification
from clustersim.scenario.changes import set_path
from clustersim.scenario.file_names import beside, full_path
from clustersim.scenario.scenario import define_scenario
from clustersim.shipped import existing_file
from clustersim.simulation.runtimes import find_runtimes
from clustersim.simulation.speeds import RunTimeModel, Speeds
from clustersim.topology import ClusterSpec, compile_cluster, load_cluster, resolve_cluster

__all__ = [
    "BaseScenario",
    "Throughput",
    "chips_per_node",
    "cluster_of",
    "open_base_scenario",
    "throughput",
]

LENT = {"scheduler", "failures", "software", "seed", "start", "time_zone"}
KEPT_OF_A_POOL = ("nic", "scale_up", "fabric")


@dataclass(frozen=True)
class BaseScenario:
    """Parts of the base scenario that a verification uses, such as scheduler, failures and network.

    Attributes
    ----------
    verification : Verification
        The section ``verify`` of the plan, which names the scenario.
    tree : dict
        The parts other than the network, as plain data; file names are full paths.
    networks : dict
        For each accelerator, the fields of its first pool that describe links.
    datacenter_network : dict or None
        The network between the pools, if the base scenario has one.
    """

    verification: Verification
    tree: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]
    datacenter_network: Mapping[str, Any] | None


def open_base_scenario(question: PlanQuestion) -> BaseScenario | None:
    """Read the base scenario for the verification of a plan; None if it has no verification.

    Raises
    ------
    InputError
        If the scenario is invalid.
    """
    verify = question.spec.verify
    if verify is None:
        return None
    source = f"{question.source}: verify.base"
    if isinstance(verify.base, str):
        with named_in(question.source, "verify.base"):
            path = existing_file(verify.base, question.folder, within="experiments")
            tree, folder = read_extended(path), path.parent
    else:
        tree, folder = copy.deepcopy(verify.base), question.folder
    with named_in(question.source, "verify.set"):
        for key, value in verify.set.items():
            set_path(tree, key, value, folder)
    scenario = define_scenario(tree, source=source, folder=folder).scenario
    with named_in(question.source, "verify.base"):
        cluster = _cluster_spec(scenario.cluster, question, folder)
    data = scenario.model_dump(mode="json", exclude_none=True, include=LENT)
    if scenario.start is None:
        data.pop("time_zone", None)  # belongs to the log of the base, which the plan replaces
    for name in ("policy", "placement"):
        data["scheduler"][name] = full_path(folder, data["scheduler"][name])
    networks: dict[str, Mapping[str, Any]] = {}
    for pool in cluster.pools.values():
        fields = pool.model_dump(mode="json", exclude_none=True)
        kept = {name: fields[name] for name in KEPT_OF_A_POOL}
        networks.setdefault(question.catalogue.accelerator(pool.accelerator).name, kept)
    network = cluster.datacenter_network
    joined = None if network is None else network.model_dump(mode="json", exclude={"rates"})
    return BaseScenario(verify, data, networks, joined)


def chips_per_node(question: PlanQuestion) -> dict[str, int]:
    """Return the number of chips per node for each chip type of the plan."""
    return {
        name: chip.chips_per_node or question.catalogue.accelerator(chip.accelerator).chips_per_node
        for name, chip in question.spec.chips.items()
    }


def _cluster_spec(
    cluster: str | Mapping[str, Any], question: PlanQuestion, folder: Path
) -> ClusterSpec:
    if isinstance(cluster, str):
        return load_cluster(beside(folder, cluster), question.catalogue)
    return resolve_cluster(cluster, question.catalogue)


def cluster_of(
    question: PlanQuestion, base: BaseScenario | None, nodes: Mapping[str, int]
) -> dict[str, Any]:
    """Return a topology as plain data: one pool per chip type, with the given number of nodes."""
    pools = {}
    for name, chip in question.spec.chips.items():
        accelerator = question.catalogue.accelerator(chip.accelerator).name
        pool: dict[str, Any] = {"accelerator": accelerator, "nodes": nodes[name]}
        if chip.chips_per_node is not None:
            pool["chips_per_node"] = chip.chips_per_node
        if base is not None:
            pool |= base.networks.get(accelerator, {})
        pools[name] = pool
    cluster: dict[str, Any] = {"name": "planned fleet", "pools": pools}
    if base is not None and base.datacenter_network is not None:
        cluster["datacenter_network"] = dict(base.datacenter_network)
    return cluster


@dataclass(frozen=True, slots=True)
class Throughput:
    """Speed of each demand class on each chip of a plan, from the performance model.

    Attributes
    ----------
    gang_tokens_per_s : float64 array (classes, chips)
        Speed of one job; 0 if the job cannot or must not run on the chip.
    chips_per_node : int64 array (chips,)
    obstacles : dict of (str, str) to str
        Reason why a class cannot run on a chip, by class and chip.
    """

    gang_tokens_per_s: Floats
    chips_per_node: Ints
    obstacles: Mapping[tuple[str, str], str]


def throughput(question: PlanQuestion, base: BaseScenario | None = None) -> Throughput:
    """Return the speed of each class on each chip, with the best parallelism plan in each case.

    Raises
    ------
    InputError
        If a class cannot run on any of its chips.
    """
    spec, catalogue = question.spec, question.catalogue
    gang = max(demand.accelerators for demand in spec.demand.values())
    per_node = chips_per_node(question)
    enough = {name: math.ceil(gang / chips) for name, chips in per_node.items()}
    with named_in(question.source, "chips"):
        cluster = compile_cluster(resolve_cluster(cluster_of(question, base, enough), catalogue))
    jobs = pd.DataFrame(
        {
            "job_id": range(len(spec.demand)),
            "n_accelerators": [demand.accelerators for demand in spec.demand.values()],
            "duration_s": math.nan,
            "model": [catalogue.model(demand.model).name for demand in spec.demand.values()],
            "tokens": 1.0,
        }
    )
    model = RunTimeModel(draw=question.draw, precision=spec.performance.precision)
    runtimes = find_runtimes(jobs, Speeds(cluster, catalogue, model))
    rate = 1.0 / runtimes.run_s.T
    obstacles = {}
    for row, (name, demand) in enumerate(spec.demand.items()):
        for column, chip in enumerate(spec.chips):
            key = (jobs["model"][row], demand.accelerators, column)
            if key in runtimes.obstacles:
                obstacles[name, chip] = runtimes.obstacles[key]
            if demand.chips is not None and chip not in demand.chips:
                rate[row, column] = 0.0
    _check_some_chip(question, rate, obstacles)
    return Throughput(rate, np.array(list(per_node.values()), dtype=np.int64), obstacles)


def _check_some_chip(
    question: PlanQuestion, rate: Floats, obstacles: Mapping[tuple[str, str], str]
) -> None:
    problems = []
    for row, name in enumerate(question.spec.demand):
        if not rate[row].any():
            why = "; ".join(reason for (of, _), reason in obstacles.items() if of == name)
            problems.append(f"demand.{name}: cannot run on any of its chips: {why}")
    if problems:
        raise InputError(question.source, problems)
