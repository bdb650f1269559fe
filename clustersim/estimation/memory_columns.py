"""Table columns that describe the memory use of a run."""

from __future__ import annotations

from collections.abc import Mapping

from clustersim.estimation.assumptions import memory_notes
from clustersim.estimation.row import Row
from clustersim.performance.memory_rules import MEMORY_OPTIONS, read_memory_text

__all__ = ["MEMORY_COLUMNS", "read_memory"]

MEMORY_COLUMNS: Mapping[str, str] = {
    **{name: f"{meaning} (default: that of the stack)" for name, meaning in
       MEMORY_OPTIONS.items()},
    "chip_memory_gb": "nominal memory of the chip in binary gigabytes (default: the chip's)",
}  # fmt: skip


def read_memory(row: Row, kind: str, notes: list[str]) -> dict[str, str]:
    """Read the memory options of one row.

    Parameters
    ----------
    row : Row
    kind : str
        Kind of training; QLoRA freezes weights in NF4.
    notes : list of str
        A note is appended for each value that is not understood; the value is ignored.

    Returns
    -------
    dict of str to str
        As returned by :func:`clustersim.performance.parse_memory`.
    """
    found = {"weights": "nf4"} if kind == "qlora" else {}
    for name in MEMORY_OPTIONS:
        text = row.text(name)
        if not text:
            continue
        value = read_memory_text(name, text)
        if value is None:
            notes.append(f"{name} {text!r} is not understood and is ignored.")
        else:
            found[name] = value
    notes += memory_notes(found)
    return found
