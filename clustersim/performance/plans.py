"""The space of plans, as arrays."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustersim.performance.arrays import AcceleratorArrays, ModelArrays, Plans

__all__ = ["Candidates", "enumerate_plans"]

Array = NDArray[np.float64]

TENSOR = (1, 2, 3, 4, 6, 8, 16, 32)
PIPELINE = (
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 18, 20, 21, 24, 25, 28, 30, 32, 40, 42, 48, 60,
    63, 64,
)  # fmt: skip
CONTEXT = (1, 2, 4, 8)
EXPERT = (1, 2, 4, 8, 16, 32, 64, 128)
MICRO_BATCH = (1, 2, 4, 8, 16)
RECOMPUTE_MODES = (0, 1, 2)
ZERO_STAGES = (0, 1, 2, 3)
CONTEXT_FROM_TOKENS = 16384
"""Sequences are split over chips (context parallel) from this length."""
MOST_EMPTY_LAYERS = 0.3
"""Pipelines whose last stages would leave more than this share of slots empty are left out."""

LAYOUTS = np.array(list(itertools.product(TENSOR, PIPELINE, CONTEXT)), dtype=np.float64).T
OPTIONS = np.array(
    list(itertools.product(EXPERT, MICRO_BATCH, RECOMPUTE_MODES, ZERO_STAGES)), dtype=np.float64
).T


@dataclass(frozen=True, slots=True)
class Candidates:
    """All plans of some rows: `row` says whose each is, in ascending order."""

    row: NDArray[np.int64]
    plans: Plans


def enumerate_plans(
    models: ModelArrays, chips: AcceleratorArrays, counts: Array, global_batch: Array
) -> Candidates:
    """List every plan of every row (model, chip, number of chips).

    A plan is kept where ``tp pp cp`` divides the count; `tp` divides the heads and stays within the
    scale-up domain; the stages of `pp` are not too uneven; `cp` is for long sequences; `ep` divides
    experts and data-parallel ranks; the micro-batch is no larger than a rank's share of the batch.
    ZeRO 0 is for one data-parallel rank, 1 for pipelines, 1 to 3 for the rest: the others need more
    memory or time than these. Interleaving (`vpp` of 2 or 4) is used where it divides a stage
    and the pipeline is full.

    Returns
    -------
    Candidates
    """
    row, layout = np.nonzero(_layouts_that_fit(models, chips, counts))
    tp, pp, cp = LAYOUTS[:, layout]
    dp = counts[row] / (tp * pp * cp)
    share = np.ceil(global_batch[row] / dp)
    pair, option = np.nonzero(_options_that_fit(models.n_experts[row], pp, dp, share))
    ep, micro_batch, recompute, zero = OPTIONS[:, option]
    row, tp, pp, cp, dp = row[pair], tp[pair], pp[pair], cp[pair], dp[pair]
    micro_batches = np.ceil(share[pair] / micro_batch)
    plans = Plans.of(
        tp=tp,
        pp=pp,
        dp=dp,
        cp=cp,
        ep=ep,
        micro_batch=micro_batch,
        recompute=recompute,
        zero=zero,
        vpp=_interleaving(models.layers[row], pp, micro_batches),
    )
    return Candidates(row.astype(np.int64), plans)


def _layouts_that_fit(
    models: ModelArrays, chips: AcceleratorArrays, counts: Array
) -> NDArray[np.bool_]:
    tp, pp, cp = LAYOUTS[:, None, :]
    layers = models.layers[:, None]
    fits: NDArray[np.bool_] = np.mod(counts[:, None], tp * pp * cp) == 0
    fits &= (np.mod(models.heads[:, None], tp) == 0) & (tp <= chips.scaleup_size[:, None])
    fits &= (pp <= layers) & (np.ceil(layers / pp) * pp <= (1.0 + MOST_EMPTY_LAYERS) * layers)
    fits &= (cp == 1) | (models.seq_len[:, None] >= CONTEXT_FROM_TOKENS)
    return fits


def _options_that_fit(n_experts: Array, pp: Array, dp: Array, share: Array) -> NDArray[np.bool_]:
    ep, micro_batch, _, zero = OPTIONS[:, None, :]
    experts, ranks = n_experts[:, None], dp[:, None]
    fits: NDArray[np.bool_] = (ep == 1) | (
        (experts > 0) & (np.mod(experts, ep) == 0) & (np.mod(ranks, ep) == 0)
    )
    fits &= micro_batch <= share[:, None]
    alone, pipelined = ranks == 1, pp[:, None] > 1
    fits &= np.where(alone, zero == 0, np.where(pipelined, zero == 1, zero >= 1))
    return fits


def _interleaving(layers: Array, pp: Array, micro_batches: Array) -> Array:
    stage = np.ceil(layers / pp)
    chunks = np.ones(np.shape(pp))
    for vpp in (2.0, 4.0):
        chunks = np.where(vpp * np.ceil(layers / (pp * vpp)) == stage, vpp, chunks)
    return np.where((pp > 1) & (micro_batches >= pp), chunks, 1.0)
