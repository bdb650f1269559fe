"""Limits and budgets in a file of quotas, for the values of any column of the jobs table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, TypeAlias

from pydantic import Field

from clustersim.files import FileModel
from clustersim.units import Duration

__all__ = ["EACH", "Budget", "BudgetsFile", "LimitsFile", "budget_of", "limit_of", "limit_problems"]

EACH = "each"
"""Stands for every value of a column that is not listed."""
ALL_POOLS = "all"

_Name = Annotated[str, Field(min_length=1)]
_Amount = Annotated[float, Field(ge=0)]


class Budget(FileModel):
    """Accelerator-hours that jobs may use, once or in each period.

    Examples
    --------
    >>> Budget.model_validate({"accelerator_hours": 5000, "period": "7 d"}).period
    604800.0
    """

    accelerator_hours: float = Field(ge=0, description="accelerators times hours")
    period: Annotated[Duration, Field(gt=0)] | None = Field(
        None, description="the budget is whole again after each such time; by default never"
    )


LimitsFile: TypeAlias = dict[_Name, dict[_Name, _Amount | dict[_Name, _Amount]]]
"""Accelerators by column, value of the column, and pool if they are not of all pools."""
BudgetsFile: TypeAlias = dict[_Name, dict[_Name, _Amount | Budget]]
"""Budgets by column and value of the column; a number is accelerator-hours that never renew."""


def limit_of(limits: Mapping[str, float | dict[str, float]], value: str) -> Mapping[str, float]:
    """Return the most accelerators for a value of a column, by pool or `all` for all together.

    Examples
    --------
    >>> limit_of({"ann": {"h200": 8}, "each": 64}, "ann"), limit_of({"each": 64}, "bo")
    ({'h200': 8}, {'all': 64})
    >>> limit_of({"ann": 8}, "bo")
    {}
    """
    found = limits.get(value, limits.get(EACH)) if value else None
    if found is None:
        return {}
    return found if isinstance(found, dict) else {ALL_POOLS: found}


def budget_of(budgets: Mapping[str, float | Budget], value: str) -> Budget | None:
    """Return the budget of a value of a column; None if it has none.

    Examples
    --------
    >>> budget_of({"ann": 100}, "ann").accelerator_hours, budget_of({"ann": 100}, "bo")
    (100.0, None)
    """
    found = budgets.get(value, budgets.get(EACH)) if value else None
    return Budget(accelerator_hours=found) if isinstance(found, int | float) else found


def limit_problems(limits: LimitsFile) -> Iterator[str]:
    """Yield what is wrong with limits.

    Examples
    --------
    >>> list(limit_problems({"user": {"ann": {}}}))
    ['limits.user.ann: names no pool']
    """
    for column, values in limits.items():
        for value, limit in values.items():
            if isinstance(limit, dict) and not limit:
                yield f"limits.{column}.{value}: names no pool"
