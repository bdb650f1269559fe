"""Nodes from configurations and from what commands print for people, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import clustersim as cs
from clustersim.errors import InputError
from clustersim.sites import read_site
from clustersim.sites.topology_file import site_pools, topology_text

CONF = """\
NodeName=c1 CPUs=96
NodeName=DEFAULT CPUs=64 \\
    Gres=gpu:h100:8
NodeName=n[1-3] State=UNKNOWN   # three alike
NodeName=n4 State=DOWN
NodeSet=some Nodes=n[1-2]
PartitionName=gpu Nodes=some Default=YES MaxTime=1-00:00:00
PartitionName=all Nodes=ALL MaxTime=INFINITE
"""
GRES = """\
NodeName=n[1-2] Name=gpu Type=h100 File=/dev/nvidia[0-7]
NodeName=n3 Name=gpu Type=a100 Count=2
NodeName=n3 Name=nvme Count=4
"""
DESCRIBED = """\
Name:               n1
Labels:             kubernetes.io/arch=amd64
                    nvidia.com/gpu.product=H100
Taints:             <none>
Unschedulable:      false
Conditions:
  Type             Status  LastHeartbeatTime
  MemoryPressure   False   Sat, 01 Mar 2025 10:00:00 +0000
  Ready            True    Sat, 01 Mar 2025 10:00:00 +0000
Capacity:
  cpu:                64
  nvidia.com/gpu:     8
Allocatable:
  nvidia.com/gpu:     8
Allocated resources:
  nvidia.com/gpu     4             4
"""
CONDOR = """\
Machine = "n1"
SlotType = "Partitionable"
TotalGPUs = 8
CUDADeviceName = "H100"
State = "Unclaimed"

Machine = "n1"
SlotType = "Dynamic"
TotalGPUs = 8
GPUs = 4
State = "Claimed"

Machine = "n2"
TotalGPUs = 0
State = "Unclaimed"
"""
QHOST = """\
HOSTNAME                ARCH         NCPU NSOC NCOR NTHR  LOAD  MEMTOT  MEMUSE  SWAPTO  SWAPUS
----------------------------------------------------------------------------------------------
global                  -               -    -    -    -     -       -       -       -       -
n1                      lx-amd64       64    2   64   64  0.01 1000.0G   10.0G   10.0G     0.0
    Host Resource(s):      hc:gpu=8.000000
n2                      lx-amd64       64    2   64   64     - 1000.0G       -   10.0G       -
    Host Resource(s):      hc:gpu=8.000000
"""
WIDE = """\
NAME   STATUS                     ROLES    AGE   VERSION   GPU.PRODUCT   GPU.COUNT
n1     Ready                      <none>   1d    v1.29     H100          8
n2     Ready,SchedulingDisabled   <none>   1d    v1.29     H100          8
n3     Ready                      <none>   1d    v1.29
"""
FLUX = """\
     STATE NNODES   NCORES    NGPUS NODELIST
      free      2      128       16 n[1-2]
      down      1       64        8 n3
"""


@pytest.mark.parametrize(
    ("text", "nodes", "by_type", "out"),
    [
        (CONF, 5, {"h100": 32}, {"h100": 8}),
        (GRES, 3, {"h100": 16, "a100": 2}, {}),
        (DESCRIBED + "\n" + DESCRIBED.replace("n1", "n2").replace("True ", "Unknown "), 2,
         {"H100": 16}, {"H100": 8}),
        (CONDOR, 2, {"H100": 8}, {}),
        (json.dumps([{"Machine": "n1", "TotalGPUs": 8, "State": "Unclaimed"}]), 1, {"gpu": 8}, {}),
        ("Machine TotalGPUs CUDADeviceName State\nn1 8 V100 Unclaimed\nn1 8 V100 Claimed\n", 1,
         {"V100": 8}, {}),
        (QHOST, 2, {"gpu": 16}, {"gpu": 8}),
        (WIDE, 3, {"H100": 16}, {"H100": 8}),
        (FLUX, 3, {"gpu": 24}, {"gpu": 8}),
        ("n1: GPU 0: NVIDIA H100 (UUID: GPU-1)\nn1: GPU 1: NVIDIA H100 (UUID: GPU-2)\n", 1,
         {"NVIDIA H100": 2}, {}),
        ("sn,cpu_milli,memory_mib,gpu,model\na,32000,262144,0,\nb,94000,262144,2,P100\n", 2,
         {"P100": 2}, {}),
        ("hostname,cpus,gpus,gpu_type,partition,state\nn1,64,8,H100,g,up\nn2,64,8,H100,g,down\n", 2,
         {"H100": 16}, {"H100": 8}),
        ("Hostname;GPU-Typ;Anzahl GPUs;Status\nn1;H100;8;up\n", 1, {"H100": 8}, {}),
        ("gpu_type,nodes,gpus_per_node\nH100,10,8\nA100,5,4\n", 15, {"H100": 80, "A100": 20}, {}),
    ],
)  # fmt: skip
def test_nodes(
    tmp_path: Path, text: str, nodes: int, by_type: dict[str, int], out: dict[str, int]
) -> None:
    path = tmp_path / "nodes.txt"
    path.write_text(text)
    site = read_site(path)
    found = site.document()
    assert found["nodes_total"] == nodes
    assert found["accelerators_by_type"] == by_type
    assert found["accelerators_out_of_service"] == out
    text = topology_text(site, site_pools(site, cs.load_catalogue()), name="mine")
    assert "ASSUMED" in text


def test_partitions_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "slurm.conf"
    path.write_text(CONF)
    site = read_site(path)
    assert [node.name for node in site.nodes_of("gpu")] == ["n1", "n2"]
    assert len(site.nodes_of("all")) == 5
    assert [(each.max_time_s, each.default) for each in site.partitions] == [
        (86400.0, True),
        (None, False),
    ]


def test_a_column_that_is_cut_is_not_guessed(tmp_path: Path) -> None:
    """``sinfo -O`` cuts at twenty characters, and then no blank is left between the columns."""
    head = f"{'NODELIST':20}{'STATE':20}{'GRES':20}{'GRES_USED':20}\n"
    rows = f"{'n1':20}{'mixed':20}gpu:h100:8(S:0-1),mp{'gpu:h100:2(IDX:0-1)':20}\n"
    rows += f"{'n2':20}{'idle':20}{'gpu:h100:8(S:0-1)':20}{'gpu:h100:0(IDX:N/A)':20}\n"
    path = tmp_path / "sinfo.txt"
    path.write_text(head + rows)
    assert [node.accelerators for node in read_site(path).nodes] == [None, {"h100": 8}]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"job_id": [1], "submit_s": [0], "gpus": [8]}, "is a list of jobs"),
        ({"a": ["x", "y"], "b": [1, 2]}, "no table of nodes"),
    ],
)
def test_other_tables_are_refused(tmp_path: Path, table: dict[str, Any], said: str) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame(table).to_parquet(path)
    with pytest.raises(InputError, match=said):
        read_site(path)
