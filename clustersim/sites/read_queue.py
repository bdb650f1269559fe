"""Detect the format of a queue as a site's command printed it, and read it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from clustersim.errors import InputError, shown
from clustersim.shipped import find_file
from clustersim.sites.cells import Times
from clustersim.sites.condor_queue import (
    CONDOR_COMMAND,
    is_class_ads,
    read_condor_q,
)
from clustersim.sites.kubernetes_queue import read_kubernetes_queue
from clustersim.sites.other_queues import (
    is_grid_engine_queue,
    read_grid_engine_queue,
    read_json_queue,
    read_listed_queue,
)
from clustersim.sites.pbs_queue import (
    BJOBS_COMMAND,
    BJOBS_NAMES,
    read_bjobs,
    read_bjobs_rows,
    read_qstat,
    read_qstat_json,
)
from clustersim.sites.queue import QueueState
from clustersim.sites.read_site import items_of
from clustersim.sites.slurm_queue import (
    SQUEUE_COMMAND,
    SQUEUE_NAMES,
    is_squeue,
    read_scontrol_jobs,
    read_squeue,
    read_squeue_json,
)
from clustersim.sites.slurm_queue_jobs import at_time
from clustersim.sites.source import json_document, read_text
from clustersim.sites.text_tables import find_table, plain_name
from clustersim.time_zones import parse_zone
from clustersim.workload.readers.site_logs.class_ads import class_ads
from clustersim.workload.readers.site_logs.kubectl_messages import (
    EMPTY_LIST,
    is_empty_list,
    kubectl_error,
    other_objects,
)

__all__ = ["QUEUE_COMMANDS", "read_queue"]

QUEUE_COMMANDS = (
    f"{SQUEUE_COMMAND}; kubectl get workloads -A -o json; kubectl get jobs -A -o json; qstat -f; "
    f"{BJOBS_COMMAND}; {CONDOR_COMMAND}"
)


def read_queue(
    path: str | Path,
    *,
    time_zone: str | None = None,
    taken_at: str | datetime | None = None,
    columns: Sequence[str] = (),
    gpus_per_node: int | None = None,
) -> QueueState:
    """Read the running and waiting jobs of a site from what its command printed.

    Parameters
    ----------
    path : str or Path
        Output of ``squeue`` in any format, ``scontrol show job``, ``kubectl get workloads``,
        ``jobs`` or ``pods`` with ``-o json`` or ``-o yaml``, ``qstat -f``, ``bjobs -o``, or
        ``condor_q`` with ``-long`` or ``-json``.
    time_zone : str, optional
        Zone of times that do not name one.
    taken_at : str or datetime, optional
        When the state was taken, if the file does not say; in `time_zone` if it names none.
    columns : sequence of str
        Names of the columns of a table without a header.
    gpus_per_node : int, optional
        Accelerators on each node of a job for which the file gives no number.

    Returns
    -------
    QueueState

    Raises
    ------
    InputError
        If the format is not recognised.

    Examples
    --------
    >>> from pathlib import Path
    >>> from clustersim.sites import read_queue
    >>> rows = "JOBID|PARTITION|STATE|NODES|TRES_PER_NODE\\n1_[2-20:3]|h100|PENDING|1|gres/gpu:4\\n"
    >>> _ = Path("queue.txt").write_text(rows)
    >>> [(job.tasks, job.n_accelerators) for job in read_queue("queue.txt").waiting]
    [(7, 4)]
    """
    path = find_file(path)
    zone = _zone(time_zone)
    text = read_text(path)
    if gpus_per_node is not None:
        text = _with_gpus(text, gpus_per_node, columns)
        columns = [*columns, "TRES_PER_NODE"] if columns else columns
    state = _read(text, path, zone, columns)
    if state is None:
        if (error := kubectl_error(text)) is not None:
            raise InputError(path, error)
        raise InputError(path, f"is not recognised as a queue; print one with {QUEUE_COMMANDS}")
    damaged = [row for row, reason in state.left_out if reason == "malformed"]
    if damaged and not state.jobs:
        raise InputError(
            path,
            f"no row of the queue can be read (the first is {damaged[0][:60]!r}); print one with "
            f"{QUEUE_COMMANDS}",
        )
    if taken_at is not None:
        moment = Times(zone).parse(taken_at)
        if moment is None:
            raise InputError("--taken-at", f"must be a time such as 2025-05-14T11:20:07, "
                             f"found {shown(taken_at)}")  # fmt: skip
        state = _timed(state, moment)
    if gpus_per_node is not None:
        note = f"{gpus_per_node} accelerators a node are assumed for every job (--gpus-per-node)"
        state = state.with_notes(note)
    return state


def _zone(name: str | None) -> tzinfo | None:
    try:
        return None if name is None else parse_zone(name)
    except ValueError as error:
        raise InputError("--time-zone", str(error)) from None


def _timed(state: QueueState, moment: datetime) -> QueueState:
    """Return the state as taken at another time than was assumed."""
    if state.format.startswith("kubectl"):
        jobs = tuple(
            job if job.start is None else replace(job, elapsed_s=None) for job in state.jobs
        )
        notes = tuple(note for note in state.notes if "--taken-at" not in note)
        state = replace(state, jobs=jobs, notes=notes)
    return at_time(state, moment.astimezone(UTC))


def _with_gpus(text: str, per_node: int, columns: Sequence[str]) -> str:
    """Return a table of squeue with the assumed accelerators as one more column."""
    lines = []
    begun = bool(columns)
    for line in text.split("\n"):
        names = {plain_name(word) for word in re.split(r"[|\s,;]+", line)}
        separator = "|" if "|" in line else " "
        if columns and line.strip():
            line = f"{line.rstrip()}{separator}gres/gpu:{per_node}"
        elif "jobid" in names:
            begun = True
            line = f"{'TRES_PER_NODE':<16}{separator}{line}"
        elif begun and line.strip():
            line = f"{f'gres/gpu:{per_node}':<16}{separator}{line}"
        lines.append(line)
    return "\n".join(lines)


_FLUX_TABLE = re.compile(r"(?m)^\s*JOBID\s+(?:QUEUE\s+)?USER\s+NAME\s+ST\s+NTASKS\s+NNODES")


def _read(text: str, path: Path, zone: tzinfo | None, columns: Sequence[str]) -> QueueState | None:
    source = str(path)
    document = json_document(text, path)
    if document is not None:
        return _of_document(document, source, zone)
    if is_class_ads(text):
        ads, _ = class_ads(text.split("\n"))
        return read_condor_q([ad.attributes for ad in ads], source, "condor_q -long")
    if re.search(r"(?m)^Job Id:", text):
        return read_qstat(text, source, zone)
    if re.search(r"(?:^|\s)JobId=\d", text):
        return read_scontrol_jobs(text, source, zone)
    if _FLUX_TABLE.search(text):
        raise InputError(
            source,
            "is the table that flux jobs prints by default, which tells no GPUs; run "
            "flux jobs -A --json",
        )
    if is_grid_engine_queue(text):
        return read_grid_engine_queue(text, source, zone)
    lsf = re.search(r"(?mi)^\s*JOBID\b.*\bSTAT\b", text) is not None
    if lsf or (columns and "stat" in {plain_name(name) for name in columns}):
        return read_bjobs(text, source, zone, columns)
    if not columns and find_table(text, SQUEUE_NAMES, least=3) is None:
        listed = read_listed_queue(path, zone)
        if listed is not None:
            return listed
    if columns or is_squeue(text):
        return read_squeue(text, source, zone, columns)
    if find_table(text, BJOBS_NAMES, least=4) is not None:
        return read_bjobs(text, source, zone)
    return None


def _of_document(document: Any, source: str, zone: tzinfo | None) -> QueueState | None:
    if isinstance(document, Mapping):
        jobs = document.get("jobs")
        listed = jobs if isinstance(jobs, list) else list(document.values())
        if listed and all(isinstance(job, Mapping) for job in listed):
            found = read_json_queue(listed, source)
            if found is not None:
                return found
        if isinstance(jobs, list):
            return read_squeue_json(document, source)
        if isinstance(document.get("Jobs"), Mapping):
            return read_qstat_json(document, source, zone)
        if isinstance(document.get("RECORDS"), list):
            return read_bjobs_rows(document["RECORDS"], source, zone)
    items = list(items_of(document)) if not isinstance(document, list) else document
    if items and all(isinstance(item, Mapping) and "ClusterId" in item for item in items):
        return read_condor_q(items, source, "condor_q -json")
    objects = list(items_of(document))
    if not objects and is_empty_list(document):
        raise InputError(source, EMPTY_LIST)
    found = read_kubernetes_queue(objects, source)
    if found is None and objects and all("kind" in one and "metadata" in one for one in objects):
        raise InputError(source, other_objects(str(one["kind"]) for one in objects))
    return found
