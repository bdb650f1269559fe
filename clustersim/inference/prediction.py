"""Predictions for rows of a table of serving measurements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.inference.calibration import (
    Effects,
    ServingCalibration,
    coefficients_of,
    image_coefficients_of,
)
from clustersim.inference.coefficients import Coefficients, ImageCoefficients
from clustersim.inference.images import ImageTask, ImageTasks, image_seconds
from clustersim.inference.intervals import bounds
from clustersim.inference.outcomes import language_values
from clustersim.inference.rows import ServedRow
from clustersim.inference.settings import Instance, Settings
from clustersim.inference.throughput import batch_for_tpot, serve

__all__ = ["Predicted", "image_model", "is_image", "language_model", "predict_rows"]


@dataclass(frozen=True, slots=True)
class Predicted:
    """Value of each row in its own measure, with the bounds of its 90 % interval."""

    value: Floats
    low: Floats
    high: Floats


def is_image(rows: Sequence[ServedRow]) -> Bools:
    """Return which rows make images or videos."""
    return np.array([isinstance(row.task, ImageTask) for row in rows], dtype=np.bool_)


def language_model(rows: Sequence[ServedRow]) -> Callable[[Coefficients], Floats]:
    """Return the function from coefficients to the values of rows of language models."""
    tasks = [row.task for row in rows if isinstance(row.task, Instance)]
    settings = Settings.of(tasks)
    measures, phases = [row.measure for row in rows], [row.phase for row in rows]
    devices = np.array([row.devices for row in rows])
    tpot_s = np.array([row.tpot_s for row in rows])
    limited = np.flatnonzero(np.isfinite(tpot_s))

    def values(c: Coefficients) -> Floats:
        service = serve(settings, c)
        if len(limited):
            kept = service.batch.copy()
            some = settings.take(limited)
            found = batch_for_tpot(some, c.take(limited), tpot_s[limited])
            kept[limited] = np.maximum(found, 1.0 / some.plans.replicas)
            service = serve(settings, c, kept)
        return language_values(measures, phases, devices, service, settings)

    return values


def image_model(rows: Sequence[ServedRow]) -> Callable[[ImageCoefficients], Floats]:
    """Return the function from coefficients to the values of rows of images and videos."""
    tasks = ImageTasks.of([row.task for row in rows if isinstance(row.task, ImageTask)])
    rates = np.array([row.measure == "images/s/chip" for row in rows], dtype=np.bool_)

    def values(c: ImageCoefficients) -> Floats:
        seconds = image_seconds(tasks, c)
        return np.where(rates, 1.0 / seconds, seconds)

    return values


def values_of_rows(
    rows: Sequence[ServedRow], language: Effects, images: Effects, *, new: bool = True
) -> Floats:
    """Return the value of each row in its own measure.

    Parameters
    ----------
    rows : sequence of ServedRow
    language, images : Effects
    new : bool
        Whether the rows are of new sources; otherwise the effects of their sources are used.
    """
    found = np.full(len(rows), np.nan)
    image = is_image(rows)
    for kind in (False, True):
        places = np.flatnonzero(image == kind)
        some = [rows[int(place)] for place in places]
        labels = [row.labels for row in some]
        if some and kind:
            found[places] = image_model(some)(image_coefficients_of(images, labels, new=new))
        elif some:
            found[places] = language_model(some)(coefficients_of(language, labels, new=new))
    return found


def predict_rows(rows: Sequence[ServedRow], calibration: ServingCalibration) -> Predicted:
    """Predict rows of sources that were not measured.

    A chip architecture without measurements adds to the spread of a row.
    """
    value = values_of_rows(rows, calibration.language, calibration.images)
    known = {label for _, level, label in calibration.language.offsets if level == "chip"}
    spread = np.array(
        [
            calibration.spread.of_row(
                row.kind, row.guessed | ({"chip"} if row.labels["chip"] not in known else set())
            )
            for row in rows
        ]
    )
    return Predicted(value, *bounds(value, spread))
