"""Microbenchmarks as `clustersim measure` writes them, and what the core predicts of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.calibration.configurations import chip_arrays
from clustersim.calibration.row import Row
from clustersim.catalogue import Accelerator, Catalogue
from clustersim.errors import InputError, unknown_name
from clustersim.microbenchmarks.schema import KINDS
from clustersim.network.collectives import (
    all_gather_seconds,
    all_reduce_seconds,
    reduce_scatter_seconds,
)
from clustersim.performance import AcceleratorArrays, ModelArrays, Plans, labels_of
from clustersim.performance.arrays import attended_tokens
from clustersim.performance.attention import attention_seconds
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.matmul import matmul_seconds
from clustersim.performance.rates import Rates, rates_of
from clustersim.performance.step_time import layer_seconds
from clustersim.performance.vocabulary import vocabulary_seconds

__all__ = ["DEPENDS", "Microbenchmarks", "is_microbenchmarks", "read_microbenchmarks"]

Array = NDArray[np.float64]

SCATTER = 0.05
"""How far a kind of microbenchmark may be off the model (standard deviation of the logarithm)."""
INDEPENDENT = 20.0
"""Rows of one kind on one chip count as at most so many: what the model has wrong of a product, it
has wrong of many products alike."""
OVERLAP = 4.0
"""Power in whose mean launches and work overlap: about the longer of the two."""
COPIED_BYTES = 4.0
"""Of an element of BF16 that is read and written."""
CALL_LAUNCHES = 1.5
OPTIMIZER_LAUNCHES = 16.0
"""Time that the host takes for a product or a layer norm, and for an optimizer's step, over that
for a plain kernel: the smallest such calls on the hosts of an H200 and an H100 took 1.3 to 1.7 and
15 to 16 launches. Assumed of any other host."""
CACHED_BYTES = 256e6
"""What moves less than this in a call may be found in a cache, faster than memory."""

_MATMUL = ("matmul_efficiency", "matmul_traffic", "memory_efficiency")
_ATTENTION = ("attention_efficiency", "softmax_width")
_LINKS = ("scaleup_factor", "latency_factor")
_LAYER = (*_MATMUL, *_ATTENTION, "elementwise_traffic", "layer_s")
DEPENDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        kind: frozenset(names)
        for kind, names in {
            "launch": ("launch_s",),
            "copy": ("launch_s", "memory_efficiency"),
            "layer_norm": ("launch_s", "memory_efficiency", "elementwise_traffic"),
            "adam": ("launch_s", "memory_efficiency", "optimizer_bytes"),
            "matmul": ("launch_s", "fp8_efficiency", *_MATMUL),
            "attention": ("launch_s", *_ATTENTION),
            "layer": _LAYER,
            "output": (*_MATMUL, "logit_bytes"),
            "idle_step": ("fixed_s", "layer_s"),
            "all_reduce": _LINKS,
            "all_gather": _LINKS,
            "reduce_scatter": _LINKS,
        }.items()
    }
)
"""Coefficients that each kind tells of.

Two kinds are not among them. Steps are left for the validation. Softmax is memory-bound by its
count, but not as PyTorch runs it: it takes as long on an H100 as on an H200, with 1.4 times the
bandwidth.
"""

MOST_FAULTS = 10
MOST = 1e13
"""Of elements and bytes."""
DIRECTIONS = ("forward", "forward+backward")
PRECISIONS = ("bf16", "fp16", "fp8")
DESCRIBE = "a chip of your own needs a file with its peaks (--catalogue)"
SIZES = ("m", "n", "k", "elements", "size_bytes", "ranks", "micro_batch", "seq_len")
_NEEDED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "matmul": ("m", "n", "k"),
        "attention": ("micro_batch", "seq_len", "heads", "kv_heads", "head_dim"),
        "layer": (
            *("micro_batch", "seq_len", "heads", "kv_heads", "head_dim", "hidden", "ffn_hidden"),
        ),
        "output": ("micro_batch", "seq_len", "hidden", "vocab"),
        **dict.fromkeys(("copy", "layer_norm", "adam"), ("elements",)),
        **dict.fromkeys(("all_reduce", "all_gather", "reduce_scatter"), ("size_bytes", "ranks")),
    }
)
"""Columns that a kind needs."""


@dataclass(frozen=True)
class Microbenchmarks:
    """Microbenchmarks as arrays of shape (R,).

    Attributes
    ----------
    kind : array of str
    sizes : mapping of str to array
        The columns :data:`SIZES`; 1 where a kind has none.
    forward_only : array of bool
    models, plans
        Shapes of layers, attention and output layers; of other kinds they mean nothing.
    chips : AcceleratorArrays
        In the precision of each row.
    accelerators : list of Accelerator
    labels : list of tuple of str
    seconds, scatter : array
        Measured, and how far each may be off the model (standard deviation of the logarithm).
    table : DataFrame
        The R rows of the files.
    """

    kind: NDArray[np.str_]
    sizes: Mapping[str, Array]
    forward_only: NDArray[np.bool_]
    models: ModelArrays
    plans: Plans
    chips: AcceleratorArrays
    accelerators: list[Accelerator]
    labels: list[tuple[str, ...]]
    seconds: Array
    scatter: Array
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)

    def labels_with(self, parameter: str) -> list[tuple[str, ...]]:
        """Labels of the rows that depend on a coefficient."""
        return [
            labels
            for labels, kind in zip(self.labels, self.kind, strict=True)
            if parameter in DEPENDS[kind]
        ]

    def log_seconds(self, coefficients: Coefficients) -> Array:
        """Logarithm of the predicted seconds, shape (R,), or with an axis of draws before."""
        shape = np.shape(coefficients.matmul_efficiency)
        result = np.empty((*shape[:-1], len(self)))
        for kind in dict.fromkeys(self.kind.tolist()):
            rows = np.flatnonzero(self.kind == kind)
            part = coefficients.take(rows)
            group = _Group(
                sizes={name: values[rows] for name, values in self.sizes.items()},
                forward_only=self.forward_only[rows],
                models=self.models.take(rows),
                plans=self.plans.take(rows),
                chips=self.chips.take(rows),
                rates=rates_of(self.chips.take(rows), part),
                coefficients=part,
            )
            result[..., rows] = np.log(_SECONDS[kind](group))
        return result


@dataclass(frozen=True)
class _Group:
    """Rows of one kind, and what they reach."""

    sizes: Mapping[str, Array]
    forward_only: NDArray[np.bool_]
    models: ModelArrays
    plans: Plans
    chips: AcceleratorArrays
    rates: Rates
    coefficients: Coefficients

    @property
    def tokens(self) -> Array:
        return self.sizes["micro_batch"] * self.sizes["seq_len"]

    def launched(self, work: Array, launches: float = 1.0) -> Array:
        """Seconds of launches and work that overlap: the longer, smoothly."""
        launch = launches * self.coefficients.launch_s
        least: Array = (launch**OVERLAP + work**OVERLAP) ** (1.0 / OVERLAP)
        return least


def _matmul(rows: _Group) -> Array:
    m, n, k = (rows.sizes[name] for name in "mnk")
    return rows.launched(matmul_seconds(m, n, k, rows.rates, rows.coefficients), CALL_LAUNCHES)


def _copy(rows: _Group) -> Array:
    return rows.launched(COPIED_BYTES * rows.sizes["elements"] / rows.rates.memory_Bps)


def _layer_norm(rows: _Group) -> Array:
    traffic = COPIED_BYTES * rows.coefficients.elementwise_traffic
    work = traffic * rows.sizes["elements"] / rows.rates.memory_Bps
    return rows.launched(work, CALL_LAUNCHES)


def _adam(rows: _Group) -> Array:
    traffic = rows.coefficients.optimizer_bytes * rows.sizes["elements"]
    return rows.launched(traffic / rows.rates.memory_Bps, OPTIMIZER_LAUNCHES)


def _attention(rows: _Group) -> Array:
    args = (rows.tokens, rows.models, rows.plans, rows.rates, rows.coefficients)
    forward, backward = attention_seconds(*args)
    return rows.launched(np.where(rows.forward_only, forward, forward + backward))


def _layer(rows: _Group) -> Array:
    args = (rows.tokens, rows.models, rows.chips, rows.plans, rows.coefficients)
    forward, both = layer_seconds(*args)
    return np.where(rows.forward_only, forward, both)


def _output(rows: _Group) -> Array:
    return vocabulary_seconds(rows.tokens, rows.models, rows.plans, rows.rates, rows.coefficients)


def _collective(
    seconds: Callable[..., Array],
) -> Callable[[_Group], Array]:
    def of_rows(rows: _Group) -> Array:
        ranks = rows.sizes["ranks"]
        return seconds(rows.sizes["size_bytes"], ranks, np.ones(ranks.size), rows.rates.links)

    return of_rows


_SECONDS: Mapping[str, Callable[[_Group], Array]] = MappingProxyType(
    {
        "launch": lambda rows: rows.coefficients.launch_s,
        "copy": _copy,
        "layer_norm": _layer_norm,
        "adam": _adam,
        "matmul": _matmul,
        "attention": _attention,
        "layer": _layer,
        "output": _output,
        "idle_step": lambda rows: rows.coefficients.fixed_s + 3.0 * rows.coefficients.layer_s,
        "all_reduce": _collective(all_reduce_seconds),
        "all_gather": _collective(all_gather_seconds),
        "reduce_scatter": _collective(reduce_scatter_seconds),
    }
)
"""Seconds of each kind from the coefficients."""


def is_microbenchmarks(table: pd.DataFrame) -> bool:
    """Whether a table is one of `clustersim measure`, rather than one of training runs."""
    return {"kind", "median_s"} <= set(table.columns)


def read_microbenchmarks(
    table: pd.DataFrame, catalogue: Catalogue
) -> tuple[Microbenchmarks, list[str]]:
    """Make arrays of those rows of files of `clustersim measure` that are fitted on.

    Parameters
    ----------
    table : DataFrame
        Texts, by the columns of :data:`clustersim.microbenchmarks.COLUMNS`; `family` (source of the
        row), and for messages `source` (the file) and `row` (its line).
    catalogue : Catalogue
        That knows the chips.

    Returns
    -------
    Microbenchmarks
    list of str
        The rows that cannot be used, each with its reason.

    Raises
    ------
    InputError
        Where a row has an unknown kind or chip, or a value that cannot be.
    """
    entries: list[_Entry] = []
    places, left_out = [], []
    wrong: dict[str, list[str]] = {}
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
            found = [f"{line}: {problem}" for problem in row.problems]
            wrong.setdefault(source, []).extend(found)
        elif entry.seconds < (least := _least_seconds(row, entry)):
            left_out.append(
                f"{source}, {line}: {kind}: {entry.seconds:.4g} s is below the roofline of "
                f"{entry.chip.name}, {least:.4g} s"
            )
        else:
            entries.append(entry)
            places.append(place)
    for source, problems in wrong.items():
        more = len(problems) - MOST_FAULTS
        cut = [f"and {more} more"] if more > 0 else []
        raise InputError(source, [*problems[:MOST_FAULTS], *cut])
    return _stack(entries, table.iloc[places].reset_index(drop=True)), left_out


@dataclass(frozen=True, slots=True)
class _Entry:
    """One row: numbers by field."""

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
    row.choice("layout", "tn", ("tn", "nn", "nt"))
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
        labels=labels_of(chip, row.text("framework"), number, row.text("family")),
        seconds=seconds,
    )


def _least_seconds(row: Row, entry: _Entry) -> float:
    """Roofline of a row: its FLOPs at the peak, or what it moves at the memory's bandwidth."""
    flops = row.number("flops", 0.0, least=0.0, most=np.inf, whole=False)
    moved = row.number("bytes", 0.0, least=0.0, most=np.inf, whole=False)
    moved = moved if entry.kind in ("copy", "layer_norm", "adam") and moved > CACHED_BYTES else 0.0
    peak = entry.chip.peak_flops.get(entry.precision, entry.chip.peak_flops["bf16"])
    return max(flops / peak, moved / entry.chip.hbm_Bps)


def _model(given: Mapping[str, float], matrices: float) -> dict[str, float]:
    """Fields of :class:`ModelArrays` of one layer; 1 where a kind has no such size."""
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
    def columns(rows: list[dict[str, float]], names: list[str]) -> dict[str, Array]:
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
