"""Short definitions of the terms on result pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["JCT", "LOAD", "SLOWDOWN", "USEFUL", "UTILISATION", "policy_terms", "terms_of"]

SLOWDOWN = (
    "bounded slowdown: time from submission to finish divided by the run time (at least 10 s), and "
    "never less than 1"
)
JCT = "JCT: job completion time, from submission to finish"
LOAD = "offered load: arriving work divided by what the fleet can do"
UTILISATION = "utilisation: allocated divided by available accelerator time"
USEFUL = (
    "useful FLOP/s: model FLOPs per second of the work that is kept, without work lost to failures"
)
_POLICIES = {
    "fcfs": "in order of submission; if the first job cannot start, all jobs behind it wait",
    "first_fit": "in order of submission; jobs that do not fit are skipped",
    "largest_first": "the largest gang first; jobs that do not fit are skipped",
    "smallest_first": "the smallest gang first; jobs that do not fit are skipped",
    "sjf": "the shortest estimated run time first; if this job cannot start, the others wait",
    "earliest_deadline": "the earliest deadline first; jobs that do not fit are skipped",
    "easy": "in order of submission, or earlier if a job delays no reservation (EASY backfilling)",
    "easy_sjbf": "as easy, but the shortest job is tried first for an earlier start",
    "conservative": "a job may start earlier only if it delays no job that was submitted before it",
    "priority": "the highest priority first; jobs preempt those of lower priority",
    "srtf": "jobs with less time left preempt those with more",
    "srsf": "jobs with less time x accelerators left preempt those with more",
    "las": "jobs that have run little preempt those that ran much (Tiresias)",
    "max_min_fairness": "time is divided so that the smallest relative rate is largest",
    "max_min_water_filling": "as max_min_fairness, then the second smallest rate, and so on",
    "finish_time_fairness": "time is divided so that no job ends much later than in isolation",
    "min_makespan": "time is divided so that the last of the present jobs ends as soon as possible",
    "max_throughput": "time is divided so that the sum of the jobs' rates is as large as possible",
    "max_throughput_per_cost": "as max_throughput, with each rate divided by the price",
    "multifactor": "by Slurm's multifactor priority, with backfilling",
    "drf": "the next job of the user with the smallest dominant share",
    "qssf": "the smallest predicted run time x accelerators first (Helios)",
    "kueue": "by quotas of queues and cohorts that lend each other what they do not use (Kueue)",
    "defragment": "as easy (or another policy), and small jobs move together to free entire nodes",
    "kai": "by fair shares of a tree of queues, with reclaim and consolidation (KAI-Scheduler)",
    "sia": "pools and sizes are chosen in rounds so that the jobs' goodputs are best (Sia)",
    "pollux": "sizes are chosen in rounds by the speed-ups against an equal share (Pollux)",
    "isolated": "each job has the time of an equal share of each pool",
}


def terms_of(definitions: Iterable[str]) -> str:
    """Return the sentence with some definitions; "" if there are none.

    Examples
    --------
    >>> terms_of([JCT, LOAD])[:40], terms_of([])
    ('Terms: JCT: job completion time, from su', '')
    """
    found = "; ".join(dict.fromkeys(definitions))
    return f"Terms: {found}." if found else ""


def policy_terms(names: Iterable[object]) -> Iterator[str]:
    """Yield the definitions of the built-in policies among some names.

    Examples
    --------
    >>> [*policy_terms(["easy_sjbf", "mine.py"])]
    ['easy_sjbf: as easy, but the shortest job is tried first for an earlier start']
    """
    for name in dict.fromkeys(map(str, names)):
        if name in _POLICIES:
            yield f"{name}: {_POLICIES[name]}"
