"""Reading and checking the rows of a file that `clustersim measure` wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType

import numpy as np
import pandas as pd

from clustersim.array_types import Floats
from clustersim.calibration.microbenchmarks import DEPENDS, SIZES, Microbenchmarks
from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import InputError, shown, unknown_name
from clustersim.estimation.configurations import chip_arrays
from clustersim.estimation.row import Row
from clustersim.microbenchmarks.schema import CHECKSUM, KINDS, row_checksum
from clustersim.performance import ModelArrays, Plans, labels_of
from clustersim.performance.arrays import attended_tokens

__all__ = ["file_notes", "is_microbenchmarks", "read_microbenchmarks"]


SCATTER = 0.05
"""Error of the model for a kind of microbenchmark (standard deviation of the logarithm)."""
INDEPENDENT = 20.0
"""Rows of one kind on one chip together count as at most this many rows. The reason is that an
error of the model for one matrix product is likely to be the same for many others."""
CACHED_BYTES = 256e6
"""If a call moves less than this, its operands may be in a cache, which is faster than memory."""

ROUNDING = 1e-5
"""Relative rounding error of the numbers in a file."""
MOST_FAULTS = 10
MOST = 1e13
"""Largest allowed number of elements or bytes."""
DIRECTIONS = ("forward", "forward+backward")
LAYOUTS = ("TN", "NN", "NT")
PRECISIONS = ("bf16", "fp16", "fp8")
DESCRIBE = "to use another chip, give a file with its peaks (--catalogue)"
_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "matmul": ("m", "n", "k"),
        "grouped": ("groups", "m", "n", "k"),
        "attention": ("micro_batch", "seq_len", "heads", "kv_heads", "head_dim"),
        "layer": (
            *("micro_batch", "seq_len", "heads", "kv_heads", "head_dim", "hidden", "ffn_hidden"),
        ),
        "output": ("micro_batch", "seq_len", "hidden", "vocab"),
        **dict.fromkeys(("copy", "layer_norm", "adam"), ("elements",)),
        **dict.fromkeys(("all_reduce", "all_gather", "reduce_scatter"), ("size_bytes", "ranks")),
    }
)
"""Columns that each kind needs."""


def is_microbenchmarks(table: pd.DataFrame) -> bool:
    """Whether a table contains microbenchmarks from `clustersim measure` rather than runs."""
    return bool({"median_s", "repetitions", "calls"} & set(table.columns))


def file_notes(table: pd.DataFrame) -> list[str]:
    """Return messages on rows of a file that are implausible or changed since the measurement.

    Users edit these files: they remove rows, name the chip and join files. A changed row is
    therefore used, and reported.

    Parameters
    ----------
    table : DataFrame
        A table of strings; its first row is line 2 of the file.
    """
    notes = [*_implausible(table)]
    if CHECKSUM not in table:
        return [
            "has no checksums (an earlier version or another program wrote it); changes after the "
            "measurement cannot be detected",
            *notes,
        ]
    records = table.astype(object).where(table.notna(), "").to_dict("records")
    stated = [str(row[CHECKSUM]).strip() for row in records]
    sums = [row_checksum({str(name): value for name, value in row.items()}) for row in records]
    changed = [line for line, a, b in zip(count(2), stated, sums, strict=False) if a and a != b]
    bare = [line for line, a in enumerate(stated, 2) if not a]
    if changed:
        notes.append(
            f"{_lines(changed, len(table))}: changed since the measurement (edited by hand, or "
            "damaged), but used as they are. Remove rows that you did not mean to change"
        )
    if bare:
        notes.append(f"{_lines(bare, len(table))}: no checksum (added by hand?)")
    return notes


def _implausible(table: pd.DataFrame) -> Iterator[str]:
    """Yield messages on medians outside their quantiles and on devices with several chip names."""
    empty = pd.Series(np.nan, index=table.index)
    low, median, high = (
        pd.to_numeric(table.get(name, empty), errors="coerce").to_numpy(dtype=np.float64)
        for name in ("low_s", "median_s", "high_s")
    )
    beyond = (median < low * (1.0 - ROUNDING)) | (median > high * (1.0 + ROUNDING))
    if beyond.any():
        lines = [int(line) for line in np.flatnonzero(beyond) + 2]
        yield f"{_lines(lines, len(table))}: median_s is not between low_s and high_s"
    if {"device", "accelerator"} <= set(table.columns):
        for device, own in table.groupby("device", sort=False)["accelerator"]:
            if own.nunique() > 1:
                names = ", ".join(map(str, own.unique()[:MOST_FAULTS]))
                yield f"the device {device!r} has several chip names: {names}"


def _lines(lines: list[int], whole: int) -> str:
    """Return text with the number of affected rows and the lines of the first few."""
    named = ", ".join(map(str, lines[:MOST_FAULTS]))
    more = ", ..." if len(lines) > MOST_FAULTS else ""
    return (
        f"{len(lines):,} of {whole:,} rows ({'row' if len(lines) == 1 else 'rows'} {named}{more})"
    )


def read_microbenchmarks(
    table: pd.DataFrame, catalogue: Catalogue
) -> tuple[Microbenchmarks, list[str]]:
    """Build arrays from the rows of `clustersim measure` that are used in a fit.

    Parameters
    ----------
    table : DataFrame
        A table of strings with the columns of :data:`clustersim.microbenchmarks.COLUMNS`; `family`
        (source of the row); and, for messages, `source` (file) and `row` (line).
    catalogue : Catalogue
        The catalogue of the chips.

    Returns
    -------
    Microbenchmarks
    list of str
        The rows that cannot be used, each with its reason.

    Raises
    ------
    InputError
        If a row has an unknown kind or chip, or a value that is not allowed.
    """
    entries: list[_Entry] = []
    places, left_out = [], []
    wrong: dict[str, list[tuple[str, str]]] = {}
    for place, values in enumerate(table.to_dict("records")):
        row = Row({str(column): value for column, value in values.items()})
        source, kind, line = row.text("source"), row.text("kind"), f"row {row.text('row')}"
        if row.text("fault"):
            left_out.append(f"{source}, {line}: {kind}: {row.text('fault')}")
            continue
        if kind in KINDS and kind not in DEPENDS:
            continue
        entry = _entry(row, catalogue)
        if entry is None:
            wrong.setdefault(source, []).extend((line, problem) for problem in row.problems)
        elif entry.seconds < (least := _least_seconds(row, entry)):
            left_out.append(
                f"{source}, {line}: {kind}: {entry.seconds:.4g} s is below the roofline of "
                f"{entry.chip.name}, {least:.4g} s"
            )
        else:
            entries.append(entry)
            places.append(place)
    if wrong:
        source, problems = next(iter(wrong.items()))
        raise InputError(source, _first_of_each(problems))
    return _stack(entries, table.iloc[places].reset_index(drop=True)), left_out


def _first_of_each(problems: list[tuple[str, str]]) -> list[str]:
    """Return each problem once, with the first row that has it and the number of other rows."""
    rows: dict[str, list[str]] = {}
    for line, problem in problems:
        rows.setdefault(problem, []).append(line)
    messages = [
        f"{lines[0]}{f' and {len(lines) - 1} more' if len(lines) > 1 else ''}: {problem}"
        for problem, lines in rows.items()
    ]
    more = len(messages) - MOST_FAULTS
    return [*messages[:MOST_FAULTS], *([f"and {more} more"] if more > 0 else [])]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row of a file, converted to the values that a fit needs."""

    kind: str
    sizes: dict[str, float]
    forward_only: bool
    model: dict[str, float]
    recompute: float
    precision: str
    chip: Accelerator
    labels: tuple[str, ...]
    seconds: float


def _entry(row: Row, catalogue: Catalogue) -> _Entry | None:
    kind, name = row.text("kind"), row.text("accelerator")
    if kind not in KINDS:
        row.problems.append(f"kind: {unknown_name('kind', kind, KINDS)}")
        return None
    needed = _NEEDED.get(kind, ())
    least = {"ranks": 2.0}
    given = {
        column: row.number(column, least=least.get(column, 1.0), most=MOST) for column in needed
    }
    if given.get("heads", 0.0) % given.get("kv_heads", 1.0):
        row.problems.append(f"kv_heads: must divide the {given['heads']:g} heads")
    direction = row.choice("direction", DIRECTIONS[-1], DIRECTIONS)
    gated = row.choice("mlp_type", "gelu", ("gelu", "swiglu")) == "swiglu"
    layout = row.text("layout")
    if layout not in ("", *LAYOUTS):
        row.problems.append(f"layout: must be one of {', '.join(LAYOUTS)}, found {shown(layout)}")
    seconds = row.number("median_s", least=0.0, whole=False)
    precision = row.choice("precision", "bf16", PRECISIONS)
    recompute = {"none": 0.0, "full": 2.0}[row.choice("recompute", "none", ("none", "full"))]
    try:
        chip = catalogue.accelerator(name)
    except InputError as error:
        row.problems.append(f"accelerator: {error.problems[0]}; {DESCRIBE}")
        return None
    if seconds == 0:
        row.problems.append("median_s: must be above 0, found 0")
    if row.problems:
        return None
    number = "fp8" if precision == "fp8" else "bf16"
    return _Entry(
        kind=kind,
        sizes={column: given.get(column, 1.0) for column in SIZES},
        forward_only=direction == "forward",
        model=_model(given, 3.0 if gated else 2.0),
        recompute=recompute,
        precision=number,
        chip=chip,
        labels=labels_of(chip, row.text("framework"), number),
        seconds=seconds,
    )


def _least_seconds(row: Row, entry: _Entry) -> float:
    """Return the roofline of a row (seconds): FLOPs at the peak or bytes, whichever take longer."""
    flops = row.number("flops", 0.0, least=0.0, most=np.inf, whole=False)
    moved = row.number("bytes", 0.0, least=0.0, most=np.inf, whole=False)
    moved = moved if entry.kind in ("copy", "layer_norm", "adam") and moved > CACHED_BYTES else 0.0
    peak = entry.chip.peak_flops.get(entry.precision, entry.chip.peak_flops["bf16"])
    return max(flops / peak, moved / entry.chip.hbm_Bps)


def _model(given: Mapping[str, float], matrices: float) -> dict[str, float]:
    """Return fields of :class:`ModelArrays` for one layer; most sizes that a kind lacks are 1."""
    heads, head_dim = given.get("heads", 1.0), given.get("head_dim", 1.0)
    width, kv_width = heads * head_dim, given.get("kv_heads", 1.0) * head_dim
    hidden, seq_len = given.get("hidden", width), given.get("seq_len", 1.0)
    none = ("tied", "n_experts", "top_k", "shared_experts", "moe_layers", "expert_ffn_hidden")
    return {
        "layers": 1.0,
        "hidden": hidden,
        "attention_width": width,
        "kv_width": kv_width,
        "heads": heads,
        "ffn_hidden": given.get("ffn_hidden", 1.0),
        "mlp_matrices": matrices,
        "vocab": given.get("vocab", 0.0),
        "seq_len": seq_len,
        "span": attended_tokens(seq_len, causal=True),
        "attention_params": 2.0 * hidden * (width + kv_width),
        "other_params": 0.0,
        **dict.fromkeys(none, 0.0),
    }


def _stack(entries: list[_Entry], table: pd.DataFrame) -> Microbenchmarks:
    def columns(rows: list[dict[str, float]], names: list[str]) -> dict[str, Floats]:
        return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in names}

    fields = [field.name for field in dataclasses.fields(ModelArrays)]
    recompute = np.array([entry.recompute for entry in entries], dtype=np.float64)
    kinds = [(entry.kind, entry.chip.name) for entry in entries]
    counts = np.array([kinds.count(kind) for kind in kinds], dtype=np.float64)
    return Microbenchmarks(
        kind=np.array([entry.kind for entry in entries], dtype=str),
        sizes=columns([entry.sizes for entry in entries], list(SIZES)),
        forward_only=np.array([entry.forward_only for entry in entries], dtype=bool),
        models=ModelArrays(**columns([entry.model for entry in entries], fields)),
        plans=Plans.of(recompute=recompute),
        chips=chip_arrays(
            [entry.chip for entry in entries], [entry.precision for entry in entries]
        ),
        accelerators=[entry.chip for entry in entries],
        labels=[entry.labels for entry in entries],
        seconds=np.array([entry.seconds for entry in entries], dtype=np.float64),
        scatter=SCATTER * np.sqrt(np.maximum(counts / INDEPENDENT, 1.0)),
        table=table,
    )
