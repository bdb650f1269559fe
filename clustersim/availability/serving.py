"""Inference services: chips that they reserve over the day and may lend to preemptible jobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.availability.serving_spec import Service, Serving
from clustersim.calendar import HOUR_S, UNDATED, WEEK_S, Calendar
from clustersim.engine.node_events import NodeEvent, NodeEventKind, cause_text
from clustersim.errors import InputError, unknown_name
from clustersim.topology import Cluster, Pool
from clustersim.units import MOST_CHIPS, SECONDS_PER_YEAR

__all__ = ["ServiceDemand", "reservations", "service_demands", "serving_table"]

YEAR_HOURS = SECONDS_PER_YEAR / 3600.0
MOST_YEARS = 100


@dataclass(frozen=True, slots=True)
class ServiceDemand:
    """The demand of one service in each hour of the local clock.

    Attributes
    ----------
    name : str
    pool : int
        Index of the pool in the cluster.
    lends : bool
        Whether preemptible jobs may run on nodes that the service does not need.
    begin_s : float64 array (hours,)
        Start of each hour, seconds; the first is 0.
    chips : int64 array (hours,)
        Accelerators needed in each hour.
    nodes : int64 array (hours,)
        Whole nodes reserved in each hour.
    """

    name: str
    pool: int
    lends: bool
    begin_s: Floats
    chips: Ints
    nodes: Ints


def service_demands(
    serving: Serving | None,
    cluster: Cluster,
    horizon_s: float | None,
    calendar: Calendar = UNDATED,
) -> list[ServiceDemand]:
    """Return the demand of each service up to one week after the end of a run.

    Parameters
    ----------
    serving : Serving or None
    cluster : Cluster
    horizon_s : float or None
        End of the run, seconds.
    calendar : Calendar
        Calendar of the run, for the hours of the shapes.

    Raises
    ------
    InputError
        If there is no horizon, a pool is not in the cluster, or a demand is too large.
    """
    if serving is None:
        return []
    if horizon_s is None or horizon_s > MOST_YEARS * YEAR_HOURS * HOUR_S:
        raise InputError(
            "serving", f"services need a scenario with a horizon of at most {MOST_YEARS} years"
        )
    names = [pool.name for pool in cluster.pools]
    problems, demands = [], []
    for service in serving.services:
        where = f"services.{service.name}"
        if service.pool not in names:
            unknown = unknown_name("pool", service.pool, names)
            empty = f"pool {service.pool} has 0 nodes"
            problems.append(
                f"{where}.pool: {empty if service.pool in cluster.empty_pools else unknown}"
            )
            continue
        index = names.index(service.pool)
        if cluster.pools[index].virtual_clusters:
            problems.append(
                f"{where}.pool: pool {service.pool} has virtual clusters; services need a pool "
                "without them"
            )
            continue
        begin_s = _hours_s(horizon_s, service.hours_of_reservation(), calendar)
        chips = _chips(service, begin_s, calendar)
        if not chips.max() <= MOST_CHIPS:
            most = f"{MOST_CHIPS:,.0f}"
            problems.append(
                f"{where}: needs {chips.max():,.0f} accelerators; at most {most} are allowed"
            )
            continue
        nodes = _reserved_nodes(chips, service, cluster.pools[index])
        needed = chips.astype(np.int64)
        demands.append(ServiceDemand(service.name, index, service.lend, begin_s, needed, nodes))
    if problems:
        raise InputError("serving", problems)
    return demands


def _hours_s(horizon_s: float, period: int, calendar: Calendar) -> Floats:
    """Return the start of each hour (seconds) until at least a week after the horizon.

    The number of hours is a multiple of `period`.
    """
    least_s = math.ceil(horizon_s / HOUR_S) * HOUR_S + WEEK_S
    # No hour of the local clock is longer than an hour, so this contains one more period.
    begin_s = calendar.hour_edges_s(least_s + period * HOUR_S)
    n_periods = math.ceil(int(np.searchsorted(begin_s, least_s)) / period)
    return begin_s[: n_periods * period]


def _chips(service: Service, begin_s: Floats, calendar: Calendar) -> Floats:
    """Return the number of accelerators needed in each hour."""
    shape = np.array(service.hourly_shape())
    of_shape = calendar.hour_of_week(begin_s) % len(shape)
    with np.errstate(over="ignore"):
        rate = service.peak_requests_per_s * service.growth ** (begin_s / HOUR_S / YEAR_HOURS)
        tokens_per_s = rate * shape[of_shape] * (service.input_tokens + service.output_tokens)
        chips = tokens_per_s * service.headroom / service.tokens_per_s_per_chip
    # A number that is whole except for rounding errors must not be rounded up.
    return np.asarray(np.ceil(chips * (1 - 1e-12)), dtype=np.float64)


def _reserved_nodes(chips: Floats, service: Service, pool: Pool) -> Ints:
    period = service.hours_of_reservation()
    busiest = chips.reshape(-1, period).max(axis=1)
    nodes = np.ceil(busiest / pool.chips_per_node).astype(np.int64)
    return np.repeat(nodes, period)


def reservations(
    demands: Sequence[ServiceDemand], cluster: Cluster, missing: Iterable[NodeEvent] = ()
) -> Iterator[NodeEvent]:
    """Yield the nodes reserved by services as planned node events, in order of time.

    A service that needs more nodes takes the nodes with the lowest indices that are in service and
    not reserved. Services are processed in the order of the file, and no service takes a node from
    another service. A service that needs fewer nodes releases the nodes with the highest indices. A
    node can be reserved in an hour only if it is in service for the entire hour: if a reserved node
    fails, another node replaces it from the start of that hour. The jobs on a node that is taken
    save their state and return to their place in the queue.

    Parameters
    ----------
    demands : sequence of ServiceDemand
    cluster : Cluster
    missing : iterable of NodeEvent
        Periods during which nodes are absent or out of service.
    """
    gone_of = list(missing)
    spans = [
        _of_pool([(n, d) for n, d in enumerate(demands) if d.pool == index], pool, gone)
        for index, pool in enumerate(cluster.pools)
        if any(demand.pool == index for demand in demands)
        for gone in [[outage for outage in gone_of if outage.pool == index]]
    ]
    if not spans:
        return
    begin, end, node, service = (np.concatenate(column) for column in zip(*spans, strict=True))
    pool_of = np.array([demand.pool for demand in demands])[service]
    for at in np.lexsort((node, pool_of, end, begin)).tolist():
        demand = demands[service[at]]
        yield NodeEvent(
            float(begin[at]),
            float(end[at]),
            demand.pool,
            int(node[at]),
            demand.name,
            NodeEventKind.SERVICE,
        )


def _of_pool(
    demands: Sequence[tuple[int, ServiceDemand]], pool: Pool, absent: Sequence[NodeEvent]
) -> tuple[Floats, Floats, Ints, Ints]:
    """Return the start, end, node and service of each reservation of a node, as one array each."""
    n_hours = min(len(demand.nodes) for _, demand in demands)
    begin_s = demands[0][1].begin_s[:n_hours]
    wanted = np.stack([demand.nodes[:n_hours] for _, demand in demands])
    moves = _moves(absent, begin_s)
    changes = np.flatnonzero((np.diff(wanted, axis=1, prepend=-1) != 0).any(axis=0))
    absences = np.zeros(pool.n_nodes, dtype=np.int64)
    serves, since = np.full(pool.n_nodes, -1), np.zeros(pool.n_nodes)
    spans = []
    for hour in sorted({*changes.tolist(), *moves}):
        for node, change in moves.get(hour, ()):
            absences[node] += change
        now = np.where(absences == 0, serves, -1)
        free = absences == 0
        for step in ("give back", "take"):
            for (number, _), want in zip(demands, wanted[:, hour].tolist(), strict=True):
                own = np.flatnonzero(now == number)
                if step == "give back":
                    now[own[want:]] = -1
                elif want > len(own):
                    now[np.flatnonzero(free & (now < 0))[: want - len(own)]] = number
        changed = np.flatnonzero(now != serves)
        ended = changed[serves[changed] >= 0]
        spans.append((since[ended], np.full(len(ended), begin_s[hour]), ended, serves[ended]))
        since[changed] = begin_s[hour]
        serves = now
    still = np.flatnonzero(serves >= 0)
    spans.append((since[still], np.full(len(still), np.inf), still, serves[still]))
    begin, end, nodes, services = (np.concatenate(column) for column in zip(*spans, strict=True))
    return begin, end, nodes, services


def _moves(absent: Sequence[NodeEvent], begin_s: Floats) -> dict[int, list[tuple[int, int]]]:
    """Return, by hour, pairs of a node and the change (1 or -1) in its number of absences."""
    moves: dict[int, list[tuple[int, int]]] = {}
    for outage in absent:
        if outage.begin_s < begin_s[-1] + HOUR_S:
            first = int(np.searchsorted(begin_s, outage.begin_s, side="right")) - 1
            moves.setdefault(first, []).append((outage.node, 1))
        if outage.end_s <= begin_s[-1]:
            last = int(np.searchsorted(begin_s, outage.end_s))
            moves.setdefault(last, []).append((outage.node, -1))
    return moves


def serving_table(
    demands: Sequence[ServiceDemand], outages: pd.DataFrame, cluster: Cluster, end_s: float
) -> pd.DataFrame:
    """Return the accelerators that each service needed and reserved, as exact step functions.

    Parameters
    ----------
    demands : sequence of ServiceDemand
    outages : pandas.DataFrame
        Outages of the result, which include the reserved nodes.
    cluster : Cluster
    end_s : float
        End of the simulation, seconds.

    Returns
    -------
    pandas.DataFrame
        ``service``, ``pool``, ``time_s``, ``needed``, ``reserved`` and ``short`` (needed but not
        reserved), the last three in accelerators, and ``lends``. There is a row at time 0, at every
        change and at the end; each row applies until the time of the next row.
    """
    parts = []
    for number, demand in enumerate(demands):
        serves = outages["kind"] == NodeEventKind.SERVICE.label
        by_it = outages["cause"] == cause_text(NodeEventKind.SERVICE, demand.name)
        rows = outages[(serves & by_it).to_numpy(dtype=bool)]
        begin = rows["begin_s"].to_numpy()
        end = np.minimum(rows["end_s"].to_numpy(), end_s)
        hours = demand.begin_s[np.flatnonzero(np.diff(demand.chips, prepend=-1))]
        times = np.concatenate([[0.0], hours[hours < end_s], begin, end, [end_s]])
        at, step_of = np.unique(times, return_inverse=True)
        reserved = np.zeros(len(at), dtype=np.int64)
        held = step_of[len(times) - 1 - 2 * len(rows) : -1]
        n = rows["n_accelerators"].to_numpy()
        np.add.at(reserved, held, np.concatenate([n, np.where(end < end_s, -n, 0)]))
        reserved = reserved.cumsum()
        needed = demand.chips[np.searchsorted(demand.begin_s, at, side="right") - 1]
        both = np.stack([needed, reserved])
        kept = (np.diff(both, axis=1, prepend=-1) != 0).any(axis=0) | (at == at[-1])
        names = pd.Index([each.name for each in demands], dtype="str")
        pools = pd.Index([pool.name for pool in cluster.pools], dtype="str")
        count = int(kept.sum())
        columns = {
            "service": pd.Categorical.from_codes(np.full(count, number), names),
            "pool": pd.Categorical.from_codes(np.full(count, demand.pool), pools),
            "time_s": at[kept],
            "needed": needed[kept],
            "reserved": reserved[kept],
            "short": np.maximum(needed - reserved, 0)[kept],
            "lends": np.full(count, demand.lends),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)
