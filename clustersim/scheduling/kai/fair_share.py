"""Fair share: how queues divide what their parent has.

On each level of the tree, every queue first gets what it deserves, as far as it asks for it and its
limit allows, even if that is more than there is. The rest goes to the queues that ask for more, by
queue priority and within a priority by weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from clustersim.scheduling.kai.model import UNLIMITED, Queue

__all__ = ["Claim", "divide", "divide_over_quota", "fair_shares"]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a queue asks for in a division, in accelerators.

    Attributes
    ----------
    request : float
        What its jobs hold and wait for.
    deserved, limit, weight, priority
        As in `Queue`.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Claim
    >>> Claim(request=6, deserved=2, limit=5).most
    5
    """

    request: float
    deserved: float = 0.0
    limit: float = UNLIMITED
    weight: float = 1.0
    priority: int = 100

    @property
    def most(self) -> float:
        """The most that the queue can use."""
        return min(self.request, self.limit)


def divide(total: float, claims: Sequence[Claim]) -> tuple[list[float], float]:
    """Return the fair share of each queue of a level, and what is left.

    Parameters
    ----------
    total : float
        What there is.
    claims : sequence of Claim
        The queues, older ones first.

    Returns
    -------
    shares : list of float
        Their sum exceeds `total` if the queues deserve more than that. An unlimited quota counts
        as `total`.
    left : float

    Examples
    --------
    Two of eleven are deserved by each; the weights 1 and 4 divide the other seven.

    >>> from clustersim.scheduling.kai import Claim, divide
    >>> divide(11, [Claim(10, deserved=2, weight=1), Claim(10, deserved=2, weight=4)])
    ([3, 8], 0)
    """
    shares = [
        min(total if claim.deserved == UNLIMITED else claim.deserved, claim.most)
        for claim in claims
    ]
    return divide_over_quota(max(0, total - sum(shares)), claims, shares)


def divide_over_quota(
    rest: float, claims: Sequence[Claim], shares: Sequence[float]
) -> tuple[list[float], float]:
    """Return the shares after capacity that nobody deserves is added, and what is left.

    Parameters
    ----------
    rest : float
        What is divided.
    claims : sequence of Claim
        The queues, older ones first. Those of higher priority divide first; a weight of 0 gets
        nothing.
    shares : sequence of float
        What each queue has already.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Claim, divide_over_quota
    >>> divide_over_quota(2, [Claim(4.5, deserved=3)], [3])
    ([4.5], 0.5)
    """
    result = list(shares)
    takers = [
        place
        for place, claim in enumerate(claims)
        if claim.weight > 0 and claim.most > result[place]
    ]
    takers.sort(key=lambda place: -claims[place].priority)
    for _, level in groupby(takers, key=lambda place: claims[place].priority):
        rest = _divide_by_weight(rest, claims, list(level), result)
    return result, rest


def _divide_by_weight(
    rest: float, claims: Sequence[Claim], takers: list[int], shares: list[float]
) -> float:
    """Add to the shares of the takers, which have one priority; return what is left."""
    while True:
        weights = sum(claims[place].weight for place in takers)
        available, satisfied, parts = rest, set(), []
        for place in takers:
            part = available * claims[place].weight / weights
            need = claims[place].most - shares[place]
            whole = math.floor(part)
            given = min(need, whole)
            if need <= whole:
                satisfied.add(place)
            parts.append((-(part - whole), place))
            shares[place] += given
            rest -= given
        takers = [place for place in takers if place not in satisfied]
        if not satisfied or not takers:
            break
    for _, place in sorted(part for part in parts if part[1] not in satisfied):
        need = claims[place].most - shares[place]
        given = min(1, need)
        if 0 < given <= rest:
            shares[place] += given
            rest -= given
    return rest


def fair_shares(
    total: float, queues: Sequence[Queue], parents: Sequence[int], requests: Sequence[float]
) -> list[float]:
    """Return the fair share of every queue of a tree; children divide their parent's share.

    Parameters
    ----------
    total : float
        Accelerators of the cluster.
    queues : sequence of Queue
        The queues, older ones first.
    parents : sequence of int
        Position of the parent of each queue, -1 at the top.
    requests : sequence of float
        What the jobs below each queue hold and wait for.

    Examples
    --------
    >>> from clustersim.scheduling.kai import Queue, fair_shares
    >>> tree = [Queue("lab", deserved=8), Queue("a", "lab", weight=3), Queue("b", "lab")]
    >>> fair_shares(8, tree, [-1, 0, 0], [16, 8, 8])
    [8, 6.0, 2.0]
    """
    children: dict[int, list[int]] = {}
    for place, parent in enumerate(parents):
        children.setdefault(parent, []).append(place)
    shares = [0.0] * len(queues)
    levels = [(-1, total)]
    for parent, amount in levels:
        below = children.get(parent, [])
        claims = [
            Claim(requests[place], queue.deserved, queue.limit, queue.weight, queue.priority)
            for place, queue in ((place, queues[place]) for place in below)
        ]
        for place, share in zip(below, divide(amount, claims)[0], strict=True):
            shares[place] = share
            levels.append((place, share))
    return shares
