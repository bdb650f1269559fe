"""Columns of the tables of a run, with their meaning and number format.

The table printed for a run uses these headings and formats.  See
:mod:`clustersim.analysis.columns.column_page` for the dictionary of all tables.
"""

from __future__ import annotations

from dataclasses import replace

from clustersim.analysis.columns.column import Column, Table

__all__ = ["RUN_TABLES", "SUMMARY"]


INPUT = "if the input has it"
FAILURES = "if nodes can go out of service"
STOPPED = (
    "if nodes can go out of service, the policy preempted a job, jobs share the network or the "
    "storage, or a job ran at another size than it asks for or on several pools"
)
STORED = "if jobs share the storage of their checkpoints"
ENERGY, MONEY = "with the key `energy`", "with the key `money`"
SERVING, DATED = "with services", "if the run has a start date"
DATED_CSV = "in CSV files (`--csv`), if the run has a start date"
_JOB = Column("job_id", "identifier of the job")
_POOL = Column("pool", "name of the pool")
_N = Column("n_accelerators", "accelerators of the job", "count")
_WORK_SHARE = Column(
    "work_share",
    "share of the attempt's work that is done in this pool",
    "share",
    "if a job ran on several pools",
)
_ACCOUNTS = (
    Column("energy_j", "energy use", "energy", ENERGY),
    Column("electricity_cny", "cost of electricity", "money", ENERGY),
    Column("carbon_kg", "carbon dioxide emissions of the electricity", "mass", ENERGY),
)


def _in_order(begin: str, end: str) -> tuple[Column, ...]:
    return Column("start_s", begin, "duration"), Column("end_s", end, "duration")


JOBS = (
    _JOB,
    Column("submit_s", "submission time, from the start of the run", "duration"),
    _N,
    Column("duration_s", "run time on the reference accelerator, as in the input", "duration"),
    Column("estimate_s", "the user's estimate of the run time", "duration", INPUT),
    Column("model", "model that the job trains", only=INPUT),
    Column("tokens", "tokens that the job trains on", "count", "if jobs have a model"),
    Column("job_class", "class of the job", only=INPUT),
    Column("vc", "virtual cluster", only=INPUT),
    Column(
        "INPUT",
        "any other column of the input, unchanged; if a column below has the same name, it is kept "
        "as `recorded_NAME`",
        only=INPUT,
    ),
    Column("outcome", "`finished`, `unfinished` or `never runnable`"),
    Column(
        "pool",
        "pool in which the job ran or runs (the first one of several); none if it never started",
    ),
    Column("start_s", "time of the first start; NaN if the job has not started", "duration"),
    Column(
        "wait_s",
        "time from submission to the first start; NaN if the job has not started",
        "duration",
    ),
    Column(
        "TIME_local",
        "local date and time of each column with a time, such as `start_local`, ISO 8601; all "
        "tables of a run have such columns in their CSV files",
        only=DATED_CSV,
    ),
    Column("finish_s", "time of the finish; NaN if the job has not finished", "duration"),
    Column(
        "total_wait_s",
        "time in the queue over all attempts; NaN if the job has not started",
        "duration",
    ),
    Column(
        "eligible_s",
        "time from which on neither other jobs (`after_any`, `after_ok`) nor `not_before_s` held "
        "the job; NaN if they always did",
        "duration",
        "if they held a job",
    ),
    Column("done", "share of the job's work that is done and kept", "share"),
    Column(
        "preemptions",
        "number of times that the policy stopped the job",
        "count",
        "if the policy preempted a job",
    ),
    Column("reason", "why the job did not finish; none if it did"),
    *_ACCOUNTS,
    Column("cost_cny", "cost of the accelerators while the job held them", "money", MONEY),
    Column(
        "waited_for",
        "cause with most time of its wait, as in `clustersim explain`; empty without a wait",
        only="with `--explain`",
    ),
)
ALLOCATIONS = (
    _JOB,
    _POOL,
    Column("virtual_cluster", "virtual cluster that owns the nodes; none without virtual clusters"),
    Column(
        "nodes",
        "ranges of nodes of the pool with the accelerators on each, such as `0-63:8,70:4`; empty "
        "if the placement does not track nodes",
    ),
    _N,
    *_in_order("start of the attempt", "end of the attempt or of the run"),
    _WORK_SHARE,
)
ALLOCATIONS_BY_NODE = tuple(
    Column("node", "index of the node in its pool; -1 if the placement does not track nodes")
    if column.name == "nodes"
    else replace(column, meaning="accelerators of the job on this node")
    if column is _N
    else replace(column, meaning="share of the attempt's work that is done on this node")
    if column is _WORK_SHARE
    else column
    for column in ALLOCATIONS
)
UTILISATION = (
    _POOL,
    Column(
        "time_s",
        "time from which the numbers are valid, until the time of the next row",
        "duration",
    ),
    Column("allocated", "accelerators that jobs hold", "count"),
    Column("installed", "accelerators installed, whether in service or not", "count"),
    Column("out", "accelerators of nodes that are out of service", "count", FAILURES),
    Column("serving", "accelerators that serve requests", "count", SERVING),
)
SUMMARY = (
    Column("scope", "`all`, the name of a pool, or `vc NAME`", heading="pool"),
    Column("kind", "`all`, `pool` or `vc`"),
    Column(
        "jobs",
        "number of jobs; jobs that never ran belong to no pool, and jobs on several pools to the "
        "first one",
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
        "mean time from submission to the first start, over the jobs that started",
        "duration",
        heading="mean wait",
    ),
    Column("median_wait_s", "median of the same time", "duration"),
    Column("p95_wait_s", "95th percentile of the same time", "duration", heading="p95 wait"),
    Column("p99_wait_s", "99th percentile of the same time", "duration"),
    Column("mean_total_wait_s", "mean time in the queue over all attempts", "duration"),
    Column("median_total_wait_s", "median of the same time", "duration"),
    Column("p95_total_wait_s", "95th percentile of the same time", "duration"),
    Column("p99_total_wait_s", "99th percentile of the same time", "duration"),
    Column(
        "mean_jct_s",
        "mean job completion time, from submission to finish, over the jobs that finished",
        "duration",
        heading="mean JCT",
    ),
    Column(
        "mean_run_s",
        "mean time for which finished jobs held accelerators",
        "duration",
    ),
    Column(
        "mean_bounded_slowdown",
        "mean over finished jobs of the job completion time divided by the run time (at "
        "least 10 s); at least 1 for each job",
        "ratio",
        heading="bounded slowdown",
    ),
    Column(
        "utilisation",
        "allocated divided by available accelerator-seconds, from the first submission on",
        "share",
        heading="utilisation",
    ),
    Column("accelerator_s", "allocated accelerator-seconds", "duration"),
    Column("makespan_s", "time from the first submission to the last finish", "duration"),
    Column(
        "ettr",
        "accelerator-seconds of work that is kept, divided by the accelerator-seconds of all "
        "attempts; an attempt on several pools counts in each with the accelerators that it held "
        "there; NaN for a virtual cluster",
        "share",
        STOPPED,
        heading="effective time",
    ),
    Column(
        "served",
        "accelerator-seconds that served requests, divided by the accelerator-seconds that "
        "services needed; only for `all`",
        "share",
        SERVING,
    ),
    *_ACCOUNTS,
    Column("cost_cny", "cost of the fleet", "money", MONEY),
    Column("purchase_cny", "price of the nodes delivered during the run", "money", MONEY),
    Column("cost_per_job_cny", "cost of the fleet per job done", "money", MONEY),
    Column("cost_per_token_cny", "cost of the fleet per useful token", "money", MONEY),
    Column("cost_per_flop_cny", "cost of the fleet per useful model FLOP", "money", MONEY),
)
ATTEMPTS = (
    _JOB,
    Column("attempt", "number of the attempt; 0 is the first of a job", "count"),
    _POOL,
    _N,
    *_in_order("start of the attempt", "end of the attempt or of the run"),
    Column("kept_s", "time spent on work that is kept", "duration"),
    Column("lost_s", "time spent on work that was lost when the job was stopped", "duration"),
    Column("checkpoint_s", "time spent writing checkpoints", "duration"),
    Column("restart_s", "time spent restarting", "duration"),
    Column("slow_s", "time lost to slow nodes", "duration"),
    Column("network_s", "time lost to the network", "duration", only="with `network`"),
    Column("storage_s", "time lost to other jobs on the storage", "duration", only=STORED),
    Column("done", "share of the job's work that the attempt did and that is kept", "share"),
    Column(
        "stopped",
        "why the attempt was stopped before the job was done: node, network (a fault cut off one "
        "of its nodes), preempted (saved, requeued or suspended) or cancelled; empty if it was not",
    ),
)
OUTAGES = (
    _POOL,
    Column("node", "index of the node in its pool"),
    Column("n_accelerators", "accelerators of the node", "count"),
    Column("begin_s", "time at which the node went out of service or became slow", "duration"),
    Column("end_s", "time at which the node recovered; infinite if it did not recover", "duration"),
    Column("cause", "name of the source of the outage"),
    Column("planned", "whether the outage was known in advance"),
    Column("absent", "whether the node was not yet delivered or already retired"),
    Column(
        "slowdown",
        "factor by which jobs on the node took longer; infinite if it was out of service",
        "ratio",
    ),
    Column(
        "kind",
        "`failure`, `slowdown`, `repair` (of a slow node), `maintenance`, `service`, "
        "`late delivery`, `no room` (no power or space), `retirement` or `cut off` (from the "
        "network, by faults)",
    ),
)
NETWORK_LOAD = (
    Column("time_s", "time from which on the load is this", "duration"),
    _POOL,
    Column("level", "`leaf`, `spine` or `datacenter`"),
    Column("group", "number of the leaf or pod in the pool"),
    Column("utilisation", "expected load of the trunk, divided by its capacity", "share"),
)
STORAGE_LOAD = (
    Column("storage", "`shared`, or the pool that has a system of its own"),
    Column("time_s", "start of the interval", "duration"),
    Column("end_s", "end of the interval", "duration"),
    Column("write_Bps", "mean rate at which jobs are expected to write"),
    Column("read_Bps", "mean rate at which jobs and services are expected to read"),
    Column(
        "utilisation",
        "mean part in use of what the system gives to so many clients: of its bandwidth, or of its "
        "metadata rate if more of this is in use",
        "share",
    ),
)
NETWORK_FAULTS = (
    _POOL,
    Column(
        "part", "name of the switch, port, link or uplinks, as in `clustersim topology --links`"
    ),
    Column("begin_s", "time at which it failed", "duration"),
    Column("end_s", "time at which it was repaired; infinite if it was not", "duration"),
    Column("capacity", "part of its rate that was left; 0 if it was down", "share"),
    Column("cause", "name of the fault or of its source"),
)
WINDOWS = (
    Column("name", "name of the window, or the id of a hero job"),
    Column("kind", "`maintenance`, `reservation` or `hero` (a job for which nodes were drained)"),
    _POOL,
    Column("n_accelerators", "accelerators of the window, or of the hero job", "count"),
    Column(
        "announced_s",
        "time from which schedulers knew of it; of a hero job, its submission",
        "duration",
    ),
    Column("begin_s", "beginning; of a hero job, its first start", "duration"),
    Column("end_s", "end; of a hero job, its finish", "duration"),
    Column("stopped", "jobs that were stopped at the beginning", "count"),
    Column(
        "drained_accelerator_s",
        "accelerator-seconds that were free on its nodes between the two first times while others "
        "waited: at each time at most what waiting jobs ask for that would run past the beginning",
        "duration",
    ),
)
SERVING_TABLE = (
    Column("service", "name of the service"),
    _POOL,
    Column(
        "time_s",
        "time from which the numbers are valid, until the time of the next row",
        "duration",
    ),
    Column("needed", "accelerators that the service needs", "count"),
    Column("reserved", "accelerators that the service has", "count"),
    Column("short", "accelerators that the service lacks", "count"),
    Column("lends", "whether preemptible jobs run on accelerators that the service does not need"),
)
COSTS = (
    _POOL,
    Column("begin_s", "beginning of the period", "duration"),
    Column("begin_local", "the beginning as a local date and time, ISO 8601", only=DATED),
    Column("end_s", "end of the period", "duration"),
    Column("end_local", "the end as a local date and time, ISO 8601", only=DATED),
    Column("use", "`allocated`, `idle`, `out`, `serving` or `spare`"),
    Column("accelerator_s", "accelerator-seconds of this use", "duration"),
    *_ACCOUNTS,
    Column("depreciation_cny", "depreciation of the servers", "money", MONEY),
    Column("site_cny", "depreciation of network and buildings", "money", MONEY),
    Column("interest_cny", "interest on the capital tied up", "money", MONEY),
    Column("rent_cny", "rent of rented pools", "money", MONEY),
    Column("cost_cny", "sum of all costs", "money", MONEY),
)
QUEUE_LENGTH = (
    Column(
        "time_s",
        "time from which the numbers are valid, until the time of the next row",
        "duration",
    ),
    Column("jobs", "jobs that wait, for their first or a later start", "count"),
    Column("accelerators", "accelerators that these jobs request", "count"),
)
_SIZE = Column("size", "`all`, or a range of accelerators of the job, such as `5-8`")
WAITS_BY_SIZE = (
    _SIZE,
    Column("jobs", "jobs that can run and were submitted before the run stopped", "count"),
    Column("waiting", "jobs that had not started when the run stopped", "count"),
    Column("waited", "share of jobs that waited", "share"),
    Column(
        "mean_wait_s",
        "mean wait until the first start; if a job had not started, its wait until the end counts",
        "duration",
    ),
    Column("median_wait_s", "median of the same wait", "duration"),
    Column("p90_wait_s", "90th percentile of the same wait", "duration"),
    Column("p95_wait_s", "95th percentile of the same wait", "duration"),
    Column("most_wait_s", "longest of these waits", "duration"),
)
RECORDED_WAITS = (
    _SIZE,
    Column("jobs", "jobs that started and have a recorded wait", "count"),
    *(
        Column(f"{kind}_{name}_wait_s", f"{meaning} of their {kind} wait", "duration")
        for name, meaning in (
            ("median", "median"),
            ("p90", "90th percentile"),
            ("p95", "95th percentile"),
            ("most", "longest"),
        )
        for kind in ("recorded", "simulated")
    ),
)
SHARES = (
    Column("kind", "`user`, `vc`, or the column that names a team (`team`, `account`, `queue`)"),
    Column("name", "name of the user, virtual cluster or team"),
    Column("jobs", "its jobs that can run and were submitted before the end", "count"),
    Column("waited", "of these jobs, those that waited for any attempt", "count"),
    Column("accelerator_s", "accelerator-seconds that its jobs held", "duration"),
    Column("share", "the same as a share of those of all jobs", "share"),
    Column(
        "entitlement",
        "share of the virtual cluster's nodes in the fleet; for others, what they got if no job of "
        "theirs waited, else an equal part of the rest",
        "share",
    ),
    Column("preemptions", "number of times that the policy stopped its jobs", "count"),
    Column("lost_accelerator_s", "accelerator-seconds of work that its jobs lost", "duration"),
)
GOODPUT = (
    Column("kind", "`all`, `pool`, `size` or `class`"),
    Column("name", "`all`, or the pool, range of job sizes or job class"),
    Column("accelerator_s", "accelerator-seconds allocated", "duration"),
    Column("scheduling", "share of the capacity (of the pool) that was allocated", "share"),
    Column("runtime", "share of the allocated time with progress that was kept", "share"),
    Column("program", "MFU of this time; NaN for jobs without a model", "share"),
    Column("goodput", "product of these three", "share"),
)
SLO = (
    Column("job_class", "`all`, or the class"),
    Column("jobs", "jobs with a deadline, by which they ended or which has passed", "count"),
    Column("met", "jobs that ended by their deadline", "count"),
    Column("attainment", "share of jobs that met their deadline", "share"),
    Column("mean_late_s", "mean delay of finished jobs that missed it", "duration"),
)

RUN_TABLES = (
    Table("jobs", "jobs.parquet", "job", JOBS),
    Table("allocations", "allocations.parquet", "attempt at a job", ALLOCATIONS),
    Table(
        "allocations by node",
        "`Result.allocations` in Python",
        "attempt and node on which it ran",
        ALLOCATIONS_BY_NODE,
    ),
    Table("utilisation", "utilisation.parquet", "step of the allocation of a pool", UTILISATION),
    Table(
        "summary",
        "summary.parquet and summary.json",
        "pool or virtual cluster, and one for all jobs",
        SUMMARY,
    ),
    Table("attempts", "attempts.parquet", "attempt at a job", ATTEMPTS, STOPPED),
    Table(
        "outages",
        "outages.parquet",
        "period in which a node was out of service or slow",
        OUTAGES,
        FAILURES,
    ),
    Table(
        "windows",
        "windows.parquet",
        "window that was planned in advance, or hero job that had to wait",
        WINDOWS,
        "with the key `windows`",
    ),
    Table(
        "network_load",
        "network_load.parquet",
        "instant and trunk, for the trunks with the most load",
        NETWORK_LOAD,
        "with the key `network`, if jobs slow each other down",
    ),
    Table(
        "storage_load",
        "storage_load.parquet",
        "storage system and interval, of which there are at most 500",
        STORAGE_LOAD,
        STORED,
    ),
    Table(
        "network_faults",
        "network_faults.parquet",
        "part of the network that was down or degraded",
        NETWORK_FAULTS,
        "with the key `network.faults`",
    ),
    Table("serving", "serving.parquet", "step of a service", SERVING_TABLE, SERVING),
    Table(
        "costs",
        "costs.parquet",
        "pool, period and use of its accelerators",
        COSTS,
        "with `energy` or `money`",
    ),
    Table("queue length", "queue_length.parquet", "step of the queue", QUEUE_LENGTH),
    Table("waits by size", "waits_by_size.parquet", "range of job sizes", WAITS_BY_SIZE),
    Table(
        "recorded waits",
        "recorded_waits.parquet",
        "range of job sizes",
        RECORDED_WAITS,
        "if the input has the start or the wait of jobs",
    ),
    Table(
        "shares",
        "shares.parquet",
        "user, virtual cluster or team",
        SHARES,
        "if there are several users, virtual clusters or teams",
    ),
    Table("goodput", "goodput.parquet", "pool, range of sizes, or class", GOODPUT),
    Table(
        "SLO attainment",
        "slo_attainment.parquet",
        "job class, and one for all jobs",
        SLO,
        "if jobs have `deadline_s` or `slo_s`",
    ),
)
