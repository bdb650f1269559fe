"""Nodes and accelerators that a question adds to a fleet."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clustersim.errors import InputError, shown, unknown_name
from clustersim.units import MOST_CHIPS, counted, listed

__all__ = ["added_nodes", "plain_pool"]

POOL = "pool"
UNNAMED_CHIP = "H100"
"""Chip of a fleet that is given as a number of accelerators; run times are those of the log, so
nothing depends on it."""


def plain_pool(accelerators: int) -> dict[str, Any]:
    """Return the topology of a number of accelerators that are only counted.

    Raises
    ------
    InputError
        If the number is not allowed.

    Examples
    --------
    >>> plain_pool(64)["pools"]["pool"]["nodes"]
    64
    """
    if not 1 <= accelerators <= MOST_CHIPS:
        raise InputError(
            "--accelerators", f"must be from 1 to {MOST_CHIPS:,}, found {accelerators:,}"
        )
    pool = {"accelerator": UNNAMED_CHIP, "nodes": accelerators, "chips_per_node": 1}
    fabric = {"fabric": {"type": "none"}, "scale_up": {"shape": "none"}}
    return {"name": f"{accelerators:,} accelerators", "pools": {POOL: {**pool, **fabric}}}


def added_nodes(
    cluster: Mapping[str, Any],
    nodes: int | str | Sequence[str],
    accelerators: int,
    *,
    plain: bool,
) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return the changes that add nodes to a cluster, in words, and notes on them.

    Parameters
    ----------
    cluster : mapping
        Topology as plain data.
    nodes : int, str or sequence of str
        A number, or ``NAME=NUMBER`` with the name of a pool, of a virtual cluster, or of a
        partition (``queues``): its only pool, or the only one that serves no other partition;
        negative numbers remove nodes.
    accelerators : int
        Accelerators to add to a fleet without nodes.
    plain : bool
        Whether the fleet is a number of accelerators.

    Raises
    ------
    InputError
        If the pool is not clear, a name is unknown, or no node would be left.

    Examples
    --------
    >>> small = {"pools": {"h200": {"nodes": 4}}}
    >>> added_nodes(small, 2, 0, plain=False)
    ({'cluster.pools."h200".nodes': 6}, ['2 more nodes'], [])
    """
    asked = [*_requests(nodes)]
    if plain and asked:
        raise InputError("--add-nodes", "needs --cluster; with --accelerators, --add-accelerators")
    if accelerators and not plain:
        raise InputError("--add-accelerators", "needs --accelerators; with --cluster, --add-nodes")
    if accelerators:
        here = int(cluster["pools"][POOL]["nodes"])
        path = f"cluster.pools.{POOL}.nodes"
        _check_left("--add-accelerators", "the fleet", here, accelerators)
        words = [_more(accelerators, "accelerator")]
        return {path: here + accelerators}, words, []
    changes: dict[str, int] = {}
    words, notes = [], []
    for name, number in asked:
        pool, vc, note = _place(cluster, name)
        notes += note
        spec = cluster["pools"][pool]
        path = f'cluster.pools."{pool}".nodes'
        here = changes.get(path, int(spec["nodes"]))
        _check_left("--add-nodes", f"pool {pool}", here, number)
        changes[path] = here + number
        where = f" in {name}" if name else ""
        words.append(f"{_more(number, 'node')}{where}")
        owned = spec.get("virtual_clusters") or {}
        if vc:
            shares = {vc: number}
        else:
            shares = _by_share(owned, number, int(spec["nodes"]))
            if any(shares.values()):
                notes.append(
                    f"the nodes of pool {pool} are divided among its virtual clusters in "
                    "proportion to those they own; --add-nodes NAME=NUMBER gives them to one"
                )
        for owner, part in shares.items():
            own = owned[owner].get("nodes")
            if own is None or not part:
                continue
            key = f'cluster.pools."{pool}".virtual_clusters."{owner}".nodes'
            have = changes.get(key, int(own))
            _check_left("--add-nodes", f"virtual cluster {owner}", have, part)
            changes[key] = have + part
    return changes, words, notes


def _requests(nodes: int | str | Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield the name ("" if there is none) and the number of each request for nodes."""
    each = [nodes] if isinstance(nodes, int | str) else nodes
    several = [part for text in each for part in re.split(r",(?=[^,=]*[^\d,=][^,=]*=)", str(text))]
    for request in several:
        found = re.fullmatch(r"(?:(.+)=)?\s*([+-]?\d[\d,]*)\s*", request)
        if found is None:
            raise InputError(
                "--add-nodes", f"must be a number such as 16, or POOL=16, found {shown(request)}"
            )
        number = int(found[2].replace(",", ""))
        if number:
            yield (found[1] or "").strip(), number


def _place(cluster: Mapping[str, Any], name: str) -> tuple[str, str, list[str]]:
    """Return the pool and the virtual cluster ("" if none) to which nodes are added, and notes.

    Of several pools that serve a partition, it is the one that serves no other.

    Examples
    --------
    >>> pools = {"h100": {"queues": ["gpu"]}, "h100-debug": {"queues": ["gpu", "debug"]}}
    >>> _place({"pools": pools}, "gpu")[0]
    'h100'
    """
    pools = cluster["pools"]
    if not name:
        if len(pools) > 1:
            names = ", ".join(map(str, pools))
            raise InputError("--add-nodes", f"must name a pool, such as POOL=16; pools: {names}")
        return next(iter(pools)), "", []
    if name in pools:
        return name, "", []
    owners = {vc: pool for pool, spec in pools.items() for vc in spec.get("virtual_clusters") or {}}
    if name in owners:
        return owners[name], name, []
    queues = {str(queue): None for spec in pools.values() for queue in spec.get("queues") or ()}
    serving = [pool for pool, spec in pools.items() if name in map(str, spec.get("queues") or ())]
    if len(serving) == 1:
        return serving[0], "", []
    own = [pool for pool in serving if len(pools[pool]["queues"]) == 1]
    if len(own) == 1:
        others = listed([pool for pool in serving if pool not in own])
        return (
            own[0],
            "",
            [
                f"partition {name} has {len(serving)} pools: the change of its nodes is in pool "
                f"{own[0]}, which serves no other partition, not in {others}"
            ],
        )
    if serving:
        names = ", ".join(map(str, serving))
        raise InputError("--add-nodes", f"partition {name} has several pools; name one: {names}")
    known = dict.fromkeys([*map(str, pools), *map(str, owners), *queues])
    raise InputError("--add-nodes", unknown_name("pool, virtual cluster or partition", name, known))


def _by_share(owned: Mapping[str, Any], number: int, nodes: int) -> dict[str, int]:
    """Divide nodes among virtual clusters in proportion to theirs, by largest remainders.

    Examples
    --------
    >>> _by_share({"a": {"nodes": 3}, "b": {"nodes": 5}}, 4, 8)
    {'a': 2, 'b': 2}
    """
    exact = {
        name: number * vc["nodes"] / nodes
        for name, vc in owned.items()
        if vc.get("nodes") is not None
    }
    whole = {name: int(each) for name, each in exact.items()}
    rest = round(sum(exact.values())) - sum(whole.values())
    step = 1 if rest > 0 else -1
    order = sorted(exact, key=lambda name: -abs(exact[name] - whole[name]))
    for name in order[: abs(rest)]:
        whole[name] += step
    return whole


def _check_left(option: str, what: str, here: int, number: int) -> None:
    if here + number < 1:
        raise InputError(option, f"{what} has {here:,}, so {-number:,} cannot be removed")


def _more(number: int, noun: str) -> str:
    return f"{counted(abs(number), noun).replace(' ', ' more ' if number > 0 else ' fewer ', 1)}"
