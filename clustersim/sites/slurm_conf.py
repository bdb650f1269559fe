"""Nodes and partitions from Slurm's configuration: ``slurm.conf``, ``gres.conf``, ``slurmd -C``.

Formats: https://slurm.schedmd.com/slurm.conf.html and https://slurm.schedmd.com/gres.conf.html.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from clustersim.sites.cells import duration_s, memory_mb, whole
from clustersim.sites.hostlist import expand_hosts
from clustersim.sites.site import Site, SiteNode, SitePartition, in_service
from clustersim.sites.tres import accelerators_of, is_accelerator

__all__ = ["is_slurm_conf", "read_slurm_conf"]

_PAIR = re.compile(r"(\w+)\s*=\s*(\"[^\"]*\"|\S+)")
_ALL = ("ALL", "all")
_RUNTIME = re.compile(r"\b(?:CPUAlloc|CfgTRES|AllocTRES|TotalNodes|NodeHostName)=", re.I)
"""Keys that ``scontrol show`` prints and a configuration does not have."""


def is_slurm_conf(text: str) -> bool:
    """Return whether a text is a configuration of Slurm, not what ``scontrol show`` prints."""
    named = re.search(r"(?im)^\s*NodeName\s*=", text)
    return named is not None and not _RUNTIME.search(text)


def _lines(text: str) -> Iterator[dict[str, str]]:
    """Yield the keys, in lower case, and values of each line of a configuration."""
    joined = re.sub(r"\\\s*\n", " ", text)
    for line in joined.split("\n"):
        pairs = _PAIR.findall(re.sub(r"(?<!\\)#.*", "", line))
        if pairs:
            yield {key.lower(): value.strip('"') for key, value in pairs}


def read_slurm_conf(text: str, source: str) -> Site:
    """Read the lines ``NodeName=``, ``NodeSet=`` and ``PartitionName=`` of a configuration."""
    nodes: dict[str, dict[str, str]] = {}
    devices: dict[str, dict[str, int]] = {}
    sets: dict[str, list[str]] = {}
    partitions: dict[str, dict[str, str]] = {}
    defaults: dict[str, str] = {}
    usual: dict[str, str] = {}
    rows = 0
    for line in _lines(text):
        if "nodeset" in line:
            sets[line["nodeset"]] = expand_hosts(line.get("nodes", ""))
        elif "partitionname" in line:
            rows += 1
            if line["partitionname"].upper() == "DEFAULT":
                usual |= line
            else:
                partitions[line["partitionname"]] = {**usual, **line}
        elif "nodename" in line and "name" in line:  # a line of gres.conf
            rows += 1
            for name in expand_hosts(line["nodename"]):
                _add(devices.setdefault(name, {}), line)
                nodes.setdefault(name, {})
        elif "nodename" in line:
            rows += 1
            if line["nodename"].upper() == "DEFAULT":
                defaults |= line
            else:
                for name in expand_hosts(line["nodename"]):
                    nodes[name] = {**defaults, **line}
    members = {
        name: _members(line.get("nodes", ""), list(nodes), sets)
        for name, line in partitions.items()
    }
    kept = tuple(_node(name, line, devices, members) for name, line in nodes.items())
    return Site(
        source=source,
        format="slurm.conf",
        nodes=kept,
        partitions=tuple(_partition(name, line) for name, line in partitions.items()),
        rows=rows,
        notes=("a configuration has no states of nodes: all count as in service",),
    )


def _add(found: dict[str, int], line: Mapping[str, str]) -> None:
    """Add the devices of a line of ``gres.conf``, in place."""
    if not is_accelerator(line["name"]):
        return
    kind = line.get("type") or line["name"]
    files = line.get("file") or line.get("multiplefiles")
    count = whole(line.get("count", "")) or (len(expand_hosts(files)) if files else 1)
    found[kind] = found.get(kind, 0) + count


def _members(text: str, nodes: list[str], sets: Mapping[str, list[str]]) -> list[str]:
    if text in _ALL:
        return nodes
    return [host for name in expand_hosts(text) for host in sets.get(name, [name])]


def _node(
    name: str,
    line: Mapping[str, str],
    devices: Mapping[str, Mapping[str, int]],
    members: Mapping[str, list[str]],
) -> SiteNode:
    state = line.get("state", "unknown")
    plain = "idle" if state.lower() in ("unknown", "cloud") else state
    return SiteNode(
        name=name,
        accelerators=devices.get(name) or accelerators_of(line.get("gres")),
        state=state,
        in_service=in_service(plain),
        partitions=tuple(each for each, hosts in members.items() if name in hosts),
        cpus=whole(line.get("cpus", "") or line.get("procs", "")),
        memory_mb=memory_mb(line.get("realmemory", "")),
        hints=tuple(filter(None, [line.get("feature") or line.get("features", "")])),
    )


def _partition(name: str, line: Mapping[str, str]) -> SitePartition:
    limit = duration_s(line.get("maxtime"))
    finite = limit if limit is not None and math.isfinite(limit) else None
    return SitePartition(name, finite, line.get("default", "NO").upper() == "YES")
