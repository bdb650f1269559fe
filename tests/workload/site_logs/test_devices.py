"""Requests for accelerators in many notations: they are counted, or named in a note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs
from clustersim.workload.readers.site_logs.devices import is_device, resembles_device

TIMES = "ctime=1740823200 qtime=1740823200 start=1740823500 end=1740827100"


def pbs(*fields: str) -> str:
    """Return accounting records, job 1 with the given fields and job 2 with four GPUs."""
    used = "resources_used.walltime=01:00:00"
    return "".join(
        f"03/01/2025 11:05:00;E;{number}.srv;user=a queue=q {TIMES} {text} {used}\n"
        for number, text in enumerate((*fields, "Resource_List.ngpus=4"), 1)
    )


def grid_engine(category: str, slots: int = 1, pe: str = "NONE") -> str:
    jobs = ((1, category, slots, pe), (2, "-l gpu=4", 1, "NONE"))
    return "".join(
        "==============================================================\n"
        f"qname gpu.q\nhostname n1\nowner a\njobnumber {number}\ntaskid undefined\n"
        "qsub_time Sat Mar  1 10:00:00 2025\nstart_time Sat Mar  1 10:05:00 2025\n"
        f"end_time Sat Mar  1 11:05:00 2025\ngranted_pe {granted}\nslots {count}\n"
        f"ru_wallclock 3600\ncategory {what}\n"
        for number, what, count, granted in jobs
    )


def slurm(tres: str, column: str = "AllocTRES") -> str:
    row = "a|2025-03-01T10:00:00|2025-03-01T10:05:00|2025-03-01T11:05:00|COMPLETED|1"
    head = f"JobID|User|Submit|Start|End|State|NNodes|{column}\n"
    return f"{head}1|{row}|{tres}\n2|{row}|{'gres/gpu=4' if 'TRES' in column else 'gpu:4'}\n"


def pods(resources: dict[str, str], **spec: Any) -> str:
    def pod(name: str, wanted: dict[str, str], more: dict[str, Any]) -> dict[str, Any]:
        ran = {"startedAt": "2025-03-01T10:05:00Z", "finishedAt": "2025-03-01T11:05:00Z"}
        return {
            "kind": "Pod",
            "metadata": {"name": name, "creationTimestamp": "2025-03-01T10:00:00Z"},
            "spec": {"containers": [{"resources": {"limits": wanted, **more}}]},
            "status": {
                "phase": "Succeeded",
                "containerStatuses": [{"state": {"terminated": ran}}],
            },
        }

    items = [pod("1", resources, spec), pod("2", {"nvidia.com/gpu": "4"}, {})]
    return json.dumps({"kind": "List", "items": items})


def condor(**attributes: Any) -> str:
    common = {"ProcId": 0, "QDate": 1740823200, "JobStartDate": 1740823500, "JobStatus": 4}
    common |= {"CompletionDate": 1740827100, "RemoteWallClockTime": 3600.0}
    return json.dumps(
        [{"ClusterId": 1, **common, **attributes}, {"ClusterId": 2, **common, "RequestGPUs": 4}]
    )


def lsf(requirement: str) -> str:
    jobs = (f"Requested Resources <{requirement}>", "Requested GPU <num=4>")
    return "".join(
        f"Job <{number}>, User <a>, Project <p>, Status <DONE>, Queue <q>, Command <x>\n"
        f"Sat Mar  1 10:00:00 2025: Submitted from host <l>, {what};\n"
        "Sat Mar  1 10:05:00 2025: Started 1 Task(s) on Host(s) <n1>;\n"
        "Sat Mar  1 11:05:00 2025: Done successfully.\n\n"
        for number, what in enumerate(jobs, 1)
    )


COUNTED = {
    "moab-per-node": (pbs("Resource_List.nodes=2:ppn=4 Resource_List.gres=gpus:2"), 4),
    "moab-nodect": (pbs("Resource_List.gres=gpu:2 Resource_List.nodect=1"), 2),
    "moab-several": (pbs("Resource_List.gres=gpus:2%matlab:1 Resource_List.nodes=1"), 2),
    "moab-plus": (pbs("Resource_List.gres=matlab:1+gpus:3 Resource_List.nodes=1"), 3),
    "moab-no-number": (pbs("Resource_List.gres=gpu Resource_List.nodes=1:ppn=2"), 1),
    "moab-typed": (pbs("Resource_List.gres=gpu:a100:2 Resource_List.nodes=1:ppn=2"), 2),
    "moab-extension": (pbs("x=GRES:gpus@2;QOS:high Resource_List.nodes=1:ppn=2"), 2),
    "moab-and-nodes": (pbs("Resource_List.gres=gpus:2 Resource_List.nodes=2:ppn=4:gpus=2"), 4),
    "pbs-npus": (pbs("Resource_List.select=2:ncpus=8:npus=8"), 16),
    "pbs-named-by-chip": (pbs("Resource_List.select=2:ncpus=8:gpu_a100=4"), 8),
    "pbs-both": (pbs("Resource_List.ngpus=2 Resource_List.gpu_a100=2"), 2),
    "pbs-vnode": (pbs("exec_vnode=(n1:ncpus=8:ngpus_h100=4)+(n2:ncpus=8:ngpus_h100=4)"), 8),
    "pbs-used": (pbs("resources_used.naccelerators=6"), 6),
    "torque-tasks": (pbs("Resource_Request_2=-L tasks=2:lprocs=8:gpus=2"), 4),
    "sge-slots": (grid_engine("-l gpu_card=2", 4, "mpi"), 8),
    "sge-npu": (grid_engine("-l h_rt=3600,ascend910=8 -pe x 1"), 8),
    "sge-dcu": (grid_engine("-l dcu=2,h_vmem=4G"), 2),
    "slurm-plural": (slurm("cpu=8,gres/gpus=8"), 8),
    "slurm-ascend": (slurm("cpu=8,gres/ascend910b=8"), 8),
    "slurm-chip": (slurm("cpu=8,gres/a100=4,gres/ib=2"), 4),
    "slurm-cards": (slurm("cpu=8,gres/mlu_card=4"), 4),
    "slurm-gres": (slurm("mlu370:8", "AllocGRES"), 8),
    "lsf-ngpus": (lsf("rusage[mem=4000,ngpus_physical=2.00]"), 2),
    "lsf-npu": (lsf("select[type==any] rusage[mem=4000,npu=8]"), 8),
    "condor-npus": (condor(RequestNPUs=8, RequestCpus=4), 8),
    "iluvatar": (pods({"iluvatar.ai/gpu": "4"}), 4),
    "cambricon": (pods({"cambricon.com/mlu370": "8"}), 8),
    "gaudi": (pods({"habana.ai/gaudi": "8"}), 8),
    "passthrough": (pods({"nvidia.com/TU104GL_Tesla_T4": "2"}), 2),
    "partitions": (pods({"amd.com/cpx_nps4": "2"}), 2),
    "tenstorrent": (pods({"tenstorrent.com/n300": "4"}), 4),
    "vgpu": (pods({"volcano.sh/vgpu-number": "2", "volcano.sh/vgpu-memory": "3000"}), 2),
    "mig": (pods({"nvidia.com/mig-1g.10gb": "2"}), 2),
}
NAMED = {
    "slurm-shards": (slurm("cpu=8,gres/shard=2"), "shard"),
    "slurm-mps": (slurm("mps:50", "AllocGRES"), "mps"),
    "pbs-type": (pbs("Resource_List.select=1:ncpus=4:gpu_type=a100"), "gpu_type"),
    "pbs-property": (pbs("Resource_List.nodes=1:ppn=4:gpu"), "gpu"),
    "moab-memory": (pbs("Resource_List.gres=gpu_mem:8 Resource_List.nodes=1"), "gpu_mem"),
    "sge-memory": (grid_engine("-l gpu_mem=16G"), "gpu_mem"),
    "shared": (pods({"aliyun.com/gpu-mem": "8"}), "aliyun.com/gpu-mem"),
    "cores": (pods({"nvidia.com/gpucores": "30"}), "nvidia.com/gpucores"),
    "lsf-selected": (lsf("select[ngpus>0] rusage[mem=1]"), "ngpus"),
    "condor-memory": (condor(RequestGpuMemory=4000), "gpumemory"),
}
NO_NUMBER = {
    "pbs": pbs("Resource_List.select=1:ncpus=4 Resource_List.gpu=True"),
    "sge": grid_engine("-l gpu=true,h_rt=60"),
    "claims": pods({}, claims=[{"name": "gpu"}]),
}
CPU = {
    "pbs": pbs("Resource_List.nodes=1:ppn=4 Resource_List.gres=matlab:1"),
    "sge": grid_engine("-l h_vmem=4G,output=2"),
    "slurm": slurm("cpu=8,gres/ib=1,gres/nvme=2,gres/gpumem=0"),
    "pods": pods({"cpu": "4", "rdma/hca": "1", "nvidia.com/gpu": "0"}),
    "condor": condor(RequestCpus=4, RequestDisk=1000),
}


def read(tmp_path: Path, text: str) -> Any:
    path = tmp_path / "log"
    path.write_text(text, encoding="utf-8")
    return read_jobs(path, time_zone="UTC")


def sizes(log: Any) -> dict[str, float]:
    ids = log.jobs["job_id"].astype(str).str.extract(r"(\d+)(?:\.|$)")[0]
    return dict(zip(ids, log.jobs["n_accelerators"].tolist(), strict=True))


def reason(log: Any) -> list[str]:
    return list(log.left_out_table()["reason"])


@pytest.mark.parametrize("name", COUNTED)
def test_counted(tmp_path: Path, name: str) -> None:
    text, n = COUNTED[name]
    assert sizes(read(tmp_path, text)) == {"1": n, "2": 4}


def test_gres_of_moab_is_noted(tmp_path: Path) -> None:
    assert any("-l gres=" in note for note in read(tmp_path, COUNTED["moab-nodect"][0]).notes)
    assert not any(
        "-l gres=" in note for note in read(tmp_path, COUNTED["moab-and-nodes"][0]).notes
    )


@pytest.mark.parametrize("name", NAMED)
def test_named_in_a_note(tmp_path: Path, name: str) -> None:
    text, resource = NAMED[name]
    log = read(tmp_path, text)
    assert sizes(log) == {"2": 4}
    assert reason(log) == ["no_accelerator"]
    assert [note for note in log.notes if "look like accelerators" in note and resource in note]


def test_named_in_the_error_if_no_job_is_left(tmp_path: Path) -> None:
    text = slurm("cpu=8,gres/shard=2").rpartition("2|")[0]
    with pytest.raises(InputError, match=r"resources called shard look like accelerators"):
        read(tmp_path, text)


@pytest.mark.parametrize("name", NO_NUMBER)
def test_without_a_number(tmp_path: Path, name: str) -> None:
    log = read(tmp_path, NO_NUMBER[name])
    assert sizes(log) == {"2": 4}
    assert reason(log) == ["size_not_recorded"]


@pytest.mark.parametrize("name", CPU)
def test_jobs_on_cpus(tmp_path: Path, name: str) -> None:
    log = read(tmp_path, CPU[name])
    assert sizes(log) == {"2": 4}
    assert reason(log) == ["no_accelerator"]
    assert not [note for note in log.notes if "look like accelerators" in note]


@pytest.mark.parametrize("name", ["input", "output", "ncpus", "nvme", "a1", "license", "xenon"])
def test_other_names(name: str) -> None:
    assert not is_device(name)
    assert not resembles_device(name)
