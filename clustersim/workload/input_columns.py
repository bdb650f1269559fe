"""The columns of a table of jobs that clustersim reads, and columns whose names look misspelt.

``clustersim metrics --list-columns input`` prints them as the page ``docs/jobs.md``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["INPUT_COLUMNS", "InputColumn", "input_columns_page", "misspelt_notes", "readers_of"]

_SHORTEST = 6
"""Shorter names resemble too many others."""
_ALIKE = 0.87
"""Least similarity of a name and the one that may be meant."""


@dataclass(frozen=True, slots=True)
class InputColumn:
    """A column of a table of jobs.

    Attributes
    ----------
    name : str
        Words in capitals are placeholders for names, as in ``steps_per_s.POOL``.
    unit : str
    meaning : str
    read_by : str
        What reads the column.
    example : str
    """

    name: str
    unit: str
    meaning: str
    read_by: str
    example: str


_ALL = "every run"
_PARTS: dict[str, tuple[InputColumn, ...]] = {
    "Required": (
        InputColumn("job_id", "", "identifier, unique: whole numbers or text", _ALL, "17"),
        InputColumn(
            "submit_s", "s", "time of submission, 0 or more; rows are in its order", _ALL, "3600"
        ),
        InputColumn(
            "n_accelerators", "1", "accelerators that the job asks for, all at once", _ALL, "8"
        ),
        InputColumn(
            "duration_s",
            "s",
            "run time at that size; not needed in a row with `model` and `tokens` (on a cluster "
            "with chips) or with `steps` and rates",
            _ALL,
            "7200",
        ),
    ),
    "Run time": (
        InputColumn(
            "estimate_s",
            "s",
            "the user's estimate of the run time; by default the run time itself",
            "policies that reserve or sort by time (`easy`, `conservative`, `sjf`, `multifactor` "
            "and others), budgets",
            "10800",
        ),
        InputColumn(
            "estimate_factor",
            "1",
            "estimate of a row with a model, divided by its run time",
            "jobs with `model` and `tokens`",
            "1.5",
        ),
        InputColumn(
            "model", "", "model of the catalogue that the job trains", "clusters with chips", "gpt3"
        ),
        InputColumn("tokens", "1", "tokens that it trains on", "jobs with `model`", "2e9"),
        InputColumn("steps", "1", "steps of the job", "jobs with measured rates", "12000"),
        InputColumn(
            "steps_per_s.POOL",
            "1/s",
            "steps per second of the whole job on a pool; 0 or empty where it cannot run",
            "jobs with `steps`",
            "2.5",
        ),
        InputColumn(
            "steps_per_s.POOL.spread",
            "1/s",
            "the same for a gang on more nodes than it needs",
            "jobs with `steps`",
            "2.1",
        ),
        InputColumn(
            "steps_per_s.POOL@N",
            "1/s",
            "the same on N accelerators",
            "jobs with `steps`, also with a range of sizes",
            "4.4",
        ),
        InputColumn(
            "restart_delay_s",
            "s",
            "what a preemption or a change of size costs the job, without the option `cost`",
            "policies that preempt or resize",
            "120",
        ),
        InputColumn(
            "read_bytes",
            "B",
            "what the job reads from the storage that jobs share, before its first step; by "
            "default nothing",
            "shared storage (`failures.checkpoints.storage`)",
            "1.4e11",
        ),
    ),
    "Sizes": (
        InputColumn(
            "min_accelerators",
            "1",
            "smallest size, 1 to `n_accelerators`; by default `n_accelerators`",
            "`sia`, `pollux`, the option `partial`, policies of your own",
            "2",
        ),
        InputColumn(
            "max_accelerators",
            "1",
            "largest size, at least `n_accelerators`; by default `n_accelerators`",
            "`sia`, `pollux`, policies of your own",
            "16",
        ),
        InputColumn(
            "serial_share",
            "1",
            "share of the work that more accelerators do not make faster, 0 to 1 (Amdahl's law)",
            "jobs with a range of sizes, without rates or a model",
            "0.05",
        ),
    ),
    "Where and when it may run": (
        InputColumn(
            "accelerators",
            "",
            "chips on which it may run, with commas between them, the preferred one first; by "
            "default all",
            "clusters with chips",
            '"H200,H20"',
        ),
        InputColumn(
            "vc",
            "",
            "virtual cluster whose nodes it uses",
            "clusters with virtual clusters or queues; quotas; `multifactor`",
            "vision",
        ),
        InputColumn(
            "partition",
            "",
            "the same as `vc`, if there is no `vc`",
            "clusters with virtual clusters or queues; quotas; `multifactor`",
            "a100",
        ),
        InputColumn(
            "preemptible",
            "",
            "`true`: may run on nodes that services lend, and may be stopped",
            "services that lend nodes, `kai`",
            "true",
        ),
        InputColumn("hero", "", "`true`: nodes are drained for it", "windows: hero jobs", "true"),
        InputColumn(
            "after_ok",
            "",
            "ids of jobs that must have finished, with spaces, commas or colons between them; it "
            "never runs if one of them is cancelled",
            _ALL,
            '"17:18"',
        ),
        InputColumn(
            "after_any", "", "ids of jobs that must have ended, as in `after_ok`", _ALL, "17"
        ),
        InputColumn("array", "", "name of the array to which the task belongs", _ALL, "sweep"),
        InputColumn(
            "array_limit",
            "1",
            "tasks of the array in the queue or running at a time; the same in all its rows",
            _ALL,
            "4",
        ),
        InputColumn("not_before_s", "s", "time before which it is not queued", _ALL, "86400"),
    ),
    "Who and how urgent": (
        InputColumn(
            "user",
            "",
            "user",
            "`drf`, `qssf`, `multifactor`; limits, budgets and quotas; shares and fairness of the "
            "result",
            "ann",
        ),
        InputColumn("account", "", "account in Slurm's tree of shares", "`multifactor`", "lab1"),
        InputColumn(
            "qos",
            "",
            "quality of service: `weight_qos`, `qos_priority`, `preempt_type=qos`",
            "`multifactor`",
            "high",
        ),
        InputColumn(
            "priority",
            "1",
            "priority, higher ones first; whole numbers for `kueue` and `kai`; the site's factor "
            "in `multifactor` by its option `site_column`",
            "`priority`, `kueue`, `kai`, `multifactor`",
            "10",
        ),
        InputColumn("nice", "1", "subtracted from the priority", "`multifactor`", "100"),
        InputColumn(
            "queue",
            "",
            "queue of quotas; by default the first of `queue`, `vc`, `partition` and `user`, or "
            "the column that `by` names",
            "quotas: `kueue`, `kai` and the option `quotas`",
            "vision",
        ),
        InputColumn(
            "deadline_s",
            "s",
            "time by which it should end, on the clock of `submit_s`",
            "`earliest_deadline`, `slo_attainment`",
            "90000",
        ),
        InputColumn(
            "slo_s",
            "s",
            "time from its submission by which it should end",
            "`earliest_deadline`, `slo_attainment`",
            "14400",
        ),
        InputColumn(
            "job_class",
            "",
            "class of the job; `workload.reference_models` of a scenario names its model",
            "results by class, run times on other chips",
            "prod",
        ),
        InputColumn(
            "job_name",
            "",
            "name; runs with the same user, name (digits aside) and size predict each other",
            "`qssf`",
            "train-7",
        ),
        InputColumn("name", "", "the same as `job_name`, if there is none", "`qssf`", "train-7"),
    ),
    "Recorded logs": (
        InputColumn(
            "status",
            "",
            "state of the job; makes the table a recorded log, whose rows without a run are "
            "dropped and counted",
            "the reader of logs",
            "COMPLETED",
        ),
        InputColumn(
            "start_s",
            "s",
            "recorded start; the simulation decides its own",
            "`validate`, `forecast`; recorded waits",
            "4000",
        ),
        InputColumn("end_s", "s", "recorded end", "the reader of logs", "11200"),
        InputColumn(
            "req_time_s",
            "s",
            "requested time, the estimate if there is no `estimate_s`",
            "the reader of logs",
            "10800",
        ),
    ),
}
INPUT_COLUMNS = tuple(column for part in _PARTS.values() for column in part)
"""All columns, in the order of the page."""


def readers_of(name: str) -> str:
    """Return what reads a column; empty for a column that nothing reads.

    Examples
    --------
    >>> readers_of("qos"), readers_of("gpu_spec")
    ('`multifactor`', '')
    """
    return next((column.read_by for column in INPUT_COLUMNS if column.name == name), "")


def misspelt_notes(names: Sequence[str]) -> list[str]:
    """Return notes on columns of a table of jobs whose names look misspelt.

    A column counts as misspelt if nothing reads it, its name has six letters or more and is very
    similar to that of a column that is read, and the table does not have that column.

    Examples
    --------
    >>> misspelt_notes(["job_id", "max_acelerators", "nodes"])
    ["column 'max_acelerators' is read by nothing but limits, quotas and policies that name it; \
did you mean 'max_accelerators'?"]
    """
    known = [column.name for column in INPUT_COLUMNS if "." not in column.name]
    found = []
    for name in names:
        if name in known or len(name) < _SHORTEST:
            continue
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=_ALIKE)
        if near and len(near[0]) >= _SHORTEST and near[0] not in names:
            found.append(
                f"column {name!r} is read by nothing but limits, quotas and policies that name it; "
                f"did you mean {near[0]!r}?"
            )
    return found


_HEAD = (
    "# The table of jobs",
    "",
    "This page is generated by `clustersim metrics --list-columns input`; a test compares it with "
    "the code. A table of jobs is a CSV or Parquet file, or a pandas table, with one row per job "
    "in order of submission. Common other names of the required columns and of the estimate are "
    "recognised, and dates are read as times ([Logs of your site](site-logs.md)). An empty cell "
    "means that the job has no value. A word in capitals is a placeholder for a name.",
    "",
    "Any other column is kept: it is in the result, a policy of your own reads it with "
    '`view.column("NAME", jobs)`, and limits, budgets and quotas can name it ([quotas](quotas.md)).'
    " A note points out columns whose names look misspelt.",
    "",
    "```text",
    "job_id,submit_s,n_accelerators,duration_s,user,priority,after_ok,array,array_limit",
    "data,0,8,3600,ann,0,,,",
    "sft,60,16,7200,ann,5,data,,",
    "eval-1,120,1,600,bo,0,sft,eval,2",
    "eval-2,120,1,600,bo,0,sft,eval,2",
    "eval-3,120,1,600,bo,0,sft,eval,2",
    "```",
    "",
    "`sft` waits for `data`; the three tasks of the array wait for `sft`, and at most two of them "
    "run at a time.",
)


def input_columns_page() -> str:
    """Return the columns as a Markdown page."""
    lines = [*_HEAD]
    for heading, columns in _PARTS.items():
        lines += ["", f"## {heading}", ""]
        lines += ["| column | unit | meaning | read by | example |", "|---|---|---|---|---|"]
        lines += [_row(column) for column in columns]
    return "\n".join(lines) + "\n"


def _row(column: InputColumn) -> str:
    cells: Iterable[str] = (
        f"`{column.name}`",
        column.unit,
        column.meaning,
        column.read_by,
        f"`{column.example}`",
    )
    return "| " + " | ".join(cells) + " |"
