"""Named random streams, all derived from one seed.

Each purpose ("arrivals", "durations", "failures of pool h200") has a separate generator.  A change
in one part of the simulation therefore leaves the draws of all other parts unchanged: two policies
with the same seed see the same jobs.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["Streams"]


class Streams:
    """Random generators by purpose.

    Parameters
    ----------
    seed : int
        Root seed, 0 or more.
    replication : int
        Index of the replication; different replications have independent streams.

    Examples
    --------
    >>> from clustersim import Streams
    >>> one, two = Streams(7)("arrivals").random(), Streams(7)("arrivals").random()
    >>> one == two
    True
    """

    def __init__(self, seed: int, *, replication: int = 0) -> None:
        self.seed = seed
        self.replication = replication

    def __call__(self, purpose: str) -> np.random.Generator:
        """Return a new generator for `purpose`; it always starts in the same state."""
        digest = hashlib.sha256(purpose.encode()).digest()
        key = tuple(int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4))
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.replication, *key))
        return np.random.Generator(np.random.PCG64(sequence))
