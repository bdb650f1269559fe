"""The topology file that is written from a site, and jobs on its queues."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import clustersim as cs
from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.sites.chips import guess_chip
from clustersim.sites.site import Site, SiteNode, SitePartition
from clustersim.sites.topology_file import site_pools, unknown_types
from tests.sites.test_nodes import SCONTROL, SINFO


def written(tmp_path: Path, text: str, *options: str) -> Path:
    (tmp_path / "in.txt").write_text(text, encoding="utf-8")
    out = tmp_path / "mine.yaml"
    assert main(["topology", "--from", str(tmp_path / "in.txt"), "--out", str(out), *options]) == 0
    return out


def test_the_file_is_a_topology_with_the_nodes_in_service(tmp_path: Path) -> None:
    out = written(tmp_path, SINFO)
    spec = cs.load_cluster(out, cs.load_catalogue())
    (pool,) = spec.pools.values()
    assert (pool.accelerator, pool.nodes, pool.chips_per_node) == ("A100-80GB", 1, 4)
    assert pool.queues == ["long", "main"]
    text = out.read_text(encoding="utf-8")
    assert "# ASSUMED from the type 'a100'" in text
    assert "1 more node is out of service" in text


def test_unknown_types_are_said_and_can_be_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path, SCONTROL)
    assert "--accelerator p100=CHIP" in capsys.readouterr().out.replace("\n  ", " ")
    (tmp_path / "mine.yaml").unlink()
    out = written(tmp_path, SCONTROL, "--accelerator", "p100=H100", "--accelerator", "v100=H200")
    spec = cs.load_cluster(out, cs.load_catalogue())
    assert {name: pool.accelerator for name, pool in spec.pools.items()} == {
        "v100": "H200",
        "p100": "H100",
    }
    assert spec.empty_pools == ["gpu"]


def test_an_unknown_chip_or_a_second_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(SINFO, encoding="utf-8")
    source = str(tmp_path / "in.txt")
    assert main(["topology", "--from", source, "--accelerator", "a100=H1000"]) == 2
    assert main(["topology", "mixed-small", "--from", source]) == 2
    assert main(["topology", "mixed-small", "--out", "a.yaml"]) == 2
    (tmp_path / "mine.yaml").write_text("mine", encoding="utf-8")
    assert main(["topology", "--from", source, "--out", str(tmp_path / "mine.yaml")]) == 2


@pytest.mark.parametrize(
    ("kind", "name", "basis"),
    [
        ("a100", "A100-80GB", "type"),
        ("a100_3g.20gb", "A100-80GB", "type"),
        ("NVIDIA-A100-SXM4-40GB", "A100-40GB", "type"),
        ("nvidia_h100_80gb_hbm3", "H100", "type"),
        ("tesla_v100-sxm2-32gb", "V100-SXM2-32GB", "type"),
        ("910b", "910B2", "type"),
        ("Ascend910", "910B2", "nearest"),
        ("l40s", "L40S", "type"),
        ("rtx8000", "V100-SXM2-16GB", "nearest"),
        ("gpu", "A100-80GB", "unknown"),
    ],
)
def test_the_chip_of_a_type(kind: str, name: str, basis: str) -> None:
    guess = guess_chip(kind, [], cs.load_catalogue())
    assert (guess.name, guess.basis) == (name, basis)


def test_a_partition_tells_the_chip_where_the_type_does_not() -> None:
    guess = guess_chip("gpu", ["preempt", "h100"], cs.load_catalogue())
    assert (guess.name, guess.basis) == ("H100", "hint")


def nodes(*hints: str) -> Site:
    made = tuple(
        SiteNode(f"n{number}", {"gpu": 8}, hints=(hint,) if hint else ())
        for number, hint in enumerate(hints)
    )
    return Site("nodes.json", "kubectl get nodes", made, (), len(made))


def test_nodes_of_one_type_are_divided_by_the_chips_that_their_labels_name() -> None:
    site = nodes("p5.48xlarge", "p4de.24xlarge", "", "bm.h100", "p4de.24xlarge")
    found = site_pools(site, cs.load_catalogue())
    assert {pool.name: (pool.chip.name, pool.chip.basis, pool.nodes) for pool in found} == {
        "gpu-H100": ("H100", "hint", 2),
        "gpu-A100-80GB": ("A100-80GB", "hint", 2),
        "gpu-other": ("A100-80GB", "unknown", 1),
    }
    assert "gpu-other: A100-80GB" in (advice := unknown_types(found) or "")
    assert "H100" not in advice
    assert "--accelerator gpu-other=CHIP" in advice
    named = site_pools(site, cs.load_catalogue(), {"gpu-other": "B200"})
    assert [pool.chip.name for pool in named] == ["H100", "A100-80GB", "B200"]


def test_nodes_that_name_no_chip_have_that_of_the_others() -> None:
    (pool,) = site_pools(nodes("bm.h100", "", "rack-7"), cs.load_catalogue())
    assert (pool.name, pool.chip.name, pool.nodes) == ("gpu", "H100", 3)


@pytest.mark.parametrize("order", [1, -1])
def test_nodes_with_labels_of_other_chips_are_pools_of_their_own(order: int) -> None:
    """Chips that are not in the catalogue have pools apart from each other and from one that is."""
    site = nodes(*["NVIDIA-H100", "Tesla-T4", "Tesla-P100", "Tesla-T4-SHARED"][::order])
    found = site_pools(site, cs.load_catalogue())
    assert {pool.name: (pool.chip.name, pool.chip.basis, pool.nodes) for pool in found} == {
        "gpu-H100": ("H100", "hint", 1),
        "gpu-t4": ("V100-SXM2-16GB", "nearest", 2),
        "gpu-p100": ("V100-SXM2-16GB", "nearest", 1),
    }
    assert "2 types are not known" in (advice := unknown_types(found) or "")
    assert "--accelerator gpu-" in advice
    named = site_pools(site, cs.load_catalogue(), {"gpu-t4": "L40S"})
    assert {pool.name: pool.chip.name for pool in named}["gpu-t4"] == "L40S"


def of_partition(*hints: str) -> Site:
    site = nodes(*hints)
    own = tuple(replace(node, partitions=("h100-users",)) for node in site.nodes)
    return replace(site, nodes=own, partitions=(SitePartition("h100-users"),))


@pytest.mark.parametrize(
    ("hints", "chips"),
    [
        (["p4d.24xlarge"], ["A100-40GB"]),
        (["p4d.24xlarge", "g6e.48xlarge"], ["A100-40GB", "L40S"]),
        (["Tesla-T4"], ["V100-SXM2-16GB"]),
        (["rack7"], ["H100"]),
    ],
)
def test_labels_of_nodes_come_before_names_of_queues(hints: list[str], chips: list[str]) -> None:
    found = site_pools(of_partition(*hints), cs.load_catalogue())
    assert [pool.chip.name for pool in found] == chips


def test_a_type_comes_before_labels_even_if_it_is_not_in_the_catalogue() -> None:
    """A node with two types: the label is that of the A100; each is what its type says."""
    node = SiteNode("n", {"a100": 4, "rtx8000": 4}, hints=("a100",))
    found = site_pools(Site("s", "sinfo", (node,), (), 1), cs.load_catalogue())
    assert [pool.chip.name for pool in found] == ["A100-80GB", "V100-SXM2-16GB"]
    own = guess_chip("Ascend910", ["910B3"], cs.load_catalogue())  # a resource of several chips
    assert (own.name, own.basis) == ("910B3", "hint")


@pytest.mark.parametrize("hint", ["rack20", "rack40", "cn12080", "data10", "ch300", "at4"])
def test_parts_of_other_names_are_no_chips(hint: str) -> None:
    assert guess_chip("gpu", [hint], cs.load_catalogue()).basis == "unknown"


@pytest.mark.parametrize(
    ("machine", "chip"),
    [("ml.p4d.24xlarge", "A100-40GB"), ("ml.p5.48xlarge", "H100"), ("ml.p5e.48xlarge", "H200"),
     ("ml.g6e.48xlarge", "L40S"), ("g5.48xlarge", "A40"), ("ml.g5.xlarge", "A40"),
     ("g6.48xlarge", "L20"), ("g4dn.12xlarge", "V100-SXM2-16GB")],
)  # fmt: skip
def test_machine_types_of_sagemaker_and_with_chips_that_are_not_in_the_catalogue(
    machine: str, chip: str
) -> None:
    assert guess_chip("gpu", [machine], cs.load_catalogue()).name == chip


def test_a_named_chip_is_that_of_all_nodes_of_the_type() -> None:
    named = {"gpu": "B200"}
    (pool,) = site_pools(nodes("bm.h100", "bm.a100"), cs.load_catalogue(), named)
    assert (pool.chip.name, pool.chip.basis) == ("B200", "named")


@pytest.mark.parametrize(
    ("machine", "chip"),
    [
        ("p5en.48xlarge", "H200"),
        ("p5e.48xlarge", "H200"),
        ("p5.4xlarge", "H100"),
        ("p3dn.24xlarge", "V100-SXM2-32GB"),
        ("g6e.48xlarge", "L40S"),
        ("a4-highgpu-8g", "B200"),
        ("p4d.24xlarge", "A100-40GB"),
        ("a3-megagpu-8g", "H100"),
        ("a3-ultragpu-8g", "H200"),
        ("a2-ultragpu-8g", "A100-80GB"),
        ("Standard_ND96asr_v4", "A100-40GB"),
        ("Standard_ND96amsr_A100_v4", "A100-80GB"),
    ],
)
def test_machine_types_of_clouds_name_their_chip(machine: str, chip: str) -> None:
    assert guess_chip("gpu", [machine], cs.load_catalogue()).name == chip


def test_jobs_run_only_on_pools_of_their_queue() -> None:
    pools = {
        "a": {"accelerator": "H100", "nodes": 1, "queues": ["a", "both"]},
        "b": {"accelerator": "H100", "nodes": 1, "queues": ["b", "both"]},
    }
    tree = {"name": "queues", "pools": pools}
    cluster = cs.compile_cluster(cs.topology.resolve_cluster(tree, cs.load_catalogue()))
    jobs = pd.DataFrame({"job_id": [1, 2, 3, 4, 5], "submit_s": 0.0, "n_accelerators": 8})
    jobs = jobs.assign(duration_s=60.0, vc=["a", "a", "both", "b", "c"])
    result = cs.replay(jobs, policy="fcfs", cluster=cluster).jobs
    assert result["pool"].astype(object).tolist()[:4] == ["a", "a", "b", "b"]
    assert result["start_s"].tolist()[:4] == [0.0, 60.0, 0.0, 60.0]
    assert "does not exist" in result["reason"].iloc[4]


def test_without_any_accelerator_in_service_nothing_is_written(tmp_path: Path) -> None:
    from clustersim.sites import read_site

    path = tmp_path / "down.txt"
    path.write_text("NODELIST STATE GRES\nga1 down gpu:8\n", encoding="utf-8")
    with pytest.raises(InputError, match="no node with accelerators is in service"):
        site_pools(read_site(path), cs.load_catalogue())


def test_partitions_that_are_split_and_nodes_that_are_out_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "NODELIST|PARTITION|CPUS|MEMORY|STATE|TIMELIMIT|AVAIL_FEATURES|GRES"
    rows = [
        *("g[1-5]|gpu|8|9|mixed|1:00:00|(null)|gpu:h100:8", "g6|gpu|8|9|down*|1:00:00||gpu:h100:8"),
        *("g[4-5]|dev|8|9|mixed|1:00:00|(null)|gpu:h100:8", "a1|old|8|9|idle|1:00:00||gpu:a100:8"),
    ]
    (tmp_path / "nodes.txt").write_text("\n".join([head, *rows]) + "\n")
    out = tmp_path / "c.yaml"
    assert main(["topology", "--from", str(tmp_path / "nodes.txt"), "--out", str(out)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert (
        "no job spans two pools. The 5 nodes of partition gpu with H100 are divided into pools "
        "h100 (3) and h100-dev (2)" in printed
    )
    assert "the largest job of gpu has 3 nodes (24 accelerators)" in printed
    assert "1 node is out of service and left out (h100: 1)" in printed
    assert "write it back for validate, replay and what-if: nodes: 4 in pool h100." in printed
    assert "partition old" not in printed
    assert "# ASSUMED: no job spans two pools. The 5 nodes" in out.read_text()
