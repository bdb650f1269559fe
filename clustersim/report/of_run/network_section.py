"""Section of the page of a run: what its jobs lost to the network, and which links were busy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from clustersim.analysis.link_load import link_loads
from clustersim.analysis.network_slowdown import SLOWED, has_network, slowdowns_by_size
from clustersim.errors import InputError
from clustersim.forecasting.saved_run import topology_of_run
from clustersim.plots.fabric.load_over_time import draw_link_load
from clustersim.plots.fabric.topology import draw_topology
from clustersim.plots.parts.page_picture import page_picture
from clustersim.plots.style import svg_text
from clustersim.report.page import Figure, Table
from clustersim.report.run_tables import table_file
from clustersim.simulation.metrics import network_loss
from clustersim.simulation.result import Result
from clustersim.topology import ClusterSpec
from clustersim.units import format_percent

__all__ = ["network_section"]

_MOST_LINKS = 20
_UNITS = {"leaf": "leaf", "spine": "pod", "datacenter": "pool"}
_LOAD = (
    "Load: expected traffic divided by capacity. Jobs compute and communicate in turns, and slow "
    "each other down when they communicate at the same time; so they lose time even if the load is "
    "below 100 %."
)
_LABELS = {
    "size": "accelerators of the job",
    "slowed": f"slowed down by more than {SLOWED - 1:.0%}".replace("%", " %"),
    "lost": "accelerator time lost",
    "mean": "mean slowdown",
    "median": "median",
    "p95": "95th percentile",
    "most": "largest",
}


def network_section(result: Result, folder: Path | None) -> list[str | Figure | Table]:
    """Return pictures and tables of the load of links and of the slowdown of jobs.

    Empty for a run that did not simulate the network.
    """
    if not has_network(result) or result.attempts is None:
        return []
    lost = (
        f"Jobs lose {format_percent(network_loss(result.attempts))} of their accelerator time to "
        "the network: to nodes that are far apart, and to other jobs on the same links."
    )
    sizes = slowdowns_by_size(result)
    tables = [] if sizes.empty else [_slowdowns(sizes)]
    load = result.network_load
    if load is None:
        alone = "Jobs do not slow each other down in this run (network.contention is false)."
        return [lost, alone, *tables]
    if load.empty:
        return [lost, "No job used a link that can be full.", *tables]
    loads = link_loads(load, float(result.provenance["simulated_s"]))
    figure = draw_link_load(result)
    return [
        f"{lost} {_busiest(loads)}",
        Figure("Load of shared links", page_picture(figure), f"{_LOAD} {figure.caption}"),
        *_fabrics(result, loads),
        *tables,
        Table(
            "Busiest shared links",
            _busiest_first(loads).head(_MOST_LINKS).assign(group=_groups),
            labels={"group": "out of", "mean": "mean load", "peak": "highest load"},
            formats=dict.fromkeys(("mean", "peak"), format_percent),
            file=table_file("network_load", folder),
        ),
    ]


def _slowdowns(sizes: pd.DataFrame) -> Table:
    return Table(
        "Network slowdown by job size",
        sizes,
        "Slowdown: the time for which a job held its accelerators, divided by that time without "
        "what it lost to the network. Only finished jobs are included.",
        labels=_LABELS,
        formats=dict.fromkeys(("slowed", "lost"), format_percent),
    )


def _busiest_first(loads: pd.DataFrame) -> pd.DataFrame:
    order = loads.sort_values(["mean", "peak"], ascending=False, kind="stable")
    return order.reset_index(drop=True)


def _groups(loads: pd.DataFrame) -> list[str]:
    """Return what each trunk leads out of."""
    return [
        f"{_UNITS[level]} {group}" if level != "datacenter" else "the pool"
        for level, group in zip(loads["level"], loads["group"], strict=True)
    ]


def _busiest(loads: pd.DataFrame) -> str:
    """Return a sentence about the busiest trunk."""
    row = _busiest_first(loads).head(1)
    (name,), pool = _groups(row), str(row["pool"].iloc[0])
    of_pool = f"pool {pool}" if name == "the pool" else f"{name} of pool {pool}"
    mean, most = (format_percent(float(row[column].iloc[0]), 0) for column in ("mean", "peak"))
    return (
        f"The busiest shared link leads out of {of_pool}; its load is {mean} on average, and "
        f"{most} at most."
    )


def _fabrics(result: Result, loads: pd.DataFrame) -> Iterator[Figure]:
    """Yield a drawing of each pool with load on its links, if the topology of the run is known."""
    try:
        spec = topology_of_run(result)
    except InputError:
        return
    used = loads[loads["level"] != "datacenter"]
    for name in dict.fromkeys(used["pool"]):
        if spec is None or name not in spec.pools:
            continue
        only = {"pools": {name: spec.pools[name]}, "datacenter_network": None}
        alone: ClusterSpec = spec.model_copy(update=only)
        figure = draw_topology(alone, load=used)
        yield Figure(
            f"Load of the links of pool {name}",
            svg_text(figure),
            "Colours: mean load from time 0 to the end. All uplinks of a leaf count as one link, "
            "and so do those of a pod.",
        )
