"""The result of a simulation, which can be saved to a folder and loaded again."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.brief import Brief
from clustersim.calendar import Calendar
from clustersim.errors import InputError, check_kind
from clustersim.json_values import rounded_rows
from clustersim.notes import note
from clustersim.outputs import new_folder
from clustersim.simulation.node_ranges import by_node, in_ranges
from clustersim.simulation.tables import kept_aside
from clustersim.source_code import this_code
from clustersim.units import format_count, format_duration, format_percent
from clustersim.version import __version__

__all__ = ["PROVENANCE", "Result", "versions", "with_kind"]

_FILES = {
    "jobs": "jobs",
    "allocation_ranges": "allocations",
    "utilisation": "utilisation",
    "summary": "summary",
    "attempts": "attempts",
    "outages": "outages",
    "serving": "serving",
    "costs": "costs",
    "windows": "windows",
    "network_load": "network_load",
    "storage_load": "storage_load",
    "network_faults": "network_faults",
}
"""Name of the Parquet file of each table, without its suffix."""
PROVENANCE = "provenance.json"
_HASHES = "sha256"
"""Key of the hashes of the tables in the provenance file."""
_OPTIONAL = (
    *("attempts", "outages", "serving", "costs", "windows"),
    *("network_load", "network_faults", "storage_load"),
)


@dataclass(frozen=True, repr=False)
class Result(Brief):
    """The result tables of one run, and its provenance.

    Attributes
    ----------
    jobs : pandas.DataFrame
        One row per job: the input's columns, ``outcome``, ``pool``, ``start_s``,
        ``finish_s``, ``reason``.
    allocation_ranges : pandas.DataFrame
        One row per attempt at a job, with the ranges of nodes on which it ran: ``job_id``,
        ``pool``, ``virtual_cluster``, ``nodes``, ``n_accelerators``, ``start_s``, ``end_s``, and
        ``work_share`` if an attempt was on several pools. A
        table with one row per node, as written by earlier versions, is also accepted.
    utilisation : pandas.DataFrame
        Allocated and installed accelerators of each pool, as a step function of time.
    summary : pandas.DataFrame
        Counts, means and percentiles for all pools together, each pool and each virtual cluster.
    attempts : pandas.DataFrame or None
        One row per attempt at a job, with how its time was used; None if there were no node events.
    outages : pandas.DataFrame or None
        One row for each period during which a node was out of service or slow; None if there
        were no node events.
    serving : pandas.DataFrame or None
        Accelerators that each service needed and reserved, as a step function of time; None if
        there were no services.
    costs : pandas.DataFrame or None
        Energy and cost of each pool in each period; None if neither was computed.
    windows : pandas.DataFrame or None
        Maintenance, reservations in advance and hero jobs, with the accelerator-seconds that were
        kept free for them; None if nothing was planned in advance.
    network_load : pandas.DataFrame or None
        Load of the trunks with the most load, over time; None if jobs did not slow each other down
        in the network.
    storage_load : pandas.DataFrame or None
        Load of the storage that jobs shared, over time; None if they shared none.
    network_faults : pandas.DataFrame or None
        Parts of the network that were down or degraded; None if nothing could fail there.
    provenance : dict
        The resolved scenario, seed, calendar, versions, wall time, and whether the run was
        interrupted.

    Examples
    --------
    >>> import clustersim as cs
    >>> result = cs.run(
    ...     {
    ...         "cluster": "mixed-small",
    ...         "workload": {"generate": "philly-2017", "jobs": 100, "load": 0.5},
    ...     }
    ... )
    >>> list(result.jobs["outcome"].unique())
    ['finished']
    >>> result.save("out")
    PosixPath('out')
    >>> cs.Result.load("out").jobs.equals(result.jobs)
    True
    """

    jobs: pd.DataFrame
    allocation_ranges: pd.DataFrame
    utilisation: pd.DataFrame
    summary: pd.DataFrame
    provenance: Mapping[str, Any]
    attempts: pd.DataFrame | None = None
    outages: pd.DataFrame | None = None
    serving: pd.DataFrame | None = None
    costs: pd.DataFrame | None = None
    windows: pd.DataFrame | None = None
    network_load: pd.DataFrame | None = None
    storage_load: pd.DataFrame | None = None
    network_faults: pd.DataFrame | None = None

    def _brief(self) -> tuple[str, Mapping[str, str]]:
        whole = self.summary.iloc[0].to_dict() if len(self.summary) else {}
        scenario = self.provenance.get("scenario", {})
        name = scenario.get("name", "") if isinstance(scenario, Mapping) else ""

        def shown(column: str, text: Callable[[float], str]) -> str:
            value = whole.get(column)
            return "" if value is None or pd.isna(value) else text(float(value))

        return f"Result of {name!r}" if name else "Result", {
            "jobs": f"{len(self.jobs):,}",
            "finished": shown("finished", format_count),
            "mean wait": shown("mean_wait_s", format_duration),
            "p95 wait": shown("p95_wait_s", format_duration),
            "utilisation": shown("utilisation", format_percent),
            "makespan": shown("makespan_s", format_duration),
            "interrupted": "yes" if self.interrupted else "",
        }

    def __post_init__(self) -> None:
        if "node" in self.allocation_ranges:
            object.__setattr__(self, "allocation_ranges", in_ranges(self.allocation_ranges))

    @cached_property
    def allocations(self) -> pd.DataFrame:
        """One row per attempt and node, expanded from the ranges at the first access.

        The columns are ``job_id``, ``pool``, ``virtual_cluster``, ``node`` (index in the pool; -1
        if the placement does not track nodes), ``n_accelerators`` (on this node), ``start_s`` and
        ``end_s``. If large gangs fail often, there can be millions of rows; use ``first_jobs`` to
        select fewer jobs.
        """
        return by_node(self.allocation_ranges)

    @property
    def calendar(self) -> Calendar:
        """The calendar of the run, which converts its times to dates and local times."""
        return Calendar.of_document(self.provenance.get("calendar", {}))

    @property
    def interrupted(self) -> bool:
        """Whether the run was interrupted before its end."""
        return bool(self.provenance.get("interrupted", False))

    def with_provenance(self, facts: Mapping[str, Any]) -> Result:
        """Return a copy with `facts` added to the provenance; existing entries take precedence.

        Examples
        --------
        >>> import clustersim as cs
        >>> import pandas as pd
        >>> log = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 5]})
        >>> log = log.assign(n_accelerators=8, duration_s=60)
        >>> result = cs.replay(log, policy="fcfs", accelerators=8)
        >>> result.with_provenance({"log": "jobs of July"}).provenance["log"]
        'jobs of July'
        """
        return replace(self, provenance={**facts, **self.provenance})

    def first_jobs(self, count: int) -> Result:
        """Return a copy with only the first `count` submitted jobs and their attempts.

        Utilisation and summary still refer to all jobs.

        Examples
        --------
        >>> import clustersim as cs
        >>> import pandas as pd
        >>> log = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 5]})
        >>> log = log.assign(n_accelerators=8, duration_s=60)
        >>> result = cs.replay(log, policy="fcfs", accelerators=8)
        >>> result.first_jobs(1).jobs["job_id"].tolist()
        [1]
        """
        jobs = self.jobs.iloc[:count]

        def of_these(table: pd.DataFrame) -> pd.DataFrame:
            return table[table["job_id"].isin(jobs["job_id"]).to_numpy()]

        attempts = None if self.attempts is None else of_these(self.attempts)
        held = of_these(self.allocation_ranges)
        return replace(self, jobs=jobs, allocation_ranges=held, attempts=attempts)

    def save(self, folder: str | Path) -> Path:
        """Write the tables as Parquet, and the summary and provenance as JSON, to a new folder.

        Raises
        ------
        InputError
            If `folder` exists or cannot be created; nothing is overwritten.

        Examples
        --------
        >>> import clustersim as cs
        >>> import pandas as pd
        >>> log = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 5]})
        >>> log = log.assign(n_accelerators=8, duration_s=60)
        >>> result = cs.replay(log, policy="fcfs", accelerators=8)
        >>> folder = result.save("out")
        >>> (folder / "jobs.parquet").is_file()
        True
        """
        with new_folder(folder) as path:
            self.write(path)
        return path

    def write(self, folder: Path) -> None:
        """Write all files into `folder`, which must be empty; remove them again after an error.

        Examples
        --------
        >>> import clustersim as cs
        >>> import pandas as pd
        >>> log = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 5]})
        >>> log = log.assign(n_accelerators=8, duration_s=60)
        >>> result = cs.replay(log, policy="fcfs", accelerators=8)
        >>> from pathlib import Path
        >>> Path("out").mkdir()
        >>> result.write(Path("out"))
        >>> Path("out/provenance.json").is_file()
        True
        """
        rows = rounded_rows(self.summary)
        written: dict[str, str] = {}
        try:
            for name, file in _FILES.items():
                table = getattr(self, name)
                if table is not None:
                    path = folder / f"{file}.parquet"
                    table.to_parquet(path, index=False)
                    written[path.name] = _sha256(path)
            _write_json(folder / "summary.json", rows)
            # Written last: a folder without this file was left by a process that was killed.
            facts = json.loads(json.dumps(dict(self.provenance)))
            written[PROVENANCE] = _facts_hash(facts)
            _write_json(folder / PROVENANCE, {**facts, _HASHES: written})
        except BaseException:
            tables = (f"{name}.parquet" for name in _FILES.values())
            for file in (*tables, "summary.json", PROVENANCE):
                (folder / file).unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, folder: str | Path) -> Result:
        """Read a folder that ``save`` wrote, in this version or an earlier version.

        To read the folder of a study, use :func:`clustersim.load_result`.

        Raises
        ------
        InputError
            If a file is missing or damaged, or was changed after it was written:
            ``provenance.json`` contains checksums (SHA-256) of the tables and of itself. Results
            that early versions wrote have no checksums; for such a result, a note is printed.

        Examples
        --------
        >>> import clustersim as cs
        >>> import pandas as pd
        >>> log = pd.DataFrame({"job_id": [1, 2], "submit_s": [0, 5]})
        >>> log = log.assign(n_accelerators=8, duration_s=60)
        >>> result = cs.replay(log, policy="fcfs", accelerators=8)
        >>> folder = result.save("out")
        >>> cs.Result.load(folder).jobs.equals(result.jobs)
        True
        """
        check_kind("folder", folder, (str, Path), "a path")
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(folder, "no such folder of results")
        if not (folder / PROVENANCE).is_file() and (folder / "study.yaml").is_file():
            how = "read it with clustersim.load_result(folder)"
            raise InputError(folder, f"is the folder of a study, not of a run; {how}")
        tables = {}
        provenance = _read_provenance(folder)
        hashes = provenance.pop(_HASHES, {})
        if hashes and hashes.get(PROVENANCE) != _facts_hash(provenance):
            raise InputError(
                folder / PROVENANCE,
                "was changed or damaged: its SHA-256 does not match; run the scenario again",
            )
        elif not hashes:
            note(
                f"{folder / PROVENANCE} has no checksums: it was written by an earlier version or"
                " is damaged; changes to the tables cannot be detected"
            )
        for name, file in _FILES.items():
            path = folder / f"{file}.parquet"
            if name in _OPTIONAL and path.name not in hashes and not path.exists():
                continue
            try:
                if hashes and _sha256(path) != hashes.get(path.name):
                    raise InputError(
                        path,
                        "was changed or damaged: its SHA-256 does not match the one in "
                        f"{PROVENANCE}; run the scenario again",
                    )
                tables[name] = pd.read_parquet(path)
                if name == "outages":
                    tables[name] = with_kind(tables[name])
                elif name == "jobs":
                    tables[name] = with_waits(tables[name])
            except FileNotFoundError:
                raise InputError(
                    folder, f"has no {path.name}; is it a folder of results?"
                ) from None
            except (OSError, ValueError, TypeError, KeyError, MemoryError) as error:
                raise InputError(path, f"cannot be read as Parquet: {error}") from None
        if not {"node", "nodes"} & set(tables["allocation_ranges"].columns):
            raise InputError(
                folder / "allocations.parquet",
                "has neither a column nodes (ranges of nodes, one row per attempt) nor a column "
                "node (one row per node, as written by earlier versions)",
            )
        return cls(**tables, provenance=provenance)


def with_waits(jobs: pd.DataFrame) -> pd.DataFrame:
    """Return a jobs table with the column ``wait_s``, which earlier versions did not write.

    In their tables, a column of this name is from the input; it becomes ``recorded_wait_s``.

    Examples
    --------
    >>> old = pd.DataFrame({"submit_s": [5.0], "wait_s": [2.0], "start_s": [9.0]})
    >>> with_waits(old).to_dict("list")
    {'submit_s': [5.0], 'recorded_wait_s': [2.0], 'start_s': [9.0], 'wait_s': [4.0]}
    """
    names = list(map(str, jobs.columns))
    if "start_s" not in names or "wait_s" in names[names.index("start_s") :]:
        return jobs
    jobs = jobs.rename(columns=kept_aside(names, ["wait_s"]))
    jobs.insert(names.index("start_s") + 1, "wait_s", jobs["start_s"] - jobs["submit_s"])
    return jobs


def with_kind(outages: pd.DataFrame) -> pd.DataFrame:
    """Return an outages table with the column ``kind``, which earlier versions did not write.

    If the column is missing, it is derived from the other columns.
    """
    if "kind" in outages:
        return outages
    planned, absent = outages["planned"].astype(bool), outages["absent"].astype(bool)
    cause = outages["cause"].fillna("")
    kind = pd.Series("failure", index=outages.index, dtype="string")
    kind = kind.mask(planned, "maintenance").mask(outages["slowdown"] < math.inf, "slowdown")
    kind = kind.mask(planned & cause.str.startswith("serving "), "service")
    kind = kind.mask(absent, "late delivery").mask(absent & (cause == "retired"), "retirement")
    return outages.assign(kind=kind.mask(absent & (cause == "no power or space"), "no room"))


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _read_provenance(folder: Path) -> dict[str, Any]:
    path = folder / PROVENANCE
    try:
        provenance = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            folder,
            f"has no {path.name}; is it a folder of results? A result that was not written "
            "completely has no such file",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(path, f"cannot be read: {error}") from None
    if not isinstance(provenance, dict) or not isinstance(provenance.get(_HASHES, {}), dict):
        raise InputError(path, "is not the provenance of a result")
    return provenance


def _facts_hash(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=1)
def versions() -> Mapping[str, str]:
    """Versions of clustersim, Python and the libraries that a result depends on."""
    libraries = ("simpy", "numpy", "scipy", "networkx", "pandas", "pyarrow", "pydantic")
    return {
        "clustersim": __version__,
        "code": this_code().hash,
        "python": platform.python_version(),
        "platform": sys.platform,
        **{library: metadata.version(library) for library in libraries},
    }
