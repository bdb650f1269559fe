"""Pictures of the load of links: what is drawn, where, and whether it can be read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb

import clustersim as cs
from clustersim.errors import InputError
from clustersim.network.trunks import trunk_graph
from clustersim.plots.fabric.link_load import (
    LINK_LEVELS,
    LOAD_MAP,
    UNKNOWN,
    colours_of,
    trunk_of_vertex,
    widths_of,
)
from clustersim.plots.fabric.load_over_time import plot_busiest_links, plot_link_load
from clustersim.plots.fabric.topology import draw_topology
from clustersim.plots.figure import study_figure
from clustersim.plots.style import save_figure
from clustersim.topology import ClusterSpec, compile_cluster, resolve_cluster
from tests.plots.test_study_legibility import assert_legible
from tests.topology.test_drawing import check_legible

CATALOGUE = cs.load_catalogue()
RAIL = {"type": "rail-optimised", "oversubscription": {"leaf": 4, "spine": 2}}
FABRICS: dict[str, tuple[dict[str, Any], int]] = {
    "eight nodes": ({**RAIL, "unit_nodes": 4}, 8),
    "three tiers": ({**RAIL, "unit_nodes": 2, "radix": 8, "units_per_pod": 2}, 16),
    "last unit not full": ({**RAIL, "unit_nodes": 4, "radix": 16, "units_per_pod": 2}, 22),
    "thousand nodes": ({**RAIL, "unit_nodes": 32}, 1056),
    "many leaves": ({**RAIL, "unit_nodes": 4}, 1200),
    "fat tree": ({"type": "fat-tree", "k": 4}, 14),
    "large fat tree": ({"type": "fat-tree"}, 432),
    "dragonfly": (
        {"type": "dragonfly", "nodes_per_router": 2, "routers_per_group": 4, "global_links": 2},
        70,
    ),
    "torus": ({"type": "torus", "dims": [4, 4]}, 16),
}


def spec_of(*pools: tuple[dict[str, Any], int]) -> ClusterSpec:
    tree = {
        f"p{place}": {"accelerator": "H200", "nodes": nodes, "fabric": fabric}
        for place, (fabric, nodes) in enumerate(pools)
    }
    between = {"rate": "1 Tb/s"} if len(pools) > 1 else None
    return resolve_cluster({"name": "c", "pools": tree, "datacenter_network": between}, CATALOGUE)


def loads_of(spec: ClusterSpec) -> pd.DataFrame:
    """Made-up loads of all trunks of a cluster but the last group of each level."""
    rng, rows = np.random.default_rng(1), []
    for name, pool in spec.pools.items():
        for level, trunk in zip(LINK_LEVELS, pool.build_fabric().trunks(), strict=False):
            rows += [
                {"pool": name, "level": level, "group": group, "mean": rng.random(), "peak": 1.0}
                for group in range(trunk.n_groups - 1)
            ]
        if len(spec.pools) > 1:
            rows.append({"pool": name, "level": "datacenter", "group": 0, "mean": 0.3, "peak": 0.4})
    return pd.DataFrame(rows, columns=["pool", "level", "group", "mean", "peak"])


@pytest.mark.parametrize("name", FABRICS)
def test_fabrics_with_loads_are_legible(name: str) -> None:
    spec = spec_of(FABRICS[name])
    check_legible(draw_topology(spec, load=loads_of(spec), note="a note at the foot"))


def test_several_pools_are_legible() -> None:
    spec = spec_of(FABRICS["eight nodes"], FABRICS["thousand nodes"], FABRICS["torus"])
    figure = draw_topology(spec, load=loads_of(spec))
    check_legible(figure)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sum("mean load 30 %, highest 40 %" in text for text in texts) == 3


@pytest.mark.parametrize("name", ["eight nodes", "three tiers", "last unit not full", "fat tree"])
def test_links_belong_to_the_trunks_that_the_simulation_uses(name: str) -> None:
    """From each node up: its switches have the groups that its trunks have in the trunk graph."""
    spec = spec_of(FABRICS[name])
    (pool,) = spec.pools.values()
    fabric, graph = pool.build_fabric(), trunk_graph(compile_cluster(spec))
    reached = [{node} for node in range(pool.nodes)]
    for level, (wire, groups) in enumerate(
        zip(fabric.wiring(merge=True), trunk_of_vertex(fabric), strict=False)
    ):
        for node, vertices in enumerate(reached):
            above = {
                int(up)
                for low, up in zip(wire.lower, wire.upper, strict=True)
                if int(low) in vertices
            }
            trunk = graph.up_of_node[2 + level, node]
            assert {int(groups[vertex]) for vertex in above} == {int(graph.group[trunk])}
            reached[node] = above


def test_a_leaf_has_its_colour_and_its_load_in_words() -> None:
    spec = spec_of(({**RAIL, "unit_nodes": 4}, 12))
    table = pd.DataFrame(
        {"pool": "p0", "level": "leaf", "group": [0, 1], "mean": [0.9, 0.1], "peak": [1.0, 0.4]}
    )
    ax = draw_topology(spec, load=table).axes[0]
    texts = [text.get_text() for text in ax.texts]
    assert {"leaf 0\n90 %", "leaf 1\n10 %", "leaf 2"} <= set(texts)
    assert any("busiest: leaf 0, mean load 90 %, highest 100 %" in text for text in texts)
    (lines,) = [each for each in ax.collections if isinstance(each, LineCollection)]
    drawn = {
        round(float(segment[0][0]), 3): to_hex(ink)
        for segment, ink in zip(lines.get_segments(), lines.get_colors(), strict=True)
    }
    inks = [drawn[x] for x in sorted(drawn)]
    assert inks == [to_hex(LOAD_MAP(0.9)), to_hex(LOAD_MAP(0.1)), UNKNOWN]


def test_colours_grow_darker_and_links_thicker_with_the_load() -> None:
    loads = np.linspace(0, 1, 50)
    bright = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in map(to_rgb, colours_of(loads))]
    assert (np.diff(bright) < 0).all()
    assert (np.diff(widths_of(loads)) > 0).all()
    assert colours_of([np.nan]) == [UNKNOWN]


def test_a_large_pool_has_a_cell_for_each_leaf_up_to_a_number() -> None:
    cells = {}
    for nodes in (33 * 32, 240 * 32):
        spec = spec_of(({**RAIL, "unit_nodes": 32}, nodes))
        ax = draw_topology(spec, load=loads_of(spec)).axes[0]
        ys = [round(patch.get_y(), 3) for patch in ax.patches if hasattr(patch, "get_y")]
        cells[nodes] = max(ys.count(y) for y in set(ys))
        assert any("cell for each leaf or pod" in text.get_text() for text in ax.texts)
    assert 33 <= cells[33 * 32] <= 33 + 53, "the legend has 50 cells and two frames"
    assert 120 <= cells[240 * 32] <= 123


def test_drawings_with_loads_are_the_same_bytes(tmp_path: Any) -> None:
    spec = spec_of(FABRICS["eight nodes"], FABRICS["thousand nodes"])
    first, second = (
        save_figure(draw_topology(spec, load=loads_of(spec)), tmp_path / str(k), ("png", "svg"))
        for k in range(2)
    )
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()


def network_load(loads: dict[tuple[str, str, int], list[float]], step_s: float) -> pd.DataFrame:
    times = range(len(next(iter(loads.values()))))
    return pd.DataFrame(
        [
            {"time_s": step_s * k, "pool": pool, "level": level, "group": g, "utilisation": own[k]}
            for k in times
            for (pool, level, g), own in loads.items()
        ]
    )


def test_loads_over_time_by_hand() -> None:
    """Two leaves of 100 % and 0 %, then the other way round; a pod of 50 %; an unused pool."""
    load = network_load(
        {
            ("a", "leaf", 0): [1.0, 0.0, 0.0],
            ("a", "leaf", 1): [0.0, 0.5, 0.0],
            ("a", "spine", 0): [0.5, 0.5, 0.0],
            ("a", "datacenter", 0): [0.0, 0.0, 0.0],
        },
        40.0,
    )
    figure = study_figure(2, width=7.0, columns=1)
    ax = plot_link_load(load, ax=figure.panels[0])
    names = [text.get_text() for text in ax.texts]
    assert names == ["leaves", "pods"]
    lines = [patch for patch in ax.patches if not patch.get_fill()]
    leaf, pod = (np.asarray(line.get_data().values, dtype=float) for line in lines)
    np.testing.assert_allclose(leaf, np.repeat([0.5, 0.25], 40))
    np.testing.assert_allclose(pod, 0.5)
    filled = [patch for patch in ax.patches if patch.get_fill()]
    most = np.asarray(filled[0].get_data().values, dtype=float)
    np.testing.assert_allclose(most, np.repeat([1.0, 0.5], 40))
    busy = plot_busiest_links(load, ax=figure.panels[1])
    labels = [text.get_text() for text in busy.get_yticklabels()]
    assert labels == ["leaf 0, 50 %", "pod 0, 50 %", "leaf 1, 25 %", "pool a, 0 %"]
    (image,) = busy.images
    cells = np.asarray(image.get_array(), dtype=float)
    np.testing.assert_allclose(cells[0], np.repeat([1.0, 0.0], 80))
    np.testing.assert_allclose(cells[2], np.repeat([0.0, 0.5], 80))
    FigureCanvasAgg(figure).draw()
    assert_legible(figure)


def test_the_busiest_links_of_many_pools_are_legible() -> None:
    rng = np.random.default_rng(2)
    loads = {
        (f"pool-{p}", level, g): rng.random(30).tolist()
        for p in range(4)
        for level in ("leaf", "spine")
        for g in range(8)
    }
    figure = study_figure(2, width=7.0, columns=1)
    ax = plot_link_load(network_load(loads, 3600.0), ax=figure.panels[0])
    assert [text.get_text() for text in ax.texts] == ["leaves", "pods"], "levels, as pools are many"
    busy = plot_busiest_links(network_load(loads, 3600.0), ax=figure.panels[1])
    assert len(busy.get_yticks()) == 12
    assert_legible(figure)


def test_runs_without_loads_are_refused() -> None:
    jobs = pd.DataFrame({"job_id": [1], "submit_s": 0, "n_accelerators": 8, "duration_s": 60})
    result = cs.replay(jobs, policy="fcfs", accelerators=8)
    for load in (result, result.network_load):
        with pytest.raises(InputError, match="did not simulate the network"):
            plot_link_load(load)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no job used a link that can be full"):
        plot_busiest_links(network_load({("a", "leaf", 0): [1.0]}, 1.0).head(0))
