"""Select jobs of a log by conditions on their columns, such as 64 accelerators or more."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field, model_validator

from clustersim.array_types import Bools
from clustersim.errors import InputError, shown, unknown_name
from clustersim.files import FileModel
from clustersim.units import parse_quantity
from clustersim.workload.jobs import partition_column, texts_of

__all__ = ["JobFilter"]

_COMPARISONS: dict[str, Callable[[Any, float], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
    "": operator.eq,
}


def _split(condition: int | float | str) -> tuple[str, str]:
    """Split ``">= 64"`` or ``"64+"`` into the comparison and the value."""
    if found := re.fullmatch(r"\s*(\d\S*(?: \S+)?)\s*\+\s*", str(condition)):
        return ">=", found[1]
    found = re.fullmatch(r"\s*(>=|<=|>|<|=|)=?\s*(\S.*?)\s*", str(condition))
    return ("", "") if found is None else (found[1], found[2])


def _size_condition(condition: int | str) -> int | str:
    if not re.fullmatch(r"\d[\d,]*", _split(condition)[1]):
        allowed = 'must be a number or a condition such as 64+ or "<64"'
        raise ValueError(f"{allowed}, found {shown(condition)}")
    return condition


def _duration_condition(condition: float | str) -> float | str:
    parse_quantity(_duration(condition), "duration")
    return condition


def _duration(condition: float | str) -> str | float:
    text = _split(condition)[1]
    return float(text) if re.fullmatch(r"[\d.]+", text) else text


Names = str | list[str]


class JobFilter(FileModel):
    """Conditions on the jobs of a log; a job must meet all of them.

    Examples
    --------
    >>> from clustersim.workload.log_filter import JobFilter
    >>> jobs = pd.DataFrame({"n_accelerators": [8, 64, 128], "vc": ["a", "b", "a"]})
    >>> JobFilter(accelerators="64+", vc="a").mask(jobs, "workload.scale.where").tolist()
    [False, False, True]
    """

    accelerators: Annotated[int | str, AfterValidator(_size_condition)] | None = Field(
        None, description='number of accelerators: a number, or a condition such as 64+ or "<64"'
    )
    duration: Annotated[float | str, AfterValidator(_duration_condition)] | None = Field(
        None, description='run time in the log: a condition such as 1h+ or "<10 min"'
    )
    user: Names | None = Field(None, description="one user, or a list of users")
    vc: Names | None = Field(
        None, description="one virtual cluster or partition of the log, or a list of them"
    )
    job_class: Names | None = Field(None, description="one job class, or a list of classes")

    @model_validator(mode="after")
    def _has_a_condition(self) -> JobFilter:
        if not self.model_dump(exclude_none=True):
            raise ValueError("needs a condition, such as accelerators: 64+")
        return self

    def mask(self, jobs: pd.DataFrame, field: str, *, strict: bool = True) -> Bools:
        """Return which jobs meet the conditions (jobs,).

        Parameters
        ----------
        jobs : pandas.DataFrame
            A jobs table.
        field : str
            Name of the field with the conditions, for messages.
        strict : bool
            Whether a column or a name that the log does not have is an error; if not, no job meets
            the condition.

        Raises
        ------
        InputError
            If `strict`, and the log lacks a column or a name that the conditions need.
        """
        chosen = np.ones(len(jobs), dtype=bool)
        if self.accelerators is not None:
            sign, text = _split(self.accelerators)
            n = jobs["n_accelerators"].to_numpy(dtype=np.int64)
            chosen &= _COMPARISONS[sign](n, float(text.replace(",", "")))
        if self.duration is not None:
            limit_s = parse_quantity(_duration(self.duration), "duration")
            run_s = jobs["duration_s"].to_numpy(dtype=np.float64)
            chosen &= _COMPARISONS[_split(self.duration)[0]](run_s, limit_s)
        for column in ("user", "vc", "job_class"):
            names = getattr(self, column)
            if names is not None:
                listed = [names] if isinstance(names, str) else names
                chosen &= _named(jobs, column, listed, field, strict=strict)
        return chosen


def _named(jobs: pd.DataFrame, field: str, names: list[str], source: str, *, strict: bool) -> Bools:
    """Return the jobs whose column has one of the names."""
    column = (partition_column(jobs) or field) if field == "vc" else field
    if column not in jobs:
        if not strict:
            return np.zeros(len(jobs), dtype=bool)
        raise InputError(f"{source}.{field}", f"the log has no column {column}")
    texts = texts_of(jobs[column])
    known = sorted(set(texts.tolist()) - {""})
    problems = [unknown_name(column, name, known) for name in names if name not in known]
    if problems and strict:
        raise InputError(f"{source}.{field}", problems)
    return np.isin(texts.astype(str), names)
