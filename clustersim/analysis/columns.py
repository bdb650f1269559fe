"""The column dictionary: what each column of each table that clustersim writes means.

``docs/columns.md`` is written from it (``clustersim metrics --columns``), the table that a run
prints takes its headings and number formats from it, and a test compares it with real tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clustersim.analysis.metric_list import by_heading, definition_of, names_of
from clustersim.analysis.metrics import DIMENSIONS, find_metric
from clustersim.calibration.configurations import COLUMNS
from clustersim.calibration.table import FOR_UNKNOWN_CHIPS, PREDICTED

__all__ = [
    "SUMMARY",
    "TABLES",
    "Column",
    "Table",
    "column_rows",
    "columns_page",
    "undocumented",
]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
        Words in capitals stand for names: ``METRIC_low``.
    meaning : str
    dimension : str
        One of :data:`~clustersim.analysis.metrics.DIMENSIONS`, which has the unit; "" for none.
    only : str
        Where the column is there; "" for always.
    heading : str
        In the table that a run prints; "" for a column that it does not have.
    """

    name: str
    meaning: str
    dimension: str = ""
    only: str = ""
    heading: str = ""

    @property
    def unit(self) -> str:
        """Of the numbers, in SI."""
        return DIMENSIONS.get(self.dimension, "")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that clustersim writes.

    Attributes
    ----------
    name : str
    file : str
    rows : str
        What a row is.
    columns : tuple of Column
        In their order.
    only : str
        Where there is such a table; "" for always.
    """

    name: str
    file: str
    rows: str
    columns: tuple[Column, ...]
    only: str = ""


FAILURES = "where nodes can go out of service"
ENERGY, MONEY = "with the key `energy`", "with the key `money`"
SERVING, DATED = "with services", "where the run has a date"
DRAWS = "where the study has draws of the calibration"
_JOB = Column("job_id", "the job")
_POOL = Column("pool", "name of the pool")
_N = Column("n_accelerators", "accelerators of the job", "count")
_ACCOUNTS = (
    Column("energy_j", "energy", "energy", ENERGY),
    Column("electricity_cny", "cost of electricity", "money", ENERGY),
    Column("carbon_kg", "carbon dioxide of the electricity", "mass", ENERGY),
)


def _in_order(begin: str, end: str) -> tuple[Column, ...]:
    return Column("start_s", begin, "duration"), Column("end_s", end, "duration")


JOBS = (
    _JOB,
    Column("submit_s", "submission, from the beginning of the run", "duration"),
    _N,
    Column("duration_s", "run time on the reference accelerator, as the input has it", "duration"),
    Column("estimate_s", "run time as the user estimated it", "duration", "where the input has it"),
    Column("model", "model that the job trains", only="where the input has it"),
    Column("tokens", "tokens that it trains on", "count", "where jobs have a model"),
    Column("job_class", "class of the job", only="where the input has it"),
    Column("vc", "virtual cluster", only="where the input has it"),
    Column(
        "INPUT",
        "any other column of the input, as it is; one that has the name of a column below is kept "
        "as `recorded_NAME`",
        only="where the input has it",
    ),
    Column("outcome", "`finished`, `unfinished` or `never runnable`"),
    Column("pool", "pool in which it ran or runs; none where it never started"),
    Column("start_s", "first start; NaN where it has not started", "duration"),
    Column("finish_s", "finish; NaN where it has not finished", "duration"),
    Column(
        "total_wait_s",
        "time in the queue over all attempts; NaN where it has not started",
        "duration",
    ),
    Column("done", "share of its work that is done for good", "share"),
    Column("reason", "why it did not finish; none where it did"),
    *_ACCOUNTS,
    Column("cost_cny", "what the accelerators that it held cost meanwhile", "money", MONEY),
)
ALLOCATIONS = (
    _JOB,
    _POOL,
    Column("virtual_cluster", "virtual cluster whose nodes they are; none without"),
    Column(
        "nodes",
        "ranges of nodes of the pool with the accelerators on each, such as `0-63:8,70:4`; empty "
        "where the placement does not tell nodes apart",
    ),
    _N,
    *_in_order("start of the attempt", "its end, or that of the run"),
)
ALLOCATIONS_BY_NODE = tuple(
    Column("node", "index of the node in its pool; -1 where nodes are not told apart")
    if column.name == "nodes"
    else replace(column, meaning="accelerators of the job on this node")
    if column is _N
    else column
    for column in ALLOCATIONS
)
UTILISATION = (
    _POOL,
    Column("time_s", "from when on the numbers hold, until that of the next row", "duration"),
    Column("allocated", "accelerators that jobs hold", "count"),
    Column("installed", "accelerators that are there, working or not", "count"),
    Column("out", "accelerators of nodes that are out of service", "count", FAILURES),
    Column("serving", "accelerators that serve", "count", SERVING),
)
SUMMARY = (
    Column("scope", "`all`, the name of a pool, or `vc NAME`", heading="pool"),
    Column("kind", "`all`, `pool` or `vc`"),
    Column(
        "jobs",
        "jobs; those that never ran count under no pool",
        "count",
        heading="jobs",
    ),
    Column("finished", "jobs that finished", "count", heading="finished"),
    Column(
        "unfinished",
        "jobs that had not finished when the run stopped",
        "count",
        heading="unfinished",
    ),
    Column("never_runnable", "jobs that can never run", "count", heading="never runnable"),
    Column(
        "mean_wait_s",
        "mean time from submission to the first start, of the jobs that started",
        "duration",
        heading="mean wait",
    ),
    Column("median_wait_s", "median of the same", "duration"),
    Column("p95_wait_s", "95th percentile of the same", "duration", heading="p95 wait"),
    Column("p99_wait_s", "99th percentile of the same", "duration"),
    Column("mean_total_wait_s", "mean time in the queue over all attempts", "duration"),
    Column("median_total_wait_s", "median of the same", "duration"),
    Column("p95_total_wait_s", "95th percentile of the same", "duration"),
    Column("p99_total_wait_s", "99th percentile of the same", "duration"),
    Column(
        "mean_jct_s",
        "mean job completion time: from submission to finish, of the jobs that finished",
        "duration",
        heading="mean JCT",
    ),
    Column("mean_run_s", "mean time from the first start to the finish", "duration"),
    Column(
        "mean_bounded_slowdown",
        "mean of the job completion time over the run time (at least 10 s), at least 1",
        "ratio",
        heading="bounded slowdown",
    ),
    Column(
        "utilisation",
        "accelerator-seconds allocated over those available, from the first submission on",
        "share",
        heading="utilisation",
    ),
    Column("accelerator_s", "accelerator-seconds allocated", "duration"),
    Column("makespan_s", "from the first submission to the last finish", "duration"),
    Column(
        "effective_time",
        "accelerator-seconds of kept work over all that attempts held; NaN of a virtual cluster",
        "share",
        FAILURES,
        heading="effective time",
    ),
    Column(
        "served",
        "accelerator-seconds that served over those that services needed, of all",
        "share",
        SERVING,
    ),
    *_ACCOUNTS,
    Column("cost_cny", "cost of the fleet", "money", MONEY),
    Column("purchase_cny", "price of the nodes that came during the run", "money", MONEY),
    Column("cost_per_job_cny", "cost of the fleet over the jobs that it did", "money", MONEY),
    Column("cost_per_token_cny", "over the tokens trained for good", "money", MONEY),
    Column("cost_per_flop_cny", "over the useful model FLOPs", "money", MONEY),
)
ATTEMPTS = (
    _JOB,
    Column("attempt", "number of the attempt; 0 is the first of a job", "count"),
    _POOL,
    _N,
    *_in_order("start of the attempt", "its end, or that of the run"),
    Column("kept_s", "time of work that is kept", "duration"),
    Column("lost_s", "time of work that a failure undid", "duration"),
    Column("checkpoint_s", "time of writing checkpoints", "duration"),
    Column("restart_s", "time of restarting", "duration"),
    Column("slow_s", "time that slow nodes cost", "duration"),
    Column("done", "share of the work of the job that the attempt did for good", "share"),
)
OUTAGES = (
    _POOL,
    Column("node", "index of the node in its pool"),
    Column("n_accelerators", "accelerators of the node", "count"),
    Column("begin_s", "when it went out of service or became slow", "duration"),
    Column("end_s", "when it came back; infinite where it had not", "duration"),
    Column("cause", "name of the source of the outage"),
    Column("planned", "whether it was known beforehand"),
    Column("absent", "whether the node was not delivered yet, or had been retired"),
    Column(
        "slowdown",
        "how many times as long its jobs took meanwhile; infinite where it was out of service",
        "ratio",
    ),
)
SERVING_TABLE = (
    Column("service", "name of the service"),
    _POOL,
    Column("time_s", "from when on the numbers hold, until that of the next row", "duration"),
    Column("needed", "accelerators that the service needs", "count"),
    Column("reserved", "accelerators that it has", "count"),
    Column("short", "accelerators that it lacks", "count"),
    Column("lends", "whether accelerators that it does not need run preemptible jobs"),
)
COSTS = (
    _POOL,
    Column("begin_s", "beginning of the period", "duration"),
    Column("begin_local", "the same as a local date and time, ISO 8601", only=DATED),
    Column("end_s", "end of the period", "duration"),
    Column("end_local", "the same as a local date and time, ISO 8601", only=DATED),
    Column("use", "`allocated`, `idle`, `out`, `serving` or `spare`"),
    Column("accelerator_s", "accelerator-seconds of this use", "duration"),
    *_ACCOUNTS,
    Column("depreciation_cny", "depreciation of the servers", "money", MONEY),
    Column("site_cny", "depreciation of network and buildings", "money", MONEY),
    Column("interest_cny", "interest on what is tied up", "money", MONEY),
    Column("rent_cny", "rent of rented pools", "money", MONEY),
    Column("cost_cny", "sum of all costs", "money", MONEY),
)
_PARAMETER = Column("PARAMETER", "each parameter, by its path in the scenario, in SI units")
RUNS = (
    Column("run", "hash of the run: of its scenario, what is measured, and the code"),
    Column("point", "number of the point of the design, from 0 on"),
    _PARAMETER,
    Column("world", "draw of the calibration; -1 for the mean of its posterior"),
    Column("replication", "number of the replication, from 0 on"),
    Column("status", "`finished` or `failed`"),
    Column("code", "version and hash of the code that made the run"),
    Column(
        "METRIC",
        "each metric of the list below, also `METRIC.POOL` of each pool and, with periods, "
        "`METRIC@k` of each period",
    ),
    Column("error", "why it failed; empty where it did not"),
)
POINTS = (
    Column("point", "number of the point, from 0 on"),
    Column("code", "code that made its runs", only="where not all runs have the same"),
    _PARAMETER,
    Column("replications", "replications that finished, at the mean of the posterior", "count"),
    Column("failed", "runs that failed", "count"),
    Column("overload", "whether the queue grows without end, so that waits are infinite"),
    Column("rising", "whether later jobs waited longer than earlier ones"),
    Column("METRIC", "mean over replications of each metric of the study"),
    Column(
        "METRIC_low", "lower end of its 95 % interval", only="unless all replications are alike"
    ),
    Column(
        "METRIC_high", "upper end of its 95 % interval", only="unless all replications are alike"
    ),
    Column("METRIC_world_low", "5th percentile of its means over the draws", only=DRAWS),
    Column("METRIC_world_high", "95th percentile of its means over the draws", only=DRAWS),
)


def _with_ends(name: str, meaning: str, what: str = "") -> Iterator[Column]:
    yield Column(name, meaning)
    for end, side in (("low", "lower"), ("high", "upper")):
        yield Column(f"{name}_{end}", f"{side} end of its 95 % interval{what}")


def _over_draws(name: str, only: str = DRAWS) -> Iterator[Column]:
    for end, q in (("low", "5th"), ("high", "95th")):
        yield Column(f"{name}_world_{end}", f"{q} percentile over the draws", only=only)


CAPACITIES = (
    _PARAMETER,
    *_with_ends("capacity", "value of the searched parameter at which the objective is just kept"),
    *_with_ends("jobs_per_day", "offered jobs a day there"),
    *_over_draws("capacity"),
    *_over_draws("jobs_per_day"),
    Column("runs", "runs that the search made", "count"),
    Column("note", "what is to be known of the search"),
)
GAINS = (
    _PARAMETER,
    Column("system", "value of the compared parameter"),
    Column("baseline", "value with which it is compared"),
    Column("replications", "replications of both", "count"),
    Column("pairs", "replications in which both have a capacity", "count"),
    Column("same_jobs", "whether a value of the searched parameter brings both the same jobs"),
    *_with_ends("gain", "capacity of the system less that of the baseline"),
)
DIFFERENCES = (
    _PARAMETER,
    Column("system", "value of the compared parameter"),
    Column("baseline", "value with which it is compared"),
    Column("metric", "name of the metric"),
    Column("pairs", "replications that both have", "count"),
    Column("baseline_mean", "mean of the baseline"),
    *_with_ends("difference", "mean of system less baseline"),
    *_with_ends("relative", "that mean over the baseline's"),
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
    *(Column(name, meaning, only="read, if the input has it") for name, meaning in COLUMNS.items()),
    *(
        Column(name, meaning, only="read, if the input has it")
        for name, meaning in FOR_UNKNOWN_CHIPS.items()
    ),
    Column("INPUT", "any other column of the input, as it is", only="where the input has it"),
    *(Column(name, meaning) for name, meaning in PREDICTED.items()),
)
TABLES = {
    table.name: table
    for table in (
        Table("jobs", "jobs.parquet", "a job", JOBS),
        Table("allocations", "allocations.parquet", "an attempt at a job", ALLOCATIONS),
        Table(
            "allocations by node",
            "`Result.allocations` in Python",
            "an attempt and a node that it ran on",
            ALLOCATIONS_BY_NODE,
        ),
        Table("utilisation", "utilisation.parquet", "a step of the use of a pool", UTILISATION),
        Table(
            "summary",
            "summary.parquet and summary.json",
            "all jobs together, a pool, or a virtual cluster",
            SUMMARY,
        ),
        Table("attempts", "attempts.parquet", "an attempt at a job", ATTEMPTS, FAILURES),
        Table(
            "outages", "outages.parquet", "a time that a node was out of service or slow", OUTAGES,
            FAILURES,
        ),
        Table("serving", "serving.parquet", "a step of a service", SERVING_TABLE, SERVING),
        Table(
            "costs",
            "costs.parquet",
            "a pool, a period and a use of its accelerators",
            COSTS,
            "with `energy` or `money`",
        ),
        Table("runs", "runs.csv and runs.parquet", "a run of a study", RUNS),
        Table("points", "points.csv and points.parquet", "a point of a study", POINTS),
        Table(
            "capacities", "capacities.csv and capacities.parquet", "a capacity search", CAPACITIES,
            "with `capacity`",
        ),
        Table(
            "gains", "gains.csv and gains.parquet", "a system that is compared", GAINS,
            "with `capacity` and `compare`",
        ),
        Table(
            "differences",
            "differences.csv and differences.parquet",
            "a system that is compared, and a metric",
            DIFFERENCES,
            "with `compare`",
        ),
        Table(
            "indices", "indices.csv and indices.parquet", "a drawn parameter and a metric", INDICES,
            "with `sample: {method: sobol-indices}`",
        ),
        Table(
            "estimate",
            "the table that `clustersim estimate --table` writes",
            "a configuration",
            ESTIMATE,
        ),
    )
}  # fmt: skip
"""Tables by name: those of a run, then those of a study, then that of estimates."""


def undocumented(
    table: str, columns: Iterable[str], parameters: Iterable[str] = ()
) -> dict[str, list[str]]:
    """Compare the columns of a real table with the dictionary.

    Parameters
    ----------
    table : str
        Its name in :data:`TABLES`.
    columns : iterable of str
        Of the real table.
    parameters : iterable of str
        Those of its study.

    Returns
    -------
    dict of str to list of str
        ``unknown``: real columns that the dictionary does not have; ``missing``: columns of the
        dictionary that every such table has, and this one does not.  In order.

    Examples
    --------
    >>> undocumented("utilisation", ["pool", "time_s", "allocated", "idle"])
    {'unknown': ['idle'], 'missing': ['installed']}
    """
    real, known = list(columns), TABLES[table].columns
    parameters = set(parameters)
    unknown = [name for name in real if not any(_is(c, name, parameters) for c in known)]
    missing = [
        column.name
        for column in known
        if not column.only and column.name not in real and not column.name.isupper()
    ]
    return {"unknown": unknown, "missing": missing}


def _is(column: Column, name: str, parameters: set[str]) -> bool:
    """Whether a real column is one of the dictionary."""
    if column.name == "PARAMETER":
        return name in parameters
    if column.name == "INPUT":
        return False
    if found := re.fullmatch(r"METRIC(_\w+)?", column.name):
        end = found[1] or ""
        return name.endswith(end) and find_metric(name.removesuffix(end)) is not None
    return name == column.name


def column_rows() -> list[dict[str, Any]]:
    """Return the dictionary as plain data, a row a column."""
    return [
        {
            "table": table.name,
            "file": table.file,
            "column": column.name,
            "unit": column.unit,
            "meaning": column.meaning,
            "only": column.only or table.only or None,
        }
        for table in TABLES.values()
        for column in table.columns
    ]


def columns_page() -> str:
    """Return the dictionary and the list of metrics as a page in Markdown."""
    lines = [
        "# Columns of all tables",
        "",
        "This page is written by `clustersim metrics --columns`; a test compares it with real "
        "tables. Numbers are in SI units: times in seconds from the beginning of the run. A word "
        "in capitals stands for a name.",
    ]
    for heading, names in _PARTS.items():
        lines += ["", f"## {heading}"]
        for name in names:
            lines += _table_lines(TABLES[name])
    lines += ["", "## Metrics", ""]
    lines += [
        "Columns of the tables of a study. `NAME.POOL` is of one pool, `NAME@k` of the k-th "
        "period of a study with `window.periods`. Metrics of one's own stand behind these; see "
        "`clustersim metrics --plugins FILE.py`.",
    ]
    for heading, metrics in by_heading():
        lines += ["", f"### {heading}", "", "| name | unit | better | definition |"]
        lines += ["|---|---|---|---|"]
        for each in metrics:
            cells = (
                f"`{names_of(each)}`",
                each.unit,
                each.better,
                f"**{each.label}**. {definition_of(each)}",
            )
            lines.append(_row(cells))
    return "\n".join(lines) + "\n"


_PARTS: Mapping[str, tuple[str, ...]] = {
    "Tables of a run": (
        "jobs",
        "allocations",
        "allocations by node",
        "utilisation",
        "summary",
        "attempts",
        "outages",
        "serving",
        "costs",
    ),
    "Tables of a study": ("runs", "points", "capacities", "gains", "differences", "indices"),
    "Table of estimates": ("estimate",),
}


def _table_lines(table: Table) -> Iterator[str]:
    file = table.file if "`" in table.file else f"`{table.file.replace(' and ', '` and `')}`"
    only = f"; {table.only}" if table.only else ""
    yield from ("", f"### {table.name}", "", f"{file}: a row is {table.rows}{only}.", "")
    yield from ("| column | unit | meaning | only |", "|---|---|---|---|")
    for column in table.columns:
        yield _row((f"`{column.name}`", column.unit, column.meaning, column.only))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
