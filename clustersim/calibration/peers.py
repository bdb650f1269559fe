"""Errors of other models of training time on published runs, and our errors on the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from clustersim.units import format_percent

__all__ = ["PEERS", "Peer", "peer_errors", "worse_than_peers"]


@dataclass(frozen=True)
class Peer:
    """Error of another model on some rows (mean absolute error of the step time)."""

    rows: str
    error: str
    chosen: Callable[[pd.DataFrame], pd.Series]
    most: float | None = None
    """The error as a fraction; None if only a range is published."""


PEERS = (
    Peer(
        "Megatron-LM at SC'21, tables 1 and 2",
        "Calculon 10 %",
        lambda rows: rows["family"].isin(["sc21t1", "sc21t2"]),
        0.10,
    ),
    Peer(
        "H100, BF16, GPT-3 175B",
        "Calculon 6.7 %",
        lambda rows: (
            (rows["chip"] == "H100")
            & (rows["precision"] == "bf16")
            & rows["model"].str.contains("GPT-?3? ?175B", regex=True)
        ),
        0.067,
    ),
    Peer(
        "H100, FP8, pretraining",
        "Calculon 29 %",
        lambda rows: (
            (rows["chip"] == "H100") & (rows["precision"] == "fp8") & (rows["kind"] == "pretrain")
        ),
        0.29,
    ),
    Peer("BLOOM", "Calculon 31 %", lambda rows: rows["family"] == "bloom", 0.31),
    Peer("all", "llm-analysis 8.6 to 30 % by family", lambda rows: rows["id"] == rows["id"]),
)
"""Errors of Calculon and of llm-analysis (efficiency 0.55) on published configurations, as stated
in the project's table of measurements. These models were not fitted to the rows, but Calculon
cannot represent grouped queries, gated MLPs, experts or context parallelism."""


def peer_errors(rows: pd.DataFrame) -> list[tuple[Peer, int, Mapping[str, float]]]:
    """Return our mean absolute errors on complete rows with known errors of other models.

    Parameters
    ----------
    rows : DataFrame
        As returned by :func:`clustersim.calibration.diagnostics.row_table`.

    Returns
    -------
    list of (Peer, int, mapping)
        For each other model: its entry, the number of rows, and our mean absolute errors by
        ``within`` and ``across`` (left-out rows and publishers). Models without rows are omitted.
    """
    found: list[tuple[Peer, int, Mapping[str, float]]] = []
    for peer in PEERS:
        part = rows[peer.chosen(rows) & rows["whole"]]
        errors = {
            name: float(part[f"{name}_error"].abs().mean())
            for name in ("within", "across")
            if f"{name}_error" in rows
        }
        if len(part):
            found.append((peer, len(part), errors))
    return found


def worse_than_peers(rows: pd.DataFrame) -> list[str]:
    """Report rows on which another model is more accurate than ours with publishers left out."""
    return [
        f"Less accurate than the peer: {peer.rows}, {format_percent(errors['across'])} with the "
        f"publishers left out against {peer.error}."
        for peer, _, errors in peer_errors(rows)
        if peer.most is not None and "across" in errors and errors["across"] > peer.most
    ]
