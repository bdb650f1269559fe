"""Detect the format of a file by its content and its name, and read the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import pandas as pd

from clustersim.errors import InputError, unknown_name
from clustersim.shipped import find_file
from clustersim.workload.columns import Found, find_column
from clustersim.workload.jobs import JobLog
from clustersim.workload.measured_rates import has_rates
from clustersim.workload.readers.acme import read_acme
from clustersim.workload.readers.helios import read_helios
from clustersim.workload.readers.openb import read_openb
from clustersim.workload.readers.pai import job_table_beside, read_pai
from clustersim.workload.readers.philly import read_philly
from clustersim.workload.readers.site_logs.column_roles import recognise
from clustersim.workload.readers.site_logs.read import read_site_log
from clustersim.workload.readers.source import Source, header_names, open_source, reading
from clustersim.workload.readers.swf import read_swf
from clustersim.workload.readers.table import read_parquet_jobs, read_table_jobs

__all__ = ["FORMATS", "log_files", "read_jobs"]


class Reader(Protocol):
    """Function that reads log files of one format."""

    def __call__(self, source: Source, *, sort: bool, clip_to_estimate: bool) -> JobLog: ...


_READERS: dict[str, Reader] = {
    "parquet": read_parquet_jobs,
    "csv": read_table_jobs,
    "swf": read_swf,
    "philly": read_philly,
    "helios": read_helios,
    "acme": read_acme,
    "pai": read_pai,
    "openb": read_openb,
}
SITE = "site"
"""Name of all formats of logs of sites together, which are distinguished by their content."""
FORMATS = (*_READERS, SITE)
"""Names of the formats that :func:`read_jobs` can read."""

_HEADERS = {
    "openb": {"num_gpu", "gpu_milli", "creation_time", "deletion_time"},
    "acme": {"job_id", "type", "gpu_num", "submit_time", "end_time"},
    "helios": {"job_id", "vc", "gpu_num", "submit_time", "end_time"},
    "pai": {"job_name", "task_name", "inst_num", "plan_gpu"},
}
"""Columns that identify the format of a text table."""

_SUFFIXES = {
    ".parquet": ("parquet",),
    ".pq": ("parquet",),
    ".csv": ("csv", *_HEADERS),
    ".swf": ("swf",),
    ".json": ("philly",),
}


def log_files(path: str | Path) -> list[str]:
    """Return the files of a log: the given file and, for PAI, the job table in its folder.

    Examples
    --------
    >>> from pathlib import Path
    >>> from clustersim.workload import log_files
    >>> Path("jobs.csv").write_text("job_id,submit_s,n_accelerators,duration_s\\n1,0,8,60\\n")
    51
    >>> log_files("jobs.csv")
    ['jobs.csv']
    """
    beside = job_table_beside(Path(path))
    return [str(path), *([] if beside is None else [str(beside)])]


def read_jobs(
    path: str | Path,
    *,
    format: str | None = None,
    sort: bool = False,
    clip_to_estimate: bool = False,
    time_zone: str | None = None,
    columns: str | None = None,
) -> JobLog:
    """Read the jobs of a file.

    Parameters
    ----------
    path : str or Path
        Parquet or CSV with the columns of the jobs table, a log in Standard Workload Format, a log
        as published by Philly, Helios, Acme or Alibaba, or the log of a site: of Slurm, PBS, LSF,
        HTCondor, Grid Engine or Kubernetes, or a table whose columns are recognised. Text can be
        packed by gzip, zstd, xz or bzip2.
    format : str, optional
        One of `FORMATS`; by default detected from the content. If it is given, the name of the file
        is ignored.
    sort : bool
        Whether to sort the rows of a jobs table that are not in order of submission (stable)
        instead of raising an error. Logs of sites are sorted anyway.
    clip_to_estimate : bool
        Whether to cut run times at the estimates, as most batch schedulers do. By default, run
        times are kept as recorded.
    time_zone : str, optional
        Zone of the times in the log of a site that have no offset from UTC.
    columns : str, optional
        Names of all columns of a file without a header (``"JobID,User,Submit"``), or the columns of
        the log of a site by their meaning (``"submit=Submitted,gpus=GPUs"``).

    Returns
    -------
    JobLog
        The jobs, and the number of dropped rows by reason.

    Raises
    ------
    InputError
        If the file is missing, a folder, empty or truncated, if its format differs from the one
        that its name suggests, or if its jobs cannot be simulated.

    Examples
    --------
    >>> import clustersim as cs
    >>> import pandas as pd
    >>> columns = ["job_id", "submit_s", "n_accelerators", "duration_s"]
    >>> table = pd.DataFrame([[1, 0, 8, 300], [2, 60, 16, 90]], columns=columns)
    >>> table.to_csv("jobs.csv", index=False)
    >>> log = cs.read_jobs("jobs.csv")
    >>> log.jobs["n_accelerators"].to_list()
    [8, 16]
    """
    if format is not None and format not in FORMATS:
        raise InputError("format", unknown_name("format", format, FORMATS))
    path = find_file(path, within="experiments", suffix=".csv")
    told = time_zone is not None or columns is not None
    site = format == SITE or (format is None and _is_site_log(path, told))
    if site:
        log = read_site_log(
            path, time_zone=time_zone, columns=columns, clip_to_estimate=clip_to_estimate
        )
        if log is not None:
            return log
        if format == SITE:
            raise InputError(path, "is in no known format of a site's log")
    source = open_source(path)
    if format is None:
        format = _format_of_content(source)
        _check_name(source, format)
    elif source.kind != ("parquet" if format == "parquet" else "text"):
        raise InputError(path, f"must be in the format {format}, found a {source.kind} file")
    return _READERS[format](source, sort=sort, clip_to_estimate=clip_to_estimate)


def _is_site_log(path: Path, told: bool) -> bool:
    """Return whether to try a file as the log of a site.

    Parameters
    ----------
    path : Path
        The file.
    told : bool
        Whether the user gives a time zone or columns: then it is not a published log, whose zone
        is known, and no list of jobs in seconds.
    """
    with reading(path), path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1" or not start:
        return False
    try:
        source = open_source(path)
        if source.kind == "parquet":
            return False
        found = _format_of_content(source)
    except InputError:  # packed or encoded in another way
        return True
    if found != "csv":
        return found == "philly" or (told and found in ("helios", "acme"))
    names = header_names(source)
    own = {"n_accelerators", "duration_s"} & set(names) and not recognise(names).has_times
    if "submit_s" in names or (own and not told):  # a jobs table, perhaps with a misspelt name
        return False
    return told or not _is_list_of_jobs(names)


def _is_list_of_jobs(names: list[str]) -> bool:
    """Return whether a table lists jobs with run times, and records no starts, ends or states.

    Examples
    --------
    >>> _is_list_of_jobs(["id", "arrival_s", "gpus", "runtime_min"])
    True
    >>> _is_list_of_jobs(["id", "submitted", "started", "ended", "gpus"])
    False
    >>> _is_list_of_jobs(["id", "arrival_s", "gpus", "steps", "steps_per_s.v100"])
    True
    """
    by_rates = has_rates(pd.DataFrame(columns=names))
    wanted = ["job_id", "submit_s", "n_accelerators", *([] if by_rates else ["duration_s"])]
    if not all(name in names or isinstance(find_column(name, names), Found) for name in wanted):
        return False
    roles = recognise(names)
    recorded = {"start", "end"} <= set(roles.names) or {"wait", "state"} & set(roles.names)
    return not (recorded or roles.factors)


def _format_of_content(source: Source) -> str:
    if source.kind == "parquet" and source.gzipped:
        raise InputError(
            source.path, "is a gzip-compressed Parquet file; decompress it (gunzip) first"
        )
    if source.kind == "parquet":
        return "parquet"
    lines = [line.strip() for line in source.head.splitlines() if line.strip()]
    if not lines:
        raise InputError(source.path, "contains only blank lines")
    if lines[0][0] in "[{":
        return "philly"
    if lines[0][0] == ";" or re.fullmatch(r"(?:[-+.\deE]+\s+){17}[-+.\deE]+", lines[0]):
        return "swf"
    fields = [field.strip().strip('"') for field in lines[0].split(",")]
    if "submit_s" not in fields:
        for name, needed in _HEADERS.items():
            if needed <= set(fields):
                return name
        if len(fields) == 10 and re.fullmatch(r"[\d.]*", fields[2] + fields[4] + fields[8]):
            return "pai"
        if len(fields) == 6 and re.fullmatch(r"\d+\.\d*,(\d+\.\d*)?", ",".join(fields[4:])):
            raise InputError(
                source.path, "is PAI's job table, which does not state job sizes; " + _PAI
            )
    return "csv"


_PAI = "give pai_task_table.csv (a job table in the same folder is read too)"


def _check_name(source: Source, found: str) -> None:
    """Raise an error if the content of a file does not match its name."""
    named_gz = source.path.name.lower().endswith(".gz")
    if named_gz and not source.gzipped:
        raise InputError(
            source.path, "is not gzip-compressed, although its name ends in .gz; rename it"
        )
    expected = _SUFFIXES.get(source.suffix)
    if expected is not None and found not in expected:
        content = "a Parquet file" if found == "parquet" else f"text (it looks like {found})"
        raise InputError(
            source.path,
            f"is {content}, although its name ends in {source.suffix}; "
            f"rename it or give the format (--log-format {found})",
        )
    if source.gzipped and not named_gz:
        raise InputError(
            source.path, "is gzip-compressed, although its name does not end in .gz; rename it"
        )
