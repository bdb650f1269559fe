"""Quotas, limits and budgets and how much of them is used, as policies see them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clustersim.array_types import Floats
from clustersim.scheduling.kueue import QuotaTree
from clustersim.scheduling.quotas import RESOURCE, Quotas

__all__ = ["QuotaTable", "QuotaUse", "tree_uses"]


class QuotaUse(NamedTuple):
    """What one owner may use, and uses.

    Attributes
    ----------
    owner : str
        Such as ``user ann`` or ``queue vision``.
    pool : str
        ``all`` for all pools together.
    most : float
        Accelerators that it may use at once, all that it may borrow included; accelerator-hours of
        a budget.
    used : float
        What its jobs use of it now, those that are in the queue included where they count.
    unit : str
        ``accelerators`` or ``accelerator-hours``.

    Examples
    --------
    >>> from clustersim.scheduling import QuotaUse
    >>> QuotaUse("user ann", "all", 64, 16).unit
    'accelerators'
    """

    owner: str
    pool: str
    most: float
    used: float
    unit: str = "accelerators"


@dataclass(frozen=True, slots=True)
class QuotaTable:
    """All quotas, limits and budgets of a run.

    Attributes
    ----------
    rows : tuple of QuotaUse

    Examples
    --------
    >>> from clustersim.scheduling import QuotaTable, QuotaUse
    >>> table = QuotaTable((QuotaUse("user ann", "all", 64, 16), QuotaUse("user bo", "all", 8, 8)))
    >>> table.used / table.most
    array([0.25, 1.  ])
    >>> [row.owner for row in table if row.used == row.most]
    ['user bo']
    """

    rows: tuple[QuotaUse, ...] = ()

    def __iter__(self) -> Iterator[QuotaUse]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def owner(self) -> npt.NDArray[np.object_]:
        """The owners."""
        return np.array([row.owner for row in self.rows], dtype=object)

    @property
    def pool(self) -> npt.NDArray[np.object_]:
        """The pools."""
        return np.array([row.pool for row in self.rows], dtype=object)

    @property
    def most(self) -> Floats:
        """What each owner may use."""
        return np.array([row.most for row in self.rows], dtype=np.float64)

    @property
    def used(self) -> Floats:
        """What each owner uses."""
        return np.array([row.used for row in self.rows], dtype=np.float64)


def tree_uses(tree: QuotaTree, quotas: Quotas) -> Iterator[QuotaUse]:
    """Yield what queues use of what they could use at most.

    Examples
    --------
    >>> from clustersim.scheduling.quotas import read_quotas
    >>> quotas = read_quotas({"queues": {"a": {"quotas": {"h200": 8}}}})
    >>> next(tree_uses(QuotaTree(quotas.queues), quotas)).most
    8.0
    """
    for pool in quotas.pools:
        ledger = tree.ledger((pool, RESOURCE))
        for node, queue in enumerate(quotas.queues):
            yield QuotaUse(f"queue {queue.name}", pool, ledger.potential[node], ledger.usage[node])
