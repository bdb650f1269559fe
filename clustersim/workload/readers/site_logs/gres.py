"""Numbers of accelerators in Slurm's TRES and GRES texts."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from clustersim.workload.readers.cells import given_cells

__all__ = ["FAMILIES", "counts_of", "gres_count", "tres_count"]

FAMILIES = {
    *("gpu", "gpus", "npu", "dcu", "mlu", "gcu", "xpu", "tpu", "hpu", "ipu", "vpu", "ppu", "cuda"),
    *(
        "accel",
        "accelerator",
        "accelerators",
        "ascend",
        "gaudi",
        "neuron",
        "mig",
        "rocm",
        "davinci",
    ),
}
"""Names of generic resources that are accelerators; ``gpumem``, ``gpuutil`` and ``ib`` are not."""
_TRES = re.compile(r"gres/([A-Za-z]\w*)(?::([^=,]+))?=(\d+(?:\.\d+)?)([KMG]?)", re.I)
_GRES = re.compile(r"(?:gres[:/])?([A-Za-z]\w*)(?::([^:=(]+?))??(?:[:=](\d+))?(?:\([^)]*\))?", re.I)


def tres_count(text: str) -> float:
    """Return the accelerators in a TRES text such as ``cpu=64,gres/gpu:a100=8,gres/gpu=8``.

    Typed and untyped entries of one family are the same devices. A text that is cut (it ends in
    ``+``, as columns of fixed width do) gives NaN unless what follows the accelerators is visible.

    Examples
    --------
    >>> tres_count("cpu=64,gres/gpu:a100=8,gres/gpu=8"), tres_count("gres/gpu:a100=1,gres/gpu:v100=3")
    (8.0, 4.0)
    >>> tres_count("billing=16,cpu=16,gre+")
    nan
    """
    plain, typed = {}, {}
    cut = text.endswith("+")
    for family, kind, number, _ in _TRES.findall(text[: text.rfind(",") + 1] if cut else text):
        family = family.lower()
        if family in FAMILIES:
            count = float(number)
            if kind:
                typed[family] = typed.get(family, 0.0) + count
            else:
                plain[family] = count
    if cut and not plain and not re.search(r",(?:mem|node)=", text):
        return float("nan")
    return sum(max(plain.get(name, 0.0), typed.get(name, 0.0)) for name in {*plain, *typed})


def gres_count(text: str) -> float:
    """Return the accelerators in a GRES text such as ``gpu:a100:4(S:0-1)`` or ``gpu:2,mic:1``.

    Examples
    --------
    >>> gres_count("gpu:gtx1080:2"), gres_count("gres/gpu:4"), gres_count("gpu"), gres_count("mic:1")
    (2.0, 4.0, 1.0, 0.0)
    >>> gres_count("gpu:gtx1080t+")
    nan
    """
    if text.strip().endswith("+"):
        return float("nan")
    if "gres/" in text and "=" in text:
        return tres_count(text)
    plain, typed = {}, {}
    for entry in re.split(r",(?![^(]*\))", text.strip()):
        match = _GRES.fullmatch(entry.strip())
        if match is None or match[1].lower() not in FAMILIES:
            continue
        family = match[1].lower()
        kind, number = match[2], match[3]
        if number is None and kind is not None and kind.isdigit():
            kind, number = None, kind
        count = float(number or 1)
        if kind:
            typed[family] = typed.get(family, 0.0) + count
        else:
            plain[family] = plain.get(family, 0.0) + count
    return sum(max(plain.get(name, 0.0), typed.get(name, 0.0)) for name in {*plain, *typed})


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
