"""The columns of the tables of a run: what each means, and how it is written.

The table that a run prints takes its headings and number formats from here.  See
:mod:`clustersim.analysis.column_page` for the dictionary of all tables.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from clustersim.analysis.metrics import DIMENSIONS

__all__ = ["RUN_TABLES", "SUMMARY", "Column", "Table"]


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
    Column(
        "mean_run_s",
        "mean time for which jobs that finished held accelerators",
        "duration",
    ),
    Column(
        "mean_bounded_slowdown",
        "mean of the job completion time over that run time (at least 10 s), at least 1",
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
        "ettr",
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
    Column(
        "kind",
        "`failure`, `slowdown`, `repair` (of what was slow), `maintenance`, `service`, "
        "`late delivery`, `no room` (no power or space) or `retirement`",
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

RUN_TABLES = (
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
        "outages",
        "outages.parquet",
        "a time that a node was out of service or slow",
        OUTAGES,
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
)
