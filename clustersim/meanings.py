"""Synonyms of names, so that a hint can suggest a name with the same meaning.

Each group lists the names of one thing in the files of this project, in other programs and in the
literature.  The names used by this project come first.  All names are written in lower-case letters
and digits only.  A hint suggests a name from a group only if the name is allowed at that place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["same_meaning", "squashed"]

_GROUPS = (
    # the scenario
    "cluster topology fleet datacenter datacentre hardware system",
    "trace log logs traces joblog logfile tracefile swf csv history file path input",
    "format fileformat type",
    "load offeredload utilisation utilization rho intensity",
    "jobsperday arrivalrate jobrate jobsperhour load rate",
    "jobs njobs numjobs jobcount numberofjobs totaljobs",
    "generate model synthetic generator workloadmodel",
    "horizon until end simulationtime simtime endtime maxtime stop stopat stoptime duration",
    "duration runtime elapsed servicetime length executiontime",
    "start startdate begin starttime date calendar day0 epoch origin",
    "timezone tz zone tzinfo timezonestring",
    "seed randomseed rngseed rng randomstate",
    "name title label id",
    "description comment comments notes note about",
    "scheduler scheduling queue queueing",
    "policy algorithm discipline strategy schedulingpolicy queuepolicy order",
    "placement allocation allocator packing mapping locality allocationpolicy",
    "estimates estimate walltime requestedtime timelimit exactestimates userestimates",
    "choose selection preference poolchoice",
    # the cluster
    "pools pool partitions partition nodegroups groups",
    "nodes node servers server hosts machines numnodes nnodes nodecount hostcount",
    "accelerator gpu chip device npu gputype gpumodel chiptype acceleratortype gpus",
    "accelerators gpus chips devices npus allowedgpus gpuspec",
    "chipspernode gpuspernode acceleratorspernode devicespernode gpupernode",
    # jobs
    "weight share fraction probability proportion weights",
    "sizes size ngpus numgpus numgpu gpus accelerators gangsize count",
    "vcs virtualclusters virtualcluster vc tenants queues teams",
    "arrivals arrival arrivalprocess submissions",
    "meaninterarrival interarrival interarrivaltime meangap arrivalrate rate",
    "preemptible preemptable preempt spot",
    # models and plans
    "model modelname network architecture llm",
    "stack framework software softwarestack library engine",
    "precision dtype datatype numberformat",
    "tp tensorparallel tensorparallelism tensorparallelsize tensormodelparallelsize mp",
    "pp pipelineparallel pipelineparallelism pipelineparallelsize pipelinemodelparallelsize",
    "dp dataparallel dataparallelism dataparallelsize",
    "cp contextparallel contextparallelism contextparallelsize sequenceparallelsize",
    "ep expertparallel expertparallelism expertparallelsize expertmodelparallelsize",
    "etp experttp experttensorparallel experttensorparallelism experttensorparallelsize",
    "microbatch mbs microbatchsize",
    "globalbatch gbs batchsize globalbatchsize batch",
    "seqlen sequencelength contextlength seq context seqlength maxseqlen",
    "zero zerostage fsdp distributedoptimizer",
    "recompute recomputation activationcheckpointing gradientcheckpointing",
    "count ngpus numgpus numgpu gpus chips worldsize gpucount nchips naccelerators",
    # failures
    "failures faults reliability outages",
    "timetofailure mtbf mttf",
    "rate failurerate mtbf mttf hazard",
    "repair mttr repairtime downtime timetorepair",
    "spares spare hotspares backups",
    "checkpoints checkpointing checkpoint",
    "restart recovery restarttime recoverytime",
    # energy and money
    "energy power electricity",
    "pricecnyperkwh electricityprice tariff priceperkwh energyprice powerprice kwhprice price",
    "carbongperkwh carbon carbonintensity co2 emissions carbonperkwh gco2perkwh",
    "money costs cost finance economics budget tco",
    "price cost capex chipprice pricepernode priceperchip unitprice",
    "life lifetime depreciation amortisation amortization usefullife",
    "interestperyear interest discountrate wacc interestrate",
    "rentperhour rent hourlyprice priceperhour",
    # supply and serving
    "supply procurement purchases deliveries",
    "deliveries delivery orders purchases",
    "retirements retirement decommissioning decommission",
    "serving inference services",
    "ports porting portability",
    # values
    "fcfs fifo firstcomefirstserved",
    "easy backfill backfilling easybackfill easybackfilling",
    "sjf shortest shortestjobfirst shortestfirst spt srtf",
    "conservative conservativebackfill conservativebackfilling",
    "consolidate pack packed bestfit binpack compact consolidated",
    "spread scatter roundrobin balanced worstfit",
    "bestvalue cheapest cheap cost price",
    "listed order preferred",
    "constant fixed deterministic const",
    "exponential exp",
    "lognormal lognorm logn",
    "quantiletable quantiles empirical histogram percentiles table",
    "hyperexponential h2 bursty",
    "swf standardworkloadformat pwa",
    "pai alibaba alibaba2020 clustertracegpuv2020",
    "openb alibaba alibaba2023 clustertracegpuv2023",
    "philly microsoft fiddle",
    "acme seren kalos internlm",
    "helios venus sensetime saturn uranus earth",
    # metrics
    "meanwaits wait waits waittime waitingtime meanwait queueingdelay queuingdelay queuetime delay",
    "p95waits tailwait waitp95 p95waitingtime",
    "meanjcts jct jcts completiontime meanjct turnaround turnaroundtime responsetime",
    "meanboundedslowdown slowdown boundedslowdown bsld stretch",
    "utilisation utilization occupancy usage gpuutilization gpuutil util",
    "effectivetime goodput ettr",
    "jobsdoneperday throughput jobsperday finishedperday",
    "makespans makespan",
    "energyj energy electricityuse consumption",
    "carbonkg carbon co2 emissions",
    "costcny cost totalcost",
    "fleetcostcny tco capex fleetcost",
    "fleetpowerw power fleetpower watts",
)
_MEANINGS = tuple(tuple(group.split()) for group in _GROUPS)


def squashed(name: object) -> str:
    """Return the letters and digits of a name, in lower case.

    Examples
    --------
    >>> squashed("Num GPUs"), squashed("job_id")
    ('numgpus', 'jobid')
    """
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def same_meaning(name: object, allowed: Iterable[str]) -> str | None:
    """Return the allowed name with the same meaning, or None.

    Examples
    --------
    >>> same_meaning("log", ["load", "trace"]), same_meaning("fifo", ["easy", "fcfs"])
    ('trace', 'fcfs')
    """
    meant = squashed(name)
    by_word = {squashed(item): item for item in allowed}
    if meant in by_word:
        return by_word[meant]
    for group in _MEANINGS:
        if meant in group:
            for word in group:
                if word in by_word:
                    return by_word[word]
    return None
