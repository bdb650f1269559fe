"""The platform of a scenario: catalogue, cluster, workload model and speeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clustersim.brief import Brief
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError, named_in, problems_of, unknown_name
from clustersim.performance import CoefficientDraw
from clustersim.scenario.draws import draw_catalogue, open_draw
from clustersim.scenario.file_names import beside
from clustersim.scenario.scenario import LoadedScenario, Scenario
from clustersim.simulation.networked.network_model import at_port_rate
from clustersim.simulation.speeds import RunTimeModel, Speeds
from clustersim.topology import Cluster, ClusterSpec, compile_cluster, load_cluster, resolve_cluster
from clustersim.workload import WorkloadSpec, load_workload

__all__ = ["Platform", "check_classes", "open_platform"]


@dataclass(frozen=True, slots=True, repr=False)
class Platform(Brief):
    """The platform of a scenario, shared by runs that differ only in seed, load or policy.

    Attributes
    ----------
    catalogue : Catalogue
        The chips and models, built in or from the scenario's files, with the drawn values if the
        scenario sets a draw.
    spec : ClusterSpec
        The topology as written, with defaults filled in.
    cluster : Cluster
        The compiled topology.
    workload : WorkloadSpec or None
        The workload model, if the scenario generates its jobs.
    speeds : Speeds
        Speeds of models on the pools of the cluster, with the scenario's coefficients; at the rate
        of the network's ports if the scenario has a section `network`.
    """

    catalogue: Catalogue
    spec: ClusterSpec
    cluster: Cluster
    workload: WorkloadSpec | None
    speeds: Speeds

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return "Platform", self.cluster._brief()[1]

    @property
    def draw(self) -> CoefficientDraw:
        """Values of the coefficients of the performance model."""
        assert self.speeds.model.draw is not None, "a scenario always has coefficients"
        return self.speeds.model.draw


def open_platform(loaded: LoadedScenario) -> Platform:
    """Load the catalogue, cluster, coefficients and workload model that a scenario names.

    Raises
    ------
    InputError
        If one of these is invalid, or a name in the scenario is not in the catalogue.
    """
    scenario, folder = loaded.scenario, loaded.folder
    with named_in(loaded.source, "catalogue"):
        catalogue = load_catalogue(
            *(beside(folder, own) if isinstance(own, str) else own for own in scenario.catalogue)
        )
    with named_in(loaded.source, "performance"):
        draw = open_draw(scenario.performance, catalogue, folder)
        catalogue = draw_catalogue(scenario.performance, catalogue)
    with named_in(loaded.source, "cluster"):
        if isinstance(scenario.cluster, str):
            spec = load_cluster(beside(folder, scenario.cluster), catalogue)
        else:
            spec = resolve_cluster(scenario.cluster, catalogue)
    workload = scenario.workload.generate
    if isinstance(workload, str):
        with named_in(loaded.source, "workload.generate"):
            workload = load_workload(beside(folder, workload))
    _check_names(loaded, catalogue, workload)
    cluster = compile_cluster(spec)
    model = RunTimeModel(
        reference_accelerator=_reference_chip(scenario, workload),
        reference_models=scenario.workload.reference_models,
        draw=draw,
        precision=scenario.performance.precision,
    )
    at_ports = cluster if scenario.network is None else at_port_rate(cluster)
    speeds = Speeds(at_ports, catalogue, model)
    return Platform(catalogue, spec, cluster, workload, speeds)


def _reference_chip(scenario: Scenario, workload: WorkloadSpec | None) -> str | None:
    """Return the chip on which durations were measured; None if it is not set.

    The field of the scenario overrides that of the workload model.
    """
    own = scenario.workload.reference_accelerator
    return own if own is not None or workload is None else workload.reference_accelerator


def check_classes(loaded: LoadedScenario, classes: Sequence[str]) -> None:
    """Check that the keys of ``workload.reference_models`` are classes of jobs."""
    problems = [
        "workload.reference_models: " + unknown_name("job class", name, [*classes, "default"])
        for name in loaded.scenario.workload.reference_models
        if name not in classes and name != "default"
    ]
    if problems:
        raise InputError(loaded.source, problems)


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
            problems += problems_of(where, catalogue.accelerator, chip)
    for where, model in models.items():
        problems += problems_of(where, catalogue.model, model)
    if source.reference_models and _reference_chip(loaded.scenario, workload) is None:
        problems.append("workload.reference_models: needs workload.reference_accelerator")
    if problems:
        raise InputError(loaded.source, problems)
    if workload is not None:
        check_classes(loaded, [job_class.name for job_class in workload.classes])
