"""`clustersim traffic`: tables, JSON, and options that cannot be used together."""

from __future__ import annotations

import json

import pytest

from clustersim import compile_cluster, load_catalogue, load_cluster
from clustersim.cli.main import main
from clustersim.cli.texts.traffic_text import traffic_data, traffic_text
from clustersim.errors import InputError
from clustersim.estimation.traffic_estimate import estimate_traffic

JOB = ("traffic", "--model", "llama3-8b", "--accelerator", "H200", "--count", "8")
CATALOGUE = load_catalogue()
POD = compile_cluster(load_cluster("h200-superpod", CATALOGUE))


def test_a_job_on_one_node_and_on_eight(capsys: pytest.CaptureFixture[str]) -> None:
    """The same bytes over the links of the node, or over the network."""
    steps, sent = [], []
    for nodes in ("3", "0-3,32-35"):
        assert main([*JOB, "--topology", "h200-superpod", "--nodes", nodes, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        steps.append(found["slowdown"])
        chip = found["chip_on_nodes"]
        sent.append((chip["scaleup_bytes"]["data"], chip["nic_bytes"]["data"]))
        levels = {level: sum(kind[level] for kind in found["level_bytes"].values())
                  for level in ("scale-up", "rail", "leaf")}  # fmt: skip
    assert steps[0] == 1.0 < steps[1]
    assert sent[0] == pytest.approx(sent[1][::-1])
    # Two of the eight hops of the ring lead from one unit to another.
    assert levels["leaf"] == pytest.approx(levels["rail"] / 4)
    assert levels["scale-up"] == 0.0
    assert found["rail_aligned"] == 1.0
    assert found["chips_on_node"] == [1] * 8


@pytest.mark.parametrize(
    ("placement", "nodes"), [("packed", (0, 1)), ("spread", tuple(range(0, 128, 8)))]
)
def test_placements(placement: str, nodes: tuple[int, ...]) -> None:
    found = estimate_traffic("llama3-8b", "H200", 16, cluster=POD, placement=placement)
    assert found.nodes == nodes
    assert sum(found.chips_on_node) == 16
    assert (found.slowdown == 1.0) == (placement == "packed")


def test_text_within_a_hundred_columns() -> None:
    for model, placement in (("deepseek-v3", "spread"), ("llama3-70b", "packed")):
        found = estimate_traffic(model, "H200", 500 + 12, cluster=POD, placement=placement)
        text = traffic_text(found)
        assert max(map(len, text.splitlines())) <= 100
        for word in ("ideal placement", "exposed", "datacenter", "rail"):
            assert word in text
        assert traffic_data(found)["slowdown"] == found.slowdown
    assert "no communication" in traffic_text(
        estimate_traffic("llama3-8b", "H200", 1, plan="lora=1")
    )


def test_plan_that_does_not_fit_is_noted() -> None:
    found = estimate_traffic("llama3-70b", "H200", 8, plan="dp=8,zero=1")
    assert "The plan does not fit in the memory of the chips." in found.notes


def test_chips_are_divided_among_the_nodes() -> None:
    packed = estimate_traffic("llama3-8b", "H200", 12, cluster=POD, plan="dp=12")
    assert packed.chips_on_node == (8, 4)
    assert packed.slowdown == 1.0
    assert packed.levels is not None
    assert packed.levels.inside == 8
    thirds = estimate_traffic("llama3-8b", "H200", 10, cluster=POD, nodes=[0, 1, 2], plan="dp=10")
    assert thirds.chips_on_node == (4, 3, 3)
    assert thirds.slowdown > 1.0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--nodes", "0"), "--nodes needs --topology"),
        (("--placement", "packed"), "--placement needs --topology"),
        (("--topology", "h200-superpod", "--nodes", "0", "--placement", "spread"), "either"),
        (("--topology", "h200-superpod", "--nodes", "3-1"), "--nodes: must be numbers and ranges"),
        (("--topology", "h200-superpod", "--nodes", "0-9"), "10 nodes of 8 chips hold a job of"),
        (("--topology", "h200-superpod", "--nodes", "0,0"), "error: traffic: nodes: must not"),
        (("--topology", "h200-superpod", "--nodes", "999"), "unknown node 999"),
        (("--topology", "h20-pod"), "unknown accelerator in the topology 'H200'"),
        (("--topology", "mixed-small", "--nodes", "31-32"), "nodes: must be in one pool with H200"),
        (("--topology", "h200-superpod", "--placement", "pack"), "did you mean 'packed'"),
        (("--topology", "h200-superpod", "--count", "4096"), "the chips of pool"),
        (("--plan", "tp=3"), "tp"),
    ],
)
def test_what_cannot_be_used_is_refused(
    options: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*JOB, *options]) == 2
    assert problem in capsys.readouterr().err


def test_no_plan_that_fits_is_an_error() -> None:
    with pytest.raises(InputError, match="no plan fits: llama3-405b on 8 H200 chips needs"):
        estimate_traffic("llama3-405b", "H200", 8)
