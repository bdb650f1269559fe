"""The best plan for runs of which neither tensor nor pipeline parallel size is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.calibration.configurations import Configurations
from clustersim.performance import Coefficients, Plans, World
from clustersim.performance.plans import enumerate_plans
from clustersim.performance.step_time import memory_of, step_seconds

__all__ = ["find_plans"]

CHOSEN = ("tp", "pp")
"""A row with neither of them has its plan searched."""
KEPT = ("dp", "cp", "ep")
"""Sizes that the plan found has where a row gives them."""
SET = ("micro_batch", "recompute", "zero", "zero_group")
"""What a row's own value replaces in all plans tried."""
ALWAYS_SET = ("flash", "overlap", "lora")
ROWS_AT_ONCE = 16


def find_plans(
    rows: Configurations,
    table: pd.DataFrame,
    world: World,
    reason: list[str],
    notes: list[list[str]],
) -> tuple[Configurations, NDArray[np.bool_]]:
    """Give the rows without a plan the fastest that fits, the thriftiest where none does.

    Parameters
    ----------
    rows : Configurations
    table : DataFrame
        The texts that `rows` was read from.
    world : World
    reason, notes : list
        Of the rows of the table; what is found is told there.

    Returns
    -------
    Configurations
        Without the rows that have no plan at all.
    array of bool
        Whose plan was searched.
    """
    given = {
        name: _given(table, name).to_numpy()[rows.index]
        for name in (*CHOSEN, *KEPT, "micro_batch", "recompute", "zero")
    }
    given["zero_group"] = given["zero"]
    open_rows = np.flatnonzero(~(given["tp"] | given["pp"]))
    if not open_rows.size:
        return rows, np.zeros(len(rows), dtype=bool)
    own = dataclasses.replace(rows.plans, dp=_ranks(rows, table, given["dp"]))
    plans = {field.name: getattr(rows.plans, field.name).copy() for field in _FIELDS}
    coefficients = world.coefficients([rows.labels[row] for row in open_rows])
    lost = np.zeros(len(rows), dtype=bool)
    for start in range(0, open_rows.size, ROWS_AT_ONCE):
        block = np.arange(start, min(start + ROWS_AT_ONCE, open_rows.size))
        for row, found in _search(rows, own, open_rows[block], coefficients.take(block), given):
            place = rows.index[row]
            if found is None:
                lost[row] = True
                reason[place] = "tp, pp: missing, and no plan divides n_accelerators as given"
                continue
            for name, value in found.values.items():
                plans[name][row] = value
            notes[place].append(found.note)
    changed = dataclasses.replace(rows, plans=Plans(**plans))
    searched = np.isin(np.arange(len(rows)), open_rows)
    return changed.take(~lost), searched[~lost]


_FIELDS = dataclasses.fields(Plans)


def _given(table: pd.DataFrame, name: str) -> pd.Series[bool]:
    if name not in table:
        return pd.Series(False, index=table.index)
    return table[name].str.strip() != ""


def _ranks(
    rows: Configurations, table: pd.DataFrame, given: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Data parallel sizes as the table gives them; without `tp` and `pp` they divide nothing."""
    ranks = rows.plans.dp.copy()
    if given.any():
        ranks[given] = table["dp"].iloc[rows.index[given]].to_numpy(dtype=np.float64)
    return ranks


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """The plan of one row."""

    values: dict[str, float]
    note: str


def _search(
    rows: Configurations,
    own: Plans,
    block: NDArray[np.intp],
    coefficients: Coefficients,
    given: dict[str, NDArray[np.bool_]],
) -> list[tuple[int, _Found | None]]:
    """Evaluate all plans of some rows; which is best for each."""
    counts = rows.plans.take(block).chips
    own = own.take(block)
    models, chips, batch = rows.models.take(block), rows.chips.take(block), rows.global_batch[block]
    candidates = enumerate_plans(models, chips, counts, batch)
    plans, row = _as_given(candidates.plans, candidates.row, own, batch, block, given)
    shape, chip = models.take(row), chips.take(row)
    used = memory_of(shape, chip, plans, batch[row])
    seconds = step_seconds(shape, chip, plans, batch[row], coefficients.take(row))
    fits = used <= chip.hbm_bytes
    results: list[tuple[int, _Found | None]] = []
    for place, original in enumerate(block):
        mine = np.flatnonzero(row == place)
        if not mine.size:
            results.append((int(original), None))
            continue
        fitting = mine[fits[mine]]
        best = fitting[np.argmin(seconds[fitting])] if fitting.size else mine[np.argmin(used[mine])]
        values = {field.name: float(getattr(plans, field.name)[best]) for field in _FIELDS}
        sizes = " ".join(f"{name}={values[name]:g}" for name in ("tp", "pp", "dp", "micro_batch"))
        which = "fastest plan that fits" if fitting.size else "no plan fits; thriftiest plan"
        results.append((int(original), _Found(values, f"no plan given, {which}: {sizes}")))
    return results


def _as_given(
    plans: Plans,
    row: NDArray[np.int64],
    own: Plans,
    batch: NDArray[np.float64],
    block: NDArray[np.intp],
    given: dict[str, NDArray[np.bool_]],
) -> tuple[Plans, NDArray[np.int64]]:
    """Keep the plans of the sizes that a row gives, and set what else it gives."""
    keep = np.ones(row.size, dtype=bool)
    for name in KEPT:
        stated = given[name][block][row]
        keep &= ~stated | (getattr(plans, name) == getattr(own, name)[row])
    changed = {
        name: np.where(given[name][block][row], getattr(own, name)[row], getattr(plans, name))
        for name in SET
    }
    changed |= {name: getattr(own, name)[row] for name in ALWAYS_SET}
    set_plans = dataclasses.replace(plans, **changed)
    share = np.ceil(batch[row] / set_plans.dp)
    keep &= set_plans.micro_batch <= share
    group = np.where(set_plans.zero_group > 0, set_plans.zero_group, 1.0)
    keep &= (set_plans.dp * set_plans.cp) % group == 0
    chosen = np.flatnonzero(keep)
    return set_plans.take(chosen), row[chosen]
