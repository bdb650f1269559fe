"""Files that `run` and `replay` write beside the tables of a result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clustersim.outputs import PAGE_FILE
from clustersim.report.last_page import explained, printed_page
from clustersim.report.page import Answer, write_page
from clustersim.report.run_answer import run_answer
from clustersim.report.run_page import run_page
from clustersim.report.run_tables import RunTables, write_csv, write_tables
from clustersim.simulation.result import Result

__all__ = ["RunFiles", "rewrite_run"]


@dataclass(frozen=True, eq=False)
class RunFiles:
    """The answer and the further tables of a run, computed once, and the files made of them.

    Attributes
    ----------
    result : Result
    tables : RunTables
    answer : Answer
    """

    result: Result
    tables: RunTables
    answer: Answer

    @classmethod
    def of(cls, result: Result) -> RunFiles:
        """Compute the tables and the answer of a result."""
        tables = RunTables.of(result)
        return cls(result, tables, run_answer(result, tables))

    def write(self, folder: str | Path, *, csv: bool = False, report: bool = True) -> Path | None:
        """Write the tables, and then the page, into the folder of the result.

        Parameters
        ----------
        folder : str or Path
        csv : bool
            Whether to write every table as CSV, too.
        report : bool
            Whether to write the page ``report.html``.

        Returns
        -------
        Path or None
            The page, if it was written.

        Raises
        ------
        InputError
            If a file cannot be written.
        """
        folder = Path(folder)
        options = " and the CSV files" if csv else ""
        with explained(f"the result is in {folder}; further tables{options} may be missing"):
            write_tables(self.tables, folder)
            if csv:
                write_csv(self.result, self.tables, folder)
        if not report:
            return None
        page = folder / PAGE_FILE
        return printed_page(
            folder,
            lambda: write_page(
                run_page(self.result, self.tables, self.answer, folder=folder), page
            ),
        )


def rewrite_run(folder: Path) -> Path:
    """Write the derived tables, the CSV files if there are any, and the page of a run again.

    Raises
    ------
    InputError
        If the folder is not that of a run, or a file cannot be written.
    """
    result = Result.load(folder)
    files = RunFiles.of(result)
    files.write(folder, csv=(folder / "jobs.csv").is_file(), report=False)
    return write_page(
        run_page(result, files.tables, files.answer, folder=folder), folder / PAGE_FILE
    )
