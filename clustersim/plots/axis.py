"""Labels, units and scales of the axes for the columns of a study's tables."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import SupportsFloat

import numpy as np
import numpy.typing as npt

from clustersim.analysis.metrics import find_metric, group_of, period_of, pool_of
from clustersim.errors import InputError, shown, unknown_name
from clustersim.units import SCALES, format_duration, format_number, scale_of

__all__ = ["Axis", "axis_for", "axis_of", "value_text", "value_texts"]

_WIDE, _NARROW = 30.0, 5.0
"""By default, an axis is logarithmic if the largest value divided by the smallest is at least the
first number. Below the second number, an axis is never logarithmic, because it would have hardly
any ticks."""
_DECADES = 1e4
"""A logarithmic axis of durations has the unit that suits the middle of at most this range."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Label, unit and scale of one column.

    Attributes
    ----------
    label : str
        Name of the quantity, without the unit.
    unit : str
        Name of the unit. If empty, it is chosen from the dimension and the data.
    scale : float
        Size of the unit in SI. The shown number is the number in the table divided by `scale`.
    logarithmic : bool or None
        Whether the axis is logarithmic. None: if the data span a factor of 30 or more.
    dimension : str
        ``duration``, ``bytes``, ``memory``, ``bandwidth``, ``flop rate``, ``power``, ``energy``,
        ``mass``, ``money``, ``count``, ``share`` (shown in %), ``ratio``, or "" for no dimension.
    better : {"", "less", "more"}
        Which direction is an improvement; "" if neither is.
    noun : str
        Noun that can follow "less" or "more" ("wait"); the label by default.

    Raises
    ------
    InputError
        If the dimension, the direction or the scale is not allowed.

    Examples
    --------
    >>> from clustersim.plots import Axis
    >>> axis = Axis("time in the queue", dimension="duration")
    >>> axis.fitted([600.0, 7200.0]).title
    'time in the queue, h'
    >>> axis.text(5400.0)
    '90 min'
    """

    label: str
    unit: str = ""
    scale: float = 1.0
    logarithmic: bool | None = None
    dimension: str = ""
    better: str = ""
    noun: str = ""

    def __post_init__(self) -> None:
        if self.dimension and self.dimension not in SCALES:
            raise InputError("axis", unknown_name("dimension", self.dimension, SCALES))
        if self.better not in ("", "less", "more"):
            raise InputError("axis", unknown_name("direction", self.better, ("less", "more")))
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise InputError("axis", f"scale must be a positive number, found {shown(self.scale)}")

    def fitted(self, values: npt.ArrayLike) -> Axis:
        """Return the axis with the unit and the scale that suit the given values.

        Examples
        --------
        >>> from clustersim.plots import axis_of
        >>> axis_of("mean_wait_s").fitted([0.0, 5400.0, 9000.0]).title
        'mean wait, h'
        """
        numbers = np.asarray(values, dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        signed = bool((numbers < 0).any())
        numbers = np.abs(numbers)
        largest = float(numbers.max(initial=0.0))
        positive = numbers[numbers > 0]
        fits = self
        if not self.unit and self.dimension:
            scale, unit = scale_of(self.dimension, [largest])
            fits = replace(fits, scale=scale, unit=unit)
        if signed:
            fits = replace(fits, logarithmic=False)
        elif self.logarithmic is None:
            wide = len(positive) > 2 and largest >= _WIDE * float(positive.min())
            whole = len(positive) == len(numbers) or self.dimension == "duration"
            fits = replace(fits, logarithmic=wide and whole and self.dimension != "share")
        elif self.logarithmic and len(positive) and largest < _NARROW * float(positive.min()):
            fits = replace(fits, logarithmic=False)
        if fits.logarithmic and self.dimension == "duration" and not self.unit:
            least = max(float(positive.min()), largest / _DECADES)
            scale, unit = scale_of(self.dimension, [math.sqrt(least * largest)])
            fits = replace(fits, scale=scale, unit=unit)
        return fits

    @property
    def title(self) -> str:
        """Label and unit, as printed next to the axis."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    def number(self, value: float, digits: int = 3) -> str:
        """Format a value in the unit of the axis, without the name of the unit.

        Examples
        --------
        >>> from clustersim.plots import axis_of
        >>> axis_of("utilisation").fitted([0.5]).number(0.8432)
        '84.3'
        """
        shown = value / self.scale
        if not math.isfinite(shown):
            return "no number" if math.isnan(shown) else "no limit"
        if abs(shown) >= 1000:
            digits = max(digits, len(f"{abs(shown):.0f}"))
        return format_number(shown, digits).replace("-", "−")

    def text(self, value: float, digits: int = 3) -> str:
        """Format a value briefly, with its unit.

        Examples
        --------
        >>> from clustersim.plots import axis_of
        >>> axis_of("mean_wait_s").text(9000.0), axis_of("utilisation").text(0.84)
        ('2.5 h', '84 %')
        """
        if self.dimension == "duration" and not self.unit and math.isfinite(value):
            return format_duration(value, whole=True).replace("-", "−")
        fits = self if self.unit else self.fitted([value])
        return f"{fits.number(value, digits)} {fits.unit}".strip()


_COLUMNS: Mapping[str, Axis] = MappingProxyType(
    {
        "period": Axis("period"),
        "capacity": Axis("capacity", better="more"),
        "workload.load": Axis("offered load", dimension="ratio"),
        "workload.jobs_per_day": Axis("offered jobs per day", dimension="count"),
        "workload.scale": Axis("multiplier of the log's arrival rate", dimension="ratio"),
        "workload.scale.load": Axis("multiplier of the log's load", dimension="ratio"),
        "workload.jobs": Axis("jobs", dimension="count"),
        "workload.duration": Axis("length of the submission period", dimension="duration"),
        "workload.generate": Axis("workload"),
        "workload.trace": Axis("job log"),
        "scheduler.policy": Axis("policy"),
        "scheduler.placement": Axis("placement"),
        "scheduler.choose": Axis("pool choice"),
        "scheduler.wait_for_best": Axis("wait for the best pool"),
        "scheduler.span_pools": Axis("jobs over several pools"),
        "scheduler.estimates": Axis("run-time estimates"),
        "performance.stack": Axis("software stack"),
        "performance.precision": Axis("precision"),
        "case": Axis("case"),
        "cluster": Axis("cluster"),
        "horizon": Axis("horizon", dimension="duration"),
        "failures.rate": Axis("failure rate multiplier", dimension="ratio"),
        "failures.sources": Axis("failure rates"),
        "failures.checkpoints.cost": Axis("checkpoint time", dimension="duration"),
        "failures.checkpoints.interval": Axis("checkpoint interval", dimension="duration"),
        "failures.checkpoints.restart": Axis("restart time", dimension="duration"),
        "failures.checkpoints.storage.write": Axis(
            "write bandwidth of the storage", dimension="bandwidth"
        ),
        "failures.checkpoints.storage.read": Axis(
            "read bandwidth of the storage", dimension="bandwidth"
        ),
        "failures.checkpoints.storage.restores_at_once": Axis(
            "restores at once", dimension="count"
        ),
        "energy.pue": Axis("PUE", dimension="ratio"),
        "energy.price_cny_per_kwh": Axis("electricity price", unit="CNY/kWh"),
        "energy.carbon_g_per_kwh": Axis("carbon intensity of electricity", unit="g/kWh"),
        "money.life": Axis("depreciation period", dimension="duration"),
        "money.site_share": Axis("cost of network and buildings over servers", dimension="share"),
        "money.interest_per_year": Axis("interest rate per year", dimension="share"),
        "money.cny_per_usd": Axis("exchange rate in CNY per USD", dimension="ratio"),
        "first": Axis("first-order Sobol index", dimension="ratio"),
        "total": Axis("total Sobol index", dimension="ratio"),
    }
)
_WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "nodes": ("nodes", "count"),
        "chips_per_node": ("chips per node", "count"),
        "accelerator": ("chip", ""),
        "nic": ("NIC bandwidth", "bandwidth"),
        "nic_bandwidth": ("NIC bandwidth", "bandwidth"),
        "hbm_bandwidth": ("HBM bandwidth", "bandwidth"),
        "hbm_capacity": ("HBM capacity", "memory"),
        "hbm_type": ("HBM type", ""),
        "hbm_stacks": ("HBM stacks", "count"),
        "scaleup_bandwidth": ("scale-up bandwidth", "bandwidth"),
        "scaleup_size": ("scale-up domain size", "count"),
        "scale_up.bandwidth": ("scale-up bandwidth", "bandwidth"),
        "scale_up.size": ("scale-up domain size", "count"),
        "peak_flops.bf16": ("BF16 peak", "flop rate"),
        "peak_flops.fp8": ("FP8 peak", "flop rate"),
        "power": ("power", "power"),
        "pue": ("PUE", "ratio"),
        "price": ("chip price", "money"),
        "rent_per_hour": ("rent per chip-hour", "money"),
        "price.low": ("lowest price", "money"),
        "price.high": ("highest price", "money"),
        "fabric.link_rate": ("link rate", "bandwidth"),
        "fabric.latency": ("latency per hop", "duration"),
        "fabric.unit_nodes": ("nodes per unit", "count"),
        "fabric.oversubscription.leaf": ("leaf oversubscription", "ratio"),
        "fabric.oversubscription.spine": ("spine oversubscription", "ratio"),
        "rate": ("bandwidth", "bandwidth"),
        "latency": ("latency", "duration"),
    }
)
_SUFFIXES = (
    ("_s", "duration"),
    ("_bytes", "bytes"),
    ("_Bps", "bandwidth"),
    ("_w", "power"),
    ("_cny", "money"),
    ("duration", "duration"),
    ("interarrival", "duration"),
    ("latency", "duration"),
    ("bandwidth", "bandwidth"),
    ("share", "share"),
)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Axis]], ...] = (
    (
        re.compile(r"(?:cluster|energy|money)\.pools\.([^.]+)\.(.+)"),
        lambda m: _of_pool(m[1], *_words(m[2])),
    ),
    (
        re.compile(r"catalogue\.([^.]+)\.(.+)"),
        lambda m: _of_chip(m[1], *_words(m[2].removesuffix(".value"))),
    ),
    (re.compile(r"cluster\.datacenter_network\.(.+)"), lambda m: _between_pools(*_words(m[1]))),
)


def _of_pool(pool: str, what: str, dimension: str) -> Axis:
    return Axis(f"{what} of pool {pool}", dimension=dimension)


def _of_chip(chip: str, what: str, dimension: str) -> Axis:
    return Axis(f"{what} of {chip}", dimension=dimension)


def _between_pools(what: str, dimension: str) -> Axis:
    return Axis(f"{what} between pools", dimension=dimension)


def _words(path: str) -> tuple[str, str]:
    if path in _WORDS:
        return _WORDS[path]
    dimension = next((name for suffix, name in _SUFFIXES if path.endswith(suffix)), "")
    for suffix in ("_s", "_bytes", "_Bps", "_w", "_cny"):
        path = path.removesuffix(suffix)
    return path.replace("_", " ").replace(".", " "), dimension


def _of_metric(column: str) -> Axis | None:
    """Return the axis of a metric (also of a pool, group or period), or None for other columns."""
    metric = find_metric(column)
    if metric is None:
        return None
    label, noun = metric.label, metric.noun
    if pool := pool_of(column):
        label, noun = f"{metric.pool_label or metric.label} of pool {pool}", ""
    if group := group_of(column):
        label, noun = f"{label} of {group}", ""
    period = period_of(column)[1]
    if period is not None:
        label, noun = f"{label} in period {period}", noun or label
    return Axis(
        label,
        unit="" if metric.dimension else metric.unit,
        logarithmic=metric.logarithmic,
        dimension=metric.dimension,
        better=metric.better,
        noun=noun,
    )


def axis_of(column: str, *, label: str | None = None, dimension: str | None = None) -> Axis:
    """Return the axis of a metric or parameter from its name in a study's tables.

    Parameters
    ----------
    column : str
        A metric (``mean_wait_s``, ``chips.h200``) or the path of a parameter in a scenario
        (``scheduler.policy``, ``catalogue.SeedChip.hbm_bandwidth``). For any other name, the
        label is made from the last parts of the name, and the unit from its suffix.
    label, dimension : str, optional
        Label and dimension that replace the defaults.

    Raises
    ------
    InputError
        If the dimension is unknown; the message suggests the nearest known dimension.

    Examples
    --------
    >>> from clustersim import axis_of
    >>> axis_of("cluster.pools.seedchip.nodes").label
    'nodes of pool seedchip'
    >>> axis_of("catalogue.SeedChip.hbm_bandwidth").fitted([1.6e12, 4e12]).title
    'HBM bandwidth of SeedChip, TB/s'
    >>> axis_of("workload.generate.arrivals.burst_share").title
    'burst share'
    """
    found = _of_metric(column) or _COLUMNS.get(column)
    if found is None:
        matches = ((form.fullmatch(column), make) for form, make in _FORMS)
        found = next((make(match) for match, make in matches if match), None)
    if found is None:
        what, guess = _words(column.rsplit(".", 1)[-1])
        found = Axis(what, dimension=guess)
    if label is not None:
        found = replace(found, label=label, noun="")
    return found if dimension is None else replace(found, dimension=dimension, unit="")


def axis_for(column: str, axes: Mapping[str, Axis] | None) -> Axis:
    """Return the entry of `axes` for a column or, without an entry, the default axis."""
    return axes[column] if axes and column in axes else axis_of(column)


def value_text(column: str, value: object, axes: Mapping[str, Axis] | None) -> str:
    """Return a parameter's value as text, such as ``"easy"`` or ``"offered load 0.9"``."""
    if isinstance(value, str | bool | np.bool_) or not isinstance(value, SupportsFloat):
        return str(value)
    axis = axis_for(column, axes)
    return f"{axis.label} {axis.text(float(value), 6)}"


def value_texts(
    column: str, values: Sequence[object], axes: Mapping[str, Axis] | None
) -> dict[object, str]:
    """Return each value of a parameter as text; all texts have the same unit."""
    numbers = [
        float(value)
        for value in values
        if isinstance(value, SupportsFloat) and not isinstance(value, bool | np.bool_)
    ]
    axis = axis_for(column, axes)
    fits = {column: axis.fitted(numbers) if numbers else axis}
    return {value: value_text(column, value, fits) for value in dict.fromkeys(values)}
