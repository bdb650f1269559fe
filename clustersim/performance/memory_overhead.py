"""Fitted overhead of memory by group of software stacks, and the probability that a plan fits.

What a job allocates is counted (:mod:`clustersim.performance.memory`). What a chip uses in addition
(fragments of the allocator, workspaces, temporary copies) is fitted to published peaks, together
with their scatter (``clustersim fit --memory``). ``data/memory_overhead.yaml`` has the result.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import Field

from clustersim.array_types import Floats
from clustersim.files import FileModel, read_yaml, validate, yaml_text

__all__ = [
    "CLOSE",
    "FITS_FROM",
    "GroupOverhead",
    "MemoryOverhead",
    "fit_probability",
    "memory_overhead",
    "overhead_of",
    "overhead_text",
]

DATA = Path(__file__).parent / "data" / "memory_overhead.yaml"
FITS_FROM = 0.5
"""A plan is said to fit if it fits with at least this probability: if it is more likely to run than
to run out of memory. Both errors then count the same. Since the logarithm of the peak is symmetric
around the predicted one, this is the case if the predicted peak is at most the memory of the chip,
which is the rule of the plan search."""
HEADER = """\
# Overhead of memory by group of software stacks, as `clustersim fit --memory` fits it to
# clustersim/calibration/data/memory.csv. Shares: `fragmentation` of the activations and gathered
# weights, `states` of weights, gradients and optimizer; `routed` is a multiple of the bytes that a
# mixture of experts routes. `scatter` is the standard deviation of the logarithm of measured over
# predicted peaks of sources that were left out. `rows` peaks and `outcomes` were fitted.
"""
CLOSE = 0.9
"""A plan that is said to fit with a probability below this is marked as fitting only just."""


class GroupOverhead(FileModel):
    """Overhead of one group of software stacks.

    `fragmentation` is a share of the activations and gathered weights, `states` a share of weights,
    gradients and optimizer, and `routed` a multiple of the bytes that one mixture of experts
    routes. `scatter` is the standard deviation of the logarithm of measured over predicted peaks.
    `rows` peaks and `outcomes` (ran, or ran out of memory) of `sources` sources were fitted.
    """

    fragmentation: float = Field(ge=0)
    states: float = Field(ge=0)
    routed: float = Field(0.0, ge=0)
    scatter: float = Field(gt=0)
    rows: int = Field(ge=0)
    outcomes: int = Field(0, ge=0)
    sources: int = Field(ge=0)


class MemoryOverhead(FileModel):
    """Content of ``data/memory_overhead.yaml``, as ``clustersim fit --memory`` writes it."""

    groups: dict[str, GroupOverhead]
    facts: Mapping[str, float | str] = {}


@functools.cache
def memory_overhead() -> MemoryOverhead:
    """Return the overhead that was fitted to the project's own table of peaks.

    Examples
    --------
    >>> from clustersim.performance.memory_overhead import memory_overhead
    >>> sorted(memory_overhead().groups)
    ['ascend', 'composer', 'deepspeed', 'fsdp', 'litgpt', 'megatron', 'megatron-swift', 'ms-swift']
    """
    return validate(MemoryOverhead, read_yaml(DATA), DATA)


def overhead_of(group: str) -> GroupOverhead:
    """Return the fitted overhead of a group of software stacks."""
    return memory_overhead().groups[group]


def overhead_text(overhead: MemoryOverhead) -> str:
    """Return the content of ``data/memory_overhead.yaml``."""
    return HEADER + yaml_text(overhead.model_dump(exclude_defaults=True), compact=True)


def fit_probability(needed: Floats, capacity: Floats, scatter: Floats) -> Floats:
    """Return the probability that a job fits: that its peak is at most the memory of the chip.

    The logarithm of the peak has a normal distribution around that of the predicted peak.

    Parameters
    ----------
    needed, capacity : array
        Predicted peak and memory of the chip, in bytes.
    scatter : array
        Standard deviation of the logarithm of the peak.

    Examples
    --------
    >>> import numpy as np
    >>> from clustersim.performance import fit_probability
    >>> fit_probability(np.array([80e9, 70e9]), np.array(80e9), np.array(0.12)).round(2).tolist()
    [0.5, 0.87]
    """
    from scipy.special import ndtr

    found: Floats = ndtr(np.log(capacity / needed) / scatter)
    return found
