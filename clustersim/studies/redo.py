"""Repetition of a single run of a study."""

from __future__ import annotations

from pathlib import Path

from clustersim.errors import InputError
from clustersim.scenario.scenario import LoadedScenario, define_scenario
from clustersim.source_code import Code, changed_files, this_code
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.run_key import code_hash, scenario_hash
from clustersim.studies.runs_table import parameter_columns
from clustersim.studies.spec import StudySpec
from clustersim.studies.store_file import open_store
from clustersim.studies.study import define_study

__all__ = ["load_run"]


def load_run(folder: str | Path, key: str) -> tuple[LoadedScenario, StudySpec]:
    """Return the scenario of a run of a study, and the study's specification.

    Parameters
    ----------
    folder : str or Path
        Folder of the study.
    key : str
        Hash of the run (the column ``run`` of the study's ``runs.csv``), or an unambiguous prefix.

    Raises
    ------
    InputError
        If there is no such run, if the prefix is ambiguous, or if the run cannot be reproduced
        because a file that it reads, or clustersim itself, has changed.
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
    """Return why a run cannot be reproduced."""
    reasons = []
    if scenario_hash(key) != scenario_hash(now):
        reasons.append(
            f"is now run {now}, because a log, calibration, policy or plugin has changed"
        )
    if code_hash(key) != code_hash(now):
        code = this_code()
        what = "" if made_by is None else f"; differences: {changed_files(made_by, code)}"
        reasons.append(
            f"was made by {made_by or f'code {code_hash(key)}'}, but this is {code}{what}. Install "
            "that version to repeat the run, or make it again: clustersim study ... --resume"
        )
    return reasons
