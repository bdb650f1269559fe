"""From the section `fleet` of a scenario to its cluster and its supply."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clustersim.availability.fleet_spec import FleetPool, FleetSpec, OrderedChips
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError, shown, unknown_name
from clustersim.files import FileModel, validate
from clustersim.scenario.file_names import beside

__all__ = ["BRIEFING", "FLEET", "expand_fleet", "fleet_of", "with_fleet_again"]

FLEET, BRIEFING = "fleet", "briefing"
"""Sections of a scenario's file that are not part of a single run."""
_DERIVED = ("deliveries", "production", "memory")
"""Parts of the section `supply` that follow from the fleet."""
_ROUNDING = 1e-9


class _Section(FileModel):
    fleet: FleetSpec


def expand_fleet(tree: dict[str, Any], source: str | Path, folder: Path) -> None:
    """Replace the fleet in the data of a scenario by its cluster and its supply, in place.

    Only the part that trains is left, in whole nodes. The section `briefing` is removed.

    Parameters
    ----------
    tree : dict
        Data of a scenario, without dates and cases.
    source : str or Path
        The scenario's file, for messages.
    folder : Path
        Folder to which file names are relative.

    Raises
    ------
    InputError
        If the fleet is invalid, or the scenario also has what follows from it.
    """
    tree.pop(BRIEFING, None)
    if tree.get(FLEET) is None:
        tree.pop(FLEET, None)
        return
    supply = tree.get("supply") or {}
    if not isinstance(supply, dict):
        raise InputError(source, f"supply: must be a mapping, found {shown(supply)}")
    twice = ["cluster"] if "cluster" in tree else []
    twice += [f"supply.{part}" for part in _DERIVED if part in supply]
    if twice:
        problem = f"follows from `{FLEET}`; give only one of them"
        raise InputError(source, [f"{field}: {problem}" for field in twice])
    fleet = fleet_of(tree, source)
    parts = _parts(fleet, _catalogue(tree, folder), source)
    made = [each for part in parts for each in part.production()]
    if fleet.memory is not None:
        _check_memory(parts, source)
    tree["cluster"] = _topology(str(tree.get("name") or FLEET), fleet, parts)
    tree["supply"] = {
        **supply,
        "deliveries": [each for part in parts for each in part.deliveries()],
        "production": made,
        **({"memory": _memory(fleet, parts)} if fleet.memory is not None and made else {}),
    }
    del tree[FLEET]


def with_fleet_again(tree: Mapping[str, Any], fleet: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of a scenario with its fleet in place of the parts that follow from it.

    Parameters
    ----------
    tree : mapping
        Data of a scenario after :func:`expand_fleet`.
    fleet : mapping
        The fleet from which its cluster and its supply follow.
    """
    kept = {key: value for key, value in tree.items() if key not in ("cluster", "supply")}
    supply = tree.get("supply") or {}
    own = {key: value for key, value in supply.items() if key not in _DERIVED}
    return {**kept, **({"supply": own} if own else {}), FLEET: copy.deepcopy(dict(fleet))}


def fleet_of(tree: Mapping[str, Any], source: str | Path) -> FleetSpec:
    """Return the fleet in the data of a scenario without dates and cases.

    Raises
    ------
    InputError
        If it is missing or invalid.
    """
    if not isinstance(tree.get(FLEET), Mapping):
        raise InputError(source, f"{FLEET}: is missing; it describes chips by pool")
    return validate(_Section, {FLEET: tree[FLEET]}, source).fleet


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of a pool that trains."""

    name: str
    pool: FleetPool
    share: float
    chips_per_node: int

    def nodes(self) -> list[int]:
        """Return the whole nodes of the stock, of each delivery and of each production.

        What is cut off from one of them is added to the next.
        """
        given = [self.pool.stock, *(each.chips for each in self.pool.ordered.values())]
        given += [each.chips for each in self.pool.in_production.values()]
        sums = [sum(given[: k + 1]) for k in range(len(given))]
        whole = [math.floor(n * self.share / self.chips_per_node + _ROUNDING) for n in sums]
        return [after - before for before, after in zip([0, *whole], whole, strict=False)]

    def topology(self) -> dict[str, Any]:
        """Return the pool in the format of a topology."""
        of_whole = {"stock", "deliveries", "made", "training_share", "confidence"}
        own = self.pool.model_dump(mode="json", exclude=of_whole, exclude_none=True)
        nodes = sum(self.nodes())
        return {**own, "nodes": nodes, "notes": [*own["notes"], self._note(nodes)]}

    def _note(self, nodes: int) -> str:
        pool = self.pool
        chips = pool.stock + sum(each.chips for each in pool.ordered.values())
        chips += sum(each.chips for each in pool.in_production.values())
        share = "" if self.share == 1.0 else f" x {self.share:g}"
        return (
            f"{chips:,} chips{share} / {self.chips_per_node} = {nodes:,} nodes "
            f"({nodes * self.chips_per_node:,} chips), rounded down"
        )

    def deliveries(self) -> Iterator[dict[str, Any]]:
        """Yield the deliveries in the format of `supply`; chips on hand of a pool with production
        are delivered at the start."""
        nodes = self.nodes()
        if self.pool.in_production and nodes[0]:
            yield {"name": "stock", "pool": self.name, "nodes": nodes[0], "at": "0 s"}
        for (name, order), n in zip(self.pool.ordered.items(), nodes[1:], strict=False):
            if n == 0:
                continue
            own = order.model_dump(mode="json", exclude={"chips", "confidence"}, exclude_none=True)
            if n < order.lots:
                own |= _fewer_lots(order, n)
            yield {**own, "name": name, "pool": self.name, "nodes": n}

    def production(self) -> Iterator[dict[str, Any]]:
        """Yield the production in the format of `supply`."""
        made = self.pool.in_production
        for (name, each), n in zip(
            made.items(), self.nodes()[::-1][: len(made)][::-1], strict=True
        ):
            if n > 0:
                own = each.model_dump(
                    mode="json", exclude={"chips", "confidence"}, exclude_none=True
                )
                rate = _scaled(own["chips_per_month"], self.share)
                yield {**own, "name": name, "pool": self.name, "chips_per_month": rate}


def _fewer_lots(order: OrderedChips, n: int) -> dict[str, Any]:
    """Return a lot for each of `n` nodes, evenly spread, the last one at the date of the last lot.

    A node comes when the last of its chips has come.
    """
    assert order.every is not None, "there are several lots"
    per_node = order.lots / n
    at = order.at + (per_node - 1) * order.every
    every = f"{per_node * order.every} s" if n > 1 else None
    return {"at": f"{at} s", "lots": n, "every": every}


def _parts(fleet: FleetSpec, catalogue: Catalogue, source: str | Path) -> list[_Part]:
    parts, problems = [], []
    for name, pool in fleet.pools.items():
        if not catalogue.has_accelerator(pool.accelerator):
            unknown = unknown_name("accelerator", pool.accelerator, catalogue.accelerators)
            problems.append(f"{FLEET}.pools.{name}.accelerator: {unknown}")
            continue
        share = fleet.training_share if pool.training_share is None else pool.training_share
        per_node = pool.chips_per_node or catalogue.accelerator(pool.accelerator).chips_per_node
        parts.append(_Part(name, pool, share, per_node))
    if problems:
        raise InputError(source, problems)
    return parts


def _catalogue(tree: Mapping[str, Any], folder: Path) -> Catalogue:
    """Return the catalogue of a scenario; what is wrong with its files is reported later."""
    listed = tree.get("catalogue")
    given = listed if isinstance(listed, list) else []
    return load_catalogue(
        *(beside(folder, each) if isinstance(each, str) else each for each in given)
    )


def _topology(name: str, fleet: FleetSpec, parts: list[_Part]) -> dict[str, Any]:
    network = fleet.datacenter_network
    found: dict[str, Any] = {"name": name, "pools": {part.name: part.topology() for part in parts}}
    if network is not None:
        found["datacenter_network"] = network.model_dump(mode="json")
    return found


def _check_memory(parts: list[_Part], source: str | Path) -> None:
    """Check that all pools that share the memory train with the same share.

    Otherwise, it would not be known how much of the memory is for the part that trains.
    """
    shares = {part.name: part.share for part in parts if part.pool.in_production}
    if len(set(shares.values())) > 1:
        found = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        problem = f"must be the same for all pools whose chips share `memory`, found {found}"
        raise InputError(source, f"{FLEET}.pools.NAME.training_share: {problem}")


def _memory(fleet: FleetSpec, parts: list[_Part]) -> dict[str, Any]:
    """Return the memory for the part that trains."""
    assert fleet.memory is not None, "only called with memory"
    own = fleet.memory.model_dump(mode="json", exclude_none=True)
    made = [name for name, pool in fleet.pools.items() if pool.in_production]
    share = next(part.share for part in parts if part.pool.in_production)
    own["stacks_per_month"] = _scaled(own["stacks_per_month"], share)
    own["priority"] = [name for name in own["priority"] if name in made]
    return own


def _scaled(rate: Any, share: float) -> Any:
    """Return a rate, or each of its steps, times a share."""
    if isinstance(rate, list):
        return [{**step, "per_month": step["per_month"] * share} for step in rate]
    return rate * share
