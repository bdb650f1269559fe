"""Named streams of randomness, all children of one seed.

A purpose ("arrivals", "durations", "failures of pool h200") has its own
generator, so that changing what one part draws leaves every other part's draws
as they were: two policies under one seed see the same jobs.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["Streams"]


class Streams:
    """Generators by purpose.

    Parameters
    ----------
    seed : int
        Root seed, 0 or more.
    replication : int
        Index of the replication; each has streams of its own.

    Examples
    --------
    >>> one, two = Streams(7)("arrivals").random(), Streams(7)("arrivals").random()
    >>> one == two
    True
    """

    def __init__(self, seed: int, *, replication: int = 0) -> None:
        self.seed = seed
        self.replication = replication

    def __call__(self, purpose: str) -> np.random.Generator:
        """Return a fresh generator for `purpose`, always the same one."""
        digest = hashlib.sha256(purpose.encode()).digest()
        key = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.replication, *key))
        return np.random.Generator(np.random.PCG64(sequence))
