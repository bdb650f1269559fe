"""Produced nodes at some times, for many draws of the slips and stops at once.

The rules are those of :func:`clustersim.availability.production.made_at`, which computes one draw;
here every array has a dimension for the draws.  Cells of the grid of times that the draws do not
share have length 0 in the other draws.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.availability.production import (
    Memory,
    Production,
    foundry_rate,
    order_of_service,
    per_second,
    ramp_steps,
    rate_dates,
    served,
    stacks_per_chip,
)
from clustersim.catalogue import Catalogue
from clustersim.topology import Cluster

__all__ = ["produced_nodes"]

DAY_S = 86400.0
MOST_VALUES = 4_000_000
"""Largest number of elements of an array; more draws are computed in parts."""
_ROUNDING = 1e-9


def produced_nodes(
    productions: Sequence[Production],
    memory: Memory | None,
    room: Mapping[str, int],
    stop_s: Mapping[str, Floats],
    cluster: Cluster,
    catalogue: Catalogue,
    slips_s: Floats,
    times_s: Floats,
) -> dict[str, Ints]:
    """Return how many nodes of each pool have been made at some times.

    Parameters
    ----------
    productions, memory, room, cluster, catalogue
        See :func:`~clustersim.availability.production.made_at`.
    stop_s : mapping of str to float64 array (draws,)
        Time at which an embargo stops the production for a pool, seconds.
    slips_s : float64 array (productions, draws)
        Delay of the start of each production, seconds.
    times_s : float64 array (times,)
        Seconds.

    Returns
    -------
    dict of str to int64 array (draws, times)

    Raises
    ------
    InputError
        If memory is limited and the number of HBM stacks of a chip is unknown.
    """
    pools = {pool.name: pool for pool in cluster.pools}
    stacks = stacks_per_chip(productions, memory, pools, catalogue)
    wanted = {name: float(nodes * pools[name].chips_per_node) for name, nodes in room.items()}
    draws = slips_s.shape[1]
    cells = 2 + sum(2 + ramp_steps(each) for each in productions)
    at_once = max(MOST_VALUES // (cells * len(productions)), 1)
    parts = []
    for first in range(0, draws, at_once):
        own = slice(first, first + at_once)
        stops = np.array([stop_s[production.pool][own] for production in productions])
        flow = _flow(productions, memory, stops, slips_s[:, own])
        parts.append(_chips(flow, productions, memory, stacks, wanted, times_s))
    found = {}
    for name, nodes in room.items():
        chips = np.concatenate([part[name] for part in parts])
        whole = np.floor(chips / pools[name].chips_per_node * (1 + _ROUNDING)).astype(np.int64)
        found[name] = np.minimum(whole, nodes)
    return found


@dataclass(frozen=True, slots=True)
class _Flow:
    """Rates of production and memory supply, constant in each cell.

    Attributes
    ----------
    edge_s : array (draws, cells)
        Start of each cell, seconds; the last cell has no end.
    chips : array (productions, draws, cells)
        Capacity of the foundries, chips/s.
    memory : array (draws, cells)
        Supply of memory, stacks/s; infinite if memory is not limited.
    """

    edge_s: Floats
    chips: Floats
    memory: Floats

    def stopped(self, rows: Sequence[int], at_s: Floats) -> _Flow:
        """Return the flow without the productions `rows` from `at_s` (draws,) on.

        Where `at_s` is infinite, nothing changes.
        """
        ends = np.isfinite(at_s)
        last = self.edge_s[:, -1]
        new_s = np.where(ends, at_s, last)[:, None]
        edge_s = np.concatenate([self.edge_s, new_s], axis=1)
        order = np.argsort(edge_s, axis=1, kind="stable")
        old = np.cumsum(order < self.edge_s.shape[1], axis=1) - 1
        edge_s = np.take_along_axis(edge_s, order, axis=1)
        chips = np.take_along_axis(
            self.chips, np.broadcast_to(old, (len(self.chips), *old.shape)), 2
        )
        over = (edge_s >= new_s) & ends[:, None]
        for row in rows:
            chips[row][over] = 0.0
        return _Flow(edge_s, chips, np.take_along_axis(self.memory, old, axis=1))


def _flow(
    productions: Sequence[Production], memory: Memory | None, stops_s: Floats, slips_s: Floats
) -> _Flow:
    """Return the rates of all foundries and of the memory supply on a grid of times by draw."""
    draws = slips_s.shape[1]
    rates = []
    changes: list[Floats] = [np.zeros(draws)]
    for production, stop_s, slip_s in zip(productions, stops_s, slips_s, strict=True):
        at_s = production.at + slip_s
        end_s = np.minimum(math.inf if production.until is None else production.until, stop_s)
        rates.append(foundry_rate(production, at_s[:, None], end_s[:, None]))
        changes += [at_s, np.where(np.isfinite(end_s), end_s, at_s)]
        changes += _same(rate_dates(production.chips_per_month), draws)
        if production.ramp > 0:
            edges = np.linspace(at_s, at_s + production.ramp, ramp_steps(production) + 1)
            changes += list(edges)
    changes += _same([] if memory is None else rate_dates(memory.stacks_per_month), draws)
    edge_s = np.sort(np.array(changes).T, axis=1)
    # Rates are linear in a cell, so the value at its middle is the mean. The last cell is constant.
    middle_s = np.append((edge_s[:, :-1] + edge_s[:, 1:]) / 2, edge_s[:, -1:] + DAY_S, axis=1)
    chips = np.array([rate(middle_s) for rate in rates])
    if memory is None:
        return _Flow(edge_s, chips, np.full(edge_s.shape, np.inf))
    return _Flow(edge_s, chips, memory.share * per_second(memory.stacks_per_month, middle_s))


def _same(dates_s: Sequence[float], draws: int) -> Iterator[Floats]:
    return (np.full(draws, date_s) for date_s in dates_s)


def _chips(
    flow: _Flow,
    productions: Sequence[Production],
    memory: Memory | None,
    stacks: Floats,
    wanted: Mapping[str, float],
    times_s: Floats,
) -> dict[str, Floats]:
    """Return the usable chips made for each pool at each time (draws, times)."""
    groups: list[Any] = order_of_service(productions, memory)
    usable = np.array([production.usable for production in productions])[:, None, None]
    rows = {name: [k for k, p in enumerate(productions) if p.pool == name] for name in wanted}
    names = list(wanted)
    growing = np.ones((len(names), flow.edge_s.shape[0]), dtype=bool)
    while True:
        need = flow.chips * stacks[:, None, None]
        output = flow.chips * served(need, flow.memory, groups) * usable
        rates = {name: output[of].sum(axis=0) for name, of in rows.items()}
        full_s = np.array([_time_of(wanted[name], flow.edge_s, rates[name]) for name in names])
        full_s[~growing] = np.inf
        first, draws = full_s.argmin(axis=0), np.arange(full_s.shape[1])
        at_s = full_s[first, draws]
        if not np.isfinite(at_s).any():
            break
        for index, name in enumerate(names):
            mine = np.isfinite(at_s) & (first == index)
            if mine.any():
                flow = flow.stopped(rows[name], np.where(mine, at_s, np.inf))
                growing[index, mine] = False
    return {name: _made(flow.edge_s, rates[name], times_s) for name in names}


def _sums(edge_s: Floats, rate: Floats) -> Floats:
    """Return the chips made at the start of each cell (draws, cells)."""
    made = np.cumsum(rate[:, :-1] * np.diff(edge_s, axis=1), axis=1)
    return np.concatenate([np.zeros((len(rate), 1)), made], axis=1)


def _time_of(chips: float, edge_s: Floats, rate: Floats) -> Floats:
    """Return the time (seconds) at which a number of chips is made in each draw."""
    made = _sums(edge_s, rate)
    near = np.abs(chips - made[:, -1]) <= _ROUNDING * chips
    goal = np.where(near, made[:, -1], chips)[:, None]
    cell = np.maximum((made < goal).sum(axis=1, keepdims=True) - 1, 0)
    left = goal - np.take_along_axis(made, cell, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        more_s = left / np.take_along_axis(rate, cell, axis=1)
    found: Floats = (np.take_along_axis(edge_s, cell, axis=1) + more_s)[:, 0]
    return found


def _made(edge_s: Floats, rate: Floats, times_s: Floats) -> Floats:
    """Return the chips made at each time (draws, times)."""
    made = _sums(edge_s, rate)
    found = np.empty((len(rate), len(times_s)))
    for column, time_s in enumerate(times_s):
        cell = np.maximum((edge_s <= time_s).sum(axis=1, keepdims=True) - 1, 0)
        since_s = time_s - np.take_along_axis(edge_s, cell, axis=1)
        more = np.take_along_axis(rate, cell, axis=1) * since_s
        found[:, column] = (np.take_along_axis(made, cell, axis=1) + more)[:, 0]
    return found
