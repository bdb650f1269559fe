"""The files of the answer to a question about a log."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from clustersim.files import yaml_text
from clustersim.json_values import rounded_rows
from clustersim.outputs import PAGE_FILE, replacing, write_data, write_table
from clustersim.report.of_what_if.answer import what_if_answer
from clustersim.report.of_what_if.doubts import recorded_data
from clustersim.report.of_what_if.page import what_if_page
from clustersim.report.of_what_if.prices import PRICES, prices_of
from clustersim.report.of_what_if.stored import DATA_FILE, JOBS, stored_parts
from clustersim.report.page import write_page
from clustersim.simulation.result import versions
from clustersim.spreadsheets import plain_cells
from clustersim.whatif.question import System
from clustersim.whatif.result import WhatIf

__all__ = ["what_if_data", "write_what_if"]

ANSWERS = ("groups", "fleet", "hinges")
"""Tables of the answer."""
TABLES = (*ANSWERS, "replications", "fleets")
"""Tables that are written; the others are those from which the answer is made."""


def write_what_if(
    found: WhatIf, folder: str | Path, *, command: str = "", report: bool = True
) -> Path | None:
    """Write the tables, the scenarios and the page of a question into an existing folder.

    The files are ``groups.csv``, ``fleet.csv``, ``hinges.csv``, ``replications.csv`` and
    ``fleets.csv`` (quantities in SI units), ``prices.csv`` with the prices that were used and their
    sources (without rows if no cost is computed), ``jobs.parquet`` with the jobs of the log, one
    scenario
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
        write_table(plain_cells(getattr(found, name)), folder / f"{name}.csv")
    prices = prices_of(found)
    write_table(plain_cells(prices), folder / PRICES)
    write_table(found.question.log.jobs, folder / JOBS)
    for system in found.question.systems:
        with replacing(folder / f"{system.key}.yaml") as draft:
            draft.write_text(yaml_text(_on_these_jobs(found, system)), encoding="utf-8")
    content = {
        **what_if_data(found),
        "prices": rounded_rows(prices),
        "command": command,
        "versions": dict(versions()),
    }
    content["stored"] = stored_parts(found)
    write_data(content, folder / DATA_FILE)
    if not report:
        return None
    return write_page(what_if_page(found, prices, command), folder / PAGE_FILE)


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
        "recorded": recorded_data(found),
        **tables,
        "systems": {system.key: system.name for system in found.question.systems},
        "notes": list(found.notes),
    }
