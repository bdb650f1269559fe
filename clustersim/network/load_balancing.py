"""How much of a trunk's capacity its flows can use, by the way they are spread over its links."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name

__all__ = ["ADAPTIVE_EFFICIENCY", "LoadBalancing", "ecmp_efficiency", "usable_share"]

LoadBalancing: TypeAlias = Literal["ideal", "adaptive", "ecmp"]
"""How flows are spread over the links of a trunk."""

ADAPTIVE_EFFICIENCY = 0.95
"""Throughput with adaptive routing, relative to the rate of the links.

NVIDIA, press release "NVIDIA Ethernet Networking Accelerates World's Largest AI Supercomputer,
Built by xAI", 28 October 2024: Spectrum-X "has maintained 95% data throughput" over three tiers of
a fabric with 100,000 GPUs, where standard Ethernet delivers 60 %."""
_NEGLIGIBLE = 1e-12
_DEVIATIONS = 12.0


def usable_share(
    load_balancing: LoadBalancing, flows: int, links: int, *, queue_pairs: int = 1
) -> float:
    """Return the part of the capacity of a trunk that its flows can use.

    Parameters
    ----------
    load_balancing : {"ideal", "adaptive", "ecmp"}
        Whether the flows of a trunk use all its links evenly, with a published efficiency
        (:data:`ADAPTIVE_EFFICIENCY`), or by a hash of each flow (:func:`ecmp_efficiency`).
    flows : int
        Number of NICs that send over the trunk at the same time.
    links : int
        Number of parallel links.
    queue_pairs : int
        Number of flows of each NIC.

    Raises
    ------
    InputError
        If there is no such way.

    Examples
    --------
    >>> from clustersim.network import usable_share
    >>> usable_share("ideal", 64, 16), usable_share("adaptive", 64, 16)
    (1.0, 0.95)
    >>> [round(usable_share("ecmp", 64, 16, queue_pairs=n), 2) for n in (1, 4, 16)]
    [0.51, 0.68, 0.82]
    """
    if load_balancing not in get_args(LoadBalancing):
        known = get_args(LoadBalancing)
        raise InputError("load_balancing", unknown_name("way", load_balancing, known))
    if load_balancing == "ideal":
        return 1.0
    if load_balancing == "adaptive":
        return ADAPTIVE_EFFICIENCY
    return ecmp_efficiency(flows * queue_pairs, links)


@lru_cache(maxsize=4096)
def ecmp_efficiency(flows: int, links: int) -> float:
    """Return the mean number of flows on a link divided by the expected largest one.

    Each of n equal flows is hashed to one of m links, all with the same probability. A collective
    waits for its slowest flow, which is on the link with the most flows, so the rate of all is
    ``(n / m) / E[largest number of flows on a link]`` of that with an even spread.

    The numbers of flows on the links are independent Poisson variables on the condition that their
    sum is n. So with the Poisson distribution of mean n / m, and S the sum of m variables that are
    at most k,

        P(largest <= k) = P(variable <= k)^m P(S = n) / P(Poisson(n) = n)

    (B. Levin, "A representation for multinomial cumulative distribution functions", Annals of
    Statistics 9, 1981). P(S = n) is a convolution, computed by a Fourier transform.

    Parameters
    ----------
    flows, links : int
        At least 1.

    Examples
    --------
    Two flows share one of two links half of the time, so the largest number is 1.5 on average:

    >>> from clustersim.network import ecmp_efficiency
    >>> round(ecmp_efficiency(2, 2), 9), ecmp_efficiency(100, 1)
    (0.666666667, 1.0)
    """
    if links == 1 or flows == 0:
        return 1.0
    mean = flows / links
    # Numbers of flows below `least`, and their probability, are negligible.
    least = max(0, math.floor(mean - _DEVIATIONS * math.sqrt(mean)))
    probability = _poisson(mean, flows)[least:]
    of_sum = _probability_of_mean(flows)
    # The sum deviates from n by less; what wraps around in the transform is negligible.
    enough = math.ceil(4 * _DEVIATIONS * math.sqrt(flows) + 2 * math.sqrt(flows * links))
    largest = float(math.ceil(mean))  # the sum over k of P(largest > k), where k < n / m is sure
    for k in range(math.ceil(mean), flows):
        below = probability[: k + 1 - least]
        total = float(below.sum())
        size = 1 << min((k - least) * links, max(len(below), enough)).bit_length()
        sums = np.fft.irfft(np.fft.rfft(below / total, size) ** links, size)
        more = 1.0 - total**links * float(sums[(flows - least * links) % size]) / of_sum
        largest += max(more, 0.0)
        if more < _NEGLIGIBLE * flows:
            break
    return mean / largest


def _probability_of_mean(mean: int) -> float:
    """Return the probability that a Poisson variable is its mean."""
    if mean < 100:
        return float(_poisson(mean, mean)[mean])
    # Stirling's series; the terms of the logarithm itself nearly cancel.
    return math.exp(-1 / (12 * mean) + 1 / (360 * mean**3)) / math.sqrt(2 * math.pi * mean)


def _poisson(mean: float, most: int) -> Floats:
    """Return the probabilities of 0 to `most` of a Poisson distribution."""
    logs = np.log(np.arange(1, most + 1))
    logs = np.concatenate([[0.0], np.cumsum(math.log(mean) - logs)])
    return np.asarray(np.exp(logs - mean), dtype=np.float64)
