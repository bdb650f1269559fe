"""The base scenario of a study, and every run that is made of it."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from clustersim.errors import InputError, named_in
from clustersim.files import read_yaml
from clustersim.simulation.changes import set_path
from clustersim.simulation.known_paths import check_path
from clustersim.simulation.run import full_paths
from clustersim.simulation.scenario import Scenario, read_extended, resolve_scenario
from clustersim.studies.spec import StudySpec, Window
from clustersim.topology import find_topology
from clustersim.version import __version__
from clustersim.workload import load_workload

__all__ = ["MEAN_WORLD", "Base", "PointRuns", "Run", "open_base"]

MEAN_WORLD = -1
"""World of the posterior's mean."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a study.

    Attributes
    ----------
    key : str
        Hash of all that its result depends on.
    world, replication : int
    changes : dict of str to object
        Of the base scenario, by path; world and replication among them.
    """

    key: str
    world: int
    replication: int
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Base:
    """The base scenario with the study's own changes.

    Attributes
    ----------
    tree : dict
        The whole scenario as plain data: what it named is written out, and logs and policies of
        the user's own are named by their full path.
    source : str
        Its file, for messages.
    window : Window
        What is measured of every run.
    """

    tree: Mapping[str, Any]
    source: str
    window: Window

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
            loaded = resolve_scenario(self.tree, ordered, source=self.source)
            scenario = _content(_written_out(loaded.scenario, Path()))
        except InputError:
            scenario = {"base": self.tree, "changes": ordered, "performance": {}}
        identity = {
            "scenario": scenario,
            "window": self.window.model_dump(mode="json"),
            "clustersim": __version__,
            "data": _data_digest(),
        }
        return PointRuns(ordered, identity)


@dataclass(frozen=True, slots=True)
class PointRuns:
    """The runs of one scenario, in any world and replication.

    Attributes
    ----------
    changes : dict
        Of the base scenario, by path.
    identity : dict
        All that the result of a run depends on.
    """

    changes: Mapping[str, Any]
    identity: Mapping[str, Any]

    def run(self, world: int, replication: int) -> Run:
        """Return one run."""
        scenario = {**self.identity["scenario"], "replication": replication}
        drawn = {}
        if world != MEAN_WORLD:
            drawn["performance.draw"] = world
            scenario["performance"] = {**scenario["performance"], "draw": world}
        identity = {**self.identity, "scenario": scenario}
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        return Run(
            key=hashlib.sha256(text.encode()).hexdigest()[:16],
            world=world,
            replication=replication,
            changes={**self.changes, **drawn, "replication": replication},
        )


def open_base(spec: StudySpec, *, source: str | Path, folder: Path) -> Base:
    """Read the base scenario of a study and check that every parameter's path exists.

    Raises
    ------
    InputError
        All faults at once.
    """
    tree, folder, named = _read_base(spec, source, folder)
    problems = []
    for field, paths in (("set", list(spec.set)), ("parameters", _searched(spec))):
        for dotted in paths:
            try:
                check_path(tree, dotted, folder)
                if field == "set":
                    set_path(tree, dotted, spec.set[dotted], folder)
            except InputError as error:
                problems += [f"{field}: {dotted}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(source, problems)
    loaded = resolve_scenario(tree, source=named, folder=folder)
    with named_in(source, "base"):
        return Base(_written_out(loaded.scenario, folder), named, spec.window)


def _read_base(
    spec: StudySpec, source: str | Path, folder: Path
) -> tuple[dict[str, Any], Path, str]:
    """Data of the base scenario, what its file names are relative to, and its name."""
    if isinstance(spec.base, str):
        path = folder / spec.base
        with named_in(source, "base"):
            return read_extended(path), path.parent, str(path)
    if "extends" in spec.base:
        raise InputError(source, "base: extends goes with a file; name the file as the base")
    return copy.deepcopy(spec.base), folder, f"{source}: base"


def _searched(spec: StudySpec) -> list[str]:
    """Paths of all parameters, that of the capacity search among them."""
    searched = [] if spec.capacity is None else [spec.capacity.of]
    return list(dict.fromkeys([*spec.varied, *searched]))


def _written_out(scenario: Scenario, folder: Path) -> dict[str, Any]:
    """Return a scenario as plain data that names no file but those that only a path can name.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    written = full_paths(scenario.model_dump(mode="json", exclude_none=True), folder)
    if isinstance(written["cluster"], str):
        written["cluster"] = _topology(written["cluster"])
    written["catalogue"] = [
        _yaml(own) if isinstance(own, str) else own for own in written["catalogue"]
    ]
    if isinstance(written["workload"].get("generate"), str):
        written["workload"]["generate"] = _workload(written["workload"]["generate"])
    return written


def _content(written: Mapping[str, Any]) -> dict[str, Any]:
    """Put hashes of files in the place of their paths, and leave out what is only for readers."""
    content = {key: value for key, value in written.items() if key not in ("name", "description")}
    workload = content["workload"] = dict(content["workload"])
    if "trace" in workload:
        workload["trace"] = _digest(workload["trace"])
    performance = content["performance"] = dict(content["performance"])
    if "calibration" in performance:
        performance["calibration"] = _digest(performance["calibration"])
    scheduler = content["scheduler"] = dict(content["scheduler"])
    for name in ("policy", "placement"):
        file, colon, class_name = scheduler[name].partition(":")
        if file.endswith(".py"):
            scheduler[name] = f"{_digest(file)}{colon}{class_name}"
    return content


def _topology(name: str) -> Mapping[str, Any]:
    return _yaml(str(find_topology(name)))


def _workload(name: str) -> Mapping[str, Any]:
    return _read_workload(name, _stamp(name))


def _yaml(path: str) -> Mapping[str, Any]:
    return _read_yaml(path, _stamp(path))


def _digest(path: str) -> str:
    """Hash of a file's bytes; its name, where it cannot be read (the run will say so)."""
    try:
        return _read_digest(path, _stamp(path))
    except OSError:
        return path


def _stamp(path: str) -> tuple[int, int]:
    """Time and size of a file, so that nothing that was read of an older one is taken again."""
    try:
        told = Path(path).stat()
    except OSError:
        return 0, 0
    return told.st_mtime_ns, told.st_size


@lru_cache(maxsize=256)
def _read_yaml(path: str, _stamp: tuple[int, int]) -> Mapping[str, Any]:
    return read_yaml(path)


@lru_cache(maxsize=64)
def _read_workload(name: str, _stamp: tuple[int, int]) -> Mapping[str, Any]:
    return load_workload(name).model_dump(mode="json", exclude_none=True)


@lru_cache(maxsize=256)
def _read_digest(path: str, _stamp: tuple[int, int]) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


@lru_cache(maxsize=1)
def _data_digest() -> str:
    """Hash of the chips, models and fitted coefficients that come with clustersim."""
    package = resources.files("clustersim")
    digest = hashlib.sha256()
    for folder in ("catalogue/data", "performance/data", "network/data"):
        for file in sorted(package.joinpath(folder).iterdir(), key=lambda entry: entry.name):
            if file.is_file():
                digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
