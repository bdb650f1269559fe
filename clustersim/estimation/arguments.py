"""Checks of the arguments of an estimate."""

from __future__ import annotations

import math

import numpy as np

from clustersim.errors import InputError, shown
from clustersim.estimation.assumptions import PRECISIONS
from clustersim.units import MOST_CHIPS

__all__ = ["MOST_CHIPS", "check_arguments", "check_documents"]

MOST_DRAWS = 100_000


def check_arguments(
    count: int,
    batch: int,
    seq_len: int,
    draws: int,
    seed: int,
    precision: str,
    nic_Bps: float,
    tokens: float,
) -> None:
    """Raise one `InputError` for all arguments of an estimate that are out of range."""
    whole = {"count": count, "global_batch": batch, "seq_len": seq_len}
    problems = [
        f"{name}: must be a whole number from 1 to {MOST_CHIPS:,}, found {shown(value)}"
        for name, value in whole.items()
        if not (_is_number(value) and 1 <= value <= MOST_CHIPS and float(value).is_integer())
    ]
    if not (_is_whole(draws) and 0 <= draws <= MOST_DRAWS):
        problems.append(f"draws: must be from 0 to {MOST_DRAWS:,}, found {shown(draws)}")
    if not (_is_whole(seed) and seed >= 0):
        problems.append(f"seed: must be a whole number of at least 0, found {shown(seed)}")
    if precision not in PRECISIONS:
        problems.append(
            f"precision: must be one of {', '.join(PRECISIONS)}, found {shown(precision)}"
        )
    if not (_is_number(nic_Bps) and 0 < nic_Bps < math.inf):
        problems.append(f"network: must be more than 0, found {nic_Bps!r} B/s")
    if not (_is_number(tokens) and 1 <= tokens <= 1e18):
        problems.append(f"tokens: must be from 1 to 1e18, found {shown(tokens)}")
    if problems:
        raise InputError("estimate", problems)


def check_documents(tokens: int, *, given: bool) -> None:
    """Raise an `InputError` if a given length of documents is out of range."""
    if given and not (_is_whole(tokens) and 1 <= tokens <= MOST_CHIPS):
        message = f"must be a whole number from 1 to {MOST_CHIPS:,}, found {shown(tokens)}"
        raise InputError("estimate", f"document_tokens: {message}")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
