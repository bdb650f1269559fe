"""How well the model compares two plans of one job, from measured runs with different plans."""

from __future__ import annotations

import dataclasses
from collections import defaultdict

import numpy as np

from clustersim.array_types import Bools
from clustersim.calibration.cross_validation import LeftOut
from clustersim.calibration.measurements import Measurements

__all__ = ["plan_errors"]

LEAST = 10
"""With fewer comparisons, nothing is said."""


def plan_errors(measured: Measurements, left: LeftOut) -> dict[str, dict[str, float]]:
    """Return the scatter of left-out predictions between plans of one job, by kind of model.

    Runs of one family, chip, number of chips, model, sequence length, precision, software release
    and kind of training are one job. Their step times are compared per token.

    Returns
    -------
    dict
        For ``dense`` and ``mixture``, if there are enough runs: ``scatter``, the standard deviation
        of the error (logarithm) of one plan relative to the other plans of its job; ``variation``,
        that of the measured step times; ``comparisons``, the number of runs less that of jobs.

    Examples
    --------
    >>> from clustersim.calibration import load_measurements
    >>> measured = load_measurements()
    >>> none = np.zeros(len(measured.rows))
    >>> exact = LeftOut(none, none, np.arange(none.size), [{}] * none.size)
    >>> found = plan_errors(measured, exact)
    >>> found["dense"]["scatter"], found["dense"]["variation"] > 0
    (0.0, True)
    """
    rows = measured.rows
    measured_s = np.log(measured.step_time_s / (rows.global_batch * rows.models.seq_len))
    shapes = np.stack(
        [getattr(rows.models, field.name) for field in dataclasses.fields(rows.models)], axis=1
    )
    kinds = measured.table.reindex(columns=["kind"])["kind"].fillna("").astype(str)
    jobs: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, (family, chip, count, shape, labels, kind) in enumerate(
        zip(
            measured.families.tolist(),
            rows.accelerators,
            rows.plans.chips.tolist(),
            shapes.tolist(),
            rows.labels,
            kinds,
            strict=True,
        )
    ):
        key = (family, chip.name, count, tuple(shape), labels, bool(rows.chips.fp8[place]), kind)
        jobs[key].append(place)

    def summary(mixture: Bools) -> dict[str, float]:
        groups = [np.array(job) for job in jobs.values() if len(job) > 1 and mixture[job[0]]]
        number = sum(group.size - 1 for group in groups)
        if number < LEAST:
            return {}

        def deviation(values: np.ndarray) -> float:
            squares = [np.sum((values[group] - values[group].mean()) ** 2) for group in groups]
            return round(float(np.sqrt(np.sum(squares) / number)), 4)

        return {
            "scatter": deviation(left.log_error),
            "variation": deviation(measured_s),
            "comparisons": number,
        }

    experts = rows.models.n_experts > 0
    found = {"dense": summary(~experts), "mixture": summary(experts)}
    return {name: values for name, values in found.items() if values}
