"""The result of a forecast: its tables, its document and its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.brief import Brief
from clustersim.calendar import Calendar
from clustersim.outputs import new_folder, write_data, write_table
from clustersim.sites.queue import QueueState

__all__ = ["LEVELS", "Forecast", "write_forecast"]

LEVELS = (0.05, 0.5, 0.95)
"""Levels of the interval and of the median."""


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(Brief):
    """The forecast of a state.

    Attributes
    ----------
    jobs : pandas.DataFrame
        One row per waiting job (a task of an array is a job) in the order of the queue: ``job_id``,
        ``row_id`` (the row of the file), ``partition``, ``user``, ``n_accelerators``,
        ``time_limit_s``, ``low_s``, ``median_s``, ``high_s`` (5 %, 50 % and 95 % of the start, in
        seconds from now; NaN if it is not forecast or later than can be said; of a job after one
        that is not simulated, only ``low_s``: its start if that one ended now and no other job
        waited), ``low``, ``median``,
        ``high`` (the same as dates, if the date is known), ``alone_s`` (median if no other job
        waited), ``constraint``, ``detail``, ``behind``, ``jobs_ahead``, ``accelerators_ahead``,
        ``reason`` and ``scheduler_expects`` (of the scheduler itself).
    state : QueueState
        What was read.
    partitions : pandas.DataFrame
        Running and waiting jobs by partition.
    start_s : float64 array (replications, jobs)
        All simulated starts, seconds from now.
    policy : str
    assumptions : tuple of str
        What was assumed.
    calendar : Calendar
        Date of now, if it is known.
    now_s : float
        The present on the time axis of `calendar`.
    without_room : tuple of str
        A note on running jobs for which the cluster has no room; empty if there are none.
    foreign : tuple of str
        A note if most waiting jobs can never run because the cluster does not have their
        partitions; otherwise empty.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> log = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 5], "n_accelerators": [8, 8]})
    >>> log = log.assign(start_s=[0.0, None], estimate_s=3600.0)
    >>> found = cs.forecast(log, accelerators=8, at_s=60.0)
    >>> found.jobs["constraint"].tolist(), bool(found.jobs["high_s"].iloc[0] <= 3600)
    (['accelerators'], True)
    """

    jobs: pd.DataFrame
    state: QueueState
    partitions: pd.DataFrame
    start_s: Floats
    policy: str
    assumptions: tuple[str, ...]
    calendar: Calendar
    now_s: float
    without_room: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        return f"Forecast of {self.state.source}", {
            "running": f"{len(self.state.running):,}",
            "waiting": f"{len(self.jobs):,}",
            "replications": f"{len(self.start_s):,}",
        }

    def document(self) -> dict[str, Any]:
        """Return the forecast as plain data, in SI units; unknown values are None.

        Examples
        --------
        >>> import clustersim as cs
        >>> jobs = cs.read_jobs("experiments/sample_jobs.csv").jobs
        >>> result = cs.replay(jobs, policy="fcfs", accelerators=256)
        >>> found = cs.forecast(result, accelerators=256, replications=5, at_s=3600.0)
        >>> found.document()["replications"]
        5
        """
        return {
            "state": self.state.document(),
            "policy": self.policy,
            "replications": len(self.start_s),
            "levels": list(LEVELS),
            "now": self.calendar.iso(self.now_s) or None,
            "forecast": [
                {key: _plain(value) for key, value in row.items()}
                for row in self.jobs.to_dict("records")
            ],
            "assumptions": list(self.assumptions),
            "notes": list(self.state.notes),
        }

    def save(self, folder: str | Path, *, csv: bool = False) -> Path:
        """Write the tables to a new folder.

        The tables are ``forecast``, ``running``, ``waiting`` (rows as read), ``partitions`` and
        ``left_out``, as Parquet; ``forecast.json`` has all of it.

        Parameters
        ----------
        folder : str or Path
        csv : bool
            Whether to write each table as CSV, too.

        Raises
        ------
        InputError
            If `folder` exists or cannot be created.

        Examples
        --------
        >>> import clustersim as cs
        >>> jobs = cs.read_jobs("experiments/sample_jobs.csv").jobs
        >>> result = cs.replay(jobs, policy="easy", accelerators=256)
        >>> found = cs.forecast(result, accelerators=256, replications=5, at_s=7200.0)
        >>> sorted(path.name for path in found.save("forecast").iterdir())[:2]
        ['forecast.json', 'forecast.parquet']
        """
        with new_folder(folder) as path:
            write_forecast(self, path, csv=csv)
        return path


def write_forecast(found: Forecast, folder: Path, *, csv: bool = False) -> None:
    """Write the tables and the document of a forecast into an empty folder.

    Parameters
    ----------
    found : Forecast
    folder : Path
    csv : bool
        Whether to write each table as CSV, too.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    for name, table in _tables(found).items():
        write_table(table, folder / f"{name}.parquet")
        if csv or name == "left_out":
            write_table(table, folder / f"{name}.csv")
    write_data(found.document(), folder / "forecast.json")


def _tables(found: Forecast) -> dict[str, pd.DataFrame]:
    """Return the tables by the name of their file."""
    return {
        "forecast": found.jobs,
        "running": found.state.running_table(),
        "waiting": found.state.waiting_table(),
        "partitions": found.partitions,
        "left_out": pd.DataFrame(list(found.state.left_out), columns=["row", "reason"]),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value
