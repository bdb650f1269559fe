"""What a scenario runs on: catalogue, cluster, workload model and speeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.brief import Brief
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import named_in
from clustersim.performance import World
from clustersim.scenario.file_names import beside
from clustersim.scenario.names import check_names, reference_chip
from clustersim.scenario.scenario import LoadedScenario
from clustersim.scenario.worlds import draw_catalogue, open_world
from clustersim.simulation.speeds import RunTimeModel, Speeds
from clustersim.topology import Cluster, ClusterSpec, compile_cluster, load_cluster, resolve_cluster
from clustersim.workload import WorkloadSpec, load_workload

__all__ = ["Platform", "open_platform"]


@dataclass(frozen=True, slots=True, repr=False)
class Platform(Brief):
    """What a scenario runs on; runs that differ in seed, load or policy alone share it.

    Attributes
    ----------
    catalogue : Catalogue
        Built-in chips and models, and those of the scenario's files, at the scenario's draw.
    spec : ClusterSpec
        The topology as it was written, completed.
    cluster : Cluster
        The topology compiled.
    workload : WorkloadSpec or None
        The workload model, where the scenario generates its jobs.
    speeds : Speeds
        Of models on the pools of the cluster, with the scenario's coefficients.
    """

    catalogue: Catalogue
    spec: ClusterSpec
    cluster: Cluster
    workload: WorkloadSpec | None
    speeds: Speeds

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return "Platform", self.cluster._brief()[1]

    @property
    def world(self) -> World:
        """Values of the performance core's coefficients."""
        assert self.speeds.model.world is not None, "a scenario's are always given"
        return self.speeds.model.world


def open_platform(loaded: LoadedScenario) -> Platform:
    """Load the catalogue, cluster, coefficients and workload model that a scenario names.

    Raises
    ------
    InputError
        If one of them cannot be used, or a name in the scenario is not in the catalogue.
    """
    scenario, folder = loaded.scenario, loaded.folder
    with named_in(loaded.source, "catalogue"):
        catalogue = load_catalogue(
            *(beside(folder, own) if isinstance(own, str) else own for own in scenario.catalogue)
        )
    with named_in(loaded.source, "performance"):
        world = open_world(scenario.performance, catalogue, folder)
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
    check_names(loaded, catalogue, workload)
    cluster = compile_cluster(spec)
    model = RunTimeModel(
        reference_accelerator=reference_chip(scenario, workload),
        reference_models=scenario.workload.reference_models,
        world=world,
        precision=scenario.performance.precision,
    )
    speeds = Speeds(cluster, catalogue, model)
    return Platform(catalogue, spec, cluster, workload, speeds)
