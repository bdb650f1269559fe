"""The files of a validation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from clustersim.json_values import rounded_rows
from clustersim.outputs import PAGE_FILE, write_data, write_table
from clustersim.plots.style import save_figure
from clustersim.plots.validation.figures import validation_figures
from clustersim.report.of_validation.answer import validation_answer
from clustersim.report.of_validation.page import validation_page
from clustersim.report.page import write_page
from clustersim.simulation.result import versions
from clustersim.spreadsheets import plain_cells
from clustersim.validation.result import Validation

__all__ = ["validation_data", "write_policies", "write_validation"]

TABLES = {
    "policies": "policies",
    "groups": "groups",
    "mechanisms": "mechanisms",
    "combinations": "combinations",
    "use": "capacity",
}


def write_validation(
    found: Validation, folder: str | Path, *, command: str = "", report: bool = True
) -> Path | None:
    """Write the jobs, the tables, the figures and the page of a validation into a folder.

    The files are ``jobs.parquet`` (recorded and simulated start of each job, by policy),
    ``policies.csv``, ``groups.csv``, ``mechanisms.csv``, ``combinations.csv`` (mechanisms granted
    together), ``capacity.csv`` (use by day), ``validation.json`` with the answer, figures in
    ``figures/``, and ``report.html``.  Quantities are in SI units.

    Parameters
    ----------
    found : Validation
    folder : str or Path
        An existing folder.
    command : str
        The command that made it.
    report : bool
        Whether to write the page and the figures.

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
    >>> jobs = cs.read_jobs("experiments/sample_jobs.csv").jobs
    >>> found = cs.validate(jobs.assign(start_s=jobs["submit_s"]), accelerators=512)
    >>> Path("valid").mkdir()
    >>> cs.write_validation(found, "valid").name
    'report.html'
    """
    folder = Path(folder)
    for name in TABLES:
        _write(found, name, folder)
    write_table(found.jobs, folder / "jobs.parquet")
    content = {**validation_data(found), "command": command, "versions": dict(versions())}
    write_data(content, folder / "validation.json")
    if not report:
        return None
    figures = validation_figures(found)
    for name, figure in figures.items():
        save_figure(figure, folder / "figures" / name, ("png",))
    return write_page(validation_page(found, figures, command), folder / PAGE_FILE)


def write_policies(found: Validation, folder: Path) -> None:
    """Write the table of the policies, which the whole result replaces."""
    _write(found, "policies", folder)


def _write(found: Validation, name: str, folder: Path) -> None:
    write_table(plain_cells(getattr(found, name)), folder / f"{TABLES[name]}.csv")


def validation_data(found: Validation) -> dict[str, Any]:
    """Return the answer and the tables of a validation as plain data."""
    tables = {
        name: rounded_rows(getattr(found, name))
        for name in ("policies", "mechanisms", "combinations", "groups")
    }
    return {
        "answer": asdict(validation_answer(found)),
        "nearest": found.nearest,
        "is_near": found.is_near,
        "unfinished": found.unfinished,
        "distance_s": found.distance_s,
        "together": [
            {
                "policy": each.policy,
                "key": each.key,
                "name": each.name,
                "takes": each.takes,
                "distance_s": each.distance_s,
                "explained": 1.0 - each.distance_s / found.distance_s,
            }
            for each in found.together
        ],
        "accelerators": found.case.cluster.n_chips,
        "placement": found.case.placement,
        "options": dict(found.case.options),
        "placement_options": dict(found.case.placement_options),
        "jobs": int(found.case.compared.sum()),
        **tables,
        "notes": list(found.notes),
    }
