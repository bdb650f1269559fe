"""What speaks against an answer: recorded waits that differ, and effects that contradict it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from clustersim.report.amounts import common_unit, in_unit
from clustersim.units import counted, format_number, format_percent
from clustersim.whatif.result import WhatIf
from clustersim.workload.chains import links_of

__all__ = [
    "FACTOR", "LEAST_S", "SAME", "apart_text", "chains_text", "contradiction", "doubt", "is_apart",
    "recorded_data", "recorded_doubt", "recorded_text", "verb_of",
]  # fmt: skip

LEAST_IN_CHAINS = 0.1
"""Chains are named if they have at least this share of the recorded waiting time."""
FACTOR = 1.5
"""The simulation of the log differs from what it recorded if the waits are this factor apart."""
_SHORT_S = 60.0
"""Waits below this are taken as this long where recorded and simulated waits are compared."""
SAME, LEAST_S = 0.01, 1.0
"""A wait that changes by at most this share of it, or by so many seconds, stays."""


def verb_of(before_s: float, after_s: float) -> str:
    """Return whether a wait stays, falls or rises.

    Examples
    --------
    >>> verb_of(100.0, 100.5), verb_of(100.0, 90.0), verb_of(100.0, 110.0)
    ('stays', 'falls', 'rises')
    """
    if abs(after_s - before_s) <= max(LEAST_S, SAME * before_s):
        return "stays"
    return "falls" if after_s < before_s else "rises"


def recorded_data(found: WhatIf) -> dict[str, Any] | None:
    """Return the recorded wait of the answer next to that of the simulation of the same log.

    Both are waits until the first start.

    Returns
    -------
    dict or None
        ``metric``, ``recorded_s``, ``simulated_s`` and ``differs`` (more than `FACTOR` apart);
        None if the log has no starts, or the answer is not about a wait.
    """
    recorded_s = found.recorded_wait_s
    if not math.isfinite(recorded_s):
        return None
    simulated_s = found.waits(found.first_wait)[found.question.systems[0].key][0]
    if not (math.isfinite(recorded_s) and math.isfinite(simulated_s)):
        return None
    return {
        "metric": found.first_wait,
        "recorded_s": recorded_s,
        "simulated_s": simulated_s,
        "differs": is_apart(recorded_s, simulated_s),
    }


def chains_text(found: WhatIf) -> Iterator[str]:
    """Yield what is assumed of jobs in chains, or how much of the recorded waits is theirs.

    Nodes do not shorten the time for which such a job waits for the one before.
    """
    if any(system.tree["workload"].get("chains") for system in found.question.systems):
        yield (
            "Chains: jobs that ran one after the other in the log, and never together, are assumed "
            "to wait for each other (workload.chains). More nodes shorten their waits less."
        )
        return
    jobs = found.question.log.jobs
    links = links_of(jobs) >= 0
    if not links.any():
        return
    start = "recorded_start_s" if "recorded_start_s" in jobs else "start_s"
    waits = (jobs[start] - jobs["submit_s"]).fillna(0.0).clip(lower=0.0)
    share = float(waits[links].sum() / waits.sum())
    if share >= LEAST_IN_CHAINS:
        n = counted(int(links.sum()), "job")
        yield (
            f"Chains: {n} with {format_percent(share)} of the recorded waiting time ran one after "
            "the other and never together, as jobs do that depend on each other. --assume "
            "workload.chains=true lets each wait for the one before, on both sides."
        )


def is_apart(recorded_s: float, simulated_s: float) -> bool:
    """Return whether both waits are known and more than `FACTOR` apart.

    Examples
    --------
    >>> is_apart(7200.0, 3600.0), is_apart(30.0, 0.0), is_apart(float("nan"), 60.0)
    (True, False, False)
    """
    if not (math.isfinite(recorded_s) and math.isfinite(simulated_s)):
        return False
    short, long = sorted(max(wait_s, _SHORT_S) for wait_s in (recorded_s, simulated_s))
    return long > FACTOR * short


def _factor(recorded_s: float, simulated_s: float) -> str:
    """Return by what factor a simulated wait is below or above the recorded one.

    Waits of less than a minute are taken as one minute, so that the factor is a lower bound.

    Examples
    --------
    >>> _factor(205920.0, 77400.0), _factor(0.0, 7200.0)
    ('a factor of 2.7 below', 'more than a factor of 120 above')
    """
    waits = (recorded_s, simulated_s)
    short, long = sorted(max(wait_s, _SHORT_S) for wait_s in waits)
    least = "more than " if min(waits) < _SHORT_S else ""
    way = "below" if simulated_s < recorded_s else "above"
    return f"{least}a factor of {format_number(long / short, 2)} {way}"


def apart_text(recorded_s: float, simulated_s: float, unit: tuple[float, str] | None = None) -> str:
    """Return by what factor a simulated wait is below or above the recorded one, and that one.

    `unit` is that of the sentence; by default, the one that both share.

    Examples
    --------
    >>> apart_text(205920.0, 77400.0)
    'a factor of 2.7 below the recorded 57.2 h'
    """
    recorded = in_unit([recorded_s], unit or common_unit((recorded_s, simulated_s)))
    return f"{_factor(recorded_s, simulated_s)} the recorded {recorded}"


def recorded_doubt(found: WhatIf, unit: tuple[float, str] | None = None) -> str:
    """Return by what the simulated wait of the answer differs from the recorded one; "" if hardly.

    It is a part of the sentence, whose unit is `unit`.
    """
    own = recorded_data(found)
    if own is None or not own["differs"]:
        return ""
    recorded_s, simulated_s = own["recorded_s"], own["simulated_s"]
    unit = unit or common_unit((recorded_s, simulated_s))
    simulated = in_unit([simulated_s], unit)
    apart = apart_text(recorded_s, simulated_s, unit)
    return f"; but the simulated wait as it is, {simulated}, is {apart}"


def recorded_text(found: WhatIf, label: str) -> Iterator[str]:
    """Yield a sentence on the recorded and the simulated wait, which is called `label`."""
    own = recorded_data(found)
    if own is None:
        return
    waits = [own[f"{name}_s"] for name in ("recorded", "simulated")]
    recorded, simulated = (in_unit([each], common_unit(waits)) for each in waits)
    text = (
        f"The log recorded a {label} of {recorded}; the simulation of the same log says {simulated}"
    )
    if own["differs"]:
        text += (
            f", {_factor(own['recorded_s'], own['simulated_s'])}. Run clustersim validate on this "
            "log before you rely on the answer"
        )
    yield f"{text}."


def contradiction(found: WhatIf) -> Iterator[str]:
    """Yield what contradicts the direction in which the answer says that the wait moves."""
    verb, others, total = _others(found)
    parts = []
    if verb == _odd_verb(found):
        way = "longer" if verb == "rises" else "shorter"
        parts.append(f"{_ROOM[verb]} makes the wait {way}")
    if others:
        parts.append(f"{others} of {total} alternatives move the wait the other way")
    parts += _not_monotonic(found)
    if parts:
        yield (
            f"A contradiction: {'; '.join(parts)}. The direction is not certain: small changes of "
            "the schedule reorder the jobs, and an effect of this size is within that chaos."
        )


def doubt(found: WhatIf) -> str:
    """Return the contradiction as a part of the sentence; "" without one."""
    verb, others, total = _others(found)
    if verb == _odd_verb(found):
        also = f", and {others} of {total} alternatives go the other way" if others else ""
        return f"; this contradicts that {_ROOM[verb]} {_USUAL[verb]}{also}"
    if others:
        return f"; but {others} of {total} alternatives go the other way"
    return "; but still more load does not lengthen the wait" if _not_monotonic(found) else ""


_ROOM = {"rises": "more capacity or less load", "falls": "less capacity or more load"}
_USUAL = {"rises": "shortens waits", "falls": "lengthens waits"}


def _others(found: WhatIf) -> tuple[str, int, int]:
    """Return how the wait moves, how many alternatives go the other way, and their number."""
    waits = found.waits(found.metric)
    before, after = (waits[system.key][0] for system in found.question.compared)
    verb = verb_of(before, after)
    opposite = {"rises": "falls", "falls": "rises"}.get(verb)
    rows = found.hinges.to_dict("records")
    verbs = [
        verb_of(row["before_s"], row["after_s"])
        for row in rows
        if math.isfinite(row["before_s"]) and math.isfinite(row["after_s"])
    ]
    return verb, sum(each == opposite for each in verbs), len(verbs)


def _odd_verb(found: WhatIf) -> str:
    """Return the direction that nobody expects of the change; "" if there is none.

    That is only known if capacity or load change, and not in opposite directions.
    """
    one, other = found.question.compared
    own = found.fleets[found.fleets["replication"] == 0].set_index("system")["accelerators"]
    size = [float(own[system.key]) for system in (one, other)]
    load = [_load(system.tree) for system in (one, other)]
    if not all(map(math.isfinite, [*size, *load])):
        return ""
    same = [
        {name: value for name, value in system.tree.items() if name not in ("cluster", "workload")}
        for system in (one, other)
    ]
    room, less = _sign(size[1] - size[0], size[0]), _sign(load[0] - load[1], load[0])
    if same[0] != same[1] or room * less < 0 or room + less == 0:
        return ""
    return "rises" if room + less > 0 else "falls"


def _sign(change: float, of: float) -> int:
    return 0 if abs(change) <= 1e-6 * abs(of) else 1 if change > 0 else -1


def _load(tree: Any) -> float:
    """Return the factor on the load of all jobs; NaN if it is one on some of them."""
    scale = tree["workload"].get("scale")
    if scale is None:
        return 1.0
    if isinstance(scale, int | float):
        return float(scale)
    return math.nan if scale.get("where") else float(scale.get("load", 1.0))


def _not_monotonic(found: WhatIf) -> list[str]:
    """Describe where the wait falls with more load, or rises with less."""
    waits = found.waits(found.metric)
    parts = []
    for row in found.hinges.to_dict("records"):
        if row["key"] != "the load":
            continue
        odd = "falls" if " more load" in row["what"] else "rises"
        sides = [
            word
            for word, system in zip(("before", "after"), found.question.compared, strict=True)
            if math.isfinite(row[f"{word}_s"])
            and verb_of(waits[system.key][0], row[f"{word}_s"]) == odd
        ]
        if sides:
            parts.append(f"with {row['what']} the wait {odd} ({' and '.join(sides)} the change)")
    return parts
