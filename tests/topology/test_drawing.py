"""Pictures and the command: legible (no text cut or overlapping), the same bytes each time."""

from __future__ import annotations

import argparse
from itertools import combinations

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from clustersim.cli import topology as command
from clustersim.errors import InputError
from clustersim.plots.fabric.topology import draw_topology, plot_topology
from clustersim.plots.style import new_figure, save_figure
from clustersim.topology import load_cluster, topology_names

OTHERS = {
    "torus": ({"type": "torus", "dims": [4, 4]}, 16),
    "torus 3-D": ({"type": "torus", "dims": [3, 3, 4]}, 36),
    "mesh": ({"type": "full-mesh"}, 12),
    "fat tree": ({"type": "fat-tree", "k": 4}, 16),
    "none": ({"type": "none"}, 500),
    "large torus": ({"type": "torus", "dims": [10, 50]}, 500),
    "dragonfly": (
        {"type": "dragonfly", "nodes_per_router": 2, "routers_per_group": 4, "global_links": 2},
        72,
    ),
    "large dragonfly": (
        {"type": "dragonfly", "nodes_per_router": 4, "routers_per_group": 8, "global_links": 4},
        1000,
    ),
    "three tiers": (
        {"type": "rail-optimised", "unit_nodes": 2, "radix": 8, "units_per_pod": 2},
        16,
    ),
}


def check_legible(figure) -> None:
    """No text leaves the figure, overlaps another or is smaller than 6 points."""
    canvas = FigureCanvasAgg(figure)
    renderer = canvas.get_renderer()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    assert texts
    boxes = [text.get_window_extent(renderer) for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        assert text.get_fontsize() >= 6, text
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.width, text
        assert box.y1 <= figure.bbox.height, text
    for (one, first), (other, second) in combinations(zip(texts, boxes, strict=True), 2):
        assert not first.overlaps(second), (one.get_text(), other.get_text())


@pytest.mark.parametrize("name", topology_names())
def test_files_are_drawn_legibly(name, catalogue):
    note = "a note at the foot that is long enough to need a second line on a narrow drawing " * 2
    check_legible(draw_topology(load_cluster(name, catalogue), note=note))


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_other_fabrics_are_drawn_legibly(name, make_spec):
    fabric, nodes = OTHERS[name]
    check_legible(draw_topology(make_spec(fabric, nodes, 2)))


def test_plot_uses_the_axes_it_is_given(catalogue):
    ax = new_figure(10, 6).add_subplot()
    assert plot_topology(load_cluster("h200-superpod", catalogue), ax=ax) is ax
    assert plot_topology(load_cluster("h200-superpod", catalogue)).texts


def test_saved_pictures_are_the_same_bytes(tmp_path, catalogue):
    spec = load_cluster("mixed-small", catalogue)
    one = save_figure(draw_topology(spec), tmp_path / "one" / "x")
    two = save_figure(draw_topology(spec), tmp_path / "two" / "x")
    assert [path.suffix for path in one] == [".png", ".svg"]
    for first, second in zip(one, two, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_unknown_picture_format(tmp_path):
    with pytest.raises(InputError, match="allowed: png, svg, pdf"):
        save_figure(new_figure(), tmp_path / "x", formats=("bmp",))


def run(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    args = parser.parse_args(["topology", *arguments])
    return args.run(args)


def test_command_prints_the_tables(capsys):
    assert run("bytedance-2026") == 0
    out = capsys.readouterr().out
    for part in ("774,808", "96,851", "spine-core", "1:1", "51.2 Tb/s", "SeedChip is hypothetical"):
        assert part in out


def test_command_prints_virtual_clusters_and_no_needless_note(capsys):
    assert run("philly-like") == 0
    out = capsys.readouterr().out
    assert "6214e9" in out
    assert "hypothetical" not in out


def test_command_draws(tmp_path, capsys):
    target = tmp_path / "pod.png"
    assert run("h20-pod", "--plot", str(target)) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert str(target) in capsys.readouterr().out


def test_command_takes_chips_of_the_users_own(tmp_path, capsys):
    chips = tmp_path / "chips.yaml"
    chips.write_text("accelerators:\n  MyChip:\n    extends: H20\n    chips_per_node: 16\n")
    cluster = tmp_path / "mine.yaml"
    cluster.write_text("name: mine\npools:\n  p: {accelerator: MyChip, nodes: 3}\n")
    assert run(str(cluster), "--catalogue", str(chips)) == 0
    assert "48" in capsys.readouterr().out
