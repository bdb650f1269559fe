"""Classic fair share: a factor of 2 to the power of minus usage over shares.

Source: Slurm's page "Classic Fairshare Algorithm".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError
from clustersim.scheduling.slurm.associations import Associations

__all__ = ["ClassicFairShare", "classic_fair_share", "fair_share_factor"]


@dataclass(frozen=True, slots=True)
class ClassicFairShare:
    """The numbers of classic fair share; all have the shape (n,), one value per association.

    Attributes
    ----------
    shares : array of float
        Share of the cluster: the product of the shares of siblings down the tree.
    usage : array of float
        Usage divided by that of the cluster.
    effective_usage : array of float
        The usage, drawn towards that of the account above.
    factor : array of float
        Between 0 (over-served, or no shares) and 1 (unused); 0.5 for a fair part.
    """

    shares: Floats
    usage: Floats
    effective_usage: Floats
    factor: Floats


def classic_fair_share(
    tree: Associations, *, cluster_usage: float | None = None, dampening: float = 1.0
) -> ClassicFairShare:
    """Return the fair-share factor of each association.

    An association with shares ``parent`` has the numbers of the account above, but its own usage.

    Parameters
    ----------
    tree : Associations
        Shares and decayed usage.
    cluster_usage : float, optional
        Usage of the whole cluster; by default that of the tree.
    dampening : float
        ``FairShareDampeningFactor``: larger values make small differences of usage count less.

    Raises
    ------
    InputError
        If `dampening` is not above 0, or `cluster_usage` is less than that of the tree.

    Examples
    --------
    >>> tree = Associations.of([(-1, 0, False, 0), (0, 1, True, 50), (0, 1, True, 0)])
    >>> numbers = classic_fair_share(tree)
    >>> numbers.effective_usage.tolist(), numbers.factor.tolist()
    ([1.0, 1.0, 0.0], [0.5, 0.25, 1.0])
    """
    total = float(tree.usage[0]) if cluster_usage is None else cluster_usage
    if total < tree.usage[0] * (1 - 1e-12):
        raise InputError(
            "cluster_usage",
            f"must be at least that of the tree ({tree.usage[0]:g}), found {total:g}",
        )
    usage = tree.usage / total if total > 0 else np.zeros_like(tree.usage)
    of_siblings = tree.share_of_siblings
    shares, effective = np.ones_like(usage), usage.copy()
    for level in tree.levels[1:]:
        above = tree.share_parent[level]
        part, inherits = of_siblings[level], np.isnan(of_siblings[level])
        shares[level] = np.where(inherits, shares[above], shares[above] * part)
        drawn = usage[level] + (effective[above] - usage[level]) * part
        drawn = np.where(above == 0, usage[level], drawn)
        effective[level] = np.where(inherits, effective[above], drawn)
    return ClassicFairShare(
        shares, usage, effective, fair_share_factor(shares, effective, dampening=dampening)
    )


def fair_share_factor(shares: Floats, usage: Floats, *, dampening: float = 1.0) -> Floats:
    """Return ``2 ** (-usage / shares / dampening)``, and 0 where there are no shares.

    Parameters
    ----------
    shares, usage : array of float, of the same shape
        Shares and effective usage, as parts of the cluster.
    dampening : float
        ``FairShareDampeningFactor``.

    Raises
    ------
    InputError
        If `dampening` is not above 0.

    Examples
    --------
    >>> fair_share_factor(np.array([0.5, 0.5, 0.0]), np.array([0.0, 1.0, 0.1])).tolist()
    [1.0, 0.25, 0.0]
    """
    if not dampening > 0:
        raise InputError("dampening", f"must be above 0, found {dampening:g}")
    shares, usage = np.broadcast_arrays(
        np.asarray(shares, dtype=np.float64), np.asarray(usage, dtype=np.float64)
    )
    served = np.divide(usage, shares, out=np.full(shares.shape, np.inf), where=shares > 0)
    factor: Floats = np.exp2(-served / dampening)
    return factor
