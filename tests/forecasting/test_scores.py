"""Draws of normal scores against integrals over the shared part."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import log_ndtr
from scipy.stats import norm

from clustersim.forecasting.scores import draw_scores
from clustersim.seeds import Streams

DRAWS = 200


def expected(n: int, variance: float, bound: float) -> tuple[float, float]:
    """Return mean and standard deviation of the score of a job that waits, from the integral."""
    own = np.sqrt(1.0 - variance)

    def log_density(z: float) -> float:
        return float(norm.logpdf(z, 0.0, variance**0.5) + n * log_ndtr((z - bound) / own))

    most = max(log_density(z) for z in np.linspace(-6.0, 10.0, 1601))

    def moment(power: int) -> float:
        return quad(
            lambda z: z**power * np.exp(log_density(z) - most), -6.0, 10.0, limit=400,
            points=[bound, bound + 1, bound + 2],
        )[0]  # fmt: skip

    mean = moment(1) / moment(0)
    return mean, float(np.sqrt(moment(2) / moment(0) - mean**2 + own**2))


def drawn(
    n: int, groups: list[np.ndarray], variances: list[float], bound: float, draws: int = DRAWS
) -> np.ndarray:
    """Return draws of n running jobs and of the waiting jobs that the groups have besides."""
    more = len(groups[0]) - n
    above = np.append(np.full(n, bound), np.full(more, -np.inf))
    known = np.full(n + more, np.nan)
    return np.array(
        [
            draw_scores(Streams(3, replication=k), groups, variances, above=above, known=known)
            for k in range(draws)
        ]
    )


@pytest.mark.parametrize(
    ("n", "variance", "bound"),
    [(1, 0.5, 0.0), (5, 0.5, 1.0), (30, 0.9, 0.0), (200, 0.5, 0.0), (200, 0.9, 2.0)],
)
@pytest.mark.parametrize("levels", [1, 2])
def test_a_waiting_job_of_a_batch_of_running_jobs(
    n: int, variance: float, bound: float, levels: int
) -> None:
    """Two levels of which all jobs share both are one level of the sum of the variances."""
    one = np.zeros(n + 1, dtype=np.int64)
    variances = [variance] if levels == 1 else [0.3 * variance, 0.7 * variance]
    scores = drawn(n, [one] * levels, variances, bound, DRAWS if n < 200 else DRAWS // 3)
    mean, sd = expected(n, variance, bound)
    assert mean > 0
    assert scores[:, -1].mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(len(scores)))
    assert scores[:, -1].std() == pytest.approx(sd, rel=4 / np.sqrt(2 * len(scores)))
    assert (scores[:, :-1] >= bound).all()


def test_batches_tell_of_each_other_by_their_user_alone() -> None:
    """Scores of two ended jobs: the conditional mean of a joint normal distribution."""
    groups = [np.array([0, 0, 0, 1]), np.array([0, 1, 2, 3])]
    known = np.array([2.0, 1.0, np.nan, np.nan])
    scores = np.array(
        [
            draw_scores(
                Streams(2, replication=k), groups, [0.4, 0.3],
                above=np.full(4, -np.inf), known=known,
            )
            for k in range(400)
        ]
    )  # fmt: skip
    together = np.array([[1.0, 0.4], [0.4, 1.0]])
    mean = np.full(2, 0.4) @ np.linalg.solve(together, known[:2])
    assert scores[:, :2].tolist() == [[2.0, 1.0]] * 400
    assert scores[:, 2].mean() == pytest.approx(mean, abs=0.18)
    assert scores[:, 3].mean() == pytest.approx(0.0, abs=0.2)
    assert scores[:, 3].std() == pytest.approx(1.0, abs=0.15)


def test_known_scores_and_lower_bounds_tell_together_of_other_sessions() -> None:
    """Three levels, against draws of the joint normal distribution that satisfy the bound."""
    groups = [np.zeros(5, int), np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 3])]
    variances = [0.2, 0.3, 0.3]
    known = np.array([np.nan, np.nan, 1.5, -0.5, np.nan])
    above = np.array([1.0, -np.inf, -np.inf, -np.inf, -np.inf])
    scores = np.array(
        [
            draw_scores(Streams(3, replication=k), groups, variances, above=above, known=known)
            for k in range(400)
        ]
    )
    together = 0.2 * np.eye(5)
    for group, variance in zip(groups, variances, strict=True):
        together += variance * (group[:, None] == group)
    seen, hidden = [2, 3], [0, 1, 4]
    gain = np.linalg.solve(together[np.ix_(seen, seen)], together[np.ix_(seen, hidden)]).T
    left = together[np.ix_(hidden, hidden)] - gain @ together[np.ix_(seen, hidden)]
    drawn = np.random.default_rng(3).multivariate_normal(gain @ known[seen], left, 100_000)
    drawn = drawn[drawn[:, 0] > above[0]]
    assert scores[:, hidden].mean(axis=0) == pytest.approx(drawn.mean(axis=0), abs=0.15)
    assert np.cov(scores[:, hidden].T) == pytest.approx(np.cov(drawn.T), abs=0.15)
