"""Every coefficient of the performance core, in one place.

Adjusted to published training runs of the table of measurements (see
``tests/performance/test_measurements.py`` for the rows and the errors that remain); families
without such rows (``hopper-h20``, ``other``) have the values of their relatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEFAULT", "FAMILIES", "Coefficients", "family_index"]

FAMILIES = ("other", "ampere", "hopper", "hopper-h20", "blackwell", "ascend")
"""Architectures that have efficiencies of their own; any other name counts as ``other``."""


def family_index(family: str) -> int:
    """Return the place of a family in :data:`FAMILIES`; 0 (``other``) for an unknown name."""
    return FAMILIES.index(family) if family in FAMILIES else 0


def _families(**values: float) -> Mapping[str, float]:
    return MappingProxyType({name.replace("_", "-"): value for name, value in values.items()})


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Efficiencies (fractions of a peak), overlaps (fractions hidden), sizes and times.

    Attributes
    ----------
    matmul_efficiency, attention_efficiency : mapping of family to float
        Of the dense peak, for very large matrix products and for fused attention.
    fp8_efficiency : float
        FP8 products relative to the FP8 peak, over BF16 products relative to theirs.
    half_tokens, half_width : float
        Rows, and inner or outer width, at which a matrix product reaches half of its efficiency.
    memory_efficiency : mapping of family to float
        Of the memory bandwidth, for streaming kernels.
    scaleup_efficiency, mesh_efficiency, nic_efficiency : float
        Of the link bandwidth, for large messages.
    scaleup_latency_s, nic_latency_s : float
        Start-up times of collectives.
    norm_passes, attention_passes, mlp_passes : float
        Reads and writes (2 bytes each) of hidden, attention and MLP activations by the
        memory-bound kernels of one forward layer.
    score_bytes : float
        Traffic per attention score of one forward pass without fused attention.
    logit_bytes : float
        Traffic per logit, forward and backward.
    tp_overlap, dp_overlap, zero3_overlap, ep_overlap, pp_overlap, cp_overlap : float
        Share of a communication that can hide behind computation.
    expert_imbalance : float
        Load of the fullest expert-parallel rank over the mean.
    optimizer_bytes : float
        Traffic per parameter of one optimizer step.
    gradient_comm_bytes : float
        Bytes per gradient in the reduction.
    fixed_s : float
        Time per step that is none of the above.
    weight_bytes, gradient_bytes, optimizer_state_bytes : float
        Memory per parameter (mixed precision: BF16 weights and gradients, FP32 master and two
        moments; Rajbhandari et al. 2020, arXiv 1910.02054).
    reserve_fraction, reserve_bytes : float
        Memory that no tensor gets: fragmentation, and context plus buffers.
    """

    matmul_efficiency: Mapping[str, float] = field(
        default_factory=lambda: _families(
            other=0.62, ampere=0.74, hopper=0.66, hopper_h20=0.82, blackwell=0.60, ascend=0.68
        )
    )
    attention_efficiency: Mapping[str, float] = field(
        default_factory=lambda: _families(
            other=0.40, ampere=0.48, hopper=0.42, hopper_h20=0.65, blackwell=0.40, ascend=0.42
        )
    )
    memory_efficiency: Mapping[str, float] = field(
        default_factory=lambda: _families(
            other=0.75, ampere=0.80, hopper=0.80, hopper_h20=0.80, blackwell=0.75, ascend=0.70
        )
    )
    fp8_efficiency: float = 0.95
    half_tokens: float = 300.0
    half_width: float = 150.0
    scaleup_efficiency: float = 0.80
    mesh_efficiency: float = 0.63
    nic_efficiency: float = 0.80
    scaleup_latency_s: float = 15e-6
    nic_latency_s: float = 15e-6
    norm_passes: float = 17.0
    attention_passes: float = 3.0
    mlp_passes: float = 2.5
    score_bytes: float = 9.0
    logit_bytes: float = 20.0
    tp_overlap: float = 0.55
    dp_overlap: float = 0.5
    zero3_overlap: float = 0.7
    ep_overlap: float = 0.2
    pp_overlap: float = 0.8
    cp_overlap: float = 0.8
    expert_imbalance: float = 1.1
    optimizer_bytes: float = 30.0
    gradient_comm_bytes: float = 2.0
    fixed_s: float = 0.045
    weight_bytes: float = 2.0
    gradient_bytes: float = 2.0
    optimizer_state_bytes: float = 12.0
    reserve_fraction: float = 0.02
    reserve_bytes: float = 1.5e9

    def by_family(self, name: str, family: NDArray[np.int64]) -> NDArray[np.float64]:
        """Look the coefficient `name` up for an array of family indices."""
        values: Mapping[str, float] = getattr(self, name)
        table = np.array([values.get(key, values["other"]) for key in FAMILIES])
        return table[family]


DEFAULT = Coefficients()
