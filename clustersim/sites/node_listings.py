"""Listings of nodes that are no plain tables.

``pbsnodes -aS`` and ``-aSj`` (blanks in the header, a header in two lines), ``bhosts -gpu -l`` (a
block a host), ``condor_status -compact`` (empty cells) and the JSON of ``flux R encode``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from clustersim.errors import InputError
from clustersim.sites.cells import whole
from clustersim.sites.hostlist import expand_hosts, indices
from clustersim.sites.site import Site, SiteNode, SitePartition, in_service
from clustersim.sites.text_tables import find_table

__all__ = ["is_flux_r", "read_flux_r", "read_listing"]


def read_listing(text: str, source: str) -> Site | None:
    """Read what one of the commands printed; None if the text is of none.

    Examples
    --------
    >>> text = "HOST: gn1\\nNGPUS X\\n2 2\\nSTATIC ATTRIBUTES\\nGPU_ID MODEL\\n0 A100\\n1 A100\\n"
    >>> read_listing(text, "gpus.txt").by_type()
    {'A100': 2}
    """
    for read in (_pbsnodes, _gpus_of_hosts, _compact_machines):
        site = read(text, source)
        if site is not None:
            return site
    return None


_VNODE = re.compile(r"(?m)^vnode\s+state\s+.*$")
_SHARES = ("mem", "ncpus", "nmics", "ngpus")
"""What the columns ``f/t`` (free of total) of ``pbsnodes -aSj`` are of, in the line above."""


def _pbsnodes(text: str, source: str) -> Site | None:
    header = _VNODE.search(text)
    if header is None:
        return None
    names = header[0].split()
    shares = [place for place, name in enumerate(names) if name == "f/t"]
    for place, name in zip(shares, _SHARES, strict=False):
        names[place] = name
    if "ngpus" not in names:
        raise InputError(source, "has no column ngpus; run pbsnodes -av")
    nodes = []
    for line in text[header.end() :].split("\n"):
        cells = line.split(None, len(names) - 1)
        if len(cells) < len(names) - 1 or set(line) <= set("- "):
            continue
        row = dict(zip(names, cells, strict=False))
        count = whole(row["ngpus"].rpartition("/")[2]) or 0
        queue = row.get("queue", "--")
        nodes.append(
            SiteNode(
                row["vnode"],
                {"gpu": count} if count else {},
                row["state"],
                in_service(row["state"]),
                partitions=() if queue == "--" else (queue,),
                cpus=whole(row["ncpus"].rpartition("/")[2]),
            )
        )
    queues = dict.fromkeys(name for node in nodes for name in node.partitions)
    partitions = tuple(SitePartition(name) for name in queues)
    return Site(source, "pbsnodes -aS", tuple(nodes), partitions, len(nodes))


def _gpus_of_hosts(text: str, source: str) -> Site | None:
    if not re.search(r"(?m)^HOST: \S+", text) or "NGPUS" not in text:
        return None
    nodes = []
    for block in re.split(r"(?m)^HOST: ", text)[1:]:
        name, static = block.split()[0], block.partition("STATIC ATTRIBUTES")[2]
        found: dict[str, int] = {}
        for line in static.partition("DYNAMIC ATTRIBUTES")[0].split("\n"):
            cells = line.split()
            if len(cells) > 1 and cells[0].isdigit():
                found[cells[1]] = found.get(cells[1], 0) + 1
        nodes.append(SiteNode(name, found, "unknown"))
    notes = ("no status of hosts: all count as in service",)
    return Site(source, "bhosts -gpu -l", tuple(nodes), (), len(nodes), notes=notes)


def _compact_machines(text: str, source: str) -> Site | None:
    header = re.search(r"(?m)^\s*Machine\s+Platform\s+Slots\s+Cpus\s+Gpus\s.*$", text)
    if header is None:
        return None
    names = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in header[0].split()]
    body = text[header.start() :].split("\n\n")
    table = find_table("\n".join(body[:2]), names)
    assert table is not None
    nodes = []
    for row in table.rows:
        count = whole(row["gpus"]) or 0
        state = row.get("st", "unknown")
        nodes.append(
            SiteNode(
                row["machine"],
                {"gpu": count} if count else {},
                state,
                not state.startswith(("O", "D")),  # Owner, Drained
                cpus=whole(row["cpus"]),
            )
        )
    return Site(source, "condor_status -compact", tuple(nodes), (), len(nodes))


def is_flux_r(document: Any) -> bool:
    """Return whether a document is a set of resources of Flux (RFC 20)."""
    execution = document.get("execution") if isinstance(document, Mapping) else None
    return isinstance(execution, Mapping) and {"R_lite", "nodelist"} <= set(execution)


def read_flux_r(document: Mapping[str, Any], source: str) -> Site:
    """Read ``flux R encode`` or ``flux kvs get resource.R``: nodes by rank, with their children.

    Examples
    --------
    >>> r_lite = [{"rank": "0-1", "children": {"core": "0-31", "gpu": "0-3"}}]
    >>> found = {"version": 1, "execution": {"R_lite": r_lite, "nodelist": ["gn[1-2]"]}}
    >>> read_flux_r(found, "R.json").by_type()
    {'gpu': 8}
    """
    execution = document["execution"]
    names = [name for part in execution["nodelist"] for name in expand_hosts(str(part))]
    owned: dict[int, Mapping[str, Any]] = {}
    for entry in execution["R_lite"]:
        owned |= dict.fromkeys(map(int, indices(str(entry["rank"]))), entry.get("children") or {})
    nodes: Sequence[SiteNode] = [
        SiteNode(
            names[place] if place < len(names) else f"rank-{rank}",
            {"gpu": gpus} if (gpus := _count(owned[rank].get("gpu"))) else {},
            cpus=_count(owned[rank].get("core")) or None,
        )
        for place, rank in enumerate(sorted(owned))
    ]
    notes = ("the file has no states of nodes: all count as in service",)
    return Site(source, "flux R", tuple(nodes), (), len(nodes), notes=notes)


def _count(text: Any) -> int:
    return 0 if text is None else sum(1 for _ in indices(str(text)))
