"""Production of chips by foundries, and the HBM that they share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from clustersim.array_types import Floats
from clustersim.catalogue import Catalogue
from clustersim.errors import InputError
from clustersim.files import FileModel
from clustersim.seeds import Streams
from clustersim.topology import Cluster, Pool
from clustersim.units import SECONDS_PER_YEAR, Duration
from clustersim.workload.distributions import DurationDistribution

__all__ = [
    "MONTH_S",
    "Memory",
    "Output",
    "Production",
    "RateStep",
    "foundry_rate",
    "made_at",
    "order_of_service",
    "per_second",
    "production_slips_s",
    "ramp_steps",
    "rate_dates",
    "served",
    "slip_s",
    "stacks_per_chip",
    "with_purpose",
]

Name = Annotated[str, Field(min_length=1)]


class _Named(Protocol):
    @property
    def pool(self) -> str: ...

    @property
    def name(self) -> str | None: ...


Entry = TypeVar("Entry", bound=_Named)
DAY_S = 86400.0
MONTH_S = SECONDS_PER_YEAR / 12
"""A twelfth of a year, seconds."""
_RAMP_STEPS = (100, 10_000)
"""Smallest and largest number of steps of a ramp; between these limits, a step is one day."""
_ROUNDING = 1e-9


class RateStep(FileModel):
    """A rate that applies from a time until the next step."""

    at: Duration = Field(ge=0)
    per_month: float = Field(
        ge=0, le=1e12, description="rate per month; a month is 365.25 / 12 days"
    )


def _in_order(steps: Sequence[RateStep], field: str) -> None:
    for before, after in pairwise(steps):
        if after.at <= before.at:
            raise ValueError(f"{field}: steps must be in order of time, each at a different time")


Rate = Annotated[float, Field(ge=0, le=1e12)] | Annotated[list[RateStep], Field(min_length=1)]


class Output(FileModel):
    """Output of a foundry over time."""

    name: Name | None = Field(None, description="name by which paths refer to the entry")
    foundry: Name = Field(description="manufacturer of the chips, such as TSMC")
    chips_per_month: Rate = Field(
        description="capacity of the foundry: a number, or steps in time (0 before the first step)"
    )
    at: Duration = Field(ge=0, description="start of the output")
    ramp: Duration = Field(
        0.0, ge=0, description="time over which the output rises linearly from 0"
    )
    slip: DurationDistribution | None = Field(
        None, description="delay of the start of the output; other dates do not change"
    )
    usable: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of usable chips (yield); unusable chips also consume memory",
    )
    until: Duration | None = Field(None, ge=0, description="end of the output")
    source: str = Field("", description="source of the numbers, or assumption")

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if isinstance(self.chips_per_month, list):
            _in_order(self.chips_per_month, "chips_per_month")
        if self.until is not None and self.until <= self.at:
            raise ValueError("`until` must be later than `at`")
        return self


class Production(Output):
    """Production of chips by a foundry for a pool.

    The chips fill the nodes of the pool that are not delivered: each node of such a pool is either
    delivered or produced. The output of several foundries for one pool adds up.
    """

    pool: Name = Field(description="pool that receives the chips")


class Memory(FileModel):
    """Supply of HBM stacks for all productions.

    No stock is kept: stacks that are not used immediately are lost to the fleet. Delivered chips do
    not use these stacks, because their vendor has its own memory. To make a purchased chip use
    these stacks, describe it as a production.
    """

    stacks_per_month: Rate = Field(
        description="supply of stacks: a number, or steps in time (0 before the first step)"
    )
    share: float = Field(
        1.0, ge=0, le=1e6, description="factor on `stacks_per_month`, for use in studies"
    )
    priority: list[Name] = Field(
        default_factory=list,
        description="pools that are served first, in this order; all other pools share the "
        "remaining stacks in proportion to their need",
    )
    source: str = Field("", description="source of the numbers, or assumption")

    @model_validator(mode="after")
    def _sound(self) -> Memory:
        if isinstance(self.stacks_per_month, list):
            _in_order(self.stacks_per_month, "stacks_per_month")
        if len(set(self.priority)) < len(self.priority):
            raise ValueError("priority: must not name a pool more than once")
        return self


@dataclass(slots=True)
class _Flow:
    """Rates of production and memory supply, constant within each cell of a grid of times.

    Attributes
    ----------
    edge_s : array (cells,)
        Start of each cell, seconds; the last cell has no end.
    chips : array (productions, cells)
        Capacity of the foundries, chips/s.
    memory : array (cells,)
        Supply of memory, stacks/s; infinite if memory is not limited.
    """

    edge_s: Floats
    chips: Floats
    memory: Floats

    def stop(self, rows: Sequence[int], at_s: float) -> None:
        """Set the capacity of the productions `rows` to 0 from `at_s` (seconds) on."""
        cell = int(np.searchsorted(self.edge_s, at_s, side="right"))
        self.edge_s = np.insert(self.edge_s, cell, at_s)
        self.chips = np.insert(self.chips, cell, self.chips[:, cell - 1], axis=1)
        self.memory = np.insert(self.memory, cell, self.memory[cell - 1])
        self.chips[rows, cell:] = 0.0


def made_at(
    productions: Sequence[Production],
    memory: Memory | None,
    room: Mapping[str, int],
    stop_s: Mapping[str, float],
    cluster: Cluster,
    catalogue: Catalogue,
    slips_s: Sequence[float],
) -> dict[str, Floats]:
    """Return the time at which each produced node is complete, that is, when its last chip is made.

    The output for a pool is limited by the capacity of its foundries and its share of the memory.
    At each instant, the pools of `priority` get memory first; the rest is divided in proportion to
    need. The need of a pool is the number of chips that its foundries could make, times the stacks
    per chip. A pool that has all its nodes, or whose production is stopped by an embargo, needs no
    memory. Rates are constant between the times at which something changes. A ramp rises in steps
    of one day (at least 100, at most 10,000 steps), each with its mean rate.

    Parameters
    ----------
    productions : sequence of Production
    memory : Memory or None
        Without it, only the foundries limit the output.
    room : mapping of str to int
        Number of nodes to be produced for each pool with a production.
    stop_s : mapping of str to float
        Time at which an embargo stops a pool's production, seconds.
    cluster : Cluster
    catalogue : Catalogue
        Provides the number of HBM stacks of each chip.
    slips_s : sequence of float
        Delay of the start of each production, seconds; see :func:`production_slips_s`.

    Returns
    -------
    dict of str to array (room,)
        Times of each pool in ascending order, seconds; infinite for nodes that are never complete.

    Raises
    ------
    InputError
        If memory is limited and the number of HBM stacks of a chip is unknown.
    """
    pools = {pool.name: pool for pool in cluster.pools}
    stacks = stacks_per_chip(productions, memory, pools, catalogue)
    flow = _flow(productions, memory, stop_s, slips_s)
    groups = order_of_service(productions, memory)
    rows = {name: [k for k, p in enumerate(productions) if p.pool == name] for name in room}
    usable = np.array([production.usable for production in productions])[:, None]
    wanted = {name: nodes * pools[name].chips_per_node for name, nodes in room.items()}
    growing = set(room)
    while True:
        output = flow.chips * served(flow.chips * stacks[:, None], flow.memory, groups) * usable
        rates = {name: output[of].sum(axis=0) for name, of in rows.items()}
        full_s = {
            name: float(_time_of(np.array([float(wanted[name])]), flow.edge_s, rates[name])[0])
            for name in room
            if name in growing
        }
        first = min(full_s, key=full_s.__getitem__, default=None)
        if first is None or math.isinf(full_s[first]):
            break
        growing.remove(first)
        flow.stop(rows[first], full_s[first])
    return {
        name: _time_of(
            np.arange(1.0, nodes + 1) * pools[name].chips_per_node, flow.edge_s, rates[name]
        )
        for name, nodes in room.items()
    }


def _time_of(chips: Floats, edge_s: Floats, rate: Floats) -> Floats:
    """Return the time (seconds) at which each number of chips is made; infinite if it never is."""
    made = np.concatenate([[0.0], np.cumsum(rate[:-1] * np.diff(edge_s))])
    near = np.abs(chips - made[-1]) <= _ROUNDING * chips
    chips = np.where(near, made[-1], chips)
    cell = np.searchsorted(made, chips, side="left") - 1
    with np.errstate(divide="ignore"):
        return np.asarray(edge_s[cell] + (chips - made[cell]) / rate[cell], dtype=np.float64)


def stacks_per_chip(
    productions: Sequence[Production],
    memory: Memory | None,
    pools: Mapping[str, Pool],
    catalogue: Catalogue,
) -> Floats:
    """Return the HBM stacks per chip of each production; 0 if memory is not limited."""
    if memory is None:
        return np.zeros(len(productions))
    found, problems = [], []
    for production in productions:
        chip = catalogue.accelerator(pools[production.pool].accelerator)
        found.append(float(chip.hbm_stacks or 0))
        if chip.hbm_stacks is None:
            problems.append(
                f"memory: the HBM stacks of {chip.name} (pool {production.pool}) are unknown; set "
                "hbm_stacks in a catalogue file, or remove memory"
            )
    if problems:
        raise InputError("supply", list(dict.fromkeys(problems)))
    return np.array(found)


def _flow(
    productions: Sequence[Production],
    memory: Memory | None,
    stop_s: Mapping[str, float],
    slips_s: Sequence[float],
) -> _Flow:
    """Return the rates of all foundries and of the memory supply on a common grid of times."""
    begin_s, rates, changes = [], [], [0.0]
    for production, own_slip_s in zip(productions, slips_s, strict=True):
        at_s = production.at + own_slip_s
        end_s = min(production.until or math.inf, stop_s.get(production.pool, math.inf))
        begin_s.append(at_s)
        rates.append(foundry_rate(production, at_s, end_s))
        changes += [at_s, *rate_dates(production.chips_per_month)]
        changes += [end_s] if math.isfinite(end_s) else []
        if production.ramp > 0:
            steps = ramp_steps(production)
            changes += np.linspace(at_s, at_s + production.ramp, steps + 1).tolist()
    changes += [] if memory is None else rate_dates(memory.stacks_per_month)
    edge_s = np.unique(np.array(changes))
    # Rates are linear in a cell, so the value at its middle is the mean. The last cell is constant.
    middle_s = np.append((edge_s[:-1] + edge_s[1:]) / 2, edge_s[-1] + DAY_S)
    chips = np.array([rate(middle_s) for rate in rates])
    if memory is None:
        return _Flow(edge_s, chips, np.full(len(edge_s), np.inf))
    return _Flow(edge_s, chips, memory.share * per_second(memory.stacks_per_month, middle_s))


def ramp_steps(production: Production) -> int:
    """Return the number of equal steps in which a production's ramp rises."""
    return int(np.clip(math.ceil(production.ramp / DAY_S), *_RAMP_STEPS))


def foundry_rate(
    production: Production, at_s: Floats | float, end_s: Floats | float
) -> Callable[[Floats], Floats]:
    """Return the capacity of a foundry (chips/s) as a function of time.

    `at_s` and `end_s` are its start and its end, seconds; arrays must broadcast with the times.
    """

    def rate(time_s: Floats) -> Floats:
        full = per_second(production.chips_per_month, time_s)
        if production.ramp > 0:
            full = full * np.clip((time_s - at_s) / production.ramp, 0.0, 1.0)
        return np.where((time_s >= at_s) & (time_s < end_s), full, 0.0)

    return rate


def production_slips_s(productions: Sequence[Production], streams: Streams) -> list[float]:
    """Draw the delay of the start of each production, seconds."""
    purposes = with_purpose("production", productions)
    return [slip_s(production.slip, streams, purpose) for purpose, production in purposes]


def slip_s(slip: DurationDistribution | None, streams: Streams, purpose: str) -> float:
    """Draw a delay, seconds, stratified over the replications; 0 without a distribution."""
    if slip is None:
        return 0.0
    return float(slip.quantile(np.array([streams.stratified(purpose)]))[0])


def with_purpose(kind: str, entries: Iterable[Entry]) -> Iterator[tuple[str, Entry]]:
    """Yield each entry of a supply, together with a text that identifies its random numbers.

    The text depends on the entry's pool and name, and on its position among entries that share
    both. The slip of an entry therefore does not depend on other entries, and scenarios stay
    comparable.

    Parameters
    ----------
    kind : str
        First word of the text.
    entries : iterable
        Entries with the attributes ``pool`` and ``name``.
    """
    alike: dict[tuple[str, str | None], int] = {}
    for entry in entries:
        key = entry.pool, entry.name
        number = alike[key] = alike.get(key, 0) + 1
        yield f"{kind} {entry.name or ''} {number} of pool {entry.pool}", entry


def rate_dates(rate: Rate) -> list[float]:
    return [step.at for step in rate] if isinstance(rate, list) else []


def per_second(rate: Rate, time_s: Floats) -> Floats:
    """Evaluate a rate per month at some times; the result is per second."""
    if not isinstance(rate, list):
        return np.full(np.shape(time_s), rate / MONTH_S)
    step = np.searchsorted([step.at for step in rate], time_s, side="right")
    return np.array([0.0, *(step.per_month / MONTH_S for step in rate)])[step]


def order_of_service(
    productions: Iterable[Production], memory: Memory | None
) -> list[npt.NDArray[np.intp]]:
    """Return the indices of productions in groups of equal priority, highest priority first."""
    rank = {} if memory is None else {name: k for k, name in enumerate(memory.priority)}
    of = np.array([rank.get(production.pool, len(rank)) for production in productions])
    return [np.flatnonzero(of == each) for each in np.unique(of)]


def served(need: Floats, memory: Floats, groups: Iterable[npt.NDArray[np.intp]]) -> Floats:
    """Return the share of each production's need that the memory covers.

    Parameters
    ----------
    need : float64 array (productions, ...)
        Stacks/s, by cell.
    memory : float64 array (...)
        Stacks/s.
    groups : iterable of arrays of int
        See :func:`order_of_service`.
    """
    share = np.ones_like(need)
    left = memory
    for group in groups:
        wanted = need[group].sum(axis=0)
        met = np.minimum(wanted, left)
        share[group] = np.divide(met, wanted, out=np.ones_like(met), where=wanted > 0)
        left = left - met
    return share
