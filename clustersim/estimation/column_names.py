"""Other common names for the columns of a table of configurations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import pandas as pd

from clustersim.estimation.columns import COLUMNS, SWITCH_COLUMNS
from clustersim.estimation.given_plan import ALIASES as PLAN_ALIASES
from clustersim.meanings import squashed

__all__ = ["ALIASES", "twice", "with_known_columns"]

_CHIP = ("gpu", "npu", "chip", "device", "accelerator", "accel")
_LABELS = ("accelerator", "framework")
"""Known columns for which one table often has several columns with different names."""
_PARALLEL = {"tp": "tensor", "pp": "pipeline", "dp": "data", "cp": "context", "ep": "expert"}


def _of_plan(key: str) -> frozenset[str]:
    """Return all names of a plan key, including the key itself."""
    names = {name for name, known in PLAN_ALIASES.items() if known == key}
    return frozenset(map(squashed, names | {key}))


ALIASES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "accelerator": frozenset(
            {f"{chip}{what}" for chip in _CHIP for what in ("", "type", "model", "name")}
        ),
        "n_accelerators": frozenset(
            {"count", "worldsize", "accelerators"}
            | {
                f"{before}{chip}{plural}{after}"
                for chip in _CHIP
                for plural in ("", "s")
                for before, after in (
                    *(("", ""), ("n", ""), ("num", ""), ("nr", ""), ("numberof", "")),
                    *(("nof", ""), ("total", ""), ("", "count"), ("", "num")),
                )
            }
        ),
        "global_batch": frozenset({"gbs", "globalbatchsize", "globalbs"}),
        **{column: _of_plan(key) for key, column in SWITCH_COLUMNS.items()},
        "micro_batch": frozenset({"mbs", "microbatchsize", "microbs"}),
        "seq_len": frozenset({"seqlen", "sequencelength", "seqlength", "contextlength"}),
        "framework": frozenset({"stack", "softwarestack", "software"}),
        "recompute": frozenset(
            {"recomputation", "activationcheckpointing", "gradientcheckpointing"}
        ),
        "zero": frozenset({"zerostage"}),
        **{
            short: frozenset(
                {
                    f"{word}parallel{after}"
                    for after in ("", "ism", "size", "degree")
                    for word in (kind, f"{kind}model")
                }
                | {f"{short}size", f"{short}degree"}
            )
            for short, kind in _PARALLEL.items()
        },
        "etp": _of_plan("etp"),
        "zero_group": frozenset({"zerogroupsize", "shardinggroup", "shardgroup"}),
    }
)
"""Other names of each known column, reduced to letters and digits. If a name can mean a chip or a
number of chips, the values of the column decide."""


def with_known_columns(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rename columns whose name means a known column that the table does not have.

    Parameters
    ----------
    table : DataFrame
        A table of texts.

    Returns
    -------
    DataFrame, list of str
        The table with the names of :data:`clustersim.estimation.COLUMNS`, and messages about the
        renamed columns. If several columns may mean the same known column, none of them is renamed,
        and a message states this.

    Examples
    --------
    >>> table = pd.DataFrame({"GPU": ["H200"], "gpus": ["8"], "note": ["count"]})
    >>> with_known_columns(table)[1]
    ["column 'GPU' is read as accelerator", "column 'gpus' is read as n_accelerators"]
    """
    found: dict[str, list[str]] = {}
    second = []
    for name in table.columns:
        if name not in COLUMNS:
            for known in _meant(name, table[name]):
                if known not in table:
                    found.setdefault(known, []).append(name)
                elif known not in _LABELS:
                    second.append((name, known))
    renamed = {names[0]: known for known, names in found.items() if len(names) == 1}
    messages = [f"column {name!r} is read as {known}" for name, known in renamed.items()]
    messages += [
        f"columns {' and '.join(map(repr, names))} may each mean {known}, so none of them is read"
        for known, names in found.items()
        if len(names) > 1
    ]
    messages += [
        f"column {name!r} is ignored because there is a column {known}" for name, known in second
    ]
    return table.rename(columns=renamed), messages


def twice(columns: Iterable[object]) -> list[str]:
    """Return a message for each known column that is present twice, in different spellings.

    Examples
    --------
    >>> twice(["tp", "TP", "note"])
    ["column 'tp' is present twice: 'tp' and 'TP'; remove one"]
    """
    spelt: dict[str, list[str]] = {}
    for name in columns:
        for known in COLUMNS:
            if squashed(known) == squashed(name):
                spelt.setdefault(known, []).append(str(name))
    return [
        f"column {known!r} is present twice: {' and '.join(map(repr, names))}; remove one"
        for known, names in spelt.items()
        if len(names) > 1
    ]


def _meant(name: object, cells: Iterable[object]) -> list[str]:
    """Return a list with the known column that a name means; empty if there is none."""
    word = squashed(name)
    same = [each for each in COLUMNS if squashed(each) == word]
    known = same or [each for each, names in ALIASES.items() if word in names]
    if set(known) & {"accelerator", "n_accelerators"}:
        numbers = _are_numbers(cells)
        known = [each for each in known if (each == "n_accelerators") == numbers]
    return known[:1]


def _are_numbers(cells: Iterable[object]) -> bool:
    """Whether most of the non-empty cells are numbers; True if all cells are empty."""
    given = pd.Series([str(cell).strip() for cell in cells], dtype=object)
    given = given[~given.str.lower().isin(["", "nan", "none"])]
    return bool(pd.to_numeric(given, errors="coerce").notna().mean() > 0.5) if len(given) else True
