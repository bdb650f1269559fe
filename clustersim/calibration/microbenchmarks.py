"""Microbenchmarks of `clustersim measure`, and the model's prediction for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clustersim.array_types import Bools, Floats
from clustersim.catalogue import Accelerator
from clustersim.network.collectives import (
    all_gather_seconds,
    all_reduce_seconds,
    reduce_scatter_seconds,
)
from clustersim.performance import AcceleratorArrays, ModelArrays, Plans
from clustersim.performance.attention import attention_seconds
from clustersim.performance.coefficients import Coefficients
from clustersim.performance.layer import layer_seconds
from clustersim.performance.matmul import matmul_seconds, vocabulary_seconds
from clustersim.performance.rates import Rates, rates_of

__all__ = ["DEPENDS", "SIZES", "Microbenchmarks"]


OVERLAP = 4.0
"""Exponent p of ``(a**p + b**p)**(1/p)``, the time of launches (a) and work (b) that overlap."""
COPIED_BYTES = 4.0
"""Traffic (bytes) per BF16 element that is read and written."""
CALL_LAUNCHES = 1.5
OPTIMIZER_LAUNCHES = 16.0
"""Host time of a matrix product or layer norm, and of an optimizer's step, in launches of a plain
kernel. On the hosts of an H200 and an H100, the smallest of these calls took 1.3 to 1.7 and 15 to
16 launches. The same is assumed for any other host."""

_MATMUL = ("matmul_efficiency", "balance", "matmul_traffic", "memory_efficiency")
_ATTENTION = ("attention_efficiency", "balance", "softmax_width", "attention_ramp")
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
            "grouped": (
                *("launch_s", "fp8_efficiency", "grouped_slowdown", "grouped_fp8"),
                *("matmul_efficiency", "balance", "grouped_traffic", "memory_efficiency"),
            ),
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
"""Coefficients on which the time of each kind depends.

Two kinds are missing. Steps are kept for validation. Softmax is memory-bound by its operation
count, but not in PyTorch: it takes as long on an H100 as on an H200, which has 1.4 times the
bandwidth.
"""

SIZES = ("groups", "m", "n", "k", "elements", "size_bytes", "ranks", "micro_batch", "seq_len")
"""Columns that a prediction needs in addition to the shape of a model."""


@dataclass(frozen=True)
class Microbenchmarks:
    """Microbenchmarks as arrays of shape (R,).

    Attributes
    ----------
    kind : array of str
    sizes : mapping of str to array
        The columns of :data:`SIZES`; the value is 1 if a kind does not have the column.
    forward_only : array of bool
    models, plans
        Shapes of layers, attention and output layers; they have no meaning for other kinds.
    chips : AcceleratorArrays
        The chips, in the precision of each row.
    accelerators : list of Accelerator
    labels : list of tuple of str
    seconds, scatter : array
        Measured seconds, and the model's error for each (standard deviation of the logarithm).
    table : DataFrame
        The R rows of the input files.
    """

    kind: NDArray[np.str_]
    sizes: Mapping[str, Floats]
    forward_only: Bools
    models: ModelArrays
    plans: Plans
    chips: AcceleratorArrays
    accelerators: list[Accelerator]
    labels: list[tuple[str, ...]]
    seconds: Floats
    scatter: Floats
    table: pd.DataFrame

    def __len__(self) -> int:
        return len(self.labels)

    def labels_with(self, parameter: str) -> list[tuple[str, ...]]:
        """Return the labels of the rows that depend on a coefficient."""
        return [
            labels
            for labels, kind in zip(self.labels, self.kind, strict=True)
            if parameter in DEPENDS[kind]
        ]

    def log_seconds(self, coefficients: Coefficients) -> Floats:
        """Return the logarithm of the predicted seconds.

        The result is an array of shape (R,) or (draws, R).
        """
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
    """Rows of one kind, with the rates of their chips."""

    sizes: Mapping[str, Floats]
    forward_only: Bools
    models: ModelArrays
    plans: Plans
    chips: AcceleratorArrays
    rates: Rates
    coefficients: Coefficients

    @property
    def tokens(self) -> Floats:
        return self.sizes["micro_batch"] * self.sizes["seq_len"]

    def launched(self, work: Floats, launches: float = 1.0) -> Floats:
        """Return the seconds of launches that overlap with work, as a smooth maximum of both."""
        launch = launches * self.coefficients.launch_s
        least: Floats = (launch**OVERLAP + work**OVERLAP) ** (1.0 / OVERLAP)
        return least


def _matmul(rows: _Group) -> Floats:
    m, n, k = (rows.sizes[name] for name in "mnk")
    return rows.launched(matmul_seconds(m, n, k, rows.rates, rows.coefficients), CALL_LAUNCHES)


def _grouped(rows: _Group) -> Floats:
    groups, m, n, k = (rows.sizes[name] for name in ("groups", "m", "n", "k"))
    one = matmul_seconds(m, n, k, rows.rates, rows.coefficients, grouped=True)
    return rows.launched(groups * one, CALL_LAUNCHES)


def _copy(rows: _Group) -> Floats:
    return rows.launched(COPIED_BYTES * rows.sizes["elements"] / rows.rates.memory_Bps)


def _layer_norm(rows: _Group) -> Floats:
    traffic = COPIED_BYTES * rows.coefficients.elementwise_traffic
    work = traffic * rows.sizes["elements"] / rows.rates.memory_Bps
    return rows.launched(work, CALL_LAUNCHES)


def _adam(rows: _Group) -> Floats:
    traffic = rows.coefficients.optimizer_bytes * rows.sizes["elements"]
    return rows.launched(traffic / rows.rates.memory_Bps, OPTIMIZER_LAUNCHES)


def _attention(rows: _Group) -> Floats:
    args = (rows.tokens, rows.models, rows.plans, rows.rates, rows.coefficients)
    forward, backward = attention_seconds(*args)
    return rows.launched(np.where(rows.forward_only, forward, forward + backward))


def _layer(rows: _Group) -> Floats:
    args = (rows.tokens, rows.models, rows.chips, rows.plans, rows.coefficients)
    forward, both = layer_seconds(*args)
    return np.where(rows.forward_only, forward, both)


def _output(rows: _Group) -> Floats:
    return vocabulary_seconds(rows.tokens, rows.models, rows.plans, rows.rates, rows.coefficients)


def _collective(
    seconds: Callable[..., Floats],
) -> Callable[[_Group], Floats]:
    def of_rows(rows: _Group) -> Floats:
        ranks = rows.sizes["ranks"]
        return seconds(rows.sizes["size_bytes"], ranks, np.ones(ranks.size), rows.rates.links)

    return of_rows


_SECONDS: Mapping[str, Callable[[_Group], Floats]] = MappingProxyType(
    {
        "launch": lambda rows: rows.coefficients.launch_s,
        "copy": _copy,
        "layer_norm": _layer_norm,
        "adam": _adam,
        "matmul": _matmul,
        "grouped": _grouped,
        "attention": _attention,
        "layer": _layer,
        "output": _output,
        "idle_step": lambda rows: rows.coefficients.fixed_s + 3.0 * rows.coefficients.layer_s,
        "all_reduce": _collective(all_reduce_seconds),
        "all_gather": _collective(all_gather_seconds),
        "reduce_scatter": _collective(reduce_scatter_seconds),
    }
)
"""Functions that compute the seconds of each kind from the coefficients."""
