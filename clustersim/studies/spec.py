"""The study file: base scenario, parameters, replications and conclusions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from clustersim.analysis.metrics import group_of, in_period, on_request
from clustersim.analysis.values import (
    CoolDown,
    Group,
    Listed,
    Metric,
    Number,
    Periods,
    Scalar,
    Text,
    WarmUp,
)
from clustersim.files import FileModel
from clustersim.studies.plot_kinds import PlotKindName, find_plot_kind
from clustersim.studies.search_spec import CapacitySearch, Objective
from clustersim.units import find_quantity
from clustersim.workload.log_filter import JobFilter

__all__ = [
    "Comparison",
    "Plot",
    "Preview",
    "Range",
    "Replications",
    "Sample",
    "StudySpec",
    "Window",
]


class Range(FileModel):
    """Values between two ends: in a number of `steps`, or drawn by `sample`."""

    begin: Number = Field(alias="from", description="first value, such as 0.5, 16 or 2 TB/s")
    end: Number = Field(
        alias="to", description="last value; if both ends are integers, all values are integers"
    )
    steps: int | None = Field(
        None, ge=2, le=100_000, description="number of values; without it, `sample` draws values"
    )
    spacing: Literal["linear", "log"] = Field(
        "linear", description="steps of equal differences or of equal factors"
    )

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
            raise ValueError(
                f"`from` and `to` must have the same unit, found {ends[0]!r} and {ends[1]!r}"
            )
        if not numbers[0] < numbers[1]:
            raise ValueError(f"`from` must be less than `to`, found {ends[0]!r} and {ends[1]!r}")
        if self.spacing == "log" and not numbers[0] > 0:
            raise ValueError(f"a log range must start above 0, found {ends[0]!r}")
        return self

    @property
    def whole(self) -> bool:
        """Whether all values are integers."""
        return isinstance(self.begin, int) and isinstance(self.end, int)


class Sample(FileModel):
    """Joint sampling of the ranges without steps."""

    method: Literal["latin-hypercube", "sobol", "sobol-indices"] = Field(
        description="`sobol-indices` makes points x (parameters + 2) runs to estimate Sobol indices"
    )
    points: int = Field(ge=1, le=1_000_000, description="number of points to draw")

    @field_validator("points")
    @classmethod
    def _power_of_two(cls, points: int, info: ValidationInfo) -> int:
        method = info.data.get("method", "latin-hypercube")
        if method != "latin-hypercube" and points & (points - 1):
            near = 1 << (points.bit_length() - 1)
            raise ValueError(
                f"{method} needs a power of 2, such as {near} or {2 * near}, found {points}"
            )
        return points


ENOUGH = 10
"""Smallest number of replications, by default, after which a rule may stop."""


class Replications(FileModel):
    """Replications until an interval is narrow enough."""

    at_least: int | None = Field(
        None,
        ge=2,
        le=100_000,
        description="smallest number of replications; by default 10, or at_most if that is less. "
        "With fewer than 10, replications may stop because the first ones agree by chance, and "
        "fewer than 95 % of the intervals hold the truth",
    )
    at_most: int = Field(ge=2, le=100_000, description="largest number of replications")
    relative_width: float = Field(
        gt=0,
        description="largest half width of the 95 % interval of the metric or, in a capacity "
        "search, of the capacity, relative to the estimate. With `of: difference`, of the "
        "difference from the baseline, relative to the value of the baseline, because the "
        "difference may be 0",
    )
    of: Literal["value", "difference"] = Field(
        "value",
        description="whose interval must be narrow: `value` is the metric or the capacity of each "
        "system; `difference` is the difference of each system from the baseline of `compare`. "
        "Systems that are compared then have the same number of replications",
    )
    metric: Metric = Field(
        "p95_wait_s", description="metric whose interval must be narrow; not in a capacity search"
    )

    @property
    def least(self) -> int:
        """Smallest number of replications; with few, the rule may stop too early by chance."""
        return min(ENOUGH, self.at_most) if self.at_least is None else self.at_least

    @model_validator(mode="after")
    def _ordered(self) -> Replications:
        if self.least > self.at_most:
            raise ValueError(
                f"at_least must not exceed at_most, found {self.at_least} and {self.at_most}"
            )
        return self


class Window(FileModel):
    """The measured part of a run: jobs are selected by their time of submission."""

    warm_up: WarmUp = Field(
        0.25,
        description="excluded at the start: a share of the jobs, a duration, a date on the "
        "scenario's calendar, or mser-5; by default 0.25, and 0 for a log, which is measured as it "
        "happened",
    )
    cool_down: CoolDown = Field(
        0.1,
        description="excluded at the end: a share of the jobs, a duration, or a date; by default "
        "0.1, and 0 for a log",
    )
    periods: Periods = Field(
        None,
        description="number of equal periods of the horizon that are also measured, or their "
        "names, such as [Q1, Q2, Q3, Q4]. Metrics of the k-th period are NAME@k. They ignore "
        "warm_up and cool_down. If the run starts at the beginning of a month and lasts a whole "
        "number of months, each period is a whole number of calendar months",
    )

    @model_validator(mode="after")
    def _something_is_left(self) -> Window:
        begin, end = self.warm_up, self.cool_down
        if isinstance(begin, float) and isinstance(end, float) and begin + end >= 1:
            raise ValueError(
                f"the sum of warm_up and cool_down must be less than 1, found {begin:g} and {end:g}"
            )
        return self

    def of_log(self) -> Window:
        """Return the window for a log: what the study does not set excludes nothing.

        Examples
        --------
        >>> Window(cool_down=0.2).of_log().measured
        {'warm_up': 0.0, 'cool_down': 0.2}
        """
        unset = {"warm_up", "cool_down"} - self.model_fields_set
        return self.model_copy(update=dict.fromkeys(unset, 0.0)) if unset else self

    @property
    def period_names(self) -> list[str]:
        """Names of the periods; empty without periods."""
        if isinstance(self.periods, int):
            return [str(period) for period in range(1, self.periods + 1)]
        return list(self.periods or [])

    @property
    def measured(self) -> dict[str, Any]:
        """Keyword arguments of :func:`~clustersim.analysis.measures.measure`."""
        ends = {"warm_up": self.warm_up, "cool_down": self.cool_down}
        return ends if self.periods is None else {**ends, "periods": len(self.period_names)}


class Comparison(FileModel):
    """A comparison of systems under common random numbers."""

    of: Text = Field("scheduler.policy", description="parameter whose values are compared")
    baseline: Scalar = Field(description="value with which the other values are compared")
    metrics: list[Metric] = Field(
        default_factory=list, description="metrics to compare; by default all metrics of the study"
    )


class Plot(FileModel):
    """A plot of a study."""

    kind: PlotKindName = Field(description="kind of the plot")
    x: Text | None = Field(None, description="a parameter, or a metric such as chips.seedchip")
    y: list[Text] | Text | None = Field(
        None, description="one or more metrics; in a heat map, a parameter"
    )
    by: Text | None = Field(
        None,
        description="parameter; the plot has one line for each of its values, and a panel for each "
        "value of further parameters",
    )
    value: Text | None = Field(None, description="metric that a heat map shows")
    groups: dict[Text, list[Scalar]] | None = Field(
        None,
        description="values of x by the name of their panel; a value may be in several panels; "
        "only in a capacity plot",
    )
    title: str | None = Field(None, description="title; by default derived from the axes")

    @property
    def ys(self) -> list[str]:
        """Quantities on the vertical axis; each has its own picture."""
        return [self.y] if isinstance(self.y, str) else list(self.y or [])

    @property
    def named(self) -> dict[str, list[str]]:
        """Parameters and metrics of the plot, by field."""
        alone = {"x": self.x, "by": self.by, "value": self.value}
        fields = {field: [name] for field, name in alone.items() if name is not None}
        return {**fields, "y": self.ys} if self.ys else fields


class Preview(FileModel):
    """What the quick version of a study changed; ``--quick`` adds it to the study that it runs."""

    changes: dict[Text, Any] = Field(description="the section `quick` that was applied")
    chips: tuple[int, int] | None = Field(
        None, description="smallest and largest fleet, if the section changes the fleet"
    )


class StudySpec(FileModel):
    """A study: many runs and the conclusions from them."""

    name: Annotated[str, Field(min_length=1, max_length=80)] = Field(
        description="name of the study and of its folder"
    )
    question: str = Field("", description="the question that the study answers, in one sentence")
    plugins: list[Text] = Field(
        default_factory=list,
        description="user's Python files that register metrics or plots, such as my_metrics.py",
    )
    base: Text | dict[str, Any] = Field(
        description="base scenario: the name of a file, or the scenario itself"
    )
    set: dict[Text, Any] = Field(
        default_factory=dict, description="changes of the base scenario by path"
    )
    parameters: dict[Text, Listed | Range] = Field(
        default_factory=dict,
        description="lists or ranges of values by path of the scenario; all combinations are run",
    )
    paired: list[Group] = Field(
        default_factory=list, description="groups of lists of equal length that advance together"
    )
    sample: Sample | None = None
    draws: int = Field(
        0,
        ge=0,
        le=10_000,
        description="number of coefficient draws from the posterior at every point: replication k "
        "is repeated with draw k, so there must be as many replications; in a capacity search, "
        "there may be more draws, and replications are used again",
    )
    replications: Annotated[int, Field(strict=True)] | Replications = 5
    window: Window = Window()
    metrics: list[Metric] = Field(
        default_factory=lambda: ["p95_wait_s", "mean_bounded_slowdown", "utilisation"],
        min_length=1,
        description="metrics of every run; `clustersim metrics` lists their names. NAME.POOL is "
        "the metric of one pool; NAME.GROUP is the metric of the jobs of one partition, job class "
        "or group of `groups`; NAME@k is the metric of the k-th period of window.periods",
    )
    groups: dict[Text, JobFilter] = Field(
        default_factory=dict,
        description="groups of jobs by name, such as {large: {accelerators: 64+}, team: {user: "
        "[ann, bo]}}, for metrics such as p95_wait_s.large. Partitions and job classes need no "
        "entry: their names are those of the jobs",
    )
    objective: Objective | None = None
    capacity: CapacitySearch | None = None
    compare: Comparison | None = None
    plots: list[Plot] = Field(
        default_factory=list, description="plots; by default chosen by the kind of study"
    )
    labels: dict[Text, Text] = Field(
        default_factory=dict, description="names of parameters and metrics in plots"
    )
    preview: Preview | None = Field(
        None,
        description="what `--quick` changed; the program writes it to mark pictures and pages",
    )

    @field_validator("replications")
    @classmethod
    def _some(cls, count: int | Replications) -> int | Replications:
        if isinstance(count, int) and not 1 <= count <= 100_000:
            raise ValueError(f"must be from 1 to 100,000, found {count}")
        return count

    @property
    def varied(self) -> list[str]:
        """Paths of all parameters, in the order of the file."""
        return [*self.parameters, *(path for group in self.paired for path in group)]

    @property
    def named_paths(self) -> list[tuple[str, str]]:
        """Field and path of each parameter, including the parameter of a capacity search."""
        named = [("parameters", path) for path in self.parameters]
        for index, group in enumerate(self.paired):
            named += [(f"paired[{index}]", path) for path in group]
        if self.capacity is not None and self.capacity.of not in self.varied:
            named.append(("capacity.of", self.capacity.of))
        return named

    @property
    def named_metrics(self) -> list[tuple[str, str]]:
        """Field and name of each metric that the file names."""
        named = [("metrics", name) for name in self.metrics]
        if self.objective is not None:
            named.append(("objective.metric", self.objective.metric))
        if self.compare is not None:
            named += [("compare.metrics", name) for name in self.compare.metrics]
        if isinstance(self.replications, Replications):
            named.append(("replications.metric", self.replications.metric))
        named += [("plots", name) for name in self.plotted if name not in self.varied]
        return named + [("labels", name) for name in self.labels if name not in self.varied]

    @property
    def measured_groups(self) -> dict[str, dict[str, Any] | None]:
        """Conditions of the groups of jobs whose metrics the file names, by group.

        None for a group that is a partition or a job class.
        """
        names = dict.fromkeys(group_of(name) for _, name in self.named_metrics)
        own = {
            name: each.model_dump(mode="json", exclude_none=True)
            for name, each in self.groups.items()
        }
        return {name: own.get(name) for name in sorted(filter(None, names))}

    @property
    def asked(self) -> list[str]:
        """Metrics on request that the file names, without pools, groups and periods."""
        return on_request(name for _, name in self.named_metrics)

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
        """Parameters and metrics of the plots."""
        periods = range(1, len(self.window.period_names) + 1)
        names: list[str] = []
        for plot in self.plots:
            known = find_plot_kind(plot.kind)
            for field, named in plot.named.items():
                if field == "y" and known is not None and known.per_period:
                    names += [in_period(name, period) for name in named for period in periods]
                else:
                    names += named
        return list(dict.fromkeys(names))

    def listed(self, path: str) -> list[Scalar]:
        """Return the listed values of a parameter; empty for a range."""
        lists: Mapping[str, Any] = {
            **self.parameters,
            **{path: values for group in self.paired for path, values in group.items()},
        }
        values = lists.get(path, [])
        return [] if isinstance(values, Range) else list(values)
