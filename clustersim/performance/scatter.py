"""Scatter of measured step times around the model, by what is known about a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.performance.coefficient_draw import UNKNOWN
from clustersim.performance.parameters import LEVELS
from clustersim.performance.runs import Runs

__all__ = ["Scatter", "contributions_of"]


COUNTED = ("release", "chip")
"""Levels of which a label without many runs widens the scatter."""


def contributions_of(
    runs: Runs, labels: Sequence[tuple[str, ...]], mixture: Bools
) -> list[dict[str, float]]:
    """Return, for each job, the weights of the contributions to the logarithm of its scatter.

    ``base`` is always 1. ``mixture`` is 1 for a mixture of experts. ``new release`` is
    ``1 / sqrt(1 + n)`` for n measured runs of the job's software release with models of the same
    kind (dense or mixture); ``new chip`` is the same for its chip. The architecture of the chip has
    a contribution if it was measured.

    Parameters
    ----------
    runs : Runs
        The measured runs that are known.
    labels : sequence of tuple of str
        As returned by :func:`clustersim.performance.labels_of`.
    mixture : array of bool

    Examples
    --------
    >>> import clustersim as cs
    >>> runs = cs.performance.default_calibration().runs
    >>> labels = cs.performance.labels_of(cs.load_catalogue().accelerator("H200"), "our own")
    >>> found = contributions_of(runs, [labels], np.array([True]))[0]
    >>> found["mixture"], found["new release"]
    (1.0, 1.0)
    """
    known: dict[tuple[tuple[str, ...], bool], dict[str, float]] = {}
    result = []
    for row, experts in zip(labels, mixture.tolist(), strict=True):
        if (row, experts) not in known:
            at = dict(zip(LEVELS, row, strict=True))
            found = {"base": 1.0, "mixture": float(experts)}
            for level in COUNTED:
                label = {level: at[level]}
                count = 0 if at[level] == UNKNOWN else runs.on(**label, mixture=experts)
                found[f"new {level}"] = float(1.0 / np.sqrt(1.0 + count))
            if at["architecture"] != UNKNOWN:
                found[f"architecture {at['architecture']}"] = 1.0
            known[row, experts] = found
        result.append(known[row, experts])
    return result


@dataclass(frozen=True)
class Scatter:
    """Standard deviation of a measurement around the model (logarithm of the step time).

    The variance of a measured step time is ``(factor spread)^2 + scatter^2``, where `spread` is the
    standard deviation according to the posterior, and the factor depends on the kind of model. The
    logarithm of `scatter` is the sum of the `contributions` times their weights
    (:func:`contributions_of`); a contribution that is not listed is 0. All of them are fitted to
    the errors of runs that were left out of a fit (:mod:`clustersim.calibration.scatter_fit`).

    Attributes
    ----------
    contributions : mapping of str to float
    spread_factor, mixture_spread_factor : float
        The factor of dense models, and that of mixtures of experts.

    Examples
    --------
    >>> scatter = Scatter({"base": -3.0, "mixture": 1.0})
    >>> scatter.of([{"base": 1.0, "mixture": 0.0}, {"base": 1.0, "mixture": 1.0}]).round(3).tolist()
    [0.05, 0.135]
    """

    contributions: Mapping[str, float] = field(default_factory=lambda: {"base": -3.0})
    spread_factor: float = 1.0
    mixture_spread_factor: float = 1.0

    def of(self, weights: Sequence[Mapping[str, float]]) -> Floats:
        """Return the scatter of jobs, given the weights of their contributions."""
        sums = [
            sum(self.contributions.get(name, 0.0) * weight for name, weight in row.items())
            for row in weights
        ]
        return np.exp(np.array(sums, dtype=np.float64))

    def deviation(self, spread: Floats, weights: Sequence[Mapping[str, float]]) -> Floats:
        """Return the standard deviation of measured step times.

        Examples
        --------
        >>> scatter = Scatter({"base": float(np.log(0.03))}, spread_factor=0.8)
        >>> scatter.deviation(np.array([0.05]), [{"base": 1.0}]).round(3).tolist()
        [0.05]
        """
        mixture = np.array([row.get("mixture", 0.0) > 0.0 for row in weights], dtype=bool)
        factor = np.where(mixture, self.mixture_spread_factor, self.spread_factor)
        return np.hypot(factor * spread, self.of(weights))
