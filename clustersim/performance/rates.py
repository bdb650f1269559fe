"""Achievable rates of a chip: its peaks and links multiplied by the coefficients."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats
from clustersim.network.collectives import Links
from clustersim.network.constants import fitted_values, links_of_constants
from clustersim.network.corners import smaller
from clustersim.network.fabrics import constants_of
from clustersim.performance.arrays import AcceleratorArrays
from clustersim.performance.coefficients import Coefficients

__all__ = ["Rates", "rates_of"]


USUAL_BALANCE = 250.0
"""FLOPs (BF16, dense) per byte of memory bandwidth of the chip to which the fitted efficiencies of
matrix products and attention refer.

This is a convention, not a measurement: a round number among those of chips for training, such as
A100-80GB (153), H200 (206), B200 (281) and H100 (295). The odds of both efficiencies of a chip with
x FLOPs per byte are divided by ``(x / USUAL_BALANCE)**balance``. With another value, the odds of
the fitted efficiencies would differ by a constant factor, and the step times would be the same,
apart from the priors of a fit."""


@dataclass(frozen=True, slots=True)
class Rates:
    """FLOP/s and bytes/s that one chip reaches in practice.

    Attributes
    ----------
    product_flops : array
        FLOP/s of large matrix products in the precision of the run.
    bf16_flops : array
        FLOP/s of large matrix products in BF16 (for the output layer).
    attention_flops : array
        FLOP/s of fused attention, which is computed in BF16.
    memory_Bps : array
        Bytes/s of streaming (memory-bound) kernels.
    links : Links
        Bandwidths and latencies of the links, with the fitted factors.
    fp8 : array of bool
        Whether the matrix products of the run are in FP8.
    """

    product_flops: Floats
    bf16_flops: Floats
    attention_flops: Floats
    memory_Bps: Floats
    links: Links
    fp8: Bools


def rates_of(chips: AcceleratorArrays, coefficients: Coefficients) -> Rates:
    """Apply the coefficients to the peaks, memory bandwidths and links of the given chips."""
    flops_per_byte = chips.bf16_flops / chips.hbm_Bps / USUAL_BALANCE
    loss = flops_per_byte**coefficients.balance
    efficiency = _share(coefficients.matmul_efficiency, loss)
    fp8 = np.where(chips.fp8, coefficients.fp8_efficiency, 1.0)
    links = links_of_constants(
        fitted_values(),
        scaleup_Bps=chips.scaleup_Bps * coefficients.scaleup_factor,
        nic_Bps=chips.nic_Bps * coefficients.nic_factor,
        scaleup_size=chips.scaleup_size,
        mesh=chips.mesh,
        mesh_peers=chips.mesh_peers,
        generation=chips.link_generation,
        fabric=constants_of(chips.fabric if np.any(chips.fabric) else np.zeros((), np.int64)),
    )
    return Rates(
        fp8=chips.fp8,
        product_flops=chips.peak_flops * smaller(efficiency * fp8, 1.0, coefficients.corner),
        bf16_flops=chips.bf16_flops * efficiency,
        attention_flops=chips.bf16_flops * _share(coefficients.attention_efficiency, loss),
        memory_Bps=chips.hbm_Bps * coefficients.memory_efficiency,
        links=dataclasses.replace(
            links,
            scaleup_latency_s=links.scaleup_latency_s * coefficients.latency_factor,
            nic_latency_s=links.nic_latency_s * coefficients.latency_factor + chips.path_latency_s,
            corner=coefficients.corner,
        ),
    )


def _share(efficiency: Floats, loss: Floats) -> Floats:
    """Return an efficiency whose odds are divided by a loss."""
    return efficiency / (efficiency + (1.0 - efficiency) * loss)
