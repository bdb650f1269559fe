"""Confidence intervals by the jackknife, and control variates that make them narrower.

A statistic of independent replications, such as a mean over all their jobs, is turned into one
pseudo-value for each replication (Tukey's jackknife; Efron and Tibshirani, "An Introduction to the
Bootstrap", chapter 11).  Pseudo-values behave like independent observations, so Student's t applies
to their mean.

A control variate is a statistic of the same replications whose expectation is known.  A linear
regression predicts part of the statistic's deviation from the deviation of the control, and this
part is subtracted (Lavenberg and Welch, "A perspective on the use of control variables to increase
the efficiency of Monte Carlo simulations", Management Science 27, 1981).

With few replications and skewed results, standard errors are too small.  They are therefore
computed from residuals divided by one minus their leverage (HC3; MacKinnon and White, "Some
heteroskedasticity-consistent covariance matrix estimators with improved finite sample properties",
Journal of Econometrics 29, 1985).  Without a control, the leverage is one divided by the number of
replications.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from clustersim.array_types import Bools, Floats

__all__ = ["Control", "Estimate", "controlled", "jackknife", "jackknife_log"]

LEAST_REPLICATIONS = 5
"""Smallest number of replications with which a control variate is used."""
FAR = math.log(1000.0)
"""An end that is at least this far from the value on the logarithmic scale is not stated."""
LEAST_EXPLAINED = 0.5
"""Smallest share of the variance that a control variate must explain to be used."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its confidence interval.

    Attributes
    ----------
    value, low, high : float
    explained : float
        Share of the variance that a control variate explains; 0 without one.
    """

    value: float
    low: float
    high: float
    explained: float = 0.0


@dataclass(frozen=True, slots=True)
class Control:
    """A statistic with a known expectation.

    Attributes
    ----------
    values : float64 array (1 + replications, ...)
        The statistic over all replications, then without each of them.
    expected : float64 array (...)
    """

    values: Floats
    expected: Floats


def jackknife_log(values: Floats, *, level: float = 0.95) -> Estimate:
    """Return a positive statistic with its interval, which is symmetric on a logarithmic scale.

    Parameters
    ----------
    values : float64 array (1 + replications,)
        The statistic over all replications, then without each of them.
    level : float
        Confidence level.

    Returns
    -------
    Estimate
        The scale is linear if a value is not positive.  The interval is not finite with fewer than
        two replications, if a value is not finite, or if an end is more than a factor of 1,000 away
        from the statistic, because such an interval says nothing.

    Examples
    --------
    >>> found = jackknife_log(np.array([4.0, 5.0, 4.0, 3.0]))  # of the mean of 2, 4 and 6
    >>> found.value, found.low > 0
    (4.0, True)
    """
    positive = bool((values > 0).all()) and bool(np.isfinite(values).all())
    value, low, high = jackknife(np.log(values) if positive else values, level=level)
    if not positive:
        return Estimate(float(value), float(low), float(high))
    found = float(values[0])
    least, most = (math.exp(end) if abs(end - value) < FAR else math.nan for end in (low, high))
    if math.isnan(least) or math.isnan(most):
        return Estimate(found, -math.inf, math.inf)
    return Estimate(found, least, most)


def jackknife(values: Floats, *, level: float = 0.95) -> tuple[Floats, Floats, Floats]:
    """Return statistics with their Student t intervals.

    Parameters
    ----------
    values : float64 array (1 + replications, ...)
        As for :func:`jackknife_log`.
    level : float
        Confidence level.

    Returns
    -------
    value, low, high : float64 arrays (...)

    Examples
    --------
    >>> [round(float(x), 3) for x in jackknife(np.array([4.0, 5.0, 4.0, 3.0]))]
    [4.0, -2.085, 10.085]
    """
    count = len(values) - 1
    if count < 2:
        unknown = np.full_like(values[0], np.inf)
        return values[0], -unknown, unknown
    spread = _pseudo_values(values).std(axis=0, ddof=1)
    half = special.stdtrit(count - 1, 0.5 + level / 2) * spread / math.sqrt(count - 1)
    half = np.where(np.isfinite(values).all(axis=0), half, np.inf)
    return values[0], values[0] - half, values[0] + half


def controlled(
    values: Floats, control: Control, *, level: float = 0.95
) -> tuple[Floats, Floats, Floats, Floats, Bools]:
    """Return statistics and their intervals with a control variate for each.

    Student's t has one degree of freedom fewer than without a control, because the coefficient is
    estimated from the same replications.

    Parameters
    ----------
    values : float64 array (1 + replications, ...)
        As for :func:`jackknife_log`.
    control : Control
        Arrays of the same shape.
    level : float
        Confidence level.

    Returns
    -------
    value, low, high, explained : float64 arrays (...)
        `explained` is the share of the variance that the control explains.
    usable : bool array (...)
        Whether the control can be used: there are 5 replications or more, the control explains
        50 % or more of the variance, and no single replication decides the regression.

    Examples
    --------
    The control explains all but a small part of the noise:

    >>> noise = np.array([1.0, -2.0, 3.0, 0.0, -1.0, 5.0])
    >>> rest = np.array([0.1, -0.1, 0.0, 0.1, -0.1, 0.0])
    >>> def means(x):
    ...     return np.array([x.mean(), *((x.sum() - x) / 5)])
    >>> value, low, high, explained, usable = controlled(
    ...     means(10 + noise + rest), Control(means(noise), np.array(0.0))
    ... )
    >>> bool(abs(value - 10) < 0.1), bool(explained > 0.99), bool(usable)
    (True, True, True)
    """
    count = len(values) - 1
    if count < LEAST_REPLICATIONS:
        unknown = np.full_like(values[0], np.nan)
        return unknown, unknown, unknown, unknown, np.zeros(np.shape(unknown), dtype=bool)
    off = _pseudo_values(values) - _pseudo_values(values).mean(axis=0)
    varied = _pseudo_values(control.values) - _pseudo_values(control.values).mean(axis=0)
    square = (varied**2).sum(axis=0)
    shift = control.expected - control.values[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (off * varied).sum(axis=0) / square
        rest = off - slope * varied
        leverage = 1 / count + varied**2 / square
        weight = 1 / count + shift * varied / square
        error = np.sqrt(((weight * rest / (1 - leverage)) ** 2).sum(axis=0))
        explained = 1.0 - (rest**2).sum(axis=0) / (off**2).sum(axis=0)
    value = values[0] + slope * shift
    half = special.stdtrit(count - 2, 0.5 + level / 2) * error
    usable = np.isfinite(half) & (explained >= LEAST_EXPLAINED)
    usable &= (leverage < 1 - 1e-6).all(axis=0)
    return value, value - half, value + half, explained, usable


def _pseudo_values(values: Floats) -> Floats:
    count = len(values) - 1
    pseudo: Floats = count * values[0] - (count - 1) * values[1:]
    return pseudo
