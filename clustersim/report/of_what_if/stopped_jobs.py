"""What an answer about a log says if jobs are stopped and wait more than once."""

from __future__ import annotations

from clustersim.report.of_what_if.other_times import moved_text
from clustersim.units import counted, format_percent
from clustersim.whatif.groups import TIMES
from clustersim.whatif.result import WhatIf

__all__ = ["stopped_text"]


def stopped_text(found: WhatIf) -> str:
    """Return the sentences on jobs that a policy or a failure stops; "" if none is stopped.

    They give the wait until the first start, the job completion time and the time lost.
    """
    if not found.stops:
        return ""
    texts = []
    if found.first_wait and found.first_wait != found.metric:
        moved = moved_text(found, found.first_wait)
        texts.append(
            "Jobs are stopped and wait again, so this is the wait over all attempts; until the "
            f"first start, the {TIMES[found.first_wait]} {moved}."
        )
    jct = "p95_jct_s" if found.metric.startswith("p95") else "mean_jct_s"
    if jct != found.metric and (moved := moved_text(found, jct)):
        texts.append(f"The {TIMES[jct]} {moved}.")
    before, after = _of_fleet(found, "time_lost")
    texts.append(
        f"Lost work and restarts take {format_percent(after)} of the accelerator time of jobs "
        f"({format_percent(before)} before)."
    )
    before, after = _of_fleet(found, "unfinished")
    if max(before, after) > 0:
        texts.append(
            f"{counted(int(after), 'job')} did not finish ({int(before):,} before), and completion "
            "times leave them out."
        )
    return "".join(f" {text}" for text in texts)


def _of_fleet(found: WhatIf, name: str) -> list[float]:
    """Return a number of the fleet before and after the change."""
    numbers = found.fleet.set_index("system")[name]
    return [float(numbers[system.name]) for system in found.question.compared]
