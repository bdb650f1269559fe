"""A fleet file with its section `briefing`, and its versions: cases, and purchases beside one."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from clustersim.briefing.spec import BriefingSpec
from clustersim.calendar import Calendar
from clustersim.errors import InputError, unknown_name
from clustersim.extended import read_extended
from clustersim.files import FileModel, validate
from clustersim.scenario.cases import apply_case
from clustersim.scenario.changes import change_items, set_path
from clustersim.scenario.dates import calendar_of, time_s
from clustersim.scenario.platform import open_platform
from clustersim.scenario.scenario import LoadedScenario, define_scenario
from clustersim.shipped import existing_file
from clustersim.training.pool_charges import pool_charges
from clustersim.units import Money

__all__ = ["BOUGHT", "FleetFile", "PoolCost", "read_fleet_file"]

BOUGHT = "bought"
"""Name of the delivery that the budget pays."""
_SECTION = "briefing"
_PRICED = 1000
"""Chips bought of a pool whose price is asked; the price does not depend on it."""


class _Section(FileModel):
    briefing: BriefingSpec


class _Budget(FileModel):
    budget: Money


@dataclass(frozen=True, slots=True)
class PoolCost:
    """Price and power of one chip of a pool.

    Attributes
    ----------
    price_cny : float
        With its share of the server.
    power_w : float
        Busy, with its share of the host, and with the overhead of the site.
    chips_per_node : int
    """

    price_cny: float
    power_w: float
    chips_per_node: int


@dataclass(frozen=True)
class FleetFile:
    """A fleet file.

    Attributes
    ----------
    path : Path
    data : dict
        Content of the file, without the section `briefing`.
    spec : BriefingSpec
    calendar : Calendar
    """

    path: Path
    data: dict[str, Any]
    spec: BriefingSpec
    calendar: Calendar
    _costs: dict[str, PoolCost] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """Name of the base case."""
        return self.spec.base or "base"

    def at_s(self, text: str, name: str) -> float:
        """Return the time of a date in the section, in seconds since time 0."""
        return time_s(text, self.calendar, f"{self.path}: {_SECTION}.{name}")

    def version(
        self, case: str | None = None, changes: Mapping[str, Any] | None = None
    ) -> LoadedScenario:
        """Return the scenario of a case (by default of the base), with changes."""
        return define_scenario(
            self.data,
            self._changes(case, changes),
            source=self.path,
            folder=self.path.parent,
        )

    def training_share(
        self, pool: str, case: str | None = None, changes: Mapping[str, Any] | None = None
    ) -> float:
        """Return the share of a pool that trains in a version."""
        fleet = self._fleet(case, changes)
        own = (fleet["pools"].get(pool) or {}).get("training_share")
        return float(fleet.get("training_share", 1.0) if own is None else own)

    def _fleet(
        self, case: str | None = None, changes: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the section `fleet` of a version."""
        tree = copy.deepcopy(self.data)
        for key, value in self._changes(case, changes).items():
            if key == "case":
                tree["case"] = value
                apply_case(tree, self.path, self.path.parent)
            else:
                set_path(tree, key, value, self.path.parent)
        fleet: dict[str, Any] = tree["fleet"]
        return fleet

    def _changes(self, case: str | None, changes: Mapping[str, Any] | None) -> dict[str, Any]:
        name = self.spec.base if case is None else case
        return {**({} if name is None else {"case": name}), **(changes or {})}

    @cached_property
    def budget_cny(self) -> float:
        """Money for purchases in the base, ``fleet.purchases.budget`` less ``committed``.

        Raises
        ------
        InputError
            If the fleet has none, or nothing of it is left.
        """
        given = self._fleet().get("purchases") or {}
        if not isinstance(given, Mapping):
            raise InputError(
                self.path, f"fleet.purchases: must be a mapping of keys, found {given!r}"
            )
        if given.get("budget") is None:
            raise InputError(self.path, "fleet.purchases.budget: is missing; options spend it")
        money = validate(_Budget, {"budget": given["budget"]}, self.path).budget
        assumptions = open_platform(self.version()).catalogue.assumptions
        committed = self.spec.committed
        found = assumptions.cny(money) - (0.0 if committed is None else assumptions.cny(committed))
        if not found > 0:
            less = "" if committed is None else f" less {_SECTION}.committed"
            raise InputError(
                self.path, f"fleet.purchases.budget{less}: must be above 0; options spend it"
            )
        return found

    def chip_of(self, pool: str) -> str:
        """Return the name of a pool's chip, as the file has it."""
        return str(self.data["fleet"]["pools"][pool].get("accelerator", pool))

    def cost(self, pool: str) -> PoolCost:
        """Return price and power of a chip of a pool in :attr:`BriefingSpec.purchases`."""
        if pool not in self._costs:
            self._costs[pool] = self._cost(pool)
        return self._costs[pool]

    def _cost(self, pool: str) -> PoolCost:
        loaded = self.version(changes=self._bought(pool, _PRICED))
        platform = open_platform(loaded)
        names = [each.name for each in platform.cluster.pools]
        number = names.index(pool)
        charge = pool_charges(loaded.scenario, platform)[number]
        chip = platform.catalogue.accelerator(platform.cluster.pools[number].accelerator)
        known = charge.prices.range_cny(chip)
        if known is None or not known[1] > 0:
            raise InputError(
                self.path,
                f"{_SECTION}.purchases.{pool}: the price of {chip.name} is unknown; set "
                f"money.pools.{pool}.price",
            )
        power = charge.prices.power_w(chip) * charge.prices.pue
        return PoolCost(known[1], power, platform.cluster.pools[number].chips_per_node)

    def chips_bought(
        self, shares: Mapping[str, float | str], *, limited: bool = True
    ) -> dict[str, int]:
        """Return the chips of each pool that shares of the budget buy, in whole nodes.

        Parameters
        ----------
        shares : mapping
            As in :attr:`BriefingSpec.options`.
        limited : bool
            Whether ``at_most`` of the purchases counts.
        """
        found: dict[str, int] = {}
        left = budget = self.budget_cny
        for pool, share in shares.items():
            cost = self.cost(pool)
            money = left if isinstance(share, str) else min(left, share * budget)
            node_cny = cost.price_cny * cost.chips_per_node
            # A share such as 0.1 of the budget may be a rounding error below whole nodes.
            nodes = math.floor(money / node_cny * (1.0 + 1e-12))
            most = self.spec.purchases[pool].at_most
            if limited and most is not None:
                nodes = min(nodes, most // cost.chips_per_node)
            found[pool] = nodes * cost.chips_per_node
            left -= nodes * node_cny
        return found

    def changes_of(
        self, shares: Mapping[str, float | str], *, limited: bool = True
    ) -> dict[str, Any]:
        """Return the changes of the scenario for shares of the budget by pool."""
        found: dict[str, Any] = {}
        for pool, chips in self.chips_bought(shares, limited=limited).items():
            if chips > 0:
                found |= self._bought(pool, chips)
        return found

    def _bought(self, pool: str, chips: int) -> dict[str, Any]:
        path = f"fleet.pools.{pool}.deliveries.{BOUGHT}"
        return {path: self.spec.purchases[pool].delivery(chips)}


def read_fleet_file(path: str | Path, changes: Mapping[str, Any] | Sequence[str] = ()) -> FleetFile:
    """Read a fleet file with a section `briefing`.

    Parameters
    ----------
    path : str or Path
        The file, or the name of a file in the folder ``experiments``.
    changes : mapping or sequence of str
        ``{"briefing.stop.probability": 0.5}`` or ``["briefing.stop.probability=0.5"]``: changes of
        the file, the section included.

    Raises
    ------
    InputError
        If the file or the section is invalid, or names a case or a pool that the file lacks.
    """
    found = existing_file(path, within="experiments")
    data = read_extended(found)
    for where, value in change_items(changes):
        set_path(data, where, value, found.parent)
    if not isinstance(data.get(_SECTION), Mapping):
        raise InputError(found, f"{_SECTION}: is missing; it says what the page answers")
    spec = validate(_Section, {_SECTION: data.pop(_SECTION)}, found).briefing
    fleet = data.get("fleet")
    pools = fleet.get("pools") if isinstance(fleet, Mapping) else None
    if not isinstance(pools, Mapping):
        raise InputError(found, "fleet.pools: is missing; a briefing is about a fleet")
    cases = data.get("cases") or {}
    problems = [
        f"{_SECTION}.cases: {unknown_name('case', case, list(cases))}"
        for case in [*([spec.base] if spec.base else []), *spec.cases]
        if case not in cases
    ]
    named = [("purchases", pool) for pool in spec.purchases]
    named += [("stop.pools", pool) for pool in spec.stop.pools]
    for where, pool in named:
        if pool not in pools:
            problems.append(f"{_SECTION}.{where}: {unknown_name('pool', pool, list(pools))}")
    problems += [
        f"fleet.pools.{pool}.deliveries.{BOUGHT}: this name is that of the chips that the budget "
        "buys; give the delivery another name"
        for pool in spec.purchases
        if BOUGHT in ((pools.get(pool) or {}).get("deliveries") or {})
    ]
    if problems:
        raise InputError(found, problems)
    return FleetFile(found, data, spec, calendar_of(data))
