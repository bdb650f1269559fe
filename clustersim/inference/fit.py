"""Fit of the serving model's coefficients to published measurements.

Least squares on the logarithm of predicted over measured values, with a robust loss, because some
published runs are faulty or differ from what their page says. Every coefficient has a normal prior
on its logarithm, and effects of engines, chips and sources are shrunk towards 0 by theirs
(:mod:`clustersim.inference.parameters`).
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Bools, Floats
from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.inference.calibration import Effects, Key
from clustersim.inference.coefficients import Coefficients, ImageCoefficients
from clustersim.inference.parameters import IMAGE_PARAMETERS, PARAMETERS, Parameter
from clustersim.inference.prediction import image_model, is_image, language_model
from clustersim.inference.row_values import RowError
from clustersim.inference.rows import ServedRow, read_row

__all__ = ["MeasuredRows", "fit_rows", "own_rows", "read_measured"]

SCATTER = {"A": 0.20, "B": 0.30}
"""Standard deviation of the logarithm of a value by the quality of its row."""
IMAGE_SCATTER = 0.12
BEND = 1.5
"""Standard deviations beyond which a deviation counts less than quadratically."""
CROWD = 70.0
"""A source with this many rows counts as half of them."""
GUESSED = 0.5
"""Added share of the variance for each assumption of a row."""
MOST_EVALUATIONS = 40
STEP = 1e-5
TINY = 1e-14


@dataclass(frozen=True)
class MeasuredRows:
    """Measured rows that can be predicted.

    Attributes
    ----------
    table : DataFrame
        The rows as read, as texts.
    rows : list of ServedRow
    measured : array
        Values in the measure of each row.
    families : array of str
        Source of each row.
    left_out : dict of int to str
        Why other rows of the original table were left out, by position.
    """

    table: pd.DataFrame
    rows: list[ServedRow]
    measured: Floats
    left_out: dict[int, str]

    @property
    def families(self) -> np.ndarray[Any, np.dtype[Any]]:
        """Source of each row."""
        return self.table["family"].to_numpy(dtype=str)

    def only(self, kept: Bools) -> MeasuredRows:
        """Return the rows that `kept` marks."""
        return MeasuredRows(
            self.table[kept].reset_index(drop=True),
            [row for row, keep in zip(self.rows, kept, strict=True) if keep],
            self.measured[kept],
            self.left_out,
        )

    @property
    def fitted(self) -> Bools:
        """Rows that a fit uses: not those of images whose resolution, frames or steps are guessed.

        The time of an image is about proportional to each of them.
        """
        return np.array(["task" not in row.guessed for row in self.rows], dtype=np.bool_)


def own_table() -> pd.DataFrame:
    """Return the project's table of serving measurements as texts (``data/serving.csv``)."""
    data = resources.files("clustersim.inference") / "data" / "serving.csv"
    with data.open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)


def read_measured(table: pd.DataFrame, catalogue: Catalogue | None = None) -> MeasuredRows:
    """Read a table with measured values (column `value`) of known sources (column `family`)."""
    catalogue = load_catalogue() if catalogue is None else catalogue
    rows, values, kept, left_out = [], [], [], {}
    for place, values_of_row in enumerate(table.to_dict("records")):
        try:
            row = read_row({str(k): v for k, v in values_of_row.items()}, catalogue)
            value = float(str(values_of_row.get("value", "")))
            if not (np.isfinite(value) and value > 0):
                raise RowError("value: must be a number above 0")
        except (RowError, ValueError) as problem:
            left_out[place] = str(problem)
            continue
        rows.append(row)
        values.append(value)
        kept.append(place)
    return MeasuredRows(table.iloc[kept].reset_index(drop=True), rows, np.array(values), left_out)


@functools.cache
def own_rows() -> MeasuredRows:
    """Return the project's measured rows."""
    return read_measured(own_table())


def scatter_of(measured: MeasuredRows) -> Floats:
    """Return the standard deviation of the logarithm with which each row is fitted.

    The rows of one source share its peculiarities, so many of them say less than as many sources.
    """
    crowd = Counter(measured.families)
    quality = measured.table.get("quality")
    grades = ["B"] * len(measured.rows) if quality is None else list(quality)
    found = []
    for row, grade, family in zip(measured.rows, grades, measured.families, strict=True):
        image = row.measure.startswith(("seconds", "images"))
        own = IMAGE_SCATTER if image and grade == "A" else SCATTER.get(grade, SCATTER["B"])
        share = 0.0 if image else crowd[family] / CROWD
        found.append(own * np.sqrt((1.0 + share) * (1.0 + GUESSED * len(row.guessed))))
    return np.array(found)


def fit_rows(
    measured: MeasuredRows, begin: tuple[Effects, Effects] | None = None
) -> tuple[Effects, Effects]:
    """Fit the coefficients of language models and of images.

    Parameters
    ----------
    measured : MeasuredRows
    begin : tuple of Effects, optional
        Where to begin; a fit that leaves a source out begins at the fit to all sources.

    Returns
    -------
    language, images : Effects
    """
    used = measured.only(measured.fitted)
    image = is_image(used.rows)
    language, images = (Effects(), Effects()) if begin is None else begin
    some = used.only(~image)
    if some.rows:
        of_text = language_model(some.rows)
        language = _fit(some, PARAMETERS, lambda v: of_text(Coefficients(*v)), language)
    some = used.only(image)
    if some.rows:
        of_image = image_model(some.rows)
        images = _fit(some, IMAGE_PARAMETERS, lambda v: of_image(ImageCoefficients(*v)), images)
    return language, images


def _keys(parameters: Sequence[Parameter], rows: Sequence[ServedRow]) -> list[Key]:
    """Return the key of every base value and of every effect that the rows have."""
    keys = [(parameter.name, "", "") for parameter in parameters]
    for parameter in parameters:
        for level in parameter.effects:
            labels = sorted({row.labels[level] for row in rows})
            keys += [(parameter.name, level, label) for label in labels]
    return keys


def _fit(
    measured: MeasuredRows,
    parameters: Sequence[Parameter],
    predict: Callable[[list[Floats]], Floats],
    begin: Effects,
) -> Effects:
    from scipy.optimize import least_squares

    keys = _keys(parameters, measured.rows)
    by_name = {parameter.name: parameter for parameter in parameters}
    spread = np.array(
        [by_name[n].effects[level] if level else by_name[n].spread for n, level, _ in keys]
    )
    design = (
        np.array(
            [
                [
                    [
                        name == parameter.name and row.labels.get(level, "") == label
                        for name, level, label in keys
                    ]
                    for row in measured.rows
                ]
                for parameter in parameters
            ],
            dtype=np.float64,
        )
        * spread
    )
    log_value, scatter = np.log(measured.measured), scatter_of(measured)

    def log_values(offsets: Floats) -> Floats:
        found = predict([p.natural(one) for p, one in zip(parameters, offsets, strict=True)])
        return (np.log(found) - log_value) / scatter

    def deviations(scaled: Floats) -> Floats:
        off = log_values(design @ scaled)
        bent = BEND * np.sqrt(2.0 * (np.sqrt(1.0 + (off / BEND) ** 2) - 1.0))
        return np.concatenate([np.sign(off) * bent, scaled])

    def slopes(scaled: Floats) -> Floats:
        # A row depends on its own coefficients only, so one change of each coefficient is enough.
        offsets = design @ scaled
        off = log_values(offsets)
        changes = STEP * np.eye(len(parameters))[:, :, None]
        by_coefficient = [(log_values(offsets + change) - off) / STEP for change in changes]
        root = np.sqrt(1.0 + (off / BEND) ** 2)
        size = np.sqrt(2.0 * np.maximum(root - 1.0, TINY))
        bend = np.abs(off) / BEND / root / size
        rows = np.einsum("pr,prk->rk", np.array(by_coefficient), design) * bend[:, None]
        return np.concatenate([rows, np.eye(len(scaled))])

    start = np.array([begin.offsets.get(key, 0.0) for key in keys]) / spread
    found = least_squares(
        deviations, start, jac=slopes, max_nfev=MOST_EVALUATIONS, ftol=1e-6, xtol=1e-6
    )
    offsets = found.x * spread
    return Effects({key: float(value) for key, value in zip(keys, offsets, strict=True)})
