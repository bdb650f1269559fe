"""The objective of a study, and the search for the capacity at which it is just met."""

from __future__ import annotations

import math
import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from clustersim.analysis.metrics import find_metric
from clustersim.analysis.values import Between, Metric, Number, Text
from clustersim.files import FileModel
from clustersim.units import find_quantity

__all__ = ["ARRIVALS", "LOAD", "CapacitySearch", "Objective"]

LOAD = "workload.load"
ARRIVALS = (LOAD, "workload.jobs_per_day", "workload.scale", "workload.scale.load")
"""Fields that set how many jobs arrive."""


class Objective(FileModel):
    """The level of service that the fleet must provide."""

    metric: Metric = Field("p95_wait_s", description="metric that the objective limits")
    at_most: Number = Field(
        "1 h",
        validate_default=True,
        description="limit, such as 1 h (for a wait), 10 % (for a share) or 10",
    )

    @property
    def limit(self) -> float:
        """Largest allowed value in the unit of the metric (seconds for a wait, 0.1 for 10 %)."""
        if (share := _percentage(self.at_most)) is not None:
            return share
        quantity = find_quantity(self.at_most)
        return quantity.value if quantity else float(self.at_most)

    @field_validator("at_most")
    @classmethod
    def _a_limit(cls, limit: int | float | str, info: ValidationInfo) -> int | float | str:
        metric, quantity = info.data.get("metric", ""), find_quantity(limit)
        known = find_metric(metric)
        is_duration = quantity is not None and quantity.dimension == "duration"
        if metric.endswith("_s") and not is_duration:
            raise ValueError(f"{metric} needs a duration such as 1 h, found {limit!r}")
        is_time = known is not None and known.dimension == "duration"
        is_share = known is not None and known.dimension == "share"
        share = _percentage(limit) if is_share else None
        if metric and isinstance(limit, str) and share is None and not (is_time and is_duration):
            example = " such as 0.1 or 10 %" if is_share else ""
            raise ValueError(f"{metric} needs a number{example}, found {limit!r}")
        number = quantity.value if quantity else limit if share is None else share
        if isinstance(number, (int, float)) and not number > 0:
            raise ValueError(f"must be more than 0, found {limit!r}")
        return limit


def _percentage(value: object) -> float | None:
    """Return the share that a string such as ``10 %`` states; None for anything else."""
    text = value if isinstance(value, str) else ""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*%\s*", text)
    return float(found[1]) / 100.0 if found else None


class CapacitySearch(FileModel):
    """A search for the value of a parameter at which the objective is just met."""

    of: Text = Field(LOAD, description="parameter that is searched")
    between: Between = Field(
        (0.3, 1.0),
        description="range of the search; if both ends are integers, all values are integers",
    )
    tolerance: float | None = Field(
        None, gt=0, description="tolerance; by default 1 % of the width of `between`"
    )
    more_is: Literal["worse", "better"] = Field(
        "worse", description="effect of a larger value on the metric of the objective"
    )

    @field_validator("between")
    @classmethod
    def _up_to_load_1(
        cls, between: tuple[float, float], info: ValidationInfo
    ) -> tuple[float, float]:
        low, high = between
        if info.data.get("of") == LOAD and not 0 < low < high <= 1:
            raise ValueError(
                f"an offered load must be above 0 and at most 1, found {low:g} to {high:g}"
            )
        if info.data.get("of") in ARRIVALS and not low > 0:
            raise ValueError(f"an arrival rate must be above 0, found {low:g} to {high:g}")
        return between

    @field_validator("tolerance")
    @classmethod
    def _finer_than_the_range(cls, width: float | None, info: ValidationInfo) -> float | None:
        low, high = info.data.get("between", (-math.inf, math.inf))
        if width is not None and width >= high - low:
            raise ValueError(
                f"must be less than the width of `between` ({high - low:g}), found {width:g}"
            )
        return width

    @field_validator("more_is")
    @classmethod
    def _more_load_is_worse(cls, effect: str, info: ValidationInfo) -> str:
        if info.data.get("of") in ARRIVALS and effect == "better":
            more = "load" if info.data.get("of") == LOAD else "arrivals"
            raise ValueError(
                f"must be 'worse', because waits grow with more {more}, found 'better'"
            )
        return effect

    @property
    def whole(self) -> bool:
        """Whether only integers are tried."""
        return all(isinstance(end, int) for end in self.between)

    def load_of(self, value: float) -> float | None:
        """Return the offered load at a value; None if another parameter is searched."""
        return value if self.of == LOAD else None

    @property
    def width(self) -> float:
        """Tolerance in the unit of the parameter."""
        low, high = self.between
        width = (high - low) / 100 if self.tolerance is None else self.tolerance
        return max(1.0, width) if self.whole else width
