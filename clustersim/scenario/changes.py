"""Changes to a scenario by dotted path, such as ``cluster.pools.h200.nodes = 64``."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from clustersim.catalogue import Accelerator, load_catalogue
from clustersim.errors import InputError, check_kind, shown, unknown_name
from clustersim.files import parse_yaml, read_yaml
from clustersim.scenario.file_names import beside, path_of_change
from clustersim.topology import find_topology
from clustersim.workload import load_workload

__all__ = [
    "ASSUMPTIONS",
    "change_items",
    "checkpoints_of",
    "key_of",
    "named_element",
    "network_of",
    "open_path",
    "set_path",
    "split_path",
]

ASSUMPTIONS = "assumptions"
"""Section of a catalogue that contains planning assumptions."""

_PART = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([^."']+?))\s*(?:\.|$)""")


def split_path(path: str) -> list[str]:
    """Split a path at its dots; a name that contains dots must be quoted.

    Raises
    ------
    InputError
        If a part is empty or a quote is not closed.

    Examples
    --------
    >>> split_path("cluster.pools.h200.nodes")
    ['cluster', 'pools', 'h200', 'nodes']
    >>> split_path("workload.generate.classes.'qwen2.5 tuning'.weight")
    ['workload', 'generate', 'classes', 'qwen2.5 tuning', 'weight']
    """
    parts, at = [], 0
    while at < len(path):
        found = _PART.match(path, at)
        if found is None:
            break
        parts.append(next(group for group in found.groups() if group is not None))
        at = found.end()
    if not parts or at < len(path) or path.rstrip().endswith("."):
        raise InputError(
            path, "is not a path such as workload.load; names that contain dots must be quoted"
        )
    return parts


def network_of(changes: Sequence[str]) -> dict[str, Any] | None:
    """Return the section ``network`` that changes make; None without changes.

    Examples
    --------
    >>> network_of(["network.contention=false", "network.load_balancing=ecmp"])
    {'contention': False, 'load_balancing': 'ecmp'}
    """
    items = change_items(changes)
    return {".".join(split_path(path)[1:]): value for path, value in items} if items else None


def checkpoints_of(changes: Sequence[str]) -> dict[str, Any] | None:
    """Return the section ``failures.checkpoints`` that changes make; None without changes.

    Examples
    --------
    >>> checkpoints_of(["failures.checkpoints.storage.write=1TB/s"])
    {'storage': {'write': '1TB/s'}}
    """
    tree: dict[str, Any] = {}
    for path, value in change_items(changes):
        set_path(tree, path, value, Path())
    return tree["failures"]["checkpoints"] if tree else None


def change_items(changes: Mapping[str, Any] | Sequence[str]) -> list[tuple[str, Any]]:
    """Return changes such as ``{"a.b": 1}`` or ``["a.b=1"]`` as pairs (path, value).

    Raises
    ------
    InputError
        If a text is not ``path.to.field=value`` with a value in YAML.
    """
    if isinstance(changes, Mapping):
        return list(changes.items())
    if isinstance(changes, str) or not isinstance(changes, Iterable):
        allowed = 'a mapping such as {"seed": 3} or a list of texts such as ["seed=3"]'
        check_kind("changes", changes, (), allowed)
    items = []
    for text in changes:
        check_kind("changes", text, str, "texts such as seed=3")
        key, equals, value = _at_equals(text)
        if not equals or not key.strip():
            raise InputError(f"--set {text}", "must be path.to.field=value")
        with named_path(text):
            split_path(key)
        try:
            items.append((key.strip(), parse_yaml(value)))
        except (YAMLError, ValueError, RecursionError):
            problem = f"the value {shown(value)} is not valid YAML"
            raise InputError(f"--set {shown(text)[1:-1]}", problem) from None
    return items


def _at_equals(text: str) -> tuple[str, str, str]:
    """Split ``path=value`` at the first equals sign that is not in quotes."""
    outside = re.match(r"""(?:[^="']|"[^"]*"|'[^']*')*""", text)
    at = 0 if outside is None else outside.end()
    if text[at : at + 1] != "=":
        return text.partition("=")
    return text[:at], "=", text[at + 1 :]


@contextmanager
def named_path(text: str) -> Iterator[None]:
    """Name the option ``--set`` in messages about its path."""
    try:
        yield
    except InputError as error:
        raise InputError(f"--set {text}", error.problems) from None


def set_path(tree: dict[str, Any], path: str, value: Any, folder: Path) -> None:
    """Set the value at a path in a scenario's data.

    Parameters
    ----------
    tree : dict
        Data of a scenario, changed in place.
    path : str
        Keys separated by dots; see :func:`split_path`. A path may lead into the cluster or workload
        model that the scenario names (``cluster.pools.h200.nodes``), to an element of a list by its
        ``name`` (``workload.generate.classes.fine-tuning.weight``), to a chip or model of the
        catalogue (``catalogue.SeedChip.hbm_bandwidth``), and to the planning assumptions
        (``catalogue.assumptions.pue``).
    value : object
        Value in the units of the file format, such as ``"4 TB/s"``.
    folder : Path
        Folder to which file names are relative; see
        :func:`~clustersim.scenario.file_names.path_of_change`.

    Raises
    ------
    InputError
        If a part of the path other than the last has no fields.
    """
    with named_path(path):
        parts = split_path(path)
    if parts[0] == "cases":
        raise InputError(
            f"--set {path}", "cases can only be changed in the file; choose one with case=NAME"
        )
    here = open_path(tree, parts[:-1], folder, f"--set {path}")
    key = key_of(here, parts[-1])
    if len(parts) > 1 and isinstance(here.get(key), list) and not isinstance(value, list):
        raise InputError(f"--set {path}", f"{parts[-1]} is a list; set it as a whole")
    here[key] = path_of_change(folder, path, copy.deepcopy(value))


def key_of(mapping: Mapping[Any, Any], part: str) -> Any:
    """Return the key of a mapping that equals a part of a path as text; the key may be a number.

    If there is no such key, the part itself is returned.
    """
    return next((key for key in mapping if str(key) == part), part)


def open_path(
    tree: dict[str, Any], parts: Sequence[str], folder: Path, source: str
) -> dict[str, Any]:
    """Return the mapping at a path, and read the files into which it leads; see :func:`set_path`.

    Missing parts of the path are created as empty mappings.
    """
    here: Any = tree
    rest = list(parts)
    if rest[:1] == ["catalogue"] and len(rest) > 1:
        here = _own_entry(tree, rest[1], folder, source)
        rest = rest[2:]
    done = list(parts[: len(parts) - len(rest)])
    for part in rest:
        done.append(part)
        if isinstance(here, list):
            here = named_element(here, part, done, source)
            continue
        key = key_of(here, part)
        below = here.get(key)
        if isinstance(below, str):
            below = here[key] = _opened(done, below, folder, source)
        elif below is None:
            below = here[key] = {}
        if not isinstance(below, (dict, list)):
            raise InputError(source, f"{'.'.join(done)} has no fields")
        here = below
    if isinstance(here, list):
        raise InputError(source, f"{done[-1]} is a list; set it as a whole")
    fields: dict[str, Any] = here
    return fields


def named_element(items: list[Any], name: str, path: Sequence[str], source: str) -> dict[str, Any]:
    """Return the element of a list of mappings that has a given name."""
    named = {item["name"]: item for item in items if isinstance(item, dict) and "name" in item}
    if not named:
        raise InputError(
            source,
            f"{path[-2]} is a list; set it as a whole, or give its elements a `name` and use "
            "this name in the path",
        )
    if name not in named:
        raise InputError(source, unknown_name(f"name in {'.'.join(path[:-1])}", name, named))
    found: dict[str, Any] = named[name]
    return found


def _own_entry(tree: dict[str, Any], name: str, folder: Path, source: str) -> dict[str, Any]:
    """Return the scenario's own entry for a chip or model, which extends the catalogue's entry."""
    listed = tree.setdefault("catalogue", [])
    if not isinstance(listed, list):
        raise InputError(source, f"catalogue must be a list of files, found {shown(listed)}")
    if not listed or not _holds_changes_only(listed[-1]):
        listed.append({})
    if name == ASSUMPTIONS:
        assumptions: dict[str, Any] = listed[-1].setdefault(ASSUMPTIONS, {})
        return assumptions
    given = [beside(folder, item) if isinstance(item, str) else item for item in listed[:-1]]
    try:
        found = load_catalogue(*given).find(name)
    except InputError as error:
        raise InputError(source, error.problems) from None
    section = "accelerators" if isinstance(found, Accelerator) else "models"
    entry: dict[str, Any] = listed[-1].setdefault(section, {}).setdefault(found.name, {})
    entry.setdefault("extends", found.name)
    return entry


def _holds_changes_only(catalogue: Any) -> bool:
    """Return whether a catalogue contains only changes to existing entries.

    Each of its accelerators and models then extends an entry of the same name. :func:`_own_entry`
    adds entries only to such a catalogue.
    """
    if not isinstance(catalogue, dict):
        return False
    if not catalogue.keys() <= {"accelerators", "models", ASSUMPTIONS}:
        return False
    sections = [catalogue.get(name) or {} for name in ("accelerators", "models")]
    if not all(isinstance(section, dict) for section in sections):
        return False
    entries = [(name, entry) for section in sections for name, entry in section.items()]
    return all(isinstance(entry, dict) and entry.get("extends") == name for name, entry in entries)


def _opened(path: list[str], name: str, folder: Path, source: str) -> dict[str, Any]:
    if path == ["cluster"]:
        return _yaml(str(find_topology(beside(folder, name))))
    if path == ["workload", "generate"]:
        return _workload(str(beside(folder, name)))
    raise InputError(source, f"{'.'.join(path)} is {name!r} and has no fields")


def _yaml(path: str) -> dict[str, Any]:
    try:
        content = Path(path).read_bytes()
    except OSError:
        content = b""  # `read_yaml` raises the error
    return copy.deepcopy(_read_once(path, content))


@lru_cache(maxsize=32)
def _read_once(path: str, _content: bytes) -> dict[str, Any]:
    return read_yaml(path)


def _workload(name: str) -> dict[str, Any]:
    return load_workload(name).model_dump(mode="json", exclude_defaults=True)
