"""The answer of a validation, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from clustersim.report.amounts import percent
from clustersim.report.page import Answer
from clustersim.units import capital, counted, format_duration, format_number, listed
from clustersim.validation.case import too_small
from clustersim.validation.mechanism import Mechanism
from clustersim.validation.result import (
    LEAST_EXPLAINED,
    LEAST_RANK,
    MOST_DISTANCE,
    Validation,
)

__all__ = ["validation_answer"]

_NEAR = 0.25
"""A distance of less than this share of the recorded mean wait is near."""
_MOST_OTHERS = 3


def validation_answer(found: Validation) -> Answer:
    """Return the answer card of a validation; the sentence of an unfinished one says so first."""
    answer = _answer(found)
    if not found.unfinished:
        return answer
    sentence = f"Interrupted ({found.unfinished}). So far: {answer.sentence}"
    again = "Run the command again without interrupting it."
    return replace(answer, sentence=sentence, next_steps=(again, *answer.next_steps))


def _answer(found: Validation) -> Answer:
    nearest = found.nearest
    recorded = float(found.recorded["mean_wait_s"])
    simulated = float(found.policies["mean_wait_s"].iloc[1])
    waits = f"mean wait {format_duration(simulated)}, recorded {format_duration(recorded)}"
    label, value = "distance of the waits", format_duration(found.distance_s)
    share = found.distance_s / recorded if recorded > 0 else math.nan
    interval = f"{percent(share)} of the recorded mean wait" if math.isfinite(share) else ""
    if found.case.given:
        label = "difference of the mean waits"
    if found.agrees:
        sentence = f"Yes: a replay under {nearest} reproduces the recorded waits ({waits})."
        return Answer(sentence, label, value, interval)
    far = f" ({percent(share)} of the recorded mean)" if math.isfinite(share) else ""
    verdict = "Nearly" if share <= _NEAR else "No"
    who = f"the nearest policy is {nearest}"
    if not found.is_near:
        verdict, who = "No", f"no policy is near; the least distant is {nearest}"
    sentence = (
        f"{verdict}: {who}{_equally(found)}, whose waits are {value} "
        f"from the recorded ones{far}; {waits}{_explained(found)}."
    )
    others = tuple(_others(found))
    return Answer(sentence, label, value, interval, others, tuple(_next_steps(found)))


def _equally(found: Validation) -> str:
    """Return the other policies at the same distance, in parentheses."""
    rows = found.policies.iloc[2:]
    same = rows["waits"][rows["distance_s"] == found.distance_s]
    return f" (equally near: {listed([str(name) for name in same])})" if len(same) else ""


def _explained(found: Validation) -> str:
    """Return which mechanism explains most, as the end of the sentence."""
    first = found.explanation
    tests = [each for each in found.tested if not each.untested]
    if not tests:
        return ""
    if found.together:
        return _explained_together(found)
    if first is None:
        count = len({each.key for each in tests})
        most_s = (1.0 - LEAST_EXPLAINED) * found.distance_s
        unseen = ""
        if any(each.scaled_s <= most_s for each in tests):
            unseen = " and has a trace that is higher in the log than in the replay"
        if count == 1:
            alone = "has no higher trace in the log than in the replay"
            does = alone if unseen else "does not bring this down by a tenth"
            return f"; the one mechanism that was tested {does}"
        return f"; none of {count} mechanisms that were tested brings this down by a tenth{unseen}"
    who = "it" if first.policy == found.nearest else first.policy
    verb = "most of this is explained by" if first.scaled_s < 0.5 * found.distance_s else (
        "what brings it down most is"
    )  # fmt: skip
    less = f"{percent(1 - first.scaled_s / found.distance_s)} less"
    if not math.isnan(first.whole_s):
        base = format_duration(first.base_s)
        less = f"instead of {base} on the same jobs, {percent(first.explained)} less"
    return (
        f"; {verb} {first.name}: granted to {who}, the distance is "
        f"{format_duration(first.distance_s)} ({less})"
    )


def _explained_together(found: Validation) -> str:
    """Return what the mechanisms that are granted together explain, one after the other."""
    first, last = found.together[0], found.together[-1]
    most = last.distance_s < 0.5 * found.distance_s
    verb = "most of this is explained by" if most else "what brings it down most is"
    who = "it" if first.policy == found.nearest else first.policy
    less = [percent(1 - each.distance_s / found.distance_s) for each in found.together]
    steps = [
        f"{format_duration(each.distance_s)} ({share} less)"
        for each, share in zip(found.together, less, strict=True)
    ]
    further = " and ".join(
        f"with {each.name} {step}" for each, step in zip(found.together[1:], steps[1:], strict=True)
    )
    return (
        f"; {verb} {' together with '.join(each.name for each in found.together)}: granted to "
        f"{who}, the first brings the distance to {steps[0]}, {further}"
    )


def _others(found: Validation) -> Iterator[str]:
    """Yield what else matters, the most important first."""
    tests = [each for each in found.tested if not each.untested]
    if found.case.is_too_small:
        yield f"{too_small(found.case)}."
    if not found.is_near:
        yield _not_near(found)
    seen = [each for each in tests if each.is_seen and each.explained >= LEAST_EXPLAINED]
    best = {each.key: each for each in reversed(seen)}
    for each in sorted(best.values(), key=lambda one: one.scaled_s)[:_MOST_OTHERS]:
        yield _words(each)
    if found.case.assumed:
        yield "The size of the cluster, which is assumed: the most that was in use at once."
    if found.case.given:
        yield "Only the mean wait is compared, because the log has no starts of jobs."
    if found.trials:
        yield _tried_together(found)
    if tests:
        yield (
            "What each mechanism takes from the log (see the table). Mechanisms overlap, so their "
            "shares do not add up."
        )


def _tried_together(found: Validation) -> str:
    """Return how many mechanisms were granted on top of others, and what came of it."""
    tried = sum(each.was_tried for each in found.trials)
    text = f"{counted(tried, 'mechanism was', 'mechanisms were')} tried on top of others"
    if not found.together and tried:
        text += "; none brings the distance down by a further tenth and by more than chance"
    if left := len(found.trials) - tried:
        text += f"; {left:,} more were not, for the reasons in combinations.csv"
    return f"{text}."


def _not_near(found: Validation) -> str:
    """Return why no policy is near."""
    rank = found.rank_correlation
    if rank < LEAST_RANK:
        why = (
            f"the rank correlation of the waits is at most {format_number(rank, 2)} (near: "
            f"{LEAST_RANK:g} or more), so other jobs wait than at the site"
        )
    else:
        most = percent(MOST_DISTANCE)
        why = f"the smallest distance is above {most} of the recorded mean wait"
    return f"No policy is near: {why}. Do not choose a policy by this comparison."


def _words(each: Mechanism) -> str:
    text = (
        f"{capital(each.name)}, granted to {each.policy}: takes "
        f"{percent(each.explained)} of its distance away"
    )
    if each.trace and math.isfinite(each.recorded):
        text += (
            f"; {each.trace}: {percent(each.recorded)} in the log, "
            f"{percent(each.simulated)} in the replay"
        )
    return f"{text}."


_STEPS = {
    "order": "Find out which priorities the site gives (fair share, QoS, age), and write them as a "
    "policy of your own: --policies my_policy.py:Class.",
    "capacity": "Look at the days in capacity.csv: drains, reservations and failures of these days "
    "belong into the scenario (nodes out of service), or the cluster is smaller.",
    "partitions": "Give the partitions their nodes in the topology (virtual_clusters).",
    "pooled": "If jobs of the site may use the nodes of other queues, let the queues share nodes "
    "in the topology; if they may not, this is a symptom, and the next mechanisms count.",
    "user_accelerators": "Ask for the limit on accelerators per user or queue{tres}.",
    "user_jobs": "Ask for the limit on running jobs per user or queue{jobs}.",
    "dependencies": "Ask for job dependencies and arrays with a limit on running tasks.",
    "hours": "Ask for the hours of night and weekend queues.",
    "estimates": "Compare the time limits of the log with those that the scheduler used.",
    "nodes": "Check how the site packs jobs on nodes.",
    "initial_state": "Compare later weeks only: --since.",
}


_IN_SLURM = (" (MaxTRESPerUser in Slurm)", " (MaxJobsPerUser in Slurm)")


def _next_steps(found: Validation) -> Iterator[str]:
    if found.case.is_too_small:
        yield "Give the cluster of the log's time: --cluster or --accelerators."
    for each in found.granted:
        slurm = found.case.log_format.lower().startswith("slurm")
        tres, jobs = _IN_SLURM if slurm else ("", "")
        yield _STEPS[each.key].format(tres=tres, jobs=jobs)
    if found.case.assumed:
        yield "Give the size of the cluster: --cluster or --accelerators."
    late = {each.key for each in found.tested if each.untested}
    if late:
        yield f"{counted(len(late), 'mechanism')} could not be tested; the table says why."
