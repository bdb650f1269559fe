"""Detect the format of what a site's command printed about its nodes, and read it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from clustersim.errors import InputError
from clustersim.shipped import find_file
from clustersim.sites.node_listings import is_flux_r, read_flux_r, read_listing
from clustersim.sites.node_tables import is_site_table, read_site_table
from clustersim.sites.other_nodes import (
    LSF_NAMES,
    lsf_site,
    read_hosts_lsf,
    read_kubernetes_nodes,
    read_pbsnodes,
    read_pbsnodes_json,
)
from clustersim.sites.printed_nodes import (
    condor_site,
    is_condor_status,
    is_described_nodes,
    is_qhost,
    kubectl_table,
    read_condor_status,
    read_described_nodes,
    read_flux_resources,
    read_nvidia_smi,
    read_qhost,
)
from clustersim.sites.site import Site
from clustersim.sites.slurm_conf import is_slurm_conf, read_slurm_conf
from clustersim.sites.slurm_nodes import (
    SINFO_COMMAND,
    SINFO_NAMES,
    read_scontrol_nodes,
    read_scontrol_partitions,
    read_sinfo,
    read_slurm_json,
)
from clustersim.sites.source import json_document, read_text
from clustersim.sites.text_tables import find_table, plain_name
from clustersim.workload.readers.site_logs.kubectl_messages import (
    EMPTY_LIST,
    is_empty_list,
    kubectl_error,
)

_CONDOR = frozenset(
    {"machine", "name", "totalgpus", "gpus", "cudadevicename", "state", "slottype", "totalcpus"}
)
"""Attributes of machines that ``condor_status -af:h`` can print."""
__all__ = ["items_of", "read_site"]

_COMMANDS = (
    f"{SINFO_COMMAND}; scontrol show node -o; kubectl get nodes -o json; pbsnodes -av; "
    "bhosts -o \"host_name status ngpus delimiter='|'\""
)


def read_site(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    gpus_per_node: int | None = None,
    date: str | None = None,
) -> Site:
    """Read the nodes and partitions of a site from what its command printed.

    Parameters
    ----------
    path : str or Path
        Output of ``sinfo`` (by default, ``-N``, ``-o``, ``-O``, ``--json``), ``scontrol show
        node`` or ``show partition`` (text or ``--json``), ``kubectl get nodes -o json`` or
        ``-o yaml``, ``pbsnodes -av``, ``bhosts`` or ``lshosts`` with GPUs, or a table of nodes or
        virtual clusters (CSV or Parquet).
    columns : sequence of str
        Names of the columns of a table without a header.
    gpus_per_node : int, optional
        Accelerators of each node for which the file gives no number.
    date : str, optional
        The day, in a table with several.

    Returns
    -------
    Site

    Raises
    ------
    InputError
        If the format is not recognised, or the file has no accelerators, and
        `gpus_per_node` is not given.

    Examples
    --------
    >>> from pathlib import Path
    >>> from clustersim.sites import read_site
    >>> rows = "NODELIST PARTITION STATE GRES\\ngpu[1-2] main* idle gpu:h100:8\\n"
    >>> _ = Path("sinfo.txt").write_text(rows)
    >>> read_site("sinfo.txt").by_type()
    {'h100': 16}
    """
    path = find_file(path)
    if path.suffix == ".parquet":
        return read_site_table(_parquet(path), str(path), gpus_per_node=gpus_per_node, date=date)
    text = read_text(path)
    site = _read(text, path, columns, gpus_per_node, date)
    if site is None:
        if (error := kubectl_error(text)) is not None:
            raise InputError(path, error)
        raise InputError(path, f"is not recognised as a list of nodes; print one with {_COMMANDS}")
    if not site.nodes and not site.partitions:
        raise InputError(path, f"{site.format}: lists no nodes")
    unknown = sum(node.accelerators is None for node in site.nodes)
    if unknown and gpus_per_node is not None:
        site = site.with_accelerators(gpus_per_node)
        noted = f"{gpus_per_node} accelerators are assumed on each of {unknown:,} nodes"
        site = _with_note(site, f"{noted} for which {path.name} gives no number (--gpus-per-node)")
    elif unknown == len(site.nodes) and site.nodes:
        raise InputError(
            path,
            f"{site.format}: has no numbers of accelerators ({unknown:,} nodes); "
            f"run {SINFO_COMMAND}, or assume a number with --gpus-per-node N",
        )
    return site


def _with_note(site: Site, note: str) -> Site:
    from dataclasses import replace

    return replace(site, notes=(*site.notes, note))


def _read(
    text: str,
    path: Path,
    columns: Sequence[str],
    gpus_per_node: int | None,
    date: str | None,
) -> Site | None:
    source = str(path)
    document = json_document(text, path)
    if document is not None:
        return _of_document(document, source, gpus_per_node, date)
    if is_slurm_conf(text):
        return read_slurm_conf(text, source)
    listing = read_listing(text, source)
    if listing is not None:
        return listing
    if is_described_nodes(text):
        return read_described_nodes(text, source)
    if is_condor_status(text):
        return read_condor_status(text, source)
    if is_qhost(text):
        return read_qhost(text, source)
    if re.search(r"(?:^|\s)NodeName=", text):
        return read_scontrol_nodes(text, source)
    if re.search(r"(?:^|\s)PartitionName=", text):
        return read_scontrol_partitions(text, source)
    if re.search(r"(?m)^\s+(?:state|ntype|Mom) = ", text):
        return read_pbsnodes(text, source)
    if re.search(r"(?mi)^\s*HOST_NAME\b", text):
        return read_hosts_lsf(text, source)
    if columns:
        lsf = {plain_name(name) for name in columns} & LSF_NAMES >= {"hostname"}
        return (read_hosts_lsf if lsf else read_sinfo)(text, source, columns)
    first = next((line for line in text.split("\n") if line.strip()), "")
    divided = next((mark for mark in ",;\t" if mark in first), None)
    if divided and is_site_table(first.split(divided)):
        table = _csv(text, path)
        return read_site_table(table, source, gpus_per_node=gpus_per_node, date=date)
    found = read_nvidia_smi(text, source) or read_flux_resources(text, source)
    if found is not None:
        return found
    nodes = kubectl_table(text)
    if nodes is not None:
        return read_site_table(nodes, source, gpus_per_node=gpus_per_node, date=date)
    machines = find_table(text, _CONDOR, least=3)
    if machines is not None and "machine" in machines.names:
        return condor_site(machines.rows, source)
    if find_table(text, SINFO_NAMES) is not None:
        return read_sinfo(text, source)
    if path.suffix in (".csv", ".tsv") or "," in text.split("\n", 1)[0]:
        table = _csv(text, path)
        if len(table.columns) > 1:
            return read_site_table(table, source, gpus_per_node=gpus_per_node, date=date)
    return None


def _of_document(
    document: Any, source: str, gpus_per_node: int | None, date: str | None
) -> Site | None:
    if isinstance(document, Mapping):
        if is_flux_r(document):
            return read_flux_r(document, source)
        if isinstance(document.get("nodes"), Mapping):
            return read_pbsnodes_json(document, source)
        if isinstance(document.get("HOSTS") or document.get("RECORDS"), list):
            return lsf_site(document.get("RECORDS") or document["HOSTS"], source)
        found = read_slurm_json(document, source)
        if found is not None:
            return found
    if isinstance(document, list) and document and "Machine" in document[0]:
        return condor_site([ad for ad in document if isinstance(ad, Mapping)], source)
    if isinstance(document, list) and document and isinstance(document[0], Mapping):
        rows = [row for row in document if isinstance(row, Mapping) and "metadata" not in row]
        if rows and is_site_table([str(name) for name in rows[0]]):
            table = pd.DataFrame(rows)
            return read_site_table(table, source, gpus_per_node=gpus_per_node, date=date)
    items = list(items_of(document))
    if not items and is_empty_list(document):
        raise InputError(source, EMPTY_LIST)
    return _kubernetes(items, source)


def _kubernetes(items: Sequence[Mapping[str, Any]], source: str) -> Site | None:
    nodes = [item for item in items if item.get("kind", "Node") == "Node" and "metadata" in item]
    if not nodes:
        kinds = sorted({str(item.get("kind")) for item in items})
        if kinds and items:
            raise InputError(
                source, f"lists {', '.join(kinds)}, not Node; run kubectl get nodes -o json"
            )
        return None
    return read_kubernetes_nodes([item for item in items if "metadata" in item], source)


def items_of(document: Any) -> Iterator[Mapping[str, Any]]:
    """Return the objects in a Kubernetes document: one object, a list, or several lists."""
    if isinstance(document, list):
        for each in document:
            yield from items_of(each)
    elif isinstance(document, Mapping):
        if isinstance(document.get("items"), list):
            kind = str(document.get("kind", "")).removesuffix("List")
            for item in document["items"]:
                if not isinstance(item, Mapping):
                    continue
                yield item if "kind" in item or not kind else {"kind": kind, **item}
        elif "metadata" in document or "kind" in document:
            yield document


def _csv(text: str, path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(io.StringIO(text), sep=None, engine="python")
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(path, f"is no table: {error}") from None


def _parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(path, "no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as Parquet: {error}") from None
