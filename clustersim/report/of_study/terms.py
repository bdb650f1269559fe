"""Short definitions of the terms that the page of a study uses."""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.studies.study_result import StudyResult

__all__ = ["terms_sentence"]


def terms_sentence(result: StudyResult) -> str:
    """Return the definitions of the terms that this study uses; "" if it uses none."""
    found = [*_terms(result)]
    return f"Terms: {'; '.join(found)}." if found else ""


def _terms(result: StudyResult) -> Iterator[str]:
    tables = [result.points, result.differences, result.capacities]
    columns = [str(name) for table in tables if table is not None for name in table]
    if any("slowdown" in name for name in result.metrics):
        yield (
            "bounded slowdown: time from submission to finish divided by the run time (at least "
            "10 s), and never less than 1"
        )
    if any(name.endswith("_explained") for name in columns):
        yield (
            "control variate: a quantity with a known expectation, such as the work that arrives; "
            "its deviation in the replications corrects an estimate"
        )
    if result.study.spec.draws:
        yield "calibration: the coefficients of the performance model, fitted to measurements"
        yield (
            "draw: one set of coefficients from the distribution that the measurements leave "
            "possible; draw k is simulated with replication k"
        )
    if result.study.base.tree.get("horizon") is not None:
        yield "horizon: the end of the simulated time"
    yield "replication: one of several independent runs, with other random numbers"
