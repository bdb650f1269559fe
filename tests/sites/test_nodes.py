"""Nodes and partitions from small outputs of each command, with counts worked out by hand."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

from clustersim.errors import InputError
from clustersim.sites import read_site
from clustersim.sites.site import Site

SINFO = """\
Last login: Tue May 13 from 10.0.0.7
[ops@login ~]$ sinfo -N -o "%N %P %t %c %m %G"
NODELIST PARTITION STATE CPUS MEMORY GRES
ga1 main* mix 64 512000 gpu:a100:4(S:0-1),nvme:1
ga1 long mix 64 512000 gpu:a100:4(S:0-1),nvme:1
ga2 main* down* 64 512000 gpu:a100:4(S:0-1)
c1 cpu idle 96 192000 (null)
"""
GROUPED = """\
PARTITION|AVAIL|TIMELIMIT|NODES|STATE|NODELIST|GRES
h100*|up|2-00:00:00|2|mix|gh[01-02]|gpu:h100:8
h100*|up|2-00:00:00|1|drain|gh03|gpu:h100:8
all|up|infinite|2|mix|gh[01-02]|gpu:h100:8
all|up|infinite|1|drain|gh03|gpu:h100:8
"""
DEFAULT = """\
PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST
gpu*         up 2-00:00:00      2    mix ga[1-2]
gpu*         up 2-00:00:00      1   idle ga3
"""
SCONTROL = """\
NodeName=n1 Arch=x86_64 CoresPerSocket=32
   CPUAlloc=8 CPUEfctv=64 CPUTot=64 CPULoad=1.00
   AvailableFeatures=ampere ActiveFeatures=ampere
   Gres=gpu:v100:2,gpu:p100:2
   NodeAddr=n1 NodeHostName=n1 Version=23.02.7
   OS=Linux 5.14.0 #1 SMP State=odd Wed Apr 10
   RealMemory=257000 AllocMem=0 FreeMem=20000 Sockets=2 Boards=1
   State=MIXED ThreadsPerCore=1 TmpDisk=0 Weight=1 Owner=N/A MCS_label=N/A
   Partitions=long,short
   CfgTRES=cpu=64,mem=257000M,billing=64,gres/gpu=4,gres/gpu:v100=2,gres/gpu:p100=2
   AllocTRES=cpu=8,gres/gpu=1

NodeName=n2 Arch=x86_64 CoresPerSocket=32
   CPUTot=64 Gres=(null)
   State=IDLE+DRAIN ThreadsPerCore=1
   Partitions=long
   CfgTRES=cpu=64,mem=257000M,gres/gpu=4
   Reason=GPU fell off, State=IDLE [root@2025-05-09T14:20:31]
"""
PBSNODES = """\
gpu01
     Mom = gpu01.site
     ntype = PBS
     state = free
     pcpus = 64
     resources_available.mem = 527831088kb
     resources_available.ncpus = 64
     resources_available.ngpus = 4
     resources_available.gpu_model = a100
     resources_available.Qlist = gpu,long
     resources_assigned.ngpus = 2

gpu02
     state = down,offline
     resources_available.ncpus = 64
     resources_available.ngpus = 4
     resources_available.gpu_model = a100

old01
     state = job-exclusive
     np = 16
     ntype = cluster
     gpus = 2
"""
LSHOSTS = """\
HOST_NAME  gpu_id gpu_model        gpu_driver  gpu_factor numa_id vendor
hosta           0 TeslaK20c        384.10      70         0       Nvidia
                1 TeslaK20c        384.10      70         0       Nvidia
hostb           0 TeslaV100        384.10      90         0       Nvidia
hostc           -               -       -       -       -       -
"""
BHOSTS = """\
HOST_NAME|STATUS|MAX|NGPUS
hosta|ok|64|4
hostb|closed_Adm|64|4
hostc|closed_Full|64|8
hostd|unavail|64|-
"""


def read(tmp_path: Path, text: str, name: str = "nodes.txt", **options: object) -> Site:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_site(path, **options)  # type: ignore[arg-type]


def working(site: Site) -> dict[str, int]:
    return site.by_type(of=lambda node: node.in_service)


def test_sinfo_by_node_counts_a_node_once_and_reads_past_banners(tmp_path: Path) -> None:
    site = read(tmp_path, SINFO)
    assert site.by_type() == {"a100": 8}
    assert working(site) == {"a100": 4}
    first = site.nodes[0]
    assert (first.name, first.partitions, first.cpus) == ("ga1", ("main", "long"), 64)
    assert {each.name: each.default for each in site.partitions} == {
        "main": True, "long": False, "cpu": False,
    }  # fmt: skip


def test_sinfo_by_group_reads_lists_of_hosts_and_limits(tmp_path: Path) -> None:
    site = read(tmp_path, GROUPED)
    assert (site.by_type(), working(site)) == ({"h100": 24}, {"h100": 16})
    assert [(each.name, each.max_time_s) for each in site.partitions] == [
        ("h100", 172800.0),
        ("all", None),
    ]


def test_default_sinfo_is_refused_unless_a_number_is_assumed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no numbers of accelerators.*--gpus-per-node"):
        read(tmp_path, DEFAULT)
    site = read(tmp_path, DEFAULT, gpus_per_node=8)
    assert site.by_type() == {"gpu": 24}
    assert "--gpus-per-node" in site.notes[-1]


def test_sinfo_without_a_header_takes_the_columns(tmp_path: Path) -> None:
    rows = "ga1|main|idle|gpu:h100:8\nga2|main|drain|gpu:h100:8\n"
    site = read(tmp_path, rows, columns=["NODELIST", "PARTITION", "STATE", "GRES"])
    assert (site.by_type(), working(site)) == ({"h100": 16}, {"h100": 8})


@pytest.mark.parametrize("one_line", [False, True])
def test_scontrol_reads_gres_once_and_free_text_is_no_key(tmp_path: Path, one_line: bool) -> None:
    text = SCONTROL
    if one_line:
        text = "\n".join(" ".join(block.split("\n")) for block in SCONTROL.split("\n\n"))
    site = read(tmp_path, text)
    assert site.by_type() == {"v100": 2, "p100": 2, "gpu": 4}
    assert [node.state for node in site.nodes] == ["MIXED", "IDLE+DRAIN"]
    assert working(site) == {"v100": 2, "p100": 2}
    assert site.nodes[0].memory_mb == 257000


def test_pbsnodes_reads_vendors_keys_of_both_kinds(tmp_path: Path) -> None:
    site = read(tmp_path, PBSNODES)
    assert (site.by_type(), working(site)) == ({"a100": 8, "gpu": 2}, {"a100": 4, "gpu": 2})
    assert site.nodes[0].partitions == ("gpu", "long")
    assert site.nodes[0].memory_mb == 515460


def test_lsf_has_a_line_for_each_gpu_or_a_number(tmp_path: Path) -> None:
    by_gpu = read(tmp_path, LSHOSTS)
    assert by_gpu.by_type() == {"TeslaK20c": 2, "TeslaV100": 1}
    assert len(by_gpu.nodes) == 3
    numbers = read(tmp_path, BHOSTS, "bhosts.txt")
    assert (numbers.by_type(), working(numbers)) == ({"gpu": 16}, {"gpu": 12})


def test_json_of_scontrol_and_sinfo_agree(tmp_path: Path) -> None:
    nodes = [
        {"name": "g1", "state": ["MIXED"], "gres": "gpu:h100:8(S:0-1)", "cpus": 96,
         "real_memory": 1000, "partitions": ["main"], "tres": "cpu=96,gres/gpu=8"},
        {"name": "g2", "state": "idle", "state_flags": ["DRAIN"], "gres": "gpu:h100:8",
         "cpus": 96, "real_memory": 1000, "partitions": ["main"]},
    ]  # fmt: skip
    sinfo = [
        {
            "node": {"state": state},
            "nodes": {"total": 1, "nodes": [name]},
            "cpus": {"maximum": 96},
            "memory": {"maximum": 1000},
            "gres": {"total": "gpu:h100:8(S:0-1)", "used": "gpu:h100:4(IDX:0-3)"},
            "partition": {"name": "main", "maximums": {"time": {"set": True, "number": 60}}},
        }
        for name, state in (("g1", ["MIXED"]), ("g2", ["IDLE", "DRAIN"]))
    ]
    first = read(tmp_path, json.dumps({"nodes": nodes}), "a.json")
    second = read(tmp_path, json.dumps({"sinfo": sinfo}), "b.json")
    assert first.by_type() == second.by_type() == {"h100": 16}
    assert working(first) == working(second) == {"h100": 8}
    assert second.partitions[0].max_time_s == 3600.0


def test_kubernetes_nodes_as_json_and_yaml(tmp_path: Path) -> None:
    def node(name: str, ready: str, **spec: object) -> dict[str, object]:
        return {
            "kind": "Node",
            "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB"}},
            "spec": spec,
            "status": {
                "capacity": {"cpu": "96", "memory": "1056Gi", "nvidia.com/gpu": "8"},
                "conditions": [{"type": "Ready", "status": ready}],
            },
        }

    ascend = {
        "kind": "Node",
        "metadata": {"name": "npu1", "labels": {}},
        "status": {
            "capacity": {"huawei.com/Ascend910": 8},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    items = [node("a", "True"), node("b", "Unknown"), node("c", "True", unschedulable=True), ascend]
    text = json.dumps({"kind": "List", "apiVersion": "v1", "items": items})
    site = read(tmp_path, text, "nodes.json")
    assert site.by_type() == {"NVIDIA-H100-80GB": 24, "Ascend910": 8}
    assert working(site) == {"NVIDIA-H100-80GB": 8, "Ascend910": 8}
    yaml = """\
apiVersion: v1
kind: List
items:
- kind: Node
  metadata: {name: a}
  status:
    capacity: {nvidia.com/gpu: "4"}
    conditions: [{type: Ready, status: "True"}]
"""
    assert read(tmp_path, yaml, "nodes.yaml").by_type() == {"gpu": 4}


def test_virtual_clusters_by_day_become_nodes(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {"date": ["2020-04-01"] * 2 + ["2020-04-02"] * 2, "vc": ["a", "b"] * 2,
         "gpus": [16, 8, 24, 12]}
    )  # fmt: skip
    table.to_csv(tmp_path / "vc.csv", index=False)
    site = read_site(tmp_path / "vc.csv")
    assert [site.document()["partitions"][vc]["accelerators"] for vc in "ab"] == [24, 12]
    assert [len(site.nodes_of(vc)) for vc in "ab"] == [3, 2]
    earlier = read_site(tmp_path / "vc.csv", date="2020-04-01", gpus_per_node=4)
    assert len(earlier.nodes_of("a")) == 4
    with pytest.raises(InputError, match="has no 2021"):
        read_site(tmp_path / "vc.csv", date="2021-01-01")


def test_packed_and_oddly_encoded_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sinfo.txt.gz"
    path.write_bytes(gzip.compress(SINFO.replace("\n", "\r\n").encode("utf-16")))
    assert read_site(path).by_type() == {"a100": 8}


@pytest.mark.parametrize(
    ("text", "problem"),
    [("hello world\n", "not recognised"), ('{"nodes": [{"name": "a"', "damaged JSON")],
)
def test_what_is_no_list_of_nodes_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read(tmp_path, text)
