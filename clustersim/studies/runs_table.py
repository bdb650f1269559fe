"""The table of a study's runs, in the order of its design."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from clustersim.studies.base import Run
from clustersim.studies.demands import demands
from clustersim.studies.design import column_value
from clustersim.studies.store import Outcome
from clustersim.studies.study import Study

__all__ = ["LEADING", "parameter_columns", "runs_table"]

LEADING = ("run", "point")
"""Columns before those of the parameters."""
FOLLOWING = ("world", "replication", "status")
"""Columns behind those of the parameters and before the metrics."""


def runs_table(study: Study, outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """Return a row for each run of a study that was made.

    Parameters
    ----------
    study : Study
    outcomes : mapping of str to Outcome
        By the hash of the run; also others than the study's.

    Returns
    -------
    pandas.DataFrame
        ``run`` (its hash), ``point``, the parameters by path (quantities in SI), ``world`` (-1 for
        the mean of the calibration's posterior, k for its k-th draw), ``replication``, ``status``
        (``finished`` or ``failed``), the metrics, and ``error``.
    """
    parameters = parameter_columns(study)
    rows: dict[str, dict[str, Any]] = {}
    order: list[tuple[Any, ...]] = []
    searched = "" if study.spec.capacity is None else study.spec.capacity.of
    for number, demand in enumerate(demands(study.spec, study.base, study.points)):
        for run in demand.wanted(outcomes):
            if run.key not in outcomes or run.key in rows:
                continue
            values = {path: column_value(run.changes[path]) for path in parameters}
            rows[run.key] = _row(run, values, outcomes[run.key])
            order.append((number, values.get(searched, 0), run.world, run.replication))
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    metrics = [name for name in names if name not in (*parameters, *_FIXED)]
    columns = [*LEADING, *parameters, *FOLLOWING, *metrics, "error"]
    table = pd.DataFrame(list(rows.values()), columns=columns)
    by = sorted(range(len(order)), key=order.__getitem__)
    table = table.iloc[by].reset_index(drop=True)
    points: dict[tuple[Any, ...], int] = {}
    numbers = [points.setdefault(order[index][:2], len(points)) for index in by]
    table["point"] = np.array(numbers, dtype=np.int64)
    return table


_FIXED = (*LEADING, *FOLLOWING, "error")


def parameter_columns(study: Study) -> list[str]:
    """Return the paths of a study's parameters, that of a capacity search last."""
    spec = study.spec
    searched = [] if spec.capacity is None else [spec.capacity.of]
    return list(dict.fromkeys([*spec.varied, *searched]))


def _row(run: Run, values: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    return {
        "run": run.key,
        **values,
        "world": run.world,
        "replication": run.replication,
        "status": "failed" if outcome.failed else "finished",
        **outcome.metrics,
        "error": outcome.error,
    }
