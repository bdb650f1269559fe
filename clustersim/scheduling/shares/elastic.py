"""How many accelerators jobs get whose throughput depends on the number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from clustersim.errors import InputError

__all__ = ["divide_by_gain", "minimum_share"]


def minimum_share(throughput: Mapping[int, float], work: float, time_s: float) -> int | None:
    """Return the fewest accelerators with which a job ends in time.

    Source: the minimum satisfactory share of D. Gu et al., "ElasticFlow: An Elastic Serverless
    Training Platform for Distributed Deep Learning", ASPLOS 2023.

    Parameters
    ----------
    throughput : mapping of int to float
        Work per second by allowed number of accelerators.
    work : float
        Remaining work.
    time_s : float
        Time until the deadline, seconds.

    Returns
    -------
    int or None
        None if no allowed number is enough: the job cannot be admitted.

    Examples
    --------
    >>> scaling = {1: 10.0, 2: 18.0, 4: 30.0}
    >>> [minimum_share(scaling, 540.0, time_s) for time_s in (60, 30, 18, 10)]
    [1, 2, 4, None]
    """
    enough = (n for n in sorted(throughput) if throughput[n] * time_s >= work * (1 - 1e-12))
    return next(enough, None)


def divide_by_gain(throughputs: Sequence[Mapping[int, float]], accelerators: int) -> list[int]:
    """Divide accelerators one step at a time, each to the job that gains most per accelerator.

    A step takes a job to its next larger allowed number. With concave throughputs the sum of the
    throughputs is the largest possible. Source: Y. Peng et al., "Optimus: An Efficient Dynamic
    Resource Scheduler for Deep Learning Clusters", EuroSys 2018, section 4.1.

    Parameters
    ----------
    throughputs : sequence of mapping of int to float
        Of each job: throughput by allowed number of accelerators. Divide them by that with one
        accelerator to compare jobs of different units.
    accelerators : int

    Returns
    -------
    list of int
        Accelerators of each job. A job whose next step does not fit, or gains nothing, gets no
        more. The first job wins ties.

    Raises
    ------
    InputError
        If a number of accelerators is below 1.

    Examples
    --------
    >>> divide_by_gain([{1: 10.0, 2: 18.0, 4: 30.0}, {1: 9.0, 2: 12.0}], 4)
    [2, 2]
    >>> divide_by_gain([{1: 10.0, 2: 18.0, 3: 24.0}, {1: 9.0, 2: 12.0}], 4)
    [3, 1]
    """
    steps = []
    for k, throughput in enumerate(throughputs):
        sizes = sorted(throughput)
        if sizes and sizes[0] < 1:
            raise InputError(f"throughputs[{k}]", f"must be by 1 or more, found {sizes[0]}")
        steps.append([(0, 0.0), *((n, throughput[n]) for n in sizes)])
    place = [0] * len(steps)
    heap = [(-_gain(line, 0), k) for k, line in enumerate(steps) if len(line) > 1]
    heapify(heap)
    left = accelerators
    while heap:
        gain, k = heappop(heap)
        size = steps[k][place[k] + 1][0] - steps[k][place[k]][0]
        if gain >= 0 or size > left:
            continue
        left -= size
        place[k] += 1
        if place[k] + 1 < len(steps[k]):
            heappush(heap, (-_gain(steps[k], place[k]), k))
    return [line[at][0] for line, at in zip(steps, place, strict=True)]


def _gain(line: Sequence[tuple[int, float]], at: int) -> float:
    """Return the throughput gained per accelerator by the next step."""
    (n, value), (more, larger) = line[at : at + 2]
    return (larger - value) / (more - n)
