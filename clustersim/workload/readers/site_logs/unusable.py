"""Outputs that lack what is needed, each with the message that says what to run instead."""

from __future__ import annotations

import re
from typing import NamedTuple

from clustersim.errors import InputError
from clustersim.workload.readers.site_logs.content import Content
from clustersim.workload.readers.site_logs.kubectl_messages import kubectl_error
from clustersim.workload.readers.site_logs.records import Records

__all__ = ["is_unusable", "refuse_unusable"]


class _Unusable(NamedTuple):
    """What a line of an output looks like, and what is wrong with it."""

    line: re.Pattern[str]
    message: str


_KUBECTL = "run `kubectl get jobs,workloads -A -o json` (or pods, pytorchjobs, rayjobs)"
_RUNAI = (
    "is a list of workloads of Run:ai, which does not tell when they began and ended; use the CSV "
    "that its table of workloads downloads (with Creation time, Completion time, Total runtime and "
    "GPU compute request), or `kubectl get pods -A -o json`"
)
_OUTPUTS = (
    _Unusable(
        re.compile(r"\s*(?:NAMESPACE\s+)?NAME\s+STATUS\s+AGE\s+DURATION\s+PRIORITY"),
        "is the table that argo list prints, which tells neither times nor GPUs; run `kubectl get "
        "workflows -A -o json`",
    ),
    _Unusable(
        re.compile(r"\s*(?:Namespace\s+)?Name\s+Creation\s+Phase\s+JobType\s+Replicas"),
        "is the table that vcctl prints, which tells neither times nor GPUs; run `kubectl get "
        "vcjob -A -o json`",
    ),
    _Unusable(
        re.compile(r"\s*JobID\s+State\s+Elapsed\s+TimeEff"),
        "is what reportseff prints, which tells neither times nor GPUs; run the command that "
        "`clustersim trace --command sacct` shows",
    ),
    _Unusable(
        re.compile(r"\s*Name\s+DisplayName\s+ExperimentName\s+Status"),
        "is a table that az ml job list prints for people; run `az ml job list -o json`",
    ),
    _Unusable(
        re.compile(r"(?!.*[GN]PU)(?:NAMESPACE\s+)?NAME\s+(?:[A-Z]+(?: [A-Z]+)*\s+)*AGE\b"),
        "is a table that kubectl prints for people: it has ages instead of times, and no GPUs; "
        + _KUBECTL,
    ),
    _Unusable(
        re.compile(
            r"API Version:\s+\S+/?v\d|Parallelism:\s+\d+$|Pods Statuses:\s|Service Account:\s"
        ),
        f"is what kubectl describe prints, which cannot be read safely; {_KUBECTL}",
    ),
    _Unusable(
        re.compile(r"\s*JOBID\s+USER\s+STAT\s+QUEUE\s+FROM_HOST\s+EXEC_HOST"),
        "is the table that bjobs prints by default, which tells neither run times nor GPUs; run "
        "`bacct -l -u all` or `bhist -a -l`, or give lsb.acct",
    ),
    _Unusable(
        re.compile(r"\s*JOBID\s+(?:QUEUE\s+)?USER\s+NAME\s+ST\s+NTASKS\s+NNODES\s+TIME"),
        "is the table that flux jobs prints by default, which tells neither times of submission "
        "nor GPUs; run `flux jobs -a --json`",
    ),
    _Unusable(
        re.compile(r"\s*JOBID\s+PARTITION\s+NAME\s+USER\s+ST\s+TIME\s+NODES"),
        "is the queue that squeue prints, not a log of jobs that have ended; run `clustersim trace "
        "--command sacct` for the command, or `clustersim forecast` with this file",
    ),
    _Unusable(
        re.compile(r"(?:Cluster Utilization|Top \d+ Users|Cluster/\w+/\w+|Job Sizes) "),
        "is a report of sreport, which has sums only; give the jobs, as `clustersim trace "
        "--command sacct` shows",
    ),
    _Unusable(
        re.compile(r"\s*(?:JOB_ID\s+SUBMISSION_ID|ID\s+TASK\s+NAME\s+.*RESOURCES\s+SUBMITTED)"),
        "is a table for people (ray list jobs, sky jobs queue) without exact times and GPUs; use "
        "`kubectl get rayjobs -A -o json`, the log of the scheduler, or a CSV with the columns "
        "job_id, submit, start, end and gpus",
    ),
    _Unusable(
        re.compile(r"\s*job-ID\s+prior\s+name\s+user\s+state\s+submit/start"),
        "is the queue that qstat of Grid Engine prints; give the file accounting, or `qacct -j`",
    ),
    _Unusable(
        re.compile(r"\s*Job id\s+Name\s+User\s+Time Use\s+S\s+Queue"),
        "is the queue that qstat of PBS prints by default; run `qstat -xf`, or give the files in "
        "server_priv/accounting",
    ),
    _Unusable(
        re.compile(r"\s*ID\s+OWNER\s+SUBMITTED\s+RUN_TIME\s+ST\s+COMPLETED", re.I),
        "is the table that condor_history prints by default, which does not tell the number of "
        "GPUs of a job; run `condor_history -json`",
    ),
    _Unusable(
        re.compile(
            r"\s*JOBID\s+USER\s+JOB_NAME\s+PEND\s+PSUSP\s+RUN|\s*Total number of done jobs:"
        ),
        "is what bhist or bacct prints without -l, which tells neither when a job was submitted "
        "nor its GPUs; run `bhist -a -l` or `bacct -l -u all`, or give lsb.acct",
    ),
    _Unusable(
        re.compile(r"\s*<(?:!DOCTYPE html|html|table)\b", re.I),
        "is a web page: save the table with the jobs as CSV",
    ),
    _Unusable(
        re.compile(r"Job ID: \d+"),
        "is what seff prints, which tells neither times nor GPUs; run the command that `clustersim "
        "trace --command sacct` shows",
    ),
    _Unusable(
        re.compile(r'.*"TrainingJobSummaries"'),
        "is what list-training-jobs prints, which has no instances; run `aws sagemaker "
        "describe-training-job` for each job and put the outputs into one file",
    ),
    _Unusable(
        re.compile(r'.*"(?:type|workloadType)":\s*"(?:Training|Workspace|Inference|Distributed)"'),
        _RUNAI,
    ),
    _Unusable(re.compile(r'.*"workloadRequestedResources":\s*\{'), _RUNAI),
    _Unusable(re.compile(r"\s*NAME\s+STATUS\s+AGE\s+NODE\s+IMAGE\s+TYPE\s+PROJECT"), _RUNAI),
    _Unusable(re.compile(r"[\s|]*Workload[\s|]+Type[\s|]+Status[\s|]+Project[\s|]"), _RUNAI),
)


_STARTED = re.compile(r'"\w*(?:start|began|begin)\w*"\s*:', re.I)
"""A key of JSON that tells when a job began."""


def _message(content: Content) -> str | None:
    if (error := kubectl_error(content.text)) is not None:
        return error
    for line in content.head[:40]:
        for one in _OUTPUTS:
            if one.line.match(line) and not (
                one.message == _RUNAI and _STARTED.search(content.text[:20_000])
            ):
                return one.message
    return None


def is_unusable(content: Content) -> bool:
    """Return whether the file is an output that lacks what is needed."""
    return _message(content) is not None


def refuse_unusable(content: Content) -> Records:
    """Refuse the file.

    Raises
    ------
    InputError
        Always; the message says what to run instead.
    """
    raise InputError(content.path, str(_message(content)))
