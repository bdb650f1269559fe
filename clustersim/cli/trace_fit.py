"""``clustersim trace --fit``: a workload model of a log, and how near it is to the log."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.calendar import Calendar
    from clustersim.simulation.model_waits import CheckedFit

DRAWN = 200_000
"""Largest number of jobs of the model that are compared with the log."""
DRAWN_PER_JOB = 20
"""The same for each job of the log: more of a sparse log would take millennia of hours."""


def fit_and_save(
    path: Path, jobs: pd.DataFrame, source: str, accelerators: int | None, calendar: Calendar
) -> tuple[pd.DataFrame, dict[str, Any], list[Path]]:
    """Fit a model, print its distance to the log, and save the model and a figure of the fit.

    Returns
    -------
    distance : pandas.DataFrame
        Distance between the model and the log by size.
    waits : dict
        Mean waits of log and model, their ratio (NaN if no job of the log waits), and what was
        replayed.
    pictures : list of Path
    """
    from clustersim.plots.style import save_figure
    from clustersim.plots.trace import plot_fit
    from clustersim.seeds import Streams
    from clustersim.simulation.model_waits import checked_fit
    from clustersim.workload import generate_jobs, save_workload
    from clustersim.workload.fit import fit_distance

    checked = checked_fit(
        jobs,
        name=path.stem,
        sources={"log": source},
        accelerators=accelerators,
        calendar=calendar,
    )
    save_workload(checked.model, path)
    drawn = generate_jobs(checked.model, Streams(0), n_jobs=min(DRAWN, DRAWN_PER_JOB * len(jobs)))
    distance = fit_distance(drawn, jobs)
    print("\nFitted model against the log")
    print(_table(distance))
    print(f"Waits: {checked.report()}")
    _warn(checked)
    print(f"wrote {path}")
    figure = plot_fit(drawn, jobs, title=path.stem)
    pictures = save_figure(figure, path.with_suffix(""), ("png",))
    print("\n".join(f"wrote {picture}" for picture in pictures))
    waits = {
        "log_mean_s": checked.log_s,
        "model_mean_s": checked.model_s,
        "mean_ratio": checked.ratio,
        "lowest": checked.low,
        "highest": checked.high,
        "replayed": checked.text,
    }
    return distance, waits, pictures


def _table(distance: pd.DataFrame) -> str:
    from clustersim.text_table import table

    rows = [
        (
            r.bin,
            f"{r.jobs:,}",
            f"{r.ks:.3f}",
            f"{r.worst_quantile_ratio:.2f}",
            f"{r.work_ratio:.3f}",
        )
        for r in distance.itertuples(index=False)
    ]
    return table(rows, ["accelerators", "jobs", "KS", "worst quantile ratio", "work ratio"])


def _warn(checked: CheckedFit) -> None:
    """Print a warning on stderr if the waits of the model are not near those of the log."""
    from clustersim.simulation.model_waits import FACTOR
    from clustersim.units import format_duration, format_number

    if checked.all_near:
        return
    low, high = format_number(1 / FACTOR), format_number(FACTOR)
    if not checked.log_s > 0:
        found = (
            "the jobs of the model do not wait as long as those of the log: no job of the log "
            f"waits, and the mean wait of the model is {format_duration(checked.model_s)}"
        )
    elif checked.is_near:
        found = (
            f"single runs of the model do not wait as long as the log: their mean wait is "
            f"{format_number(checked.low)} to {format_number(checked.high)} times that of the log, "
            f"which is not all inside {low} to {high}, although the mean of the runs is"
        )
    else:
        found = (
            f"the jobs of the model do not wait as long as those of the log: the mean wait is "
            f"{format_number(checked.ratio)} times that of the log, which is outside {low} to "
            f"{high}"
        )
    print(
        f"Note: {found} ({checked.text}); for questions about waits, replay the log itself "
        "(workload.trace)",
        file=sys.stderr,
    )
