"""Requests of a study whose runs are not simulated: a formula gives their metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustersim.studies.base import Run
from clustersim.studies.run_requests import RunRequest, run_requests
from clustersim.studies.store import Outcome
from clustersim.studies.study import Study

Measure = Callable[[Mapping[str, Any], int, int], dict[str, float]]
"""Metrics of a run from its changes, its draw and its replication."""


def outcome(run: Run, measure: Measure) -> Outcome:
    """The outcome of a run; without other numbers, no queue piles up."""
    usual = {"offered_load": 0.5, "backlog_growth": 0.0, "wait_rise_s": 0.0}
    metrics = {**usual, **measure(run.changes, run.draw, run.replication)}
    return Outcome(run.key, metrics, error="", samples={})


def concluded(request: RunRequest, measure: Measure, order: int = 1) -> list[Run]:
    """All runs of a request, whose outcomes arrive one after the other, perhaps backward."""
    known: dict[str, Outcome] = {}
    at_least, most = request.at_least(), 0
    while True:
        runs = request.wanted(known)
        most = max(most, request.at_most())
        fresh = [run for run in runs if run.key not in known]
        if not fresh:
            assert at_least <= len(runs) <= most
            return runs
        for run in fresh[::order]:
            known[run.key] = outcome(run, measure)


def parts_of(study: Study, measure: Measure, order: int = 1) -> dict[int, Sequence[Run]]:
    """The runs of each point or search of a study."""
    found = {}
    for request in run_requests(study.spec, study.base, study.points):
        runs = concluded(request, measure, order)
        found |= dict(request.parts(runs))
    return found


def noise(number: int, of: str = "") -> float:
    """A normal number of a replication, the same for all systems."""
    return float(np.random.default_rng([number, *of.encode()]).standard_normal())


def runs_of(study: Study, measure: Measure) -> pd.DataFrame:
    """The table of the runs of the only search of a study, as its result has it."""
    assert study.spec.capacity is not None
    (runs,) = parts_of(study, measure).values()
    rows = [
        {
            "run": run.key,
            "draw": run.draw,
            "replication": run.replication,
            study.spec.capacity.of: float(run.changes[study.spec.capacity.of]),
            "status": "finished",
            **outcome(run, measure).metrics,
        }
        for run in runs
    ]
    return pd.DataFrame(rows)
