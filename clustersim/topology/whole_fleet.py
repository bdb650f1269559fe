"""The topology of a whole fleet: all chips that it has on hand, on order or in production."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustersim.errors import InputError, shown, unknown_name
from clustersim.extended import read_extended
from clustersim.shipped import existing_file

if TYPE_CHECKING:
    from clustersim.catalogue import Catalogue

__all__ = ["FLEET", "whole_fleet"]

FLEET = "fleet"
_OF_POOL = ("accelerator", "chips_per_node", "nic", "transport", "scale_up", "fabric", "sources")


def whole_fleet(
    data: Mapping[str, Any], catalogue: Catalogue, source: str | Path, case: str | None = None
) -> dict[str, Any]:
    """Return the topology of all chips that a fleet will ever have, each pool in whole nodes.

    Parameters
    ----------
    data : mapping
        A fleet file, or a topology whose key `fleet` names such a file and whose key `case` may
        name one of its cases. Other keys of a topology (`name`, `notes`, ...) are kept.
    catalogue : Catalogue
        Supplies the number of chips of a node if the file omits it.
    source : str or Path
        The file, for messages.
    case : str, optional
        Case of the fleet file.

    Raises
    ------
    InputError
        If a file or case is missing, a chip is not in the catalogue, or a number of chips is not a
        whole number.

    Examples
    --------
    >>> import clustersim as cs
    >>> orders = {"first": {"chips": 100, "at": "30 d"}}
    >>> fleet = {"pools": {"new": {"accelerator": "H200", "stock": 60, "deliveries": orders}}}
    >>> tree = whole_fleet({"name": "ours", "fleet": fleet}, cs.load_catalogue(), "ours.yaml")
    >>> tree["pools"]["new"]["nodes"]
    20
    """
    own = {key: value for key, value in data.items() if key not in (FLEET, "case")}
    if isinstance(data[FLEET], str):
        path = existing_file(data[FLEET], Path(source).parent, within="experiments")
        case = data.get("case", case)
        data, source = read_extended(path), path
    else:
        kept = ("name", "description", "notes", "sources")
        own = {key: value for key, value in own.items() if key in kept}
    fleet = _in_case(data, case, source)
    pools = fleet.get("pools")
    if not isinstance(pools, Mapping):
        raise InputError(source, f"{FLEET}.pools: is missing; it describes chips by pool")
    network = fleet.get("datacenter_network")
    return {
        **own,
        "pools": {name: _pool(name, pool, catalogue, source) for name, pool in pools.items()},
        **({} if network is None else {"datacenter_network": network}),
    }


def _in_case(data: Mapping[str, Any], case: str | None, source: str | Path) -> dict[str, Any]:
    """Return the fleet of a file, with the changes of a case."""
    if not isinstance(data.get(FLEET), Mapping):
        raise InputError(source, f"{FLEET}: is missing; it describes chips by pool")
    tree = {FLEET: copy.deepcopy(dict(data[FLEET]))}
    cases = data.get("cases") or {}
    if case is not None:
        if case not in cases:
            raise InputError(source, f"case: {unknown_name('case', case, cases)}")
        for path, value in (cases[case] or {}).items():
            if path.split(".")[0] == FLEET:
                *sections, last = path.split(".")
                here: Any = tree
                for section in sections:
                    if here.get(section) is None:
                        here[section] = {}
                    here = here[section]
                here[last] = value
    found: dict[str, Any] = tree[FLEET]
    return found


def _pool(name: str, pool: Any, catalogue: Catalogue, source: str | Path) -> dict[str, Any]:
    if not isinstance(pool, Mapping) or "accelerator" not in pool:
        raise InputError(source, f"{FLEET}.pools.{name}.accelerator: is missing")
    chips = dict(_chips(name, pool, source))
    per_node = _chips_per_node(name, pool, catalogue, source)
    total = sum(chips.values())
    nodes = total // per_node
    parts = " + ".join(f"{n:,} {what}" for what, n in chips.items() if n)
    note = f"{parts or 'no chips'}; / {per_node} = {nodes:,} nodes, rounded down"
    own = {key: pool[key] for key in _OF_POOL if key in pool}
    return {**own, "nodes": nodes, "notes": [*pool.get("notes", ()), note]}


def _chips_per_node(
    name: str, pool: Mapping[str, Any], catalogue: Catalogue, source: str | Path
) -> int:
    where, chip = f"{FLEET}.pools.{name}", pool["accelerator"]
    if not isinstance(chip, str) or not catalogue.has_accelerator(chip):
        unknown = unknown_name("accelerator", chip, catalogue.accelerators)
        raise InputError(source, f"{where}.accelerator: {unknown}")
    given = pool.get("chips_per_node")
    if given is None:
        return catalogue.accelerator(chip).chips_per_node
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        allowed = "must be a whole number, at least 1"
        raise InputError(source, f"{where}.chips_per_node: {allowed}, found {shown(given)}")
    return given


def _chips(name: str, pool: Mapping[str, Any], source: str | Path) -> Iterator[tuple[str, int]]:
    """Yield each number of chips of a pool, with its name."""
    given = [("stock", "stock", pool.get("stock", 0))]
    for field in ("deliveries", "made"):
        for own, each in (pool.get(field) or {}).items():
            if each is not None:
                given.append((own, f"{field}.{own}.chips", each.get("chips")))
    for own, field, chips in given:
        if not isinstance(chips, int) or isinstance(chips, bool) or chips < 0:
            allowed = "must be a whole number, at least 0"
            where = f"{FLEET}.pools.{name}.{field}"
            raise InputError(source, f"{where}: {allowed}, found {shown(chips)}")
        yield own, chips
