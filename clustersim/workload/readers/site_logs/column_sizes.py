"""Recognise the columns that tell the accelerators of a job."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from clustersim.workload.columns import UNIT_S
from clustersim.workload.readers.cells import given_cells
from clustersim.workload.readers.site_logs.column_names import english_key
from clustersim.workload.readers.site_logs.role_names import Roles

__all__ = ["find_sizes"]

_DEVICE = (
    r"(?:gpu|npu|tpu|mlu|dcu|gcu|xpu|hpu|accelerator|accel|card|device|chip|nvidiagpu|gpucard|"
    r"nvidiacomgpu|amdcomgpu|huaweicomascend\d*\w*)"
)
_COUNT = r"(?:n|nr|no|num|number|numberof|numof|nof|count|cnt|total|amount|qty|quantity)?"
_TAKEN = (
    r"(?:alloc|allocated|used|granted|assigned|provisioned|req|request|requested|reserved|demand|"
    r"demanded|needed)?"
)
_UNITS_OF_JOBS = {
    **dict.fromkeys(("node", "host", "machine", "server", "box"), "node"),
    **dict.fromkeys(("worker", "pod", "replica", "instance", "inst", "task", "rank"), "worker"),
    **dict.fromkeys(("member", "container", "executor", "process", "proc", "trainer"), "worker"),
    "parallelism": "worker",
}
_UNIT = "|".join(_UNITS_OF_JOBS)
_PER = re.compile(
    rf"{_COUNT}{_TAKEN}{_COUNT}{_DEVICE}s?{_COUNT}{_TAKEN}(?:per|each|by|in|x)(?P<unit>{_UNIT})s?"
    rf"|(?:per)?(?P<unit2>{_UNIT})s?{_COUNT}{_DEVICE}s?{_COUNT}|gpn"
)
_TOTAL = re.compile(
    rf"{_COUNT}{_TAKEN}{_COUNT}{_DEVICE}s?{_COUNT}{_TAKEN}{_COUNT}(?:perjob)?|scalefactor|"
    r"requestednumberofresources|nres|aiprocessors?|acceleratorstotal|"
    r"gpucompute(?:request|allocation)"
)
_DEVICE_TIME = re.compile(
    rf"(?:total|used|alloc|allocated)?{_DEVICE}s?(?:used|total)?"
    r"(?P<unit>hours|hour|hrs|hr|h|minutes|minute|mins|seconds|second|secs|s|days)(?:used|total)?"
)
"""Columns that tell the accelerators of a job times its run time."""
_ON_NODE = re.compile(
    rf"{_COUNT}(?:task|worker|rank|proc|process|pod|trainer)(?:e?s)?(?:per|each|by|on)(?:node|host)s?"
)
"""Columns that tell the workers of a node."""
_LISTS = re.compile(
    rf"{_TAKEN}{_DEVICE}s?(?:ids?|idx|index|indexes|indices|indicies|list|uuids?)|cudavisibledevices"
)
"""Columns that list the accelerators of a job one by one."""
_UNITS = re.compile(rf"{_COUNT}{_TAKEN}{_COUNT}(?P<unit>{_UNIT})s?{_COUNT}{_TAKEN}")
_TRES_CELL = r"gres/\w+|(?:^|[,;]\s*)(?:[gntxh]pu|dcu|mlu|gcu|ascend)s?(?::[\w.-]+)?[:=]\d"


def find_sizes(roles: Roles, free: list[str], table: pd.DataFrame | None) -> None:
    """Find the columns that tell the accelerators of a job."""
    squashes = {name: english_key(name) for name in free}
    per = {
        name: _UNITS_OF_JOBS[match["unit"] or match["unit2"] or "node"]
        for name in free
        if (match := _PER.fullmatch(squashes[name])) and _counts(table, name)
    }
    totals = [
        name
        for name in free
        if name not in per and _TOTAL.fullmatch(squashes[name]) and _counts(table, name)
    ]
    units = {
        name: _UNITS_OF_JOBS[match["unit"]]
        for name in free
        if (match := _UNITS.fullmatch(squashes[name])) and _counts(table, name)
    }
    for name, unit in per.items():
        alike = [other for other, kind in units.items() if kind == unit] or list(units)
        if alike:
            on_node = [other for other in free if _ON_NODE.fullmatch(squashes[other])]
            between = on_node[:1] if unit == "worker" and units[alike[0]] == "node" else []
            roles.factors = (alike[0], *between, name)
            break
    exact = [name for name in totals if re.search(r"alloc|used|granted|total", squashes[name])]
    if exact and _only_while_running(roles, totals, exact, table):
        totals = [name for name in totals if name not in exact]
        exact = []
    if totals and not (roles.factors and not exact and _is_request(totals[0])):
        roles.names["gpus"] = (exact or totals)[0]
        roles.more_gpus = _other_kinds(exact or totals, squashes)
        roles.factors = ()
        workers = [name for name, kind in units.items() if kind == "worker"]
        each = bool(workers) and squashes[workers[0]] in _WORKER_COUNTS
        if each and not exact and (_is_request(totals[0]) or "parallelism" in squashes[workers[0]]):
            roles.factors = (workers[0], totals[0])  # the request of one worker
            del roles.names["gpus"]
            roles.more_gpus = ()
    if not roles.has_size:
        _find_elsewhere(roles, free, squashes, table)


def _find_elsewhere(
    roles: Roles, free: list[str], squashes: Mapping[str, str], table: pd.DataFrame | None
) -> None:
    """Find columns that list accelerators, sum up their time, or have them in their cells."""
    if "resourcepool" in {english_key(name) for name in roles.names.values()}:
        slots = [name for name in free if squashes[name] == "slots"]  # as Determined calls them
        roles.names.update({"gpus": slots[0]} if slots else {})
    lists = [name for name in free if _LISTS.fullmatch(squashes[name])]
    if not roles.has_size and lists:
        roles.names["gpu_list"] = lists[0]
    if roles.has_size:
        return
    for name in free:
        match = _DEVICE_TIME.fullmatch(squashes[name])
        if match and _counts(table, name):
            roles.names["gpu_time"] = name
            roles.units["gpu_time"] = UNIT_S[match["unit"]]
            return
    if table is None:
        return
    for name in free:
        cells = table[name].astype("string")
        if cells.str.contains(_TRES_CELL, regex=True, case=False, na=False).any():
            tres = cells.str.contains("gres/", na=False).any()
            roles.names["tres" if tres else "gres"] = name
            return
        if cells.str.match(_CLOUD_CELL, na=False).any():
            roles.names["gpus"] = name
            return


_CLOUD_CELL = r"\d+x[\[(][A-Za-z][\w.-]*:\d"
"""How SkyPilot writes resources: nodes, chip and chips of a node, as in ``2x[H100:8]``."""
_KIND = re.compile("gpu|npu|tpu|mlu|dcu|gcu|xpu|hpu")


def _other_kinds(names: list[str], squashes: Mapping[str, str]) -> tuple[str, ...]:
    """Return the first column of each further kind of accelerator than that of the first."""
    kinds: dict[str, str] = {}
    for name in names:
        found = _KIND.search(squashes[name])
        if found:
            kinds.setdefault(found[0], name)
    return tuple(name for name in kinds.values() if name != names[0]) if len(kinds) > 1 else ()


_WORKER_COUNTS = {
    *("workernum", "workercount", "numworkers", "numberofworkers", "workers", "nworkers"),
    *("instnum", "instancecount", "instancenum", "numinstances", "instances", "ninstances"),
    *("podcount", "podnum", "numpods", "pods", "replicacount", "numreplicas", "replicas"),
    "parallelism",
}
"""Columns of workers beside which a request of accelerators is that of one worker."""


def _only_while_running(
    roles: Roles, totals: list[str], exact: list[str], table: pd.DataFrame | None
) -> bool:
    """Return whether only running jobs have their allocation recorded, and others a request."""
    end = roles.names.get("end")
    if table is None or end is None or len(totals) == len(exact):
        return False
    ended = table[given_cells(table[end])]

    def is_recorded(name: str) -> bool:
        return bool((pd.to_numeric(ended[name], errors="coerce") > 0).any())

    asked = [name for name in totals if name not in exact]
    return not any(is_recorded(name) for name in exact) and any(is_recorded(name) for name in asked)


def _is_request(name: str) -> bool:
    return "request" in english_key(name) or english_key(name).startswith("plan")


def _counts(table: pd.DataFrame | None, name: str) -> bool:
    """Return whether the cells of a column are numbers, not names of chips."""
    if table is None:
        return True
    cells = table[name]
    given = cells[given_cells(cells)].astype(str).str.strip().head(500)
    if not len(given):
        return False
    counts = given.str.fullmatch(
        r"\d+(?:[.,]\d+)?|[A-Za-z][\w -]*:\d+|(?:\w+:)*\d+(?:\(.*\))?|\d+\s*[x*]\s*\S+"
    )
    return bool(counts.mean() > 0.5)
