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
    "sjf": "the shortest estimated run time first; if this job cannot start, the others wait",
    "easy": "in order of submission, or earlier if a job delays no reservation (EASY backfilling)",
    "easy_sjbf": "as easy, but the shortest job is tried first for an earlier start",
    "conservative": "a job may start earlier only if it delays no job that was submitted before it",
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
