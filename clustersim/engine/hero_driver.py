"""Hero jobs: gangs that need most of a partition, for which nodes are drained.

While a hero job waits, the nodes that it will get are closed to jobs that are estimated to run past
the time at which it can start.  It starts ahead of all other jobs as soon as it fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from clustersim.engine.engine import Simulation
from clustersim.engine.window_driver import FreeLog
from clustersim.errors import InputError
from clustersim.scheduling.calendar import JOB, NODE, Release
from clustersim.scheduling.placements import NodePlacement
from clustersim.scheduling.policies import Policy
from clustersim.scheduling.queue import Partition
from clustersim.scheduling.reservation import Ahead
from clustersim.scheduling.windows import Window, Windows

__all__ = ["HeroDriver", "check_heroes"]


def check_heroes(policy: type[Policy], known: dict[str, type[Policy]]) -> None:
    """Check that a policy can start hero jobs ahead of others.

    Raises
    ------
    InputError
        If it cannot; the message says which can.
    """
    if not policy.starts_first:
        able = ", ".join(name for name, each in known.items() if each.starts_first)
        raise InputError(
            "windows",
            f"heroes: policy {policy.__name__} cannot start a job ahead of all others; these can: "
            f"{able}",
        )


class HeroDriver:
    """Drains nodes for hero jobs in a simulation that has not started yet, and starts them.

    Parameters
    ----------
    simulation : Simulation
        Its placements must track nodes, and its policy must implement ``start_first``.
    heroes : sequence of int
        Numbers of the hero jobs, in order of submission. Earlier ones go first.

    Attributes
    ----------
    free : dict of int to FreeLog
        Accelerators that were kept free for each hero job.
    """

    def __init__(self, simulation: Simulation, heroes: Sequence[int]) -> None:
        self.free: dict[int, FreeLog] = {}
        self._simulation = simulation
        self._heroes = list(heroes)
        self._held: dict[int, tuple[Partition, Window]] = {}
        for partition in simulation.partitions:
            if partition.windows is None:
                partition.windows = Windows(partition.placement.n_nodes)
        simulation.around_passes(before=self._drain, after=self._note)

    def _drain(self) -> None:
        """Close nodes for each waiting hero job, or start it."""
        simulation = self._simulation
        before = self._open_all()
        for job in self._heroes:
            if not simulation.waits(job) or simulation.start_first(job):
                continue
            if simulation.jobs.n_accelerators[job] > simulation.most_size(job):
                continue  # limits let it start smaller at most, which needs no nodes drained
            partition, window = self._earliest(job)
            assert partition.windows is not None, "all partitions have windows"
            partition.windows.announced.append(window)
            self._held[job] = partition, window
            self.free.setdefault(job, FreeLog())
        for job, (partition, window) in before.items():
            if not _is_same(self._held.get(job), partition, window):
                simulation.service_changed(partition)

    def _open_all(self) -> dict[int, tuple[Partition, Window]]:
        held = self._held
        for partition, window in held.values():
            assert partition.windows is not None, "all partitions have windows"
            partition.windows.announced.remove(window)
        self._held = {}
        return held

    def _earliest(self, job: int) -> tuple[Partition, Window]:
        """Return the partition on which a job would finish first, and what to close there."""
        found = []
        jobs, now = self._simulation.jobs, self._simulation.clock.now
        for index in jobs.choices[jobs.choice_of[job]]:
            partition = self._simulation.partitions[index]
            placement, windows = partition.placement, partition.windows
            assert isinstance(placement, NodePlacement), "it was checked"
            assert windows is not None, "all partitions have windows"
            ahead = Ahead(partition, placement, windows, now, sorted(self._coming(partition)))
            estimate_s = jobs.estimate_s[partition.pool][job]
            claim, chosen = ahead.claim(jobs.n_accelerators[job], job, estimate_s)
            nodes = np.zeros(placement.n_nodes, dtype=np.bool_)
            nodes[[node for node, _ in chosen]] = True
            name = f"hero job {job} (counted from 0)"
            end_s = claim.shadow + estimate_s
            found.append((end_s, index, Window(name, claim.shadow, end_s, nodes, frozenset({job}))))
        _, index, window = min(found, key=lambda option: option[:2])
        return self._simulation.partitions[index], window

    def _coming(self, partition: Partition) -> Iterator[Release]:
        """Yield what is expected to become free on a partition."""
        jobs = self._simulation.jobs
        for job, attempt in self._simulation.running.items():
            if attempt.holding is not None:
                for part in attempt.holding.parts:
                    if part.partition is partition:
                        yield attempt.began_s + attempt.holding.estimate_s, JOB, job, part.n
            elif attempt.partition is partition:
                end_s = attempt.began_s + jobs.estimate_s[partition.pool][job]
                yield end_s, JOB, job, jobs.n_accelerators[job]
        for node, until_s in partition.out_of_service.items():
            yield until_s, NODE, node, partition.placement.chips_per_node

    def _note(self) -> None:
        """Note how many accelerators are kept free for each hero job."""
        now, waits = self._simulation.clock.now, self._simulation.waits
        for job, log in self.free.items():
            if job not in self._held or not waits(job):
                if log.free and log.free[-1]:
                    log.note(now, 0)
                continue
            partition, window = self._held[job]
            placement = partition.placement
            assert isinstance(placement, NodePlacement), "it was checked"
            log.note(now, int(placement.free_by_node()[window.nodes].sum()))


def _is_same(now: tuple[Partition, Window] | None, partition: Partition, window: Window) -> bool:
    """Return whether the nodes of a partition that a window closes are still closed as it says."""
    return (
        now is not None
        and now[0] is partition
        and now[1].begin_s == window.begin_s
        and np.array_equal(now[1].nodes, window.nodes)
    )
