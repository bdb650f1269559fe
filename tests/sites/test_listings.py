"""Listings of nodes and queues besides the usual ones, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clustersim.errors import InputError
from clustersim.sites import read_queue, read_site

PBS_S = """\
vnode           state           OS       hardware host            queue        mem     ncpus ngpus
--------------- --------------- -------- -------- --------------- ---------- -------- ------ -----
gn01            free            --       --       gn01            gpu             1tb     64     8
gn02            down            --       --       gn02            --              1tb     64     8
c1              job-busy        --       --       c1              --            256gb     64     0
"""
PBS_SJ = """\
                                                        mem       ncpus   nmics   ngpus
vnode           state           njobs   run   susp      f/t        f/t     f/t     f/t   jobs
--------------- --------------- ------ ----- ------ ------------ ------- ------- ------- -------
gn01            job-busy             1     1      0  512gb/1tb     0/64     0/0     0/8 501,502
gn02            offline              0     0      0      1tb/1tb   64/64     0/0     8/8 --
c1              free                 0     0      0      1tb/1tb   64/64     0/0     0/0 --
"""
BHOSTS = """\
HOST: gn01
NGPUS NGPUS_SHARED_AVAIL NGPUS_EXCLUSIVE_AVAIL
8 8 8

STATIC ATTRIBUTES
GPU_ID MODEL            MTOTAL FACTOR
{gpus}
DYNAMIC ATTRIBUTES
GPU_ID    MODE      MUSED   MRSV
0         SHARED    0M      0M

HOST: gn02
NGPUS NGPUS_SHARED_AVAIL NGPUS_EXCLUSIVE_AVAIL
8 8 8

STATIC ATTRIBUTES
GPU_ID MODEL            MTOTAL FACTOR
{gpus}
""".format(gpus="\n".join(f"{number}      V100   32G    7.0" for number in range(8)))
COMPACT = """\
Machine                 Platform     Slots Cpus Gpus  TotalGb FreCpu  FreeGb  CpuLoad ST Jobs/Min

gn01.site               x64/CentOS7      2   64    8   503.00     16   100.00    0.75 Ui     0.00
gn02.site               x64/CentOS7      2   64    8   503.00     16   100.00    0.75 Oi     0.00
c1.site                 x64/CentOS7      2   64        251.00     16   100.00    0.75 Ui     0.00

               Total Owner Claimed Unclaimed Matched Preempting  Drain
"""
R_LITE = [{"rank": "0-1", "children": {"core": "0-31", "gpu": "0-7"}},
          {"rank": "2", "children": {"core": "0-31"}}]  # fmt: skip
FLUX = json.dumps({"version": 1, "execution": {"R_lite": R_LITE, "nodelist": ["gn[1-2]", "c1"]}})


@pytest.mark.parametrize(
    ("text", "nodes", "out_of_service"),
    [(PBS_S, 3, 8), (PBS_SJ, 3, 8), (BHOSTS, 2, 0), (COMPACT, 3, 8), (FLUX, 3, 0)],
    ids=["pbsnodes-aS", "pbsnodes-aSj", "bhosts-gpu-l", "condor-compact", "flux-R"],
)
def test_listings_of_nodes(tmp_path: Path, text: str, nodes: int, out_of_service: int) -> None:
    path = tmp_path / "nodes.txt"
    path.write_text(text)
    found = read_site(path).document()
    assert (found["nodes_total"], found["accelerators"]) == (nodes, 16)
    assert sum(found["accelerators_out_of_service"].values()) == out_of_service


NODES_YAML = """\
nodes:
- name: gn01
  gres: gpu:h100:8(S:0-1)
  state: [IDLE, DRAIN]
  partitions: [h100]
  features: []
  extra: {}
"""


def test_nodes_and_queues_of_slurm_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(NODES_YAML)
    found = read_site(path).document()
    assert found["accelerators_out_of_service"] == {"h100": 8}
    path.write_text(
        "---\njobs:\n- job_id: 7\n  job_state: [PENDING]\n  partition: h100\n"
        "  tres_req_str: cpu=8,gres/gpu=4\n  gres_detail: []\n"
    )
    (job,) = read_queue(path).waiting
    assert (job.job_id, job.n_accelerators, job.partition) == ("7", 4, "h100")


def test_a_node_of_kubectl_apply_in_yaml(tmp_path: Path) -> None:
    """The annotation is JSON, the file is not."""
    path = tmp_path / "node.yaml"
    path.write_text(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: n1\n  annotations:\n"
        "    kubectl.kubernetes.io/last-applied-configuration: |\n"
        '      {"apiVersion":"v1","kind":"Node","metadata":{"name":"n1"}}\n'
        "spec: {}\nstatus:\n  capacity:\n    aws.amazon.com/neuron: 16\n"
        "    aws.amazon.com/neuroncore: 32\n    aws.amazon.com/neurondevice: 16\n"
    )
    assert read_site(path).by_type() == {"neuron": 16}


def test_arrays_in_columns_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "queue.txt"
    path.write_text(
        "JOBID;ARRAY_JOB_ID;ARRAY_TASK_ID;ST;PARTITION;USER;TIME;NODES;TRES_ALLOC\n"
        "9;5;4;R;h;ada;10:00;2;gres/gpu=16\n12;12;N/A;R;h;ada;10:00;1;gres/gpu=8\n"
        "13;13;1-5%2;PD;h;ada;0:00;1;N/A\n"
    )
    state = read_queue(path, taken_at="2025-02-03T09:30:00Z")
    assert [(job.job_id, job.n_accelerators) for job in state.running] == [("5_4", 16), ("12", 8)]
    (waits,) = state.waiting  # what it asks for is not told: neither 0 nor 1
    assert (waits.job_id, waits.tasks, waits.n_accelerators) == ("13_[1-5%2]", 5, None)


def test_a_job_of_volcano(tmp_path: Path) -> None:
    pod = {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "8"}}}]}
    running = {"status": "Running", "lastTransitionTime": "2025-02-03T09:05:00Z"}
    job = {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "metadata": {"name": "a", "namespace": "ml", "creationTimestamp": "2025-02-03T09:00:00Z"},
        "spec": {"queue": "q1", "tasks": [{"replicas": 2, "template": {"spec": pod}}]},
        "status": {"state": {"phase": "Running"}, "conditions": [running]},
    }
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps({"kind": "List", "items": [job]}))
    (found,) = read_queue(path).running
    assert (found.n_accelerators, found.partition) == (16, "q1")
    assert found.start is not None
    assert found.start.isoformat() == "2025-02-03T09:05:00+00:00"


def test_the_default_table_of_flux_is_no_queue_of_slurm(tmp_path: Path) -> None:
    """Its state S means that a job waits; Slurm's means that it is suspended."""
    path = tmp_path / "jobs.txt"
    path.write_text(
        "       JOBID USER     NAME       ST NTASKS NNODES     TIME INFO\n"
        "        f1Ab ada      train       S      8      2        - \n"
    )
    with pytest.raises(InputError, match="flux jobs -A --json"):
        read_queue(path)


def test_a_table_of_jobs_of_a_platform(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(
        "job_id,user,queue,status,created_at,started_at,workers,gpus_per_worker,max_hours\n"
        "1,ada,g,Running,2025-02-03 10:00:00,2025-02-03 10:05:00,2,8,\n"
        "2,bob,g,Queued,2025-02-03 10:10:00,,1,4,\n"
        "3,bob,g,Succeeded,2025-02-03 09:00:00,2025-02-03 09:05:00,1,4,\n"
    )
    state = read_queue(path, time_zone="Europe/Berlin", taken_at="2025-02-03T11:00:00")
    (runs,), (waits,) = state.running, state.waiting
    assert (runs.job_id, runs.n_accelerators, runs.partition, runs.elapsed_s) == (
        "1",
        16,
        "g",
        3300,
    )
    assert (waits.job_id, waits.n_accelerators, waits.user) == ("2", 4, "bob")
    assert waits.submit is not None
    assert waits.submit.isoformat() == "2025-02-03T09:10:00+00:00"
    assert [row for row, _ in state.left_out] == ["3"]
