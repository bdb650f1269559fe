"""Quantities of one run with a known expectation: arrived work, delivered chips, failures."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from clustersim.array_types import Floats
from clustersim.availability.delivered import delivered_node_s, has_slips
from clustersim.availability.failure_counts import failure_counts
from clustersim.availability.failure_spec import failure_sources
from clustersim.availability.supply import arrivals_s
from clustersim.calendar import DAY_S
from clustersim.scenario.resolved import ResolvedScenario
from clustersim.seeds import Streams
from clustersim.simulation.load import OfferedWork

__all__ = ["RunControls"]

Pair = tuple[float, float]
UNKNOWN: Pair = (math.nan, math.nan)


@dataclass(frozen=True)
class RunControls:
    """What happened to arrive, to be delivered and to fail in a run, and its expectation.

    Each expectation is computed from the distributions in the scenario, not by simulation.  It is
    conditional on the time interval in which the quantity is measured.

    Attributes
    ----------
    resolved : ResolvedScenario
    offered : OfferedWork or None
        Work of the jobs of the workload model; None for a log.
    """

    resolved: ResolvedScenario
    offered: OfferedWork | None = None
    _known: dict[tuple[str, float, float], Pair] = field(default_factory=dict, repr=False)

    def delivered_flop_per_s(self, begin_s: float, end_s: float) -> Pair:
        """Return the mean peak FLOP/s of the nodes that have arrived; NaN without random dates.

        See :mod:`clustersim.availability.delivered`.
        """
        supply = self.resolved.scenario.supply
        if supply is None or not has_slips(supply) or not end_s > begin_s:
            return UNKNOWN
        key = ("delivered", begin_s, end_s)
        if key not in self._known:
            cluster, catalogue = self.resolved.cluster, self.resolved.catalogue
            edges_s = np.array([begin_s, end_s])
            found = delivered_node_s(supply, cluster, catalogue, self._streams, edges_s)
            peaks = (catalogue.accelerator(p.accelerator).peak_flops for p in cluster.pools)
            per_node = [
                pool.chips_per_node * (peak["bf16"] if "bf16" in peak else max(peak.values()))
                for pool, peak in zip(cluster.pools, peaks, strict=True)
            ]
            realised, expected = (
                float((np.array(per_node) * np.diff(each)[:, 0]).sum()) / (end_s - begin_s)
                for each in found
            )
            self._known[key] = realised, expected
        return self._known[key]

    def failures_per_day(self, begin_s: float, end_s: float) -> Pair:
        """Return the failures of nodes per day; NaN without failures.

        See :func:`~clustersim.availability.failure_counts.failure_counts`.
        """
        scenario = self.resolved.scenario
        if scenario.failures is None or not end_s > begin_s:
            return UNKNOWN
        sources = failure_sources(scenario.failures)
        if not sources:
            return UNKNOWN
        key = ("failures", begin_s, end_s)
        if key not in self._known:
            realised, expected = failure_counts(
                self.resolved.cluster,
                sources,
                self._streams,
                self._arrivals_s(),
                np.array([begin_s, end_s]),
            )
            days = (end_s - begin_s) / DAY_S
            self._known[key] = (
                float(realised[1] - realised[0]) / days,
                float(expected[1] - expected[0]) / days,
            )
        return self._known[key]

    def arrived_load(self, first: int, last: int, begin_s: float, end_s: float) -> Pair:
        """Return the offered load of the jobs that arrived; NaN if its expectation is unknown.

        Parameters
        ----------
        first, last : int
            Range of the jobs in the order of submission.
        begin_s, end_s : float
            The time interval.  If it begins and ends with jobs of the range, the expectation is
            known for any gaps between arrivals; otherwise only for a Poisson process.
        """
        found = self._arrived(first, last, begin_s, end_s)
        if found is None:
            return UNKNOWN
        due, span_s, work_s, _ = found
        assert self.offered is not None
        expected = due / self.offered.rate_per_s / (end_s - begin_s)
        surplus = float(work_s.sum()) - due / self.offered.rate_per_s
        return expected + surplus / span_s, expected

    def surplus_by_class(
        self, first: int, last: int, begin_s: float, end_s: float
    ) -> dict[str, float]:
        """Return by how much the load of each job class exceeds its expectation.

        The sum over the classes is the difference of the two values of :meth:`arrived_load`.

        Parameters
        ----------
        first, last, begin_s, end_s
            As for :meth:`arrived_load`.

        Returns
        -------
        dict of str to float
            Empty if the expectation is unknown, or with a single class.
        """
        found = self._arrived(first, last, begin_s, end_s)
        if found is None or len(self._class_shares) < 2:
            return {}
        due, span_s, work_s, job_class = found
        assert self.offered is not None
        arrived = pd.Series(work_s).groupby(job_class).sum()
        return {
            name: (float(arrived.get(name, 0.0)) - share * due / self.offered.rate_per_s) / span_s
            for name, share in self._class_shares.items()
        }

    def _arrived(
        self, first: int, last: int, begin_s: float, end_s: float
    ) -> tuple[float, float, Floats, npt.NDArray[Any]] | None:
        """Return the jobs due, the length of the interval, and the work and class of the jobs.

        Only one of the number of jobs and the length is random.  None if the expectation of the
        work is unknown.
        """
        workload, rate_per_s = self.resolved.platform.workload, self.resolved.arrival_per_s
        if self.offered is None or workload is None or rate_per_s is None or not end_s > begin_s:
            return None
        if workload.arrivals.process.kind == "sessions":  # their rate varies at random
            return None
        jobs = self.resolved.jobs
        submit_s = jobs["submit_s"].to_numpy(dtype=np.float64)
        spec = self.resolved.scenario.workload
        by_jobs = begin_s == submit_s[first] and end_s == submit_s[last - 1]
        if not by_jobs and (workload.arrivals.process.kind != "poisson" or spec.jobs is not None):
            return None
        stop_s = math.inf if spec.duration is None or by_jobs else spec.duration
        edges_s = np.minimum([begin_s, end_s], stop_s)
        arrivals, calendar = workload.arrivals, self.resolved.dated.calendar
        due = float(np.diff(arrivals.to_operational(edges_s, rate_per_s, calendar))[0])
        # The number of jobs is given or the length of the interval: the other one is random.
        span_s = (last - first - 1) * (end_s - begin_s) / due if by_jobs else end_s - begin_s
        if not span_s > 0:
            return None
        chosen = slice(first + by_jobs, last)
        return due, span_s, self._work_s[chosen], jobs["job_class"].to_numpy()[chosen]

    @cached_property
    def _class_shares(self) -> dict[str, float]:
        """Share of each job class in the work that is expected to arrive."""
        assert self.offered is not None
        kinds = self.offered.kinds
        work = (kinds["share"] * kinds["work_s"]).groupby(kinds["job_class"], sort=False).sum()
        return {str(name): float(share) for name, share in (work / work.sum()).items()}

    @cached_property
    def _work_s(self) -> Floats:
        """Work of each job, scaled to a mean of 1 / `rate_per_s` over all jobs, in seconds."""
        assert self.offered is not None
        work_s, _ = self.offered.of_jobs(self.resolved.jobs)
        mean_s = float((self.offered.kinds["share"] * self.offered.kinds["work_s"]).sum())
        return work_s / (mean_s * self.offered.rate_per_s)

    @property
    def _streams(self) -> Streams:
        scenario = self.resolved.scenario
        return Streams(scenario.seed, replication=scenario.replication)

    def _arrivals_s(self) -> list[Floats]:
        """Return when the nodes of each pool arrive, seconds."""
        supply, cluster = self.resolved.scenario.supply, self.resolved.cluster
        if supply is None:
            return [np.zeros(pool.n_nodes) for pool in cluster.pools]
        return arrivals_s(supply, cluster, self.resolved.catalogue, self._streams)
