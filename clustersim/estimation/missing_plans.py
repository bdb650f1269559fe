"""Search for the best plan of each row that gives no plan."""

from __future__ import annotations

import dataclasses

import numpy as np

from clustersim import interrupts
from clustersim.array_types import Bools
from clustersim.estimation.configurations import Configurations
from clustersim.estimation.given_plan import PLAN_KEYS, plan_text
from clustersim.performance import CoefficientDraw, Coefficients, Plans
from clustersim.performance.plan_rules import judge
from clustersim.performance.plans import enumerate_plans
from clustersim.performance.search import SWITCHES
from clustersim.performance.step_time import memory_of, step_seconds

__all__ = ["INTERRUPTED", "find_plans"]

ROWS_AT_ONCE = 16
INTERRUPTED = (
    "interrupted before its plan was searched for; predict the rows with this reason again in a "
    "separate table"
)
"""Reason for rows whose plan was not found because of an interrupt."""


def find_plans(rows: Configurations, draw: CoefficientDraw) -> tuple[Configurations, Bools]:
    """Find the best plan of each row that has no plan.

    The best plan is the fastest one that fits or, if no plan fits, the one with the least memory.
    After a KeyboardInterrupt, the search stops. Rows whose plan was not found by then are left out,
    with the reason :data:`INTERRUPTED`.

    Parameters
    ----------
    rows : Configurations
        Reasons and notes are added to it.
    draw : CoefficientDraw

    Returns
    -------
    Configurations
        The rows for which a plan exists.
    array of bool
        Whether the plan of each row was searched for.
    """
    searched = np.array([rows.searched[place] for place in rows.index], dtype=bool)
    open_rows = np.flatnonzero(searched)
    if not open_rows.size:
        return rows, searched
    plans = {field.name: getattr(rows.plans, field.name).copy() for field in _FIELDS}
    coefficients = draw.coefficients([rows.labels[row] for row in open_rows])
    lost = np.zeros(len(rows), dtype=bool)
    with interrupts.held():
        for start in range(0, open_rows.size, ROWS_AT_ONCE):
            block = np.arange(start, min(start + ROWS_AT_ONCE, open_rows.size))
            try:
                with interrupts.allowed():
                    results = _search(rows.take(open_rows[block]), coefficients.take(block))
            except KeyboardInterrupt:
                interrupts.taken()
                lost[open_rows[start:]] = True
                for where in open_rows[start:]:
                    rows.reason[rows.index[where]] = INTERRUPTED
                break
            for row, found in results.items():
                where = open_rows[block][row]
                place = rows.index[where]
                if found is None:
                    lost[where] = True
                    rows.reason[place] = "no plan is given, and no plan divides n_accelerators"
                    continue
                for name, value in found.values.items():
                    plans[name][where] = value
                rows.notes[place] += found.notes
    changed = dataclasses.replace(rows, plans=Plans(**plans))
    return changed.take(~lost), searched[~lost]


_FIELDS = dataclasses.fields(Plans)


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """The plan that was found for one row, with notes on it."""

    values: dict[str, float]
    notes: list[str]


def _search(rows: Configurations, coefficients: Coefficients) -> dict[int, _Found | None]:
    """Evaluate all plans of some rows and return the best plan of each row, or None."""
    models, chips, batch = rows.models, rows.chips, rows.global_batch
    candidates = enumerate_plans(models, chips, rows.plans.chips, batch)
    row = candidates.row
    plans = dataclasses.replace(
        candidates.plans, **{name: getattr(rows.plans, name)[row] for name in SWITCHES}
    )
    shape, chip = models.take(row), chips.take(row)
    used = memory_of(shape, chip, plans, batch[row], rows.memory.take(row))
    seconds = step_seconds(shape, chip, plans, batch[row], coefficients.take(row))
    fits = used <= chip.hbm_bytes
    results: dict[int, _Found | None] = {}
    for place in range(len(rows)):
        mine = np.flatnonzero(row == place)
        if not mine.size:
            results[place] = None
            continue
        fitting = mine[fits[mine]]
        best = fitting[np.argmin(seconds[fitting])] if fitting.size else mine[np.argmin(used[mine])]
        chosen = plans.take(np.array([best]))
        here = np.array([place])
        unusual = judge(models.take(here), chips.take(here), chosen, batch[here]).notes[0]
        values = {field.name: float(getattr(chosen, field.name)[0]) for field in _FIELDS}
        results[place] = _Found(values, [_plan_note(values, fits=bool(fitting.size)), *unusual])
    return results


def _plan_note(values: dict[str, float], *, fits: bool) -> str:
    """Describe the plan that was found, in the syntax of ``--plan``."""
    text = plan_text({name: int(values[name]) for name in PLAN_KEYS})
    which = "the fastest plan that fits" if fits else "no plan fits; the plan with the least memory"
    allowed = "; the upper bound allows for a run with a slower plan" if fits else ""
    return f"No plan is given; {which} is used: {text}{allowed}."
