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
"""Columns before those of the parameters."""
FOLLOWING = ("draw", "replication", "status", "code")
"""Columns behind those of the parameters and before the metrics."""


def runs_table(
    study: Study,
    wanted: Sequence[Wanted],
    outcomes: Mapping[str, Outcome],
    codes: Mapping[str, Code],
) -> pd.DataFrame:
    """Return a row for each run of a study that was made.

    Parameters
    ----------
    study : Study
    wanted : sequence of (int, dict, str)
        Runs that the study wants: the number of the request, the changes and the hash; see
        :meth:`~clustersim.studies.store.Store.study`.
    outcomes : mapping of str to Outcome
        By the hash of the run; also others than the study's.
    codes : mapping of str to Code
        The code that made runs, by its hash.

    Returns
    -------
    pandas.DataFrame
        ``run`` (its hash), ``point``, the parameters by path (quantities in SI), ``draw`` (-1 for
        the mean of the calibration's posterior, k for its k-th draw), ``replication``, ``status``
        (``finished`` or ``failed``), ``code`` (version and hash of the code that made it; see
        :class:`~clustersim.source_code.Code`), the metrics, and ``error``.  Points are numbered as
        in the design; those of a capacity search in the order of the tried values.
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
    return table.assign(**table[chips].mask(absent, 0.0))  # of a pool that is left out


_FIXED = (*LEADING, *FOLLOWING, "error")


def parameter_columns(study: Study) -> list[str]:
    """Return the paths of a study's parameters, that of a capacity search last."""
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
