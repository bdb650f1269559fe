"""One job, as a policy sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["JobView"]


@dataclass(frozen=True, slots=True)
class JobView:
    """One job, as a policy sees it.

    Attributes
    ----------
    job : int
        Number of the job in the run, in order of submission.
    n_accelerators : int
        The number that it asks for.
    size : int
        The number that it holds if it runs; else that it asks for.
    pools : tuple of str
        The pools on which it can run, in order of preference.
    pool : str or None
        The pool on which it runs; None if it waits.
    start_s : float
        Time of the start of its present attempt, seconds; NaN if it waits.
    attained_s : float
        Time that it has run over all attempts, seconds.
    remaining_s : float
        Estimated run time that is left, seconds.
    columns : mapping of str to object
        Its values in the jobs table.

    Examples
    --------
    >>> from clustersim.scheduling import View, example_queue
    >>> view = View(example_queue(), [0, 1])
    >>> view.job(0).remaining_s
    60.0
    """

    job: int
    n_accelerators: int
    size: int
    pools: tuple[str, ...]
    pool: str | None
    start_s: float
    attained_s: float
    remaining_s: float
    columns: Mapping[str, Any]
