"""What the answer card of a capacity search says if the search found no number."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clustersim.plots.axis import Axis, axis_of
from clustersim.plots.capacity_at import why_no_number
from clustersim.plots.study_axes import number_in_words
from clustersim.report.answer_parts import failures, full_version
from clustersim.report.page import Answer
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted

__all__ = ["beyond", "beyond_the_range", "no_capacity"]


def beyond(result: StudyResult, axes: Mapping[str, Axis], kind: str) -> str:
    """Return the text for a capacity beyond the searched range, such as ``more than 1,700``.

    Parameters
    ----------
    result : StudyResult
    axes : mapping of str to Axis
    kind : {"kept", "missed"}
        Whether the objective was met or missed at every value.
    """
    search = result.study.spec.capacity
    assert search is not None
    axis = axes.get(search.of, axis_of(search.of))
    low, high = (number_in_words(end, axis) for end in search.between)
    above = (kind == "kept") == (search.more_is == "worse")
    return f"more than {high}" if above else f"less than {low}"


def beyond_the_range(result: StudyResult, axes: Mapping[str, Axis]) -> str:
    """Return a clause on the searches without a number, if other searches have one."""
    table = result.capacities
    assert table is not None
    kinds, _ = why_no_number(table, "capacity")
    parts = []
    for kind, verb in (("kept", "met"), ("missed", "missed")):
        if count := int((kinds == kind).sum()):
            parts.append(
                f", and {beyond(result, axes, kind)} in {count} of {len(table)} cases ({verb} at "
                "every value tried)"
            )
    if count := int((kinds == "none").sum()):
        parts.append(f", and unknown in {count} of {len(table)} cases")
    return "".join(parts)


def no_capacity(result: StudyResult, axes: Mapping[str, Axis], limit: str) -> Answer:
    """Return the answer card of a study in which no search found a capacity."""
    spec, table = result.study.spec, result.capacities
    assert table is not None
    assert spec.capacity is not None
    assert spec.objective is not None
    searched = axes.get(spec.capacity.of, axis_of(spec.capacity.of))
    kinds = set(why_no_number(table, "capacity")[0])
    cases = f" in all {counted(len(table), 'case')}" if len(table) > 1 else ""
    if kinds not in ({"kept"}, {"missed"}):
        notes = "; ".join(dict.fromkeys(str(note) for note in table["note"] if note))
        return Answer(
            f"Not answered: no search found the {searched.label} at the objective ({limit}): "
            f"{notes or 'nothing is known'}.",
            hinges_on=tuple(failures(result)),
            next_steps=(
                *full_version(result),
                "Read the note of each search in the table, and correct its cause.",
            ),
        )
    (kind,) = kinds
    number = beyond(result, axes, kind)
    if kind == "missed":
        sentence = (
            f"Not answered: the objective ({limit}) is missed at every value of {searched.label} "
            f"tried{cases}; the capacity is {number}"
        )
        step = "Widen the range of the search (capacity: between), or relax the objective."
    else:
        idle = _nobody_waits(result)
        why = "no job waits in any run, so nothing separates the cases" if idle else ""
        sentence = (
            f"Not answered: the objective ({limit}) is met at every value of {searched.label} "
            f"tried{cases}{f', and {why}' if why else ''}; the capacity is {number}"
        )
        step = "Widen the range of the search (capacity: between)."
        if idle:
            step = (
                "Simulate more jobs (workload.jobs), so that queues can form; then widen the "
                "range of the search (capacity: between)."
            )
    quick = full_version(result)
    return Answer(
        f"{sentence}.",
        f"{searched.label} at the objective",
        number,
        "no 95 % interval: no run is beyond this value",
        tuple(failures(result)),
        tuple(quick or [step]),
    )


def _nobody_waits(result: StudyResult) -> bool:
    """Return whether the metric of the objective, a wait, is 0 in every run."""
    objective = result.study.spec.objective
    assert objective is not None
    if "wait" not in objective.metric or objective.metric not in result.runs:
        return False
    values = result.runs[objective.metric].to_numpy(dtype=np.float64)
    values = values[~np.isnan(values)]
    return bool(len(values) and (values == 0).all())
