"""What a plan takes from a fleet file: existing nodes, supply by quarter, probabilities, limits."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.array_types import Ints
from clustersim.availability.fleet_spec import Purchases
from clustersim.availability.supply import Supply, arrivals_s
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError, named_in, unknown_name
from clustersim.extended import read_extended
from clustersim.files import validate
from clustersim.procurement.spec import QUARTER_S, FleetOfPlan
from clustersim.scenario.changes import set_path
from clustersim.scenario.file_names import full_path
from clustersim.scenario.scenario import define_scenario
from clustersim.seeds import Streams
from clustersim.shipped import existing_file
from clustersim.topology import compile_cluster, resolve_cluster

__all__ = ["FLEET", "with_fleet", "with_rest_of_probability"]

FLEET = "fleet"


def with_fleet(fields: Mapping[str, Any], source: str | Path, folder: Path) -> dict[str, Any]:
    """Return the data of a plan, in which the numbers of its fleet file are filled in.

    Only missing fields are filled in. For each chip that is also a pool of the fleet: the chip
    type, the nodes in service at the start, and those that arrive in each quarter. The numbers are
    those of the whole fleet; each lot arrives at its expected date. A delivery with a `probability`
    takes place; another scenario has to say what happens without it. For each scenario with a
    `case`: its supply where that differs, and its probability. For the plan: budget, power and
    catalogue files.

    Parameters
    ----------
    fields : mapping
        Data of a plan; without `fleet`, they are returned as they are.
    source : str or Path
        Name of the plan in messages.
    folder : Path
        Folder to which file names in the plan are relative.

    Raises
    ------
    InputError
        If the file, one of its cases, or a probability is missing.
    """
    found = dict(fields)
    if fields.get(FLEET) is None:
        return found
    named = validate(FleetOfPlan, fields[FLEET], f"{source}: {FLEET}")
    with named_in(source, f"{FLEET}.file"):
        path = existing_file(named.file, folder, within="experiments")
    file = _FleetFile(path, read_extended(path), named)
    quarters = fields.get("quarters")
    if not isinstance(quarters, int) or not isinstance(fields.get("chips"), Mapping):
        return found  # what is wrong with them is reported later
    usual = file.supply(None, quarters)
    found["chips"] = {name: _chip(chip, usual.get(name)) for name, chip in fields["chips"].items()}
    if isinstance(fields.get("scenarios"), Mapping):
        found["scenarios"] = {
            name: _scenario(given or {}, name, file, usual, quarters, [*fields["chips"]])
            for name, given in fields["scenarios"].items()
        }
    limits = file.purchases()
    if limits.get("budget") is not None:
        found.setdefault("budget", limits["budget"])
    if limits.get("power") is not None:
        own = fields.get("limits") or {}
        found["limits"] = {"power": limits["power"], "source": limits.get("source", ""), **own}
    found["catalogue"] = [*file.catalogue, *(fields.get("catalogue") or [])]
    return found


@dataclass(frozen=True, slots=True)
class _PoolSupply:
    """The nodes of a pool over the quarters of a plan.

    Attributes
    ----------
    accelerator : str
    chips_per_node : int
    existing : int
        Nodes in service at the start.
    available : int64 array (quarters,)
        Nodes that arrive in each quarter.
    stopped : bool
        Whether an embargo stops spare parts within the quarters.
    source : str
    """

    accelerator: str
    chips_per_node: int | None
    existing: int
    available: Ints
    stopped: bool
    source: str


@dataclass(frozen=True, slots=True)
class _FleetFile:
    path: Path
    tree: dict[str, Any]
    named: FleetOfPlan

    @property
    def catalogue(self) -> list[Any]:
        folder = self.path.parent
        return [
            full_path(folder, each) if isinstance(each, str) else each
            for each in self.tree.get("catalogue") or []
        ]

    def changed(self, case: str | None) -> dict[str, Any]:
        """Return the file's data after the changes of the plan's case, one more, and `set`."""
        tree = copy.deepcopy(self.tree)
        cases = tree.pop("cases", None) or {}
        tree.pop("case", None)
        changes: dict[str, Any] = {}
        for each in (self.named.case, case):
            if each is not None and each not in cases:
                raise InputError(self.path, f"case: {unknown_name('case', each, cases)}")
            changes |= {} if each is None else cases[each]
        for path, value in {**changes, **self.named.set}.items():
            set_path(tree, path, value, self.path.parent)
        fleet = tree.get(FLEET)
        if not isinstance(fleet, dict) or not isinstance(fleet.get("pools"), dict):
            raise InputError(self.path, f"{FLEET}.pools: is missing; it describes chips by pool")
        return tree

    def purchases(self) -> dict[str, Any]:
        """Return what limits purchases, as it is written."""
        given = self.changed(None)[FLEET].get("purchases") or {}
        validate(Purchases, given, f"{self.path}: {FLEET}.purchases")
        return dict(given)

    def supply(self, case: str | None, quarters: int) -> dict[str, _PoolSupply]:
        """Return the supply of each pool in a case."""
        tree = self.changed(case)
        tree[FLEET]["training_share"] = 1.0
        for each in tree[FLEET]["pools"].values():
            each.pop("training_share", None)
        scenario = define_scenario(tree, source=self.path, folder=self.path.parent).scenario
        assert isinstance(scenario.cluster, dict), "it follows from the fleet"
        catalogue = load_catalogue(*self.catalogue)
        spec = resolve_cluster(scenario.cluster, catalogue, source=self.path)
        cluster = compile_cluster(spec)
        if scenario.supply is not None and scenario.supply.retirements:
            raise InputError(
                self.path,
                "supply.retirements: plans cannot take nodes out of a fleet file; remove them with "
                "`set` in the plan's section `fleet`",
            )
        supply = at_expected_dates(scenario.supply or Supply())
        edges = np.arange(quarters + 1) * QUARTER_S
        end = edges[-1]
        found = {}
        comes = arrivals_s(supply, cluster, catalogue, Streams(0))
        for pool, comes_s in zip(cluster.pools, comes, strict=True):
            given = scenario.cluster["pools"][pool.name]
            later = comes_s[(comes_s > 0) & (comes_s < end)]
            stopped = any(
                pool.name in each.pools and each.at < end and not each.spare_parts
                for each in supply.embargoes
            )
            found[pool.name] = _PoolSupply(
                pool.accelerator,
                given.get("chips_per_node"),
                int(np.sum(comes_s <= 0)),
                np.histogram(later, edges)[0].astype(np.int64),
                stopped,
                "; ".join(given.get("sources", [])),
            )
        for name in spec.empty_pools:
            given = scenario.cluster["pools"][name]
            none = np.zeros(quarters, dtype=np.int64)
            own = given["accelerator"], given.get("chips_per_node")
            found[name] = _PoolSupply(*own, 0, none, False, "")
        return found


def at_expected_dates(supply: Supply) -> Supply:
    """Return a supply in which everything takes place, each lot at its expected date."""
    deliveries = [
        lot.model_copy(update={"at": lot.at + _mean_s(lot.slip), "slip": None, "probability": 1.0})
        for each in supply.deliveries
        for lot in each.each_lot()
    ]
    production = [
        each.model_copy(update={"at": each.at + _mean_s(each.slip), "slip": None})
        for each in supply.production
    ]
    return supply.model_copy(update={"deliveries": deliveries, "production": production})


def _mean_s(slip: Any) -> float:
    return 0.0 if slip is None else float(slip.mean())


def _chip(given: Mapping[str, Any] | None, supply: _PoolSupply | None) -> dict[str, Any]:
    """Return the data of a chip, with the missing numbers of its pool."""
    own = dict(given or {})
    if supply is None:
        return own
    from_pool: dict[str, Any] = {
        "accelerator": supply.accelerator,
        "existing": supply.existing,
        "available": supply.available.tolist(),
    }
    if supply.chips_per_node is not None:
        from_pool["chips_per_node"] = supply.chips_per_node
    if supply.source:
        from_pool["source"] = supply.source
    return {**from_pool, **own}


def _scenario(
    given: Mapping[str, Any],
    name: str,
    file: _FleetFile,
    usual: Mapping[str, _PoolSupply],
    quarters: int,
    chips: list[str],
) -> dict[str, Any]:
    """Return the data of a scenario, with its probability and the supply in its case."""
    own = dict(given)
    case = own.get("case")
    if case is None:
        return own
    if "probability" not in own:
        probabilities = file.purchases().get("probabilities") or {}
        if case not in probabilities:
            where = f"{FLEET}.purchases.probabilities"
            problem = f"{where}: {unknown_name('case', case, probabilities)}"
            raise InputError(file.path, f"{problem}; scenario {name!r} of the plan needs it")
        own["probability"] = probabilities[case]
    supply = file.supply(case, quarters)
    changed = {chip: _changed(supply[chip]) for chip in chips if _differs(chip, supply, usual)}
    return {**own, "available": {**changed, **(own.get("available") or {})}}


def with_rest_of_probability(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the data of a plan; the scenario without a probability gets the rest of it.

    Only in a plan with a fleet file, and if there is one such scenario.
    """
    scenarios = fields.get("scenarios")
    if fields.get(FLEET) is None or not isinstance(scenarios, Mapping):
        return fields
    given = [each.get("probability") for each in scenarios.values() if isinstance(each, Mapping)]
    known = [each for each in given if isinstance(each, int | float)]
    if len(known) != len(scenarios) - 1 or given.count(None) != 1:
        return fields
    rest = round(1.0 - math.fsum(known), 12)  # what is wrong with it is reported later
    filled = {name: {"probability": rest, **each} for name, each in scenarios.items()}
    return {**fields, "scenarios": filled}


def _differs(
    chip: str, supply: Mapping[str, _PoolSupply], usual: Mapping[str, _PoolSupply]
) -> bool:
    if chip not in supply:
        return False
    if chip not in usual:
        return True
    one, other = supply[chip], usual[chip]
    same = np.array_equal(one.available, other.available)
    return not same or one.stopped != other.stopped


def _changed(supply: _PoolSupply) -> dict[str, Any]:
    nodes = supply.available
    bought_first = bool(nodes.any()) and nodes[-1] == 0
    found: dict[str, Any] = {"nodes": nodes.tolist()}
    return {**found, "spare_parts": False} if supply.stopped and bought_first else found
