"""The largest model of a family that trains within a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clustersim.analysis.control_variates import Estimate
from clustersim.analysis.root_search import RootSearch
from clustersim.brief import Brief
from clustersim.catalogue import Accelerator, Catalogue, Model, load_catalogue
from clustersim.errors import InputError, shown
from clustersim.estimation.estimate import TOKENS_PER_PARAMETER
from clustersim.performance import Calibration, default_calibration
from clustersim.scenario.scenario import LoadedScenario
from clustersim.training.family import layer_range, with_layers
from clustersim.training.on_fleet import Fleet, open_fleet, read_fleet
from clustersim.training.result import TimeToTrain
from clustersim.training.time_to_train import OpenGangs, open_gangs
from clustersim.training.training import Training, training_of
from clustersim.units import format_duration, format_quantity

__all__ = ["LargestModel", "largest_model"]

DAY_S = 86400.0
ENDS = ("days_hi", "days", "days_lo")
"""Columns whose largest models are the lower end, the median and the upper end of the interval."""


@dataclass(frozen=True, repr=False)
class LargestModel(Brief):
    """The largest model of a family that trains within a number of days.

    Attributes
    ----------
    family : str
        Name of the model that is scaled.
    days : float
        The limit.
    model : Model or None
        The largest model whose median time is within the limit; None if there is none.
    params_lo, params_hi : float
        90 % interval of its parameters: the largest models whose 95 % and 5 % quantile of the time
        is within the limit. NaN if none is; infinite if all are.
    time : TimeToTrain or None
        The training of this model; None if there is none.
    limited_by : {"time", "memory", "range"}
        Why no larger model does: it takes longer, it does not fit in memory, or larger ones were
        not tried (:data:`clustersim.training.family.LARGEST`).
    tokens_per_parameter : float or None
        The rule of the tokens; None if their number is the same for all models.
    tried : mapping of int to TimeToTrain
        Every model that was tried, by its number of layers.
    reason : str
        Why no model trains within the limit; empty if one does.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.largest_model("llama3-8b", days=30, accelerators="H200", counts=256)
    >>> bool(found.params_lo < found.model.params < found.params_hi), found.limited_by
    (True, 'time')
    """

    family: str
    days: float
    model: Model | None
    params_lo: float
    params_hi: float
    time: TimeToTrain | None
    limited_by: str
    tokens_per_parameter: float | None
    tried: Mapping[int, TimeToTrain] = field(default_factory=dict)
    reason: str = ""

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        title = f"Largest {self.family} within {format_duration(DAY_S * self.days)}"
        if self.model is None or self.time is None or self.time.fastest is None:
            return title, {"reason": self.reason}
        low, high = (format_quantity(each, "count", 3) for each in (self.params_lo, self.params_hi))
        middle = format_quantity(self.model.params, "count", 3)
        return title, {
            "parameters": f"{middle} (90 % interval {low} to {high})",
            "active": format_quantity(self.model.active_params, "count", 3),
            "tokens": format_quantity(self.time.training.tokens, "count", 3),
            "time": format_duration(DAY_S * self.time.fastest["days"]),
            "limited by": self.limited_by,
        }

    def to_data(self) -> dict[str, Any]:
        """Return the result as plain data for JSON.

        Examples
        --------
        >>> import clustersim as cs
        >>> found = cs.largest_model("llama3-8b", days=30, accelerators="H200", counts=256)
        >>> sorted(found.to_data())[:3]
        ['active_params', 'days', 'family']
        """
        found = self.model
        return {
            "family": self.family,
            "days": self.days,
            "params": math.nan if found is None else found.params,
            "params_lo": self.params_lo,
            "params_hi": self.params_hi,
            "active_params": math.nan if found is None else found.active_params,
            "layers": None if found is None else found.layers,
            "hidden": None if found is None else found.hidden,
            "tokens_per_parameter": self.tokens_per_parameter,
            "limited_by": self.limited_by,
            "reason": self.reason,
            "training": None if self.time is None else self.time.to_data(),
        }


def largest_model(
    model: str | Model,
    *,
    days: float,
    accelerators: str | Accelerator | Sequence[str | Accelerator] | None = None,
    counts: int | Sequence[int] | None = None,
    fleet: str | Path | Mapping[str, Any] | LoadedScenario | None = None,
    at: str = "0 d",
    changes: Mapping[str, Any] | Sequence[str] = (),
    tokens: float | None = None,
    tokens_per_parameter: float | None = None,
    calibration: Calibration | None = None,
    catalogue: Catalogue | None = None,
    **options: Any,
) -> LargestModel:
    """Search for the largest model of a family that trains within a number of days.

    The search is over whole numbers of layers (:func:`clustersim.training.family.with_layers`), by
    :class:`clustersim.analysis.root_search.RootSearch`: for the median of the time on the fastest
    gang, and for each end of its interval. Of the models that were tried and are within the limit,
    the largest counts.

    Parameters
    ----------
    model : str or Model
        The model that is made deeper and wider, or shallower and narrower.
    days : float
        The limit.
    accelerators, counts, calibration, catalogue : optional
        As for :func:`clustersim.time_to_train`; the fastest combination counts.
    fleet, at, changes, counts : optional
        Instead of `accelerators`: as for :func:`clustersim.time_to_train_on_fleet`; the fastest
        pool counts.
    tokens : float, optional
        Tokens of each model, whatever its size.
    tokens_per_parameter : float, optional
        Tokens for each parameter of a model, experts included. By default 20 (Hoffmann et al. 2022,
        arXiv 2203.15556), unless `tokens` is given.
    **options
        Other arguments of :func:`clustersim.time_to_train`, or with a fleet of
        :func:`clustersim.time_to_train_on_fleet`.

    Raises
    ------
    InputError
        If neither accelerators nor a fleet is given, or both; or as in these functions.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.largest_model("llama3-8b", days=30, accelerators="H200", counts=256)
    >>> found.time.fastest["days"] < 30, found.model.params > 8e9
    (True, True)
    """
    _check(days, tokens, tokens_per_parameter, accelerators is not None, fleet is not None)
    shared = {name: options.pop(name) for name in SHARED if name in options}
    rule = tokens_per_parameter
    if tokens is None and rule is None:
        rule = TOKENS_PER_PARAMETER
    place: OpenGangs | Fleet
    if fleet is None:
        known = load_catalogue() if catalogue is None else catalogue
        own = default_calibration() if calibration is None else calibration
        training = training_of(model, known, own, tokens=tokens, **shared)
        place = open_gangs(training, accelerators, counts, catalogue=known, **options)
    else:
        asked = read_fleet(fleet, changes)
        training = asked.training(model, tokens=tokens, **shared)
        place = open_fleet(asked, at, training, counts=counts, **options)
    return _search(training, days, rule, place.time)


SHARED = (*("global_batch", "seq_len", "document_tokens", "precision", "stack", "plan", "memory"),)
"""Options of :func:`clustersim.training.training.training_of`."""


def _check(
    days: float,
    tokens: float | None,
    tokens_per_parameter: float | None,
    has_chips: bool,
    has_fleet: bool,
) -> None:
    problems = [
        f"{name}: must be above 0 and at most {most:g}, found {shown(value)}"
        for name, value, most in (
            ("days", days, 1e5),
            ("tokens_per_parameter", tokens_per_parameter, 1e9),
        )
        if value is not None and not 0 < value <= most
    ]
    if tokens is not None and tokens_per_parameter is not None:
        problems.append("tokens_per_parameter: cannot be given together with tokens")
    if has_chips == has_fleet:
        problems.append("give either accelerators and counts, or a fleet")
    if problems:
        raise InputError("largest model", problems)


def _search(
    training: Training,
    days: float,
    tokens_per_parameter: float | None,
    measure: Callable[[Training], TimeToTrain],
) -> LargestModel:
    """Search with a function that returns the time of a training."""
    least, most = layer_range(training.model)
    start = min(max(training.model.layers, least), most)
    tried: dict[int, TimeToTrain] = {}

    def time(layers: int) -> TimeToTrain:
        if layers not in tried:
            model, tokens = with_layers(training.model, layers), training.tokens
            if tokens_per_parameter is not None:
                tokens = tokens_per_parameter * model.params
            tried[layers] = measure(training.scaled(model, tokens))
        return tried[layers]

    largest: dict[str, int | None] = {}
    for end in ENDS:
        search = RootSearch(days, least, most, tolerance=1.0, whole=True, start=start)
        evaluated: dict[float, Estimate] = {}
        while values := search.next_values(evaluated):
            evaluated |= {value: _estimate(time(round(value)), end) for value in values}
        within = [round(layers) for layers, found in evaluated.items() if found.value <= days]
        largest[end] = max(within, default=None)
    return _result(training, days, tokens_per_parameter, largest, tried)


def _estimate(found: TimeToTrain, end: str) -> Estimate:
    """Return the fewest days of a training; without an interval, as the search has no noise."""
    days = found.table[end].to_numpy(dtype=np.float64)
    value = float(np.nanmin(days, initial=math.inf))
    return Estimate(value, value, value)


def _result(
    training: Training,
    days: float,
    tokens_per_parameter: float | None,
    largest: Mapping[str, int | None],
    tried: Mapping[int, TimeToTrain],
) -> LargestModel:
    layers = largest["days"]
    common: dict[str, Any] = {
        "family": training.model.name,
        "days": days,
        "params_lo": _params(training.model, largest["days_hi"]),
        "params_hi": _params(training.model, largest["days_lo"]),
        "tokens_per_parameter": tokens_per_parameter,
        "tried": dict(sorted(tried.items())),
    }
    if layers is None:
        least = tried[min(tried)]
        best = least.fastest
        why = str(least.table["reason"].iloc[0])
        if best is not None:
            small = format_quantity(least.training.model.params, "count", 3)
            why = f"one of {small} parameters takes {format_duration(DAY_S * best['days'])}"
        return LargestModel(
            model=None,
            time=None,
            limited_by="memory" if best is None else "time",
            reason=f"no model of this family trains within {format_duration(DAY_S * days)}: {why}",
            **common,
        )
    larger = [size for size in tried if size > layers]
    limited_by = "range"
    if larger:
        limited_by = "memory" if tried[min(larger)].fastest is None else "time"
    model = with_layers(training.model, layers)
    return LargestModel(model=model, time=tried[layers], limited_by=limited_by, **common)


def _params(model: Model, layers: int | None) -> float:
    """Return the parameters of a scaled model; infinite for the largest one that is tried."""
    if layers is None:
        return math.nan
    return math.inf if layers == layer_range(model)[1] else with_layers(model, layers).params
