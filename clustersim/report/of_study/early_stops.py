"""A sentence on studies whose replications may stop by chance, after very few."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from clustersim.studies.spec import ENOUGH, Replications
from clustersim.studies.study_result import StudyResult
from clustersim.units import counted

__all__ = ["COVERAGE", "early_stop_sentences"]

COVERAGE = {2: 0.88, 5: 0.92, 10: 0.94}
"""Share of the 95 % intervals that hold the truth, by `at_least`: normal values with a standard
deviation of 20 % of their mean, until the half width is 10 % of it, measured in
tests/report/test_early_stops.py."""


def early_stop_sentences(result: StudyResult) -> Iterator[str]:
    """Yield that the intervals of points that stop early are too narrow, if some may have.

    A rule that stops at a narrow interval stops early when the first replications are alike by
    chance (Law, "Simulation Modeling and Analysis", section 9.4.1).
    """
    spec, points = result.study.spec, result.points
    rule = spec.replications
    if not isinstance(rule, Replications) or points.empty:
        return
    enough, made, what = min(ENOUGH, rule.at_most), points["replications"], ("point", "points")
    if spec.capacity is not None:  # values that only a coarse search tried have few replications
        systems = [points[name] for name in result.parameters if name != spec.capacity.of]
        made = made.groupby(systems, dropna=False).max() if systems else pd.Series([made.max()])
        what = ("capacity search", "capacity searches")
    early = int(((made > 0) & (made < enough)).sum())
    if rule.least < enough and early:
        shares = [f"{100 * share:.0f} % with {least}" for least, share in COVERAGE.items()]
        where = counted(early, *what)
        yield (
            f"Replications stopped after fewer than {enough} at {where} "
            f"(replications.at_least: {rule.least}). Intervals that are narrow by chance stop "
            "first, so those that stop early are optimistic. In a test of such a rule with a "
            f"normal metric, {', '.join(shares[:-1])} and {shares[-1]} of the 95 % intervals hold "
            "the truth (by at_least)."
        )
