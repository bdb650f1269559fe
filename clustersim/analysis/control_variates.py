"""Confidence intervals by the jackknife, and control variates that make them narrower.

A statistic of independent replications, such as a mean over all their jobs, is turned into one
pseudo-value for each replication (Tukey's jackknife; Efron and Tibshirani, "An Introduction to the
Bootstrap", chapter 11).  Pseudo-values behave like independent observations, so Student's t applies
to their mean.

A control variate is a statistic of the same replications whose expectation is known.  A linear
regression estimates how much of the statistic's error goes with the deviation of the control from
its expectation, and this part is subtracted (Lavenberg and Welch, "A perspective on the use of
control variables to increase the efficiency of Monte Carlo simulations", Management Science 27,
1981).

With few replications and skewed results, ordinary standard errors are too small.  Standard errors
are therefore computed from residuals divided by one minus their leverage (HC3; MacKinnon and White,
"Some heteroskedasticity-consistent covariance matrix estimators with improved finite sample
properties", Journal of Econometrics 29, 1985).  Without a control, the leverage is one divided by
the number of replications.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from clustersim.analysis.statistics import FACTOR, mean_interval, positive_interval
from clustersim.array_types import Bools, Floats

__all__ = [
    "Control",
    "Estimate",
    "Estimates",
    "Regression",
    "controlled",
    "jackknife",
    "least_explained",
    "mean_estimate",
    "pseudo_values",
    "regression",
]

LEAST_REPLICATIONS = 6
"""Smallest number of replications with which a control variate is used."""
LEAST_REDUCTION = 0.25
"""Smallest relative reduction of the variance for which control variates are used."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its confidence interval.

    Attributes
    ----------
    value, low, high : float
    explained : float
        Share of the variance that a control variate explains; 0 without one.
    influence : tuple of float (replications,)
        What each replication contributes to the error of the value, in its unit.  The standard
        error is the root of the sum of squares.  Empty if it is not known.
    freedom : float
        Degrees of freedom of Student's t.
    """

    value: float
    low: float
    high: float
    explained: float = 0.0
    influence: tuple[float, ...] = ()
    freedom: float = 0

    def positive(self) -> Estimate:
        """Return the estimate with an interval that is symmetric on a logarithmic scale.

        The interval stays as it is if the value is not positive or an end is infinite; see
        :meth:`Estimates.positive`.

        Examples
        --------
        >>> found = Estimate(2.0, 1.0, 3.0).positive()
        >>> round(found.low, 3), round(found.high, 3)
        (1.213, 3.297)
        """
        if not math.isfinite(self.high - self.low):
            return self
        low, high = positive_interval(self.value, self.high - self.value)
        return replace(self, low=low, high=high)

    def wider(self, factor: float, *, linear: bool = False) -> Estimate:
        """Return the estimate with an interval that is wider by a factor.

        The scale is logarithmic if all three numbers are positive, unless it must be `linear`. Both
        ends are infinite if the factor is, or if an end would be 1,000 times the value or more away
        from it, as in :meth:`Estimates.positive`.  If the factor is infinite, the influence of the
        replications is unknown.

        Examples
        --------
        >>> Estimate(1.0, -1.0, 3.0).wider(3)
        Estimate(value=1.0, low=-5.0, high=7.0, explained=0.0, influence=(), freedom=0)
        >>> Estimate(1.0, 0.5, 2.0).wider(2).high, Estimate(1.0, 0.5, 2.0).wider(10).high
        (4.0, inf)
        """
        if factor == 1.0 or not math.isfinite(self.value):
            return self
        if math.isinf(factor):
            return replace(self, low=-math.inf, high=math.inf, influence=(), freedom=0)
        influence = tuple(factor * each for each in self.influence)
        if not linear and self.value > 0 and self.low > 0 and math.isfinite(self.high):
            logs = [factor * math.log(end / self.value) for end in (self.low, self.high)]
            far = max(map(abs, logs)) >= math.log(FACTOR)
            low, high = (
                (-math.inf, math.inf) if far else (self.value * math.exp(each) for each in logs)
            )
        else:
            low, high = (self.value + factor * (end - self.value) for end in (self.low, self.high))
        return replace(self, low=low, high=high, influence=influence)


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


@dataclass(frozen=True, slots=True)
class Estimates:
    """Several estimates with their intervals, side by side.

    Attributes
    ----------
    value, low, high : float64 arrays (...)
        The statistics, and the ends of their intervals; an unknown end is infinite.
    influence : float64 array (replications, ...)
        See :class:`Estimate`.
    freedom : int
    explained : float64 array (...)
    usable : bool array (...)
        Whether the control variate can be used; see :func:`controlled`.
    """

    value: Floats
    low: Floats
    high: Floats
    influence: Floats
    freedom: int
    explained: Floats
    usable: Bools

    def one(self, index: int | tuple[()] = ()) -> Estimate:
        """Return the estimate at an index; without one, of a single statistic."""
        return Estimate(
            float(self.value[index]),
            float(self.low[index]),
            float(self.high[index]),
            float(self.explained[index]),
            tuple(map(float, self.influence[(slice(None), index) if index != () else ...])),
            self.freedom,
        )

    def positive(self) -> Estimates:
        """Return the estimates with intervals that are symmetric on a logarithmic scale.

        The error of the logarithm is the relative error of the statistic (delta method).  An
        interval stays as it is if the statistic is not positive.  Both ends are infinite if they
        would be a factor of 1,000 or more away from the statistic, because such an interval says
        nothing.
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            change = (self.high - self.value) / self.value
            low, high = self.value * np.exp(-change), self.value * np.exp(change)
        far = ~(change < math.log(FACTOR))
        low, high = np.where(far, -np.inf, low), np.where(far, np.inf, high)
        above = self.value > 0
        return replace(
            self, low=np.where(above, low, self.low), high=np.where(above, high, self.high)
        )

    def where(self, chosen: Bools, other: Estimates) -> Estimates:
        """Return these estimates, or others of the same replications if they are not chosen."""
        names = ("value", "low", "high", "influence", "explained", "usable")
        both = ((name, getattr(self, name), getattr(other, name)) for name in names)
        return replace(self, **{name: np.where(chosen, ours, its) for name, ours, its in both})


def mean_estimate(values: Floats, *, level: float = 0.95) -> Estimate:
    """Return the mean over replications with its Student t interval.

    Parameters
    ----------
    values : float64 array (replications,)
        NaN values are ignored.
    level : float
        Confidence level.

    Examples
    --------
    >>> found = mean_estimate(np.array([1.0, 2.0, 3.0]))
    >>> found.value, round(found.low, 3), found.freedom
    (2.0, -0.484, 2)
    """
    known = values[~np.isnan(values)]
    mean, low, high = mean_interval(known, level=level)
    freedom = max(0, len(known) - 1)
    parts = () if freedom == 0 else (known - mean) / math.sqrt(len(known) * freedom)
    return Estimate(mean, low, high, 0.0, tuple(map(float, parts)), freedom)


def jackknife(values: Floats, *, level: float = 0.95) -> Estimates:
    """Return statistics with their Student t intervals.

    Parameters
    ----------
    values : float64 array (1 + replications, ...)
        The statistic over all replications, then without each of them.
    level : float
        Confidence level.

    Examples
    --------
    >>> found = jackknife(np.array([4.0, 5.0, 4.0, 3.0])).one()
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (4.0, -2.085, 10.085)
    """
    count = len(values) - 1
    shape = np.shape(values[0])
    unused, none = np.zeros(shape, dtype=bool), np.zeros(shape)
    if count < 2:
        unknown = np.full(shape, np.inf)
        nothing = np.zeros((0, *shape))
        return Estimates(values[0], -unknown, unknown, nothing, 0, none, unused)
    influence = _centred(values) / (count - 1)
    half = special.stdtrit(count - 1, 0.5 + level / 2) * np.sqrt((influence**2).sum(axis=0))
    half = np.where(np.isfinite(values).all(axis=0), half, np.inf)
    low, high = values[0] - half, values[0] + half
    return Estimates(values[0], low, high, influence, count - 1, none, unused)


def least_explained(count: int, controls: int) -> float:
    """Return the smallest share of the variance that control variates must explain to be used.

    They must reduce the variance of the mean by a quarter.  It is increased by the loss factor
    ``(n - 2) / (n - k - 2)`` for n replications and k coefficients (Lavenberg, Moeller and Welch,
    "Statistical results on control variables with application to queueing network simulation",
    Operations Research 30, 1982).  A higher threshold would make intervals too narrow: the controls
    would then be used in those studies in which they seem to explain more than they do.

    Parameters
    ----------
    count : int
        Number of replications.
    controls : int
        Number of control variates.

    Examples
    --------
    >>> round(least_explained(8, 2), 2), round(least_explained(24, 2), 2), least_explained(4, 2)
    (0.5, 0.32, inf)
    """
    if count <= controls + 2:
        return math.inf
    return 1.0 - (1.0 - LEAST_REDUCTION) * (count - controls - 2) / (count - 2)


def pseudo_values(values: Floats) -> Floats:
    """Return one pseudo-value for each replication (replications, ...).

    Parameters
    ----------
    values : float64 array (1 + replications, ...)
        As for :func:`jackknife`.

    Examples
    --------
    The pseudo-values of a mean are the observations, here 1, 2 and 6:

    >>> pseudo_values(np.array([3.0, 4.0, 3.5, 1.5])).tolist()
    [1.0, 2.0, 6.0]
    """
    count = len(values) - 1
    pseudo: Floats = count * values[0] - (count - 1) * values[1:]
    return pseudo


def controlled(values: Floats, *controls: Control, level: float = 0.95) -> Estimates:
    """Return statistics and their intervals with one or more control variates for each.

    Student's t has one degree of freedom fewer for each control, because the coefficients are
    estimated from the same replications.

    Parameters
    ----------
    values : float64 array (1 + replications, ...)
        As for :func:`jackknife`.
    *controls : Control
        Arrays of the same shape.
    level : float
        Confidence level.

    Returns
    -------
    Estimates
        `explained` is the share of the variance that the controls explain, adjusted for the number
        of coefficients.

        `usable` states whether the controls can be used: there are 6 replications or more, and no
        single replication decides the regression.  Controls that explain little make an interval
        wider, so the caller decides which of them is used.

    Examples
    --------
    The control explains all but a small part of the noise:

    >>> noise = np.array([1.0, -2.0, 3.0, 0.0, -1.0, 5.0])
    >>> rest = np.array([0.1, -0.1, 0.0, 0.1, -0.1, 0.0])
    >>> def means(x):
    ...     return np.array([x.mean(), *((x.sum() - x) / 5)])
    >>> found = controlled(means(10 + noise + rest), Control(means(noise), np.array(0.0)))
    >>> bool(abs(found.value - 10) < 0.1), bool(found.explained > 0.99), bool(found.usable)
    (True, True, True)
    """
    count = len(values) - 1
    freedom = count - 1 - len(controls)
    shape = np.shape(values[0])
    if count < LEAST_REPLICATIONS or freedom < 1:
        unknown = np.full(shape, np.nan)
        no = np.zeros(shape, dtype=bool)
        nothing = np.zeros((0, *shape))
        return Estimates(unknown, unknown, unknown, nothing, 0, unknown, no)
    off = _centred(values)
    variance = (off**2).sum(axis=0) / (count - 1)
    centred = [(_centred(each.values), each.expected - each.values[0]) for each in controls]
    fit = regression(off, centred)
    value, rest, leverage = values[0] + fit.change, fit.rest, fit.leverage
    with np.errstate(divide="ignore", invalid="ignore"):
        influence = fit.weight * rest / (1 - leverage)
        explained = np.maximum(1.0 - (rest**2).sum(axis=0) / freedom / variance, 0.0)
    half = special.stdtrit(freedom, 0.5 + level / 2) * np.sqrt((influence**2).sum(axis=0))
    usable = np.isfinite(half) & (leverage < 1 - 1e-6).all(axis=0)
    return Estimates(value, value - half, value + half, influence, freedom, explained, usable)


@dataclass(frozen=True, slots=True)
class Regression:
    """The regression of the replications on control variates.

    Attributes
    ----------
    change : float64 array (...)
        What the controls add to the mean over replications.
    rest : float64 array (replications, ...)
        Residuals.
    leverage, weight : float64 arrays (replications, ...)
        The leverage of each replication, and its weight in the controlled mean.
    slope, square : float64 arrays (...)
        The coefficient of the last control, and the sum of squares of the part of it that the
        controls before it do not explain.
    """

    change: Floats
    rest: Floats
    leverage: Floats
    weight: Floats
    slope: Floats
    square: Floats


def regression(off: Floats, controls: Sequence[tuple[Floats, Floats]]) -> Regression:
    """Return the regression of deviations from a mean on control variates.

    Each control is made orthogonal to those before it (Gram and Schmidt).

    Parameters
    ----------
    off : float64 array (replications, ...)
        Values less their mean.
    controls : sequence of pairs of float64 array (replications, ...) and float64 array (...)
        The values of a control less their mean, and its expectation less this mean.

    Examples
    --------
    >>> off = np.array([-2.0, 0.0, 2.0])
    >>> fit = regression(off, [(np.array([-1.0, 0.0, 1.0]), np.array(0.5))])
    >>> float(fit.slope), float(fit.change), fit.rest.tolist()
    (2.0, 1.0, [0.0, 0.0, 0.0])
    """
    change, rest = np.zeros(off.shape[1:]), off
    weight, leverage = np.full_like(off, 1 / len(off)), np.full_like(off, 1 / len(off))
    slope = square = change
    used: list[tuple[Floats, Floats, Floats]] = []
    # Sums, because the order in which BLAS adds depends on its threads.
    with np.errstate(divide="ignore", invalid="ignore"):
        for varied, shift in controls:
            for before, its_shift, its_square in used:
                part = (varied * before).sum(axis=0) / its_square
                varied, shift = varied - part * before, shift - part * its_shift
            square = (varied**2).sum(axis=0)
            used.append((varied, shift, square))
            slope = (off * varied).sum(axis=0) / square
            change, rest = change + slope * shift, rest - slope * varied
            leverage = leverage + varied**2 / square
            weight = weight + shift * varied / square
    return Regression(change, rest, leverage, weight, slope, square)


def _centred(values: Floats) -> Floats:
    """Return the pseudo-values less their mean."""
    pseudo = pseudo_values(values)
    centred: Floats = pseudo - pseudo.mean(axis=0)
    return centred
