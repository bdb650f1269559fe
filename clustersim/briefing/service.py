"""What a whole fleet trains and serves at a date: chips, rates by pool, and demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clustersim.array_types import Floats
from clustersim.briefing.fleet_file import FleetFile
from clustersim.briefing.spec import Demand
from clustersim.catalogue import Catalogue
from clustersim.errors import InputError, named_in
from clustersim.frontier import FleetRates
from clustersim.inference import ServingLoad, serving_capacity, video_capacity
from clustersim.outlook.fluid_capacity import open_fluid
from clustersim.outlook.monthly_chips import chips_at
from clustersim.outlook.stop import Stop
from clustersim.scenario.platform import open_platform
from clustersim.seeds import Streams

__all__ = ["ServedFleet", "demand_per_s", "served_fleet"]

DAY_S = 86400.0
YEAR_S = 365.0 * DAY_S
DRAWS = 256
"""Draws of the supply and of the dates of software whose mean is the fleet at a date."""


@dataclass(frozen=True, eq=False, slots=True)
class ServedFleet:
    """Rates of a whole fleet at a date.

    Attributes
    ----------
    pools : tuple of str
    services : tuple of str
    rates : FleetRates
        Training is counted without queues and failures. Chips are the mean over draws.
    low, high : float array (P, M)
        90 % interval of the serving rates.
    training_share : float array (P,)
        Share of each pool that trains in the file.
    """

    pools: tuple[str, ...]
    services: tuple[str, ...]
    rates: FleetRates
    low: Floats
    high: Floats
    training_share: Floats


def demand_per_s(file: FleetFile, demand: Demand, at_s: float) -> float:
    """Return tokens (or videos) a second at a time, with exponential growth."""
    per_day = demand.videos_per_day if demand.tokens_per_day is None else demand.tokens_per_day
    assert per_day is not None, "the section was validated"
    years = (at_s - file.at_s(demand.at, f"served.{demand.name}.at")) / YEAR_S
    return float(per_day / DAY_S * demand.growth**years)


def served_fleet(
    file: FleetFile,
    at_s: float,
    loss: float,
    *,
    case: str | None = None,
    changes: Mapping[str, Any] | None = None,
    stops: Sequence[Stop] = (),
) -> ServedFleet:
    """Return what all chips of a fleet train and serve at a time.

    Parameters
    ----------
    file : FleetFile
    at_s : float
        Seconds since time 0.
    loss : float
        Loss factor: what queues, gangs and failures leave of training.
    case, changes : optional
        A version of the file (:meth:`~clustersim.briefing.fleet_file.FleetFile.version`).
    stops : sequence of Stop
        Rules that may stop the supply.

    Raises
    ------
    InputError
        If the scenario has no closed form, or no chip serves a model.
    """
    loaded = file.version(case, changes)
    platform = open_platform(loaded)
    fluid = open_fluid(loaded, platform)
    at = np.array([at_s])
    share = np.array([file.training_share(pool, case, changes) for pool in fluid.pools])
    if not (share > 0).all():
        raise InputError(
            file.path, "fleet.training_share: must be above 0; whole pools follow from it"
        )
    chips = chips_at(loaded, platform, at, DRAWS, stops=stops).mean(axis=0)[0] / share
    speeds = fluid.ports.at(at, DRAWS, Streams(fluid.seed)).mean(axis=0)[0]
    with np.errstate(invalid="ignore"):
        training = loss * fluid.flop / fluid.work * speeds[fluid.ports.port_of]
    flops = fluid.kinds["share"].to_numpy(dtype=np.float64) * fluid.flop
    names = [pool.accelerator for pool in platform.cluster.pools]
    found = []
    for number, each in enumerate(file.spec.served):
        with named_in(file.path, f"briefing.served[{number}]"):
            found.append(_served(each, names, platform.catalogue))
    rate, low, high = (np.array(part).T for part in zip(*found, strict=True))
    demand = np.array([demand_per_s(file, each, at_s) for each in file.spec.served])
    unserved = [
        each.name
        for each, own in zip(file.spec.served, rate.T, strict=True)
        if not (own * chips).any()
    ]
    if unserved:
        raise InputError(file.path, f"briefing.served: no chip serves {', '.join(unserved)}")
    return ServedFleet(
        fluid.pools,
        tuple(each.name for each in file.spec.served),
        FleetRates(chips, np.nan_to_num(training), flops / flops.sum(), rate, demand),
        low,
        high,
        share,
    )


def _served(
    demand: Demand, accelerators: Sequence[str], catalogue: Catalogue
) -> tuple[Floats, Floats, Floats]:
    """Return units of service a second of one chip of each type, with its 90 % interval."""
    chips = list(dict.fromkeys(accelerators))
    if demand.tokens_per_day is None:
        table = video_capacity(
            [demand.model], chips, frames=demand.frames, steps=demand.steps, catalogue=catalogue
        )
        name, factor = "videos_per_s", 1.0
    else:
        # A cache spares the computation of the tokens that it holds, but they count as read.
        load = ServingLoad(
            input_len=max(1.0, demand.input_len * (1.0 - demand.cached)),
            output_len=demand.output_len,
            tpot_s=demand.tpot,
        )
        table = serving_capacity([demand.model], chips, load=load, catalogue=catalogue)
        name = "output_tokens_per_s"
        factor = (demand.input_len + demand.output_len) / demand.output_len
    by_chip = table.set_index("accelerator")
    rows = [chips.index(each) for each in accelerators]
    values = (by_chip[column].to_numpy(dtype=np.float64) for column in (name, "low", "high"))
    rate, low, high = (np.nan_to_num(each)[rows] * factor for each in values)
    return rate, low, high
