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

__all__ = ["Base", "PointRuns", "Run", "open_base"]

MEAN_WORLD = -1
"""World of the posterior's mean."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a study.

    Attributes
    ----------
    key : str
        Hash of all that its result depends on.
    point, world, replication : int
        Which run of the study it is.
    changes : dict of str to object
        Value by path of the scenario, world and replication among them.
    document : dict
        The whole scenario, with full paths of files.
    """

    key: str
    point: int
    world: int
    replication: int
    changes: Mapping[str, Any]
    document: Mapping[str, Any]


@dataclass(frozen=True)
class Base:
    """The base scenario with the study's changes applied.

    Attributes
    ----------
    tree : dict
        Its data, where files that paths led into are opened.
    folder : Path
        What its file names are relative to.
    source : str
        Its file, for messages.
    window : Window
        What is measured of every run.
    seed : int
        The scenario's.
    """

    tree: Mapping[str, Any]
    folder: Path
    source: str
    window: Window
    seed: int

    def at(self, point: int, changes: Mapping[str, Any]) -> PointRuns:
        """Return the runs of a point, its changes made.

        Raises
        ------
        InputError
            If the scenario cannot be used with these changes.
        """
        ordered = dict(sorted(changes.items(), key=lambda item: item[0].count(".")))
        loaded = resolve_scenario(self.tree, ordered, source=self.source, folder=self.folder)
        document = full_paths(_plain(loaded.scenario), self.folder)
        identity = {
            "scenario": _content(document),
            "window": self.window.model_dump(mode="json"),
            "clustersim": __version__,
            "data": _data_digest(),
        }
        return PointRuns(point, ordered, document, identity)


@dataclass(frozen=True, slots=True)
class PointRuns:
    """The runs of one point: any world and replication of it.

    Attributes
    ----------
    point : int
    changes : dict
        Of the point, by path.
    document, identity : dict
        The point's scenario, and what the hash of a run is taken of.
    """

    point: int
    changes: Mapping[str, Any]
    document: Mapping[str, Any]
    identity: Mapping[str, Any]

    def run(self, world: int, replication: int) -> Run:
        """Return one run."""
        identity = {
            **self.identity,
            "scenario": _varied(self.identity["scenario"], world, replication),
        }
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
        drawn = {} if world == MEAN_WORLD else {"performance.draw": world}
        return Run(
            key=hashlib.sha256(text.encode()).hexdigest()[:16],
            point=self.point,
            world=world,
            replication=replication,
            changes={**self.changes, **drawn, "replication": replication},
            document=_varied(self.document, world, replication),
        )


def open_base(spec: StudySpec, *, source: str | Path, folder: Path) -> Base:
    """Read the base scenario of a study and check that every parameter's path exists.

    Raises
    ------
    InputError
        All faults at once.
    """
    if isinstance(spec.base, str):
        path = folder / spec.base
        with named_in(source, "base"):
            tree = read_extended(path)
        folder, named = path.parent, str(path)
    else:
        tree, named = copy.deepcopy(spec.base), f"{source}: base"
        if "extends" in tree:
            raise InputError(source, "base: extends goes with a file; name the file as the base")
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
    return Base(tree, folder, named, spec.window, loaded.scenario.seed)


def _searched(spec: StudySpec) -> list[str]:
    """Paths of all parameters, that of the capacity search among them."""
    searched = [] if spec.capacity is None else [spec.capacity.of]
    return list(dict.fromkeys([*spec.varied, *searched]))


def _varied(scenario: Mapping[str, Any], world: int, replication: int) -> dict[str, Any]:
    varied = {**scenario, "replication": replication}
    if world != MEAN_WORLD:
        varied["performance"] = {**scenario["performance"], "draw": world}
    return varied


def _plain(scenario: Scenario) -> dict[str, Any]:
    return scenario.model_dump(mode="json", exclude_none=True)


def _content(document: Mapping[str, Any]) -> dict[str, Any]:
    """Put what files hold in the place of their names: what the result of a run depends on."""
    content = {key: value for key, value in document.items() if key not in ("name", "description")}
    if isinstance(content["cluster"], str):
        content["cluster"] = _topology(content["cluster"])
    content["catalogue"] = [
        _yaml_digest(own) if isinstance(own, str) else own for own in content["catalogue"]
    ]
    workload = content["workload"] = dict(content["workload"])
    if isinstance(workload.get("generate"), str):
        workload["generate"] = _workload(workload["generate"])
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
    path = str(find_topology(name))
    return _read_yaml(path, _stamp(path))


def _workload(name: str) -> Mapping[str, Any]:
    return _read_workload(name, _stamp(name))


def _yaml_digest(path: str) -> str:
    text = json.dumps(_read_yaml(path, _stamp(path)), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


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
