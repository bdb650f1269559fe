"""The table ``CLUSTER_job_table`` of Slurm's database, as a query of it prints it.

Columns: ``src/plugins/accounting_storage/mysql/as_mysql_usage.h`` and ``as_mysql_job.c`` of Slurm.
Times are seconds since 1970, states and generic resources are numbers, limits are minutes.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from clustersim.meanings import squashed
from clustersim.workload.readers.cells import given_cells

__all__ = ["as_sacct", "is_job_table"]

_NAMES = {
    "timesubmit": "Submit",
    "timestart": "Start",
    "timeend": "End",
    "partition": "Partition",
    "account": "Account",
    "iduser": "User",
    "user": "User",
    "tresalloc": "AllocTRES",
    "tresreq": "ReqTRES",
    "gresalloc": "AllocGRES",
    "nodesalloc": "NNodes",
    "timelimit": "TimelimitRaw",
}
"""Columns by the names of ``sacct``."""
_STATES = {
    **{0: "PENDING", 1: "RUNNING", 2: "SUSPENDED", 3: "COMPLETED", 4: "CANCELLED", 5: "FAILED"},
    **{6: "TIMEOUT", 7: "NODE_FAIL", 8: "PREEMPTED", 9: "BOOT_FAIL", 10: "DEADLINE"},
    11: "OUT_OF_MEMORY",
}
"""States by number (``enum job_states`` in slurm.h)."""
_NO_VALUE = 4294967294
"""``NO_VAL``; the number above it is ``INFINITE``."""


def is_job_table(names: Iterable[object]) -> bool:
    """Return whether columns are those of the table of jobs in Slurm's database.

    Examples
    --------
    >>> is_job_table(["id_job", "time_submit", "time_start", "time_end", "tres_alloc"])
    True
    """
    return {"idjob", "timesubmit", "timestart", "timeend"} <= {squashed(str(one)) for one in names}


def as_sacct(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the columns and values that ``sacct`` prints.

    Examples
    --------
    >>> row = {"id_job": "7", "id_array_job": "5", "id_array_task": "3", "state": "6",
    ...        "time_submit": "1738573200", "time_start": "1738573500", "time_end": "1738573560",
    ...        "time_suspended": "0", "tres_alloc": "1=8,1001=2"}
    >>> found = as_sacct(pd.DataFrame([row]))
    >>> found[["JobID", "State", "ElapsedRaw"]].to_dict("records")
    [{'JobID': '5_3', 'State': 'TIMEOUT', 'ElapsedRaw': '60'}]
    """
    cells = {squashed(str(name)): table[name].astype(str) for name in table}
    numbers = {
        name: pd.to_numeric(cells.get(name, pd.Series("", index=table.index)), errors="coerce")
        for name in (
            *("idjob", "idarrayjob", "idarraytask", "hetjobid", "hetjoboffset", "packjobid"),
            *("packjoboffset", "state", "timelimit", "timestart", "timeend", "timesuspended"),
        )
    }
    found = pd.DataFrame({"JobID": _job_ids(numbers)}, index=table.index)
    for name, shown in _NAMES.items():
        if name in cells and shown not in found:
            found[shown] = cells[name].where(given_cells(cells[name]), "")
    found["State"] = numbers["state"].map(_STATES).fillna(cells.get("state", ""))
    if "TimelimitRaw" in found:
        found["TimelimitRaw"] = found["TimelimitRaw"].mask(numbers["timelimit"] >= _NO_VALUE, "")
    ran = (numbers["timestart"] > 0) & (numbers["timeend"] > 0)
    run = numbers["timeend"] - numbers["timestart"] - numbers["timesuspended"].fillna(0)
    found["ElapsedRaw"] = run.where(ran).map(lambda one: "" if pd.isna(one) else f"{one:.0f}")
    return found


def _job_ids(numbers: dict[str, pd.Series]) -> pd.Series:
    """Return job ids as ``sacct`` prints them."""

    def plain(values: pd.Series) -> pd.Series:
        return values.map(lambda one: "" if pd.isna(one) else f"{one:.0f}")

    ids = plain(numbers["idjob"])
    array, task = numbers["idarrayjob"], numbers["idarraytask"]
    ids = ids.mask((array > 0) & (task < _NO_VALUE), plain(array) + "_" + plain(task))
    first = numbers["hetjobid"].fillna(numbers["packjobid"])
    offset = numbers["hetjoboffset"].fillna(numbers["packjoboffset"])
    return ids.mask((first > 0) & (offset < _NO_VALUE), plain(first) + "+" + plain(offset))
