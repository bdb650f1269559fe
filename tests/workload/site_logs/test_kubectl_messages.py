"""What kubectl prints instead of jobs, in logs, queues and lists of nodes; YAML in quotes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clustersim.errors import InputError
from clustersim.sites import read_queue, read_site
from clustersim.workload import read_jobs

READERS: dict[str, Callable[[Path], Any]] = {
    "log": read_jobs,
    "queue": read_queue,
    "nodes": read_site,
}
EMPTY = json.dumps({"apiVersion": "v1", "items": [], "kind": "List", "metadata": {}}, indent=1)
FORBIDDEN = 'Error from server (Forbidden): workloads is forbidden: User "jane" cannot list it\n'
INSTEAD = {
    "empty": (EMPTY, "the list has no items"),
    "forbidden": (FORBIDDEN, "instead of objects: 'Error from server .Forbidden.: workloads"),
    "nothing": ("[ops@login]$ kubectl get jobs\nNo resources found in default namespace.\n",
                "instead of objects: 'No resources found in default namespace.'"),
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", INSTEAD)
def test_errors_and_empty_lists(tmp_path: Path, case: str, reader: str) -> None:
    text, message = INSTEAD[case]
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        READERS[reader](path)


def test_an_error_above_a_table_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text("error: none\njob_id,submit_s,n_accelerators,duration_s\n1,0,8,60\n")
    with pytest.raises(InputError) as caught:
        read_site(path)
    assert "kubectl printed" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        'error: the server doesn\'t have a resource type "workloads"',
        "error: You must be logged in to the server (Unauthorized)",
        "error: unknown flag: --outputs",
        'error: context "prod" does not exist',
        "$ kubectl get jobs\nerror: something else",
    ],
)
def test_errors_of_kubectl_itself(tmp_path: Path, line: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text(line + "\n")
    for read in READERS.values():
        with pytest.raises(InputError, match="kubectl printed instead of objects: 'error: "):
            read(path)


@pytest.mark.parametrize("reader", READERS)
def test_an_error_of_slurm_is_not_one_of_kubectl(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text("$ squeue\nerror: slurm_persist_conn_open_without_init: failed to open\n")
    with pytest.raises(InputError) as caught:
        READERS[reader](path)
    assert "instead of objects" not in str(caught.value)


@pytest.mark.parametrize("read", [read_jobs, read_queue])
@pytest.mark.parametrize(
    ("kind", "what"), [("Node", "nodes .Node."), ("ClusterQueue", "parts of the cluster")]
)
def test_lists_of_nodes_and_quotas_have_no_jobs(
    tmp_path: Path, read: Callable[[Path], Any], kind: str, what: str
) -> None:
    path = tmp_path / "list.json"
    item = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "n"}, "spec": {}, "status": {}}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [item]}))
    with pytest.raises(InputError, match=f"{what}.*topology --from.*kubectl get workloads"):
        read(path)


QUOTED = """\
"apiVersion": "v1"
"kind": "List"
"items":
  - "apiVersion": "batch/v1"
    "kind": "Job"
    "metadata":
      "name": "j"
      "namespace": "t"
      "creationTimestamp": "2025-03-01T10:00:00Z"
    "spec":
      "template":
        "spec":
          "containers":
            - "resources":
                "limits":
                  "nvidia.com/gpu": "4"
    "status":
      "startTime": "2025-03-01T10:05:00Z"
      "completionTime": "2025-03-01T11:05:00Z"
"""


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("keys", [True, False])
def test_yaml_in_quotes(tmp_path: Path, quote: str, keys: bool) -> None:
    text = QUOTED if keys else re.sub(r'"([\w.\/]+)":', r"\1:", QUOTED)
    path = tmp_path / "jobs.yaml"
    path.write_text(text.replace('"', quote))
    jobs = read_jobs(path).jobs
    assert jobs["job_id"].tolist() == ["t/j"]
    assert jobs[["n_accelerators", "duration_s"]].to_numpy().tolist() == [[4, 3600]]
