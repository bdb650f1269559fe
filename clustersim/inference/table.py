"""Predictions for a table of serving measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clustersim.brief import Brief
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError
from clustersim.inference.calibration import ServingCalibration, default_serving
from clustersim.inference.prediction import predict_rows
from clustersim.inference.row_values import RowError
from clustersim.inference.rows import COLUMNS, read_row

__all__ = ["ADDED", "ServingTable", "predict_serving"]

ADDED: Mapping[str, str] = {
    "predicted_value": "prediction in the row's own measure",
    "predicted_lo": "lower bound of its 90 % interval",
    "predicted_hi": "upper bound of its 90 % interval",
    "reason": "why the row cannot be predicted; otherwise empty",
    "predicted_note": "assumptions for blank cells; empty if there are none",
}
"""Columns that a prediction adds."""


@dataclass(frozen=True, repr=False)
class ServingTable(Brief):
    """A table with its predictions.

    Attributes
    ----------
    table : DataFrame
        All rows and columns of the input and those of :data:`ADDED`, as texts.
    predicted : int
        Number of rows with a prediction.

    Examples
    --------
    >>> import pandas as pd
    >>> from clustersim.inference import predict_serving
    >>> row = {"chip": "H200", "model": "llama3-8b", "measure": "output tokens/s/chip"}
    >>> predict_serving(pd.DataFrame([row])).predicted
    1
    """

    table: pd.DataFrame
    predicted: int

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return "ServingTable", {
            "rows": f"{len(self.table):,}",
            "predicted": f"{self.predicted:,}",
        }


def predict_serving(
    table: pd.DataFrame,
    calibration: ServingCalibration | None = None,
    *,
    catalogue: Catalogue | None = None,
    source: str = "table",
) -> ServingTable:
    """Predict every row in its own measure.

    Parameters
    ----------
    table : DataFrame
        A table with columns of :data:`clustersim.inference.rows.COLUMNS` and any others. Measured
        results are not used, except `tpot_ms` of a decode row whose batch is not stated.
    calibration : ServingCalibration, optional
        Default: the project's own.
    catalogue : Catalogue, optional
    source : str
        Name of the table in error messages.

    Returns
    -------
    ServingTable

    Raises
    ------
    InputError
        If the table has no rows, lacks the columns `chip` or `measure`, or has a column that would
        be added.

    Examples
    --------
    >>> import pandas as pd
    >>> from clustersim.inference import predict_serving
    >>> rows = pd.DataFrame(
    ...     {"chip": ["H200", "H2000"], "model": "llama3-70b", "measure": "output tokens/s/chip"}
    ... )
    >>> found = predict_serving(rows).table
    >>> bool(found["predicted_value"][0]), found["reason"][1][:40]
    (True, "chip: unknown chip 'H2000'; did you mean")
    """
    _check(table, source)
    calibration = default_serving() if calibration is None else calibration
    catalogue = load_catalogue() if catalogue is None else catalogue
    columns = {name: [""] * len(table) for name in ADDED}
    rows, places = [], []
    for place, values in enumerate(table.to_dict("records")):
        try:
            row = read_row({str(name): value for name, value in values.items()}, catalogue)
        except RowError as problem:
            columns["reason"][place] = str(problem)
            continue
        rows.append(row)
        places.append(place)
        columns["predicted_note"][place] = " ".join(row.notes)
    found = predict_rows(rows, calibration)
    for place, value, low, high in zip(places, found.value, found.low, found.high, strict=True):
        if not (np.isfinite(high) and low > 0):
            columns["reason"][place] = "The numbers of the row are too large or too small."
            continue
        columns["predicted_value"][place] = f"{value:.6g}"
        columns["predicted_lo"][place] = f"{low:.6g}"
        columns["predicted_hi"][place] = f"{high:.6g}"
    texts = table.astype(object).where(table.notna(), "")
    added = pd.DataFrame(columns, index=table.index, dtype=object)
    predicted = sum(bool(text) for text in columns["predicted_value"])
    return ServingTable(pd.concat([texts, added], axis=1), predicted)


def _check(table: pd.DataFrame, source: str) -> None:
    names = [str(name) for name in table.columns]
    problems = [
        f"{name}: the input already has a column of this name; rename or remove it"
        for name in ADDED
        if name in names
    ]
    problems += [
        f"{name}: the column is missing; the columns read are {', '.join(COLUMNS)}"
        for name in ("chip", "measure")
        if name not in names
    ]
    problems += [
        f"{name}: the column occurs twice" for name in dict.fromkeys(names) if names.count(name) > 1
    ]
    if not problems and not len(table):
        problems.append("has no rows")
    if problems:
        raise InputError(source, problems)
