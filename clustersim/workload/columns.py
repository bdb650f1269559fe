"""Recognise columns of a jobs table under the names that other programs use.

A column is recognised by the meaning of its name, not by its spelling: ``num_gpu`` is the number of
accelerators, while ``iterations`` has no counterpart in a jobs table.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clustersim.meanings import squashed

__all__ = ["UNIT_S", "Found", "absent_columns", "find_column", "names_job", "shortened"]

UNIT_S = {
    **dict.fromkeys(("ns", "nanoseconds"), 1e-9),
    **dict.fromkeys(("us", "usec", "micros", "microseconds"), 1e-6),
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
"""Length in seconds of each unit that a column name can end with."""
_UNIT_WORDS = {
    UNIT_S[word]: word
    for word in ("nanoseconds", "microseconds", "milliseconds", "seconds", "minutes", "hours")
} | {86400.0: "days"}

_GPU = ("gpu", "gpus", "accelerator", "accelerators", "accel", "chips", "npu", "npus")
_MEANT: dict[str, tuple[frozenset[str], ...]] = {
    "job_id": (
        frozenset({"jobid", "jobids"}),
        frozenset({"jobnumber", "jobno", "jobnum", "jobidraw", "jobuuid", "jobkey"}),
        frozenset({"id", "job", "uuid"}),
    ),
    "n_accelerators": (
        frozenset(
            {
                f"{before}{word}{after}"
                for word in _GPU
                for before, after in (
                    *(("num", ""), ("n", ""), ("nr", ""), ("no", ""), ("numberof", "")),
                    *(("nof", ""), ("numof", ""), ("", "num"), ("", "count"), ("", "cnt")),
                    *(("total", ""), ("used", ""), ("requested", ""), ("req", ""), ("alloc", "")),
                    *(("allocated", ""), ("", "requested"), ("", "allocated"), ("", "request")),
                )
            }
            | {"gpus", "npus", "chips"}
        ),
        frozenset({"gpu", "npu", "gpudemand", "scalefactor"}),
    ),
    "submit_s": (
        frozenset(
            {
                *("submit", "submittime", "submits", "submitted", "submittedtime", "submittedat"),
                *("submission", "submissiontime", "submitat", "submittimestamp", "subtime"),
            }
        ),
        frozenset({"arrival", "arrivaltime", "arrivals", "arrived", "arrivedat", "arrivetime"}),
        frozenset(
            {"timestamp", "createtime", "createdat", "creationtime", "queuedat", "enqueuetime"}
        ),
    ),
    "duration_s": (
        frozenset(
            {
                *("duration", "runtime", "elapsed", "elapsedtime", "elapsedraw", "executiontime"),
                *("exectime", "jobduration", "jobruntime", "runduration", "runningtime"),
                *("durationtime", "servicetime", "timerun"),
            }
        ),
    ),
    "estimate_s": (
        frozenset(
            {
                *("estimate", "estimates", "userestimate", "estimatedtime", "estimatedruntime"),
                *("estimatedduration", "runtimeestimate", "durationestimate", "timeestimate"),
                *("estruntime", "estduration", "esttime", "expectedruntime", "expectedduration"),
                *("predictedruntime", "predictedduration"),
            }
        ),
        frozenset(
            {
                *("reqtime", "requestedtime", "timerequested", "requestedruntime", "timereq"),
                *("requestedduration", "requestedwalltime", "walltimerequested", "reqwalltime"),
                *("timelimit", "timelimitraw", "timelim", "runtimelimit", "durationlimit"),
                *("walltimelimit", "wallclocklimit", "maxruntime", "maxduration", "maxwalltime"),
            }
        ),
        frozenset({"walltime", "wallclock", "wallclocktime"}),
    ),
}
"""Other names of the required columns and of the estimate, reduced to letters and digits.

The groups are tried in order.
"""
_PERHAPS = {
    "job_id": {"jobname", "name", "taskid", "applicationid", "appid", "pod", "podname"},
    "n_accelerators": {
        *("size", "procs", "nprocs", "numprocs", "processors", "cores", "ncores", "ncpus", "cpus"),
        *("res", "resources", "devices", "ndevices", "numdevices", "workers", "nworkers", "width"),
        *("worldsize", "cards", "ncards", "tresalloc", "alloctres", "nodes", "nnodes", "numnodes"),
        *("plangpu", "gpuspernode", "gpusperworker", "accelerators"),
    },
    "submit_s": {"time", "date", "start", "starttime", "eligible", "queuetime", "t", "release"},
    "duration_s": {
        *("walltime", "wallclock", "time", "length", "run", "jct", "timelimit", "actualruntime"),
        *("cputime", "service", "endtime", "end", "totaltime", "processingtime"),
    },
}
"""Names that may mean a required column; only the user can decide."""


@dataclass(frozen=True, slots=True)
class Found:
    """A column of a file that has been recognised as a column of the jobs table.

    Attributes
    ----------
    name : str
        Name of the column in the file.
    scale : float
        Length of the column's unit in seconds; 1 for accelerators and ids.
    has_unit : bool
        Whether the name states the unit.
    """

    name: str
    scale: float = 1.0
    has_unit: bool = False

    @property
    def unit(self) -> str:
        """Name of the unit of time; ``seconds`` if the column name does not state a unit."""
        return _UNIT_WORDS[self.scale]


def _parts(name: object) -> tuple[str, float | None]:
    """Split a column name into its meaning and its unit.

    For example, ``run_time_min`` is split into ``runtime`` and 60 seconds. The unit is None if the
    name does not state a unit.
    """
    text = re.sub(r"\(([^)]*)\)|\[([^]]*)\]", r"_\1\2", str(name).strip())
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    stem, _, ending = re.sub(r"[\s.-]+", "_", text).rstrip("_").rpartition("_")
    unit = UNIT_S.get(ending.lower()) if stem else None
    return (squashed(stem), unit) if unit is not None else (squashed(name), None)


def find_column(wanted: str, columns: Iterable[object]) -> Found | list[str]:
    """Find the column of a file that corresponds to a column of the jobs table.

    Parameters
    ----------
    wanted : str
        ``job_id``, ``submit_s``, ``n_accelerators``, ``duration_s`` or ``estimate_s``.
    columns : iterable of str
        Columns of the file.

    Returns
    -------
    Found or list of str
        The column, or a list of candidates (possibly empty) if there is not exactly one match.

    Examples
    --------
    >>> find_column("n_accelerators", ["job_id", "num_gpu", "iterations"])
    Found(name='num_gpu', scale=1.0, has_unit=False)
    >>> find_column("job_id", ["job_name", "job_type"])
    ['job_name']
    """
    timed = wanted.endswith("_s")
    parsed = [(str(name), *_parts(name)) for name in columns]
    for group in _MEANT.get(wanted, ()):
        found = [
            Found(name, 1.0 if unit is None else unit, unit is not None)
            for name, meaning, unit in parsed
            if meaning in group and (timed or unit is None)
        ]
        if len(found) == 1:
            return found[0]
        if found:
            return [column.name for column in found]
    return [name for name, meaning, _ in parsed if meaning in _PERHAPS.get(wanted, ())]


def names_job(name: object) -> bool:
    """Return whether a column name denotes the id of a job."""
    return any(squashed(name) in group for group in _MEANT["job_id"])


def absent_columns(required: Sequence[str], columns: Sequence[str]) -> list[str]:
    """Return messages on absent required columns, with columns that may be meant instead.

    Examples
    --------
    >>> absent_columns(["job_id", "vc"], ["job_name", "job_type"])
    ["job_id: this column is required but absent; 'job_name' may be meant: rename it to job_id", \
'vc: this column is required but absent; found job_name, job_type']
    """
    absent = [name for name in required if name not in columns]
    hints = {name: _hint(name, columns) for name in absent}
    problems = [
        f"{name}: this column is required but absent; {hints[name]}"
        for name in absent
        if hints[name]
    ]
    plain = [name for name in absent if not hints[name]]
    if plain:
        what = "this column is" if len(plain) == 1 else "these columns are"
        found = shortened(columns) or "no columns"
        problems.append(f"{', '.join(plain)}: {what} required but absent; found {found}")
    return problems


def _hint(wanted: str, columns: Sequence[str]) -> str:
    found = find_column(wanted, columns)
    if isinstance(found, Found):
        found = [found.name]
    if not found:
        near = difflib.get_close_matches(wanted, columns, n=1, cutoff=0.8)
        found = [name for name in near if not _means_another(name, wanted)]
    if found:
        names = " or ".join(repr(name) for name in found)
        rest = "rename it" if len(found) == 1 else "rename the right one"
        unit = " (in seconds)" if wanted.endswith("_s") else ""
        return f"{names} may be meant: {rest} to {wanted}{unit}"
    return ""


def _means_another(name: str, wanted: str) -> bool:
    meaning, _ = _parts(name)
    return any(
        meaning in group for other, groups in _MEANT.items() if other != wanted for group in groups
    )


def shortened(names: Sequence[str], most: int = 12, longest: int = 60) -> str:
    """List at most `most` names, each shortened to `longest` characters.

    Examples
    --------
    >>> shortened(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = [name if len(name) <= longest else f"{name[:longest]}..." for name in names[:most]]
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(shown) + more
