"""Numbers of accelerators in Slurm's TRES and GRES texts."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from clustersim.workload.readers.cells import given_cells
from clustersim.workload.readers.site_logs.devices import is_device

__all__ = [
    "are_numbered",
    "counts_of",
    "family_total",
    "gres_count",
    "resource_names",
    "tres_count",
]

_TRES = re.compile(r"gres/([A-Za-z][\w.-]*)(?::([^=,]+))?=(\d+(?:\.\d+)?)([KMG]?)", re.I)
_NUMBERED = re.compile(r"\d+=\d+(?:,\d+=\d+)*")
_FIRST_GENERIC = 1001
"""The number of the first generic resource that a site tracks (``TRES_OFFSET`` in slurmdbd)."""
_REQUESTED_PER = re.compile(r"(?:^|(?<=,))PER_(?:NODE|JOB|SOCKET|TASK):", re.I)
"""What sacct of Slurm 20.11 writes before the entries of ReqGRES."""
_PLUGINS = {"7696487": "gpu", "7565421": "mps"}
"""Numbers that Slurm writes for a generic resource whose plugin it has not loaded: the letters of
the name, each shifted by eight bits more (``gres_build_id``)."""
_GRES = re.compile(
    r"(?:gres[:/])?([A-Za-z][\w.-]*)(?::([^:=(]+?))??(?:[:=](\d+))?(?:\([^)]*\))?", re.I
)


def tres_count(text: str) -> float:
    """Return the accelerators in a TRES text such as ``cpu=64,gres/gpu:a100=8,gres/gpu=8``.

    Typed and untyped entries of one family are the same devices. A text that is cut (it ends in
    ``+``, as columns of fixed width do) gives NaN unless what follows the accelerators is visible.

    Examples
    --------
    >>> tres_count("cpu=64,gres/gpu:a100=8,gres/gpu=8")
    8.0
    >>> tres_count("gres/gpu:a100=1,gres/gpu:v100=3")
    4.0
    >>> tres_count("billing=16,cpu=16,gre+")
    nan

    In Slurm's database the entries have numbers instead of names. Those of generic resources begin
    at 1001, and which of them is an accelerator differs from site to site:

    >>> tres_count("1=16,2=64000,4=1,5=16"), tres_count("1=16,2=64000,4=1,1001=2")
    (0.0, nan)
    """
    if _NUMBERED.fullmatch(text):
        generic = any(int(entry.partition("=")[0]) >= _FIRST_GENERIC for entry in text.split(","))
        return float("nan") if generic else 0.0
    cut = text.endswith("+")
    entries = _TRES.findall(text[: text.rfind(",") + 1] if cut else text)
    counts = [(family, kind, float(number)) for family, kind, number, _ in entries]
    has_untyped = any(not kind and is_device(family) for family, kind, _ in counts)
    if cut and not has_untyped and not re.search(r",(?:mem|node)=", text):
        return float("nan")
    return family_total(counts)


def are_numbered(cells: pd.Series) -> bool:
    """Return whether lists of TRES have numbers instead of names, as Slurm's database has them."""
    given = cells[given_cells(cells)].astype(str)
    return bool(given.str.fullmatch(_NUMBERED.pattern).any())


def gres_count(text: str) -> float:
    """Return the accelerators in a GRES text such as ``gpu:a100:4(S:0-1)`` or ``gpu:2,mic:1``.

    Examples
    --------
    >>> [gres_count(text) for text in ("gpu:gtx1080:2", "gres/gpu:4", "gpu", "mic:1")]
    [2.0, 4.0, 1.0, 0.0]
    >>> gres_count("gpu:gtx1080t+")
    nan

    A resource whose plugin is not loaded has a number, and ``ReqGRES`` may tell what it is per:

    >>> gres_count("7696487:2"), gres_count("PER_NODE:gpu:a100:2")
    (2.0, 2.0)
    """
    text = _REQUESTED_PER.sub("", text)
    if text.strip().endswith("+"):
        return float("nan")
    if "gres/" in text and "=" in text:
        return tres_count(text)
    counts = []
    for entry in re.split(r"[,;](?![^(]*\))", text.strip()):
        name, colon, rest = entry.strip().partition(":")
        match = _GRES.fullmatch(f"{_PLUGINS.get(name, name)}{colon}{rest}")
        if match is None:
            continue
        kind, number = match[2], match[3]
        if number is None and kind is not None and kind.isdigit():
            kind, number = None, kind
        counts.append((match[1], kind or "", float(number or 1)))
    return family_total(counts)


def resource_names(text: str) -> list[str]:
    """Return the names of generic resources in a text of TRES or GRES of which there are some.

    Examples
    --------
    >>> resource_names("cpu=4,gres/shard=2,gres/gpumem=0"), resource_names("gpu:a100:4,mps:50")
    (['shard'], ['gpu', 'mps'])
    """
    if "gres/" in text and "=" in text:
        return [name for name, _, count, _ in _TRES.findall(text) if float(count)]
    if "=" in text:
        return []
    entries = re.split(r"[,;](?![^(]*\))", _REQUESTED_PER.sub("", text).strip())
    found = (_GRES.fullmatch(entry.strip()) for entry in entries)
    return [match[1] for match in found if match is not None and match[3] != "0"]


def family_total(counts: Iterable[tuple[str, str, float]]) -> float:
    """Return the accelerators in entries of family, type (may be empty) and count.

    Examples
    --------
    >>> family_total([("gpu", "a100", 8), ("gpu", "", 8), ("ib", "", 1)])
    8.0
    """
    plain: dict[str, float] = {}
    typed: dict[str, float] = {}
    for name, kind, count in counts:
        family = name.lower()
        if is_device(family):
            sums = typed if kind else plain
            sums[family] = sums.get(family, 0.0) + count
    return float(sum(max(plain.get(one, 0.0), typed.get(one, 0.0)) for one in {*plain, *typed}))


def counts_of(cells: pd.Series, kind: str, empty: float) -> pd.Series:
    """Return the accelerators in each cell; `empty` for an absent cell.

    Parameters
    ----------
    cells : pandas.Series
        Texts.
    kind : {"tres", "gres"}
        The notation.
    empty : float
        The count of absent cells.
    """
    read = tres_count if kind == "tres" else gres_count
    given = pd.Series(given_cells(cells), index=cells.index) & ~cells.isin(["(null)"])
    codes, texts = pd.factorize(cells.where(given))
    values = np.array([*(read(str(text)) for text in texts), empty])
    return pd.Series(values[codes], index=cells.index)
