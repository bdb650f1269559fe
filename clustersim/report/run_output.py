"""Files that `run` and `replay` write beside the tables of a result."""

from __future__ import annotations

from pathlib import Path

from clustersim.report.page import write_page
from clustersim.report.run_page import run_page
from clustersim.report.run_tables import RunTables, write_csv, write_tables
from clustersim.simulation.result import Result

__all__ = ["write_run_files"]


def write_run_files(
    result: Result, folder: str | Path, *, csv: bool = False, report: bool = True
) -> list[Path]:
    """Write the files of a run that are derived from its result, into the folder of the result.

    Parameters
    ----------
    result : Result
    folder : str or Path
    csv : bool
        Whether to write every table as CSV, too.
    report : bool
        Whether to write the page ``report.html``.

    Returns
    -------
    list of Path
        The page, if it was written.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    folder, tables = Path(folder), RunTables.of(result)
    write_tables(tables, folder)
    if csv:
        write_csv(result, tables, folder)
    return [write_page(run_page(result, tables), folder / "report.html")] if report else []
