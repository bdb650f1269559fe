"""The base scenario of a study, and every run that is made of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clustersim.catalogue import CatalogueFile
from clustersim.errors import InputError, named_in
from clustersim.files import FileModel, read_yaml
from clustersim.scenario.cases import changed_cases
from clustersim.scenario.changes import set_path
from clustersim.scenario.file_names import FILE_FIELDS, full_path, full_paths
from clustersim.scenario.parameter_paths import check_path
from clustersim.scenario.scenario import (
    LoadedScenario,
    Scenario,
    define_scenario,
    read_extended,
)
from clustersim.shipped import existing_file
from clustersim.source_code import this_code
from clustersim.studies.file_hash import file_hash
from clustersim.studies.run_key import run_key
from clustersim.studies.spec import StudySpec, Window
from clustersim.topology import ClusterSpec, find_topology
from clustersim.workload import load_workload, log_files

__all__ = ["POSTERIOR_MEAN", "Base", "PointRuns", "Run", "open_base"]

POSTERIOR_MEAN = -1
"""Number of the draw that stands for the posterior's mean."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a study.

    Attributes
    ----------
    key : str
        Hash of all that its result depends on, the code among it; see
        :func:`~clustersim.studies.run_key.run_key`.
    draw, replication : int
    changes : dict of str to object
        Of the base scenario, by path; draw and replication among them.
    written : dict of str to object
        The same, with the content of the topologies, workload models and chips that files among
        them hold: what its hash was taken of, whatever becomes of the files.
    files : dict of str to str
        Hashes of the files that it reads, by path.
    """

    key: str
    draw: int
    replication: int
    changes: Mapping[str, Any]
    written: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Base:
    """The base scenario with the study's own changes.

    Attributes
    ----------
    tree : dict
        The whole scenario as plain data: what it named is written out, and logs and policies of
        the user's own are named by their full path.  Its cases are there, and none is applied.
    source : str
        Its file, for messages.
    window : Window
        What is measured of every run.
    plugins : tuple of str
        Files of the user's own that register metrics, which are measured of every run too.
    """

    tree: Mapping[str, Any]
    source: str
    window: Window
    plugins: tuple[str, ...] = ()

    @property
    def measured(self) -> dict[str, Any]:
        """Arguments of :func:`~clustersim.analysis.measures.measure`."""
        told = self.window.measured
        return {**told, "plugins": list(self.plugins)} if self.plugins else told

    @property
    def seed(self) -> int:
        """The scenario's."""
        return int(self.tree["seed"])

    def at(self, changes: Mapping[str, Any]) -> PointRuns:
        """Return the runs of the scenario with some changes.

        A scenario that cannot be used has runs too: each will fail, and say why.
        """
        # What names a whole part is set before what leads into it.
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
        if self.plugins:
            own = {file: file_hash(file) for file in self.plugins}
            identity["plugins"] = list(own.values())
            files = {**files, **own}
        return PointRuns(ordered, written, identity, files)


@dataclass(frozen=True, slots=True)
class PointRuns:
    """The runs of one scenario, in any draw and replication.

    Attributes
    ----------
    changes, written : dict
        Of the base scenario, by path; see :class:`Run`.
    identity : dict
        All that the result of a run depends on, but the code.
    files : dict of str to str
        Hashes of the files that it reads, by path.
    """

    changes: Mapping[str, Any]
    written: Mapping[str, Any]
    identity: Mapping[str, Any]
    files: Mapping[str, str]

    def run(self, draw: int, replication: int) -> Run:
        """Return one run."""
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
    spec: StudySpec, *, source: str | Path, folder: Path, plugins: tuple[str, ...] = ()
) -> Base:
    """Read the base scenario of a study and check that every parameter's path exists.

    Parameters
    ----------
    spec : StudySpec
    source : str or Path
        What to call the study in messages.
    folder : Path
        What file names in it are relative to.
    plugins : tuple of str
        Files of the user's own that register metrics.

    Raises
    ------
    InputError
        All problems at once.
    """
    plain, folder, named = _read_base(spec, source, folder)
    tree = copy.deepcopy(plain)
    problems = []
    for dotted, value in spec.set.items():
        problems += _problems("set", check_path, tree, dotted, folder)
        problems += _problems("set", set_path, tree, dotted, value, folder)
    for field, dotted in spec.named_paths:
        for opened in _opened(tree, spec, dotted, folder):
            problems += _problems(field, _check_value, opened, dotted, folder)
    if problems:
        raise InputError(source, list(dict.fromkeys(problems)))
    cases = changed_cases(tree, spec.set, partial(_case_value, folder))
    loaded = _resolved(_without_case(tree), _without_case(plain), source, named, folder)
    if spec.draws and loaded.scenario.performance.draw is not None:
        told = f"the base scenario has performance.draw = {loaded.scenario.performance.draw}"
        raise InputError(source, f"draws: {told}, and `draws` makes others; leave one of them out")
    written = _written_out(loaded.scenario, folder, named)
    written.pop("plugins", None)  # the study's, of which these are a part
    return Base({**written, **cases}, named, spec.window, plugins)


def _without_case(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tree.items() if key != "case"}


def _case_value(folder: Path, path: str, value: Any) -> Any:
    """Write out the files that a change of a case names, as those of the base are."""
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
    """Data of the base scenario, what its file names are relative to, and its name."""
    if isinstance(spec.base, str):
        with named_in(source, "base"):
            path = existing_file(spec.base, folder, within="experiments")
            return read_extended(path), path.parent, str(path)
    if "extends" in spec.base:
        raise InputError(source, "base: extends goes with a file; name the file as the base")
    return copy.deepcopy(spec.base), folder, f"{source}: base"


def _problems(
    field: str, check: Callable[..., object], tree: dict[str, Any], path: str, *arguments: Any
) -> list[str]:
    """Problems that a check of a path finds, each with the field of the study that names it."""
    try:
        check(tree, path, *arguments)
    except InputError as error:
        inner = "" if error.source.endswith(path) else f"{error.source}: "
        return [f"{field}: {path}: {inner}{problem}" for problem in error.problems]
    return []


def _check_value(tree: dict[str, Any], dotted: str, folder: Path) -> None:
    """Check that a path leads to a field that holds one value."""
    if isinstance(check_path(tree, dotted, folder), list):
        raise InputError(dotted, "is a list, and a parameter is one value of a scenario")


def _opened(
    tree: dict[str, Any], spec: StudySpec, dotted: str, folder: Path
) -> Iterator[dict[str, Any]]:
    """Yield the base with each value of the parameter that names a whole that the path leads into.

    Such as of ``cluster`` for ``cluster.pools.h200.nodes``.
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
    """Check the base scenario with the study's changes; say which of the two is wrong."""
    try:
        return define_scenario(tree, source=named, folder=folder)
    except InputError as error:
        try:
            define_scenario(plain, source=named, folder=folder)
        except InputError:
            raise error from None
        raise InputError(source, [f"set: {problem}" for problem in error.problems]) from None


def _written_out(scenario: Scenario, folder: Path, source: str = "scenario") -> dict[str, Any]:
    """Return a scenario as plain data that names no file but those that only a path can name.

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
    """Return what a change stands for, where it names files that a scenario can also hold."""
    if path == "cluster" and isinstance(value, str):
        return written["cluster"]
    if path == "workload.generate" and isinstance(value, str):
        return written["workload"]["generate"]
    return written["catalogue"] if path == "catalogue" else value


def _content(written: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Any]:
    """Reduce a scenario to what its result depends on, the same however it is written.

    Hashes of files stand in the place of their paths; quantities are in SI; defaults are there.
    """
    content = {key: value for key, value in written.items() if key not in ("name", "description")}
    content["cluster"] = _canonical(ClusterSpec, content["cluster"], exclude_none=True)
    # What an entry does not say is not its default but that of the entry that it extends.
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
    """Hash of each file that a scenario can only name by its path."""
    trace, calibration = written["workload"].get("trace"), written["performance"].get("calibration")
    files = [*([] if trace is None else log_files(trace)), calibration]
    own = (written["scheduler"][name].partition(":")[0] for name in ("policy", "placement"))
    files += [file for file in own if file.endswith(".py")]
    return {file: file_hash(file) for file in files if file is not None}


def _canonical(
    model: type[FileModel], data: Mapping[str, Any], **leave_out: bool
) -> Mapping[str, Any]:
    """Return data as its format writes it; as it stands, where it is wrong: the run will say so."""
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
    """Content of a file, so that what was read of an older one is not taken again."""
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
