"""Finds the cables of a part of a pool's network from its name."""

from __future__ import annotations

import re

import numpy as np

from clustersim.array_types import Ints
from clustersim.errors import unknown_name
from clustersim.topology.pool_cables import PoolCables

__all__ = ["PartNames", "range_text"]

_UPLINKS = re.compile(r"([a-z-]+)/(\d+)/uplinks")
_NIC = re.compile(r"node/(\d+)/nic/(\d+)")
_VERTEX = re.compile(r"([a-z]+)/(\d+)")
_LINK = re.compile(r"([a-z]+)/(\d+)-([a-z]+)/(\d+)(?:/(\d+))?")
_MOST_NAMES = 8


class PartNames:
    """The names of the parts of one pool, without the name of the pool.

    Parameters
    ----------
    own : PoolCables
    examples : sequence of str
        Names that a message about an unknown part suggests.
    """

    def __init__(self, own: PoolCables, examples: list[str]) -> None:
        self._own, self._examples = own, examples

    def find(self, rest: str, *, nodes: bool = False) -> Ints:
        """Return the cables of a part.

        Parameters
        ----------
        rest : str
        nodes : bool
            Whether the name of a node means all its ports; otherwise it is an error.

        Raises
        ------
        ValueError
            If there is no such part; the message states what is allowed.
        """
        if rest == "uplinks":
            if self._own.datacenter < 0:
                raise ValueError(
                    f"there is no {self._named(rest)}: the topology has no datacenter_network that "
                    "connects this pool to others"
                )
            return np.array([self._own.datacenter])
        if found := _UPLINKS.fullmatch(rest):
            return self._uplinks(found[1], int(found[2]))
        if found := _NIC.fullmatch(rest):
            return self._nic(int(found[1]), int(found[2]))
        if found := _LINK.fullmatch(rest):
            ends = (found[1], int(found[2])), (found[3], int(found[4]))
            return self._link(*ends, None if found[5] is None else int(found[5]))
        if found := _VERTEX.fullmatch(rest):
            return self._vertex(found[1], int(found[2]), nodes)
        such = ", ".join(self._examples)
        allowed = f"names such as {such}" if such else "none, as the pool has no cables"
        raise ValueError(f"{self._named(rest)!r} is not the name of a part; allowed: {allowed}")

    def _named(self, rest: str) -> str:
        return f"{self._own.pool.name}/{rest}"

    def _check(self, kind: str, index: int) -> None:
        count = self._own.count_of[kind]
        if index >= count:
            allowed = range_text(*(self._named(f"{kind}/{each}") for each in (0, count - 1)))
            raise ValueError(f"there is no {self._named(f'{kind}/{index}')}; allowed: {allowed}")

    def _vertex(self, kind: str, index: int, nodes: bool) -> Ints:
        name, kinds = self._named(f"{kind}/{index}"), self._own.switch_kinds
        if kind == "node" and not nodes:
            raise ValueError(
                f"{name} is a node, not a part of the network; name its ports or links, or use the "
                "section `failures`"
            )
        if kind != "node" and kind not in kinds:
            raise ValueError(f"{name}: {unknown_name('kind of switch', kind, kinds)}")
        self._check(kind, index)
        return self._own.of_vertex(kind, index)

    def _nic(self, node: int, nic: int) -> Ints:
        self._check("node", node)
        ports, name = self._own.ports, self._named(f"node/{node}/nic/{nic}")
        n_ports = ports.shape[1]
        if not n_ports:
            raise ValueError(f"there is no {name}: no switch connects the nodes; name a link")
        if nic >= n_ports:
            raise ValueError(
                f"there is no {name}; allowed: {range_text('nic/0', f'nic/{n_ports - 1}')}"
            )
        return ports[node, nic : nic + 1]

    def _uplinks(self, kind: str, group: int) -> Ints:
        name, trunks = self._named(f"{kind}/{group}/uplinks"), self._own.pool.trunks
        kinds = [each.name for each in trunks]
        if kind not in kinds:
            raise ValueError(f"{name}: {unknown_name('group with uplinks', kind, kinds)}")
        level = kinds.index(kind)
        count = trunks[level].n_groups
        if group >= count:
            allowed = range_text(
                *(self._named(f"{kind}/{each}/uplinks") for each in (0, count - 1))
            )
            raise ValueError(f"there is no {name}; allowed: {allowed}")
        groups, cables = self._own.trunks[level]
        found: Ints = cables[groups == group]
        return found

    def _link(self, one: tuple[str, int], other: tuple[str, int], cable: int | None) -> Ints:
        for kind, index in (one, other):
            if kind not in self._own.count_of:
                unknown = unknown_name("kind", kind, self._own.count_of)
                raise ValueError(f"{self._named(f'{kind}/{index}')}: {unknown}")
            self._check(kind, index)
        name = self._named(f"{one[0]}/{one[1]}-{other[0]}/{other[1]}")
        for level in self._own.levels:
            wiring = level.wiring
            for (low_kind, low), (up_kind, up) in ((one, other), (other, one)):
                if (low_kind, up_kind) != (wiring.lower_kind, wiring.upper_kind):
                    continue
                link = np.flatnonzero((wiring.lower == low) & (wiring.upper == up))
                if len(link):
                    return _one_of(level.cables(link), cable, name)
        raise ValueError(f"there is no link {name}; {self._neighbours(*one, other[0])}")

    def _neighbours(self, kind: str, index: int, towards: str) -> str:
        """Say which links a switch or node has, those to one kind first."""
        ends: list[str] = []
        for level, here in self._own.links_of_vertex(kind, index):
            wiring = level.wiring
            lower, upper = wiring.lower[here].tolist(), wiring.upper[here].tolist()
            for low, up in zip(lower, upper, strict=True):
                own = wiring.lower_kind == kind and low == index
                ends.append(f"{wiring.upper_kind}/{up}" if own else f"{wiring.lower_kind}/{low}")
        ends.sort(key=lambda end: not end.startswith(f"{towards}/"))
        more = f" and {len(ends) - _MOST_NAMES} more" if len(ends) > _MOST_NAMES else ""
        shown = ", ".join(ends[:_MOST_NAMES]) or "none"
        return f"allowed at {self._named(f'{kind}/{index}')}: {shown}{more}"


def range_text(first: str, last: str) -> str:
    """Return what is allowed: both ends of a range, or its only name."""
    return first if first == last else f"{first} to {last}"


def _one_of(cables: Ints, number: int | None, name: str) -> Ints:
    """Return all cables of a link, or one of them."""
    if number is None:
        return cables
    if number >= len(cables):
        allowed = f"{name}/0 to {name}/{len(cables) - 1}" if len(cables) > 1 else name
        raise ValueError(f"there is no {name}/{number}; allowed: {allowed}")
    return cables[number : number + 1]
