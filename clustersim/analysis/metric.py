"""The definition of a metric: what it is called, how it is computed, and how it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from clustersim.analysis.registry import names_its_fields
from clustersim.errors import InputError, unknown_name

if TYPE_CHECKING:
    from clustersim.analysis.part import FleetView, Part

__all__ = ["DIMENSIONS", "Metric"]

DIMENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "duration": "s",
        "bytes": "B",
        "memory": "B",
        "bandwidth": "B/s",
        "flop rate": "FLOP/s",
        "power": "W",
        "energy": "J",
        "mass": "kg",
        "money": "CNY",
        "count": "1",
        "share": "1",
        "ratio": "1",
    }
)
"""Unit of each dimension in tables; the dimension also decides how numbers are formatted."""


@names_its_fields
@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that is measured for each run.

    Attributes
    ----------
    name : str
        Name in files, tables and plots.  It ends in the unit, if there is one (``mean_wait_s``).
    label : str
        A noun phrase for axes and sentences, without the unit.  It is lower-case, except for
        proper nouns and abbreviations.
    definition : str
        Exact definition in one or two sentences, each with a full stop.
    compute : callable, optional
        Function that takes a :class:`~clustersim.Part` (the jobs and the time within a study's
        window) and returns a number in SI units, or NaN if there is nothing to measure.
    of_fleet : callable, optional
        Function that takes a :class:`~clustersim.FleetView`.  It replaces `compute` for metrics
        that are known before a run.
    by_pool : callable, optional
        Function that takes the same argument and returns values by pool name.  They are named
        ``NAME.POOL``.  A metric with `of_jobs` has ``NAME.GROUP`` instead, the metric of the jobs
        of one group.
    per_period : bool
        Whether the metric is also measured in each period of the horizon, as ``NAME@k``.
    of_period : callable, optional
        Function that computes the metric for a period; by default `compute`.
    dimension : str
        One of :data:`DIMENSIONS`, which decides how the number is formatted; "" for none.
    unit : str
        SI unit of the number in tables; by default the unit of the dimension.
    better : {"", "less", "more"}
        Which direction is better; "" if neither is.
    noun : str
        Name of the quantity in sentences such as "less wait"; by default the label.
    pool_label : str
        Label of the metric for one pool; by default the label.
    logarithmic : bool or None
        Whether an axis is logarithmic; None if the data decide.
    least, most : float
        Bounds of the values; intervals are clipped to them.
    service : bool
        Whether the metric measures the service to jobs, such as a wait.  Under overload (more work
        arrives than the fleet can do), it grows without bound and is reported as infinite.
    of_jobs : tuple of (str, float or None), optional
        The quantity of jobs that it describes, and the probability of a quantile (None for a
        mean).  A study then estimates it over the jobs of all replications; any other metric is
        the mean over the replications.
    constant : bool
        Whether the value is the same in every replication of a point; the metric then has no
        interval.
    on_request : bool
        Whether the metric is measured only in studies that name it, because it is not needed
        otherwise and takes time.
    subject : str
        Heading under which a built-in metric is listed: ``waits``, ``work``, ``fairness``,
        ``free``, ``costs``, ``counts`` or ``fleets``.  Registered metrics are
        listed under the name of their file.
    file : str
        The plugin file that registers the metric; "" for a built-in metric.  Set by the registry.

    Raises
    ------
    InputError
        If a field has a value that is not allowed.

    Examples
    --------
    >>> from clustersim.analysis.metrics import metric_of
    >>> metric_of("p95_wait_s").unit, metric_of("utilisation.h200@4").better
    ('s', 'more')
    """

    name: str
    label: str
    definition: str
    compute: Callable[[Part], float] | None = None
    of_fleet: Callable[[FleetView], float] | None = None
    by_pool: Callable[[Any], Mapping[str, float]] | None = None
    per_period: bool = False
    of_period: Callable[[Part], float] | None = None
    dimension: str = ""
    unit: str = ""
    better: Literal["", "less", "more"] = ""
    noun: str = ""
    pool_label: str = ""
    logarithmic: bool | None = None
    least: float = float("-inf")
    most: float = float("inf")
    service: bool = False
    constant: bool = False
    on_request: bool = False
    of_jobs: tuple[str, float | None] | None = None
    subject: str = "yours"
    file: str = ""

    def __post_init__(self) -> None:
        for problem in self._problems():
            raise InputError(f"metric {self.name!r}", problem)
        if not self.unit:
            object.__setattr__(self, "unit", DIMENSIONS.get(self.dimension, ""))

    def _problems(self) -> Iterator[str]:
        if not isinstance(self.name, str) or not re.fullmatch(r"[A-Za-z]\w*", self.name, re.ASCII):
            yield "name must consist of letters, digits and underscores and start with a letter"
        for field in ("label", "definition"):
            text = getattr(self, field)
            if not (isinstance(text, str) and text.strip()):
                yield f"{field} must be a non-empty string, found {text!r}"
        if self.dimension and self.dimension not in DIMENSIONS:
            yield f"dimension: {unknown_name('dimension', self.dimension, DIMENSIONS)}"
        if self.better not in ("", "less", "more"):
            direction = unknown_name("direction", self.better, ("less", "more"))
            yield f'better: {direction}, or "" if neither is better'
        if (self.compute is None) == (self.of_fleet is None):
            yield "must have exactly one of compute and of_fleet"
        for field in ("compute", "of_fleet", "by_pool", "of_period"):
            function = getattr(self, field)
            if function is not None and not callable(function):
                yield f"{field} must be a function, found {function!r}"
        if self.per_period and self.compute is None:
            yield "per_period needs compute"
        if not self.least < self.most:
            yield f"least must be less than most, found {self.least!r} and {self.most!r}"

    @property
    def statistic(self) -> str:
        """What a study reports for a point, as a noun phrase."""
        if self.constant:
            return "value, the same in every replication"
        if self.of_jobs is None:
            return "mean over the replications"
        q = self.of_jobs[1]
        what = "mean" if q is None else "median" if q == 0.5 else f"{100 * q:g}th percentile"
        return f"{what} over the jobs of all replications"

    @property
    def by_group(self) -> bool:
        """Whether the metric can be measured for a group of jobs, as ``NAME.GROUP``."""
        return self.of_jobs is not None and self.by_pool is None

    @property
    def rests_on_prices(self) -> bool:
        """Whether the metric depends on planning assumptions about prices or energy."""
        return self.dimension in ("money", "energy", "mass")
