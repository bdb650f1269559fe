"""Nodes from Kubernetes, PBS, LSF and tables of accelerators by virtual cluster."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clustersim.errors import InputError
from clustersim.sites.cells import memory_mb, whole
from clustersim.sites.kueue_objects import unlisted_cluster_queues
from clustersim.sites.kueue_quotas import LabelledNode, node_queues
from clustersim.sites.site import Site, SiteNode, SitePartition, in_service
from clustersim.sites.text_tables import find_table, plain_name
from clustersim.units import counted
from clustersim.workload.readers.site_logs.devices import devices_in, is_device
from clustersim.workload.readers.site_logs.key_values import indented_records
from clustersim.workload.readers.site_logs.programs.kubernetes_pods import quantity

__all__ = [
    "LSF_NAMES",
    "extended_accelerators",
    "read_hosts_lsf",
    "read_kubernetes_nodes",
    "read_pbsnodes",
]

_PRODUCT_LABELS = (
    *("nvidia.com/gpu.product", "amd.com/gpu.product-name", "amd.com/gpu.product"),
    *("cloud.google.com/gke-accelerator", "accelerator", "gpu.nvidia.com/model", "gpu-type"),
    *("k8s.amazonaws.com/accelerator", "node.kubernetes.io/npu.chip.name", "accelerator-type"),
    *("gpu_type", "huawei.com/npu-type", "aliyun.accelerator/nvidia_name", "gpu.product"),
)


def extended_accelerators(resources: Mapping[str, Any] | None) -> dict[str, int]:
    """Return the accelerators in a list of Kubernetes resources, by name of the resource.

    Examples
    --------
    >>> extended_accelerators({"cpu": "8", "nvidia.com/gpu": "4", "huawei.com/Ascend910": 8})
    {'gpu': 4, 'Ascend910': 8}
    >>> extended_accelerators({"nvidia.com/mig-1g.10gb": "7", "nvidia.com/gpumem": "40"})
    {'mig-1g.10gb': 7}
    """
    found: dict[str, int] = {}
    for name, value in (resources or {}).items():
        domain, _, kind = str(name).rpartition("/")
        count = int(quantity(value))
        if domain and count and is_device(str(name)):
            found[kind] = found.get(kind, 0) + count
    if "neuron" in found:  # AWS lists the same chips as cores and as devices, too
        found = {kind: count for kind, count in found.items() if not re.match("neuron.", kind)}
    return found


def read_kubernetes_nodes(items: Sequence[Mapping[str, Any]], source: str) -> Site:
    """Read a list of nodes as ``kubectl get nodes -o json`` (or ``-o yaml``) prints it.

    A node takes jobs if its condition ``Ready`` is true and it is not cordoned. Accelerators are
    its capacity; the type is its label with the product, else the name of the resource. If the list
    has ClusterQueues of Kueue, too, the nodes are divided by their quotas
    (:mod:`clustersim.sites.kueue_quotas`).

    Raises
    ------
    InputError
        If a quota of accelerators is no quantity.
    """
    objects, items = items, [item for item in items if item.get("kind", "Node") == "Node"]
    labelled, nodes = [], []
    fewer = 0
    for item in items:
        meta, status = item.get("metadata") or {}, item.get("status") or {}
        labels = {str(key): str(value) for key, value in (meta.get("labels") or {}).items()}
        found = extended_accelerators(status.get("capacity") or status.get("allocatable"))
        allocatable = extended_accelerators(status.get("allocatable")) or found
        fewer += sum(allocatable.values()) < sum(found.values())
        product = next((labels[key] for key in _PRODUCT_LABELS if labels.get(key)), "")
        if product and set(found) == {"gpu"}:
            found = {product: found["gpu"]}
        words = _kubernetes_state(item)
        working = words == ["Ready"]
        labelled.append(LabelledNode(labels, sum(found.values()), working))
        nodes.append(
            SiteNode(
                name=str(meta.get("name")),
                accelerators=found,
                state=",".join(words),
                in_service=working,
                partitions=_kubernetes_pools(labels),
                cpus=whole(str((status.get("capacity") or {}).get("cpu", ""))),
                memory_mb=memory_mb((status.get("capacity") or {}).get("memory", ""), bare="b"),
                hints=tuple(filter(None, [product, *_hints(labels)])),
            )
        )
    notes: list[str] = []
    divided = node_queues(objects, labelled, source)
    if divided is not None:
        nodes = [
            replace(node, partitions=queues, flavors=flavors)
            for node, queues, flavors in zip(nodes, divided.queues, divided.flavors, strict=True)
        ]
        notes += divided.notes
    notes += unlisted_cluster_queues(objects)
    partitions = dict.fromkeys(name for node in nodes for name in node.partitions)
    if fewer:
        notes.append(
            f"{counted(fewer, 'node has', 'nodes have')} fewer accelerators allocatable than "
            "installed (status.capacity counts; the others are unhealthy or set aside)"
        )
    return Site(
        source=source,
        format="kubectl get nodes",
        nodes=tuple(nodes),
        partitions=tuple(SitePartition(name) for name in partitions),
        rows=len(items),
        notes=tuple(notes),
    )


def _kubernetes_state(item: Mapping[str, Any]) -> list[str]:
    conditions = (item.get("status") or {}).get("conditions") or []
    ready = [each.get("status") for each in conditions if each.get("type") == "Ready"]
    words = ["Ready" if not conditions or "True" in ready else "NotReady"]
    spec = item.get("spec") or {}
    taints = {str(taint.get("key")) for taint in spec.get("taints") or []}
    if spec.get("unschedulable") or "node.kubernetes.io/unschedulable" in taints:
        words.append("SchedulingDisabled")
    return words


def _kubernetes_pools(labels: Mapping[str, str]) -> tuple[str, ...]:
    names = (
        *("cloud.google.com/gke-nodepool", "eks.amazonaws.com/nodegroup", "agentpool"),
        *("node-pool", "nodepool", "node_pool", "pool", "karpenter.sh/nodepool"),
        *("node.kubernetes.io/pool", "volcano.sh/nodegroup-name", "kubernetes.azure.com/agentpool"),
    )
    return tuple(labels[name] for name in names if labels.get(name))[:1]


def _hints(labels: Mapping[str, str]) -> list[str]:
    return [value for key, value in labels.items() if "instance-type" in key or "gpu" in key]


def read_pbsnodes(text: str, source: str) -> Site:
    """Read ``pbsnodes -a`` or ``-av`` of PBS or Torque."""
    records = indented_records(text, re.compile(r"(\S+)$"))
    nodes = []
    for name, record in records:
        if not any(key in record for key in ("state", "ntype", "np", "Mom")):
            continue
        nodes.append(_pbs_node(name, {key: str(value) for key, value in record.items()}))
    return _pbs_site(nodes, source, "pbsnodes")


def read_pbsnodes_json(document: Mapping[str, Any], source: str) -> Site:
    """Read ``pbsnodes -av -F json``."""
    nodes = []
    for name, record in document["nodes"].items():
        flat = {key: str(value) for key, value in record.items() if not isinstance(value, dict)}
        for group in ("resources_available", "resources_assigned"):
            flat |= {
                f"{group}.{key}": str(value) for key, value in (record.get(group) or {}).items()
            }
        if isinstance(record.get("state"), list):
            flat["state"] = ",".join(record["state"])
        nodes.append(_pbs_node(name, flat))
    return _pbs_site(nodes, source, "pbsnodes -F json")


def _pbs_node(name: str, record: Mapping[str, str]) -> SiteNode:
    available = {
        key.removeprefix("resources_available."): value
        for key, value in record.items()
        if key.startswith("resources_available.")
    }
    count = devices_in(available) or float(whole(record.get("gpus", "")) or 0)
    number = None if math.isnan(count) else int(count)
    names = ("gpu_model", "gpu_type", "gputype", "gpumodel", "accelerator_model", "accel_type")
    kind = next((available[key] for key in names if available.get(key)), "")
    if not kind:
        products = re.findall(r"gpu_product_name=([^;,]+)", record.get("gpu_status", ""))
        kind = products[0].strip() if products else ""
    state = record.get("state", "unknown")
    queues = available.get("Qlist") or record.get("queue") or available.get("qlist") or ""
    memory = available.get("mem") or next(
        iter(re.findall(r"physmem=(\w+)", record.get("status", ""))), ""
    )
    return SiteNode(
        name=name,
        accelerators=None if number is None else {kind or "gpu": number} if number else {},
        state=state,
        in_service=in_service(state),
        partitions=tuple(part.strip() for part in queues.split(",") if part.strip()),
        cpus=whole(available.get("ncpus", "") or record.get("np", "")),
        memory_mb=memory_mb(memory, bare="b"),
        hints=tuple(filter(None, [record.get("properties", ""), available.get("host", "")])),
    )


def _pbs_site(nodes: Sequence[SiteNode], source: str, form: str) -> Site:
    parents = {node.name for node in nodes}
    kept = []
    for node in nodes:
        vnodes = [name for name in parents if name.startswith(f"{node.name}[")]
        if not vnodes or node.accelerators:
            kept.append(node)
    queues = dict.fromkeys(name for node in kept for name in node.partitions)
    left = len(nodes) - len(kept)
    return Site(
        source=source,
        format=form,
        nodes=tuple(kept),
        partitions=tuple(SitePartition(name) for name in queues),
        rows=len(nodes),
        left_out={"host of vnodes": left} if left else {},
    )


LSF_NAMES = frozenset(
    {
        *("hostname", "status", "jlu", "max", "njobs", "run", "ssusp", "ususp", "rsv", "type"),
        *("model", "cpuf", "ncpus", "maxmem", "maxswp", "server", "resources", "ngpus"),
        *("ngpusalloc", "id", "mused", "mrsv", "susp", "vendor", "gpuid", "gpumodel", "gpudriver"),
        *("gpufactor", "numaid", "ngpusexclalloc", "ngpussharedalloc", "ngpussharedjexclalloc"),
        *("ngpusexclavail", "ngpussharedavail", "attribute", "dispatchwindow", "comments"),
        *("migalloc", "totalmem", "slots", "ndisks", "nprocs", "ncores", "nthreads", "rexpri"),
        *("gpudriverversion", "mtotal", "factor", "mode"),
    }
)
_LSF_COMMAND = "bhosts -o \"host_name status max ngpus delimiter='|'\""


def read_hosts_lsf(text: str, source: str, columns: Sequence[str] = ()) -> Site:
    """Read ``bhosts`` or ``lshosts`` with ``-gpu`` or ``-o "... ngpus"``.

    With ``-gpu`` there is a line for each GPU, and only the first of a host has its name.

    Raises
    ------
    InputError
        If the output has no numbers of GPUs.
    """
    host = ""
    filled = []
    header = text.split("\n")
    by_gpu = bool(re.search(r"(?im)^\s*HOST_NAME\s+(?:gpu_)?id\b", text))
    for line in header:
        if by_gpu and line.strip() and line[0].isspace() and host:
            line = f"{host} {line.strip()}"
        elif line.strip():
            host = line.split()[0]
        filled.append(line)
    table = find_table("\n".join(filled), LSF_NAMES, columns)
    if table is None:
        raise InputError(source, f"has no header of bhosts or lshosts; run {_LSF_COMMAND}")
    return lsf_site(table.rows, source, by_gpu=by_gpu)


def lsf_site(rows: Sequence[Mapping[str, Any]], source: str, *, by_gpu: bool = False) -> Site:
    """Return the hosts in rows of ``bhosts`` or ``lshosts``; a row each, or one for each GPU."""
    rows = [{plain_name(str(key)): str(value or "") for key, value in row.items()} for row in rows]
    if not rows or not ({"ngpus", "gpuid", "id", "gpumodel"} & set(rows[0])):
        raise InputError(source, f"has no numbers of accelerators; run {_LSF_COMMAND}")
    hosts: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = row.get("hostname", "")
        host = hosts.setdefault(name, {"accelerators": {}, "state": "unknown"})
        kind = row.get("gpumodel") or (row.get("model", "") if by_gpu else "") or "gpu"
        count = 1 if by_gpu else whole(row.get("ngpus", "")) or 0
        if by_gpu and whole(row.get("gpuid") or row.get("id") or "") is None:
            count = 0
        if count:
            host["accelerators"][kind] = host["accelerators"].get(kind, 0) + count
        host["state"] = row.get("status") or host["state"]
        host["cpus"] = whole(row.get("ncpus", "")) or host.get("cpus")
        host["memory"] = memory_mb(row.get("maxmem", "")) or host.get("memory")
    nodes = tuple(
        SiteNode(
            name=name,
            accelerators=host["accelerators"],
            state=host["state"],
            in_service=host["state"] == "unknown" or in_service(host["state"]),
            cpus=host["cpus"],
            memory_mb=host["memory"],
        )
        for name, host in hosts.items()
    )
    notes = () if "status" in rows[0] else ("no status of hosts: all count as in service",)
    return Site(source, "bhosts/lshosts", nodes, (), len(rows), notes=notes)
