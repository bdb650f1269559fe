"""Running a scenario: from its file to a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError
from clustersim.seeds import Streams
from clustersim.simulation.load import sustainable_rate
from clustersim.simulation.result import Result
from clustersim.simulation.scenario import LoadedScenario, Scenario, load_scenario
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.topology import Cluster, ClusterSpec, compile_cluster, load_cluster, resolve_cluster
from clustersim.workload import WorkloadSpec, generate_jobs, load_workload, read_jobs

__all__ = ["Fleet", "open_fleet", "run", "run_scenario", "scenario_jobs"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a scenario's cluster is made of.

    Attributes
    ----------
    catalogue : Catalogue
        Built-in chips and models, and those of the scenario's files.
    spec : ClusterSpec
        The topology as it was written, completed.
    cluster : Cluster
        The topology compiled.
    workload : WorkloadSpec or None
        The workload model, where the scenario generates its jobs.
    """

    catalogue: Catalogue
    spec: ClusterSpec
    cluster: Cluster
    workload: WorkloadSpec | None


def run(
    path: str | Path,
    changes: Mapping[str, Any] | Sequence[str] = (),
    *,
    check: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Result:
    """Run a scenario file.

    Parameters
    ----------
    path : str or Path
        The file.
    changes : mapping or sequence of str
        See :func:`~clustersim.simulation.scenario.load_scenario`.
    check : bool
        Whether to check the invariants after every scheduling pass (slow).
    progress : callable, optional
        Called now and then with the number of jobs that have ended.

    Raises
    ------
    InputError
        If something of the scenario cannot be used.
    """
    return run_scenario(load_scenario(path, changes), check=check, progress=progress)


def run_scenario(
    loaded: LoadedScenario,
    *,
    check: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Result:
    """Run a scenario that is already read; see :func:`run`."""
    scenario = loaded.scenario
    fleet = open_fleet(loaded)
    jobs = scenario_jobs(loaded, fleet)
    reference = scenario.workload.reference_accelerator
    if reference is None and fleet.workload is not None:
        reference = fleet.workload.reference_accelerator
    return simulate(
        jobs,
        fleet.cluster,
        scheduling_of(scenario, loaded.folder),
        catalogue=fleet.catalogue,
        reference_accelerator=reference,
        reference_models=scenario.workload.reference_models,
        horizon_s=scenario.horizon,
        check=check,
        progress=progress,
        provenance={"scenario": resolved(scenario, fleet), "seed": scenario.seed},
    )


def scheduling_of(scenario: Scenario, folder: str | Path = ".") -> Scheduling:
    """Return the scheduling that a scenario asks for."""
    scheduler = scenario.scheduler
    return Scheduling(
        policy=scheduler.policy,
        placement=scheduler.placement,
        choose=scheduler.choose,
        wait_for_best=scheduler.wait_for_best,
        exact_estimates=scheduler.estimates == "exact",
        folder=folder,
    )


def open_fleet(loaded: LoadedScenario) -> Fleet:
    """Load the catalogue, cluster and workload model that a scenario names.

    Raises
    ------
    InputError
        If one of them cannot be used, or a name in the scenario is not in the catalogue.
    """
    scenario, folder = loaded.scenario, loaded.folder
    catalogue = load_catalogue(*(_beside(folder, name) for name in scenario.catalogue))
    if isinstance(scenario.cluster, str):
        spec = load_cluster(_beside(folder, scenario.cluster), catalogue)
    else:
        spec = resolve_cluster(scenario.cluster, catalogue, source=f"{loaded.source}: cluster")
    workload = scenario.workload.generate
    if isinstance(workload, str):
        workload = load_workload(_beside(folder, workload))
    _check_names(loaded, catalogue, workload)
    return Fleet(catalogue, spec, compile_cluster(spec), workload)


def scenario_jobs(loaded: LoadedScenario, fleet: Fleet) -> pd.DataFrame:
    """Read or generate the jobs of a scenario.

    Raises
    ------
    InputError
        If a log cannot be read.
    """
    scenario, workload = loaded.scenario, loaded.scenario.workload
    if workload.trace is not None:
        path = _beside(loaded.folder, workload.trace)
        return read_jobs(path, format=workload.format, sort=workload.sort).jobs
    assert fleet.workload is not None, "a scenario without a log has a workload model"
    scale = 1.0
    if workload.load is not None:
        rate = sustainable_rate(
            fleet.workload,
            fleet.cluster,
            fleet.catalogue,
            reference_models=workload.reference_models,
        )
        scale = workload.load * rate * fleet.workload.arrivals.mean_interarrival
    streams = Streams(scenario.seed, replication=scenario.replication)
    jobs = generate_jobs(
        fleet.workload,
        streams,
        n_jobs=workload.jobs,
        horizon_s=workload.duration,
        rate_scale=scale,
    )
    if jobs.empty:
        raise InputError(loaded.source, "workload: no job arrives before its duration is over")
    return jobs


def resolved(scenario: Scenario, fleet: Fleet) -> dict[str, Any]:
    """Return the scenario with all that its names stand for, as plain data."""
    data = scenario.model_dump(mode="json", exclude_none=True)
    data["cluster"] = fleet.spec.model_dump(mode="json", exclude_none=True)
    if fleet.workload is not None:
        data["workload"]["generate"] = fleet.workload.model_dump(mode="json", exclude_none=True)
    return data


def _beside(folder: Path, name: str) -> str | Path:
    """Return the file `name` in the scenario's folder, or the name as it stands."""
    beside = folder / name
    return beside if beside.is_file() else name


def _check_names(
    loaded: LoadedScenario, catalogue: Catalogue, workload: WorkloadSpec | None
) -> None:
    """Check that the chips and models that the workload names are in the catalogue."""
    source = loaded.scenario.workload
    chips = {"workload.reference_accelerator": source.reference_accelerator}
    models = {f"workload.reference_models.{k}": v for k, v in source.reference_models.items()}
    if workload is not None:
        chips["workload.generate.reference_accelerator"] = workload.reference_accelerator
        for job_class in workload.classes:
            where = f"workload.generate.classes.{job_class.name}"
            if job_class.model is not None:
                models[f"{where}.model"] = job_class.model
            for name in job_class.accelerators or ():
                chips[f"{where}.accelerators"] = name
    problems = []
    for where, chip in chips.items():
        if chip is not None:
            problems += _lookup(where, catalogue.accelerator, chip)
    for where, model in models.items():
        problems += _lookup(where, catalogue.model, model)
    if problems:
        raise InputError(loaded.source, problems)


def _lookup(where: str, look_up: Callable[[str], object], name: str) -> list[str]:
    try:
        look_up(name)
    except InputError as error:
        return [f"{where}: {problem}" for problem in error.problems]
    return []
