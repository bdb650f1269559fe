"""The clock of the log that a scenario names, for dates in a scenario without `start`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from clustersim.errors import named_in
from clustersim.scenario.file_names import beside
from clustersim.workload import read_jobs

__all__ = ["clock_of_log"]


def clock_of_log(workload: Any, source: str | Path, folder: Path) -> datetime | None:
    """Return the local date and time at second 0 of the log of a scenario.

    Parameters
    ----------
    workload : object
        The section ``workload`` as plain data, which may be invalid.
    source : str or Path
        The scenario's file, for messages.
    folder : Path
        Folder to which the name of the log is relative.

    Returns
    -------
    datetime or None
        None if there is no log or its times are only seconds.

    Raises
    ------
    InputError
        If the log cannot be read.
    """
    if not isinstance(workload, Mapping) or not isinstance(workload.get("trace"), str):
        return None
    form, sort = workload.get("format"), workload.get("sort", False)
    if not (form is None or isinstance(form, str)) or not isinstance(sort, bool):
        return None  # validation reports them
    with named_in(source, "workload.trace"):
        path = Path(beside(folder, workload["trace"])).resolve()
        changed = path.stat().st_mtime_ns if path.is_file() else 0
        return _clock(str(path), changed, form, sort)


@lru_cache(maxsize=16)
def _clock(path: str, changed: int, form: str | None, sort: bool) -> datetime | None:
    """Return the clock of a log; `changed` is when its file was, so that it is read again."""
    return read_jobs(path, format=form, sort=sort).origin
