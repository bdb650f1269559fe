"""A question about a log, from its parameters to its page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.files import yaml_text
from clustersim.json_values import rounded_rows
from clustersim.outputs import PAGE_FILE, replacing, write_data, write_table
from clustersim.report.of_what_if.answer import what_if_answer
from clustersim.report.of_what_if.page import what_if_page
from clustersim.report.of_what_if.stored import DATA_FILE, JOBS, stored_parts
from clustersim.report.page import write_page
from clustersim.simulation.result import versions
from clustersim.whatif.question import System, ask
from clustersim.whatif.result import WhatIf, compare
from clustersim.workload import JobLog

__all__ = ["what_if", "what_if_data", "write_what_if"]

ANSWERS = ("groups", "fleet", "hinges")
"""Tables of the answer."""
TABLES = (*ANSWERS, "replications", "fleets")
"""Tables that are written; the others are those from which the answer is made."""


def what_if(
    log: str | Path | JobLog | pd.DataFrame,
    *,
    cluster: str | Path | Mapping[str, Any] | None = None,
    accelerators: int | None = None,
    load: float = 1.0,
    method: str = "superpose",
    add_nodes: int | str | Sequence[str] = (),
    add_accelerators: int = 0,
    changes: Mapping[str, Any] | Sequence[str] = (),
    assume: Mapping[str, Any] | Sequence[str] = (),
    policy: str = "easy",
    replications: int = 6,
    catalogue: Sequence[str | Path] = (),
    seed: int = 0,
    format: str | None = None,
    sort: bool = False,
    time_zone: str | None = None,
    columns: str | None = None,
    workers: int | None = 1,
    progress: Callable[[int, int], None] | None = None,
) -> WhatIf:
    """Compare the waits, the use and the cost of a log on a fleet before and after a change.

    Parameters
    ----------
    log : str, Path, JobLog or DataFrame
        A log that :func:`clustersim.read_jobs` reads, or its result.  The column ``vc`` has the
        partitions.
    cluster : str, Path or mapping
        A topology.  Give either this or `accelerators`.
    accelerators : int
        Size of a fleet without nodes, for which energy and cost are not computed.
    load : float
        Factor on the load of the log: 1.2 is 20 % more.
    method : {"superpose", "compress"}
        How the load is changed; see :class:`~clustersim.workload.log_scale.LogScale`.
    add_nodes : int, str or sequence of str
        Nodes to add: a number, or ``NAME=NUMBER`` with the name of a pool or virtual cluster.
    add_accelerators : int
        Accelerators to add to a fleet without nodes.
    changes : mapping or sequence of str
        Other changes of the scenario, such as ``{"scheduler.policy": "fcfs"}``.
    assume : mapping or sequence of str
        Fields of the scenario on both sides, such as ``{"start": "2026-01-01"}``.
    policy : str
        Policy on both sides.
    replications : int
        Number of times that the weeks or days of the log are drawn again for the intervals.
    catalogue : sequence of str or Path
        Files with chips and planning assumptions.
    seed : int
        Seed of the random numbers.
    format, sort, time_zone, columns
        As for :func:`clustersim.read_jobs`.
    workers : int, optional
        Number of worker processes; 1 (the default) runs in this process, None uses all cores.  The
        result does not depend on it.
    progress : callable, optional
        Called with the number of runs that are done and their total number.

    Returns
    -------
    WhatIf
        With the tables ``groups``, ``fleet`` and ``hinges``; :func:`write_what_if` writes the page.

    Raises
    ------
    InputError
        If the log, the cluster or a change cannot be used, or nothing changes.

    Examples
    --------
    >>> import clustersim as cs
    >>> found = cs.what_if("experiments/sample_jobs.csv", accelerators=256, add_accelerators=256)
    >>> found.groups.loc[0, ["before_mean_wait_s", "after_mean_wait_s"]].tolist()
    [10475.0, 1569.1666666666667]
    """
    question = ask(
        log,
        cluster=cluster,
        accelerators=accelerators,
        load=load,
        method=method,
        add_nodes=add_nodes,
        add_accelerators=add_accelerators,
        changes=changes,
        assume=assume,
        policy=policy,
        catalogue=catalogue,
        seed=seed,
        format=format,
        sort=sort,
        time_zone=time_zone,
        columns=columns,
    )
    return compare(question, replications=replications, workers=workers, progress=progress)


def write_what_if(
    found: WhatIf, folder: str | Path, *, command: str = "", report: bool = True
) -> Path | None:
    """Write the tables, the scenarios and the page of a question into an existing folder.

    The files are ``groups.csv``, ``fleet.csv``, ``hinges.csv``, ``replications.csv`` and
    ``fleets.csv`` (quantities in SI units), ``jobs.parquet`` with the jobs of the log, one scenario
    per system (``before.yaml``, ...) that ``clustersim run`` runs on these jobs, ``what_if.json``
    with the answer, and the page ``report.html``.

    Parameters
    ----------
    found : WhatIf
    folder : str or Path
    command : str
        The command that made it.
    report : bool
        Whether to write the page.

    Returns
    -------
    Path or None
        The page, if it was written.

    Raises
    ------
    InputError
        If a file cannot be written.

    Examples
    --------
    >>> from pathlib import Path
    >>> import clustersim as cs
    >>> found = cs.what_if("experiments/sample_jobs.csv", accelerators=256, add_accelerators=256)
    >>> Path("more").mkdir()
    >>> cs.write_what_if(found, "more").name
    'report.html'
    """
    folder = Path(folder)
    for name in TABLES:
        write_table(getattr(found, name), folder / f"{name}.csv")
    write_table(found.question.log.jobs, folder / JOBS)
    for system in found.question.systems:
        with replacing(folder / f"{system.key}.yaml") as draft:
            draft.write_text(yaml_text(_on_these_jobs(found, system)), encoding="utf-8")
    content = {**what_if_data(found), "command": command, "versions": dict(versions())}
    content["stored"] = stored_parts(found)
    write_data(content, folder / DATA_FILE)
    if not report:
        return None
    return write_page(what_if_page(found, command), folder / PAGE_FILE)


def _on_these_jobs(found: WhatIf, system: System) -> dict[str, Any]:
    """Return the scenario of a system on the jobs in its folder, which have no clock."""
    workload = {
        name: value
        for name, value in system.tree["workload"].items()
        if name not in ("format", "sort")
    }
    origin = found.question.log.origin
    clock = {} if origin is None else {"start": origin.isoformat()}
    return {**clock, **system.tree, "workload": {**workload, "trace": JOBS}}


def what_if_data(found: WhatIf) -> dict[str, Any]:
    """Return the answer and the tables of a question as plain data."""
    tables = {name: rounded_rows(getattr(found, name)) for name in ANSWERS}
    return {
        "answer": asdict(what_if_answer(found)),
        **tables,
        "systems": {system.key: system.name for system in found.question.systems},
        "notes": list(found.notes),
    }
