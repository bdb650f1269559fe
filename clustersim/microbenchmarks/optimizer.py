"""AdamW with FP32 main weights, as in mixed-precision training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["MainWeightsAdam"]

FUSED = ("cuda", "cpu")
"""Devices on which PyTorch updates all weights in one kernel."""


class MainWeightsAdam:
    """AdamW for BF16 weights, with main weights, gradients and moments in FP32.

    The method follows Micikevicius et al. 2018 (arXiv 1710.03740, section 3.1). The weights are
    given in blocks, such as layers. The blocks are updated one after the other, so that FP32
    gradients exist for only one block at a time.

    Parameters
    ----------
    blocks : sequence of sequence of Tensor
    """

    def __init__(self, blocks: Sequence[Sequence[Any]]) -> None:
        import torch

        self._torch = torch
        self._blocks = [list(block) for block in blocks]
        self._mains = [
            [weight.detach().float().requires_grad_() for weight in block] for block in blocks
        ]
        fused = self._mains[0][0].device.type in FUSED
        self._adams = [
            torch.optim.AdamW(mains, lr=1e-5, weight_decay=0.1, fused=fused)
            for mains in self._mains
        ]

    def step(self) -> None:
        """Update all weights and drop their gradients."""
        for weights, mains, adam in zip(self._blocks, self._mains, self._adams, strict=True):
            for weight, main in zip(weights, mains, strict=True):
                main.grad = weight.grad.float()
                weight.grad = None
            adam.step()
            with self._torch.no_grad():
                self._torch._foreach_copy_(weights, mains)
            adam.zero_grad(set_to_none=True)
