"""Distributions of durations, token budgets and estimates in workload files.

Every draw is the inverse of the distribution function at a uniform random number. Each job uses one
such number per quantity. Two workloads that differ only in load therefore have the same jobs.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import special

from clustersim.array_types import Floats
from clustersim.files import FileModel
from clustersim.units import Duration

__all__ = [
    "Constant",
    "ConstantDuration",
    "Distribution",
    "DurationDistribution",
    "Exponential",
    "ExponentialDuration",
    "LogNormal",
    "LogNormalDuration",
    "NumberDistribution",
    "QuantileTable",
    "QuantileTableDuration",
    "Weibull",
    "WeibullDuration",
]

_LEAST, _LARGEST = 1e-9, 1e24
"""Numbers outside this range are assumed to be typing errors."""


class Distribution(FileModel):
    """A distribution of positive numbers, clipped to the range from `at_least` to `at_most`."""

    at_least: float = Field(
        0.0, ge=0, le=_LARGEST, description="lower limit; smaller values are set to it"
    )
    at_most: float | None = Field(
        None, ge=_LEAST, le=_LARGEST, description="upper limit; larger values are set to it"
    )

    @model_validator(mode="after")
    def _limits_in_order(self) -> Distribution:
        if self.at_most is not None and self.at_most < self.at_least:
            raise ValueError(
                f"at_most ({self.at_most:g}) must not be below at_least ({self.at_least:g})"
            )
        return self

    @abstractmethod
    def unlimited_quantile(self, u: Floats) -> Floats:
        """Return the value at probability `u`, before the limits are applied."""

    @abstractmethod
    def _mean_below(self, limit: float) -> float:
        """Return the mean of min(X, limit) in closed form."""

    def quantile(self, u: Floats) -> Floats:
        """Return the value at each probability in `u`, as an array of the same shape."""
        values = np.maximum(self.unlimited_quantile(u), self.at_least)
        return values if self.at_most is None else np.minimum(values, self.at_most)

    def mean(self) -> float:
        """Return the mean with the limits applied.

        E[max(a, min(X, b))] = a + E[min(X, b)] - E[min(X, a)].
        """
        above = self._mean_below(np.inf if self.at_most is None else self.at_most)
        below = self._mean_below(self.at_least) if self.at_least > 0 else 0.0
        return self.at_least + above - below


class LogNormal(Distribution):
    """Lognormal distribution: the logarithm is normal with standard deviation `sigma`."""

    kind: Literal["lognormal"]
    median: float = Field(ge=_LEAST, le=_LARGEST, description="median of the values")
    sigma: float = Field(gt=0, le=10, description="standard deviation of the logarithm")

    def unlimited_quantile(self, u: Floats) -> Floats:
        return np.asarray(self.median * np.exp(self.sigma * special.ndtri(u)), dtype=np.float64)

    def _mean_below(self, limit: float) -> float:
        z = np.log(limit / self.median) / self.sigma
        mean = self.median * np.exp(self.sigma**2 / 2)
        tail = 0.0 if np.isinf(limit) else limit * special.ndtr(-z)
        return float(mean * special.ndtr(z - self.sigma) + tail)


class Weibull(Distribution):
    """Weibull distribution: P(X > x) = exp(-(x / scale)^shape)."""

    kind: Literal["weibull"]
    scale: float = Field(
        ge=_LEAST, le=_LARGEST, description="scale; 63 % of the values are below it"
    )
    shape: float = Field(
        gt=0.05,
        le=100,
        description="shape parameter; the hazard rate falls with time if the shape is below 1, "
        "and rises if it is above 1",
    )

    def unlimited_quantile(self, u: Floats) -> Floats:
        return self.scale * (-np.log1p(-u)) ** (1 / self.shape)

    def _mean_below(self, limit: float) -> float:
        return _weibull_mean_below(self.scale, self.shape, limit)


class Exponential(Distribution):
    """Exponential distribution with mean `average`."""

    kind: Literal["exponential"]
    average: float = Field(ge=_LEAST, le=_LARGEST, description="mean of the values")

    def unlimited_quantile(self, u: Floats) -> Floats:
        return -self.average * np.log1p(-u)

    def _mean_below(self, limit: float) -> float:
        return _weibull_mean_below(self.average, 1.0, limit)


def _weibull_mean_below(scale: float, shape: float, limit: float) -> float:
    """Return E[min(X, limit)], using the lower incomplete gamma function."""
    order = 1 + 1 / shape
    reach = (limit / scale) ** shape
    tail = 0.0 if np.isinf(limit) else limit * np.exp(-reach)
    return float(scale * special.gamma(order) * special.gammainc(order, reach) + tail)


class Constant(Distribution):
    """A distribution with a single value."""

    kind: Literal["constant"]
    value: float = Field(ge=_LEAST, le=_LARGEST, description="the constant value")

    def unlimited_quantile(self, u: Floats) -> Floats:
        return np.full(np.shape(u), self.value, dtype=np.float64)

    def _mean_below(self, limit: float) -> float:
        return min(self.value, limit)


class QuantileTable(Distribution):
    """Empirical distribution: quantiles at given probabilities, interpolated on a log scale."""

    kind: Literal["quantiles"]
    probabilities: tuple[float, ...] = Field(
        min_length=2, max_length=10_000, description="probabilities, ascending from 0 to 1"
    )
    values: tuple[float, ...] = Field(
        min_length=2, max_length=10_000, description="quantile at each probability"
    )

    @model_validator(mode="after")
    def _table_is_sound(self) -> QuantileTable:
        chances, values = np.array(self.probabilities), np.array(self.values)
        if len(chances) != len(values):
            raise ValueError(
                "probabilities and values must have the same length, found "
                f"{len(chances)} and {len(values)}"
            )
        if chances[0] != 0 or chances[-1] != 1 or (np.diff(chances) <= 0).any():
            raise ValueError("probabilities must increase from 0 to 1")
        if (values < _LEAST).any() or (values > _LARGEST).any() or (np.diff(values) < 0).any():
            raise ValueError(
                f"values must be between {_LEAST:g} and {_LARGEST:g} and must not decrease"
            )
        return self

    def unlimited_quantile(self, u: Floats) -> Floats:
        return np.exp(np.interp(u, self.probabilities, np.log(self.values)))

    def _mean_below(self, limit: float) -> float:
        """Return the mean of min(X, limit), integrating the quantile function piece by piece."""
        chances = np.array(self.probabilities)
        logs = np.log(self.values)
        if limit < self.values[0]:
            return limit
        if limit < self.values[-1]:
            crossing = np.interp(np.log(limit), logs, chances)
            inside = chances < crossing
            chances = np.append(chances[inside], [crossing, 1.0])
            logs = np.append(logs[inside], [np.log(limit), np.log(limit)])
        steps, widths = np.diff(logs), np.diff(chances)
        growth = np.where(steps > 1e-12, np.expm1(steps) / np.maximum(steps, 1e-12), 1.0)
        return float(np.sum(widths * np.exp(logs[:-1]) * growth))


class LogNormalDuration(LogNormal):
    """Lognormal distribution of durations."""

    median: Duration = Field(gt=0, description="median of the values")
    at_least: Duration = Field(0.0, description="lower limit; smaller values are set to it")
    at_most: Duration | None = Field(None, description="upper limit; larger values are set to it")


class WeibullDuration(Weibull):
    """Weibull distribution of durations."""

    scale: Duration = Field(gt=0, description="scale; 63 % of the values are below it")
    at_least: Duration = Field(0.0, description="lower limit; smaller values are set to it")
    at_most: Duration | None = Field(None, description="upper limit; larger values are set to it")


class ExponentialDuration(Exponential):
    """Exponential distribution of durations."""

    average: Duration = Field(gt=0, description="mean of the values")
    at_least: Duration = Field(0.0, description="lower limit; smaller values are set to it")
    at_most: Duration | None = Field(None, description="upper limit; larger values are set to it")


class ConstantDuration(Constant):
    """A constant duration."""

    value: Duration = Field(gt=0, description="the constant value")
    at_least: Duration = Field(0.0, description="lower limit; smaller values are set to it")
    at_most: Duration | None = Field(None, description="upper limit; larger values are set to it")


class QuantileTableDuration(QuantileTable):
    """Empirical distribution of durations."""

    values: tuple[Duration, ...] = Field(
        min_length=2, max_length=10_000, description="quantile at each probability"
    )
    at_least: Duration = Field(0.0, description="lower limit; smaller values are set to it")
    at_most: Duration | None = Field(None, description="upper limit; larger values are set to it")


NumberDistribution = Annotated[
    LogNormal | Weibull | Exponential | Constant | QuantileTable, Field(discriminator="kind")
]
DurationDistribution: Any = Annotated[
    LogNormalDuration
    | WeibullDuration
    | ExponentialDuration
    | ConstantDuration
    | QuantileTableDuration,
    Field(discriminator="kind"),
]
