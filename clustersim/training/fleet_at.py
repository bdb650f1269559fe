"""The chips of a fleet at a date: what has been delivered, less what services hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.array_types import Floats, Ints
from clustersim.availability.delivered import has_slips
from clustersim.availability.serving import ServiceDemand, service_demands
from clustersim.availability.supply import nodes_at
from clustersim.calendar import WEEK_S, Calendar
from clustersim.catalogue import Model
from clustersim.errors import InputError
from clustersim.scenario.dates import time_s
from clustersim.scenario.platform import Platform
from clustersim.scenario.resolved import fields_named
from clustersim.scenario.run_calendar import run_calendar
from clustersim.scenario.scenario import LoadedScenario, Scenario
from clustersim.seeds import Streams
from clustersim.simulation.runtimes import Runtimes
from clustersim.simulation.software import DatedPort, dated_ports, with_software
from clustersim.units import format_duration

__all__ = ["DRAWS", "FleetAt", "fleet_at"]

DRAWS = 256
"""Number of draws of a random supply."""


@dataclass(frozen=True, slots=True)
class FleetAt:
    """The chips of a fleet at a date, in several draws of what is late.

    Attributes
    ----------
    loaded : LoadedScenario
    platform : Platform
        Catalogue, cluster and coefficients of the scenario.
    calendar : Calendar
    at_s : float
        Seconds since time 0.
    at : str
        The date as text.
    nodes : int64 array (draws, pools)
        Nodes that are switched on and that no service holds.
    software : float64 array (draws, pools)
        Speed of the software for a model as a share of its speed when mature; 0 without software.
    obstacles : tuple of str (pools,)
        Why there is no software, in the first draw without it; empty if there always is.
    unported : tuple of str
        Chips to which the scenario ports the software of other models only.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.scenario.platform import open_platform
    >>> model = cs.load_catalogue().model("llama3-8b")
    >>> loaded = cs.load_scenario("mixed_small")
    >>> fleet = fleet_at(loaded, open_platform(loaded), "200 d", model)
    >>> fleet.nodes.tolist(), fleet.software.tolist()
    ([[32, 12, 8, 8]], [[1.0, 1.0, 1.0, 1.0]])
    """

    loaded: LoadedScenario
    platform: Platform
    calendar: Calendar
    at_s: float
    at: str
    nodes: Ints
    software: Floats
    obstacles: tuple[str, ...]
    unported: tuple[str, ...] = ()

    @property
    def scenario(self) -> Scenario:
        """The scenario of the fleet."""
        return self.loaded.scenario

    def chips(self, share: float) -> Ints:
        """Return the chips of whole nodes in a share of each pool, of shape (draws, pools).

        Examples
        --------
        >>> import clustersim as cs
        >>> from clustersim.scenario.platform import open_platform
        >>> model = cs.load_catalogue().model("llama3-8b")
        >>> loaded = cs.load_scenario("mixed_small")
        >>> fleet = fleet_at(loaded, open_platform(loaded), "0 d", model)
        >>> fleet.chips(0.1).tolist()  # of 32, 12, 8 and 8 nodes
        [[24, 8, 0, 0]]
        """
        per_node = np.array([pool.chips_per_node for pool in self.platform.cluster.pools])
        whole = np.floor(share * self.nodes * (1 + 1e-12)).astype(np.int64)
        return np.asarray(whole * per_node, dtype=np.int64)


def fleet_at(
    loaded: LoadedScenario,
    platform: Platform,
    at: str,
    model: Model,
    *,
    draws: int = DRAWS,
    seed: int | None = None,
) -> FleetAt:
    """Return the chips of a fleet at a date, and the speed of a model's software there.

    The draws are those of the replications 0, 1, 2, ... of the scenario, so each of them is what a
    run with that replication simulates. Nodes that fail are not subtracted.

    Parameters
    ----------
    loaded : LoadedScenario
    platform : Platform
        Its catalogue, cluster and coefficients.
    at : str
        A date (with `start` in the scenario), or a time since time 0 such as ``180 d``.
    model : Model
    draws : int
        Number of draws; one is enough, and used, if nothing in the scenario is random.
    seed : int, optional
        Default: that of the scenario.

    Raises
    ------
    InputError
        If the date cannot be read or is not allowed, or a part of the scenario is invalid.
    """
    scenario = loaded.scenario
    calendar = run_calendar(scenario.start, scenario.time_zone, source=loaded.source).calendar
    at_s = _time_s(at, calendar, loaded)
    root = scenario.seed if seed is None else seed
    replications = range(draws if _is_random(scenario) else 1)
    with fields_named(loaded):
        demands = service_demands(scenario.serving, platform.cluster, scenario.horizon, calendar)
        held = _held(demands, len(platform.cluster.pools), at_s)
        whole = np.array([pool.n_nodes for pool in platform.cluster.pools])
        nodes, speeds, obstacles = [], [], [""] * len(whole)
        for replication in replications:
            streams = Streams(root, replication=replication)
            there = whole
            if scenario.supply is not None:
                there = nodes_at(
                    scenario.supply, platform.cluster, streams, platform.catalogue, at_s
                )
            nodes.append(np.maximum(there - held, 0))
            ports = _ports(scenario, platform, streams, calendar)
            speed, missing = _software(platform, model, ports, at_s)
            speeds.append(speed)
            obstacles = [old or new for old, new in zip(obstacles, missing, strict=True)]
    return FleetAt(
        loaded=loaded,
        platform=platform,
        calendar=calendar,
        at_s=at_s,
        at=calendar.text(at_s) if calendar.is_dated else format_duration(at_s),
        nodes=np.array(nodes),
        software=np.array(speeds),
        obstacles=tuple(obstacles),
        unported=_unported(platform, model, ports),
    )


def _time_s(at: str, calendar: Calendar, loaded: LoadedScenario) -> float:
    """Return the date as seconds since time 0."""
    try:
        return time_s(at, calendar, "at")
    except InputError as error:
        if calendar.is_dated or "the date of time 0 is not known" not in str(error):
            raise
        raise InputError(
            "at",
            f"{at!r} is a date, but {loaded.source} has no `start`; add start: 2026-01-01 to it, "
            "set it with --set start=2026-01-01, or give a time since its start such as 180 d",
        ) from None


def _is_random(scenario: Scenario) -> bool:
    """Return whether the supply or the ports of software are random."""
    ports = [] if scenario.software is None else scenario.software.ports
    return has_slips(scenario.supply) or any(port.slip is not None for port in ports)


def _held(demands: Sequence[ServiceDemand], n_pools: int, at_s: float) -> Ints:
    """Return the most nodes of each pool that services hold in an hour of the week from a time on.

    After the last hour that is known, the last week counts.
    """
    held = np.zeros(n_pools, dtype=np.int64)
    for pool in range(n_pools):
        here = [demand for demand in demands if demand.pool == pool]
        if not here:
            continue
        n_hours = min(len(demand.nodes) for demand in here)
        begin_s = here[0].begin_s[:n_hours]
        total = np.sum([demand.nodes[:n_hours] for demand in here], axis=0)
        from_s = min(at_s, float(begin_s[-1]) - WEEK_S)
        first = max(int(np.searchsorted(begin_s, from_s, side="right")) - 1, 0)
        held[pool] = total[first : int(np.searchsorted(begin_s, from_s + WEEK_S))].max()
    return held


def _ports(
    scenario: Scenario, platform: Platform, streams: Streams, calendar: Calendar
) -> list[DatedPort]:
    """Return the ports that concern a training, with their dates in one replication.

    Ports that name classes of jobs do not: a training has none.
    """
    if scenario.software is None:
        return []
    ports = [port for port in scenario.software.ports if port.classes is None]
    software = scenario.software.model_copy(update={"ports": ports})
    return dated_ports(software, pd.DataFrame(), platform.catalogue, streams, calendar)


def _software(
    platform: Platform, model: Model, ports: Sequence[DatedPort], at_s: float
) -> tuple[Floats, list[str]]:
    """Return the speed of a model's software on each pool at a time, and why there is none."""
    n_pools, catalogue = len(platform.cluster.pools), platform.catalogue
    job = pd.DataFrame({"submit_s": [at_s]})
    if model.name in catalogue.models:
        job["model"] = [model.name]
    unit = Runtimes(np.ones((n_pools, 1)), np.ones((n_pools, 1)), {})
    there = with_software(unit, job, platform.cluster, catalogue, ports)
    assert there.missing_port is not None, "with_software sets it"
    missing = [there.port_obstacles[port] if port >= 0 else "" for port in there.missing_port[:, 0]]
    return 1.0 / there.run_s[:, 0], missing


def _unported(platform: Platform, model: Model, ports: Sequence[DatedPort]) -> tuple[str, ...]:
    """Return the chips with ports of other models, but none that concerns this one."""
    found = []
    for pool in platform.cluster.pools:
        chip = platform.catalogue.accelerator(pool.accelerator).name
        here = [
            each.port.models
            for each in ports
            if each.port.accelerators is None or chip in each.port.accelerators
        ]
        if here and all(models is not None and model.name not in models for models in here):
            found.append(chip)
    return tuple(dict.fromkeys(found))
