"""Fits mixtures of distributions to the run times of a log.

The candidates are a lognormal and a Weibull distribution (maximum likelihood, ``scipy.stats``), and
mixtures of two and three lognormals (least squares on the distribution function, with the mean as
one of the residuals, ``scipy.optimize``). A candidate replaces a simpler one only if the
Anderson-Darling distance of the simpler one exceeds its sampling error (about the square root of
1 / jobs) and the candidate reduces this distance by a fifth or more. The upper limit of the run
times is set so that the mean matches the log if possible, because the mean determines the load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from clustersim.array_types import Floats, Ints
from clustersim.workload.distributions import LogNormalDuration, WeibullDuration

__all__ = ["LEAST_JOBS", "FittedPart", "fit_durations", "members"]

Duration = LogNormalDuration | WeibullDuration
LEAST_JOBS = 50
"""Fewer jobs are too few for a distribution of their own."""
_LEAST_S = 1.0


@dataclass(frozen=True, slots=True)
class FittedPart:
    """One component of a fitted bin: its share of the jobs and its run-time distribution."""

    share: float
    duration: Duration

    def cdf(self, x: Floats) -> Floats:
        """Return the share of its run times that are at most `x` seconds."""
        if isinstance(self.duration, LogNormalDuration):
            z = np.log(x / self.duration.median) / self.duration.sigma
            return np.asarray(special.ndtr(z), dtype=np.float64)
        return np.asarray(-np.expm1(-((x / self.duration.scale) ** self.duration.shape)))


def members(parts: list[FittedPart], runs: Floats) -> Ints:
    """Return the index of the most likely component of each job."""
    if len(parts) == 1:
        return np.zeros(len(runs), dtype=np.int64)
    step = 1.05
    density = [part.share * (part.cdf(runs * step) - part.cdf(runs / step)) for part in parts]
    return np.asarray(np.argmax(density, axis=0), dtype=np.int64)


def fit_durations(runs: Floats, *, mean: float) -> list[FittedPart]:
    """Fit the run times of one bin, and return the components.

    `mean` is the mean run time weighted by job size, so that the work of the model matches the log.
    """
    runs = np.maximum(runs, _LEAST_S)
    if runs.min() == runs.max():
        return [FittedPart(1.0, _lognormal_of(float(runs[0]), 0.0))]
    candidates = [_lognormal(runs), _weibull(runs)]
    candidates += [
        _lognormals(runs, components, mean)
        for components in (2, 3)
        if len(runs) >= components * LEAST_JOBS
    ]
    noise = 1.5 / np.sqrt(len(runs))
    best = candidates[0]
    for parts in candidates[1:]:
        reached = _distance(best, runs)
        if reached > noise and _distance(parts, runs) < 0.8 * reached:
            best = parts
    return _with_limits(best, mean, float(runs.max()))


_CHANCES = np.concatenate([(np.arange(200) + 0.5) / 200, 1 - np.geomspace(0.004, 0.0005, 10)])


def _distance(parts: list[FittedPart], runs: Floats) -> float:
    """Return the Anderson-Darling distance of a fit, in which the tails have a larger weight."""
    model = np.sum([part.share * part.cdf(np.quantile(runs, _CHANCES)) for part in parts], axis=0)
    return float(np.sqrt(np.mean((model - _CHANCES) ** 2 / (_CHANCES * (1 - _CHANCES)))))


def _lognormal(runs: Floats) -> list[FittedPart]:
    sigma, _, median = stats.lognorm.fit(runs, floc=0)
    return [FittedPart(1.0, _lognormal_of(median, sigma))]


def _lognormal_of(median: float, sigma: float) -> LogNormalDuration:
    rounded = float(f"{median:.5g}"), float(f"{min(max(sigma, 1e-3), 10.0):.4g}")
    return LogNormalDuration.model_construct(
        kind="lognormal", median=rounded[0], sigma=rounded[1], at_least=_LEAST_S, at_most=None
    )


def _weibull(runs: Floats) -> list[FittedPart]:
    shape, _, scale = stats.weibull_min.fit(runs, floc=0)
    fitted = WeibullDuration.model_construct(
        kind="weibull",
        scale=float(f"{scale:.5g}"),
        shape=float(f"{max(shape, 0.06):.4g}"),
        at_least=_LEAST_S,
        at_most=None,
    )
    return [FittedPart(1.0, fitted)]


def _lognormals(runs: Floats, components: int, mean: float) -> list[FittedPart]:
    """Fit a mixture of lognormals by least squares, with a larger weight on the tails."""
    ceiling = np.log(runs.max())
    logs = np.log(np.quantile(runs, _CHANCES))
    weights = 1 / np.sqrt(_CHANCES * (1 - _CHANCES))

    def split(theta: Floats) -> tuple[Floats, Floats, Floats]:
        shares, means, log_sigmas = theta.reshape(3, components)
        return special.softmax(shares), means, np.exp(log_sigmas)

    def residuals(theta: Floats) -> Floats:
        shares, means, sigmas = split(theta)
        model = shares @ special.ndtr((logs - means[:, None]) / sigmas[:, None])
        z = (ceiling - means) / sigmas
        limited = np.exp(means + sigmas**2 / 2) * special.ndtr(z - sigmas)
        limited += np.exp(ceiling) * special.ndtr(-z)
        return np.append((model - _CHANCES) * weights, 3 * np.log(shares @ limited / mean))

    spreads = ((0.25, 0.5, 0.75), (0.1, 0.5, 0.9), (0.1, 0.6, 0.98), (0.3, 0.9, 0.99))
    starts = [
        np.concatenate(
            [np.zeros(components), np.quantile(logs, p[-components:]), np.zeros(components)]
        )
        for p in spreads
    ]
    low, high = np.repeat([-6.0, -5.0, -3.0], components), np.repeat([6.0, 25.0, 1.5], components)
    fits = [optimize.least_squares(residuals, start, bounds=(low, high)) for start in starts]
    shares, means, sigmas = split(min(fits, key=lambda fit: float(fit.cost)).x)
    return [
        FittedPart(float(shares[k]), _lognormal_of(float(np.exp(means[k])), float(sigmas[k])))
        for k in np.argsort(means)
    ]


def _with_limits(parts: list[FittedPart], mean: float, longest: float) -> list[FittedPart]:
    """Return the components with the upper limit at which the mean run time matches the log.

    The limit is between a twentieth and three times the longest run time of the log.
    """

    def limited(limit: float) -> list[FittedPart]:
        change = {"at_most": float(f"{limit:.6g}")}
        return [FittedPart(part.share, part.duration.model_copy(update=change)) for part in parts]

    def excess(log_limit: float) -> float:
        fitted = limited(float(np.exp(log_limit)))
        return sum(part.share * part.duration.mean() for part in fitted) / mean - 1

    low, high = np.log(longest / 20), np.log(longest * 3)
    if excess(high) <= 0:
        return limited(float(np.exp(high)))
    if excess(low) >= 0:
        return limited(float(np.exp(low)))
    return limited(float(np.exp(optimize.brentq(excess, low, high))))
