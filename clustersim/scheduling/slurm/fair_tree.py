"""Fair tree: users are ranked by the fairness of their accounts first, then by their own.

Source: Slurm's page "Fair Tree Fairshare Algorithm". Each association has a *level fairshare*, its
share of its siblings' shares divided by its part of its siblings' usage. The tree is visited depth
first, the highest level fairshare first and users before accounts on ties, and the users get the
factors 1, (n-1)/n, ..., 1/n in this order. Those who tie share the better factor; if a user and an
account tie, so do the user and the first of that account.

The page also says that accounts that tie are merged: their children are sorted as one list. Slurm's
program visits them one after the other instead, the later one beginning with the factor on which
the earlier one ended. ``merge_ties=False`` does what the program does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.scheduling.slurm.associations import Associations

__all__ = ["FairTree", "fair_tree"]


@dataclass(frozen=True, slots=True)
class FairTree:
    """The numbers of a fair tree; all have the shape (n,), one value per association.

    Attributes
    ----------
    shares : array of float
        Share of the siblings' shares; that of the account above for shares ``parent``.
    usage_of_cluster : array of float
        Usage divided by that of the whole tree.
    usage_of_level : array of float
        Usage divided by that of the account above; 1 for the root.
    level_fair_share : array of float
        NaN for the root and for shares ``parent``, infinite without usage.
    factor : array of float
        Between 0 (excluded) and 1 for users, NaN for accounts.
    """

    shares: Floats
    usage_of_cluster: Floats
    usage_of_level: Floats
    level_fair_share: Floats
    factor: Floats


def fair_tree(tree: Associations, *, merge_ties: bool = True) -> FairTree:
    """Return the fair-share factor of each user, and the numbers from which it follows.

    Parameters
    ----------
    tree : Associations
        Shares and decayed usage.
    merge_ties : bool
        Whether accounts with the same level fairshare are merged, as documented.

    Examples
    --------
    >>> tree = Associations.of([(-1, 0, False, 0), (0, 1, True, 30), (0, 1, True, 10)])
    >>> numbers = fair_tree(tree)
    >>> numbers.level_fair_share.round(3).tolist()
    [nan, 0.667, 2.0]
    >>> numbers.factor.tolist()
    [nan, 0.5, 1.0]
    """
    above = tree.share_parent
    shares = tree.share_of_siblings.copy()
    shares[1:] = np.where(np.isnan(shares[1:]), shares[above[1:]], shares[1:])
    of_cluster = _ratio(tree.usage, np.full_like(shares, tree.usage[0]))
    of_level = np.ones(len(above))
    of_level[1:] = _ratio(tree.usage[1:], tree.usage[above[1:]])
    level = _level_fair_share(tree, of_level)
    factor = np.full(len(above), np.nan)
    users, tied = _ranking(tree, level, merge_ties)
    factor[users] = _factors(tied)
    return FairTree(shares, of_cluster, of_level, level, factor)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _level_fair_share(tree: Associations, of_level: Floats) -> Floats:
    """Return shares over usage, both as parts of the level.

    The three divisions round as in Slurm. Ratios that are equal only in exact arithmetic may
    therefore differ in the last digit, and then do not tie; Slurm's own test contains such a level.
    """
    share = tree.share_of_siblings
    level = np.divide(share, of_level, out=np.full_like(share, np.inf), where=of_level > 0)
    level[tree.shares == 0] = 0.0
    level[np.isnan(tree.shares)] = np.nan
    level[0] = np.nan
    return level


def _ranking(tree: Associations, level: Floats, merge_ties: bool) -> tuple[Ints, Bools]:
    """Return the users in the order of their visit, and which of them tie with the one before.

    A user with shares ``parent`` comes first in its account, as one without usage does.
    """
    above = tree.share_parent
    height = np.where(np.isnan(level), np.inf, level)
    visited = tree.visited
    place = np.zeros((len(visited), len(above)), dtype=np.int64)  # path of each association
    tied = np.zeros(len(above), dtype=np.bool_)
    tied_groups = np.zeros(1, dtype=np.bool_)
    for depth, nodes in enumerate(visited[1:], 1):
        group = place[depth - 1, above[nodes]]
        order = np.lexsort((~tree.is_user[nodes], -height[nodes], group))
        nodes, group = nodes[order], group[order]
        first = np.diff(group, prepend=-1) != 0
        as_before = ~first & (height[nodes] == np.roll(height[nodes], 1))
        ties = np.where(first, tied_groups[group], as_before)
        account = ~tree.is_user[nodes]
        merged = as_before & account & np.roll(account, 1) if merge_ties else ties & False
        place[:depth, nodes] = place[:depth, above[nodes]]
        place[depth, nodes] = np.cumsum(~merged) - 1
        tied_groups = ties[~merged]
        tied[nodes] = ties
    users = np.flatnonzero(tree.is_user)
    users = users[np.lexsort(place[::-1, users])]
    return users, tied[users]


def _factors(tied: Bools) -> Floats:
    """Return n/n, (n-1)/n, ...; who ties with the one before has the latter's factor."""
    n = len(tied)
    rank = np.maximum.accumulate(np.where(tied, 0, np.arange(n)))
    return (n - rank) / max(n, 1)
