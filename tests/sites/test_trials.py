"""Nodes and queues in notations seldom used, with truths by hand: accelerators, and what works."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.sites import read_queue, read_site

SINFO = """\
NODELIST|PARTITION|STATE|GRES
n1|gpu*|idle|gpu:a100:8(S:0-1)
n2|gpu*|drained*|gpu:a100:8(S:0-1)
n3|gpu*|drng|gpu:a100_1g.5gb:7(S:0),gpu:a100:3(S:1)
n4|gpu*|mix-|gpus:4
n5|gpu*|down~|gpu_h100:8
n6|gpu*|inval|gpu:8,shard:32
n7|npu|alloc|npu_910b:8
n8|cpu|idle|(null)
"""
TORQUE = """\
n1
     state = free
     np = 32
     properties = gpu,a100
     ntype = cluster
     gpus = 4
     gpu_status = gpu[0]=gpu_id=0000:00;gpu_product_name=A100;gpu_state=Exclusive

n2
     state = down,offline
     np = 32
     ntype = cluster
     gpus = 4

n3
     state = job-exclusive
     np = 32
     ntype = cluster
     jobs = 0-31/7.srv
     gpus = 2

"""
PBS = """\
n1
     Mom = n1.site
     ntype = PBS
     state = free
     resources_available.host = n1
     resources_available.ncpus = 64
     resources_available.nnpus = 8
     resources_available.accel_type = 910B

n2
     Mom = n2.site
     ntype = PBS
     state = state-unknown,down
     resources_available.host = n2
     resources_available.ncpus = 64
     resources_available.gpu_a100 = 4
     resources_available.ngpus = 4
     resources_available.gpu_mem = 40gb

n3
     Mom = n3.site
     ntype = PBS
     state = resv-exclusive
     resources_available.ncpus = 64
     resources_assigned.ngpus = 2
     resources_available.ngpus = 2

"""
QHOST = """\
HOSTNAME                ARCH         NCPU NSOC NCOR NTHR  LOAD  MEMTOT  MEMUSE  SWAPTO  SWAPUS
----------------------------------------------------------------------------------------------
global                  -               -    -    -    -     -       -       -       -       -
n1                      lx-amd64       64    2   32   64  1.00  251.0G   10.0G    4.0G     0.0
    Host Resource(s):      hl:gpu.ndev=4.000000
   hc:gpu=1.000000
   hl:gpu_mem_total=160G
n2                      lx-amd64       64    2   32   64     -  251.0G       -    4.0G       -
    Host Resource(s):      hf:gpu_card=2.000000
n3                      lx-amd64       64    2   32   64  1.00  251.0G   10.0G    4.0G     0.0
    Host Resource(s):      hl:arch=lx-amd64
"""
BHOSTS = """\
HOST_NAME           ID           MODEL     MUSED      MRSV  NJOBS    RUN   SUSP    RSV
n1                   0   TeslaA100SXM4        0M        0M      0      0      0      0
                     1   TeslaA100SXM4        0M        0M      0      0      0      0
n2                   0   TeslaA100SXM4        0M        0M      0      0      0      0
"""


def kubernetes(name: str, capacity: Any, allocatable: Any, ready: str = "True", **spec: Any) -> Any:
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": {}},
        "spec": spec,
        "status": {
            "capacity": {"cpu": "64", **capacity},
            "allocatable": {"cpu": "63", **allocatable},
            "conditions": [{"type": "Ready", "status": ready}],
        },
    }


GPUS = {"nvidia.com/gpu": "8"}
NODES = json.dumps(
    {
        "kind": "List",
        "items": [
            kubernetes("n1", GPUS, {"nvidia.com/gpu": "7"}),
            kubernetes("n2", GPUS, GPUS, unschedulable=True),
            kubernetes("n3", GPUS, GPUS, "Unknown"),
            kubernetes("n4", {"iluvatar.ai/gpu": "4", "iluvatar.ai/vcuda-core": "400"}, {}),
            kubernetes("n5", {"cambricon.com/mlu370": "8", "nvidia.com/gpumem": "9"}, {}),
            kubernetes("n6", {"hugepages-1Gi": "0", "rdma/hca": "8"}, {}),
        ],
    }
)
SITES: dict[str, tuple[str, dict[str, dict[str, int]], set[str]]] = {
    "sinfo": (
        SINFO,
        {"n1": {"a100": 8}, "n2": {"a100": 8}, "n3": {"a100_1g.5gb": 7, "a100": 3},
         "n4": {"gpus": 4}, "n5": {"gpu_h100": 8}, "n6": {"gpu": 8}, "n7": {"npu_910b": 8},
         "n8": {}},
        {"n1", "n4", "n7", "n8"},
    ),
    "torque": (TORQUE, {"n1": {"A100": 4}, "n2": {"gpu": 4}, "n3": {"gpu": 2}}, {"n1", "n3"}),
    "pbs": (PBS, {"n1": {"910B": 8}, "n2": {"gpu": 4}, "n3": {"gpu": 2}}, {"n1", "n3"}),
    "qhost": (QHOST, {"n1": {"gpu": 4}, "n2": {"gpu": 2}, "n3": {}}, {"n1", "n3"}),
    "bhosts": (BHOSTS, {"n1": {"TeslaA100SXM4": 2}, "n2": {"TeslaA100SXM4": 1}}, {"n1", "n2"}),
    "kubernetes": (
        NODES,
        {"n1": {"gpu": 8}, "n2": {"gpu": 8}, "n3": {"gpu": 8}, "n4": {"gpu": 4},
         "n5": {"mlu370": 8}, "n6": {}},
        {"n1", "n4", "n5", "n6"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SITES)
def test_nodes(tmp_path: Path, name: str) -> None:
    text, accelerators, working = SITES[name]
    path = tmp_path / "nodes"
    path.write_text(text)
    site = read_site(path)
    assert {node.name: node.accelerators for node in site.nodes} == accelerators
    assert {node.name for node in site.nodes if node.in_service} == working
    assert any("fewer accelerators allocatable" in note for note in site.notes) == (
        name == "kubernetes"
    )


QSTAT = """\
Job Id: 1.srv
    Job_Owner = a@login
    job_state = Q
    queue = gpu
    ctime = Sat Mar  1 10:00:00 2025
    Resource_List.gres = gpus:2
    Resource_List.nodect = 2
    Resource_List.nodes = 2:ppn=4

Job Id: 2.srv
    Job_Owner = a@login
    job_state = H
    queue = gpu
    ctime = Sat Mar  1 10:00:00 2025
    Resource_List.select = 2:ncpus=8:gpu_a100=4

Job Id: 3.srv
    Job_Owner = a@login
    job_state = Q
    queue = gpu
    ctime = Sat Mar  1 10:00:00 2025
    Resource_List.gpu = True
"""
GRID_ENGINE = """\
job-ID  prior   name       user         state submit/start at     queue          slots ja-task-ID
--------------------------------------------------------------------------------------------------
      1 0.50000 x          a            qw    03/01/2025 10:00:00                    2
       Full jobname:     x
       Hard Resources:   gpu_card=2 (0.000000)
       Soft Resources:
      2 0.50000 x          a            qw    03/01/2025 10:00:00                    1
       Full jobname:     x
       Hard Resources:   gpu=TRUE (0.000000)
       Soft Resources:
"""
SQUEUE = """\
JOBID|PARTITION|STATE|NODES|TRES_PER_NODE
1|gpu|PENDING|2|gres/gpu_h100:4
2|npu|PENDING|1|gres/npu_910b:8
3|cpu|PENDING|1|N/A
"""
QUEUES = {
    "qstat": (QSTAT, {"1.srv": 4, "2.srv": 8, "3.srv": None}),
    "grid-engine": (GRID_ENGINE, {"1": 4, "2": None}),
    "squeue": (SQUEUE, {"1": 8, "2": 8, "3": 0}),
}


@pytest.mark.parametrize("name", QUEUES)
def test_queues(tmp_path: Path, name: str) -> None:
    text, jobs = QUEUES[name]
    path = tmp_path / "queue"
    path.write_text(text)
    state = read_queue(path, time_zone="UTC")
    assert {job.job_id: job.n_accelerators for job in state.waiting} == jobs


def explain(tmp_path: Path, name: str) -> None:
    text = (SITES.get(name) or QUEUES[name])[0]
    path = tmp_path / "what"
    path.write_text(text)
    found: Any = read_site(path) if name in SITES else read_queue(path, time_zone="UTC")
    print(*(found.nodes if name in SITES else found.jobs), found.notes, sep="\n")
