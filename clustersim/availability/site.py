"""Power and space of the site, which limit how many nodes can be switched on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from clustersim.array_types import Floats
from clustersim.catalogue import Catalogue
from clustersim.catalogue.assumptions import BUILT_IN, AssumedSection
from clustersim.errors import InputError
from clustersim.files import FileModel
from clustersim.topology import MOST_CHIPS, Cluster
from clustersim.units import Duration, Power, format_rate

__all__ = ["Site", "SiteLimit", "WaitForRoom", "node_power_w", "waits_for_room"]

Name = Annotated[str, Field(min_length=1)]
_ROUNDING = 1e-9


class SiteLimit(FileModel):
    """Limits of the site that apply from a time until the next limit."""

    name: Name | None = Field(None, description="name by which paths refer to the entry")
    at: Duration = Field(0.0, ge=0, description="time from which the limits apply")
    power: Power | None = Field(
        None,
        description="power for all nodes and their cooling; by default the previous limit applies",
    )
    nodes: int | None = Field(
        None,
        ge=0,
        le=MOST_CHIPS,
        description="space, as a number of nodes; by default the previous limit applies",
    )
    source: str = Field("", description="source of the numbers, or assumption")

    @model_validator(mode="after")
    def _limits_something(self) -> SiteLimit:
        if self.power is None and self.nodes is None:
            raise ValueError("needs power, nodes, or both")
        return self


class Site(AssumedSection):
    """Power and space for all pools together; unlimited before the first limit.

    Hot spares are not counted: subtract their power and space from the limits.

    The defaults are the planning assumptions (``clustersim catalogue --assumptions``).
    """

    limits: list[SiteLimit] = Field(min_length=1)
    pue: float = Field(BUILT_IN.pue, ge=1, le=10, description=BUILT_IN.sources["pue"])
    host_factor: float = Field(
        BUILT_IN.host_factor, ge=1, le=10, description=BUILT_IN.sources["host_factor"]
    )

    @model_validator(mode="after")
    def _in_order(self) -> Site:
        for before, after in pairwise(self.limits):
            if after.at <= before.at:
                raise ValueError("limits: must be in order of time, each at a different time")
        return self


@dataclass(frozen=True, slots=True, order=True)
class WaitForRoom:
    """A period in which a node is present without power or space; the end may be infinite."""

    begin_s: float
    end_s: float
    pool: int
    node: int


def node_power_w(site: Site, cluster: Cluster, catalogue: Catalogue) -> list[float]:
    """Return the site power (W) that a node of each pool needs, including cooling.

    This is the number of its chips times their thermal design power, `host_factor` and `pue`.

    Raises
    ------
    InputError
        If a chip is not in the catalogue.
    """
    factor = site.host_factor * site.pue
    return [
        pool.chips_per_node * catalogue.accelerator(pool.accelerator).power_w * factor
        for pool in cluster.pools
    ]


def waits_for_room(
    site: Site, power_w: Sequence[float], comes_s: Sequence[Floats], leaves_s: Sequence[Floats]
) -> list[WaitForRoom]:
    """Return the periods in which nodes that are present have no power or space.

    Nodes are switched on in order of arrival, as long as there is room. If there is no room for a
    node, all later nodes wait as well. A node that leaves makes room. If a limit is lowered, the
    nodes that arrived last are switched off.

    Parameters
    ----------
    site : Site
    power_w : sequence of float
        Site power of a node of each pool, W.
    comes_s, leaves_s : sequence of array (nodes,)
        Time of arrival and departure of each node by pool, seconds; infinite for never.

    Raises
    ------
    InputError
        If the nodes present at the start exceed the limits at that time.
    """
    room = _Room(site, power_w)
    line = sorted(
        (float(comes[node]), pool, int(node))
        for pool, (comes, leaves) in enumerate(zip(comes_s, leaves_s, strict=True))
        for node in np.flatnonzero(np.isfinite(comes) & (comes < leaves))
    )
    leaving = sorted(
        (float(leaves_s[pool][node]), place)
        for place, (_, pool, node) in enumerate(line)
        if math.isfinite(leaves_s[pool][node])
    )
    off_since = [comes for comes, _, _ in line]
    gone = [False] * len(line)
    waits: list[WaitForRoom] = []
    come = left = on = 0
    dates = {comes for comes, _, _ in line} | {leaves for leaves, _ in leaving}
    for now in sorted(dates | {limit.at for limit in site.limits}):
        room.set_limits(now)
        while left < len(leaving) and leaving[left][0] == now:
            place = leaving[left][1]
            gone[place] = True
            if place < on:
                room.used[line[place][1]] -= 1
            else:
                _wait(waits, off_since[place], now, line[place])
            left += 1
        while come < len(line) and line[come][0] == now:
            come += 1
        while on > 0 and not room.fits():
            on -= 1
            if not gone[on]:
                room.used[line[on][1]] -= 1
                off_since[on] = now
        while on < come and (gone[on] or room.fits(line[on][1])):
            if not gone[on]:
                room.used[line[on][1]] += 1
                _wait(waits, off_since[on], now, line[on])
            on += 1
        if now == 0.0 and on < come:
            raise InputError("supply", room.missing(line[:come]))
    for place in range(on, len(line)):
        if not gone[place]:
            _wait(waits, off_since[place], math.inf, line[place])
    return sorted(waits)


def _wait(
    waits: list[WaitForRoom], begin_s: float, end_s: float, node: tuple[float, int, int]
) -> None:
    if end_s > begin_s:
        waits.append(WaitForRoom(begin_s, end_s, node[1], node[2]))


@dataclass(slots=True)
class _Room:
    """The current limits of the site, and the number of nodes of each pool that are switched on."""

    site: Site
    power_w: Sequence[float]
    most_w: float = math.inf
    most_nodes: float = math.inf
    used: list[int] = field(default_factory=list)
    _next: int = 0

    def __post_init__(self) -> None:
        self.used = [0] * len(self.power_w)

    def set_limits(self, now_s: float) -> None:
        """Apply all limits that take effect at or before `now_s` (seconds)."""
        limits = self.site.limits
        while self._next < len(limits) and limits[self._next].at <= now_s:
            limit = limits[self._next]
            self.most_w = self.most_w if limit.power is None else limit.power
            self.most_nodes = self.most_nodes if limit.nodes is None else limit.nodes
            self._next += 1

    def fits(self, pool: int | None = None) -> bool:
        """Return whether there is room for the nodes that are on, plus one of `pool` if given."""
        more_w, more = (0.0, 0) if pool is None else (self.power_w[pool], 1)
        return sum(self.used) + more <= self.most_nodes and self._taken_w(
            self.used
        ) + more_w <= self.most_w * (1 + _ROUNDING)

    def missing(self, there: Iterable[tuple[float, int, int]]) -> list[str]:
        """Describe by how much the nodes present at the start exceed the limits."""
        counts = [0] * len(self.power_w)
        for _, pool, _ in there:
            counts[pool] += 1
        needed_w, problems = self._taken_w(counts), []
        nodes = f"site.limits: the {sum(counts):,} nodes present at the start"
        if needed_w > self.most_w * (1 + _ROUNDING):
            problems.append(
                f"{nodes} need {format_rate(needed_w, 'W')} (PUE {self.site.pue:g}, "
                f"host_factor {self.site.host_factor:g}), which is "
                f"{format_rate(needed_w - self.most_w, 'W')} more than the limit at 0 s"
            )
        if sum(counts) > self.most_nodes:
            problems.append(
                f"{nodes} are {sum(counts) - int(self.most_nodes):,} more than the limit of "
                f"{int(self.most_nodes):,} nodes at 0 s"
            )
        return problems

    def _taken_w(self, counts: Iterable[int]) -> float:
        return sum(count * each for count, each in zip(counts, self.power_w, strict=True))
