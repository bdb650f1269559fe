"""How far the fluid capacity moves with the fitted coefficients of the performance model."""

from __future__ import annotations

import dataclasses

import numpy as np

from clustersim.array_types import Floats, Ints
from clustersim.outlook.fluid_capacity import FluidFleet, open_fluid
from clustersim.scenario.scenario import LoadedScenario

__all__ = ["model_factors"]

CHIP_DRAWS = 64
"""Draws of the chips over which the capacity is averaged."""


def model_factors(
    loaded: LoadedScenario,
    fluid: FluidFleet,
    chips: Ints,
    times_s: Floats,
    model_draws: int,
    seed: int | None = None,
) -> Floats:
    """Return the expected capacity with drawn coefficients, relative to that with their means.

    Each draw is one consistent set of coefficients for all chips and stacks, and of the unknown
    values of hypothetical chips, as the scenario's ``performance.draw`` sets it. The scatter of
    single measurements around the model is left out, because it averages out over many jobs.

    Parameters
    ----------
    loaded : LoadedScenario
    fluid : FluidFleet
        That of the scenario, with the means of the coefficients.
    chips : int64 array (draws, times, pools)
        Only the first draws are used.
    times_s : float64 array (times,)
        Seconds.
    model_draws : int
        Number of draws of the coefficients: 0, 1, ...
    seed : int, optional
        Seed of the dates of software.

    Returns
    -------
    float64 array (model_draws, times)
        1 where there is no capacity.
    """
    few = chips[:CHIP_DRAWS]
    usual = fluid.capacity(few, times_s, seed).sum(axis=2).mean(axis=0)
    found = np.ones((model_draws, len(times_s)))
    for number in range(model_draws):
        scenario = loaded.scenario
        drawn = scenario.performance.model_copy(update={"draw": number})
        other = dataclasses.replace(
            loaded, scenario=scenario.model_copy(update={"performance": drawn})
        )
        own = open_fluid(other).capacity(few, times_s, seed).sum(axis=2).mean(axis=0)
        found[number] = np.divide(own, usual, out=np.ones_like(own), where=usual > 0)
    return found
