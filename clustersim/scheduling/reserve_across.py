"""What a job may use of several partitions beside reservations, and reservations on several."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from clustersim.scheduling.across import Offer
from clustersim.scheduling.placements import Nodes
from clustersim.scheduling.queue import Partition, Queue
from clustersim.scheduling.reservation import Reservation, reserve, reserve_free

__all__ = ["offers", "reserve_across"]


def offers(
    queue: Queue, job: int, now: float, reservations: Mapping[int, Reservation]
) -> Iterator[Offer]:
    """Yield what a waiting job may use now if it delays no reservation."""
    partitions = [queue.partitions[index] for index in queue.choices(job)]
    end_s = now + max(queue.estimate_s(job, partition) for partition in partitions)
    for offer in queue.offers(job):
        reservation = reservations.get(offer.partition.index)
        if reservation is None:
            yield offer
        elif end_s <= reservation.shadow:
            yield offer._replace(take=partial(_take_for_a_time, offer, reservation))
        else:
            take = partial(_take_unclaimed, offer, reservation)
            yield offer._replace(fits_each=reservation.fits_each, take=take)


def _take_for_a_time(offer: Offer, reservation: Reservation, n: int) -> Nodes | None:
    nodes = offer.take(n)
    if nodes is not None:
        reservation.taken(nodes)
    return nodes


def _take_unclaimed(offer: Offer, reservation: Reservation, n: int) -> Nodes | None:
    return reservation.take_unclaimed(n, offer.open_nodes)


def reserve_across(
    queue: Queue, job: int, reserved: Collection[int]
) -> tuple[float, dict[int, Reservation]] | None:
    """Reserve accelerators on several partitions for the earliest time at which they are enough.

    Parameters
    ----------
    queue : Queue
    job : int
    reserved : collection of int
        Partitions that are reserved for other jobs.

    Returns
    -------
    tuple of float and dict, or None
        The time at which the job would end, seconds, and the reservation by partition; None if the
        partitions that are left are too small together.
    """
    partitions = [queue.partitions[at] for at in queue.choices(job) if at not in reserved]
    n = queue.jobs.n_accelerators[job]
    if len(partitions) < 2 or sum(part.placement.capacity for part in partitions) < n:
        return None
    reservations = {
        partition.index: _claim(queue, job, partition, size)
        for partition, size in zip(partitions, _shares(partitions, n), strict=True)
        if size
    }
    start_s = max(reservation.shadow for reservation in reservations.values())
    for reservation in reservations.values():
        reservation.shadow = start_s
    longest_s = max(queue.estimate_s(job, queue.partitions[at]) for at in reservations)
    return start_s + longest_s, reservations


def _claim(queue: Queue, job: int, partition: Partition, n: int) -> Reservation:
    """Reserve accelerators of a partition, now if they are free."""
    if partition.windows is not None and partition.windows.announced:
        estimate_s = queue.estimate_s(job, partition)
        return reserve(partition, n, job=job, now=queue.now, estimate_s=estimate_s)
    now = bool(partition.placement.fits_each(np.array([n]))[0])
    return reserve_free(partition, n) if now else reserve(partition, n)


def _shares(partitions: Sequence[Partition], n: int) -> list[int]:
    """Return how many accelerators of each partition are the first ones to be enough together."""
    free = [partition.placement.free for partition in partitions]
    releases = heapq.merge(
        *(
            [(end, at, n_back) for end, _, _, n_back in partition.calendar]
            for at, partition in enumerate(partitions)
        )
    )
    for _, at, n_back in releases:
        if sum(free) >= n:
            break
        free[at] += n_back
    shares = []
    for each in free:
        shares.append(min(each, n))
        n -= shares[-1]
    return shares
