"""A study: its file, base scenario and points."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.brief import Brief
from clustersim.errors import InputError, named_in, shown
from clustersim.extended import read_extended, read_version
from clustersim.files import validate
from clustersim.scenario.changes import change_items, split_path
from clustersim.scenario.file_names import FILE_FIELDS, full_path
from clustersim.scenario.fleet import FLEET
from clustersim.scenario.resolved import resolve
from clustersim.scenario.scenario import Scenario
from clustersim.scenario.written import with_plain_scenario
from clustersim.scheduling import find_placement, find_policy
from clustersim.shipped import existing_file, find_file
from clustersim.studies.base import Base, open_base
from clustersim.studies.checks import check_groups, check_pools, check_study
from clustersim.studies.design import Point, column_value, design
from clustersim.studies.spec import Preview, StudySpec
from clustersim.studies.study_plugins import check_plugins, metric_files, study_plugins
from clustersim.studies.window import check_window
from clustersim.studies.worker import open_changed

__all__ = ["Study", "define_study", "load_study"]

MOST_CHECKED = 64
"""Number of points whose scenario is checked before the first run, to report problems early."""


@dataclass(frozen=True, repr=False)
class Study(Brief):
    """A study that is ready to run.

    Attributes
    ----------
    spec : StudySpec
        The content of the study file.
    base : Base
        The base scenario.
    points : list of Point
        The combinations of parameter values.
    source : str
        File of the study, for messages.

    Examples
    --------
    >>> import clustersim as cs
    >>> study = {
    ...     "name": "two loads",
    ...     "base": {
    ...         "cluster": "mixed-small",
    ...         "workload": {"generate": "philly-2017", "jobs": 50, "load": 0.5},
    ...     },
    ...     "parameters": {"workload.load": [0.5, 0.9]},
    ...     "replications": 2,
    ... }
    >>> loaded = cs.define_study(study)
    >>> loaded.spec.varied
    ['workload.load']
    >>> len(loaded.points)
    2
    """

    spec: StudySpec
    base: Base
    points: list[Point]
    source: str

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        spec, count = self.spec, self.spec.replications
        replications = f"{count:,}" if isinstance(count, int) else f"up to {count.at_most:,}"
        return f"Study {spec.name!r}", {
            "points": f"{len(self.points):,}",
            "parameters": ", ".join(spec.varied),
            "replications": replications,
            "draws": f"{spec.draws:,}" if spec.draws else "",
            "base": self.base.source,
        }

    @property
    def of_log(self) -> bool:
        """Whether the base scenario takes its jobs from a log."""
        return self.base.of_log

    def document(self) -> dict[str, Any]:
        """Return the study as plain data that refers to no files other than logs and policies.

        :func:`define_study` creates the same study from it.

        Examples
        --------
        >>> import clustersim as cs
        >>> base = {
        ...     "cluster": "mixed-small",
        ...     "workload": {"generate": "philly-2017", "jobs": 50, "load": 0.5},
        ... }
        >>> tree = {"name": "one", "base": base, "parameters": {"scheduler.policy": ["fcfs"]}}
        >>> study = cs.define_study(tree)
        >>> cs.define_study(study.document()).points == study.points
        True
        """
        document = self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
        if not self.spec.plugins:
            del document["plugins"]
        return {**document, "base": dict(self.base.tree), "set": {}}


def load_study(
    path: str | Path,
    *,
    quick: bool = False,
    changes: Mapping[str, Any] | list[str] = (),  # type: ignore[assignment]
    plugins: Sequence[str | Path] = (),
    catalogue: Sequence[str | Path] = (),
) -> Study:
    """Read a study file.

    Parameters
    ----------
    path : str or Path
        The file, or the name of a file in a folder ``experiments`` of the user or of the package.
        With ``extends: FILE``, keys that the file does not have are taken from FILE.
    quick : bool
        Whether to apply the changes under ``quick``, which make a small version of the study.
    changes : mapping or list of str
        Changes of the base scenario by path, in addition to the changes in the file.
    plugins : sequence of str or Path
        Files that register metrics or plots, in addition to the files that the study names.
    catalogue : sequence of str or Path
        Files with chips, models and planning assumptions, in addition to those that the base
        scenario lists; relative to the current folder.

    Raises
    ------
    InputError
        If the file is invalid; the message lists all problems.

    Examples
    --------
    >>> import clustersim as cs
    >>> study = cs.load_study("policy_comparison", quick=True)
    >>> study.spec.varied
    ['case', 'workload.generate']
    """
    path = existing_file(path, within="experiments")
    fields, small = read_version(path, quick=quick)
    if small is not None and small.get("plugins") != fields.get("plugins"):
        study_plugins(small, f"{path}: quick", path.parent)
    _check_changes(changes)
    fields = _with_plugins(_with_set(fields, changes), plugins)
    try:
        study = define_study(fields, source=path, folder=path.parent, catalogue=catalogue)
    except InputError as error:
        raise InputError(error.source, _blamed(error.problems, changes)) from error.__cause__
    if small is not None:
        _read_spec(small, f"{path}: quick")
    return _marked(study, read_extended(path)["quick"]) if quick else study


def _marked(study: Study, changes: dict[str, Any]) -> Study:
    """Return the quick version of a study with a description of what is different in it."""
    paths = [*(changes.get("set") or {}), *(changes.get("parameters") or {})]
    chips = None
    if "base" in changes or any(split_path(path)[0] == "cluster" for path in paths):
        sizes = [
            open_changed(study.base.tree, point.changes)[1].cluster.n_chips
            for point in itertools.islice(_newest_first(study.points), MOST_CHECKED)
        ]
        chips = min(sizes), max(sizes)
    preview = Preview(changes=changes, chips=chips)
    return replace(study, spec=study.spec.model_copy(update={"preview": preview}))


def define_study(
    fields: str | Path | Mapping[str, Any] | Study,
    *,
    source: str | Path = "study",
    folder: str | Path = ".",
    catalogue: Sequence[str | Path] = (),
    check: bool = True,
) -> Study:
    """Create a study from the content of a study file.

    Parameters
    ----------
    fields : mapping, str, Path or Study
        Fields of :class:`~clustersim.studies.spec.StudySpec`; ``base`` may also be a loaded
        scenario.  A path is read as by :func:`load_study`.  A study is returned unchanged.
    source : str or Path
        Name of the study in messages.
    folder : str or Path
        Folder to which file names in the study are relative.
    catalogue : sequence of str or Path
        As for :func:`load_study`.
    check : bool
        Whether to check the scenarios of its points, to report problems before the first run.

    Raises
    ------
    InputError
        If the study is invalid; the message lists all problems.

    Examples
    --------
    >>> from clustersim import define_study
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
    if isinstance(fields, Study):
        return fields
    if isinstance(fields, str | Path):
        return load_study(fields, catalogue=catalogue)
    if not isinstance(fields, Mapping):
        allowed = "must be a path, a mapping or the result of load_study"
        raise InputError("study", f"{allowed}, found {shown(fields)}")
    fields = with_plain_scenario(fields, "base")
    plugins = study_plugins(fields, source, Path(folder))
    spec = _with_full_paths(_read_spec(fields, source), Path(folder))
    spec = spec.model_copy(update={"plugins": [plugin.file for plugin in plugins]})
    if problems := [*_alike_in_tables(spec), *check_plugins(spec, plugins)]:
        raise InputError(source, problems)
    own = metric_files(plugins)
    base = open_base(spec, source=source, folder=Path(folder), plugins=own, catalogue=catalogue)
    try:
        points = design(spec, seed=base.seed)
    except InputError as error:
        raise InputError(source, [f"{error.source}: {each}" for each in error.problems]) from None
    study = Study(spec.model_copy(update={"window": base.window}), base, points, str(source))
    if check:
        _check_points(study)
    return study


def _check_changes(changes: Mapping[str, Any] | list[str]) -> None:
    """Raise an error if a change names a key of the study instead of its base scenario."""
    keys = StudySpec.model_fields.keys() - Scenario.model_fields.keys()
    problems = [
        f"{name} belongs to the study, but --set changes its base scenario; change the study file"
        for name, _ in change_items(changes)
        if split_path(name)[0] in keys
    ]
    if problems:
        raise InputError("--set", problems)


def _with_set(fields: dict[str, Any], changes: Mapping[str, Any] | list[str]) -> dict[str, Any]:
    """Add changes of the base scenario to the changes in a study file."""
    own = fields.get("set") or {}
    if not changes or not isinstance(own, dict):
        return fields
    return {**fields, "set": {**own, **dict(change_items(changes))}}


def _with_plugins(fields: dict[str, Any], plugins: Sequence[str | Path]) -> dict[str, Any]:
    """Add plugin files to the plugin files of a study."""
    own = fields.get("plugins") or []
    if not plugins or not isinstance(own, list):
        return fields
    return {**fields, "plugins": [*own, *(str(Path(file).resolve()) for file in plugins)]}


def _blamed(problems: list[str], changes: Mapping[str, Any] | list[str]) -> list[str]:
    """Attribute problems of changes given by ``--set`` to that option, not to the study file."""
    own = tuple(f"set: {name}{end}" for name, _ in change_items(changes) for end in ": ")
    return [f"--{problem}" if problem.startswith(own) else problem for problem in problems]


def _read_spec(fields: Mapping[str, Any], source: str | Path) -> StudySpec:
    spec = validate(StudySpec, fields, source)
    problems = check_study(spec)
    if problems:
        raise InputError(source, problems)
    return spec


def _with_full_paths(spec: StudySpec, folder: Path) -> StudySpec:
    """Replace file names among the parameters' values by full paths, as in the base."""
    beside = folder
    if isinstance(spec.base, str):
        beside = find_file(spec.base, folder, within="experiments").parent

    def full(path: str, values: Any) -> Any:
        if path not in FILE_FIELDS or not isinstance(values, list):
            return values
        return [full_path(beside, value) for value in values]

    parameters = {path: full(path, values) for path, values in spec.parameters.items()}
    paired = [{path: full(path, values) for path, values in group.items()} for group in spec.paired]
    update: dict[str, Any] = {"parameters": parameters, "paired": paired}
    if spec.compare is not None and spec.compare.of in FILE_FIELDS:
        named = full_path(beside, spec.compare.baseline)
        update["compare"] = spec.compare.model_copy(update={"baseline": named})
    return spec.model_copy(update=update)


def _alike_in_tables(spec: StudySpec) -> Iterator[str]:
    """Report files among a parameter's values that have the same name in tables."""
    fields = {path: field for field, path in spec.named_paths}
    for path in spec.varied:
        names: dict[Any, Any] = {}
        for value in spec.listed(path):
            other = names.setdefault(column_value(value), value)
            if isinstance(value, str) and value.startswith("/") and other != value:
                name = column_value(value)
                yield (
                    f"{fields[path]}: {path}: tables would show both {other} and {value} as "
                    f"{name}; rename one"
                )


def _check_points(study: Study) -> None:
    """Check the scenarios of the points, and report all problems together.

    In a large design, only enough points to cover each value of each parameter are checked.
    """
    found: dict[str, str] = {}
    tree = study.base.tree
    named = (tree[FLEET] if FLEET in tree else tree["cluster"]).get("pools")
    pools = {str(name) for name in named} if isinstance(named, dict) else set()
    for point in itertools.islice(_newest_first(study.points), MOST_CHECKED):
        changes = dict(point.changes)
        if study.spec.capacity is not None and study.spec.capacity.of not in changes:
            changes[study.spec.capacity.of] = study.spec.capacity.between[0]
        for problem in _point_problems(study, changes, pools, jobs=point.index == 0):
            if problem not in found:
                cause = _cause(study, changes, problem)
                found[problem] = f"{cause}: {problem}" if cause else problem
    problems = [*found.values()] or check_pools(study.spec, pools)
    if problems:
        raise InputError(study.source, problems)


def _point_problems(
    study: Study, changes: Mapping[str, Any], pools: set[str], *, jobs: bool = False
) -> list[str]:
    """Return the problems of a changed scenario, and add the names of its pools to `pools`."""
    try:
        loaded, platform = open_changed(study.base.tree, changes)
        pools |= {pool.name for pool in platform.cluster.pools}
        scheduler = loaded.scenario.scheduler
        with named_in("scenario", "scheduler.policy"):
            find_policy(scheduler.policy, folder=loaded.folder)
        with named_in("scenario", "scheduler.placement"):
            find_placement(scheduler.placement, folder=loaded.folder)
        if jobs or "horizon" in changes:
            resolved = resolve(loaded, platform=platform)
            submit_s = resolved.jobs["submit_s"].to_numpy(dtype=np.float64)
            calendar = resolved.dated.calendar
            model = platform.workload
            classes = () if model is None else (each.name for each in model.classes)
            return [
                *check_window(submit_s, study.spec.window, loaded.scenario.horizon, calendar),
                *check_groups(study.spec, resolved.jobs, classes),
            ]
    except InputError as error:
        inner = error.source.removeprefix("scenario").removeprefix(": ")
        return [f"{inner}: {problem}" if inner else problem for problem in error.problems]
    return []


def _cause(study: Study, changes: Mapping[str, Any], problem: str) -> str:
    """Return the cause of a problem: the base scenario, one value, or several values together."""
    own = (f"{field}: " for field, _ in study.spec.named_metrics)
    if problem.startswith(("window: ", "groups.", *own)):
        return ""
    if problem in _point_problems(study, {}, set(), jobs=True):
        return study.base.source.removeprefix(f"{study.source}: ")
    fields = {path: field for field, path in study.spec.named_paths}
    for path, value in changes.items():
        if problem in _point_problems(study, {path: value}, set(), jobs=True):
            return f"{fields[path]}: {path} = {value}"
    return "with " + ", ".join(f"{path} = {value}" for path, value in changes.items())


def _newest_first(points: list[Point]) -> Iterator[Point]:
    """Yield first the points with a parameter value that no earlier point has, then the others."""
    seen: set[tuple[str, str]] = set()
    others: list[Point] = []
    for point in points:
        pairs = {(path, repr(value)) for path, value in point.changes.items()}
        if not pairs <= seen or point.index == 0:
            seen |= pairs
            yield point
        elif len(others) < MOST_CHECKED:
            others.append(point)
    yield from others
