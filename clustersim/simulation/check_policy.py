"""Checks a policy and a placement against the scheduling rules, on small random workloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clustersim.engine.node_events import NodeEvent
from clustersim.engine.recovery import Recovery
from clustersim.errors import ClusterSimError, InputError
from clustersim.scheduling import NodePlacement, Placement, Policy, find_placement, find_policy
from clustersim.scheduling.stalls import StalledError
from clustersim.seeds import Streams
from clustersim.simulation.node_ranges import read_ranges
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.simulation.tables import FINISHED, NEVER_RUNNABLE
from clustersim.topology import Cluster, Pool
from clustersim.workload.size_ranges import size_ranges

__all__ = ["Finding", "check_policy"]

_JOBS = 200
_FEW_JOBS = 50
_CHIPS_PER_NODE = 8
_LONGEST_CALL_S = 5.0
_RANGES = "jobs that grow and shrink"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one trial.

    Attributes
    ----------
    trial : str
        Description of the cluster that the trial used.
    problem : str
        Description of the rule that was broken; empty if no rule was broken.
    """

    trial: str
    problem: str


def check_policy(
    policy: str | type[Policy] = "fcfs",
    placement: str | type[Placement] = "consolidate",
    *,
    options: Mapping[str, Any] | None = None,
    placement_options: Mapping[str, Any] | None = None,
    folder: str = ".",
    seed: int = 0,
) -> list[Finding]:
    """Check whether a policy and a placement follow the scheduling rules on different clusters.

    The rules are: after every scheduling pass, no accelerator is allocated twice and none is
    lost; no job starts before it is submitted; every job that can run finishes; each attempt at a
    job gets exactly the number of accelerators that the job requests, or one in its range if it has
    one; the same input always produces the same schedule. Some trials have jobs that save
    checkpoints, nodes that fail and return, and jobs that wait for others.

    Parameters
    ----------
    policy, placement, options, placement_options
        See :class:`~clustersim.simulation.simulate.Scheduling`.
    folder : str
        Folder of user-defined files.
    seed : int
        Seed of the random workloads.

    Returns
    -------
    list of Finding
        One finding per trial. If a call does not finish in time, the remaining trials are skipped.

    Raises
    ------
    InputError
        If the policy or placement does not exist, or the seed is negative.

    Examples
    --------
    >>> import clustersim as cs
    >>> [finding.trial for finding in cs.check_policy("fcfs") if finding.problem]
    []
    """
    if seed < 0:
        raise InputError("seed", f"must be 0 or more, found {seed}")
    scheduling = Scheduling(
        policy=find_policy(policy, options=options or {}, folder=folder),
        placement=find_placement(placement, options=placement_options or {}, folder=folder),
        longest_call_s=_LONGEST_CALL_S,
    )
    findings: list[Finding] = []
    for trial in _trials(seed):
        if trial.fails and not issubclass(_made(scheduling.placement), NodePlacement):
            continue
        try:
            findings.append(Finding(trial.name, _problem(trial, scheduling)))
        except StalledError as error:
            return [*findings, Finding(trial.name, f"{error}; the remaining trials were skipped")]
    return findings


@dataclass(frozen=True, slots=True)
class _Trial:
    """A cluster, its jobs, and what happens to them."""

    name: str
    cluster: Cluster
    jobs: pd.DataFrame
    saves: bool = False
    fails: bool = False


def _made(placement: str | type[Placement]) -> type[Placement]:
    assert isinstance(placement, type)
    return placement


def _problem(trial: _Trial, scheduling: Scheduling) -> str:
    """Describe the first broken rule; empty if no rule is broken.

    Raises StalledError if a call of the policy or the placement does not finish in time.
    """
    try:
        first, second = (_whole(trial, scheduling, check=check) for check in (True, False))
    except ClusterSimError as error:
        if isinstance(error.__cause__, StalledError):
            raise StalledError(str(error)) from None
        return str(error)
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    if not first.jobs.equals(second.jobs):
        return "the same input produced two different schedules"
    return _broken_rule(first)


def _whole(trial: _Trial, scheduling: Scheduling, *, check: bool) -> Result:
    """Return the result of a run; raise KeyboardInterrupt if it was stopped before its end."""
    result = simulate(
        trial.jobs,
        trial.cluster,
        scheduling,
        recovery=_checkpoints(trial) if trial.saves else None,
        node_events=_failures(trial) if trial.fails else None,
        check=check,
    )
    if result.interrupted:
        raise KeyboardInterrupt
    return result


def _broken_rule(result: Result) -> str:
    jobs = result.jobs
    refused = (jobs["outcome"] == NEVER_RUNNABLE) & (jobs["n_accelerators"] <= _CHIPS_PER_NODE)
    if refused.any():
        size = jobs.loc[refused, "n_accelerators"].iloc[0]
        return f"refuses a job of {size} accelerators although all nodes are free"
    can_run = jobs[jobs["outcome"] != NEVER_RUNNABLE]
    left = can_run[can_run["outcome"] != FINISHED]
    if len(left):
        first = left["job_id"].iloc[0]
        return (
            f"{len(left)} of {len(can_run)} jobs that can run never started; the first is "
            f"job {first}"
        )
    early = jobs[jobs["start_s"] < jobs["submit_s"]]
    if len(early):
        return f"job {early['job_id'].iloc[0]} started before it was submitted"
    return _wrong_size(result, can_run)


def _wrong_size(result: Result, jobs: pd.DataFrame) -> str:
    """Describe the first attempt whose nodes are not as many accelerators as its job may have.

    No job spans pools here, so each row of the allocations is an attempt. Several attempts at a job
    may begin at the same instant: all but the last one have no length.
    """
    ranges = result.allocation_ranges
    row, _, n_nodes, chips = read_ranges(ranges)
    given = np.bincount(row, n_nodes * chips, minlength=len(ranges)).astype(np.int64)
    job_of = ranges["job_id"].to_numpy()
    smallest, largest = (
        pd.Series(sizes, index=jobs["job_id"]).reindex(job_of).to_numpy()
        for sizes in size_ranges(jobs)
    )
    wrong = (given < smallest) | (given > largest)
    if not wrong.any():
        return ""
    at = int(np.argmax(wrong))
    least, most = int(smallest[at]), int(largest[at])
    asked = f"{least}" if least == most else f"{least} to {most}"
    return f"job {job_of[at]} requested {asked} accelerators but got {given[at]}"


def _checkpoints(trial: _Trial) -> Recovery:
    """Return checkpoints every 30 s that take a second, and two until they can be used."""
    n = len(trial.jobs)
    interval_s = [[30.0] * n for _ in trial.cluster.pools]
    return Recovery(interval_s, [1.0] * n, [3.0] * n, [2.0] * n)


def _failures(trial: _Trial) -> list[NodeEvent]:
    """Return failures of one node after the other, each of which lasts 40 s."""
    nodes = [
        (row, node) for row, pool in enumerate(trial.cluster.pools) for node in range(pool.n_nodes)
    ]
    return [
        NodeEvent(begin_s, begin_s + 40.0, *nodes[turn % len(nodes)], cause="trial")
        for turn, begin_s in enumerate(range(25, 3000, 60))
    ]


def _trials(seed: int) -> Iterator[_Trial]:
    pools = {
        "one pool of 8 nodes": (_pool("gpu", 8, {}),),
        "one node": (_pool("gpu", 1, {}),),
        "virtual clusters": (_pool("gpu", 8, {"a": 4, "b": 2}),),
        "two pools": (_pool("fast", 4, {}), _pool("slow", 6, {})),
        _RANGES: (_pool("gpu", 4, {}),),
    }
    for index, (name, parts) in enumerate(pools.items()):
        jobs = _random_jobs(Streams(seed, replication=index), name)
        yield _Trial(name, Cluster(name, parts), jobs)
    streams = Streams(seed, replication=len(pools))
    one, two = (Cluster(name, pools[name]) for name in ("one pool of 8 nodes", "two pools"))
    jobs = _random_jobs(streams, "", _FEW_JOBS)
    yield _Trial("one pool, with checkpoints", one, jobs, saves=True)
    held = _with_dependencies(jobs, streams)
    yield _Trial("two pools, with dependencies and arrays", two, held)
    name = "two pools, with checkpoints, failures and dependencies"
    yield _Trial(name, two, held, saves=True, fails=True)


def _with_dependencies(jobs: pd.DataFrame, streams: Streams) -> pd.DataFrame:
    """Return jobs of which some wait for an earlier one, and some are tasks of an array.

    No job waits for one that is too large for the clusters of the trials.
    """
    draw = streams("check policy, dependencies")
    able = np.flatnonzero(jobs["n_accelerators"] <= _CHIPS_PER_NODE)
    after = np.full((2, len(jobs)), "", dtype=object)
    for row in range(1, len(jobs)):
        earlier = able[able < row]
        if len(earlier) and draw.random() < 0.2:
            after[draw.integers(0, 2), row] = str(jobs["job_id"].iloc[draw.choice(earlier)])
    array = np.where(draw.random(len(jobs)) < 0.3, "tasks", "")
    limit = np.where(array != "", 3.0, np.nan)
    return jobs.assign(after_any=after[0], after_ok=after[1], array=array, array_limit=limit)


def _pool(name: str, n_nodes: int, virtual_clusters: dict[str, int]) -> Pool:
    return Pool(
        name=name,
        accelerator="",
        n_nodes=n_nodes,
        chips_per_node=_CHIPS_PER_NODE,
        nic_Bps=float("inf"),
        scaleup_size=_CHIPS_PER_NODE,
        leaf_of_node=np.zeros(n_nodes, dtype=np.int32),
        unit_of_node=np.zeros(n_nodes, dtype=np.int32),
        virtual_clusters=virtual_clusters,
    )


def _random_jobs(streams: Streams, trial: str, n: int = _JOBS) -> pd.DataFrame:
    """Return random jobs that overload the cluster.

    Some jobs share a submission time, and some are too large for the cluster.
    """
    draw = streams("check policy")
    duration = draw.integers(1, 100, n)
    jobs = pd.DataFrame(
        {
            "job_id": np.arange(1, n + 1),
            "submit_s": np.sort(draw.integers(0, 3 * n, n)),
            "n_accelerators": draw.choice([1, 2, 3, 4, 8, 12, 16, 24, 80], n),
            "duration_s": duration,
            "estimate_s": duration * draw.integers(1, 4, n),
        }
    )
    if trial == "virtual clusters":
        jobs["vc"] = draw.choice(np.array(["a", "b", ""], dtype=object), n)
    if trial == _RANGES:
        asked = jobs["n_accelerators"]
        jobs["min_accelerators"] = np.maximum(1, asked // draw.integers(1, 5, n))
        jobs["max_accelerators"] = asked * draw.integers(1, 5, n)
    return jobs
