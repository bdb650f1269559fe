"""Chips of a fleet assigned to training and serving: a linear program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog

from clustersim.array_types import Floats
from clustersim.errors import InputError

__all__ = ["Assignment", "FleetRates", "best_assignment"]


@dataclass(frozen=True, eq=False, slots=True)
class FleetRates:
    """What the chips of a fleet can train and serve.

    Axes: P (pools), C (classes of training jobs) and M (served models).

    Attributes
    ----------
    chips : float array (P,)
    training : float array (P, C)
        Useful FLOP/s of a chip; 0 where the class does not run.
    mix : float array (C,)
        Share of each class in the useful FLOPs of training.
    serving : float array (P, M)
        Units of service a second of a chip (output tokens, or videos); 0 where it cannot serve.
    demand : float array (M,)
        Units of service a second that are asked for.

    Raises
    ------
    InputError
        If shapes do not match, a number is negative or not finite, `mix` is all 0, or a model with
        a demand is served by no chip.

    Examples
    --------
    >>> rates = FleetRates(
    ...     chips=np.array([10.0]), training=np.array([[2.0]]), mix=np.array([1.0]),
    ...     serving=np.array([[4.0]]), demand=np.array([20.0]),
    ... )
    >>> rates.mix.tolist()
    [1.0]
    """

    chips: Floats
    training: Floats
    mix: Floats
    serving: Floats
    demand: Floats

    def __post_init__(self) -> None:
        pools, classes, models = len(self.chips), len(self.mix), len(self.demand)
        shapes = {"training": (pools, classes), "serving": (pools, models)}
        problems = [
            f"{name}: shape must be {shape}, found {getattr(self, name).shape}"
            for name, shape in shapes.items()
            if getattr(self, name).shape != shape
        ]
        for name in ("chips", "training", "mix", "serving", "demand"):
            values = getattr(self, name)
            if not np.all(np.isfinite(values) & (values >= 0)):
                problems.append(f"{name}: numbers must be finite and not negative")
        if not problems and not self.mix.sum() > 0:
            problems.append("mix: one share at least must be above 0")
        if not problems and np.any((self.demand > 0) & (self.serving.max(axis=0, initial=0) == 0)):
            problems.append("serving: no chip serves a model with a demand")
        if problems:
            raise InputError("rates of a fleet", problems)


@dataclass(frozen=True, eq=False, slots=True)
class Assignment:
    """Chips by pool and use.

    Attributes
    ----------
    served : float
        Share of the demand that is served, the same for all models; above 1 if there is room.
    trained_flops_per_s : float
        Useful FLOP/s of training.
    training_chips : float array (P, C)
    serving_chips : float array (P, M)
        The rest of the chips is idle.
    """

    served: float
    trained_flops_per_s: float
    training_chips: Floats
    serving_chips: Floats


def best_assignment(
    rates: FleetRates,
    *,
    training_weight: float = 1.0,
    served_weight: float = 0.0,
    least_training: float = 0.0,
    least_served: float = 0.0,
    training_unit: float | None = None,
) -> Assignment:
    """Return the assignment that maximises a weighted sum of training and serving.

    The chips of a pool are divisible: gangs and instances are small beside a pool. Training does
    the classes in the proportions of the mix, and serving all models in those of the demand.

    Parameters
    ----------
    rates : FleetRates
    training_weight : float
        Weight of a `training_unit` of useful FLOP/s.
    served_weight : float
        Weight of the whole demand being served.
    least_training, least_served : float
        Least training [FLOP/s], and least share of the demand that is served.
    training_unit : float, optional
        In FLOP/s; by default about what the whole fleet trains.

    Raises
    ------
    InputError
        If the fleet cannot do what is asked at least, or nothing limits what is maximised.

    Examples
    --------
    Ten chips that each train 2 FLOP/s or serve 4 tokens/s, of 20 tokens/s asked for:

    >>> rates = FleetRates(
    ...     chips=np.array([10.0]), training=np.array([[2.0]]), mix=np.array([1.0]),
    ...     serving=np.array([[4.0]]), demand=np.array([20.0]),
    ... )
    >>> best_assignment(rates, least_served=1.0).trained_flops_per_s
    10.0
    """
    pools, classes = rates.training.shape
    models = len(rates.demand)
    trains, serves = pools * classes, pools * models
    wanted = rates.demand > 0
    unit = training_unit or _most_training(rates)
    # Columns: shares of each pool by class, shares by model, training in `unit`, share served.
    training = rates.training * rates.chips[:, None] / unit
    serving = rates.serving * rates.chips[:, None] / np.where(wanted, rates.demand, 1.0)
    served_unit = float(serving[:, wanted].sum(axis=0).min(initial=np.inf)) if wanted.any() else 1.0
    served_unit = served_unit or 1.0
    cost = np.zeros(trains + serves + 2)
    cost[-2:] = -training_weight, -served_weight * served_unit
    rows = np.zeros((pools + classes + models, len(cost)))
    for pool in range(pools):
        rows[pool, pool * classes : (pool + 1) * classes] = 1.0
        rows[pool, trains + pool * models : trains + (pool + 1) * models] = 1.0
    each_class = rows[pools : pools + classes, :trains].reshape(classes, pools, classes)
    each_model = rows[pools + classes :, trains : trains + serves].reshape(models, pools, models)
    for number in range(classes):
        each_class[number, :, number] = -training[:, number]
    for model in np.flatnonzero(wanted):
        each_model[model, :, model] = -serving[:, model] / served_unit
    rows[pools : pools + classes, -2] = rates.mix / rates.mix.sum()
    rows[pools + classes :, -1] = wanted
    limits = np.concatenate([np.ones(pools), np.zeros(classes + models)])
    bounds = [(0.0, None)] * (trains + serves)
    bounds += [(least_training / unit, None), (least_served / served_unit, None)]
    found: Any = linprog(cost, A_ub=rows, b_ub=limits, bounds=bounds, method="highs")
    if found.status != 0:
        asked = f"{least_training:.4g} FLOP/s of training and {least_served:.4g} times the demand"
        raise InputError("assignment of chips", f"the fleet cannot do {asked}")
    trained, served = (found.x[-2:].clip(min=0.0) * (unit, served_unit)).tolist()
    trains_on = found.x[:trains].reshape(pools, classes) * rates.chips[:, None]
    serves_on = found.x[trains : trains + serves].reshape(pools, models) * rates.chips[:, None]
    return Assignment(
        served,
        trained,
        _needed(trains_on, rates.training, trained * rates.mix / rates.mix.sum()),
        _needed(serves_on, rates.serving, served * rates.demand),
    )


def _needed(chips: Floats, rates: Floats, wanted: Floats) -> Floats:
    """Return chips (P, X) less those that do more of a use than is wanted of it (X,)."""
    done = (chips * rates).sum(axis=0)
    share: Floats = np.divide(wanted, done, out=np.zeros_like(done), where=done > 0)
    return np.asarray(chips * share.clip(max=1.0))


def _most_training(rates: FleetRates) -> float:
    """Return the training of all chips on their fastest classes [FLOP/s], or 1 if there is none."""
    return float(rates.chips @ rates.training.max(axis=1, initial=0.0)) or 1.0
