"""The table of a study's runs, in the order of its design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from clustersim.source_code import Code
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.design import column_value
from clustersim.studies.run_key import code_hash
from clustersim.studies.store import Outcome
from clustersim.studies.study import Study

__all__ = ["LEADING", "parameter_columns", "runs_table"]

Wanted = tuple[int, Mapping[str, Any], str]
LEADING = ("run", "point")
"""Columns before the parameters."""
FOLLOWING = ("draw", "replication", "status", "code")
"""Columns after the parameters and before the metrics."""


def runs_table(
    study: Study,
    wanted: Sequence[Wanted],
    outcomes: Mapping[str, Outcome],
    codes: Mapping[str, Code],
) -> pd.DataFrame:
    """Return a table with one row for each finished or failed run of a study.

    Parameters
    ----------
    study : Study
    wanted : sequence of (int, dict, str)
        Runs that the study needs: number of the request, changes and hash; see
        :meth:`~clustersim.studies.store.Store.study`.
    outcomes : mapping of str to Outcome
        Outcomes by hash; may include runs that do not belong to the study.
    codes : mapping of str to Code
        Versions of the code that made runs, by hash.

    Returns
    -------
    pandas.DataFrame
        ``run`` (its hash), ``point``, the parameters by path (quantities in SI), ``draw`` (-1 for
        the posterior mean of the coefficients, k for their k-th draw), ``replication``, ``status``
        (``finished`` or ``failed``), ``code`` (version and hash of the code that made it; see
        :class:`~clustersim.source_code.Code`), the metrics, and ``error``.  Points are numbered as
        in the design; points of a capacity search are numbered in the order of the trial values.
    """
    parameters = parameter_columns(study)
    searched = "" if study.spec.capacity is None else study.spec.capacity.of
    rows: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    for request, changes, key in wanted:
        if key not in outcomes:
            continue
        values = {path: column_value(changes[path]) for path in parameters}
        row = _row(key, changes, values, outcomes[key], study.spec.draws)
        made_by = codes.get(code_hash(key))
        row["code"] = code_hash(key) if made_by is None else made_by.label
        place = (request, values.get(searched, 0), row["draw"], row["replication"])
        rows.append((place, row))
    rows.sort(key=lambda item: item[0])
    points: dict[tuple[Any, ...], int] = {}
    for place, row in rows:
        number = points.setdefault(place[:2], len(points))
        row["point"] = number if searched else place[0]
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    metrics = [name for name in names if name not in (*parameters, *_FIXED)]
    columns = [*LEADING, *parameters, *FOLLOWING, *metrics, "error"]
    table = pd.DataFrame([row for _, row in rows], columns=columns)
    chips = [name for name in metrics if name.startswith("chips.")]
    absent = table[chips].isna() & (table["status"] == "finished").to_numpy()[:, None]
    return table.assign(**table[chips].mask(absent, 0.0))  # a pool that does not exist has 0 chips


_FIXED = (*LEADING, *FOLLOWING, "error")


def parameter_columns(study: Study) -> list[str]:
    """Return the paths of a study's parameters; the parameter of a capacity search is last."""
    spec = study.spec
    searched = [] if spec.capacity is None else [spec.capacity.of]
    return list(dict.fromkeys([*spec.varied, *searched]))


def _row(
    key: str,
    changes: Mapping[str, Any],
    values: Mapping[str, Any],
    outcome: Outcome,
    draws: int,
) -> dict[str, Any]:
    return {
        "run": key,
        "point": 0,
        **values,
        "draw": int(changes.get("performance.draw", POSTERIOR_MEAN)) if draws else POSTERIOR_MEAN,
        "replication": int(changes["replication"]),
        "status": "failed" if outcome.failed else "finished",
        "code": "",
        **outcome.metrics,
        "error": outcome.error,
    }
