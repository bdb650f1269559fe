"""The section ``serving`` of a scenario, and daily shapes by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from clustersim.errors import unknown_name
from clustersim.files import FileModel, read_yaml, validate
from clustersim.units import SECONDS_PER_YEAR, Bytes, Duration

__all__ = ["HOUR_S", "WEEK_HOURS", "Service", "Serving", "serving_shapes"]

HOUR_S = 3600.0
LONGEST_S = 10 * SECONDS_PER_YEAR
DAY_HOURS, WEEK_HOURS = 24, 168
Name = Annotated[str, Field(min_length=1)]
Positive = Annotated[float, Field(gt=0, le=1e15)]


class Service(FileModel):
    """An inference service: its requests, and the chips that it needs.

    Hours follow the local clock (see the scenario's `start` and `time_zone`). The rate in an hour
    is the rate at its start: ``peak_requests_per_s * shape(hour) / max(shape) *
    growth ** (years since the start of the run)``. The number of chips needed is ``rate *
    (input_tokens + output_tokens) * headroom / tokens_per_s_per_chip``, rounded up.
    """

    name: Name = Field(description="name of the service, unique in the list")
    pool: Name = Field(description="pool whose nodes the service uses")
    peak_requests_per_s: Positive = Field(
        description="requests per second in the busiest hour of the shape, at the start of the run"
    )
    input_tokens: float = Field(ge=0, le=1e9, description="mean input tokens of a request")
    output_tokens: float = Field(ge=0, le=1e9, description="mean output tokens of a request")
    tokens_per_s_per_chip: Positive = Field(
        description="input and output tokens that a chip of the pool can process per second"
    )
    shape: Name | list[float] = Field(
        default_factory=lambda: [1.0] * DAY_HOURS,
        description="relative rates in the 24 hours of a day, or in the 168 hours of a week from "
        "Monday on, by the local clock; or the name of a shape, such as servegen-m-small; by "
        "default constant",
    )
    growth: float = Field(
        1.0, ge=1, le=100, description="factor on the rate each year (365.25 days)"
    )
    headroom: float = Field(
        1.0, ge=1, le=100, description="factor on the chips needed at the mean rate of an hour"
    )
    lend: bool = Field(
        False,
        description="whether preemptible jobs run on chips that the service does not need in an "
        "hour; the pool then runs no other jobs",
    )
    every: Duration | None = Field(
        None,
        description="period in whole hours for which the chips of its busiest hour are reserved; "
        "by default 1 h with lend, and 30 d without",
    )
    weights: Bytes | None = Field(
        None,
        ge=0,
        description="what each node that begins to serve reads, if jobs share storage "
        "(failures.checkpoints.storage); by default nothing",
    )
    source: str = Field("", description="source of the numbers, or assumption")

    @field_validator("shape")
    @classmethod
    def _hours_are_rates(cls, shape: str | list[float]) -> str | list[float]:
        if isinstance(shape, str):
            known = serving_shapes()
            if shape not in known:
                raise ValueError(unknown_name("shape", shape, known))
            return shape
        if len(shape) not in (DAY_HOURS, WEEK_HOURS):
            raise ValueError(
                f"must have {DAY_HOURS} relative rates (a day) or {WEEK_HOURS} (a week), "
                f"found {len(shape)}"
            )
        if min(shape) < 0 or not max(shape) > 0:
            raise ValueError("relative rates must be 0 or more, and not all 0")
        return shape

    @field_validator("every")
    @classmethod
    def _whole_hours(cls, every: float | None) -> float | None:
        if every is not None and (not HOUR_S <= every <= LONGEST_S or every % HOUR_S):
            raise ValueError("must be a number of whole hours, from 1 h to 10 yr")
        return every

    @model_validator(mode="after")
    def _has_tokens(self) -> Service:
        if not self.input_tokens + self.output_tokens > 0:
            raise ValueError(f"{self.name}: input_tokens and output_tokens must not both be 0")
        return self

    def hours_of_reservation(self) -> int:
        """Return the number of hours for which the chips of the busiest hour are reserved."""
        if self.every is not None:
            return int(self.every // HOUR_S)
        return 1 if self.lend else 30 * DAY_HOURS

    def hourly_shape(self) -> list[float]:
        """Return relative rates in the hours of a day or a week; the busiest hour has rate 1."""
        hourly = serving_shapes()[self.shape] if isinstance(self.shape, str) else self.shape
        busiest = max(hourly)
        return [rate / busiest for rate in hourly]


class Serving(FileModel):
    """Inference services, which reserve nodes of the fleet."""

    services: list[Service] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Serving:
        names = [service.name for service in self.services]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(
                f"services: names must be unique; found duplicates: {', '.join(twice)}"
            )
        return self


class _Shape(FileModel):
    source: str
    hourly: list[float] = Field(min_length=DAY_HOURS, max_length=WEEK_HOURS)

    @field_validator("hourly")
    @classmethod
    def _positive(cls, hourly: list[float]) -> list[float]:
        if not all(rate > 0 and math.isfinite(rate) for rate in hourly):
            raise ValueError("rates must be finite and above 0")
        return hourly


class _ShapesFile(FileModel):
    shapes: dict[str, _Shape]


@lru_cache(maxsize=1)
def serving_shapes() -> Mapping[str, list[float]]:
    """Return the shapes included in clustersim: relative rates in the hours of a day."""
    place = resources.files("clustersim") / "availability/data/serving_shapes.yaml"
    with resources.as_file(place) as path:
        read = validate(_ShapesFile, {"shapes": read_yaml(path)}, path)
    return {name: shape.hourly for name, shape in read.shapes.items()}
