"""Checks of the names of chips, models and job classes in a scenario."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clustersim.catalogue import Catalogue
from clustersim.errors import InputError, unknown_name
from clustersim.scenario.scenario import LoadedScenario, Scenario
from clustersim.workload import WorkloadSpec

__all__ = ["check_classes", "check_names", "reference_chip"]


def reference_chip(scenario: Scenario, workload: WorkloadSpec | None) -> str | None:
    """The chip on which durations were measured: the scenario's word, else the model's."""
    own = scenario.workload.reference_accelerator
    return own if own is not None or workload is None else workload.reference_accelerator


def check_classes(loaded: LoadedScenario, classes: Sequence[str]) -> None:
    """Check that the reference models stand for classes of jobs that there are."""
    problems = [
        "workload.reference_models: " + unknown_name("job class", name, [*classes, "default"])
        for name in loaded.scenario.workload.reference_models
        if name not in classes and name != "default"
    ]
    if problems:
        raise InputError(loaded.source, problems)


def check_names(
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
    if source.reference_models and reference_chip(loaded.scenario, workload) is None:
        problems.append("workload.reference_models: needs workload.reference_accelerator")
    if problems:
        raise InputError(loaded.source, problems)
    if workload is not None:
        check_classes(loaded, [job_class.name for job_class in workload.classes])


def _lookup(where: str, look_up: Callable[[str], object], name: str) -> list[str]:
    try:
        look_up(name)
    except InputError as error:
        return [f"{where}: {problem}" for problem in error.problems]
    return []
