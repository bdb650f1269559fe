"""Means over replications with control variates that are chosen automatically.

Each control is a deviation from a known expectation, so its own expectation is 0.  A regression on
one or two controls removes the part of the noise that they explain (see
:mod:`clustersim.analysis.control_variates`).

The replications that give the mean also decide which control is used, and with which coefficient.
Three rules ensure that the interval is nevertheless wide enough.  A control must explain half of
the variance of replications that were left out of the regression (PRESS; Allen, "The relationship
between variable selection and data augmentation and a method for prediction", Technometrics 16,
1974).  Its coefficient must be significant after a Bonferroni correction for the number of
candidates, because the best of several unrelated controls fits a few replications well by chance.
The interval has one degree of freedom fewer for each control, and its standard error is computed
from residuals of left-out replications (HC3).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from clustersim.analysis.control_variates import Estimate, regression
from clustersim.array_types import Floats

__all__ = ["controlled_difference", "controlled_mean", "deviations", "mean_with"]

LEAST_REPLICATIONS = 6
"""Smallest number of replications with which a control is used."""
LEAST_FOR_TWO = 12
"""Smallest number of replications with which two controls are used."""
LEAST_FOR_GIVEN = 8
"""Smallest number of replications with which given controls are used."""
LEAST_EXPLAINED = 0.5
"""Smallest share of the variance of left-out replications that the controls must explain."""
BY_CHANCE = 0.02
"""Largest probability with which the best of several unrelated controls is used."""
UNLIKELY = 0.001
"""A control is not used if a mean so far from its expectation has at most this probability."""


def deviations(
    metric: str, columns: Mapping[str, Floats], names: Sequence[str]
) -> dict[str, Floats]:
    """Return the deviations of the controls of a metric from their expectations.

    Parameters
    ----------
    metric : str
        Name of the metric; a metric of a period has the controls of this period.
    columns : mapping of str to float64 array (runs,)
        Metrics of the runs.
    names : sequence of str
        Names of controls.

    Returns
    -------
    dict of str to float64 array (runs,)
        By name of the control; without controls that are unknown in a run, or that have the same
        value in all runs.

    Examples
    --------
    >>> runs = {"late": np.array([1.0, 3.0]), "expected_late": np.array([2.0, 2.0])}
    >>> deviations("cost_cny", runs, ["late", "early"])
    {'late': array([-1.,  1.])}
    """
    base, at, period = metric.partition("@")
    if base.removeprefix("expected_") in names:
        return {}
    found = {}
    for name in (f"{each}{at}{period}" for each in names):
        if name in columns and f"expected_{name}" in columns:
            expected = columns[f"expected_{name}"]
            off = columns[name] - expected
            if len(off) and np.isfinite(off).all() and np.ptp(off) > 1e-9 * np.abs(expected).max():
                found[name] = off
    return found


def controlled_mean(
    values: Floats, controls: Sequence[Floats], *, level: float = 0.95
) -> Estimate | None:
    """Return the mean over replications with the best control, or the best two.

    Parameters
    ----------
    values : float64 array (runs,)
        One number for each replication.
    controls : sequence of float64 array (runs,)
        Quantities of the same replications whose expectation is 0.
    level : float
        Confidence level of Student's t interval.

    Returns
    -------
    Estimate or None
        `explained` is the share of the variance of left-out replications.  None if the controls
        do not explain half of it, or with fewer than 6 replications.  A second control needs 12
        replications.

    Examples
    --------
    >>> noise = np.array([1.0, -2.0, 3.0, 0.0, -1.0, 5.0, 0.5])
    >>> rest = np.array([0.1, -0.1, 0.0, 0.1, -0.1, 0.0, 0.1])
    >>> found = controlled_mean(10 + noise + rest, [rest, noise])
    >>> abs(found.value - 10) < 0.1, found.explained > 0.99
    (True, True)
    """
    best = _best(values, controls)
    return None if best is None else _estimate(best, best.value, best.error, level)


def mean_with(values: Floats, controls: Sequence[Floats]) -> Estimate | None:
    """Return the mean over replications with all of the given controls.

    There is no choice among them, so a high threshold is not needed; it would make intervals too
    narrow (see :func:`~clustersim.analysis.control_variates.least_explained`).

    Parameters
    ----------
    values, controls
        As for :func:`controlled_mean`.  A control that is repeated counts once.

    Returns
    -------
    Estimate or None
        None if the controls explain nothing of the variance of left-out replications, or with fewer
        than 8 replications.

    Examples
    --------
    >>> late = np.array([1.0, -2.0, 3.0, 0.0, -1.0, 5.0, 0.5, 1.5])
    >>> found = mean_with(10 + late, [late, late])
    >>> round(found.value, 6), round(found.high - found.low, 6)
    (10.0, 0.0)
    """
    apart: list[Floats] = []
    for each in controls:
        if np.ptp(each) > 0 and not any(np.allclose(each, other) for other in apart):
            apart.append(each)
    if len(values) < LEAST_FOR_GIVEN or not apart or not np.isfinite(values).all():
        return None
    fit = _fit(values, apart)
    if len(apart) > 1 and math.isinf(fit.explained):  # almost the same controls
        fit = _fit(values, apart[:1])
    return _estimate(fit, fit.value, fit.error) if fit.explained > 0 else None


def controlled_difference(
    ours: Floats,
    theirs: Floats,
    our_controls: Mapping[str, Floats],
    their_controls: Mapping[str, Floats],
) -> tuple[Estimate | None, Estimate | None]:
    """Return the difference of two means with its best controls, and the relative difference.

    The candidates are the controls of the baseline, and the differences between the controls of the
    two systems.  If both have the same deliveries, this difference is 0 and not a candidate.

    Parameters
    ----------
    ours, theirs : float64 array (pairs,)
        The system and the baseline, in the same order of replications.
    our_controls, their_controls : mapping of str to float64 array (pairs,)
        The controls of both, as returned by :func:`deviations`.

    Returns
    -------
    difference, relative : Estimate or None
        The relative difference is the ratio of two controlled means, with an interval from the
        residuals of its linear approximation (delta method); without negative values, it is that of
        the logarithm of the ratio.  None if no control is useful, or for
        the ratio if the baseline changes its sign.

    Examples
    --------
    >>> late = np.array([1.0, -2.0, 3.0, 0.0, -1.0, 5.0, 0.5])
    >>> rest = np.array([0.1, -0.1, 0.0, 0.1, -0.1, 0.0, 0.1])
    >>> found, _ = controlled_difference(
    ...     12 + late + rest, 10 - late, {"late": late}, {"late": late}
    ... )
    >>> abs(found.value - 2) < 0.1, found.explained > 0.99
    (True, True)
    """
    candidates: list[Floats] = []
    for name, theirs_off in their_controls.items():
        candidates.append(theirs_off)
        apart = our_controls[name] - theirs_off if name in our_controls else np.zeros(0)
        if apart.any() and np.ptp(apart) > 1e-9 * np.ptp(theirs_off):
            candidates.append(apart)
    candidates += [off for name, off in our_controls.items() if name not in their_controls]
    apart = ours - theirs
    difference = controlled_mean(apart, candidates)
    mean = float(theirs.mean())
    if not (theirs * mean > 0).all():
        return difference, None
    best = _best((apart - float(apart.mean()) / mean * theirs) / mean, candidates)
    if best is None:
        return difference, None
    base = _fit(theirs, best.used).value
    if not base * mean > 0:
        return difference, None
    ratio = _fit(apart, best.used).value / base
    error = _fit((apart - ratio * theirs) / base, best.used).error
    if (ours < 0).any() or (theirs < 0).any():
        return difference, _estimate(best, ratio, error)
    found = _estimate(best, 1.0 + ratio, error).positive()
    return difference, replace(found, value=ratio, low=found.low - 1.0, high=found.high - 1.0)


def _best(values: Floats, controls: Sequence[Floats]) -> _Fit | None:
    """Return the regression on the best control, or the best two; None if none is useful."""
    count = len(values)
    if count < LEAST_REPLICATIONS or not np.isfinite(values).all() or np.ptp(values) == 0:
        return None
    likely = [each for each in controls if _is_likely(each)]
    best: _Fit | None = None
    for _ in range(1 if count < LEAST_FOR_TWO else 2):
        used = [] if best is None else best.used
        fits = [_fit(values, [*used, each]) for each in likely if not any(each is u for u in used)]
        found = max(fits, key=lambda fit: fit.explained, default=None)
        if found is not None and found.chance <= BY_CHANCE / len(likely):
            best = found
    return best if best is not None and best.explained >= LEAST_EXPLAINED else None


def _estimate(fit: _Fit, value: float, error: float, level: float = 0.95) -> Estimate:
    free = len(fit.used[0]) - 1 - len(fit.used)
    half = float(special.stdtrit(free, 0.5 + level / 2)) * error
    return Estimate(value, value - half, value + half, fit.explained)


@dataclass(frozen=True)
class _Fit:
    used: list[Floats]
    value: float
    error: float
    explained: float
    chance: float
    """Probability of a coefficient as large as that of the last control by chance."""


def _is_likely(control: Floats) -> bool:
    """Whether the replications agree with an expectation of 0."""
    count = len(control)
    error = float(control.std(ddof=1)) / math.sqrt(count)
    return bool(abs(float(control.mean())) <= -special.stdtrit(count - 1, UNLIKELY / 2) * error)


def _fit(values: Floats, used: list[Floats]) -> _Fit:
    """Regress values on controls; `explained` is -inf if the controls cannot be separated."""
    count, mean = len(values), float(values.mean())
    off = values - mean
    fit = regression(off, [(each - each.mean(), np.array(-each.mean())) for each in used])
    inseparable = not float(fit.square) > 1e-9 * float(((used[-1] - used[-1].mean()) ** 2).sum())
    if inseparable or not (fit.leverage < 1 - 1e-6).all():
        return _Fit(used, mean, math.inf, -math.inf, 1.0)
    left_out = fit.rest / (1 - fit.leverage)
    alone = off / (1 - 1 / count)
    explained = 1.0 - float((left_out**2).sum()) / float((alone**2).sum())
    free = count - 1 - len(used)
    spread = math.sqrt(float((fit.rest**2).sum()) / free / float(fit.square))
    chance = 2 * float(special.stdtr(free, -abs(float(fit.slope)) / spread)) if spread > 0 else 0.0
    error = math.sqrt(float(((fit.weight * left_out) ** 2).sum()))
    return _Fit(used, mean + float(fit.change), error, explained, chance)
