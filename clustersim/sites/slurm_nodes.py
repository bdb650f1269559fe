"""Nodes and partitions from ``sinfo`` and ``scontrol show node`` or ``show partition``.

Formats: https://slurm.schedmd.com/sinfo.html and https://slurm.schedmd.com/scontrol.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clustersim.errors import InputError
from clustersim.sites.cells import duration_s, memory_mb, number_of, whole
from clustersim.sites.hostlist import expand_hosts
from clustersim.sites.site import Site, SiteNode, SitePartition, in_service
from clustersim.sites.text_tables import find_table
from clustersim.sites.tres import accelerators_of, is_cut
from clustersim.workload.readers.site_logs.key_values import scontrol_records

__all__ = [
    "SINFO_COMMAND",
    "SINFO_NAMES",
    "read_scontrol_nodes",
    "read_scontrol_partitions",
    "read_sinfo",
    "read_slurm_json",
]

SINFO_COMMAND = 'sinfo -a -N -o "%N|%P|%c|%m|%T|%l|%f|%G"'
"""The command whose output has all that is read."""
_NAMES = {
    "names": ("nodelist", "hostnames", "nodes_", "nodehost", "nodename", "nodeaddr"),
    "partition": ("partition", "partitionname"),
    "state": ("state", "statelong", "statecompact", "statecomplete"),
    "gres": ("gres",),
    "cpus": ("cpus",),
    "cpus_states": ("cpusaiot", "cpusstate"),
    "memory": ("memory",),
    "limit": ("timelimit", "time"),
    "features": (
        "availfeatures",
        "availfe",
        "activefeatures",
        "activefe",
        "features",
        "featuresact",
    ),
    "count": ("nodes",),
    "count_states": ("nodesaiot", "nodesai"),
}
SINFO_NAMES = frozenset(
    {
        *(name for names in _NAMES.values() for name in names),
        *("avail", "sct", "tmpdisk", "weight", "reason", "cpuload", "freemem", "threads", "cores"),
        *("sockets", "jobsize", "root", "oversubs", "share", "groups", "user", "timestamp"),
        *("gresused", "allocmem", "cluster", "version", "prioritytier", "socketcorethread"),
        *("defaulttime", "preemptmode", "comment"),
    }
)


@dataclass(slots=True)
class _Found:
    """What is known of a node while the rows are read."""

    accelerators: Mapping[str, int] | None = None
    state: str = "unknown"
    cpus: int | None = None
    memory_mb: int | None = None
    partitions: dict[str, None] = field(default_factory=dict)
    hints: dict[str, None] = field(default_factory=dict)


def read_sinfo(text: str, source: str, columns: Sequence[str] = ()) -> Site:
    """Read what ``sinfo`` prints: by default, with ``-N``, or with ``-o`` or ``-O``.

    A node that stands in several rows, for its partitions or for its states, counts once.

    Raises
    ------
    InputError
        If the rows name no nodes and do not count them.
    """
    table = find_table(text, SINFO_NAMES, columns)
    if table is None:
        raise InputError(source, f"has no header of sinfo; run {SINFO_COMMAND}")
    at = {key: _first(table.names, names) for key, names in _NAMES.items()}
    if at["names"] is None and at["count"] is None and at["count_states"] is None:
        raise InputError(
            source, f"names no nodes (column NODELIST) and does not count them; {_RUN}"
        )
    nodes: dict[str, _Found] = {}
    partitions: dict[str, SitePartition] = {}
    notes: list[str] = []
    cut = 0
    for number, row in enumerate(table.rows, start=1):
        cells = {key: row[name] for key, name in at.items() if name is not None}
        partition = _partition(cells, partitions)
        names = expand_hosts(cells.get("names", ""))
        count = whole(cells.get("count", "")) or 0
        if not names and at["names"] is None and count:
            names = [f"row-{number}-{index}" for index in range(1, count + 1)]
        gres = cells.get("gres")
        unsure = gres is not None and is_cut(gres)
        cut += unsure
        for name in names:
            node = nodes.setdefault(name, _Found())
            if gres is not None and not unsure:
                node.accelerators = accelerators_of(gres)
            node.state = cells.get("state", node.state)
            node.cpus = whole(_total(cells)) if _total(cells) else node.cpus
            node.memory_mb = memory_mb(cells.get("memory", "")) or node.memory_mb
            if partition:
                node.partitions[partition] = None
            if cells.get("features"):
                node.hints[cells["features"]] = None
    if cut:
        notes.append(f"GRES is cut in {cut:,} rows, so accelerators are not known; {_RUN}")
    return Site(
        source=source,
        format="sinfo",
        nodes=tuple(_node(name, found) for name, found in nodes.items()),
        partitions=tuple(partitions.values()),
        rows=len(table.rows),
        left_out={"malformed": len(table.malformed)} if table.malformed else {},
        notes=tuple(notes),
    )


_RUN = f"run {SINFO_COMMAND}"


def _first(names: Iterable[str], wanted: Sequence[str]) -> str | None:
    held = set(names)
    return next((name for name in wanted if name in held), None)


def _total(cells: Mapping[str, str]) -> str:
    """Return the cell with the CPUs of a node; the last number of allocated/idle/other/total."""
    return cells.get("cpus") or cells.get("cpus_states", "").rpartition("/")[2]


def _partition(cells: Mapping[str, str], partitions: dict[str, SitePartition]) -> str:
    shown = cells.get("partition", "")
    name = shown.rstrip("*")
    if not name:
        return ""
    limit = duration_s(cells["limit"]) if "limit" in cells else None
    is_default = shown.endswith("*") or (name in partitions and bool(partitions[name].default))
    finite = limit if limit is not None and math.isfinite(limit) else None
    partitions[name] = SitePartition(name, finite, is_default)
    return name


def _node(name: str, found: _Found) -> SiteNode:
    return SiteNode(
        name=name,
        accelerators=found.accelerators,
        state=found.state,
        in_service=found.state == "unknown" or in_service(found.state),
        partitions=tuple(found.partitions),
        cpus=found.cpus,
        memory_mb=found.memory_mb,
        hints=tuple(found.hints),
    )


def read_scontrol_nodes(text: str, source: str) -> Site:
    """Read ``scontrol show node``, with each node on one line (``-o``) or on several."""
    nodes: dict[str, SiteNode] = {}
    records = scontrol_records(text, "NodeName")
    for record in records:
        names = expand_hosts(record["NodeName"])
        gres = accelerators_of(record.get("Gres"))
        configured = accelerators_of(record.get("CfgTRES"))
        state = record.get("State", "unknown").split()[0]
        for name in names:
            nodes[name] = SiteNode(
                name=name,
                accelerators=gres or configured,
                state=state,
                in_service=in_service(state),
                partitions=tuple(filter(None, record.get("Partitions", "").split(","))),
                cpus=whole(record.get("CPUTot", "")),
                memory_mb=memory_mb(record.get("RealMemory", "")),
                hints=(record.get("ActiveFeatures") or record.get("AvailableFeatures", ""),),
            )
    return Site(
        source=source,
        format="scontrol show node",
        nodes=tuple(nodes.values()),
        partitions=_named(nodes.values()),
        rows=len(records),
    )


def _named(nodes: Iterable[SiteNode]) -> tuple[SitePartition, ...]:
    names = dict.fromkeys(name for node in nodes for name in node.partitions)
    return tuple(SitePartition(name) for name in names)


@dataclass(frozen=True, slots=True)
class _Described:
    """A partition as the scheduler describes it, with its own sum of resources."""

    name: str
    nodes: tuple[str, ...]
    accelerators: Mapping[str, int]
    cpus: int | None
    memory_mb: int | None
    max_time_s: float | None
    default: bool


def read_scontrol_partitions(text: str, source: str) -> Site:
    """Read ``scontrol show partition``: nodes by name, accelerators from sums of partitions.

    The accelerators of a partition are divided over its nodes where they are all of one kind.
    """
    records = scontrol_records(text, "PartitionName")
    return _of_partitions([_described(record) for record in records], source)


def _described(record: Mapping[str, str]) -> _Described:
    tres = record.get("TRES", "")
    given = dict(part.partition("=")[::2] for part in tres.split(",") if "=" in part)
    limit = duration_s(record.get("MaxTime"))
    return _Described(
        name=record["PartitionName"],
        nodes=tuple(expand_hosts(record.get("Nodes", ""))),
        accelerators=accelerators_of(tres),
        cpus=whole(record.get("TotalCPUs", "")),
        memory_mb=memory_mb(given.get("mem", "")),
        max_time_s=limit if limit is not None and math.isfinite(limit) else None,
        default=record.get("Default", "NO").upper() == "YES",
    )


def _of_partitions(described: Sequence[_Described], source: str) -> Site:
    members: dict[str, list[str]] = {}
    for each in described:
        for name in each.nodes:
            members.setdefault(name, []).append(each.name)
    per_node: dict[str, tuple[Mapping[str, int], int | None, int | None]] = {}
    unclear: list[str] = []
    for each in sorted(described, key=lambda partition: len(partition.nodes)):
        n = len(each.nodes)
        even = n > 0 and all(count % n == 0 for count in each.accelerators.values())
        if n and even and len(each.accelerators) <= 1:
            share = {kind: count // n for kind, count in each.accelerators.items()}
            cpus = each.cpus // n if each.cpus and each.cpus % n == 0 else None
            memory = each.memory_mb // n if each.memory_mb else None
            for name in each.nodes:
                per_node.setdefault(name, (share, cpus, memory))
        elif n and not all(name in per_node for name in each.nodes):
            unclear.append(each.name)
    nodes = []
    for name, partitions in members.items():
        known = per_node.get(name)
        given, cpus, memory = (None, None, None) if known is None else known
        nodes.append(
            SiteNode(name, given, partitions=tuple(partitions), cpus=cpus, memory_mb=memory)
        )
    notes = ["scontrol show partition has no states of nodes: all count as in service"]
    if unclear:
        notes.append(
            f"the accelerators of each node are unknown in {', '.join(unclear)}, because the nodes "
            "differ or the sum cannot be divided over them; run scontrol show node"
        )
    return Site(
        source=source,
        format="scontrol show partition",
        nodes=tuple(nodes),
        partitions=tuple(
            SitePartition(each.name, each.max_time_s, each.default, sum(each.accelerators.values()))
            for each in described
        ),
        rows=len(described),
        notes=tuple(notes),
    )


def read_slurm_json(document: Mapping[str, Any], source: str) -> Site | None:
    """Read ``scontrol show node --json``, ``sinfo --json`` or ``scontrol show partition --json``.

    Returns
    -------
    Site or None
        None if the document is none of these.
    """
    if isinstance(document.get("nodes"), list):
        return _json_nodes(document["nodes"], source)
    if isinstance(document.get("sinfo"), list):
        return _json_sinfo(document["sinfo"], source)
    if isinstance(document.get("partitions"), list):
        return _of_partitions([_json_partition(each) for each in document["partitions"]], source)
    return None


def _state(record: Mapping[str, Any]) -> str:
    """Return the words of a state, joined as the text formats join them."""
    words = [record.get("state"), record.get("state_flags")]
    flat = [word for each in words for word in (each if isinstance(each, list) else [each])]
    return "+".join(str(word) for word in flat if word) or "unknown"


def _json_nodes(records: Sequence[Mapping[str, Any]], source: str) -> Site:
    nodes = []
    for record in records:
        partitions = record.get("partitions") or ()
        if isinstance(partitions, str):
            partitions = partitions.split(",")
        state = _state(record)
        features = record.get("active_features") or record.get("features") or ""
        nodes.append(
            SiteNode(
                name=str(record.get("name") or record.get("hostname")),
                accelerators=accelerators_of(record.get("gres"))
                or accelerators_of(record.get("tres")),
                state=state,
                in_service=in_service(state),
                partitions=tuple(map(str, partitions)),
                cpus=whole(record.get("cpus")),
                memory_mb=whole(number_of(record.get("real_memory")) or 0) or None,
                hints=(features if isinstance(features, str) else ",".join(features),),
            )
        )
    return Site(source, "scontrol show node --json", tuple(nodes), _named(nodes), len(records))


def _json_sinfo(records: Sequence[Mapping[str, Any]], source: str) -> Site:
    found: dict[str, _Found] = {}
    partitions: dict[str, SitePartition] = {}
    for number, record in enumerate(records, start=1):
        part = record.get("partition") or {}
        name = str(part.get("name") or "")
        if name:
            limit = number_of((part.get("maximums") or {}).get("time"))
            seconds = None if limit is None or not math.isfinite(limit) else limit * 60.0
            partitions[name] = SitePartition(name, seconds)
        counted = record.get("nodes") or {}
        hosts = counted.get("nodes") or counted.get("hostnames") or []
        names = [each for host in hosts for each in expand_hosts(str(host))]
        if not names:
            n = int(number_of(counted.get("total")) or 0)
            names = [f"row-{number}-{index}" for index in range(1, n + 1)]
        gres = record.get("gres") or {}
        for host in names:
            node = found.setdefault(host, _Found())
            node.accelerators = accelerators_of(
                gres.get("total") if isinstance(gres, Mapping) else gres
            )
            node.state = _state(record.get("node") or record)
            node.cpus = whole(number_of((record.get("cpus") or {}).get("maximum")) or 0) or None
            memory = record.get("memory") or {}
            node.memory_mb = whole(number_of(memory.get("maximum")) or 0) or None
            if name:
                node.partitions[name] = None
    nodes = tuple(_node(name, each) for name, each in found.items())
    return Site(source, "sinfo --json", nodes, tuple(partitions.values()), len(records))


def _json_partition(record: Mapping[str, Any]) -> _Described:
    nodes = record.get("nodes") or {}
    tres = record.get("tres") or {}
    configured = str(tres.get("configured") or "") if isinstance(tres, Mapping) else str(tres)
    given = dict(part.partition("=")[::2] for part in configured.split(",") if "=" in part)
    limit = number_of((record.get("maximums") or {}).get("time"))
    flags = record.get("flags") or []
    return _Described(
        name=str(record.get("name")),
        nodes=tuple(
            expand_hosts(str(nodes.get("configured") if isinstance(nodes, Mapping) else nodes))
        ),
        accelerators=accelerators_of(configured),
        cpus=whole((record.get("cpus") or {}).get("total")),
        memory_mb=memory_mb(given.get("mem", "")),
        max_time_s=None if limit is None or not math.isfinite(limit) else limit * 60.0,
        default="DEFAULT" in [str(flag).upper() for flag in flags],
    )
