"""The base scenario of a study, and the runs derived from it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clustersim.catalogue import CatalogueFile
from clustersim.errors import InputError, named_in
from clustersim.extended import read_extended
from clustersim.files import FileModel, read_yaml
from clustersim.scenario.cases import changed_cases
from clustersim.scenario.catalogue_files import (
    catalogue_paths,
    changes_with_files,
    with_catalogue,
)
from clustersim.scenario.changes import set_path
from clustersim.scenario.dates import dated_end
from clustersim.scenario.file_names import FILE_FIELDS, full_path, full_paths
from clustersim.scenario.fleet import FLEET, with_fleet_again
from clustersim.scenario.parameter_paths import check_path
from clustersim.scenario.run_calendar import run_calendar
from clustersim.scenario.scenario import LoadedScenario, Scenario, define_scenario
from clustersim.shipped import existing_file
from clustersim.source_code import this_code
from clustersim.studies.file_hash import file_hash
from clustersim.studies.run_key import run_key
from clustersim.studies.spec import StudySpec, Window
from clustersim.topology import ClusterSpec, find_topology
from clustersim.workload import load_workload, log_files
from clustersim.workload.named_groups import Groups

__all__ = ["POSTERIOR_MEAN", "Base", "PointRuns", "Run", "open_base"]

POSTERIOR_MEAN = -1
"""Draw number of the posterior mean."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a study.

    Attributes
    ----------
    key : str
        Hash of everything that the result of the run depends on, including the code; see
        :func:`~clustersim.studies.run_key.run_key`.
    draw, replication : int
    changes : dict of str to object
        Changes of the base scenario by path, including draw and replication.
    written : dict of str to object
        The same changes, with the names of topology, workload and chip files replaced by the
        content of the files.  The key is computed from this content, so later changes of the files
        do not matter.
    files : dict of str to str
        Hashes of the files that the run reads, by path.
    """

    key: str
    draw: int
    replication: int
    changes: Mapping[str, Any]
    written: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Base:
    """The base scenario with the changes under `set` in the study.

    Attributes
    ----------
    tree : dict
        The whole scenario as plain data.  File names are replaced by the content of the files,
        except for logs and user-defined policies, which are named by their full paths.  It contains
        the cases, but no case is applied.
    source : str
        File of the scenario, for messages.
    window : Window
        The part of every run that is measured.
    plugins : tuple of str
        Plugin files that register metrics, which are also measured in every run.
    groups : mapping
        Groups of jobs for which the study names metrics; see
        :mod:`clustersim.workload.named_groups`.
    asked : tuple of str
        Metrics on request that the study names.
    """

    tree: Mapping[str, Any]
    source: str
    window: Window
    plugins: tuple[str, ...] = ()
    groups: Groups = dataclasses.field(default_factory=dict)
    asked: tuple[str, ...] = ()

    @property
    def measured(self) -> dict[str, Any]:
        """Keyword arguments of :func:`~clustersim.analysis.measures.measure`."""
        window = self.window.measured
        if self.groups:
            window["groups"] = dict(self.groups)
        if self.asked:
            window["asked"] = list(self.asked)
        return {**window, "plugins": list(self.plugins)} if self.plugins else window

    @property
    def seed(self) -> int:
        """Seed of the base scenario."""
        return int(self.tree["seed"])

    @property
    def of_log(self) -> bool:
        """Whether the jobs come from a log."""
        return self.tree["workload"].get("trace") is not None

    def at(self, changes: Mapping[str, Any]) -> PointRuns:
        """Return the runs of the base scenario with the given changes.

        An invalid scenario also has runs; each of them fails with an error message.
        """
        # A change of a whole part must precede changes of fields within it.
        ordered = dict(sorted(changes.items(), key=lambda item: item[0].count(".")))
        try:
            loaded = define_scenario(self.tree, ordered, source=self.source)
            whole = _written_out(loaded.scenario, Path())
            files = _file_hashes(whole)
            scenario = _content(whole, files)
            written = {path: _content_of(path, value, whole) for path, value in ordered.items()}
        except InputError:
            scenario, files = {"base": self.tree, "changes": ordered, "performance": {}}, {}
            written = ordered
        identity: dict[str, Any] = {"scenario": scenario, "window": self.window.measured}
        if self.groups:
            identity["groups"] = dict(self.groups)
        if self.asked:
            identity["asked"] = list(self.asked)
        if self.plugins:
            own = {file: file_hash(file) for file in self.plugins}
            identity["plugins"] = list(own.values())
            files = {**files, **own}
        return PointRuns(ordered, written, identity, files)


@dataclass(frozen=True, slots=True)
class PointRuns:
    """The runs of one scenario, for any draw and replication.

    Attributes
    ----------
    changes, written : dict
        Changes of the base scenario by path; see :class:`Run`.
    identity : dict
        Everything that the result of a run depends on, except the code.
    files : dict of str to str
        Hashes of the files that the runs read, by path.
    """

    changes: Mapping[str, Any]
    written: Mapping[str, Any]
    identity: Mapping[str, Any]
    files: Mapping[str, str]

    def run(self, draw: int, replication: int) -> Run:
        """Return the run of a draw and a replication."""
        scenario = {**self.identity["scenario"], "replication": replication}
        own: dict[str, Any] = {"replication": replication}
        if draw != POSTERIOR_MEAN:
            own = {"performance.draw": draw, **own}
            scenario["performance"] = {**scenario["performance"], "draw": draw}
        identity = {**self.identity, "scenario": scenario}
        return Run(
            key=run_key(identity, this_code()),
            draw=draw,
            replication=replication,
            changes={**self.changes, **own},
            written={**self.written, **own},
            files=self.files,
        )


def open_base(
    spec: StudySpec,
    *,
    source: str | Path,
    folder: Path,
    plugins: tuple[str, ...] = (),
    catalogue: Sequence[str | Path] = (),
) -> Base:
    """Read the base scenario of a study, and check that the path of every parameter exists.

    Parameters
    ----------
    spec : StudySpec
    source : str or Path
        Name of the study in messages.
    folder : Path
        Folder to which file names in the study are relative.
    plugins : tuple of str
        Plugin files that register metrics.
    catalogue : sequence of str or Path
        Files of chips, models and planning assumptions, in addition to those of the base scenario;
        relative to the current folder.

    Raises
    ------
    InputError
        If the study or its base scenario is invalid; the message lists all problems.
    """
    plain, folder, named = _read_base(spec, source, folder)
    own = catalogue_paths(catalogue)
    plain = with_catalogue(plain, own)
    changes = dict(changes_with_files(spec.set.items(), own))
    tree = copy.deepcopy(plain)
    problems = []
    for dotted, value in changes.items():
        problems += _problems("set", check_path, tree, dotted, folder)
        problems += _problems("set", set_path, tree, dotted, value, folder)
    for field, dotted in spec.named_paths:
        for opened in _opened(tree, spec, dotted, folder):
            problems += _problems(field, _check_value, opened, dotted, folder)
    if problems:
        raise InputError(source, list(dict.fromkeys(problems)))
    cases = changed_cases(tree, changes, partial(_case_value, folder))
    loaded = _resolved(_without_case(tree), _without_case(plain), source, named, folder)
    if spec.draws and loaded.scenario.performance.draw is not None:
        raise InputError(
            source,
            "draws: cannot be combined with performance.draw = "
            f"{loaded.scenario.performance.draw} of the base scenario; remove one of them",
        )
    written = _written_out(loaded.scenario, folder, named)
    written.pop("plugins", None)  # included in the plugins of the study
    if tree.get(FLEET) is not None:
        written = with_fleet_again(written, tree[FLEET])
    window = spec.window if loaded.scenario.workload.trace is None else spec.window.of_log()
    window = _with_dated_ends(window, loaded.scenario, source)
    return Base({**written, **cases}, named, window, plugins, spec.measured_groups, (*spec.asked,))


def _with_dated_ends(window: Window, scenario: Scenario, source: str | Path) -> Window:
    """Return a window in which dates are replaced by times, by the calendar of the scenario."""
    ends: dict[str, Any] = {}
    zone = scenario.time_zone if scenario.start is not None else None
    calendar = run_calendar(scenario.start, zone).calendar
    for name in ("warm_up", "cool_down"):
        try:
            ends[name] = dated_end(getattr(window, name), calendar)
        except ValueError as error:
            raise InputError(source, f"window.{name}: {error}") from None
    return window.model_copy(update=ends)


def _without_case(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if key != "case"}


def _case_value(folder: Path, path: str, value: Any) -> Any:
    """Replace file names in a change of a case by the content of the files, as in the base."""
    if path == "catalogue" and isinstance(value, list):
        found = [full_path(folder, own) for own in value]
        return [_yaml(own) if isinstance(own, str) else own for own in found]
    if isinstance(value, dict):
        return {key: _case_value(folder, f"{path}.{key}", own) for key, own in value.items()}
    if path not in FILE_FIELDS:
        return value
    full = full_path(folder, value)
    if path == "cluster" and isinstance(full, str):
        return _topology(full)
    if path == "workload.generate" and isinstance(full, str):
        return _workload(full)
    return full


def _read_base(
    spec: StudySpec, source: str | Path, folder: Path
) -> tuple[dict[str, Any], Path, str]:
    """Return the base scenario as plain data, the folder of its file names, and its name."""
    if isinstance(spec.base, str):
        with named_in(source, "base"):
            path = existing_file(spec.base, folder, within="experiments")
            return read_extended(path), path.parent, str(path)
    if "extends" in spec.base:
        raise InputError(
            source, "base: `extends` is allowed only in a file; set `base` to the name of a file"
        )
    return copy.deepcopy(spec.base), folder, f"{source}: base"


def _problems(
    field: str, check: Callable[..., object], tree: dict[str, Any], path: str, *arguments: Any
) -> list[str]:
    """Run a check of a path; return its problems, each with the field that names the path."""
    try:
        check(tree, path, *arguments)
    except InputError as error:
        inner = "" if error.source.endswith(path) else f"{error.source}: "
        return [f"{field}: {path}: {inner}{problem}" for problem in error.problems]
    return []


def _check_value(tree: dict[str, Any], dotted: str, folder: Path) -> None:
    """Check that the field at a path has a single value."""
    if isinstance(check_path(tree, dotted, folder), list):
        raise InputError(dotted, "is a list; a parameter must be a single value of a scenario")


def _opened(
    tree: dict[str, Any], spec: StudySpec, dotted: str, folder: Path
) -> Iterator[dict[str, Any]]:
    """Yield the base scenario with each value of the parameter that contains a path.

    For example, a parameter ``cluster`` contains ``cluster.pools.h200.nodes``.  Without such a
    parameter, the base scenario is yielded unchanged.
    """
    whole = next((path for path in spec.varied if dotted.startswith(f"{path}.")), None)
    if whole is None:
        yield tree
        return
    for value in spec.listed(whole):
        changed = copy.deepcopy(tree)
        set_path(changed, whole, value, folder)
        yield changed


def _resolved(
    tree: dict[str, Any],
    plain: dict[str, Any],
    source: str | Path,
    named: str,
    folder: Path,
) -> LoadedScenario:
    """Return the base scenario with the study's changes; errors due to the changes name `set`."""
    try:
        return define_scenario(tree, source=named, folder=folder)
    except InputError as error:
        try:
            define_scenario(plain, source=named, folder=folder)
        except InputError:
            raise error from None
        raise InputError(source, [f"set: {problem}" for problem in error.problems]) from None


def _written_out(scenario: Scenario, folder: Path, source: str = "scenario") -> dict[str, Any]:
    """Return a scenario as plain data, with file names replaced by file contents where possible.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    written = full_paths(scenario.model_dump(mode="json", exclude_none=True), folder)
    if isinstance(written["cluster"], str):
        with named_in(source, "cluster"):
            written["cluster"] = _topology(written["cluster"])
    with named_in(source, "catalogue"):
        written["catalogue"] = [
            _yaml(own) if isinstance(own, str) else own for own in written["catalogue"]
        ]
    if isinstance(written["workload"].get("generate"), str):
        with named_in(source, "workload.generate"):
            written["workload"]["generate"] = _workload(written["workload"]["generate"])
    return written


def _content_of(path: str, value: Any, written: Mapping[str, Any]) -> Any:
    """Return the value of a change, with file names replaced by file contents where possible."""
    if path == "cluster" and isinstance(value, str):
        return written["cluster"]
    if path == "workload.generate" and isinstance(value, str):
        return written["workload"]["generate"]
    return written["catalogue"] if path == "catalogue" else value


def _content(written: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields of a scenario that determine its result, in a normal form.

    Paths of files are replaced by hashes, quantities are in SI, and defaults are filled in.
    """
    content = {key: value for key, value in written.items() if key not in ("name", "description")}
    content["cluster"] = _canonical(ClusterSpec, content["cluster"], exclude_none=True)
    # A missing field of an entry takes its value from the entry that it extends, not the default.
    content["catalogue"] = [
        _canonical(CatalogueFile, own, exclude_unset=True) for own in content["catalogue"]
    ]
    workload = content["workload"] = dict(content["workload"])
    if "trace" in workload:
        workload["trace"] = "+".join(hashes[path] for path in log_files(workload["trace"]))
    performance = content["performance"] = dict(content["performance"])
    if "calibration" in performance:
        performance["calibration"] = hashes[performance["calibration"]]
    scheduler = content["scheduler"] = dict(content["scheduler"])
    for name in ("policy", "placement"):
        file, colon, class_name = scheduler[name].partition(":")
        scheduler[name] = f"{hashes.get(file, file)}{colon}{class_name}"
    return content


def _file_hashes(written: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes, by path, of the files that a scenario can only name by their path."""
    trace, calibration = written["workload"].get("trace"), written["performance"].get("calibration")
    files = [*([] if trace is None else log_files(trace)), calibration]
    own = (written["scheduler"][name].partition(":")[0] for name in ("policy", "placement"))
    files += [file for file in own if file.endswith(".py")]
    return {file: file_hash(file) for file in files if file is not None}


def _canonical(
    model: type[FileModel], data: Mapping[str, Any], **leave_out: bool
) -> Mapping[str, Any]:
    """Return data in the normal form of a model.

    Invalid data are returned unchanged, because the run reports the error.
    """
    try:
        return model.model_validate(data).model_dump(mode="json", **leave_out)  # type: ignore[arg-type]
    except ValidationError:
        return data


def _topology(name: str) -> Mapping[str, Any]:
    return _yaml(str(find_topology(name)))


def _workload(name: str) -> Mapping[str, Any]:
    return _read_workload(name, _bytes(name))


def _yaml(path: str) -> Mapping[str, Any]:
    return _read_yaml(path, _bytes(path))


def _bytes(path: str) -> bytes:
    """Return the content of a file as part of a cache key, so a changed file is read again."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


@lru_cache(maxsize=256)
def _read_yaml(path: str, _content: bytes) -> Mapping[str, Any]:
    return read_yaml(path)


@lru_cache(maxsize=64)
def _read_workload(name: str, _content: bytes) -> Mapping[str, Any]:
    return load_workload(name).model_dump(mode="json", exclude_none=True)
