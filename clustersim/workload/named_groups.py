"""Groups of jobs for which metrics are measured: partitions, job classes, and groups of a study.

``p95_wait_s.gpu`` is the 95th percentile of the waits of the jobs of the group ``gpu``.  A group is
given by conditions (``groups: {gpu: {vc: [a100, h100]}}`` in a study).  Without conditions, its
name is that of a partition (virtual cluster) or of a job class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Bools
from clustersim.errors import InputError, unknown_name
from clustersim.workload.job_groups import NO_PARTITION, partitions_of_jobs
from clustersim.workload.jobs import texts_of
from clustersim.workload.log_filter import JobFilter

__all__ = ["Groups", "group_mask", "group_problems"]

Groups = Mapping[str, Mapping[str, Any] | None]
"""Conditions of each group by its name; None for a partition or a job class of this name."""


def group_mask(jobs: pd.DataFrame, name: str, conditions: Mapping[str, Any] | None) -> Bools:
    """Return which jobs belong to a group (jobs,); none if no job of the table does.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table.
    name : str
    conditions : mapping or None
        Fields of a :class:`~clustersim.workload.log_filter.JobFilter`; None for a partition or a
        job class of this name.

    Examples
    --------
    >>> jobs = pd.DataFrame({"vc": ["gpu", "cpu", "gpu"], "n_accelerators": [8, 1, 64]})
    >>> group_mask(jobs, "gpu", None).tolist()
    [True, False, True]
    >>> group_mask(jobs, "large", {"accelerators": "64+"}).tolist()
    [False, False, True]
    """
    if conditions is not None:
        return JobFilter(**conditions).mask(jobs, f"groups.{name}", strict=False)
    chosen = np.zeros(len(jobs), dtype=bool)
    for names in _names_of_jobs(jobs):
        chosen |= np.asarray(names == name, dtype=bool)
    return chosen


def _names_of_jobs(jobs: pd.DataFrame) -> Iterator[Any]:
    """Yield the partition of each job and the class of each job, as far as the jobs have them."""
    partitions = partitions_of_jobs(jobs)
    if partitions is not None:
        yield partitions
    if "job_class" in jobs:
        yield texts_of(jobs["job_class"])


def group_problems(
    jobs: pd.DataFrame, groups: Groups, classes: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """Return the groups that no job can belong to or whose name is ambiguous, each with the reason.

    Parameters
    ----------
    jobs : pandas.DataFrame
        A jobs table of the scenario.
    groups : mapping
        See :data:`Groups`.
    classes : iterable of str
        Job classes of the workload model, which a few jobs need not show.

    Examples
    --------
    >>> jobs = pd.DataFrame({"vc": ["gpu", "cpu"]})
    >>> group_problems(jobs, {"gpuu": None})
    [('gpuu', "unknown partition, job class or group 'gpuu'; did you mean 'gpu'? allowed: cpu, \
gpu")]
    """
    names = partitions_of_jobs(jobs)
    partitions = set() if names is None else {str(name) for name in names} - {NO_PARTITION}
    own = {*classes}
    if "job_class" in jobs:
        own |= {*texts_of(jobs["job_class"]).tolist()} - {""}
    given = {name for name, conditions in groups.items() if conditions is not None}
    known = sorted(partitions | own | given)
    found: list[tuple[str, str]] = []
    for name, conditions in groups.items():
        if conditions is not None:
            try:
                chosen = JobFilter(**conditions).mask(jobs, "where")
            except InputError as error:
                field = error.source.removeprefix("where.")
                found += [(name, f"{field}: {problem}") for problem in error.problems]
            else:
                if not chosen.any() and not own:  # a model may draw such jobs in a longer run
                    found.append((name, "no job meets the conditions"))
        elif name in partitions and name in own:
            both = "is both a partition and a job class; define the group under `groups`, such as"
            found.append((name, f"{both} groups: {{{name}: {{vc: {name}}}}}"))
        elif not known:
            neither = "the jobs have neither partitions nor classes; define the group under"
            found.append(
                (name, f"{neither} `groups`, such as groups: {{large: {{accelerators: 64+}}}}")
            )
        elif name not in partitions | own:
            what = "partition, job class or group"
            found.append((name, unknown_name(what, name, known)))
    return found
