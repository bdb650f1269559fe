"""What columns of a log can mean, and the names that they then have."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["LABELS", "LENGTHS", "MEANING", "ROLES", "TIMES", "WAITS", "WORDY", "Roles"]

ROLES: dict[str, tuple[str, ...]] = {
    "job_id": (
        "jobid jobids",
        "jobidraw jobnumber jobno jobnum jobuuid jobkey jobnr jobuid jid globaljobid idjob idtask "
        "cobaltjobid trainingjobid trainingjobname slurmjobid pbsjobid lsfjobid jobidentifier",
        "id job uuid uid workloadid runid taskid appid applicationid submissionid workflowid",
        "allocationid experimentid trialid trial sessionid requestid instanceid podname",
        "jobname name workload workloadname runname taskname metadataname",
    ),
    "submit": (
        "submit submittime submitted submittedat submittedtime submission submissiontime "
        "submissiondate submitdate submitat submittimestamp submitts subtime jobsubmittime "
        "timesubmit timesubmitted submissiontimestamp submissionts qsubtime submissionat",
        "createtime createdat created creationtime creationtimestamp creation createdtime "
        "createddate gmtcreate gmtcreated createts createdts ctime createat timecreated "
        "metadatacreationtimestamp",
        "arrival arrivaltime arrivals arrived arrivedat arrivetime arrivaltimestamp",
        "queuedat enqueuetime enqueued enqueuedat qtime qdate queuedtime queuestarttime "
        "requestedat requestdate timequeued",
        "timeofsubmission timeinsubmit queuedts queued tsubmit",
        "eligible eligibletime etime timestamp",
    ),
    "start": (
        "start starttime started startedat startedtime startts starts startat startingtime "
        "starttimestamp startdate timestart jobstart jobstarttime gmtstart runstart runstarttime "
        "jobstartdate",
        "begin begintime began begunat beganat begints beginat dispatch dispatchtime dispatched "
        "dispatchedat launch launchtime launched launchedat allocatedat admittedat executionstart "
        "executionstarttime scheduledat scheduletime scheduledtime running runningat",
    ),
    "end": (
        "end endtime ended endedat endedtime endts ends endat endtimestamp enddate timeend jobend "
        "jobendtime gmtend runend",
        "finish finishtime finished finishedat finishtimestamp finishts finishdate finishat "
        "finishs gmtfinish completion completiontime completiondate completed completedat "
        "completionts completiontimestamp stop stoptime stopped stoppedat terminated terminatedat "
        "termtime termination terminationtime donetime doneat executionend executionendtime "
        "deletiontime",
    ),
    "wait": (
        "wait waittime waiting waitingtime waitduration queuewait waits queuewaittime queuetime "
        "queuedelay queueingtime queuingtime queueduration timeinqueue inqueue pendtime pending "
        "pendingtime pendingduration planned plannedraw reserved reservedraw queuedfor qwait delay "
        "timewaiting timequeue queuedduration schedulingdelay totalwaittime",
    ),
    "run": (
        "elapsed elapsedraw elapsedtime elapseds runtime run runduration runningtime executiontime "
        "exectime jobruntime jobduration execduration executionduration timerun timeused usedtime "
        "actualruntime ruwallclock wallclockused walltimeused usedwalltime remotewallclocktime "
        "resourcesusedwalltime actualwalltime runningduration timeelapsed totalruntime",
        "duration durationtime lasted length servicetime",
        "walltime wallclock wallclocktime wctime",
    ),
    "limit": (
        "timelimit timelimitraw limit timelim walltimereq reqwalltime requestedwalltime "
        "walltimerequested walltimelimit wallclocklimit maxruntime maxwalltime maxduration "
        "runtimelimit durationlimit requestedtime reqtime timereq timerequested requestedruntime "
        "requestedduration hrt runlimit resourcelistwalltime estimate userestimate estimatedtime "
        "estimatedruntime estimatedduration estruntime expectedruntime expectedduration "
        "jobtimelimit activedeadlineseconds",
        "walltime wallclock",
    ),
    "state": ("state jobstate jobstatus status finalstatus finalstate outcome result phase stat",),
    "user": (
        "user username userid owner creator creatorname createdby submitter submittedby who "
        "jobowner creatorid useremail requester",
    ),
    "partition": (
        "partition queue queuename resourcequeue qname jobqueue localqueue partitionname pool vc "
        "virtualcluster resourcepool quota resourcegroup nodepool",
        "clusterqueue",
        "cluster",
    ),
    "account": (
        "account accountname project projectname group groupname team tenant organization "
        "org department namespace",
    ),
    "qos": ("qos priorityclass priorityclassname",),
    "job_name": ("jobname name",),
    "tres": ("alloctres tresalloc tresallocstr trestotal",),
    "req_tres": ("reqtres tresreq tresreqstr tresrequested",),
    "gres": ("allocgres gresalloc",),
    "req_gres": ("reqgres gres trespernode",),
}
"""Names of columns by what they mean, reduced to letters and digits; earlier groups first."""
MEANING = {role: [frozenset(group.split()) for group in groups] for role, groups in ROLES.items()}
_VERBS: dict[str, tuple[str, ...]] = {
    "submit": (
        "submit|submitted|submission",
        "create|created|creation",
        "arrive|arrived|arrival|enqueue|enqueued|queued|receive|received",
        "queue",
    ),
    "start": (
        "start|started|begin|began|begun|beginning",
        "launch|launched|dispatch|dispatched|dequeue|dequeued|allocate|allocated|admitted|scheduled",
        "running",
    ),
    "end": (
        "end|ended|finish|finished|complete|completed|completion",
        "stop|stopped|terminate|terminated|termination|exit|exited|done|closed",
    ),
}
"""What names of columns of times say, more or less wordily: ``job_started_on``, ``dt_end``."""
WORDY = {
    role: [
        re.compile(
            r"(?:job|task|run|trial|workload|time|date|dt|ts|gmt|actual|first|execution|exec)?"
            rf"(?:{verbs})(?:time|at|on|date|dt|ts|timestamp|datetime|epoch|unix|local)"
            rf"|(?:job|task|run|trial|workload|time|date|dt|ts|t|gmt|actual)(?:{verbs})"
        )
        for verbs in groups
    ]
    for role, groups in _VERBS.items()
}
WAITS = ("queue", "queued", "pend")
"""Names that are those of waits if they have a unit, such as ``queued_seconds``."""
LABELS = ("user", "partition", "account", "qos", "state", "job_name")
TIMES = ("submit", "start", "end")
LENGTHS = ("wait", "run", "limit")


@dataclass(slots=True)
class Roles:
    """What the columns of a table mean.

    Attributes
    ----------
    names : dict of str to str
        The column of each role: those of `ROLES`, ``gpus`` (accelerators of the job),
        ``gpu_list`` (their numbers) and ``gpu_time`` (their number times the run time).
    factors : tuple of str
        Columns whose product is the accelerators of the job.
    more_gpus : tuple of str
        Columns of accelerators of other kinds, to be added to ``gpus``.
    units : dict of str to float
        Seconds in the unit that the name of a column tells, by role.
    """

    names: dict[str, str] = field(default_factory=dict)
    factors: tuple[str, ...] = ()
    more_gpus: tuple[str, ...] = ()
    units: dict[str, float] = field(default_factory=dict)

    @property
    def has_size(self) -> bool:
        """Whether a column tells the number of accelerators."""
        return bool(self.factors) or bool(
            {"gpus", "gpu_list", "tres", "req_tres", "gres", "req_gres", "gpu_time"}
            & set(self.names)
        )

    @property
    def has_times(self) -> bool:
        """Whether columns tell when a job was submitted, and how long it ran."""
        names = set(self.names)
        submitted = "submit" in names or {"start", "wait"} <= names
        return submitted and (
            "run" in names or {"start", "end"} <= names or {"end", "wait"} <= names
        )
