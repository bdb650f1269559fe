"""A topology file from what a site has, with a comment at every assumption."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clustersim.catalogue import Catalogue
from clustersim.errors import InputError
from clustersim.sites.chips import ChipGuess, guess_chip
from clustersim.sites.hostlist import host_list
from clustersim.sites.site import Site, SiteNode
from clustersim.units import counted, format_duration, listed

__all__ = ["SitePool", "pool_notes", "site_pools", "topology_text"]

_NAME = re.compile(r"[^A-Za-z0-9 _+-]+")
_IN_CATALOGUE = ("named", "type", "hint")
"""Bases of guesses of a chip that the catalogue has."""


@dataclass(frozen=True, slots=True)
class SitePool:
    """Nodes of a site with the same type and number of accelerators and the same partitions.

    Attributes
    ----------
    name : str
        Name of the pool in the topology.
    kind : str
        Type as the site writes it.
    chip : ChipGuess
    chips_per_node : int
    nodes, nodes_out : int
        Nodes in service, and nodes that are not.
    partitions : tuple of str
    shared : bool
        Whether its nodes also have accelerators of other types.
    flavors : tuple of str
        Resource flavors of Kueue whose labels its nodes have.
    node_names : tuple of str
        Names of the nodes in service.
    """

    name: str
    kind: str
    chip: ChipGuess
    chips_per_node: int
    nodes: int
    nodes_out: int
    partitions: tuple[str, ...]
    shared: bool
    flavors: tuple[str, ...] = ()
    node_names: tuple[str, ...] = ()


def site_pools(
    site: Site, catalogue: Catalogue, named: Mapping[str, str] | None = None
) -> list[SitePool]:
    """Group the nodes of a site into pools.

    A node with accelerators of several types is in a pool for each of them.

    Raises
    ------
    InputError
        If no node with accelerators is in service.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.sites.site import Site, SiteNode
    >>> nodes = (SiteNode("a", {"h100": 8}), SiteNode("b", {"h100": 8}, "down", False))
    >>> (pool,) = site_pools(Site("s.txt", "sinfo", nodes, (), 2), cs.load_catalogue())
    >>> pool.name, pool.chip.name, pool.nodes, pool.nodes_out
    ('h100', 'H100', 1, 1)
    """
    groups: dict[tuple[str, int, tuple[str, ...], bool], list[SiteNode]] = {}
    for node in site.nodes:
        kinds = node.accelerators or {}
        for kind, count in kinds.items():
            key = (kind, count, tuple(sorted(node.partitions)), len(kinds) > 1)
            groups.setdefault(key, []).append(node)
    if not any(node.in_service for nodes in groups.values() for node in nodes):
        what = (
            "no node has accelerators" if not groups else "no node with accelerators is in service"
        )
        raise InputError(site.source, f"{site.format}: {what}")
    taken: set[str] = set()
    pools = []
    sizes = {each.name: len(site.nodes_of(each.name)) for each in site.partitions}
    for (kind, count, partitions, shared), together in groups.items():
        alike = _by_chip(kind, together, catalogue, named)
        for chip_name, nodes in alike.items():
            label = f"{kind}-{chip_name or 'other'}" if len(alike) > 1 else kind
            chip = _chip_of(kind, label, nodes, partitions, catalogue, named)
            working = [node.name for node in nodes if node.in_service]
            pools.append(
                SitePool(
                    name=_pool_name(label, sorted(partitions, key=lambda name: sizes[name]), taken),
                    kind=kind if chip.basis in _IN_CATALOGUE else label,
                    chip=chip,
                    chips_per_node=count,
                    nodes=len(working),
                    nodes_out=len(nodes) - len(working),
                    partitions=partitions,
                    shared=shared,
                    flavors=tuple(dict.fromkeys(name for node in nodes for name in node.flavors)),
                    node_names=tuple(working),
                )
            )
    return pools


def _by_chip(
    kind: str, nodes: Sequence[SiteNode], catalogue: Catalogue, named: Mapping[str, str] | None
) -> dict[str, list[SiteNode]]:
    """Divide nodes of one type by the chips that their labels or features name.

    The name is empty for nodes that name none.  If there is only one chip, they have it, too.
    """
    known: dict[tuple[str, ...], str] = {}
    found: dict[str, list[SiteNode]] = {}
    for node in nodes:
        if node.hints not in known:
            guess = guess_chip(kind, node.hints, catalogue, named)
            known[node.hints] = guess.name if guess.basis in _IN_CATALOGUE else guess.mark
        found.setdefault(known[node.hints], []).append(node)
    return found if len({*found} - {""}) > 1 else {"": list(nodes)}


def _chip_of(
    kind: str,
    label: str,
    nodes: Sequence[SiteNode],
    partitions: Sequence[str],
    catalogue: Catalogue,
    named: Mapping[str, str] | None,
) -> ChipGuess:
    """Return the chip of nodes: the user names it, else type, labels or features, or partitions."""
    if named and label.lower() in named:
        return guess_chip(label, (), catalogue, named)
    hints = dict.fromkeys(hint for node in nodes for hint in node.hints)
    guess = guess_chip(kind, hints, catalogue, named)
    return guess if guess.basis != "unknown" else guess_chip(label, partitions, catalogue, named)


def _pool_name(kind: str, partitions: Sequence[str], taken: set[str]) -> str:
    """Return a name for a pool: its type, with its smallest partition if several have the type."""
    base = _clean(kind)
    for name in (base, *(f"{base}-{_clean(partition)}"[:56] for partition in partitions)):
        if name.lower() not in taken:
            taken.add(name.lower())
            return name
    number = 2
    while f"{base}-{number}".lower() in taken:
        number += 1
    taken.add(f"{base}-{number}".lower())
    return f"{base}-{number}"


def _clean(text: str) -> str:
    name = _NAME.sub("-", text).strip(" -_+")[:40] or "pool"
    return f"pool-{name}" if name.lower() == "all" or name.lower().startswith("vc ") else name


def topology_text(site: Site, pools: list[SitePool], *, name: str) -> str:
    """Return the topology file as text.

    Parameters
    ----------
    site : Site
    pools : list of SitePool
    name : str
        Name of the cluster.

    Examples
    --------
    >>> import clustersim as cs
    >>> from clustersim.sites.site import Site, SiteNode
    >>> site = Site("s.txt", "sinfo", (SiteNode("a", {"h100": 8}),), (), 1)
    >>> text = topology_text(site, site_pools(site, cs.load_catalogue()), name="mine")
    >>> print(text.split("pools:")[1].split("# network")[0])
    <BLANKLINE>
      h100:
        accelerator: H100  # ASSUMED from the type 'h100'
        nodes: 1
        chips_per_node: 8
        node_names: "a"
    <BLANKLINE>
    """
    out = sum(pool.nodes_out for pool in pools)
    counts = site.document()
    lines = [
        f"# Written from {Path(site.source).name} ({site.format}).",
        f"# {counts['nodes_total']:,} nodes, {counts['accelerator_nodes']:,} of them with "
        f"accelerators; {counts['accelerators']:,} accelerators, "
        f"{counts['accelerators_in_service']:,} of them in service.",
        *(f"# Note: {note}." for note in site.notes),
        "# Lines marked ASSUMED are not in that output: check them.",
    ]
    if out:
        lines.append("# Nodes that are down, drained, in maintenance or powered down are left out.")
    lines += [f"name: {json.dumps(_clean(name))}", f"description: {json.dumps(_about(site))}"]
    lines.append("pools:")
    for pool in pools:
        lines += _pool_lines(pool)
    limits = [
        f"#   {each.name}: {format_duration(each.max_time_s)}"
        for each in site.partitions
        if each.max_time_s is not None
    ]
    if limits:
        lines += ["# Time limits of partitions (a simulation does not use them):", *limits]
    if len(pools) > 1:
        lines.append(
            "# ASSUMED: no network between pools; no job spans two (but see --span-pools)."
        )
    lines += [f"# {note}." for note in pool_notes(pools)]
    return "\n".join(lines) + "\n"


def _about(site: Site) -> str:
    return f"From {Path(site.source).name} ({site.format})"


def _pool_lines(pool: SitePool) -> list[str]:
    marks = []
    if pool.shared:
        marks.append(
            f"ASSUMED: these nodes also have other types; the {pool.kind} of all of them are a pool"
        )
    if pool.chip.is_slice:
        marks.append(
            "ASSUMED: slices of a chip, counted as the scheduler counts them, at its speed"
        )
    if pool.nodes_out:
        marks.append(f"{counted(pool.nodes_out, 'more node is', 'more nodes are')} out of service")
    assumed = "" if pool.chip.basis == "named" else "ASSUMED "
    lines = [f"  {_key(pool.name)}:", *(f"    # {mark}" for mark in marks)]
    lines += [
        f"    accelerator: {pool.chip.name}  # {assumed}{pool.chip.why}",
        f"    nodes: {pool.nodes}",
        f"    chips_per_node: {pool.chips_per_node}",
    ]
    if pool.partitions:
        lines.append(f"    queues: [{', '.join(json.dumps(name) for name in pool.partitions)}]")
    if pool.flavors:
        lines.append(f"    flavors: [{', '.join(json.dumps(name) for name in pool.flavors)}]")
    if all(pool.node_names):
        lines.append(f"    node_names: {json.dumps(host_list(pool.node_names))}")
    lines.append("    # network ASSUMED: any node reaches any other at the catalogue's rate (add")
    lines.append("    # fabric: and nic: to change this); it does not change recorded run times")
    return lines


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) else json.dumps(name)


def pool_notes(pools: list[SitePool]) -> list[str]:
    """Return notes on partitions that are split into several pools, and on nodes left out.

    Examples
    --------
    >>> from clustersim.sites.chips import ChipGuess
    >>> chip = ChipGuess("H100", "type", "from the type 'h100'")
    >>> pools = [
    ...     SitePool("h100", "h100", chip, 8, 38, 0, ("gpu",), False),
    ...     SitePool("h100-dev", "h100", chip, 8, 2, 1, ("dev", "gpu"), False),
    ... ]
    >>> [note.split(":")[0] for note in pool_notes(pools)]
    ['ASSUMED', '1 node is out of service and left out (h100-dev']
    """
    notes = []
    for partition in dict.fromkeys(name for pool in pools for name in pool.partitions):
        own = [pool for pool in pools if partition in pool.partitions]
        for chip in dict.fromkeys((pool.chip.name, pool.chips_per_node) for pool in own):
            alike = [pool for pool in own if (pool.chip.name, pool.chips_per_node) == chip]
            if len(alike) > 1:
                notes.append(_split_text(partition, alike))
    out = [pool for pool in pools if pool.nodes_out]
    if out:
        n = sum(pool.nodes_out for pool in out)
        left = ", ".join(f"{pool.name}: {pool.nodes_out}" for pool in out)
        back = listed([f"nodes: {pool.nodes + pool.nodes_out} in pool {pool.name}" for pool in out])
        be, it, was = ("is", "it", "was") if n == 1 else ("are", "them", "were")
        notes.append(
            f"{counted(n, 'node')} {be} out of service and left out ({left}). If "
            f"{'it' if n == 1 else 'they'} {was} in service in most of a log, write {it} back for "
            f"validate, replay and what-if: {back}"
        )
    return notes


def _split_text(partition: str, pools: list[SitePool]) -> str:
    """Return what it means that nodes of one chip of a partition are in several pools."""
    largest = max(pools, key=lambda pool: pool.nodes)
    parts = listed([f"{pool.name} ({pool.nodes:,})" for pool in pools])
    nodes = sum(pool.nodes for pool in pools)
    return (
        f"ASSUMED: no job spans two pools. The {nodes:,} nodes of partition {partition} with "
        f"{largest.chip.name} are divided into pools {parts}, since all nodes of a pool serve "
        f"the same partitions: the largest job of {partition} has {counted(largest.nodes, 'node')} "
        f"({largest.nodes * largest.chips_per_node:,} accelerators). If it needs more, "
        "--span-pools equal lets it run on several pools, or write them as one"
    )


def unknown_types(pools: list[SitePool]) -> str | None:
    """Return a warning on types whose chip is not known; None if there are none.

    Examples
    --------
    >>> unknown_types([])
    """
    guessed = [pool for pool in pools if pool.chip.basis in ("unknown", "nearest")]
    unknown = list(dict.fromkeys(pool.kind for pool in guessed))
    if not unknown:
        return None
    stand_ins = dict.fromkeys(f"{pool.kind}: {pool.chip.name}" for pool in guessed)
    example = unknown[0]
    return (
        f"Note: {counted(len(unknown), 'type is', 'types are')} not known by the catalogue: "
        f"{listed(unknown)}. Other chips stand in ({'; '.join(stand_ins)}); name them with "
        f"--accelerator {example}=CHIP (clustersim catalogue --all lists the chips)"
    )
