"""The command that writes the log of a site, for each scheduler."""

from __future__ import annotations

__all__ = ["COMMANDS"]

_CONDOR = (
    "ClusterId,ProcId,Owner,QDate,JobStartDate,CompletionDate,EnteredCurrentStatus,"
    "RemoteWallClockTime,JobStatus,RequestGPUs,GPUsProvisioned,AssignedGPUs,JobUniverse,MaxHosts"
)

COMMANDS = {
    "sacct": (
        "sacct --allusers --allocations --duplicates --parsable2 --starttime 2026-01-01 "
        "--endtime now --format=JobID,User,Account,Partition,QOS,Submit,Start,End,ElapsedRaw,State,"
        "AllocTRES,NNodes,TimelimitRaw > jobs.txt"
    ),
    "kubernetes": "kubectl get jobs -A -o json > jobs.json",
    "kueue": "kubectl get workloads -A -o json > jobs.json",
    "kubeflow": "kubectl get pytorchjobs,mpijobs -A -o json > jobs.json",
    "volcano": "kubectl get vcjob -A -o json > jobs.json",
    "ray": "kubectl get rayjobs -A -o json > jobs.json",
    "pbs": "cat /var/spool/pbs/server_priv/accounting/2026* > jobs.txt",
    "torque": "cat /var/spool/torque/server_priv/accounting/2026* > jobs.txt",
    "lsf": 'cat "$LSB_SHAREDIR"/*/logdir/lsb.acct* > jobs.txt',
    "bacct": "bacct -l -u all > jobs.txt",
    "htcondor": f"condor_history -json -attributes {_CONDOR} > jobs.json",
    "gridengine": "cat $SGE_ROOT/default/common/accounting > jobs.txt",
}
"""Command by scheduler; the dates in them are to be changed."""
