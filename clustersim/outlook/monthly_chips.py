"""Chips in service at the ends of months, in thousands of draws of what may happen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.availability.production import with_purpose
from clustersim.availability.supply import (
    Delivery,
    Supply,
    check_supply,
    embargoes_s,
    lots_with_purposes,
    room_for_production,
)
from clustersim.catalogue import Catalogue
from clustersim.errors import InputError
from clustersim.outlook.produced import produced_nodes
from clustersim.outlook.stop import Stop, check_stops, stop_dates_s
from clustersim.scenario.platform import Platform, open_platform
from clustersim.scenario.run_calendar import run_calendar
from clustersim.scenario.scenario import LoadedScenario, Scenario
from clustersim.seeds import Streams
from clustersim.topology import Cluster

__all__ = ["MonthlyChips", "chips_at", "month_ends_s", "monthly_chips"]

MONTH_S = 365.25 / 12 * 86400.0
MOST_DRAWS = 1_000_000


@dataclass(frozen=True, slots=True)
class MonthlyChips:
    """Chips in service at the ends of the months of a scenario.

    Attributes
    ----------
    chips : int64 array (draws, months, pools)
        Chips that train: the part of the fleet that the scenario simulates. Failures are not
        subtracted.
    month_ends_s : float64 array (months,)
        Seconds since time 0.
    months : tuple of str (months,)
        Names of the months, such as ``2026-01``; ``month 1`` without a start date.
    pools : tuple of str (pools,)
    """

    chips: Ints
    month_ends_s: Floats
    months: tuple[str, ...]
    pools: tuple[str, ...]


def monthly_chips(
    loaded: LoadedScenario,
    draws: int,
    seed: int | None = None,
    *,
    stops: Sequence[Stop] = (),
    platform: Platform | None = None,
) -> MonthlyChips:
    """Draw the chips in service at the ends of the months of a scenario.

    Whether a delivery takes place, the delays of lots and productions, stops, yields, ramps and the
    HBM that foundries share follow the rules of the section `supply`. Draw `k` has the random
    numbers of replication `k` of the scenario, so its chips are those of that run. The draws are
    stratified over each random number, like replications.

    Parameters
    ----------
    loaded : LoadedScenario
        Needs a horizon.
    draws : int
    seed : int, optional
        Default: that of the scenario.
    stops : sequence of Stop
        Rules that may stop the supply, in addition to the scenario's embargoes.
    platform : Platform, optional
        That of the scenario, to avoid opening it again.

    Raises
    ------
    InputError
        If there is no horizon, `draws` is out of range, a pool of a stop is unknown, the supply is
        invalid, or the scenario limits the site or has services (neither has a closed form).

    Examples
    --------
    >>> import clustersim as cs
    >>> late = {"pool": "h200", "nodes": 20, "at": "10 d", "probability": 0.5}
    >>> changes = {"supply.deliveries": [late], "horizon": "40 d"}
    >>> found = monthly_chips(cs.load_scenario("mixed_small", changes), 4)
    >>> found.pools[0], sorted(found.chips[:, 0, 0].tolist())
    ('h200', [96, 96, 256, 256])
    """
    platform = open_platform(loaded) if platform is None else platform
    ends_s, months = month_ends_s(loaded)
    chips = chips_at(loaded, platform, ends_s, draws, seed, stops=stops)
    return MonthlyChips(chips, ends_s, months, tuple(p.name for p in platform.cluster.pools))


def chips_at(
    loaded: LoadedScenario,
    platform: Platform,
    times_s: Floats,
    draws: int,
    seed: int | None = None,
    *,
    stops: Sequence[Stop] = (),
) -> Ints:
    """Return the chips of each pool at some times, of shape (draws, times, pools).

    For the parameters and errors, see :func:`monthly_chips`.
    """
    if not 1 <= draws <= MOST_DRAWS:
        raise InputError("outlook", f"draws: must be 1 to {MOST_DRAWS:,}, found {draws:,}")
    scenario, cluster = loaded.scenario, platform.cluster
    _refuse(scenario, loaded.source)
    check_stops(stops, [*(pool.name for pool in cluster.pools), *cluster.empty_pools])
    supply = Supply() if scenario.supply is None else scenario.supply
    check_supply(supply, cluster)
    streams = Streams(scenario.seed if seed is None else seed)
    nodes = _nodes_at(supply, cluster, platform.catalogue, times_s, draws, streams, stops)
    per_node = np.array([pool.chips_per_node for pool in cluster.pools])
    return np.asarray(nodes * per_node, dtype=np.int64)


def month_ends_s(loaded: LoadedScenario) -> tuple[Floats, tuple[str, ...]]:
    """Return the ends (seconds) and names of the months of a scenario's horizon.

    With a start date, months are those of the calendar, and the last one ends with the horizon;
    without one, they have 365.25 / 12 days. A rest of less than two days belongs to the month
    before it.

    Raises
    ------
    InputError
        If the scenario has no horizon.
    """
    scenario = loaded.scenario
    horizon_s = scenario.horizon
    if horizon_s is None:
        raise InputError(loaded.source, "horizon: an outlook needs one, such as 365 d")
    calendar = run_calendar(scenario.start, scenario.time_zone, source=loaded.source).calendar
    if calendar.is_dated:
        begins = np.append(0.0, calendar.month_edges_s(horizon_s))
    else:
        begins = np.arange(0.0, horizon_s, MONTH_S)
    if len(begins) > 1 and horizon_s - begins[-1] < 2 * 86400.0:
        begins = begins[:-1]
    names = [
        calendar.at(float(at)).strftime("%Y-%m") if calendar.is_dated else f"month {k + 1}"
        for k, at in enumerate(begins)
    ]
    return np.append(begins[1:], horizon_s), tuple(names)


def _refuse(scenario: Scenario, source: str) -> None:
    """Refuse what has no closed form."""
    problems = []
    if scenario.supply is not None and scenario.supply.site is not None:
        problems.append("supply.site: an outlook cannot say which nodes wait for power; remove it")
    if scenario.serving is not None:
        problems.append("serving: an outlook has no services; use fleet.training_share instead")
    if problems:
        raise InputError(source, problems)


def _nodes_at(
    supply: Supply,
    cluster: Cluster,
    catalogue: Catalogue,
    times_s: Floats,
    draws: int,
    streams: Streams,
    stops: Sequence[Stop],
) -> Ints:
    """Return the nodes of each pool at each time (draws, times, pools)."""
    embargo = embargoes_s(supply, cluster)
    stop_s = {name: stop_dates_s(stops, name, embargo[name], streams, draws) for name in embargo}
    room = room_for_production(supply, cluster)
    made: dict[str, Ints] = {}
    if room:
        late_s = np.array(
            [
                np.zeros(draws)
                if each.slip is None
                else each.slip.quantile(streams.stratified_over(purpose, draws))
                for purpose, each in with_purpose("production", supply.production)
            ]
        )
        made = produced_nodes(
            *(supply.production, supply.memory, room, stop_s, cluster, catalogue, late_s, times_s)
        )
    lots = _lots(supply, stop_s, times_s, draws, streams)
    found = np.empty((draws, len(times_s), len(cluster.pools)), dtype=np.int64)
    for index, pool in enumerate(cluster.pools):
        blocks = list(lots.get(pool.name, ()))
        if pool.name in made:
            blocks.append((room[pool.name], made[pool.name]))
        first = pool.n_nodes - sum(size for size, _ in blocks)
        there = np.full((draws, len(times_s)), first, dtype=np.int64)
        found[:, :, index] = _kept([(first, there), *blocks], _retired(supply, pool.name, times_s))
    return found


Block = tuple[int, Ints]
"""A number of nodes, and how many of them have arrived (draws, times): always the first ones."""


def _lots(
    supply: Supply, stop_s: dict[str, Floats], times_s: Floats, draws: int, streams: Streams
) -> dict[str, list[Block]]:
    """Return the lots of each pool in the order of its nodes."""
    found: dict[str, list[Block]] = {}
    for whole, purpose, lot in lots_with_purposes(supply):
        until_s = stop_s[lot.pool]
        if lot.probability < 1.0:
            happens = streams.stratified_over(whole, draws) < lot.probability
            until_s = np.where(happens, until_s, -math.inf)
        late_s = np.zeros(draws)
        if lot.slip is not None:
            late_s = lot.slip.quantile(streams.stratified_over(purpose, draws))
        found.setdefault(lot.pool, []).append((lot.nodes, _arrived(lot, late_s, until_s, times_s)))
    return found


def _arrived(lot: Delivery, late_s: Floats, stop_s: Floats, times_s: Floats) -> Ints:
    """Return how many nodes of a lot have arrived at each time (draws, times)."""
    usable = round(lot.usable * lot.nodes)
    begin_s = (lot.at + late_s)[:, None]
    after_s = lot.ramp * (np.arange(usable) / lot.nodes)
    there = np.searchsorted(after_s, times_s - begin_s, side="right")
    before_stop = np.searchsorted(after_s, stop_s[:, None] - begin_s, side="left")
    return np.asarray(np.minimum(there, before_stop), dtype=np.int64)


def _retired(supply: Supply, pool: str, times_s: Floats) -> Ints:
    """Return how many nodes of a pool have retired at each time."""
    of_pool = [each for each in supply.retirements if each.pool == pool]
    return np.array(
        [sum(each.nodes for each in of_pool if each.at <= time_s) for time_s in times_s],
        dtype=np.int64,
    )


def _kept(blocks: Sequence[Block], retired: Ints) -> Ints:
    """Return the nodes that have arrived and not retired; the first nodes retire first."""

    def each() -> Iterator[Ints]:
        before = 0
        for size, arrived in blocks:
            yield np.maximum(arrived - np.clip(retired - before, 0, size), 0)
            before += size

    total: Ints = np.sum(list(each()), axis=0)
    return total
