"""The jobs of a log with their recorded starts, on a cluster: what a validation replays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats, Ints
from clustersim.calendar import Calendar
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError, unknown_name
from clustersim.scheduling import Policy
from clustersim.simulation.eligibility import (
    ignored_virtual_clusters,
    named_partitions,
    partition_names_of,
)
from clustersim.topology import (
    Cluster,
    compile_cluster,
    load_cluster,
    resolve_cluster,
    single_pool,
)
from clustersim.units import capital, counted, format_count, format_duration
from clustersim.validation.candidates import with_own_options
from clustersim.validation.places import Place, places_of
from clustersim.validation.recorded import (
    EARLY_S,
    given_waits,
    most_in_use,
    of_early_starts,
    recorded_starts,
)
from clustersim.validation.sharing import Sharing, sharing_of
from clustersim.workload import JobLog
from clustersim.workload.describe import size_bins
from clustersim.workload.job_groups import NO_PARTITION, partitions_of_jobs
from clustersim.workload.job_runs import RUNS, runs_of
from clustersim.workload.jobs import partition_column, texts_of

__all__ = ["Case", "case_of", "too_small"]

_TIMES = ("start_s", "end_s", "wait_s", "recorded_start_s", "recorded_wait_s")


@dataclass(frozen=True, eq=False)
class Case:
    """Jobs with recorded starts, on a cluster.

    Attributes
    ----------
    source : str
        Name of the log.
    jobs : pandas.DataFrame
        The jobs to replay, in order of submission, without recorded times.
    start_s : float64 array (jobs,)
        Recorded start of each job; NaN if the log has none.
    compared : bool array (jobs,)
        Jobs whose waits are compared: submitted in the window, and with a recorded start.
    rows : int64 array (jobs,)
        Position of each job in the case from which this one was cut.
    cluster : Cluster
    placement : str
    assumed : bool
        Whether the size of the cluster is the most that was in use at once.
    calendar : Calendar
        Local clock of the log.
    log_format : str
        Format of the log.
    most_in_use : int
        The most accelerators that were in use at once according to the log.
    given : mapping of str to float
        Waits (seconds) that are known of the site although the log has no starts: ``mean``,
        ``median``, ``p95``.
    notes : tuple of str
    options, placement_options : mapping of str to object
        Options of the policies, each for those that have it, and of the placement.
    """

    source: str
    jobs: pd.DataFrame
    start_s: Floats
    compared: Bools
    rows: Ints
    cluster: Cluster
    placement: str
    assumed: bool
    calendar: Calendar
    log_format: str = ""
    most_in_use: int = 0
    given: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    placement_options: Mapping[str, Any] = field(default_factory=dict)

    def policy(self, name: str) -> type[Policy]:
        """Return a policy with those options that it has."""
        return with_own_options(name, self.options)

    @cached_property
    def submit_s(self) -> Floats:
        """Submission of each job."""
        return self.jobs["submit_s"].to_numpy(dtype=np.float64)

    @cached_property
    def size(self) -> Ints:
        """Accelerators of each job."""
        return self.jobs["n_accelerators"].to_numpy(dtype=np.int64)

    @cached_property
    def run_s(self) -> Floats:
        """Run time of each job."""
        return self.jobs["duration_s"].to_numpy(dtype=np.float64)

    @cached_property
    def runs(self) -> tuple[Ints, Floats, Floats]:
        """Job, start and end of each recorded run; a job that was requeued has several."""
        return runs_of(self.jobs, self.start_s)

    @cached_property
    def wait_s(self) -> Floats:
        """Recorded wait of each job, 0 if it started before its submission; NaN without a start."""
        wait_s: Floats = np.maximum(self.start_s - self.submit_s, 0.0)
        return wait_s

    @property
    def is_too_small(self) -> bool:
        """Whether more accelerators were in use at once than the cluster has."""
        return self.most_in_use > self.cluster.n_chips

    @property
    def has_starts(self) -> bool:
        """Whether there are recorded starts to compare with."""
        return bool(np.isfinite(self.start_s[self.compared]).any())

    @cached_property
    def partition(self) -> Sequence[str]:
        """Partition of each job, from its column ``vc`` or ``partition``."""
        names = partitions_of_jobs(self.jobs)
        return [NO_PARTITION] * len(self.jobs) if names is None else names.tolist()

    @cached_property
    def user(self) -> Ints:
        """Number of the user of each job; -1 for a job without one."""
        if "user" not in self.jobs:
            return np.full(len(self.jobs), -1, dtype=np.int64)
        names = pd.Series(texts_of(self.jobs["user"])).str.strip()
        return np.asarray(pd.factorize(names.where(names != ""))[0], dtype=np.int64)

    @cached_property
    def stratum(self) -> Ints:
        """Number of the partition and size class of each job."""
        names = pd.DataFrame({"a": self.partition, "b": size_bins(self.size)[0]})
        return np.asarray(names.groupby(["a", "b"]).ngroup(), dtype=np.int64)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Parts of the cluster that the scheduler fills apart from each other."""
        return places_of(self.cluster)

    @cached_property
    def sharing(self) -> Sharing:
        """Which places each job may use."""
        return sharing_of(self.jobs, self.cluster, self.places)

    @cached_property
    def part_names(self) -> tuple[str, ...]:
        """Names of the parts of the cluster: places, and those that jobs may use alike."""
        of = self.sharing.part_of_place
        keys: list[list[str]] = [[] for _ in range(int(of.max()) + 1)]
        for at, place in zip(of.tolist(), self.places, strict=True):
            keys[at].append(place.key)
        return tuple(" + ".join(own) for own in keys)

    @cached_property
    def capacity(self) -> dict[str, int]:
        """Accelerators of each part of the cluster."""
        own = np.bincount(self.sharing.part_of_place, weights=self.sharing.capacity)
        return dict(zip(self.part_names, own.astype(np.int64).tolist(), strict=True))

    @property
    def share(self) -> Ints:
        """Number of the entry of `capacity` that each job uses."""
        return self.sharing.part

    def only(self, kept: Bools, notes: Sequence[str] = ()) -> Case:
        """Return the case with some of its jobs."""
        return replace(
            self,
            jobs=self.jobs[kept].reset_index(drop=True),
            start_s=self.start_s[kept],
            compared=self.compared[kept],
            rows=np.flatnonzero(kept),
            notes=(*self.notes, *notes),
        )

    def window(self, since_s: float, until_s: float = np.inf) -> Case:
        """Return the jobs submitted in [`since_s`, `until_s`), and what was there before.

        Jobs that ran or waited at `since_s` according to the log are submitted then, those that
        ran with the rest of their run time and before the others; they are not compared.
        """
        submit, start, run = self.submit_s, self.start_s, self.run_s
        inside = (submit >= since_s) & (submit < until_s)
        before = (submit < since_s) & (start + run > since_s)
        ran = before & (start < since_s)
        gone = np.where(ran, since_s - start, 0.0)
        rows = np.flatnonzero(inside | before)
        key = np.lexsort((submit, np.where(before, np.where(ran, 0, 1), 2)))
        rows = key[np.isin(key, rows, assume_unique=True)]
        jobs = self.jobs.assign(submit_s=np.where(before, since_s, submit), duration_s=run - gone)
        if RUNS in jobs:  # what is left of a job that ran is one run
            jobs[RUNS] = jobs[RUNS].mask(ran)
        if "estimate_s" in jobs:
            left = jobs["estimate_s"].to_numpy(dtype=np.float64) - gone
            jobs["estimate_s"] = np.maximum(left, jobs["duration_s"])
        return replace(
            self,
            jobs=jobs.iloc[rows].reset_index(drop=True),
            start_s=np.where(ran, since_s, start)[rows],
            compared=(self.compared & inside)[rows],
            rows=rows,
        )


def case_of(
    log: JobLog,
    *,
    cluster: str | Path | Mapping[str, Any] | None = None,
    accelerators: int | None = None,
    since_s: float = 0.0,
    until_s: float = np.inf,
    partition_column: str | None = None,
    recorded: Mapping[str, float] | None = None,
    placement: str | None = None,
    catalogue: Sequence[str | Path] = (),
) -> Case:
    """Return the case of a log; see :func:`clustersim.validate` for the parameters.

    Raises
    ------
    InputError
        If there is nothing to compare, or a parameter cannot be used.
    """
    if cluster is not None and accelerators is not None:
        raise InputError("validate", "needs a cluster or a number of accelerators, not both")
    jobs = _with_partition(log, partition_column)
    start_s = recorded_starts(jobs)
    if jobs["duration_s"].isna().any():
        raise InputError(log.source, "duration_s: every job needs a recorded run time")
    known = np.isfinite(start_s)
    early_s = jobs["submit_s"].to_numpy(dtype=np.float64) - start_s
    notes = [*log.notes, *of_early_starts(early_s)]
    given = given_waits(recorded, log.source, has_starts=bool(known.any()))
    most = most_in_use(jobs, start_s)
    assumed = cluster is None and accelerators is None
    if assumed:
        accelerators = _assumed_size(most, log.source, has_starts=bool(known.any()))
        notes.append(
            f"the size of the cluster is not given; assumed: {format_count(most)} accelerators, "
            "the most that were in use at once"
        )
    own = _cluster(cluster, accelerators, catalogue)
    jobs, unknown = _own_partitions(jobs, own)
    notes += unknown
    if most > own.n_chips:
        notes.append(_too_small(most, own.n_chips))
    case = Case(
        source=log.source,
        jobs=jobs.drop(columns=[name for name in _TIMES if name in jobs]),
        start_s=start_s,
        compared=known & ~(early_s > EARLY_S) if not given else np.ones(len(jobs), dtype=bool),
        rows=np.arange(len(jobs)),
        cluster=own,
        placement=placement or ("pooled" if cluster is None else "consolidate"),
        assumed=assumed,
        calendar=Calendar(log.origin),
        log_format=log.format,
        most_in_use=most,
        given=given,
        notes=tuple(notes),
    )
    if since_s > 0 or np.isfinite(until_s):
        case = _in_window(case, since_s, until_s)
    if known.any() and (lacking := int((~known).sum())):
        text = f"{counted(lacking, 'job')} without a recorded start: replayed, not compared"
        case = replace(case, notes=(*case.notes, text))
    return case


def _assumed_size(most: int, source: str, *, has_starts: bool) -> int:
    """Return the size of a cluster that is not given: the most that were in use at once."""
    if not has_starts:
        raise InputError(
            "validate", "without recorded starts, --cluster or --accelerators is needed"
        )
    if not most:
        raise InputError(
            source,
            "duration_s: every job with a recorded start has a run time of 0 s, so the size of the "
            "cluster does not follow from the log; give --cluster or --accelerators",
        )
    return most


def too_small(case: Case) -> str:
    """Return what is wrong with a cluster that is smaller than what the log had in use."""
    text = _too_small(case.most_in_use, case.cluster.n_chips)
    return capital(text)


def _too_small(most: int, there: int) -> str:
    return (
        f"up to {format_count(most)} accelerators were in use at once according to the log, more "
        f"than the {format_count(there)} of the cluster: its times are rounded, or the cluster is "
        "too small"
    )


def _in_window(case: Case, since_s: float, until_s: float) -> Case:
    found = case.window(since_s, until_s)
    inside = (case.submit_s >= since_s) & (case.submit_s < until_s)
    if not inside.any():
        log = case.calendar.period(float(case.submit_s.min()), float(case.submit_s.max()))
        raise InputError(
            case.source,
            f"no job was submitted between --since and --until; those of the log were from {log}",
        )
    carried = len(found.jobs) - int(inside.sum())
    text = (
        f"{format_count(int(inside.sum()))} of {format_count(len(case.jobs))} jobs were submitted "
        f"between --since and --until"
    )
    if case.has_starts and since_s > 0:
        text += (
            f"; {counted(carried, 'job that ran or waited', 'jobs that ran or waited')} at "
            f"{format_duration(since_s)} according to the log are there from the start"
        )
    return replace(found, notes=(*found.notes, text))


def _with_partition(log: JobLog, column: str | None) -> pd.DataFrame:
    jobs = log.jobs.reset_index(drop=True)
    if column is None:
        return jobs
    if column not in jobs:
        names = [str(name) for name in jobs.columns]
        raise InputError(log.source, f"--partition-column: {unknown_name('column', column, names)}")
    return jobs.assign(vc=texts_of(jobs[column]))


def _own_partitions(jobs: pd.DataFrame, cluster: Cluster) -> tuple[pd.DataFrame, list[str]]:
    """Return the jobs with the log's partitions as ``vc``, unless the cluster has others.

    The second value is a note on partitions that the cluster does not have.
    """
    if partition_column(jobs) != "partition":
        return jobs, []
    if partition_names_of(cluster) and (ignored := ignored_virtual_clusters(jobs, cluster)):
        return jobs, ignored
    own = named_partitions(jobs, cluster)
    return jobs.assign(vc=texts_of(jobs["partition"]) if own is None else own), []


def _cluster(
    cluster: str | Path | Mapping[str, Any] | None,
    accelerators: int | None,
    catalogue: Sequence[str | Path],
) -> Cluster:
    if cluster is None:
        assert accelerators is not None
        return single_pool(accelerators)
    own = load_catalogue(*catalogue)
    if isinstance(cluster, Mapping):
        return compile_cluster(resolve_cluster(dict(cluster), own))
    return compile_cluster(load_cluster(cluster, own))
