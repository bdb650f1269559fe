"""Algorithms of collectives on one level of links: their steps, and the bytes of the busiest chip.

Every algorithm is one entry of :data:`ALGORITHMS`. An entry says, for each operation among n ranks,
how many steps follow one another and how many bytes a chip sends in all of them, as a multiple of
the message S. In the alpha-beta model (Hockney 1994), the time is ``steps alpha + volume S beta``.

====================  ==============================================================================
algorithm             source
====================  ==============================================================================
ring                  Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms for clusters of
                      workstations" (2009). A broadcast is a pipelined chain.
direct                every rank sends to every other rank at once (Thakur, Rabenseifner and Gropp,
                      "Optimization of collective communication operations in MPICH", 2005). Between
                      fully connected chips, each pair has its own link.
pairwise              all-to-all in n - 1 rounds, in each of which a rank exchanges with one partner
                      (Thakur et al. 2005)
halving_doubling      Rabenseifner, "Optimization of collective reduction operations" (2004). Of n
                      ranks that are no power of two, those above the next lower one first send
                      their message to a partner, which sends them the result at the end, as in
                      MPICH (Thakur et al. 2005).
binary_tree           the whole message passes every level of a tree before the next level starts
double_binary_tree    two trees, each for half of the message, in which a rank is a leaf of one and
                      a node of the other; pipelined (Sanders, Speck and Träff, "Two-tree algorithms
                      for full bandwidth broadcast, reduction and scan", 2009; NCCL since 2.4)
in_switch             the switch adds the shard of every rank and copies the sums (NVLink SHARP): a
                      chip sends S and receives S / n, then sends S / n and receives S
aggregation_tree      a tree of switches adds on the way up and copies on the way down: a chip sends
                      S and receives S (Graham et al., "Scalable hierarchical aggregation protocol
                      (SHArP)", 2016)
====================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from clustersim.array_types import Floats
from clustersim.errors import InputError, unknown_name

__all__ = [
    "ALGORITHMS",
    "OPERATIONS",
    "Algorithm",
    "Cost",
    "algorithm_of",
    "bus_factor",
    "check_operation",
]

OPERATIONS = (
    "all_reduce",
    "reduce_scatter",
    "all_gather",
    "broadcast",
    "all_to_all",
    "point_to_point",
)
"""Operations. The size of an all-gather, reduce-scatter, all-reduce or broadcast is that of the
whole tensor; the size of an all-to-all is what one rank sends, its own part included (as in
nccl-tests)."""


def _one(n: Floats) -> Floats:
    return np.ones_like(n)


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one operation, each a function of the number of ranks n (an array).

    Attributes
    ----------
    steps : function
        Steps that follow one another.
    volume : function
        Bytes that a chip sends in all steps, divided by the message.
    messages : function
        Messages that a chip sends at once in each step.
    """

    steps: Callable[[Floats], Floats]
    volume: Callable[[Floats], Floats]
    messages: Callable[[Floats], Floats] = _one


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One way to carry out collectives among n ranks.

    Attributes
    ----------
    name : str
    costs : mapping of str to Cost
        By operation.
    topologies : tuple of str
        Where the algorithm is possible: ``ring``, ``switch``, ``fully_connected``.
    all_links : bool
        Whether it divides its bytes among all links of a fully connected chip. Other algorithms
        use one link at a time.
    """

    name: str
    costs: Mapping[str, Cost]
    topologies: tuple[str, ...] = ("switch", "fully_connected")
    all_links: bool = False


def _two(n: Floats) -> Floats:
    return np.full_like(n, 2.0)


def _others(n: Floats) -> Floats:
    return n - 1.0


def _others_twice(n: Floats) -> Floats:
    return 2.0 * (n - 1.0)


def _shards(n: Floats) -> Floats:
    return (n - 1.0) / n


def _shards_twice(n: Floats) -> Floats:
    return 2.0 * (n - 1.0) / n


def _levels(n: Floats) -> Floats:
    return np.ceil(np.log2(n))


def _levels_twice(n: Floats) -> Floats:
    return 2.0 * np.ceil(np.log2(n))


_RING = {
    "all_reduce": Cost(_others_twice, _shards_twice),
    "reduce_scatter": Cost(_others, _shards),
    "all_gather": Cost(_others, _shards),
    "broadcast": Cost(_others, _one),
    "all_to_all": Cost(_others, lambda n: (n - 1.0) / 2.0),
    "point_to_point": Cost(_one, _one),
}
_DIRECT = {
    "all_reduce": Cost(_two, _shards_twice, _others),
    "reduce_scatter": Cost(_one, _shards, _others),
    "all_gather": Cost(_one, _shards, _others),
    "broadcast": Cost(_one, _others, _others),
    "all_to_all": Cost(_one, _shards, _others),
    "point_to_point": Cost(_one, _one),
}


def _power(n: Floats) -> Floats:
    """Return the largest power of two that is not above the number of ranks."""
    return np.asarray(np.exp2(np.floor(np.log2(n))), dtype=np.float64)


def _halving(*, times: float, partners: Callable[[Floats], Floats]) -> Cost:
    """Return the cost of halving or doubling `times`, and of two steps with partners.

    `partners` is the volume of these two steps, which a power of two does not need.
    """

    def steps(n: Floats) -> Floats:
        return times * np.log2(_power(n)) + np.where(n > _power(n), 2.0, 0.0)

    def volume(n: Floats) -> Floats:
        return times * _shards(_power(n)) + np.where(n > _power(n), partners(n), 0.0)

    return Cost(steps, volume)


_HALVING_DOUBLING = {
    "all_reduce": _halving(times=2.0, partners=_two),
    "reduce_scatter": _halving(times=1.0, partners=lambda n: 1.0 + 1.0 / n),
    "all_gather": _halving(times=1.0, partners=lambda n: 1.0 + 1.0 / n),
}
_BINARY_TREE = {
    "all_reduce": Cost(_levels_twice, _levels_twice),
    "broadcast": Cost(_levels, _levels),
}
_DOUBLE_BINARY_TREE = {
    "all_reduce": Cost(_levels_twice, lambda n: np.where(n > 2, 2.0, 1.0)),
    "broadcast": Cost(_levels, _one),
}
_IN_SWITCH = {
    "all_reduce": Cost(_two, lambda n: 1.0 + 1.0 / n),
    "reduce_scatter": Cost(_one, _shards),
    "all_gather": Cost(_one, _shards),
    "broadcast": Cost(_one, _one),
}
_AGGREGATION_TREE = {"all_reduce": Cost(_two, _one), "broadcast": Cost(_one, _one)}

ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        algorithm.name: algorithm
        for algorithm in (
            Algorithm("ring", _RING, ("ring", "switch", "fully_connected")),
            Algorithm("direct", _DIRECT, all_links=True),
            Algorithm("pairwise", {"all_to_all": Cost(_others, _shards)}),
            Algorithm("halving_doubling", _HALVING_DOUBLING),
            Algorithm("binary_tree", _BINARY_TREE),
            Algorithm("double_binary_tree", _DOUBLE_BINARY_TREE),
            Algorithm("in_switch", _IN_SWITCH, ("switch",)),
            Algorithm("aggregation_tree", _AGGREGATION_TREE, ("switch",)),
        )
    }
)
"""Algorithms by name."""


def check_operation(operation: str) -> None:
    """Raise an error that suggests the nearest name if there is no such operation.

    Examples
    --------
    >>> check_operation("all_reduce")
    """
    if operation not in OPERATIONS:
        raise InputError("operation", unknown_name("operation", operation, OPERATIONS))


def algorithm_of(name: str, operation: str) -> Algorithm:
    """Return an algorithm that has the operation.

    Raises
    ------
    InputError
        If there is no such operation or algorithm, or the algorithm does not have the operation.

    Examples
    --------
    >>> cost = algorithm_of("ring", "all_reduce").costs["all_reduce"]
    >>> float(cost.steps(np.array(8.0))), float(cost.volume(np.array(8.0)))
    (14.0, 1.75)
    """
    check_operation(operation)
    if name not in ALGORITHMS:
        raise InputError("algorithm", unknown_name("algorithm", name, ALGORITHMS))
    if operation not in ALGORITHMS[name].costs:
        able = ", ".join(a.name for a in ALGORITHMS.values() if operation in a.costs)
        raise InputError("algorithm", f"{name} has no {operation}; allowed: {able}")
    return ALGORITHMS[name]


def bus_factor(operation: str, ranks: Floats) -> Floats:
    """Return the bus bandwidth divided by the algorithm bandwidth.

    The algorithm bandwidth is the size divided by the time. The factor is that of NVIDIA/nccl-tests
    (doc/PERFORMANCE.md): ``2 (n - 1) / n`` for an all-reduce, ``(n - 1) / n`` for a reduce-scatter,
    all-gather and all-to-all, and 1 for a broadcast and point-to-point.

    Examples
    --------
    >>> bus_factor("all_gather", np.array([2.0, 8.0])).tolist()
    [0.5, 0.875]
    """
    check_operation(operation)
    if operation in ("broadcast", "point_to_point"):
        return np.ones_like(ranks)
    return _shards_twice(ranks) if operation == "all_reduce" else _shards(ranks)
