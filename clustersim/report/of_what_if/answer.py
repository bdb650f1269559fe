"""The answer to a question about a log, in sentences."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from clustersim.analysis.steady import LARGE_BACKLOG
from clustersim.report.amounts import can_be_read_in, common_unit, in_unit
from clustersim.report.of_what_if.cost import cost_text
from clustersim.report.of_what_if.doubts import (
    LEAST_S,
    SAME,
    apart_text,
    chains_text,
    contradiction,
    doubt,
    is_apart,
    recorded_data,
    recorded_doubt,
    recorded_text,
    verb_of,
)
from clustersim.report.of_what_if.other_times import other_way_text
from clustersim.report.of_what_if.stopped_jobs import stopped_text
from clustersim.report.page import Answer
from clustersim.simulation.eligibility import SHARED
from clustersim.units import (
    capital,
    counted,
    format_number,
    format_percent,
    listed,
)
from clustersim.whatif.enough_replications import NEARLY, enough_replications, width_ratio
from clustersim.whatif.groups import TIMES
from clustersim.whatif.question import LOAD
from clustersim.whatif.result import WhatIf

__all__ = ["metric_label", "what_if_answer"]

_MOST_HINGES = 5
_OVERLOAD = 0.2
"""Share of the work that waits at the end above which the sentence speaks of overload."""
_MOST_PARTITIONS = 3
_TOO_WIDE = 1.5
"""From this ratio of the widths of intervals on, the answer asks for more replications."""


def metric_label(found: WhatIf) -> str:
    """Return the name of the time that the answer compares, with its group of jobs."""
    return _of_asked(found, TIMES[found.metric])


def _of_asked(found: WhatIf, time: str) -> str:
    """Return the name of a time with the group of jobs that the answer is about."""
    asked = found.question.asked
    if asked.kind == "partition":
        return f"{time} in partition {asked.group}"
    return f"{time} of jobs with {asked.group} accelerators" if asked.kind == "size" else time


def what_if_answer(found: WhatIf) -> Answer:
    """Return the answer card of a question."""
    row = found.row
    hinges = [
        *recorded_text(found, _of_asked(found, TIMES.get(found.first_wait, ""))),
        *contradiction(found),
        *_hinges(found),
    ]
    first = f"; {_first_hinge(found)}" if len(_tried(found)) else ""
    sentence = (
        f"With {_changed(found)} the {metric_label(found)} {_moved(found, row)}{cost_text(found)}"
        f"{recorded_doubt(found, _unit(found))}{first}{_in_other_periods(found)}{doubt(found)}."
        f"{other_way_text(found)}{stopped_text(found)}{_left_out(found)}{_overload(found)}{_partitions(found)}"
    )
    label = f"change of the {metric_label(found)}"
    name, period = f"change_{found.metric}", found.period[1]
    value, interval = _change(row, name, _unit(found), period)
    return Answer(sentence, label, value, interval, tuple(hinges), tuple(_next_steps(found)))


def _moved(found: WhatIf, row: pd.Series) -> str:
    """Return how the wait of a group changes, with its intervals."""
    names = [f"{system.key}_{found.metric}" for system in found.question.compared]
    before, after = (float(row[name]) for name in names)
    verb = verb_of(before, after)
    unit = _unit(found)
    texts = [_with_interval(found, _ends(row, name), unit) for name in names]
    return f"stays at {texts[1]}" if verb == "stays" else f"{verb} from {texts[0]} to {texts[1]}"


def _unit(found: WhatIf) -> tuple[float, str] | None:
    """Return the unit of the sentence: that of the waits, or one for all its amounts.

    The unit of the two waits has precedence, if all other amounts and the change can be read in it.
    An amount that cannot be read in the unit still has one of its own.
    """
    names = [f"{system.key}_{found.metric}" for system in found.question.compared]
    waits = [float(found.row[name]) for name in names]
    every = [end for name in (*names, f"change_{found.metric}") for end in _ends(found.row, name)]
    if len(tried := _tried(found)):
        every.append(float(tried.iloc[0]["after_s"]))
    own = common_unit(waits)
    if own is not None and can_be_read_in(own, every):
        return own
    return common_unit(every) or own


def _in_other_periods(found: WhatIf) -> str:
    """Return in how many of the periods that were drawn from the log the wait moves the same way.

    An interval of the change is that of another period, so it may contain 0 although the wait moves
    in the same direction in every one.
    """
    waits = found.waits(found.metric)
    before, after = (waits[system.key] for system in found.question.compared)
    pairs = [*zip(before, after, strict=True)]
    # A period without such jobs has no wait.
    verbs = [verb_of(*pair) for pair in pairs[1:] if np.isfinite(pair).all()]
    verb = verb_of(*pairs[0])
    if verb == "stays" or not verbs:
        return ""
    alike, drawn = verbs.count(verb), len(verbs)
    if alike == drawn:
        every = f"all {drawn} periods" if drawn > 1 else "the one period"
        return f"; it {verb} in {every} drawn from the log, too"
    only = "only " if alike <= drawn / 2 else ""
    return f"; it {verb} in {only}{alike} of {drawn} periods drawn from the log"


def _left_out(found: WhatIf) -> str:
    """Return how many jobs can run on one side only, so that the waits are those of other jobs.

    With another load, the number of jobs differs anyway; what is left out is said in any case.
    """
    never = found.fleet.set_index("system")["never"]
    one, other = (float(never[system.name]) for system in found.question.compared)
    scales = [system.tree["workload"].get("scale") for system in found.question.compared]
    if other < one and scales[0] == scales[1]:
        jobs = counted(int(one - other), "job")
        return f" {jobs} can only run after the change and are left out of the waits before."
    if not other > one:
        return ""
    jobs = counted(int(other), "job")
    return f" {jobs} can never run after the change and are left out of its waits."


def _overload(found: WhatIf) -> str:
    """Return how much work waits at the end, if so much that a longer log would wait longer."""
    left = found.fleet["backlog_at_end"].to_numpy(dtype=np.float64)
    if not left[-1] > _OVERLOAD or found.blocks == "none":
        return ""
    return (
        f" {format_percent(float(left[-1]))} of the work still waits when the last job is "
        "submitted: the fleet is overloaded, and these waits grow with the length of the log."
    )


def _partitions(found: WhatIf) -> str:
    """Return what the change does to the partitions where it moves the waits of all jobs most."""
    rows = found.groups[found.groups["kind"] == "partition"]
    rows = rows[rows["group"] != found.question.asked.group]
    before, after = (f"{system.key}_{found.metric}" for system in found.question.compared)
    rows = rows[rows[[before, after]].notna().all(axis=1)]
    if rows.empty:
        return ""
    moved_s = (rows[after] - rows[before]).abs() * rows["jobs"]
    order = moved_s.sort_values(ascending=False, kind="stable").index
    texts = []
    rows = rows.loc[order[:_MOST_PARTITIONS]]
    unit = common_unit(rows[[before, after]].to_numpy(dtype=np.float64).ravel().tolist())
    for _, row in rows.iterrows():
        old, new = float(row[before]), float(row[after])
        verb = verb_of(old, new)
        stays = verb == "stays"
        way = f"at {in_unit([new], unit)}" if stays else f"from {in_unit([old, new], unit)}"
        doubts = [*_uncertain(found, row, verb), *_apart(found, row, unit)]
        said = f" ({'; '.join(doubts)})" if doubts else ""
        texts.append(f"{row['group']} {verb} {way}{said}")
    which = "Other partitions" if found.question.asked.kind == "partition" else "By partition"
    some = f" ({len(texts)} of {len(order)})" if len(texts) < len(order) else ""
    return f" {which}{some}: {'; '.join(texts)}."


def _uncertain(found: WhatIf, row: pd.Series, verb: str) -> Iterator[str]:
    """Yield in how many of the drawn periods the wait of a group moves so, if not in all."""
    waits = found.of(found.metric, row["kind"], row["group"])
    before, after = (waits[system.key] for system in found.question.compared)
    pairs = [*zip(before, after, strict=True)][1:]
    verbs = [verb_of(*pair) for pair in pairs if np.isfinite(pair).all()]
    alike, drawn = verbs.count(verb), len(verbs)
    if verb != "stays" and alike < drawn:
        yield f"in {'only ' if alike <= drawn / 2 else ''}{alike} of {drawn} drawn periods"


def _apart(found: WhatIf, row: pd.Series, unit: tuple[float, str] | None) -> Iterator[str]:
    """Yield how far the simulated wait of a group is from the recorded one."""
    recorded_s = found.recorded_waits.get((row["kind"], row["group"]), math.nan)
    if not math.isfinite(recorded_s):
        return
    simulated_s = float(row[f"{found.question.systems[0].key}_{found.first_wait}"])
    if is_apart(recorded_s, simulated_s):
        unit = unit or common_unit((recorded_s, simulated_s))
        apart = apart_text(recorded_s, simulated_s, unit)
        yield f"simulated as it is: {in_unit([simulated_s], unit)}, {apart}"


def _changed(found: WhatIf) -> str:
    """Return the change in words, and the load at which it is made."""
    systems = found.question.systems
    words = found.question.changed
    if len(systems) > 2:
        load = next(system.name for system in systems if system.key == LOAD)
        return f"{words}, at {load},"
    return words


def _ends(row: pd.Series, name: str) -> list[float]:
    """Return a number with the ends of its interval."""
    return [float(row[f"{name}{end}"]) for end in ("", "_low", "_high")]


def _with_interval(found: WhatIf, ends: Sequence[float], unit: tuple[float, str] | None) -> str:
    """Return a wait with its interval; `unit` is that of the sentence, if one suits its waits."""
    value, low, high = ends
    text = in_unit([value], unit)
    if math.isnan(low) or math.isnan(high):
        return text
    if low == high:
        return f"{text} (in all replications)"
    if math.isinf(high):
        least = in_unit([low], unit) if low >= 1 else "0"
        return f"{text} ({least} to more than the log's {found.period[1]})"
    return f"{text} ({in_unit([low, high], unit)})"


def _change(
    row: pd.Series, name: str, unit: tuple[float, str] | None, period: str = ""
) -> tuple[str, str]:
    """Return the change with its sign, and its interval, in the unit of the sentence.

    An infinite end is longer than the log, whose length is `period`.
    """
    value, low, high = _ends(row, name)
    if not math.isfinite(value):
        return "", ""
    number = in_unit([value], unit, signed=True)
    if math.isnan(low) or math.isnan(high):
        return number, "no interval: the log is too short to draw its days again"
    if math.isfinite(high - low):
        ends = in_unit([low, high], unit, signed=True)
    else:
        more = f"more than the log's {period}"
        below = f"{more} less" if math.isinf(low) else in_unit([low], unit, signed=True)
        above = f"{more} more" if math.isinf(high) else in_unit([high], unit, signed=True)
        ends = f"{below} to {above}"
    return number, f"95 % interval {ends}, from paired runs"


def _first_hinge(found: WhatIf) -> str:
    """Return what moves the answer most, and by how much."""
    row = _tried(found).iloc[0]
    usual = _usual(found)
    if abs(float(row["moves_s"])) <= max(LEAST_S, SAME * usual):
        return f"none of the {len(found.hinges)} alternatives that were tried moves this"
    moved = float(row["after_s"])
    instead = in_unit([moved, usual], _unit(found), join=" instead of ")
    return f"this hinges on {row['key']} ({row['what']}: {instead}{_also_never(row)})"


def _also_never(row: Mapping[Hashable, Any] | pd.Series) -> str:
    """Return how many jobs more can never run in an alternative; its waits leave them out."""
    more = row.get("more_never", 0)
    if not more > 0:
        return ""
    return f"; {counted(int(more), 'more job', 'more jobs')} can never run and are left out"


def _tried(found: WhatIf) -> pd.DataFrame:
    """Return the alternatives in which the jobs of the answer have a wait on both sides."""
    return found.hinges.dropna(subset=["before_s", "after_s"])


def _usual(found: WhatIf) -> float:
    after = found.question.compared[1].key
    return float(found.row[f"{after}_{found.metric}"])


def _few_replications(found: WhatIf) -> Iterator[str]:
    """Yield that the replications are too few for the intervals, and how many are enough."""
    blocks, classes = found.drawn_from
    drawn, freedom = len(set(found.replications["replication"])) - 1, blocks - classes
    if found.blocks == "none" or drawn < 1 or freedom < 1:
        return
    ratio = width_ratio(drawn, freedom)
    if ratio <= _TOO_WIDE:
        return
    enough = enough_replications(freedom)
    yield (
        f"The number of replications: {drawn} are too few. The intervals are "
        f"{format_number(ratio, 2)} times as wide as the log's {found.period[1]} allow; "
        f"--replications {enough} makes that {NEARLY:g} times. Only a longer log narrows them "
        "further."
    )


def _hinges(found: WhatIf) -> Iterator[str]:
    """Yield what the answer depends on: jobs and partitions that it leaves out, then the rest."""
    never = found.fleet[found.fleet["never"] > 0]
    for why, own in never.groupby("why_never", sort=False):
        jobs = counted(int(own["never"].iloc[0]), "job")
        systems = listed([str(name) for name in own["system"]])
        because = f": {why!s}" if why else ""
        yield f"Jobs that are left out ({systems}): {jobs} can never run on this fleet{because}."
    if not found.question.systems[-1].tree["workload"].get("reference_models"):
        for change in found.question.replaced:
            yield (
                f"The run times, which are those of the log: {change} changes power and cost, but "
                "no job runs faster or slower. To change them, give the old chip and a model that "
                "represents the jobs with --assume (workload.reference_accelerator and "
                "workload.reference_models), or scale duration_s and estimate_s of the log."
            )
    for note in found.notes:
        if SHARED in note:
            yield f"Partitions: {note}."
    yield from chains_text(found)
    yield from _few_replications(found)
    usual = _usual(found)
    for row in found.hinges[found.hinges[["before_s", "after_s"]].isna().any(axis=1)].to_dict(
        "records"
    ):
        if more := _also_never(row):
            yield f"{capital(str(row['key']))}: with {row['what']}, there is no such wait{more}."
    for row in _tried(found).head(_MOST_HINGES).to_dict("records"):
        waits = (float(row["before_s"]), float(row["after_s"]), usual)
        unit = common_unit(waits) or common_unit(waits[1:])
        before, after, instead = (in_unit([each], unit) for each in waits)
        key = str(row["key"])
        yield (
            f"{capital(key)}: with {row['what']}, {before} before and {after} after "
            f"(instead of {instead}){_also_never(row)}."
        )
    fleet = found.fleet
    left = fleet["backlog_at_end"].to_numpy(dtype=np.float64)
    if left.max() > LARGE_BACKLOG:
        most = fleet.iloc[int(left.argmax())]
        share = format_percent(float(most["backlog_at_end"]))
        yield (
            f"The end of the log: {share} of its work waits when its last job is submitted "
            f"({most['system']}); a longer log could show longer waits."
        )


def _next_steps(found: WhatIf) -> Iterator[str]:
    own = recorded_data(found)
    if own is not None and own["differs"]:
        yield "Run clustersim validate: the simulation does not reproduce the recorded waits."
    first = found.hinges.iloc[0] if len(found.hinges) else None
    if first is not None and first["key"] == "the policy":
        yield "Check which policy the site uses, and give it with --policy."
    elif first is not None and first["key"] == "the run-time estimates":
        yield "Give the log a column estimate_s with the time limits of the jobs."
    elif first is not None and first["key"] == "the nodes in service":
        yield "Find out how many nodes are in service on average, and give the cluster that size."
    elif first is not None:
        yield "Ask with several loads (--load): the growth of the demand decides."
    if any(SHARED in note for note in found.notes):
        yield "Write the partitions of the jobs under queues: of the pools on which they may run."
    yield (
        "before.yaml and after.yaml are scenarios: clustersim run shows every job, and a study can "
        "search the number of nodes at which an objective is met."
    )
