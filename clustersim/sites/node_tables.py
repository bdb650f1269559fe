"""Tables of nodes, of kinds of nodes, and of virtual clusters (Helios), in CSV or Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from clustersim.errors import InputError
from clustersim.sites.cells import whole
from clustersim.sites.site import Site, SiteNode, SitePartition, in_service
from clustersim.sites.text_tables import plain_name
from clustersim.workload.readers.site_logs.vocabulary import english_name

__all__ = ["is_site_table", "read_site_table"]


def column_name(name: str) -> str:
    """Return the name of a column in English, in lower-case letters and digits only."""
    return plain_name(english_name(name))


_PER_NODE = (
    *("naccel", "naccelerators", "gpus", "gpu", "ngpus", "gpunum", "gpucount", "capgpu", "numgpus"),
    *("countgpus", "gpuspernode", "acceleratorspernode", "gpupernode", "numgpu", "accelerators"),
    *("npus", "nnpus", "gpustotal", "totalgpus", "nvidiacomgpu", "pernodegpucount", "pernodegpu"),
)
_NODE = ("node", "nodename", "sn", "machine", "host", "hostname", "name", "nodeid", "server")
_GROUP = ("vc", "virtualcluster", "partition", "queue", "pool")
_KINDS = ("acceltype", "gputype", "model", "gpumodel", "gpuspec", "acceleratortype", "type", "chip")
_NODES = ("nodes", "nnodes", "numnodes", "nodecount", "hosts", "servers", "countnode", "countnodes")


def is_site_table(names: Sequence[str]) -> bool:
    """Return whether columns are those of a table of nodes, or of kinds of nodes.

    Examples
    --------
    >>> is_site_table(["Hostname", "GPUs", "State"]), is_site_table(["NODELIST", "STATE", "GRES"])
    (True, False)
    """
    known = {column_name(name) for name in names}
    return bool(known & {*_NODE, *_NODES}) and bool(known & set(_PER_NODE))


def read_site_table(
    table: pd.DataFrame, source: str, *, gpus_per_node: int | None, date: str | None
) -> Site:
    """Read a table of nodes, or of accelerators by virtual cluster (Helios) or by group.

    Parameters
    ----------
    table : pandas.DataFrame
        A row a node (``node``, ``n_accel``, ``accel_type``), or a row a virtual cluster and day
        (``date``, ``vc``, ``gpus``), or, as Helios publishes it, a row a day and a column a
        virtual cluster.
    source : str
    gpus_per_node : int, optional
        Accelerators of a node, where the table has only sums; by default 8.
    date : str, optional
        The day, where the table has several; by default the last.

    Raises
    ------
    InputError
        If the table has no such columns or day.
    """
    names = {column_name(str(name)): str(name) for name in table.columns}
    _refuse_jobs(names, source)
    node = next((names[key] for key in _NODE if key in names), None)
    if node is not None:
        return _table_of_nodes(table, source, names, node)
    nodes_of_kind = next((names[key] for key in _NODES if key in names), None)
    if nodes_of_kind is not None and any(key in names for key in _PER_NODE):
        return _table_of_kinds(table, source, names, nodes_of_kind)
    day = next((names[key] for key in ("date", "day", "time", "timestamp") if key in names), None)
    group = next((names[key] for key in _GROUP if key in names), None)
    count = next((names[key] for key in _PER_NODE if key in names), None)
    notes = []
    if day is not None:
        days = table[day].astype(str).str.slice(0, 10)
        chosen = date or str(days.max())
        if not (days == chosen).any():
            raise InputError(source, f"{day}: has no {chosen}; found {days.min()} to {days.max()}")
        table = table[days == chosen]
        notes.append(f"the sizes of {chosen} are used (--date chooses another day)")
    if group is None or count is None:
        numeric = [str(name) for name in table.columns if str(name) != day]
        numbers = table[numeric].apply(pd.to_numeric, errors="coerce")
        if (len(table) > 1 and day is None) or not numbers.notna().any().all():
            raise InputError(
                source,
                "is no table of nodes or virtual clusters: needed are the columns node and gpus, "
                "or vc and gpus, or nodes and gpus_per_node; found "
                f"{', '.join(map(str, table.columns[:12]))}",
            )
        table = table[numeric].apply(pd.to_numeric, errors="coerce").iloc[-1:].T.reset_index()
        table.columns = pd.Index(["vc", "gpus"])
        group, count = "vc", "gpus"
        table = table[~table["vc"].str.lower().isin(["total", "sum", "all"])]
    cluster = names.get("cluster")
    per_node = gpus_per_node or 8
    notes.append(f"{per_node} accelerators a node are assumed (--gpus-per-node)")
    nodes: list[SiteNode] = []
    partitions: dict[str, SitePartition] = {}
    for row in table.to_dict("records"):
        gpus = int(row[count]) if pd.notna(row[count]) else 0
        name = str(row[group])
        label = (
            f"{row[cluster]}-{name}" if cluster in row and table[cluster].nunique() > 1 else name
        )
        partitions[label] = SitePartition(label)
        sizes = [per_node] * (gpus // per_node) + ([gpus % per_node] if gpus % per_node else [])
        nodes += [
            SiteNode(f"{label}-{at}", {"gpu": size}, partitions=(label,))
            for at, size in enumerate(sizes, start=1)
        ]
    return Site(
        source=source,
        format="table of virtual clusters",
        nodes=tuple(nodes),
        partitions=tuple(partitions.values()),
        rows=len(table),
        notes=tuple(notes),
    )


def _table_of_nodes(table: pd.DataFrame, source: str, names: Mapping[str, str], node: str) -> Site:
    count = next((names[key] for key in _PER_NODE if key in names), None)
    kind = next((names[key] for key in _KINDS if key in names), None)
    group = next((names[key] for key in (*_GROUP, "cluster") if key in names), None)
    state = next((names[key] for key in ("state", "status") if key in names), None)
    if count is None:
        raise InputError(
            source,
            f"has no column with the accelerators of a node; found {', '.join(names.values())}",
        )
    nodes = []
    for row in table.to_dict("records"):
        number = whole(row[count]) or 0
        named = str(row[kind]) if kind is not None and pd.notna(row[kind]) else "gpu"
        shown = str(row[state]) if state is not None and pd.notna(row[state]) else "unknown"
        nodes.append(
            SiteNode(
                name=str(row[node]),
                accelerators={named: number} if number else {},
                state=shown,
                in_service=shown == "unknown" or in_service(shown),
                partitions=(str(row[group]),) if group and pd.notna(row[group]) else (),
            )
        )
    partitions = dict.fromkeys(name for each in nodes for name in each.partitions)
    return Site(
        source, "table of nodes", tuple(nodes),
        tuple(SitePartition(name) for name in partitions), len(nodes),
    )  # fmt: skip


def _table_of_kinds(table: pd.DataFrame, source: str, names: Mapping[str, str], count: str) -> Site:
    """Return the nodes of a table with a row for each kind of node and the number of its nodes."""
    per_node = next(names[key] for key in _PER_NODE if key in names)
    kind = next((names[key] for key in _KINDS if key in names), None)
    group = next((names[key] for key in (*_GROUP, "cluster") if key in names), None)
    nodes: list[SiteNode] = []
    for place, row in enumerate(table.to_dict("records"), 1):
        named = str(row[kind]) if kind is not None and pd.notna(row[kind]) else "gpu"
        each = whole(row[per_node]) or 0
        partitions = (str(row[group]),) if group and pd.notna(row[group]) else ()
        nodes += [
            SiteNode(f"row-{place}-{at}", {named: each} if each else {}, partitions=partitions)
            for at in range(1, (whole(row[count]) or 0) + 1)
        ]
    found = dict.fromkeys(name for each in nodes for name in each.partitions)
    shown = tuple(SitePartition(name) for name in found)
    notes = ("the table has no states of nodes: all count as in service",)
    return Site(source, "table of kinds of nodes", tuple(nodes), shown, len(table), notes=notes)


_JOBS = {"submits", "durations", "submittime", "submit", "starttime", "elapsed", "jobid", "runtime"}


def _refuse_jobs(names: Mapping[str, str], source: str) -> None:
    """Raise an error if the columns are those of a list of jobs.

    Raises
    ------
    InputError
        If at least two columns are of jobs.
    """
    found = [shown for name, shown in names.items() if name in _JOBS]
    if len(found) > 1:
        raise InputError(
            source,
            f"is a list of jobs (columns {', '.join(found)}), not of nodes; clustersim replay "
            "reads it",
        )
