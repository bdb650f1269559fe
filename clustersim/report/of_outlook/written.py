"""The files of an outlook."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clustersim.json_values import rounded_rows
from clustersim.outlook.outlook import Outlook
from clustersim.outputs import replacing, write_data, write_table
from clustersim.plots.outlook import draw_outlook
from clustersim.plots.style import save_figure
from clustersim.report.of_outlook.tables import (
    break_even_table,
    case_table,
    loss_table,
    month_table,
)
from clustersim.report.of_outlook.text import outlook_notes, outlook_text

__all__ = ["outlook_data", "write_outlook"]


def outlook_data(found: Outlook) -> dict[str, Any]:
    """Return the content of ``outlook.json``."""
    loss = found.loss
    return {
        "summary": outlook_text(found).splitlines()[0],
        "draws": found.draws,
        "model_draws": found.model_draws,
        "seed": found.seed,
        "target": {"flop_per_s": found.target.flop_per_s, "months": found.target.months},
        "cases": rounded_rows(case_table(found)),
        "months": rounded_rows(month_table(found)),
        "break_even": rounded_rows(break_even_table(found)),
        "loss_factor": {
            "factor": loss.factor,
            "low": loss.low,
            "high": loss.high,
            "by_case": dict(loss.by_case),
            "constant": loss.constant,
            "problems": list(loss.problems),
            "trend": loss.trend,
            "trend_low": loss.trend_low,
            "trend_high": loss.trend_high,
            "between_months": loss.months,
            "between_replications": loss.replications,
            "r_squared": loss.r_squared,
            "r_squared_within": loss.r_squared_within,
        },
        "notes": outlook_notes(found),
    }


def write_outlook(found: Outlook, folder: str | Path, *, formats: tuple[str, ...]) -> None:
    """Write the tables, the figure and the summary into an existing folder.

    The files are ``months.csv``, ``cases.csv``, ``loss_factor.csv`` and, with a stop,
    ``break_even.csv`` (SI units), ``outlook.json``, ``summary.txt`` and ``fan`` in each format.

    Raises
    ------
    InputError
        If a file cannot be written.
    """
    folder = Path(folder)
    months = month_table(found)
    write_table(months, folder / "months.csv")
    write_table(case_table(found), folder / "cases.csv")
    write_table(loss_table(found), folder / "loss_factor.csv")
    if found.break_even:
        write_table(break_even_table(found), folder / "break_even.csv")
    write_data(outlook_data(found), folder / "outlook.json")
    with replacing(folder / "summary.txt") as draft:
        draft.write_text(outlook_text(found), encoding="utf-8")
    note = f"{found.draws:,} draws; capacity with jobs always waiting"
    figure = draw_outlook(months, target=found.target.flop_per_s, note=note)
    save_figure(figure, folder / "fan", formats)
