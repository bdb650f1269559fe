"""Accelerators in a record of PBS or Torque: what was allocated, else what was asked for.

Formats: ``exec_vnode``, ``select`` and ``place`` in the PBS Professional Reference Guide; ``nodes``
and ``-L`` in the Torque Administrator's Guide; ``gres`` in "Resource Manager Extensions" of the
Moab Workload Manager Administrator's Guide, which counts it per task. A node of ``nodes`` is taken
as one task.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

from clustersim.workload.readers.site_logs.devices import (
    device_count,
    devices_in,
    is_device,
    uncounted,
)

__all__ = ["GRES_NOTE", "accelerators", "uncounted_in", "uses_gres"]

GRES_NOTE = (
    "accelerators asked for with -l gres= count once per node (Moab counts them per task, and a "
    "node is taken as one task)"
)
_ASSIGNED = ("resource_assigned", "resources_assigned", "resources_used")
_PAIR = re.compile(r"(?:^|:)([\w./-]+)=([^:]+)")


def accelerators(fields: Mapping[str, str]) -> float:
    """Return the accelerators of a job; 0 if the record names none, NaN if it tells no number."""
    lacking = False
    for count in (*_others(fields), _by_gres(fields)):
        if count > 0:
            return count
        lacking |= math.isnan(count)
    return float("nan") if lacking else 0.0


def _others(fields: Mapping[str, str]) -> Iterator[float]:
    """Yield what each part of a record but ``gres`` tells, that which tells it best first."""
    gpus = fields.get("exec_gpus")
    if gpus:
        yield float(sum(_entries(part) for part in gpus.split("+")))
    yield sum(_devices(chunk) for chunk in re.findall(r"\(([^)]*)\)", fields.get("exec_vnode", "")))
    for source in _ASSIGNED:
        yield _named(fields, source)
    select = fields.get("Resource_List.select") or fields.get("Resource_List.schedselect") or ""
    yield sum(_chunk(chunk) for chunk in select.split("+"))
    nodes = fields.get("Resource_List.nodes") or fields.get("Resource_List.neednodes") or ""
    yield sum(_chunk(chunk) for chunk in nodes.split("+"))
    per_node = "Resource_List.gpus" in fields
    yield _named(fields, "Resource_List") * (_nodes(fields) if per_node else 1.0)
    if "tasks" in fields:  # behind "-L "
        yield _tasks(f"tasks={fields['tasks']}")
    asked = [value for key, value in fields.items() if key.startswith("Resource_Request")]
    yield sum(_tasks(value) for value in asked)


def _by_gres(fields: Mapping[str, str]) -> float:
    return sum(number for _, number in _gres(fields)) * _nodes(fields)


def uses_gres(fields: Mapping[str, str]) -> bool:
    """Return whether the accelerators of a job are those that it asks for with ``-l gres=``."""
    return any(True for _ in _gres(fields)) and not any(count > 0 for count in _others(fields))


def uncounted_in(fields: Mapping[str, str]) -> str | None:
    """Return the resources of a record that look like accelerators and are not counted."""
    names = [
        key.partition(".")[2]
        for key, value in fields.items()
        if key.startswith(("Resource_List.", *(f"{source}." for source in _ASSIGNED)))
        and value not in ("0", "")
    ]
    for key in ("select", "nodes"):
        asked = fields.get(f"Resource_List.{key}", "")
        names += [name for name, value in _PAIR.findall(asked) if value != "0"]
        names += re.findall(r"(?:^|[:+])([A-Za-z]\w*)(?=$|[:+])", asked)
    names += [re.split(r"[:@=]", entry)[0] for entry in _gres_entries(fields)]
    return uncounted(names)


def _nodes(fields: Mapping[str, str]) -> float:
    """Return the nodes of a job, or its chunks."""
    count = fields.get("Resource_List.nodect", "")
    if count.isdigit():
        return float(count)
    nodes = fields.get("Resource_List.nodes") or fields.get("Resource_List.neednodes") or "1"
    firsts = [re.match(r"(\d+)(?::|$)", part) for part in nodes.split("+")]
    return float(sum(int(first[1]) if first else 1 for first in firsts))


def _gres_entries(fields: Mapping[str, str]) -> list[str]:
    """Return what ``-l gres=gpus:2%matlab:1`` and ``-W x=GRES:gpus@2`` ask for, entry by entry."""
    texts = [fields[name] for name in ("Resource_List.gres", "gres") if name in fields]
    texts += re.findall(r"GRES[:=]([^;\s]+)", fields.get("x", ""), re.I)
    return [entry for text in texts for entry in re.split(r"[%,]|(?<=\d)\+", text) if entry]


def _gres(fields: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yield name and number of each generic resource that is an accelerator; 1 without a number."""
    for entry in _gres_entries(fields):
        name, _, rest = re.sub(r"[@+=]", ":", entry).partition(":")
        if is_device(name):
            count = device_count(rest) if rest else 1.0
            yield name, 1.0 if count is None else count


def _named(fields: Mapping[str, str], source: str) -> float:
    """Return the accelerators among the fields ``source.NAME``."""
    start = f"{source}."
    return devices_in(
        {key.removeprefix(start): value for key, value in fields.items() if key.startswith(start)}
    )


def _devices(chunk: str) -> float:
    """Return the accelerators in ``ncpus=16:ngpus=4``, or in ``a:ngpus=1+b:ngpus=1``."""
    return sum(devices_in(dict(_PAIR.findall(part))) for part in chunk.split("+"))


def _chunk(chunk: str) -> float:
    """Return the accelerators of ``2:ncpus=16:ngpus=4``, which stands for two chunks."""
    first = re.match(r"\s*(\d+)(?::|$)", chunk)
    return (float(first[1]) if first else 1.0) * _devices(chunk)


def _entries(part: str) -> int:
    """Return how many devices ``gn007-gpu/0`` or ``gn007-gpu/0-3`` names."""
    indices = part.rpartition("/")[2]
    count = 0
    for one in indices.split(","):
        first, _, last = one.partition("-")
        count += int(last) - int(first) + 1 if last.isdigit() and first.isdigit() else 1
    return count


def _tasks(text: str) -> float:
    """Return the accelerators of Torque 6's ``-L tasks=2:lprocs=8:gpus=1``."""
    tasks = re.search(r"tasks=(\d+)", text)
    return (float(tasks[1]) if tasks else 1.0) * _devices(text.replace(" ", ":"))
