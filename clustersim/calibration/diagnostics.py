"""Diagnostics of a fit: errors by group, coefficients, correlations, sources of uncertainty."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.array_types import Floats
from clustersim.calibration.calibrate import Calibrated
from clustersim.calibration.fit_problem import log_seconds
from clustersim.estimation.configurations import Configurations
from clustersim.performance import LEVELS, PARAMETERS, Calibration, evaluate
from clustersim.performance.coefficient_draw import Key

__all__ = [
    "GROUPS",
    "base_coefficients",
    "correlations",
    "effects",
    "group_errors",
    "movers",
    "row_table",
    "uncertainty_by_group",
]


GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "matrix products": ("matmul_efficiency", "balance", "fp8_efficiency", "matmul_traffic"),
        "attention": ("attention_efficiency", "softmax_width", "attention_ramp", "score_bytes"),
        "memory-bound work": (
            "memory_efficiency",
            "elementwise_traffic",
            "modulation",
            "cast_traffic",
            "logit_bytes",
            "optimizer_bytes",
        ),
        "overhead of layers and steps": ("layer_s", "fixed_s", "straggling", "launch_s"),
        "links": ("scaleup_factor", "nic_factor", "latency_factor", "hop_latency_s"),
        "tensor and context parallelism": ("tp_overlap", "cp_overlap"),
        "pipeline": ("pp_overlap",),
        "data parallelism": (
            "dp_overlap",
            "zero3_overlap",
            "gradient_bytes",
            "weight_messages",
            "zero3_messages",
        ),
        "experts": (
            "ep_overlap",
            "exchange_factor",
            "expert_imbalance",
            "grouped_slowdown",
            "grouped_fp8",
            "grouped_traffic",
            "expert_s",
            "mixture_s",
            "permutation_traffic",
        ),
        "whole step": ("slowdown",),
    }
)
"""Coefficients by part of the performance model."""

SCALES = ((8, "to 8"), (64, "9 to 64"), (512, "65 to 512"), (4096, "513 to 4,096"))
LARGEST_SCALE = "over 4,096"
BY_NAME = MappingProxyType({parameter.name: parameter for parameter in PARAMETERS})
DRAWS = 200
STEP = 1e-4
"""Step of the finite differences, on the unbounded scale."""


def row_table(calibrated: Calibrated, *, own: int = 0) -> pd.DataFrame:
    """Return one row per measurement, with its properties and its fitted and left-out errors.

    Parameters
    ----------
    calibrated : Calibrated
    own : int
        Number of rows at the end of the table that come from a user; the other rows are published.

    Returns
    -------
    DataFrame
        ``id, family, publisher, published, chip, stack, generation, chips, scale, precision, kind,
        model, model_kind, plan_kind``; ``part`` (the part with the most seconds after the matrix
        products), ``quality``; ``complete`` (quality A and complete), ``whole`` (complete),
        ``measured_s``, ``fitted_error``. If rows were left out, the errors `within` families and
        `across` publishers have columns with the suffixes ``_error`` (predicted over measured, less
        1), ``_s`` (predicted), ``_lo_s``, ``_hi_s`` (90 % interval) and ``_covered`` (in the
        interval). The width of each interval was set by the rows of other folds or publishers.
    """
    measured, rows = calibrated.measured, calibrated.measured.rows
    table = measured.table
    chips = rows.plans.chips
    numbered = pd.Series([f"row {place + 1}" for place in range(len(table))], index=table.index)
    names = table["id"].fillna(numbered) if "id" in table else numbered
    scale = [next((name for most, name in SCALES if n <= most), LARGEST_SCALE) for n in chips]
    product = [labels[LEVELS.index("product")] for labels in rows.labels]
    result = pd.DataFrame(
        {
            "id": names.to_numpy(dtype=str),
            "family": measured.families,
            "publisher": measured.publishers,
            "published": np.arange(len(table)) < len(table) - own,
            "chip": [chip.name for chip in rows.accelerators],
            "stack": product,
            "generation": _generation(table, product),
            "chips": chips.astype(np.int64),
            "scale": pd.Categorical(scale, [*(name for _, name in SCALES), LARGEST_SCALE]),
            "precision": np.where(rows.chips.fp8, "fp8", "bf16"),
            "kind": _text(table, "kind", "pretrain"),
            "model": _text(table, "model", ""),
            "model_kind": np.where(rows.models.n_experts > 0, "mixture", "dense"),
            "plan_kind": _plan_kind(rows),
            "part": _largest_part(rows, calibrated.calibration),
            "quality": table["quality"].fillna("A").str.upper().to_numpy(dtype=str),
            "complete": measured.complete,
            "whole": measured.whole,
            "measured_s": measured.step_time_s,
            "fitted_error": np.expm1(calibrated.fit.residuals[: len(table)]),
        }
    )
    for name, left in (("within", calibrated.within), ("across", calibrated.across)):
        if left is not None:
            seconds = result["measured_s"] * np.exp(left.log_error)
            result[f"{name}_error"] = left.error
            result[f"{name}_s"] = seconds
            result[f"{name}_lo_s"] = seconds * np.exp(-left.half_width)
            result[f"{name}_hi_s"] = seconds * np.exp(left.half_width)
            result[f"{name}_covered"] = left.covered
    return result


def _generation(table: pd.DataFrame, product: Sequence[str]) -> list[str]:
    """Return the software product of each row with the year of the run, if it is given."""
    years = _text(table, "year", "")
    return [f"{name} {year[:4]}".strip() for name, year in zip(product, years, strict=True)]


def _plan_kind(rows: Configurations) -> NDArray[np.str_]:
    """Return the kind of parallelism of each row, the rarest kind first."""
    plans = rows.plans
    kinds = {
        "expert parallel": plans.ep > 1,
        "pipeline": plans.pp > 1,
        "tensor or context parallel": (plans.tp > 1) | (plans.cp > 1),
        "ZeRO-3": plans.zero == 3,
    }
    return np.select(list(kinds.values()), list(kinds), "data parallel")


def _text(table: pd.DataFrame, column: str, default: str) -> NDArray[np.str_]:
    if column not in table:
        return np.full(len(table), default)
    return table[column].fillna(default).to_numpy(dtype=str)


def _largest_part(rows: Configurations, calibration: Calibration) -> list[str]:
    """Return the longest part of each row's step, other than the matrix products."""
    if not len(rows):
        return []
    step = evaluate(
        rows.models,
        rows.chips,
        rows.plans,
        global_batch=rows.global_batch,
        coefficients=calibration.mean_draw().coefficients(rows.labels),
        memory=rows.memory,
    )
    names = [name for name in step.parts if name != "matmul"]
    seconds = np.stack([np.broadcast_to(step.parts[name], len(rows)) for name in names])
    return [names[place].replace("_", " ") for place in seconds.argmax(axis=0)]


def group_errors(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """Summarise errors by a column of :func:`row_table`.

    Returns
    -------
    DataFrame
        Index: the groups. ``rows``; ``fitted_median`` (of absolute errors), ``fitted_bias`` (median
        of signed errors). If rows were left out, the columns with the prefixes ``within_`` and
        ``across_`` are ``median``, ``mean`` and ``p90`` of absolute errors, ``bias`` and
        ``covered`` (share of rows in their 90 % interval).
    """
    records = {}
    for label, part in rows.groupby(by, sort=True, observed=True):
        records[str(label)] = {
            "rows": len(part),
            "fitted_median": part["fitted_error"].abs().median(),
            "fitted_bias": part["fitted_error"].median(),
            **{
                f"{name}_{measure}": value
                for name in ("within", "across")
                if f"{name}_error" in part
                for measure, value in _summary(part, name).items()
            },
        }
    return pd.DataFrame.from_dict(records, orient="index").rename_axis(by)


def _summary(part: pd.DataFrame, name: str) -> dict[str, float]:
    error = part[f"{name}_error"]
    return {
        "median": float(error.abs().median()),
        "mean": float(error.abs().mean()),
        "p90": float(error.abs().quantile(0.9)),
        "bias": float(error.median()),
        "covered": float(part[f"{name}_covered"].mean()),
    }


def base_coefficients(calibration: Calibration) -> pd.DataFrame:
    """Return each coefficient without group effects: prior, estimate and standard error.

    Returns
    -------
    DataFrame
        Index: parameter. ``prior, prior_error, estimate, standard_error`` in natural units (errors
        are scaled by the slope of the transformation), ``moved`` (distance from the prior in
        standard deviations of the prior), ``known`` (1 minus posterior variance over prior
        variance), ``meaning``.
    """
    place = {key: index for index, key in enumerate(calibration.keys)}
    errors = calibration.standard_errors()
    records = {}
    for parameter in PARAMETERS:
        index = place.get((parameter.name, "base", ""))
        spread = parameter.spread.get("base", 0.0)
        moved = 0.0 if index is None else float(calibration.mean[index])
        error = spread if index is None else float(errors[index])
        estimate = float(parameter.natural(np.array(parameter.centre + spread * moved)))
        slopes = [
            value * (1.0 - value) if parameter.scale == "logit" else value
            for value in (parameter.mean, estimate)
        ]
        records[parameter.name] = {
            "prior": parameter.mean,
            "prior_error": slopes[0] * spread,
            "estimate": estimate,
            "standard_error": slopes[1]
            * error
            * (1.0 if index is None else calibration.overdispersion),
            "moved": moved,
            "known": 1.0 - (error / spread) ** 2 if spread else 0.0,
            "meaning": parameter.meaning,
        }
    return pd.DataFrame.from_dict(records, orient="index").rename_axis("parameter")


def effects(calibration: Calibration) -> pd.DataFrame:
    """Return the effects of all levels except the base level.

    Returns
    -------
    DataFrame
        ``parameter, level, label``; ``effect, standard_error`` on the unbounded scale (logarithm,
        or logit), ``ratio`` of the two, and ``value``: the coefficient with only this effect added
        to the base, in natural units.
    """
    spreads, errors = (
        calibration.spreads,
        calibration.standard_errors() * calibration.overdispersion,
    )
    bases = {
        name: spread * value
        for (name, level, _), spread, value in zip(
            calibration.keys, spreads, calibration.mean, strict=True
        )
        if level == "base"
    }
    records = [
        {
            "parameter": name,
            "level": level,
            "label": label,
            "effect": spread * value,
            "standard_error": error,
            "ratio": spread * value / error,
            "value": float(
                BY_NAME[name].natural(
                    np.array(BY_NAME[name].centre + bases.get(name, 0.0) + spread * value)
                )
            ),
        }
        for (name, level, label), spread, value, error in zip(
            calibration.keys, spreads, calibration.mean, errors, strict=True
        )
        if level != "base"
    ]
    columns = ["parameter", "level", "label", "effect", "standard_error", "ratio", "value"]
    return pd.DataFrame(records, columns=columns)


def correlations(calibration: Calibration, most: int = 15) -> list[tuple[Key, Key, float]]:
    """Return the pairs of effects with the strongest posterior correlations."""
    explained = 1.0 - 1.0 / (1.0 + calibration.strength)
    reduction = (calibration.basis * explained) @ calibration.basis.T
    covariance = np.eye(len(calibration.keys)) - reduction
    deviation = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    matrix = np.round(covariance / np.outer(deviation, deviation), 6)
    first, second = np.triu_indices(len(calibration.keys), k=1)
    order = np.argsort(-np.abs(matrix[first, second]), kind="stable")[:most]
    keys = calibration.keys
    return [
        (keys[first[at]], keys[second[at]], float(matrix[first[at], second[at]])) for at in order
    ]


def movers(
    calibration: Calibration,
    reference: Calibration | None = None,
    most: int = 5,
    *,
    among: Collection[tuple[str, str]] | None = None,
) -> list[tuple[Key, float]]:
    """Return the effects that moved most, in standard deviations of their priors.

    Parameters
    ----------
    calibration : Calibration
    reference : Calibration, optional
        Calibration relative to which effects moved (default: the prior).
    most : int
    among : collection of (level, label), optional
        Levels and labels to include (default: all).
    """
    known = {} if reference is None else dict(zip(reference.keys, reference.mean, strict=True))
    here = dict(zip(calibration.keys, calibration.mean, strict=True))
    moved = [
        (key, float(here.get(key, 0.0) - known.get(key, 0.0)))
        for key in dict.fromkeys([*here, *known])
        if among is None or key[1:] in among
    ]
    return sorted(moved, key=lambda item: -abs(item[1]))[:most]


def uncertainty_by_group(
    calibrated: Calibrated, *, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Return how much each group of coefficients contributes to the uncertainty of step times.

    Effects are drawn from the posterior. To first order, the logarithm of a row's step time is the
    sum of its slopes in the coefficients times their drawn values. The share of a group is the
    covariance of its terms with that sum, over the variance of the sum. Shares add up to 1. If the
    errors of other groups offset the errors of a group, its share is smaller than its `spread`
    suggests, and can be negative.

    Returns
    -------
    DataFrame
        Index: :data:`GROUPS`. ``share``: share of the variance, averaged over the rows; ``spread``:
        standard deviation of the logarithm due to this group alone, as a root mean square over the
        rows.
    """
    rows = calibrated.measured.rows
    slopes = _slopes(rows, calibrated.calibration)
    drawn = calibrated.calibration.draw(draws, seed).coefficients(rows.labels)
    terms: dict[str, Floats] = {}
    for group, names in GROUPS.items():
        terms[group] = np.zeros((draws, len(rows)))
        for name in names:
            values = _unbounded(name, getattr(drawn, name))
            terms[group] += slopes[name] * (values - values.mean(axis=0))
    total = np.sum(list(terms.values()), axis=0)
    variance = np.mean(total**2, axis=0)
    return pd.DataFrame.from_dict(
        {
            group: {
                "share": float(np.mean(np.mean(term * total, axis=0) / variance)),
                "spread": float(np.sqrt(np.mean(term**2))),
            }
            for group, term in terms.items()
        },
        orient="index",
    ).rename_axis("group")


def _slopes(rows: Configurations, calibration: Calibration) -> dict[str, Floats]:
    """Return the derivatives of each row's log step time, by name of the unbounded coefficient."""
    coefficients = calibration.mean_draw().coefficients(rows.labels)
    base = np.stack(
        [
            _unbounded(parameter.name, getattr(coefficients, parameter.name))
            for parameter in PARAMETERS
        ]
    )
    before = log_seconds(rows, base)
    slopes = {}
    for place, parameter in enumerate(PARAMETERS):
        moved = base.copy()
        moved[place] += STEP
        slopes[parameter.name] = (log_seconds(rows, moved) - before) / STEP
    return slopes


def _unbounded(name: str, natural: Floats) -> Floats:
    """Return a coefficient on the unbounded scale; a share that rounds to 0 or 1 stays finite."""
    if BY_NAME[name].scale == "log":
        return np.log(natural)
    inside = np.clip(natural, np.finfo(float).tiny, 1.0 - np.finfo(float).epsneg)
    return np.log(inside) - np.log1p(-inside)
