"""One run of a study again, alone."""

from __future__ import annotations

from pathlib import Path

from clustersim.errors import InputError
from clustersim.scenario.scenario import LoadedScenario, define_scenario
from clustersim.source_code import Code, changed_files, this_code
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.run_key import code_hash, scenario_hash
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
        Hash of the run (the column ``run`` of the study's ``runs.csv``), or its first characters
        where they are those of no other run.

    Raises
    ------
    InputError
        If there is no such run, more than one begins so, or it would not be the same any more: a
        log or policy that it reads, or clustersim itself, was changed since.
    """
    folder = Path(folder)
    with open_store(folder) as store:
        key = store.run_named(key)
        document, changes = store.origin(key)
        made_by = store.codes().get(code_hash(key))
    source = f"{folder}: run {key}"
    study = define_study(document, source=source, check=False)
    point = {path: changes[path] for path in parameter_columns(study) if path in changes}
    drawn = changes.get("performance.draw", POSTERIOR_MEAN)
    draw = POSTERIOR_MEAN if "performance.draw" in point else int(drawn)
    run = study.base.at(point).run(draw, int(changes["replication"]))
    if run.key != key:
        raise InputError(source, _changed(key, run.key, made_by))
    return define_scenario(study.base.tree, run.written, source=source), study.spec


def _changed(key: str, now: str, made_by: Code | None) -> list[str]:
    """Say why a run is not what it was."""
    told = []
    if scenario_hash(key) != scenario_hash(now):
        told.append(
            f"is now run {now}: a log, a calibration, a policy or a plugin that it reads was "
            "changed since"
        )
    if code_hash(key) != code_hash(now):
        code = this_code()
        what = "" if made_by is None else f"; changed since: {changed_files(made_by, code)}"
        told.append(
            f"was made by {made_by or f'code {code_hash(key)}'}, and this is {code}{what}. Install "
            "that one to redo it, or make it anew: clustersim study ... --resume"
        )
    return told
