"""The plan and the number of chips of one row of a table, and settings that its remarks state."""

from __future__ import annotations

import numpy as np

from clustersim.estimation.columns import ADAPTERS, KINDS, REMARKS, SWITCH_COLUMNS
from clustersim.estimation.given_plan import (
    DISPATCHER_WORDS,
    Given,
    read_dispatcher,
    read_recompute,
    read_zero,
)
from clustersim.estimation.remarks import (
    dispatcher_in,
    expert_tp_in,
    mixtures_in,
)
from clustersim.estimation.row import Row
from clustersim.performance.arrays import DISPATCHERS

__all__ = ["chips_of_row", "plan_of_row", "read_expert_remarks"]


def plan_of_row(row: Row, notes: list[str]) -> Given:
    """Read the columns of a plan; None for a value that is not given.

    Parameters
    ----------
    row : Row
        Problems with its values are appended to those of the row.
    notes : list of str
        Notes on the interpretation of words are appended to this list.

    Returns
    -------
    dict of str to float or None
        Values of :data:`clustersim.estimation.given_plan.PLAN_KEYS`.

    Examples
    --------
    >>> given = plan_of_row(Row({"tp": "8", "kind": "LoRA"}), [])
    >>> given["tp"], given["lora"], given["pp"]
    (8.0, 1.0, None)
    """
    given: Given = {
        name: row.number(name) if row.text(name) else None
        for name in ("tp", "pp", "cp", "ep", "vpp", "micro_batch")
    }
    for name in ("dp", "etp"):
        given[name] = row.number(name, 0.0, least=0.0) or None
    given["recompute"], block = read_recompute(row, notes)
    given["recompute_layers"] = row.number("recompute_layers", 0.0, least=0.0) or block
    given["zero"], said = read_zero(row)
    given["zero_group"] = row.number("zero_group", 0.0, least=0.0) or said
    for name, column in SWITCH_COLUMNS.items():
        given[name] = row.flag(column, 0.0) if row.text(column) else None
    given["moe_recompute"] = row.flag("moe_recompute", 0.0) if row.text("moe_recompute") else None
    given["dispatcher"] = read_dispatcher(row)
    given["cuda_graphs"] = row.flag("cuda_graphs", 0.0) if row.text("cuda_graphs") else None
    adapts = float(row.choice("kind", "pretrain", KINDS) in ADAPTERS)
    given["lora"] = row.flag("lora", adapts)
    given["host_optimizer"] = None
    return given


def read_expert_remarks(row: Row, given: Given, notes: list[str]) -> None:
    """Read settings for experts from remarks if no column gives them.

    Parameters
    ----------
    row : Row
    given : dict
        As returned by :func:`plan_of_row`; what the remarks state is filled in.
    notes : list of str
        A note on each setting that is found is appended to this list.

    Examples
    --------
    >>> row = Row({"notes": "expert TP 2"})
    >>> given, notes = plan_of_row(row, []), []
    >>> read_expert_remarks(row, given, notes)
    >>> given["etp"], notes
    (2.0, ['etp 2 is taken from the column notes (expert TP 2).'])
    """
    remark = row.text(REMARKS)
    if given["moe_recompute"] is None and (found := mixtures_in(row.text("recompute"), remark)):
        given["moe_recompute"] = 1.0
        notes.append(f"moe_recompute 1 is taken from the column {found[0]} ({found[1]}).")
    if given["dispatcher"] is None and (way := dispatcher_in(remark)):
        given["dispatcher"] = float(DISPATCHERS.index(DISPATCHER_WORDS[way[0]]))
        notes.append(f"dispatcher {way[0]} is taken from the column {REMARKS} ({way[1]}).")
    if given["etp"] is None and (size := expert_tp_in(remark)):
        given["etp"] = float(size[0])
        notes.append(f"etp {size[0]} is taken from the column {REMARKS} ({size[1]}).")


def chips_of_row(row: Row, given: Given) -> float:
    """Read the number of chips of a job (default: the product of the given sizes).

    Examples
    --------
    >>> row = Row({"tp": "2", "dp": "4"})
    >>> chips_of_row(row, plan_of_row(row, []))
    8.0
    """
    inner = 1.0
    for name in ("tp", "pp", "cp"):
        inner *= given[name] or 1.0
    dp = given["dp"]
    default = inner * dp if dp and np.isfinite(inner * dp) else None
    return row.number("n_accelerators", default)
