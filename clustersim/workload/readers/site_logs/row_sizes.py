"""Accelerators of the rows of a table, from the columns that tell them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from clustersim.workload.readers.cells import given_cells
from clustersim.workload.readers.site_logs.column_names import english_key
from clustersim.workload.readers.site_logs.devices import is_device, uncounted
from clustersim.workload.readers.site_logs.gres import counts_of, resource_names
from clustersim.workload.readers.site_logs.role_names import Roles

__all__ = ["row_sizes", "uncounted_resources"]

_NODES = ("nnodes", "allocnodes", "nodes", "numnodes")


def row_sizes(table: pd.DataFrame, roles: Roles) -> tuple[pd.Series, list[str]]:
    """Return the accelerators of each row, NaN if not recorded, and notes."""
    names = roles.names
    if roles.factors:
        each = [_plain_counts(table[name]) for name in roles.factors]
        product = each[0].astype(np.float64)
        for count in each[1:]:
            product = (product * count).mask(count == 0, 0.0)
        return product, [f"accelerators are {' times '.join(roles.factors)}"]
    if "gpu_time" in names:
        note = f"accelerators are {names['gpu_time']} over the run time"
        return pd.Series(np.nan, index=table.index), [note]
    if "gpus" in names:
        cells = table[names["gpus"]]
        if "stat" in {english_key(name) for name in table}:  # LSF writes - for no GPU
            cells = cells.mask(cells.isin(["-", ""]), "0")
        counts = _plain_counts(cells)
        if not roles.more_gpus:
            return counts, []
        for name in roles.more_gpus:
            counts = counts.add(_plain_counts(table[name]), fill_value=0.0)
        added = " and ".join((names["gpus"], *roles.more_gpus))
        return counts, [f"accelerators are the sum of {added}"]
    if "gpu_list" in names:
        return _listed(table[names["gpu_list"]]), [
            f"accelerators are counted in the lists of {names['gpu_list']}"
        ]
    if "tres" in names:
        counts = counts_of(table[names["tres"]], "tres", np.nan)
        if "gres" not in names or (counts > 0).any():
            return counts, []
    if "gres" in names or ("req_gres" in names and "req_tres" not in names):
        return _per_node(table, names.get("gres") or names["req_gres"])
    name = names["req_tres"]
    note = f"no column tells what was allocated: {name}, what was asked for, is used"
    return counts_of(table[name], "tres", np.nan), [note]


def uncounted_resources(table: pd.DataFrame, roles: Roles) -> pd.Series:
    """Return the resources of each row that look like accelerators, of those in lists of TRES."""
    found = pd.Series(None, index=table.index, dtype=object)
    for role in ("tres", "gres", "req_tres", "req_gres"):
        name = roles.names.get(role)
        if name is not None:
            codes, texts = pd.factorize(table[name].astype(str))
            named = np.array([uncounted(resource_names(text)) for text in texts], dtype=object)
            found = found.where(found.notna(), pd.Series(named[codes], index=table.index))
    return found


def _per_node(table: pd.DataFrame, name: str) -> tuple[pd.Series, list[str]]:
    """Return the accelerators of each row from those of a node, and notes."""
    per_node = counts_of(table[name], "gres", 0.0)
    for other in table:
        if english_key(other) in _NODES:
            nodes = pd.to_numeric(table[other], errors="coerce")
            return per_node * nodes.where(per_node != 0, 1.0), []
    return per_node, [f"{name} is per node, and no column tells the nodes: one node is assumed"]


def _listed(cells: pd.Series) -> pd.Series:
    """Return how many entries each list has; a range such as ``0-3`` has four."""

    def count(text: str) -> float:
        total = 0.0
        for part in re.split(r"[,;\s]+", text.strip(" []{}()\"'")):
            ends = re.fullmatch(r"(\d+)-(\d+)", part)
            total += int(ends[2]) - int(ends[1]) + 1 if ends else bool(part)
        return total

    given = pd.Series(given_cells(cells), index=cells.index)
    return cells.astype(str).map(count).where(given, 0.0)


def _cloud_counts(texts: pd.Series) -> pd.Series:
    """Return the accelerators in ``2x[H100:8]``, NaN in other texts."""
    parts = texts.str.extract(r"^(\d+)x[\[(]([A-Za-z][\w.-]*):(\d+)")
    counts = pd.to_numeric(parts[0], errors="coerce") * pd.to_numeric(parts[2], errors="coerce")
    named = parts[1].fillna("").map(is_device).astype(bool)
    return counts.where(named | counts.isna(), 0.0)


def _plain_counts(cells: pd.Series) -> pd.Series:
    """Return counts; texts such as ``gpu:a100:4`` and ``8xA100`` are read too."""
    cells = cells.mask(cells.isin(["<none>"]), "0")  # an object of Kubernetes asks for none
    numbers = pd.to_numeric(cells, errors="coerce").astype(np.float64)
    rest = numbers.isna() & pd.Series(given_cells(cells), index=cells.index)
    if rest.any():
        texts = cells[rest].astype(str)
        numbers = numbers.fillna(_cloud_counts(texts).reindex(numbers.index))
        times = pd.to_numeric(texts.str.extract(r"^(\d+)\s*[x*×]")[0], errors="coerce")
        typed = pd.to_numeric(texts.str.extract(r"^[A-Za-z][\w ./-]*:(\d+)$")[0], errors="coerce")
        times = times.fillna(typed)  # H100:8
        named = texts.str.contains(r"[A-Za-z]", regex=True) & times.isna()
        times = times.where(
            ~named, counts_of(texts, "gres", np.nan).where(texts.str.contains(r"\d"))
        )
        numbers = numbers.fillna(times.reindex(numbers.index))
    return numbers
