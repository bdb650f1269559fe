"""A study: its file, its scenario, its points."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.scheduling import find_placement, find_policy
from clustersim.simulation.changes import change_items
from clustersim.simulation.run import scenario_jobs
from clustersim.simulation.scenario import merged, read_extended
from clustersim.studies.base import Base, open_base
from clustersim.studies.design import Point, design
from clustersim.studies.spec import StudySpec
from clustersim.studies.worker import open_changed

__all__ = ["Study", "define_study", "load_study"]

MOST_CHECKED = 64
"""Points whose scenario is opened before the first run, to tell faults early."""


@dataclass(frozen=True)
class Study:
    """A study that can be run.

    Attributes
    ----------
    spec : StudySpec
        What its file says.
    base : Base
        The scenario that its runs change.
    points : list of Point
        The combinations of its parameters.
    source : str
        Its file, for messages.
    """

    spec: StudySpec
    base: Base
    points: list[Point]
    source: str

    def document(self) -> dict[str, Any]:
        """Return the study as plain data that names no other file but logs and policies.

        :func:`define_study` makes the same study of it.
        """
        document = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {**document, "base": dict(self.base.tree), "set": {}}


def load_study(
    path: str | Path,
    *,
    quick: bool = False,
    changes: Mapping[str, Any] | list[str] = (),  # type: ignore[assignment]
) -> Study:
    """Read a study file.

    Parameters
    ----------
    path : str or Path
        The file.  ``extends: FILE`` in it takes all that it does not say from FILE.
    quick : bool
        Whether to apply what the file says under ``quick``: a small version of the study.
    changes : mapping or list of str
        Changes of its base scenario beside those that it says itself, by path.

    Raises
    ------
    InputError
        All faults of the file at once.
    """
    path = Path(path)
    fields = read_extended(path)
    small = fields.pop("quick", None)
    if small is not None and not isinstance(small, dict):
        raise InputError(path, f"quick: must be a mapping of keys, found {small!r}")
    if quick:
        if small is None:
            raise InputError(path, "quick: the file says nothing under this key")
        fields = merged(fields, small)
    return define_study(
        {**fields, "set": {**(fields.get("set") or {}), **dict(change_items(changes))}},
        source=path,
        folder=path.parent,
    )


def define_study(
    fields: Mapping[str, Any],
    *,
    source: str | Path = "study",
    folder: str | Path = ".",
    check: bool = True,
) -> Study:
    """Make a study from what its file would say.

    Parameters
    ----------
    fields : mapping
        In the format of :class:`~clustersim.studies.spec.StudySpec`.
    source : str or Path
        What to call it in messages.
    folder : str or Path
        What file names in it are relative to.
    check : bool
        Whether to open the scenarios of its points, to tell their faults before any run.

    Raises
    ------
    InputError
        All faults at once.

    Examples
    --------
    >>> study = define_study(
    ...     {
    ...         "name": "load",
    ...         "base": {
    ...             "cluster": "mixed-small",
    ...             "workload": {"generate": "philly-2017", "jobs": 100, "load": 0.5},
    ...         },
    ...         "parameters": {"workload.load": [0.5, 0.7, 0.9]},
    ...     }
    ... )
    >>> len(study.points)
    3
    """
    spec = validate(StudySpec, fields, source)
    base = open_base(spec, source=source, folder=Path(folder))
    try:
        points = design(spec, seed=base.seed)
    except InputError as error:
        raise InputError(source, [f"{error.source}: {each}" for each in error.problems]) from None
    study = Study(spec, base, points, str(source))
    if check:
        _check_points(study)
    return study


def _check_points(study: Study) -> None:
    """Open the scenario of each value of each parameter once, and tell all faults together."""
    problems: list[str] = []
    seen: set[tuple[str, str]] = set()
    for point in itertools.islice(_with_something_new(study.points, seen), MOST_CHECKED):
        changes = dict(point.changes)
        if study.spec.capacity is not None and study.spec.capacity.of not in changes:
            changes[study.spec.capacity.of] = study.spec.capacity.between[0]
        try:
            loaded, fleet = open_changed(study.base.tree, changes)
            find_policy(loaded.scenario.scheduler.policy, folder=loaded.folder)
            find_placement(loaded.scenario.scheduler.placement, folder=loaded.folder)
            if point.index == 0:
                scenario_jobs(loaded, fleet)
        except InputError as error:
            told = ", ".join(f"{path} = {value}" for path, value in changes.items())
            inner = "" if error.source == "scenario" else f"{error.source}: "
            problems += [f"with {told}: {inner}{each}" for each in error.problems]
    if problems:
        raise InputError(study.source, list(dict.fromkeys(problems)))


def _with_something_new(points: list[Point], seen: set[tuple[str, str]]) -> Any:
    for point in points:
        pairs = {(path, repr(value)) for path, value in point.changes.items()}
        if not point.changes or pairs - seen:
            seen |= pairs
            yield point
