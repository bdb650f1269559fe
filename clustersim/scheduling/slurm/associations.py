"""The tree of accounts and users that fair share is computed on, one array per property.

An *association* is an account or a user of an account. Slurm's documentation calls them so, and
this package follows it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clustersim.array_types import Bools, Floats, Ints
from clustersim.errors import InputError

__all__ = ["Associations"]


@dataclass(frozen=True)
class Associations:
    """Accounts and users in a tree with shares and usage.

    The first association is the root. An association with the shares ``parent`` (NaN) is
    transparent: its children compete with its siblings, and it has no share of its own.

    Attributes
    ----------
    parent : array of int, shape (n,)
        Index of each association's parent; -1 for the root, which is the only one without.
    shares : array of float, shape (n,)
        Shares among its siblings; NaN for ``parent``. Those of the root are ignored.
    is_user : array of bool, shape (n,)
        Whether it is a user. A user has no children.
    charged : array of float, shape (n,)
        Usage charged to each association itself (TRES-seconds, after decay). The usage of an
        account is what was charged to it and to all associations below it.

    Raises
    ------
    InputError
        If the arrays differ in length, values are negative, or the parents are no tree.

    Examples
    --------
    >>> tree = Associations.of([(-1, 0, False, 0), (0, 3, True, 5), (0, 1, True, 15)])
    >>> tree.usage.tolist()
    [20.0, 5.0, 15.0]
    >>> tree.share_of_siblings.tolist()
    [0.0, 0.75, 0.25]
    """

    parent: Ints
    shares: Floats
    is_user: Bools
    charged: Floats

    def __post_init__(self) -> None:
        problems = _problems(self.parent, self.shares, self.is_user, self.charged)
        if problems:
            raise InputError("associations", problems)

    @classmethod
    def of(cls, rows: Sequence[tuple[int, float | None, bool, float]]) -> Associations:
        """Return the tree of a list of (parent, shares or None for ``parent``, is user, charged).

        Examples
        --------
        >>> Associations.of([(-1, 0, False, 0), (0, None, False, 0)]).shares.tolist()
        [0.0, nan]
        """
        columns = list(zip(*rows, strict=True)) if rows else [(), (), (), ()]
        shares = [np.nan if value is None else value for value in columns[1]]
        return cls(
            np.array(columns[0], dtype=np.int64),
            np.array(shares, dtype=np.float64),
            np.array(columns[2], dtype=np.bool_),
            np.array(columns[3], dtype=np.float64),
        )

    @classmethod
    def of_parents(
        cls,
        parent: Mapping[Hashable, Hashable],
        shares: Mapping[Hashable, float | None],
        charged: Mapping[Hashable, float],
    ) -> Associations:
        """Return the tree of names: accounts are those that are somebody's parent.

        Parameters
        ----------
        parent : mapping of name to name
            The parent of each association; the parent that has none itself is the root, and comes
            first. The others follow in the order of the mapping.
        shares : mapping of name to float or None
            Missing: one share.
        charged : mapping of name to float
            Missing: nothing.

        Raises
        ------
        InputError
            If there is no or more than one root.

        Examples
        --------
        >>> parents = {"nlp": "root", "ann": "nlp", "bob": "nlp"}
        >>> tree = Associations.of_parents(parents, {"ann": 2}, {"bob": 60.0})
        >>> tree.parent.tolist(), tree.usage.tolist()
        ([-1, 0, 1, 1], [60.0, 60.0, 0.0, 60.0])
        """
        roots = [name for name in dict.fromkeys(parent.values()) if name not in parent]
        if len(roots) != 1:
            raise InputError("associations", f"must have one root, found {len(roots)}: {roots}")
        names = [roots[0], *parent]
        index = {name: i for i, name in enumerate(names)}
        accounts = set(parent.values())
        return cls.of(
            [
                (
                    index[parent[name]] if name in parent else -1,
                    shares.get(name, 1.0),
                    name not in accounts,
                    charged.get(name, 0.0),
                )
                for name in names
            ]
        )

    def with_charged(self, charged: Floats) -> Associations:
        """Return the same tree with other usage; what does not depend on usage is kept.

        Examples
        --------
        >>> tree = Associations.of([(-1, 0, False, 0), (0, 3, True, 5), (0, 1, True, 15)])
        >>> tree.with_charged(np.array([0.0, 2.0, 4.0])).usage.tolist()
        [6.0, 2.0, 4.0]
        """
        if charged.shape != self.charged.shape or not (charged >= 0).all():
            raise InputError("charged", f"must be {len(self.charged)} numbers of 0 or more")
        other = object.__new__(Associations)
        kept = ("levels", "share_parent", "visited", "sibling_shares", "share_of_siblings")
        own = {name: getattr(self, name) for name in (*kept, "parent", "shares", "is_user")}
        vars(other).update(own, charged=charged)
        return other

    @cached_property
    def levels(self) -> list[Ints]:
        """The associations at each depth of the tree, the root's first."""
        return _levels(self.parent)

    @cached_property
    def usage(self) -> Floats:
        """Usage of each association with all below it, shape (n,)."""
        total = self.charged.astype(np.float64)
        for level in reversed(self.levels[1:]):
            np.add.at(total, self.parent[level], total[level])
        return total

    @cached_property
    def share_parent(self) -> Ints:
        """Index of the nearest ancestor that is not transparent, shape (n,); -1 for the root."""
        found = self.parent.copy()
        for level in self.levels[2:]:
            above = self.parent[level]
            transparent = np.isnan(self.shares[above])
            found[level] = np.where(transparent, found[above], above)
        return found

    @cached_property
    def visited(self) -> list[Ints]:
        """The associations by number of ancestors that are not transparent, the root's first.

        Transparent accounts are left out.
        """
        depths = np.zeros(len(self.parent), dtype=np.int64)
        for level in self.levels[1:]:
            depths[level] = depths[self.share_parent[level]] + 1
        shown = ~np.isnan(self.shares) | self.is_user
        return [np.flatnonzero((depths == depth) & shown) for depth in range(depths.max() + 1)]

    @cached_property
    def sibling_shares(self) -> Floats:
        """Sum of the shares with which each association competes, its own included, shape (n,)."""
        return self._sum_by_share_parent(np.nan_to_num(self.shares))

    @cached_property
    def share_of_siblings(self) -> Floats:
        """Shares divided by the sum over the siblings, shape (n,); 0 for the root, NaN if none."""
        sums = self.sibling_shares
        share = np.divide(self.shares, sums, out=np.zeros(len(sums)), where=sums > 0)
        share[np.isnan(self.shares)] = np.nan
        share[0] = 0.0
        return share

    def _sum_by_share_parent(self, values: Floats) -> Floats:
        sums = np.bincount(self.share_parent[1:], weights=values[1:], minlength=len(values))
        return np.concatenate([[0.0], sums[self.share_parent[1:]]])


def _levels(parent: Ints) -> list[Ints]:
    """Return the nodes at each depth; nodes that are not below node 0 are in none."""
    children = np.argsort(parent, kind="stable")
    first = np.searchsorted(parent[children], np.arange(len(parent)))
    last = np.searchsorted(parent[children], np.arange(len(parent)), side="right")
    levels = [np.zeros(1, dtype=np.int64)]
    while True:
        spans = [children[first[i] : last[i]] for i in levels[-1]]
        below = np.concatenate(spans)
        if not len(below):
            return levels
        levels.append(below)


def _problems(parent: Ints, shares: Floats, is_user: Bools, charged: Floats) -> list[str]:
    n = len(parent)
    lengths = {len(parent), len(shares), len(is_user), len(charged)}
    if len(lengths) > 1 or n == 0:
        return [f"the columns must have the same length of at least 1, found {sorted(lengths)}"]
    problems = []
    if (shares < 0).any():
        problems.append(f"shares: must be 0 or more, found {np.nanmin(shares):g}")
    if not (charged >= 0).all():
        problems.append("charged: must be 0 or more")
    if parent[0] != -1 or (parent[1:] < 0).any() or (parent >= n).any():
        problems.append("parent: must be -1 for the first association (the root) and an index else")
    elif sum(map(len, _levels(parent))) != n:
        problems.append("parent: every association must be below the root, without circles")
    elif is_user[parent[1:]].any():
        problems.append("parent: must be an account, found a user")
    return problems
