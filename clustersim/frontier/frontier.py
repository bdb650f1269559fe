"""The frontier of a fleet: most training for each share of the demand that is served."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.frontier.assignment import Assignment, FleetRates, best_assignment

__all__ = ["Frontier", "frontier", "proportional"]

_EQUAL = 1e-9
"""Relative gain below which an assignment is the same corner."""


@dataclass(frozen=True, eq=False, slots=True)
class Frontier:
    """Corners of the frontier of training against serving, which is a line between them.

    Attributes
    ----------
    rates : FleetRates
    corners : tuple of Assignment
        From most training to most serving.

    Examples
    --------
    >>> rates = FleetRates(
    ...     chips=np.array([10.0, 10.0]), training=np.array([[4.0], [1.0]]), mix=np.array([1.0]),
    ...     serving=np.array([[1.0], [1.0]]), demand=np.array([10.0]),
    ... )
    >>> found = frontier(rates)
    >>> [(each.served, each.trained_flops_per_s) for each in found.corners]
    [(0.0, 50.0), (1.0, 40.0), (2.0, 0.0)]
    >>> found.trained(np.array([0.5, 1.5])).tolist()
    [45.0, 20.0]
    """

    rates: FleetRates
    corners: tuple[Assignment, ...]

    @property
    def most_served(self) -> float:
        """Largest share of the demand that the fleet serves; above 1 if there is room."""
        return self.corners[-1].served

    def trained(self, served: Floats) -> Floats:
        """Return the most useful FLOP/s of training at shares of the demand served.

        Parameters
        ----------
        served : float array

        Returns
        -------
        float array
            Same shape; NaN beyond what the fleet can serve.
        """
        at = [each.served for each in self.corners]
        trained = [each.trained_flops_per_s for each in self.corners]
        # What is served at the first corner costs no training.
        return np.interp(served, at, trained, left=trained[0], right=np.nan)

    def table(self, pools: list[str], models: list[str]) -> pd.DataFrame:
        """Return the corners as rows, with the chips of each pool that serve each model.

        Parameters
        ----------
        pools, models : list of str
            Names in the order of `rates`.

        Returns
        -------
        DataFrame
            served, trained_flops_per_s, and for each pool ``training.POOL`` and
            ``MODEL.POOL`` [chips].
        """
        rows = []
        for each in self.corners:
            row = {"served": each.served, "trained_flops_per_s": each.trained_flops_per_s}
            for number, pool in enumerate(pools):
                row[f"training.{pool}"] = float(each.training_chips[number].sum())
                for model, chips in zip(models, each.serving_chips[number], strict=True):
                    row[f"{model}.{pool}"] = float(chips)
            rows.append(row)
        return pd.DataFrame(rows)


def frontier(rates: FleetRates) -> Frontier:
    """Find all corners of the frontier of training against serving.

    Between two corners, the weights at which both are equally good are tried. Either another
    corner is better at them, or the line between the two is on the frontier (dichotomic search;
    Aneja and Nair, Management Science 25(1), 1979).

    Raises
    ------
    InputError
        If no model has a demand.
    """
    if not rates.demand.sum() > 0:
        raise InputError("frontier", "demand: no model has a demand, so that there is no frontier")
    only_training = best_assignment(rates)
    first = best_assignment(
        rates,
        training_weight=0.0,
        served_weight=1.0,
        least_training=only_training.trained_flops_per_s,
    )
    most = best_assignment(rates, training_weight=0.0, served_weight=1.0)
    last = best_assignment(rates, least_served=most.served)
    if first.served <= _EQUAL * last.served:
        first = replace(only_training, served=0.0)
    scale = max(first.trained_flops_per_s, last.trained_flops_per_s)
    return Frontier(rates, (first, *_between(rates, first, last, scale or 1.0)))


def proportional(rates: FleetRates, training_share: float | Floats) -> Assignment:
    """Return what the fleet does if a given share of every pool trains.

    Parameters
    ----------
    rates : FleetRates
    training_share : float or float array (P,)
        The same for all pools, or one of each pool.

    Raises
    ------
    InputError
        If `training_share` is not between 0 and 1.

    Examples
    --------
    >>> rates = FleetRates(
    ...     chips=np.array([10.0, 10.0]), training=np.array([[4.0], [1.0]]), mix=np.array([1.0]),
    ...     serving=np.array([[1.0], [1.0]]), demand=np.array([10.0]),
    ... )
    >>> found = proportional(rates, 0.5)
    >>> found.served, found.trained_flops_per_s
    (1.0, 25.0)
    """
    if not np.all((np.asarray(training_share) >= 0) & (np.asarray(training_share) <= 1)):
        raise InputError(
            "training share", f"must be a number between 0 and 1, found {training_share!r}"
        )
    trains, serves = rates.chips * training_share, rates.chips * (1.0 - training_share)
    training = best_assignment(_with_chips(rates, trains))
    serving = best_assignment(_with_chips(rates, serves), training_weight=0.0, served_weight=1.0)
    return Assignment(
        serving.served,
        training.trained_flops_per_s,
        training.training_chips,
        serving.serving_chips,
    )


def _with_chips(rates: FleetRates, chips: Floats) -> FleetRates:
    return FleetRates(chips, rates.training, rates.mix, rates.serving, rates.demand)


def _between(
    rates: FleetRates, left: Assignment, right: Assignment, scale: float
) -> list[Assignment]:
    """Return the corners after `left`, up to and with `right`."""
    lost = (left.trained_flops_per_s - right.trained_flops_per_s) / scale
    gained = right.served - left.served
    if gained <= _EQUAL * max(1.0, right.served):
        return []
    if lost <= _EQUAL:
        return [right]
    found = best_assignment(rates, training_weight=gained, served_weight=lost, training_unit=scale)
    value = gained * found.trained_flops_per_s / scale + lost * found.served
    ends = gained * left.trained_flops_per_s / scale + lost * left.served
    if value <= ends * (1.0 + _EQUAL):
        return [right]
    return _between(rates, left, found, scale) + _between(rates, found, right, scale)
