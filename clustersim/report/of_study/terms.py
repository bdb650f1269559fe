"""Short definitions of the terms that the page of a study uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clustersim.report.words.definitions import (
    JCT,
    LOAD,
    SLOWDOWN,
    USEFUL,
    UTILISATION,
    policy_terms,
    terms_of,
)
from clustersim.studies.search_spec import LOAD as _LOAD
from clustersim.studies.study_result import StudyResult

__all__ = ["terms_sentence"]

_POLICY = "scheduler.policy"


def terms_sentence(result: StudyResult) -> str:
    """Return the definitions of the terms that this study uses; "" if it uses none."""
    return terms_of(_terms(result))


def _terms(result: StudyResult) -> Iterator[str]:
    tables = [result.points, result.differences, result.capacities]
    columns = [str(name) for table in tables if table is not None for name in table]
    scheduler = result.study.base.tree.get("scheduler")
    policy = scheduler.get("policy") if isinstance(scheduler, Mapping) else None
    policies = result.points.get(_POLICY, [policy])
    for part, definition in (
        ("useful_flop", USEFUL),
        ("utilisation", UTILISATION),
        ("jct", JCT),
        ("slowdown", SLOWDOWN),
    ):
        if any(part in name for name in result.metrics):
            yield definition
    if _LOAD in result.parameters or "offered_load" in result.metrics:
        yield LOAD
    yield from policy_terms(policies)
    if any(name.endswith("_explained") for name in columns):
        yield (
            "control variate: a quantity with a known expectation, such as the work that arrives; "
            "its deviation in the replications corrects an estimate"
        )
    if result.study.spec.draws:
        searched = result.study.spec.capacity is not None
        how = "searched with one replication" if searched else "simulated with replication k"
        yield "calibration: the coefficients of the performance model, fitted to measurements"
        yield (
            "draw: one set of coefficients from the distribution that the measurements leave "
            f"possible; draw k is {how}"
        )
    if result.study.base.tree.get("horizon") is not None:
        yield "horizon: the end of the simulated time"
    yield "replication: one of several independent runs, with other random numbers"
