"""Serving capacity per chip by model and chip, for the planning of a fleet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from clustersim.catalogue import Catalogue, load_catalogue
from clustersim.errors import InputError, shown
from clustersim.inference.calibration import (
    ServingCalibration,
    default_serving,
    image_coefficients_of,
)
from clustersim.inference.candidates import candidate_plans, usual_sizes
from clustersim.inference.engines import BINARY
from clustersim.inference.images import ImageTask, ImageTasks, image_seconds
from clustersim.inference.intervals import bounds
from clustersim.inference.model_facts import is_diffusion, served_model
from clustersim.inference.precisions import PRECISIONS
from clustersim.inference.row_plan import device_of
from clustersim.inference.served_model import ServedModel
from clustersim.inference.serving import ServingEstimate, released_weights, served_options
from clustersim.inference.serving_load import ServingLoad, load_problems

__all__ = ["serving_capacity", "video_capacity"]


def serving_capacity(
    models: Sequence[str],
    accelerators: Sequence[str],
    *,
    load: ServingLoad | None = None,
    calibration: ServingCalibration | None = None,
    catalogue: Catalogue | None = None,
) -> pd.DataFrame:
    """Return what one chip serves of each language model, with the best instance and plan.

    Parameters
    ----------
    models, accelerators : sequence of str
    load : ServingLoad, optional
        Lengths of requests and the limit of latency (default: 4,000 tokens in, 1,000 out, and 50 ms
        per output token).
    calibration : ServingCalibration, optional
        Default: the project's own.
    catalogue : Catalogue, optional

    Returns
    -------
    DataFrame
        One row for each model and chip: model, accelerator, count (chips of an instance), plan,
        weights, batch_per_chip, tpot_s, prefill_tokens_per_s and decode_tokens_per_s (of chips that
        do only that), output_tokens_per_s (of chips that do both) with low and high (its 90 %
        interval), all per chip, binds, and reason (why a chip cannot serve the model).

    Raises
    ------
    InputError
        If a name is unknown, a number is out of range, or a model makes images or videos.

    Examples
    --------
    >>> from clustersim.inference import serving_capacity
    >>> found = serving_capacity(["doubao-class"], ["H200", "H20"])
    >>> bool(found.output_tokens_per_s[0] > found.output_tokens_per_s[1])
    True
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    calibration = default_serving() if calibration is None else calibration
    load = ServingLoad(tpot_s=0.05) if load is None else load
    problems = load_problems(load)
    if load.batch is not None:
        problems.append(
            "batch: the capacity of a chip follows from a limit of latency, not a batch"
        )
    if problems:
        raise InputError("serving capacity", problems)
    rows = []
    for name in models:
        model = served_model(name, catalogue)
        if is_diffusion(model):
            raise InputError("serving capacity", f"{name} makes images or videos: video_capacity")
        for chip in accelerators:
            found = _best_instance(model, chip, load, calibration, catalogue)
            rows.append(_row(found))
    return pd.DataFrame(rows)


def _best_instance(
    model: ServedModel,
    accelerator: str,
    load: ServingLoad,
    calibration: ServingCalibration,
    catalogue: Catalogue,
) -> ServingEstimate:
    chip = catalogue.accelerator(accelerator)
    device, dies = device_of(chip)
    weights = released_weights(load.weights, device, model)
    sizes = usual_sizes(model, device.hbm_bytes * BINARY, PRECISIONS[weights].weight_bytes)
    counts = sorted({max(1, int(np.ceil(size / dies))) for size in sizes})
    plans = [(n, plan) for n in counts for plan in candidate_plans(model, int(n * dies))]
    return served_options(model, chip, plans, load, calibration).best(calibration)


def _row(found: ServingEstimate) -> dict[str, object]:
    rates = {
        "tpot_s": found.tpot_s,
        "prefill_tokens_per_s": found.prefill_tokens_per_s,
        "decode_tokens_per_s": found.decode_tokens_per_s,
        "output_tokens_per_s": found.output_tokens_per_s,
        "low": found.output_tokens_per_s * found.low,
        "high": found.output_tokens_per_s * found.high,
    }
    return {
        "model": found.model,
        "accelerator": found.accelerator,
        "count": found.count,
        "plan": found.plan,
        "weights": found.weights,
        "batch_per_chip": found.batch / found.count,
        **(dict.fromkeys(rates, np.nan) if found.reason else rates),
        "binds": "" if found.reason else found.decode_binds,
        "reason": found.reason,
    }


def video_capacity(
    models: Sequence[str],
    accelerators: Sequence[str],
    *,
    width: float = 1280.0,
    height: float = 720.0,
    frames: float = 81.0,
    steps: float = 50.0,
    count: int = 8,
    calibration: ServingCalibration | None = None,
    catalogue: Catalogue | None = None,
) -> pd.DataFrame:
    """Return how many videos (or images) one chip makes per second.

    Parameters
    ----------
    models, accelerators : sequence of str
    width, height, frames, steps : float
        Size of a video in pixels and frames, and denoising steps; `frames` is 1 for images.
    count : int
        Chips that work on one video.
    calibration : ServingCalibration, optional
        Default: the project's own.
    catalogue : Catalogue, optional

    Returns
    -------
    DataFrame
        One row for each model and chip: model, accelerator, count, seconds (of one video on `count`
        chips), videos_per_s (per chip) with low and high (its 90 % interval).

    Raises
    ------
    InputError
        If a name is unknown, a number is not positive, or a model is a language model.

    Examples
    --------
    >>> from clustersim.inference import video_capacity
    >>> found = video_capacity(["jimeng-class"], ["H200", "H20"])
    >>> bool(found.videos_per_s[0] > found.videos_per_s[1])
    True
    """
    catalogue = load_catalogue() if catalogue is None else catalogue
    calibration = default_serving() if calibration is None else calibration
    sizes = {"width": width, "height": height, "frames": frames, "steps": steps, "count": count}
    problems = [
        f"{name}: must be a number above 0, found {shown(value)}"
        for name, value in sizes.items()
        if not 0 < value < 1e9
    ]
    if problems:
        raise InputError("video capacity", problems)
    tasks, labels = [], []
    for name in models:
        model = served_model(name, catalogue)
        if not is_diffusion(model):
            raise InputError("video capacity", f"{name} is a language model: serving_capacity")
        for accelerator in accelerators:
            chip = catalogue.accelerator(accelerator)
            tasks.append(ImageTask(chip, model, float(count), width, height, frames, steps))
            labels.append({"chip": chip.name if chip.family == "other" else chip.family})
    seconds = image_seconds(ImageTasks.of(tasks), image_coefficients_of(calibration.images, labels))
    rate = 1.0 / seconds / count
    known = {label for _, level, label in calibration.images.offsets if level == "chip"}
    kind = "videos" if frames > 1 else "images"
    spread = [
        calibration.spread.of_row(kind, set() if label["chip"] in known else {"chip"})
        for label in labels
    ]
    low, high = bounds(rate, np.array(spread))
    return pd.DataFrame(
        {
            "model": [task.model.name for task in tasks],
            "accelerator": [task.chip.name for task in tasks],
            "count": count,
            "seconds": seconds,
            "videos_per_s": rate,
            "low": low,
            "high": high,
        }
    )
