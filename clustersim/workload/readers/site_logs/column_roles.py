"""Recognise what the columns of a log mean, by their names and by what is in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from clustersim.meanings import squashed
from clustersim.workload.columns import UNIT_S
from clustersim.workload.readers.cells import given_cells
from clustersim.workload.readers.observed import are_states
from clustersim.workload.readers.site_logs.vocabulary import english_name, english_state

__all__ = ["ROLES", "Roles", "is_utc", "plain_name", "recognise"]

_DEVICE = (
    r"(?:gpu|npu|tpu|mlu|dcu|gcu|xpu|hpu|accelerator|accel|card|device|chip|nvidiagpu|gpucard|"
    r"nvidiacomgpu|amdcomgpu|huaweicomascend\d*\w*)"
)
_COUNT = r"(?:n|nr|no|num|number|numberof|numof|nof|count|cnt|total|amount|qty|quantity)?"
_TAKEN = (
    r"(?:alloc|allocated|used|granted|assigned|provisioned|req|request|requested|reserved|demand|"
    r"demanded|needed)?"
)
_UNITS_OF_JOBS = {
    **dict.fromkeys(("node", "host", "machine", "server", "box"), "node"),
    **dict.fromkeys(("worker", "pod", "replica", "instance", "inst", "task", "rank"), "worker"),
    **dict.fromkeys(("member", "container", "executor", "process", "proc", "trainer"), "worker"),
    "parallelism": "worker",
}
_UNIT = "|".join(_UNITS_OF_JOBS)
_ZONE = re.compile(r"[\s_]*(?:\((?:UTC|GMT|Z)\)|\[(?:UTC|GMT|Z)\]|[\s_](?:UTC|GMT))\s*$", re.I)
"""What tells at the end of a name that times are in UTC."""
_EACH = re.compile(r"(?i)\b([gn]pus?|cards?|accelerators?)\s*/\s*(?=[a-z])")
"""A stroke that stands for "per", as in ``GPUs/node``."""
_PLAIN_ENDING = re.compile(r"(?:timestamp|datetime|epoch|unix|iso|local)$")
"""What may stand behind the meaning of a column of times."""
_PER = re.compile(
    rf"{_COUNT}{_TAKEN}{_COUNT}{_DEVICE}s?{_COUNT}{_TAKEN}(?:per|each|by|in|x)(?P<unit>{_UNIT})s?"
    rf"|(?:per)?(?P<unit2>{_UNIT})s?{_COUNT}{_DEVICE}s?{_COUNT}|gpn"
)
_TOTAL = re.compile(
    rf"{_COUNT}{_TAKEN}{_COUNT}{_DEVICE}s?{_COUNT}{_TAKEN}{_COUNT}(?:perjob)?|scalefactor|"
    r"requestednumberofresources|nres|aiprocessors?|acceleratorstotal"
)
_DEVICE_TIME = re.compile(
    rf"(?:total|used|alloc|allocated)?{_DEVICE}s?(?:used|total)?"
    r"(?P<unit>hours|hour|hrs|hr|h|minutes|minute|mins|seconds|second|secs|s|days)(?:used|total)?"
)
"""Columns that tell the accelerators of a job times its run time."""
_ON_NODE = re.compile(
    rf"{_COUNT}(?:task|worker|rank|proc|process|pod|trainer)(?:e?s)?(?:per|each|by|on)(?:node|host)s?"
)
"""Columns that tell the workers of a node."""
_LISTS = re.compile(
    rf"{_TAKEN}{_DEVICE}s?(?:ids?|idx|index|indexes|indices|indicies|list|uuids?)|cudavisibledevices"
)
"""Columns that list the accelerators of a job one by one."""
_UNITS = re.compile(rf"{_COUNT}{_TAKEN}{_COUNT}(?P<unit>{_UNIT})s?{_COUNT}{_TAKEN}")

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
        "timewaiting timequeue queuedduration schedulingdelay",
    ),
    "run": (
        "elapsed elapsedraw elapsedtime elapseds runtime run runduration runningtime executiontime "
        "exectime jobruntime jobduration execduration executionduration timerun timeused usedtime "
        "actualruntime ruwallclock wallclockused walltimeused usedwalltime remotewallclocktime "
        "resourcesusedwalltime actualwalltime runningduration timeelapsed",
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
_MEANING = {role: [frozenset(group.split()) for group in groups] for role, groups in ROLES.items()}
_VERBS: dict[str, tuple[str, ...]] = {
    "submit": (
        "submit|submitted|submission",
        "create|created|creation",
        "arrive|arrived|arrival|enqueue|enqueued|queued|receive|received",
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
_WORDY = {
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
_WAITS = ("queue", "queued", "pend")
"""Names that are those of waits if they have a unit, such as ``queued_seconds``."""
_NO_TIME = {"queuedtime", "submittedjob", "runtime"}
_LABELS = ("user", "partition", "account", "qos", "state", "job_name")
_TIMES = ("submit", "start", "end")
_LENGTHS = ("wait", "run", "limit")
_TRES_CELL = r"gres/\w+|(?:^|[,;]\s*)(?:gpu|npu|dcu|mlu)s?(?::[\w.-]+)?[:=]\d"


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
    units : dict of str to float
        Seconds in the unit that the name of a column tells, by role.
    """

    names: dict[str, str] = field(default_factory=dict)
    factors: tuple[str, ...] = ()
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


def plain_name(name: object) -> str:
    """Return the name of a column in English, in lower-case letters and digits only.

    Examples
    --------
    >>> plain_name("Submit Time"), plain_name("提交时间"), plain_name("Started (UTC)")
    ('submittime', 'submittime', 'started')
    """
    text = _ZONE.sub("", str(name))
    return squashed(english_name(_EACH.sub(r"\1 per ", text)))


def is_utc(name: object) -> bool:
    """Return whether the name of a column tells that its times are in UTC.

    Examples
    --------
    >>> is_utc("Started (UTC)"), is_utc("start_utc"), is_utc("start")
    (True, True, False)
    """
    return _ZONE.search(str(name)) is not None


def _parts(name: str) -> tuple[str, float | None]:
    """Split a name into its meaning and the seconds in its unit, None if it tells none."""
    name = english_name(_ZONE.sub("", name))
    text = re.sub(r"\(([^)]*)\)|\[([^]]*)\]", r"_\1\2", name.strip())
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text)
    stem, _, ending = re.sub(r"[\s.-]+", "_", text).rstrip("_").rpartition("_")
    unit = UNIT_S.get(ending.lower()) if stem else None
    return (squashed(stem), unit) if unit is not None else (squashed(name), None)


def recognise(columns: Sequence[str], table: pd.DataFrame | None = None) -> Roles:
    """Return what columns mean.

    Parameters
    ----------
    columns : sequence of str
        Names of the columns.
    table : pandas.DataFrame, optional
        Their cells, by which a state is told from other words and a wait from a time.

    Examples
    --------
    >>> roles = recognise(["jobId", "workers", "gpuPerWorker", "submitTime", "queue", "queue_s"])
    >>> roles.factors, roles.names["wait"], roles.names["partition"]
    (('workers', 'gpuPerWorker'), 'queue_s', 'queue')
    """
    roles = Roles()
    parsed = {name: _parts(name) for name in columns}
    free = list(columns)
    for role in (
        "submit",
        "start",
        "end",
        *_LENGTHS,
        "job_id",
        *_LABELS,
        "tres",
        "req_tres",
        "gres",
        "req_gres",
    ):
        found = _named(role, free, parsed, table)
        if found is None and role in _TIMES:
            found = _wordy(role, free, parsed, table)
        if found is None:
            continue
        name, unit = found
        roles.names[role] = name
        if unit is not None:
            roles.units[role] = unit
        if role != "job_id" or not plain_name(name).endswith("name"):
            free.remove(name)
    timed = "run" in roles.names or {"start", "end"} <= set(roles.names)
    if not timed:  # a column that is called by a unit alone
        bare = next((name for name in free if plain_name(name) in _BARE_UNITS), None)
        if bare is not None and (table is None or _fits("run", table[bare])):
            roles.names["run"] = bare
            roles.units["run"] = UNIT_S[plain_name(bare)]
            free.remove(bare)
            timed = True
    if not timed and _is_walltime(roles.names.get("limit", "")):
        roles.names["run"] = roles.names.pop("limit")
    _sizes(roles, free, table)
    return roles


_BARE_UNITS = ("seconds", "secs", "minutes", "mins", "hours", "days")


def _wordy(
    role: str,
    columns: list[str],
    parsed: dict[str, tuple[str, float | None]],
    table: pd.DataFrame | None,
) -> tuple[str, float | None] | None:
    """Return the column of a time whose name says more than that, such as ``job_started_on``."""
    for pattern in _WORDY[role]:
        for name in columns:
            meaning, unit = parsed[name]
            whole = plain_name(name)
            if whole in _NO_TIME or not (pattern.fullmatch(whole) or pattern.fullmatch(meaning)):
                continue
            if table is None or (
                _fits(role, table[name]) and ("running" not in whole or _are_dates(table[name]))
            ):
                return name, unit
    return None


def _are_dates(cells: pd.Series) -> bool:
    """Return whether cells are times, not lengths of time."""
    given = cells[given_cells(cells)].astype(str).str.strip().head(200)
    dates = given.str.match(r"\d{4}[-/年]|\d{1,2}[-/.]\d{1,2}[-/.]\d{2}|\d{10}")
    return bool(len(given)) and bool(dates.mean() > 0.5)


def _is_walltime(name: str) -> bool:
    return plain_name(name) in _MEANING["limit"][1]


def _named(
    role: str,
    columns: list[str],
    parsed: dict[str, tuple[str, float | None]],
    table: pd.DataFrame | None,
) -> tuple[str, float | None] | None:
    """Return the column of a role and the unit of its name; None if there is none."""
    if role == "wait":  # `queue_s` is a wait, `queue` a partition
        for name in columns:
            meaning, unit = parsed[name]
            if meaning in _WAITS and unit is not None:
                return name, unit
    for group in _MEANING[role]:
        for name in columns:
            meaning, unit = parsed[name]
            if role == "submit" and unit is not None and meaning in _WAITS:
                continue
            whole = plain_name(name)
            timed = role in _TIMES or role in _LENGTHS
            if role in _TIMES and whole not in group:
                whole = _PLAIN_ENDING.sub("", whole)
            if not (whole in group or (timed and unit is not None and meaning in group)):
                continue
            if table is not None and not _fits(role, table[name]):
                continue
            return name, (unit if timed and whole not in group else None)
    return None


def _fits(role: str, cells: pd.Series) -> bool:
    """Return whether the cells of a column can have a role."""
    given = cells[given_cells(cells)].astype(str).str.strip().head(200)
    if role == "state":
        given = given.map(english_state)
    if not len(given):
        return role not in ("run", "submit")
    if role == "state":
        return are_states(given) or bool(given.str.fullmatch(r"[A-Za-z_ +\d-]+").all())
    if role in _TIMES:
        clock = given.str.fullmatch(r"(?:\d+-)?\d{1,4}:\d\d(?::\d\d(?:\.\d+)?)?")
        return bool((given.str.contains(r"\d", regex=True) & ~clock).mean() >= 0.1)
    if role in _LENGTHS:
        return not bool(given.str.match(r"\d{4}-\d\d-\d\d").mean() > 0.5)
    return True


def _sizes(roles: Roles, free: list[str], table: pd.DataFrame | None) -> None:
    """Find the columns that tell the accelerators of a job."""
    squashes = {name: plain_name(name) for name in free}
    per = {
        name: _UNITS_OF_JOBS[match["unit"] or match["unit2"] or "node"]
        for name in free
        if (match := _PER.fullmatch(squashes[name])) and _counts(table, name)
    }
    totals = [
        name
        for name in free
        if name not in per and _TOTAL.fullmatch(squashes[name]) and _counts(table, name)
    ]
    units = {
        name: _UNITS_OF_JOBS[match["unit"]]
        for name in free
        if (match := _UNITS.fullmatch(squashes[name])) and _counts(table, name)
    }
    for name, unit in per.items():
        alike = [other for other, kind in units.items() if kind == unit] or list(units)
        if alike:
            on_node = [other for other in free if _ON_NODE.fullmatch(squashes[other])]
            between = on_node[:1] if unit == "worker" and units[alike[0]] == "node" else []
            roles.factors = (alike[0], *between, name)
            break
    exact = [name for name in totals if re.search(r"alloc|used|granted|total", squashes[name])]
    if exact and _only_while_running(roles, totals, exact, table):
        totals = [name for name in totals if name not in exact]
        exact = []
    if totals and not (roles.factors and not exact and _is_request(totals[0])):
        roles.names["gpus"] = (exact or totals)[0]
        roles.factors = ()
        workers = [name for name, kind in units.items() if kind == "worker"]
        each = bool(workers) and squashes[workers[0]] in _WORKER_COUNTS
        if each and not exact and (_is_request(totals[0]) or "parallelism" in squashes[workers[0]]):
            roles.factors = (workers[0], totals[0])  # the request of one worker
            del roles.names["gpus"]
    if not roles.has_size and "resourcepool" in {plain_name(name) for name in roles.names.values()}:
        slots = [name for name in free if squashes[name] == "slots"]  # as Determined calls them
        roles.names.update({"gpus": slots[0]} if slots else {})
    if not roles.has_size:
        lists = [name for name in free if _LISTS.fullmatch(squashes[name])]
        if lists:
            roles.names["gpu_list"] = lists[0]
    if not roles.has_size:
        for name in free:
            match = _DEVICE_TIME.fullmatch(squashes[name])
            if match and _counts(table, name):
                roles.names["gpu_time"] = name
                roles.units["gpu_time"] = UNIT_S[match["unit"]]
                return
    if not roles.has_size and table is not None:
        for name in free:
            cells = table[name].astype("string")
            if cells.str.contains(_TRES_CELL, regex=True, case=False, na=False).any():
                tres = cells.str.contains("gres/", na=False).any()
                roles.names["tres" if tres else "gres"] = name
                break


_WORKER_COUNTS = {
    *("workernum", "workercount", "numworkers", "numberofworkers", "workers", "nworkers"),
    *("instnum", "instancecount", "instancenum", "numinstances", "instances", "ninstances"),
    *("podcount", "podnum", "numpods", "pods", "replicacount", "numreplicas", "replicas"),
    "parallelism",
}
"""Columns of workers beside which a request of accelerators is that of one worker."""


def _only_while_running(
    roles: Roles, totals: list[str], exact: list[str], table: pd.DataFrame | None
) -> bool:
    """Return whether what is allocated is told of running jobs only, and requests of all."""
    end = roles.names.get("end")
    if table is None or end is None or len(totals) == len(exact):
        return False
    ended = table[given_cells(table[end])]

    def told(name: str) -> bool:
        return bool((pd.to_numeric(ended[name], errors="coerce") > 0).any())

    asked = [name for name in totals if name not in exact]
    return not any(told(name) for name in exact) and any(told(name) for name in asked)


def _is_request(name: str) -> bool:
    return "request" in plain_name(name) or plain_name(name).startswith("plan")


def _counts(table: pd.DataFrame | None, name: str) -> bool:
    """Return whether the cells of a column are numbers, not names of chips."""
    if table is None:
        return True
    cells = table[name]
    given = cells[given_cells(cells)].astype(str).str.strip().head(500)
    if not len(given):
        return False
    counts = given.str.fullmatch(
        r"\d+(?:[.,]\d+)?|[A-Za-z][\w -]*:\d+|(?:\w+:)*\d+(?:\(.*\))?|\d+\s*[x*]\s*\S+"
    )
    return bool(counts.mean() > 0.5)
