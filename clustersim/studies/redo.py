"""One run of a study again, alone."""

from __future__ import annotations

from pathlib import Path

from clustersim.errors import InputError
from clustersim.simulation.scenario import LoadedScenario, resolve_scenario
from clustersim.studies.base import MEAN_WORLD
from clustersim.studies.runs_table import parameter_columns
from clustersim.studies.spec import StudySpec
from clustersim.studies.store import open_store
from clustersim.studies.study import define_study

__all__ = ["load_run"]


def load_run(folder: str | Path, key: str) -> tuple[LoadedScenario, StudySpec]:
    """Return the scenario of a run of a study, and what the study measures of it.

    Parameters
    ----------
    folder : str or Path
        The study's folder.
    key : str
        Hash of the run.

    Raises
    ------
    InputError
        If there is no such run, or it would not be the same any more: a log or policy that it
        reads, or the version or data of clustersim, was changed since.
    """
    folder = Path(folder)
    with open_store(folder) as store:
        document, changes = store.origin(key)
    source = f"{folder}: run {key}"
    study = define_study(document, source=source, check=False)
    point = {path: changes[path] for path in parameter_columns(study)}
    drawn = changes.get("performance.draw", MEAN_WORLD)
    world = MEAN_WORLD if "performance.draw" in point else int(drawn)
    run = study.base.at(point).run(world, int(changes["replication"]))
    if run.key != key:
        raise InputError(
            source,
            f"is now run {run.key}: a log, a calibration or a policy that it reads, or the version "
            "or the data of clustersim, was changed since",
        )
    return resolve_scenario(study.base.tree, run.written, source=source), study.spec
