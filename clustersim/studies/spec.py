"""The study file: a base scenario, what varies, how often, and what to conclude."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from clustersim.errors import unknown_name
from clustersim.files import FileModel
from clustersim.studies.measures import METRICS, is_metric
from clustersim.units import find_quantity, parse_quantity

__all__ = [
    "CapacitySearch",
    "Comparison",
    "Objective",
    "Plot",
    "Range",
    "Replications",
    "Sample",
    "StudySpec",
    "Window",
]

LOAD = "workload.load"
Text = Annotated[str, Field(min_length=1)]
Scalar = bool | int | float | Text
Number = int | float | Text


def _duration(text: str) -> str:
    parse_quantity(text, "duration")
    return text


Share = Annotated[float, Field(ge=0, lt=1)]
DurationText = Annotated[str, AfterValidator(_duration)]


def _metric(name: str) -> str:
    if not is_metric(name):
        raise ValueError(unknown_name("metric", name, METRICS))
    return name


Metric = Annotated[str, AfterValidator(_metric)]


class Range(FileModel):
    """Values between two ends: `steps` of them, or any, drawn by `sample`."""

    begin: Number = Field(alias="from", description="such as 0.5, 16 or 2 TB/s")
    end: Number = Field(alias="to", description="whole numbers at both ends stay whole")
    steps: int | None = Field(None, ge=2, le=100_000, description="by default drawn by `sample`")
    spacing: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _two_ends(self) -> Range:
        ends = [self.begin, self.end]
        quantities = [find_quantity(end) for end in ends]
        numbers: list[float] = []
        for end, quantity in zip(ends, quantities, strict=True):
            if isinstance(end, str) and quantity is None:
                raise ValueError(f"{end!r} is neither a number nor a quantity such as 2 TB/s")
            numbers.append(quantity.value if quantity else float(end))
        units = {None if quantity is None else quantity.unit for quantity in quantities}
        if len(units) > 1:
            raise ValueError(f"{ends[0]!r} and {ends[1]!r} are not in the same unit")
        if not numbers[0] < numbers[1]:
            raise ValueError(f"needs from < to, found {ends[0]!r} and {ends[1]!r}")
        if self.spacing == "log" and not numbers[0] > 0:
            raise ValueError(f"a log range starts above 0, found {ends[0]!r}")
        return self


Values = Annotated[list[Scalar], Field(min_length=1, max_length=100_000)]


class Sample(FileModel):
    """How ranges without steps are drawn, all together."""

    method: Literal["latin-hypercube", "sobol", "sobol-indices"] = Field(
        description="sobol-indices: points x (parameters + 2) runs, which give the indices"
    )
    points: int = Field(ge=1, le=1_000_000)

    @model_validator(mode="after")
    def _power_of_two(self) -> Sample:
        if self.method != "latin-hypercube" and self.points & (self.points - 1):
            raise ValueError(f"points: {self.method} needs a power of 2, found {self.points}")
        return self


class Replications(FileModel):
    """Replications until an interval is narrow enough."""

    at_least: int = Field(3, ge=2, le=100_000)
    at_most: int = Field(ge=2, le=100_000)
    relative_width: float = Field(gt=0, description="half width of the 95 % interval over the mean")
    metric: Metric = "p95_wait_s"

    @model_validator(mode="after")
    def _ordered(self) -> Replications:
        if self.at_least > self.at_most:
            raise ValueError(f"needs at_least <= at_most, found {self.at_least} and {self.at_most}")
        return self


class Window(FileModel):
    """Which of the submissions are measured."""

    warm_up: Literal["mser-5"] | Share | DurationText = Field(
        0.25, description="left out at the start: a share of the jobs, a duration, or mser-5"
    )
    cool_down: Share | DurationText = Field(
        0.1, description="left out at the end: a share of the jobs, or a duration"
    )

    @model_validator(mode="after")
    def _something_is_left(self) -> Window:
        begin, end = self.warm_up, self.cool_down
        if isinstance(begin, float) and isinstance(end, float) and begin + end >= 1:
            raise ValueError(f"warm_up and cool_down leave nothing, found {begin:g} and {end:g}")
        return self


class Objective(FileModel):
    """The service that the fleet is to give."""

    metric: Metric = "p95_wait_s"
    at_most: Number = Field("1 h", description="such as 1 h, for a wait, or 10")

    @property
    def limit(self) -> float:
        """Largest value that keeps it, in the metric's unit (seconds for a wait)."""
        quantity = find_quantity(self.at_most)
        return quantity.value if quantity else float(self.at_most)

    @model_validator(mode="after")
    def _a_limit(self) -> Objective:
        quantity = find_quantity(self.at_most)
        if self.metric.endswith("_s") and not (quantity and quantity.dimension == "duration"):
            raise ValueError(
                f"at_most: {self.metric} needs a duration such as 1 h, found {self.at_most!r}"
            )
        if not self.metric.endswith("_s") and isinstance(self.at_most, str):
            raise ValueError(f"at_most: {self.metric} needs a number, found {self.at_most!r}")
        if not self.limit > 0:
            raise ValueError(f"at_most: must be more than 0, found {self.at_most!r}")
        return self


class CapacitySearch(FileModel):
    """A search for the value of a parameter at which the objective is just kept."""

    of: Text = Field(LOAD, description="the parameter that is searched")
    between: tuple[int | float, int | float] = Field(
        (0.3, 1.0), description="where to search; whole numbers stay whole"
    )
    tolerance: float | None = Field(
        None, gt=0, description="how exactly; by default a hundredth of `between`"
    )
    more_is: Literal["worse", "better"] = Field(
        "worse", description="what a larger value does to the objective's metric"
    )

    @model_validator(mode="after")
    def _ordered(self) -> CapacitySearch:
        low, high = self.between
        if not low < high:
            raise ValueError(f"between: needs two numbers in order, found {low:g} and {high:g}")
        if self.of == LOAD and not (low > 0 and high <= 1 and self.more_is == "worse"):
            raise ValueError(
                "between: an offered load is searched above 0 and up to 1, where more "
                f"is worse; found {low:g} to {high:g}"
            )
        return self

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return all(isinstance(end, int) for end in self.between)

    def load_of(self, value: float) -> float | None:
        """Return the offered load at a value; None where something else is searched."""
        return value if self.of == LOAD else None

    @property
    def width(self) -> float:
        """Tolerance in the parameter's own unit."""
        low, high = self.between
        width = (high - low) / 100 if self.tolerance is None else self.tolerance
        return max(1.0, width) if self.whole else width


class Comparison(FileModel):
    """Systems that are compared on the same random numbers."""

    of: Text = Field("scheduler.policy", description="the parameter whose values are compared")
    baseline: Scalar = Field(description="the value that the others are compared with")
    metrics: list[Metric] = Field(default_factory=list, description="by default the study's")


class Plot(FileModel):
    """One picture."""

    kind: Literal["curve", "capacity", "differences", "trade-off", "heat-map", "indices", "warm-up"]
    x: Text | None = Field(None, description="a parameter, or a metric such as chips.seedchip")
    y: list[Text] | Text | None = Field(None, description="metrics; a parameter in a heat map")
    by: Text | None = Field(None, description="a line for each value of this parameter")
    value: Text | None = Field(None, description="the metric that a heat map shows")
    title: str | None = None

    @property
    def ys(self) -> list[str]:
        """What stands on the vertical axis, a panel each."""
        return [self.y] if isinstance(self.y, str) else list(self.y or [])


class StudySpec(FileModel):
    """A study: many runs, and what can be concluded from them."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    question: str = Field("", description="what the study is to answer, in a sentence")
    base: Text | dict[str, Any] = Field(description="a scenario: a file, or the scenario itself")
    set: dict[Text, Any] = Field(
        default_factory=dict, description="changes of the base scenario by path"
    )
    parameters: dict[Text, Values | Range] = Field(
        default_factory=dict,
        description="by path of the scenario: a list, or a range; every combination is run",
    )
    paired: list[dict[Text, Values]] = Field(
        default_factory=list, description="lists of one length that advance together"
    )
    sample: Sample | None = None
    worlds: int = Field(
        0, ge=0, le=10_000, description="draws from the calibration's posterior at every point"
    )
    replications: int | Replications = 5
    window: Window = Window()
    metrics: list[Metric] = Field(
        default_factory=lambda: ["p95_wait_s", "mean_bounded_slowdown", "utilisation"]
    )
    objective: Objective | None = None
    capacity: CapacitySearch | None = None
    compare: Comparison | None = None
    plots: list[Plot] = Field(default_factory=list, description="by default those that fit")
    labels: dict[Text, Text] = Field(
        default_factory=dict, description="what pictures call a parameter or metric"
    )

    @field_validator("replications")
    @classmethod
    def _some(cls, count: int | Replications) -> int | Replications:
        if isinstance(count, int) and not 1 <= count <= 100_000:
            raise ValueError(f"must be 1 to 100,000, found {count}")
        return count

    @field_validator("parameters")
    @classmethod
    def _each_once(
        cls, parameters: dict[str, list[Scalar] | Range]
    ) -> dict[str, list[Scalar] | Range]:
        for path, values in parameters.items():
            _check_values(path, values)
        return parameters

    @field_validator("paired")
    @classmethod
    def _same_length(cls, paired: list[dict[str, list[Scalar]]]) -> list[dict[str, list[Scalar]]]:
        for group in paired:
            lengths = {path: len(values) for path, values in group.items()}
            if len(set(lengths.values())) != 1:
                told = ", ".join(f"{path} has {length}" for path, length in lengths.items())
                raise ValueError(f"lists must have one length, but {told or 'there is none'}")
        return paired

    @model_validator(mode="after")
    def _consistent(self) -> StudySpec:
        problems = [*self._path_faults(), *self._sample_faults(), *self._conclusion_faults()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _path_faults(self) -> list[str]:
        paths = [*self.parameters, *(path for group in self.paired for path in group)]
        twice = sorted({path for path in paths if paths.count(path) > 1})
        faults = [f"parameters: {path} varies twice" for path in twice]
        faults += [
            f"parameters: {path} is what `replications` varies"
            for path in paths
            if path in ("replication", "seed")
        ]
        if self.worlds and "performance.draw" in paths:
            faults.append("worlds: performance.draw is a parameter already")
        if not paths and self.capacity is None:
            faults.append("parameters: nothing varies; `clustersim run` runs one scenario")
        return faults

    def _sample_faults(self) -> list[str]:
        drawn = self.sampled
        if drawn and self.sample is None:
            return [f"parameters: {', '.join(drawn)}: give steps, or say how to `sample`"]
        if self.sample is not None and not drawn:
            return ["sample: no range without steps is there to be drawn"]
        if self.sample is not None and self.sample.method == "sobol-indices":
            if len(drawn) < 2:
                return ["sample: sobol-indices need two or more ranges without steps"]
            if self.capacity is not None:
                return ["sample: sobol-indices do not go with a capacity search"]
        return []

    def _conclusion_faults(self) -> list[str]:
        faults, known = [], self.varied
        if self.capacity is not None and self.objective is None:
            faults.append("capacity: needs an objective")
        if self.capacity is not None and isinstance(self.replications, Replications):
            faults.append("capacity: needs a fixed number of replications")
        if self.capacity is not None and self.replications == 1:
            faults.append("capacity: needs two or more replications")
        if self.compare is not None:
            if self.compare.of not in known:
                faults.append(f"compare.of: {unknown_name('parameter', self.compare.of, known)}")
            elif self.compare.baseline not in (listed := self.listed(self.compare.of)):
                hint = unknown_name("value", self.compare.baseline, map(str, listed))
                faults.append(f"compare.baseline: {hint}")
        return faults

    @property
    def varied(self) -> list[str]:
        """Paths of all parameters, in the order of the file."""
        return [*self.parameters, *(path for group in self.paired for path in group)]

    @property
    def sampled(self) -> list[str]:
        """Paths of the ranges that `sample` draws."""
        return [
            path
            for path, values in self.parameters.items()
            if isinstance(values, Range) and values.steps is None
        ]

    @property
    def plotted(self) -> list[str]:
        """Parameters and metrics that the plots name."""
        names: list[str | None] = []
        for plot in self.plots:
            names += [plot.x, plot.by, plot.value, *plot.ys]
        return [name for name in dict.fromkeys(names) if name is not None]

    def listed(self, path: str) -> list[Scalar]:
        """Values that are listed for a parameter; none for a range."""
        lists: Mapping[str, Any] = {
            **self.parameters,
            **{path: values for group in self.paired for path, values in group.items()},
        }
        values = lists.get(path, [])
        return [] if isinstance(values, Range) else list(values)


def _check_values(path: str, values: list[Scalar] | Range) -> None:
    if isinstance(values, Range):
        return
    shown = [repr(value) for value in values]
    twice = sorted({value for value in shown if shown.count(value) > 1})
    if twice:
        raise ValueError(f"{path}: {', '.join(twice)} is listed twice")
