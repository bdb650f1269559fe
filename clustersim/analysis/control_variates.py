"""Confidence intervals by the jackknife, and control variates that make them narrower.

A statistic of independent replications, such as a quantile over all their jobs, is turned into one
pseudo-value for each replication (Tukey's jackknife; Efron and Tibshirani, "An Introduction to the
Bootstrap", chapter 11).  Pseudo-values behave like independent observations, so Student's t applies
to their mean.  For a positive statistic, this is done with its logarithm: the interval then never
reaches zero.

A control variate is a statistic of the same replications whose expectation is known.  Part of the
statistic's deviation is predicted by the deviation of the control from its expectation, and is
subtracted (Lavenberg and Welch, "A perspective on the use of control variables to increase the
efficiency of Monte Carlo simulations", Management Science 27, 1981).

Few replications with skewed results make standard errors too small.  All of them are therefore
computed from residuals divided by one minus their leverage (HC3; MacKinnon and White, "Some
heteroskedasticity-consistent covariance matrix estimators with improved finite sample properties",
Journal of Econometrics 29, 1985); without a control, the leverage is one over the number of
replications.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import special

from clustersim.array_types import Floats

__all__ = ["Control", "Estimate", "controlled", "jackknife"]

LEAST_REPLICATIONS = 5
"""Smallest number of replications with which a control variate is used."""
LEAST_EXPLAINED = 0.3
"""Smallest share of the variance that a control variate must explain to be used."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its confidence interval.

    Attributes
    ----------
    value, low, high : float
    explained : float
        Share of the variance that the control variate explains; 0 without one.
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
    with_and_without : float64 array (1 + replications,)
        Its value over all replications, then without each of them.
    expected : float
    """

    with_and_without: Floats
    expected: float


def jackknife(with_and_without: Floats, *, level: float = 0.95) -> Estimate:
    """Return a statistic of independent replications with its interval.

    Parameters
    ----------
    with_and_without : float64 array (1 + replications,)
        The statistic over all replications, then without each of them.
    level : float
        Confidence level.

    Returns
    -------
    Estimate
        If all values are positive, the interval is symmetric on a logarithmic scale.  It is not
        finite with fewer than two replications or if a value is not finite.

    Examples
    --------
    >>> found = jackknife(np.array([4.0, 5.0, 4.0, 3.0]))  # of the mean of 2, 4 and 6
    >>> found.value, found.low > 0
    (4.0, True)
    """
    value = float(with_and_without[0])
    count = len(with_and_without) - 1
    if count < 2 or not np.isfinite(with_and_without).all():
        return Estimate(value, -math.inf, math.inf)
    log = bool((with_and_without > 0).all())
    pseudo = _pseudo_values(with_and_without, log=log)
    half = float(special.stdtrit(count - 1, 0.5 + level / 2) * pseudo.std(ddof=1))
    centre = float(np.log(value)) if log else value
    return Estimate(value, *_ends(centre, half / math.sqrt(count - 1), log=log))


def controlled(
    with_and_without: Floats, controls: Iterable[Control], *, level: float = 0.95
) -> Estimate | None:
    """Return a statistic with the control variate that explains most of its variance.

    The coefficient is estimated by linear regression of the pseudo-values of the statistic on those
    of the control.  Student's t has one degree of freedom less than without a control.

    Parameters
    ----------
    with_and_without : float64 array (1 + replications,)
        As for :func:`jackknife`.
    controls : iterable of Control
        The candidates.
    level : float
        Confidence level.

    Returns
    -------
    Estimate or None
        None if there are fewer than 5 replications, if a value is not finite, or if no control
        explains 30 % of the variance.

    Examples
    --------
    The control explains everything except for a small rest:

    >>> noise = np.array([1.0, -2.0, 3.0, 0.0, -1.0, 5.0])
    >>> rest = np.array([0.1, -0.1, 0.0, 0.1, -0.1, 0.0])
    >>> def means(values):
    ...     return np.array([values.mean(), *(np.delete(values, k).mean() for k in range(6))])
    >>> found = controlled(means(10 + noise + rest), [Control(means(noise), 0.0)])
    >>> bool(abs(found.value - 10) < 0.1), found.explained > 0.99
    (True, True)
    """
    count = len(with_and_without) - 1
    if count < LEAST_REPLICATIONS or not np.isfinite(with_and_without).all():
        return None
    log = bool((with_and_without > 0).all())
    pseudo = _pseudo_values(with_and_without, log=log)
    best: Estimate | None = None
    for control in controls:
        found = _regressed(pseudo, with_and_without, control, level, log=log)
        if found is not None and found.explained > (best.explained if best else LEAST_EXPLAINED):
            best = found
    return best


def _regressed(
    pseudo: Floats, with_and_without: Floats, control: Control, level: float, *, log: bool
) -> Estimate | None:
    known = control.with_and_without
    if not np.isfinite(known).all() or not math.isfinite(control.expected):
        return None
    log_control = bool((known > 0).all()) and control.expected > 0
    by = _pseudo_values(known, log=log_control)
    count = len(by)
    expected = math.log(control.expected) if log_control else control.expected
    observed = math.log(known[0]) if log_control else float(known[0])
    off, varied = pseudo - pseudo.mean(), by - by.mean()
    if not (varied @ varied > 0 and off @ off > 0):
        return None
    slope = float(off @ varied) / float(varied @ varied)
    rest = off - slope * varied
    shift = expected - observed
    weight = 1 / count + shift * varied / (varied @ varied)
    leverage = 1 / count + varied**2 / (varied @ varied)
    if not (leverage < 1 - 1e-9).all():
        return None
    error = math.sqrt(((weight * rest / (1 - leverage)) ** 2).sum())
    half = float(special.stdtrit(count - 2, 0.5 + level / 2)) * error
    value = float(with_and_without[0])
    centre = (math.log(value) if log else value) + slope * shift
    explained = 1.0 - float(rest @ rest) / float(off @ off)
    low, high = _ends(centre, half, log=log)
    return Estimate(math.exp(centre) if log else centre, low, high, explained)


def _pseudo_values(with_and_without: Floats, *, log: bool) -> Floats:
    values = np.log(with_and_without) if log else with_and_without
    count = len(values) - 1
    pseudo: Floats = count * values[0] - (count - 1) * values[1:]
    return pseudo


def _ends(centre: float, half: float, *, log: bool) -> tuple[float, float]:
    if log:
        return math.exp(centre - half), math.exp(min(centre + half, 700.0))
    return centre - half, centre + half
