"""Sections of the page of a run: who got what, and what was preempted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from clustersim.analysis.policy.preemption import stops_table
from clustersim.report.page import Figure, Table
from clustersim.report.run_tables import table_file
from clustersim.simulation.result import Result
from clustersim.units import counted, format_percent

__all__ = ["preemptions", "who_got_what"]

_HOUR_S = 3600.0
_MOST_ROWS = 50
_KINDS = {
    "user": "Users",
    "vc": "Virtual clusters",
    "team": "Teams",
    "account": "Accounts",
    "queue": "Queues",
}
_LABELS = {
    "waited": "jobs that waited",
    "accelerator_h": "accelerator-hours",
    "lost_accelerator_h": "accelerator-hours lost",
    "lost": "share of all accelerator time",
}
_RULE = (
    "Shares are of the accelerator time that all jobs held. The entitlement of a virtual cluster "
    "with nodes of its own is their share in the fleet. Otherwise, whoever had no job that waited "
    "is entitled to what it got, and the others to equal parts of the rest."
)
_QUOTAS = " This entitlement does not follow from the quotas of the policy."


def who_got_what(
    shares: pd.DataFrame | None, folder: Path | None, *, quotas: bool = False
) -> list[str | Figure | Table]:
    """Return a table of shares for users, virtual clusters and teams; empty if there are none.

    `quotas` says whether the policy divided the cluster by quotas.
    """
    if shares is None:
        return []
    parts: list[str | Figure | Table] = [_RULE + (_QUOTAS if quotas else "")]
    for kind, own in shares.groupby("kind", sort=False):
        title = _KINDS.get(str(kind), f"Jobs by {kind}")
        own = own.drop(columns="kind")
        table = _in_hours(own.reset_index(drop=True))
        if not table["preemptions"].any():
            table = table.drop(columns="preemptions")
        if not table["lost_accelerator_h"].any():
            table = table.drop(columns="lost_accelerator_h")
        parts.append(
            Table(
                title,
                table,
                labels=_LABELS,
                formats={"share": format_percent, "entitlement": format_percent},
                most_rows=_MOST_ROWS,
                file=table_file("shares", folder),
            )
        )
    return parts


def preemptions(result: Result) -> list[str | Figure | Table]:
    """Return a table of what stopped jobs, by cause; empty if the policy stopped none."""
    stops = stops_table(result) if "preemptions" in result.jobs else None
    if stops is None:
        return []
    counts = result.jobs["preemptions"]
    text = (
        f"The policy stopped {int((counts > 0).sum()):,} of {len(counts):,} jobs, each of them up "
        f"to {counted(int(counts.max()), 'time')}."
    )
    table = Table(
        "Why attempts at jobs were stopped",
        _in_hours(stops),
        "Lost work must be repeated; of a cancelled job, it is the work of its last attempt.",
        labels=_LABELS,
        formats={"lost": format_percent},
    )
    return [text, table]


def _in_hours(table: pd.DataFrame) -> pd.DataFrame:
    """Convert accelerator-seconds to accelerator-hours."""
    names = [name for name in map(str, table) if name.endswith("accelerator_s")]
    hours = table.assign(**{name: table[name] / _HOUR_S for name in names})
    return hours.rename(columns={name: name.removesuffix("_s") + "_h" for name in names})
