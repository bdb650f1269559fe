"""Nodes in what other commands print for people.

``kubectl describe nodes`` and tables of ``kubectl get nodes``, ``condor_status``, ``qhost``, ``flux
resource list`` and ``nvidia-smi -L``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from clustersim.errors import InputError
from clustersim.sites.cells import ABSENT, memory_mb, whole
from clustersim.sites.hostlist import expand_hosts
from clustersim.sites.other_nodes import read_kubernetes_nodes
from clustersim.sites.site import Site, SiteNode
from clustersim.sites.text_tables import find_table
from clustersim.workload.readers.site_logs.class_ads import class_ads
from clustersim.workload.readers.site_logs.devices import is_device

__all__ = [
    "condor_site",
    "is_condor_status",
    "is_described_nodes",
    "is_qhost",
    "kubectl_table",
    "read_condor_status",
    "read_described_nodes",
    "read_flux_resources",
    "read_nvidia_smi",
    "read_qhost",
]


def is_described_nodes(text: str) -> bool:
    """Return whether a text is what ``kubectl describe nodes`` prints."""
    return bool(re.search(r"(?m)^Name:\s+\S+$", text) and re.search(r"(?m)^Capacity:\s*$", text))


def read_described_nodes(text: str, source: str) -> Site:
    """Read ``kubectl describe nodes``."""
    blocks = re.split(r"(?m)^(?=Name:\s+\S+$)", text)
    items = [_described(block) for block in blocks if block.startswith("Name:")]
    return read_kubernetes_nodes(items, source)


def _described(block: str) -> dict[str, Any]:
    """Return a node as ``kubectl get nodes -o json`` has it."""
    parts: dict[str, list[str]] = {}
    key = ""
    for line in block.split("\n"):
        heading = re.match(r"([A-Z][\w ]*):\s*(.*)$", line)
        if heading:
            key = heading[1]
            parts[key] = [heading[2]]
        elif key:
            parts[key].append(line.strip())
    labels = dict(text.partition("=")[::2] for text in parts.get("Labels", []) if "=" in text)
    ready = [line.split()[1] for line in parts.get("Conditions", []) if line.startswith("Ready ")]
    taints = [text.partition(":")[0].partition("=")[0] for text in parts.get("Taints", [])]

    def amounts(name: str) -> dict[str, str]:
        pairs = (line.partition(":") for line in parts.get(name, []) if ":" in line)
        return {key.strip(): value.strip() for key, _, value in pairs}

    return {
        "metadata": {"name": parts["Name"][0].strip(), "labels": labels},
        "spec": {
            "unschedulable": parts.get("Unschedulable", [""])[0].strip() == "true",
            "taints": [{"key": key} for key in taints if key and key != "<none>"],
        },
        "status": {
            "capacity": amounts("Capacity"),
            "allocatable": amounts("Allocatable"),
            "conditions": [{"type": "Ready", "status": word} for word in ready],
        },
    }


_KUBECTL = frozenset({"name", "status", "roles", "age", "version", "gpu", "gpus", "gpucount"})
_GPUS = re.compile(r"(?:nvidia|amd)?(?:com)?(?:gpu|npu|ascend\d*)s?(?:count|capacity|allocatable)?")


def kubectl_table(text: str) -> pd.DataFrame | None:
    """Return a table of ``kubectl get nodes`` with a column of GPUs; None if it is none."""
    table = find_table(text, _KUBECTL)
    if table is None or "name" not in table.names:
        return None
    counts = [name for name in table.names if _GPUS.fullmatch(name)]
    if not counts:
        return None
    kinds = [name for name in table.names if re.search(r"product|model|type", name)]
    return pd.DataFrame(
        {
            "node": [row["name"] for row in table.rows],
            "gpus": [whole(row[counts[0]]) or 0 for row in table.rows],
            **({"state": [row["status"] for row in table.rows]} if "status" in table.names else {}),
            **({"gpu_type": [_given(row[kinds[0]]) for row in table.rows]} if kinds else {}),
        }
    )


def _given(text: str) -> str | None:
    return None if text.strip("<>").lower() in ABSENT else text


def is_condor_status(text: str) -> bool:
    """Return whether a text has the ClassAds of machines."""
    return bool(
        re.search(r"(?m)^Machine = ", text) and re.search(r"(?m)^\w*(?:GPUs|Cpus) = ", text)
    )


def read_condor_status(text: str, source: str) -> Site:
    """Read ``condor_status -long``."""
    found, _ = class_ads(text.split("\n"))
    ads = [ad.attributes for ad in found if ad.attributes.get("Machine")]
    return condor_site(ads, source)


def condor_site(ads: Sequence[Mapping[str, Any]], source: str) -> Site:
    """Return the machines of ClassAds: slots of one machine are counted together.

    Raises
    ------
    InputError
        If no slot tells its GPUs.
    """
    slots = [{str(key).lower(): value for key, value in ad.items()} for ad in ads]
    if not any({"totalgpus", "gpus", "totalslotgpus"} & set(slot) for slot in slots):
        raise InputError(
            source,
            "does not tell the GPUs of the machines; run condor_status -json -attributes "
            "Machine,SlotType,TotalGPUs,GPUs,CUDADeviceName,State",
        )
    machines: dict[str, list[dict[str, Any]]] = {}
    for slot in slots:
        machines.setdefault(str(slot.get("machine")), []).append(slot)
    nodes = [_machine(name, own) for name, own in machines.items()]
    return Site(source, "condor_status", tuple(nodes), (), len(slots))


def _machine(name: str, slots: Sequence[Mapping[str, Any]]) -> SiteNode:
    totals = [_number(slot.get("totalgpus")) for slot in slots]
    count = max(totals) or sum(_number(slot.get("gpus")) for slot in slots)
    names = ("cudadevicename", "gpus_devicename", "gpudevicename", "cuda0devicename")
    kinds = [str(slot[key]) for slot in slots for key in names if slot.get(key)]
    kind = next((each for each in kinds if each.lower() not in ("undefined", "none")), "gpu")
    states = [str(slot.get("state", "unknown")) for slot in slots]
    working = any(state not in ("Owner", "Drained", "Shutdown", "Delete") for state in states)
    return SiteNode(
        name=name,
        accelerators={kind: count} if count else {},
        state=states[0],
        in_service=working,
        cpus=whole(slots[0].get("totalcpus", "")),
        memory_mb=memory_mb(slots[0].get("totalmemory", "")),
    )


def _number(value: Any) -> int:
    try:
        return int(float(value))
    except (TypeError, ValueError):
        return 0


def is_qhost(text: str) -> bool:
    """Return whether a text is what ``qhost`` of Grid Engine prints."""
    return bool(re.search(r"(?m)^HOSTNAME\s+ARCH\s+NCPU", text))


_COUNT = re.compile(r"\b(h[cvlf]):([\w.-]+)=([\d.]+)")
_FREE = (
    "qhost tells how many accelerators of a consumable resource (hc:) are free now; qconf -se HOST "
    "tells how many there are"
)


def read_qhost(text: str, source: str) -> Site:
    """Read ``qhost -F gpu``; a host without a load does not answer.

    Raises
    ------
    InputError
        If the hosts have no resource of GPUs.
    """
    nodes: list[SiteNode] = []
    kinds: set[str] = set()
    for line in text.split("\n"):
        cells = line.split()
        counts = [found.groups() for found in _COUNT.finditer(line) if is_device(found[2])]
        if counts and nodes:
            last = nodes[-1]
            count = max(int(float(amount)) for _, _, amount in counts)
            kinds |= {kind for kind, _, _ in counts}
            count = max(count, sum((last.accelerators or {}).values()))
            nodes[-1] = replace(last, accelerators={"gpu": count} if count else {})
        elif len(cells) >= 8 and not line[0].isspace() and cells[0] not in ("HOSTNAME", "global"):
            load = cells[-5] if len(cells) >= 9 else cells[3]
            up = load != "-"
            nodes.append(
                SiteNode(cells[0], {}, "up" if up else "no load", up, cpus=whole(cells[2]))
            )
    if not any(node.accelerators for node in nodes):
        raise InputError(source, "does not tell the GPUs of the hosts; run qhost -F gpu")
    notes = (_FREE,) if kinds == {"hc"} else ()
    return Site(source, "qhost", tuple(nodes), (), len(nodes), notes=notes)


_FLUX = frozenset(
    {"state", "queue", "propgx", "properties", "nnodes", "ncores", "ngpus", "nodelist"}
)


def read_flux_resources(text: str, source: str) -> Site | None:
    """Read ``flux resource list``; None if the text is none."""
    table = find_table(text, _FLUX, least=4)
    if table is None or not {"state", "nnodes", "ngpus", "nodelist"} <= set(table.names):
        return None
    nodes: dict[str, SiteNode] = {}
    whole_nodes = [row for row in table.rows if row["state"].lower() == "all"]
    for row in whole_nodes or table.rows:
        names = expand_hosts(row["nodelist"])
        total = whole(row["ngpus"]) or 0
        each, rest = divmod(total, len(names)) if names else (0, 0)
        if rest:
            raise InputError(source, f"{total} GPUs on {len(names)} nodes cannot be divided evenly")
        working = row["state"].lower() in ("free", "allocated", "all")
        for name in names:
            # A node that is in part allocated has a row for each part.
            held = nodes[name].accelerators if name in nodes else None
            count = each + (held or {}).get("gpu", 0)
            nodes[name] = SiteNode(name, {"gpu": count} if count else {}, row["state"], working)
    return Site(source, "flux resource list", tuple(nodes.values()), (), len(table.rows))


_DEVICE = re.compile(r"(?m)^(?:([\w.-]+):\s+)?GPU \d+: (.+?) \(UUID: \S+\)")


def read_nvidia_smi(text: str, source: str) -> Site | None:
    """Read ``nvidia-smi -L``, also of several hosts (``host: GPU 0: ...``); None if it is none."""
    hosts: dict[str, dict[str, int]] = {}
    for host, kind in _DEVICE.findall(text):
        own = hosts.setdefault(host or "node-1", {})
        own[kind] = own.get(kind, 0) + 1
    if not hosts:
        return None
    nodes = tuple(SiteNode(name, found) for name, found in hosts.items())
    notes = ("the file has no states of nodes: all count as in service",)
    return Site(source, "nvidia-smi -L", nodes, (), len(nodes), notes=notes)
