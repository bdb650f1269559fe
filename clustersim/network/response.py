"""Step time and duty of jobs by their share of the network's rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats

__all__ = ["INVERSE_SHARES", "NetworkResponse", "respond"]

INVERSE_SHARES: Floats = np.array(
    [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 32.0, 64.0, 256.0]
)
"""Inverse shares at which the response of a job is known; between them it is interpolated."""
_STEPS: Floats = np.diff(INVERSE_SHARES)


@dataclass(frozen=True, slots=True, eq=False)
class NetworkResponse:
    """Step time and duty of a job by its share of the network's rate.

    Attributes
    ----------
    slowdown : float64 array, shape of `INVERSE_SHARES`
        Step time divided by the step time at a share of 1, and at least 1; ascending.
    duty : float64 array, shape of `INVERSE_SHARES`
        Time in which the job communicates divided by its step time; between 0 and 1.

    Examples
    --------
    >>> from clustersim.network import NetworkResponse
    >>> response = NetworkResponse.of_share(0.2)
    >>> response.slowdown[:4].round(3).tolist(), response.duty[:4].round(3).tolist()
    ([1.0, 1.05, 1.1, 1.2], [0.2, 0.238, 0.273, 0.333])
    """

    slowdown: Floats
    duty: Floats

    @classmethod
    def of_share(cls, communication_share: float) -> NetworkResponse:
        """Return the response of a job whose communication never overlaps with computation.

        Parameters
        ----------
        communication_share : float
            Time in which the job communicates divided by its step time, at a share of 1.

        Examples
        --------
        >>> from clustersim.network import NetworkResponse
        >>> float(NetworkResponse.of_share(0.5).slowdown[3])  # the network has half its rate
        1.5
        """
        communication = communication_share * INVERSE_SHARES
        slowdown = 1.0 - communication_share + communication
        return cls(slowdown, communication / slowdown)

    def at(self, share: float) -> tuple[float, float]:
        """Return slowdown and duty at a share.

        Examples
        --------
        >>> from clustersim.network import NetworkResponse
        >>> slowdown, duty = NetworkResponse.of_share(0.5).at(0.25)
        >>> slowdown, duty
        (2.5, 0.8)
        """
        slowdown, duty = respond(np.array([share]), self.slowdown[None], self.duty[None])
        return float(slowdown[0]), float(duty[0])


def respond(share: Floats, slowdowns: Floats, duties: Floats) -> tuple[Floats, Floats]:
    """Return slowdown and duty of jobs, interpolated between the inverse shares on either side.

    Parameters
    ----------
    share : float64 array (jobs,)
    slowdowns, duties : float64 arrays (jobs, inverse shares)

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.network import NetworkResponse
    >>> from clustersim.network.response import respond
    >>> half = NetworkResponse.of_share(0.5)
    >>> respond(np.array([0.25]), half.slowdown[None], half.duty[None])
    (array([2.5]), array([0.8]))
    """
    inverse = 1.0 / share
    at = INVERSE_SHARES[:-1].searchsorted(inverse, side="right") - 1
    weight = (inverse - INVERSE_SHARES[at]) / _STEPS[at]
    low_at = np.arange(len(share)) * len(INVERSE_SHARES) + at
    low, high = slowdowns.take(low_at), slowdowns.take(low_at + 1)
    slowdown = low + weight * (high - low)
    # Communication is linear between the points, and the duty is its quotient with the step time.
    low, high = duties.take(low_at) * low, duties.take(low_at + 1) * high
    return slowdown, np.minimum((low + weight * (high - low)) / slowdown, 1.0)
