"""The columns of the tables of studies and of estimates."""

from __future__ import annotations

from collections.abc import Iterator

from clustersim.analysis.columns.column import Column, Table
from clustersim.estimation.columns import COLUMNS
from clustersim.estimation.table import FOR_UNKNOWN_CHIPS, PREDICTED

__all__ = ["ESTIMATE_TABLES", "STUDY_TABLES"]

DRAWS = "if the study draws coefficients of the calibration"
CONTROLLED = "if a control variate is used"
_PARAMETER = Column("PARAMETER", "each parameter, by its path in the scenario, in SI units")
RUNS = (
    Column("run", "hash of the run's scenario, of the measurement settings, and of the code"),
    Column("point", "number of the point of the design, from 0"),
    _PARAMETER,
    Column("draw", "draw of the coefficients; -1 for their posterior mean"),
    Column("replication", "number of the replication, from 0"),
    Column("status", "`finished` or `failed`"),
    Column("code", "version and hash of the code that made the run"),
    Column(
        "METRIC",
        "each metric of the list below; also `METRIC.POOL` for each pool, `METRIC.GROUP` for each "
        "group of jobs that the study names and, with periods, `METRIC@k` for each period",
    ),
    Column("error", "why the run failed; empty if it finished"),
)
POINTS = (
    Column("point", "number of the point, from 0"),
    Column("code", "code that made its runs", only="if different code made the runs"),
    _PARAMETER,
    Column("replications", "replications that finished, at the posterior mean", "count"),
    Column("failed", "runs that failed", "count"),
    Column("overload", "whether the queue grows without bound, so that waits are infinite"),
    Column("rising", "whether later jobs waited longer than earlier ones"),
    Column("overload_in", "periods with overload, such as `Q3, Q4`", only="with periods"),
    Column(
        "METRIC",
        "estimate of each metric of the study; `clustersim metrics` names the statistic. With a "
        "control variate, it is the controlled estimate",
    ),
    Column("METRIC_low", "lower end of its 95 % interval", only="if replications can differ"),
    Column("METRIC_high", "upper end of its 95 % interval", only="if replications can differ"),
    Column("METRIC_plain", "estimate without the control variate", only=CONTROLLED),
    Column("METRIC_plain_low", "lower end of its 95 % interval", only=CONTROLLED),
    Column("METRIC_plain_high", "upper end of its 95 % interval", only=CONTROLLED),
    Column(
        "METRIC_explained",
        "share of the variance that the control variate explains",
        "share",
        only=CONTROLLED,
    ),
    Column("METRIC_draw_low", "5th percentile of the estimate over the draws", only=DRAWS),
    Column("METRIC_draw_high", "95th percentile of the estimate over the draws", only=DRAWS),
)


def _with_ends(name: str, meaning: str, what: str = "") -> Iterator[Column]:
    yield Column(name, meaning)
    for end, side in (("low", "lower"), ("high", "upper")):
        yield Column(f"{name}_{end}", f"{side} end of its 95 % interval{what}")


def _without_control(name: str) -> Iterator[Column]:
    yield Column(f"{name}_plain", f"{name} without the control variates", only=CONTROLLED)
    for end, side in (("low", "lower"), ("high", "upper")):
        text = f"{side} end of its 95 % interval"
        yield Column(f"{name}_plain_{end}", text, only=CONTROLLED)
    explained = "share of the variance that the control variates explain"
    yield Column(f"{name}_explained", explained, "share", only=CONTROLLED)


def _over_draws(name: str, how: str = "", only: str = DRAWS) -> Iterator[Column]:
    for end, q in (("low", "5th"), ("high", "95th")):
        yield Column(f"{name}_draw_{end}", f"{q} percentile over the draws{how}", only=only)


CAPACITIES = (
    _PARAMETER,
    *_with_ends(
        "capacity",
        "value of the searched parameter at which the objective is just met",
        ", or of the values between which overload begins",
    ),
    *_with_ends("capacity_plain", "capacity without the control variate"),
    *_with_ends("jobs_per_day", "offered jobs per day at the capacity"),
    *_over_draws("capacity", ", each from one replication"),
    *_over_draws("jobs_per_day"),
    Column("runs", "number of runs that the search made, with those of draws", "count"),
    Column("note", "remark on the search"),
)
GAINS = (
    _PARAMETER,
    Column("system", "value of the compared parameter"),
    Column("baseline", "value with which the system is compared"),
    Column("replications", "number of replications", "count"),
    Column("pairs", "replications that both systems have at every trial value", "count"),
    Column("same_jobs", "whether both run the same jobs at equal values of the searched parameter"),
    *_with_ends("gain", "capacity of the system minus capacity of the baseline"),
    *_without_control("gain"),
    Column("note", "why the ends are not those of a 95 % interval; empty if they are"),
)
DIFFERENCES = (
    _PARAMETER,
    Column("system", "value of the compared parameter"),
    Column("baseline", "value with which the system is compared"),
    Column("metric", "name of the metric"),
    Column("pairs", "replications that both systems have", "count"),
    Column("baseline_mean", "mean of the baseline"),
    *_with_ends("difference", "mean of system minus baseline"),
    *_with_ends("relative", "this difference divided by the mean of the baseline"),
    *_without_control("difference"),
    *_without_control("relative"),
    Column(
        "relative_note",
        "why the relative difference has no finite interval; empty if it has one",
    ),
    *_over_draws("relative"),
)
INDICES = (
    _PARAMETER,
    Column("parameter", "path of the drawn parameter"),
    Column("metric", "name of the metric"),
    *_with_ends("first", "first-order Sobol index", " (bootstrap)"),
    *_with_ends("total", "total Sobol index", " (bootstrap)"),
)
ESTIMATE = (
    *(Column(name, meaning, only="if the input has it") for name, meaning in COLUMNS.items()),
    *(
        Column(name, meaning, only="if the input has it")
        for name, meaning in FOR_UNKNOWN_CHIPS.items()
    ),
    Column("INPUT", "any other column of the input, unchanged", only="if the input has it"),
    *(Column(name, meaning) for name, meaning in PREDICTED.items()),
)
FINDINGS = (
    Column("about", "`capacity`, `gain`, `difference` or `sensitivity`"),
    Column("finding", "the finding as a sentence"),
)

STUDY_TABLES = (
    Table("runs", "runs.csv and runs.parquet", "run of a study", RUNS),
    Table("points", "points.csv and points.parquet", "point of a study", POINTS),
    Table(
        "capacities",
        "capacities.csv and capacities.parquet",
        "capacity search",
        CAPACITIES,
        "with `capacity`",
    ),
    Table(
        "gains",
        "gains.csv and gains.parquet",
        "compared system",
        GAINS,
        "with `capacity` and `compare`",
    ),
    Table(
        "differences",
        "differences.csv and differences.parquet",
        "compared system and metric",
        DIFFERENCES,
        "with `compare`",
    ),
    Table(
        "indices",
        "indices.csv and indices.parquet",
        "drawn parameter and metric",
        INDICES,
        "with `sample: {method: sobol-indices}`",
    ),
    Table("findings", "findings.csv and findings.parquet", "finding of a study", FINDINGS),
)
ESTIMATE_TABLES = (
    Table(
        "estimate",
        "the table that `clustersim estimate --table` writes",
        "configuration",
        ESTIMATE,
    ),
)
