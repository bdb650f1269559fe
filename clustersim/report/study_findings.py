"""Texts of what a study found, computed once for its page, its text and its JSON."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from clustersim.report.findings import findings_table, warnings
from clustersim.report.fleets import FleetFacts
from clustersim.report.page import Answer
from clustersim.report.study_answer import study_answer
from clustersim.studies.study_result import StudyResult

__all__ = ["StudyFindings"]


@dataclass(frozen=True, eq=False)
class StudyFindings:
    """The answer of a study, its findings, and what a reader needs to judge them.

    Attributes
    ----------
    answer : Answer or None
        None if no run has finished.
    table : pandas.DataFrame
        All findings, see :func:`~clustersim.report.findings.findings_table`.
    warnings : tuple of str
        See :func:`~clustersim.report.findings.warnings`.
    fleets : FleetFacts
        Notes on the fleets, and their chips.
    """

    answer: Answer | None
    table: pd.DataFrame
    warnings: tuple[str, ...]
    fleets: FleetFacts

    @classmethod
    def of(cls, result: StudyResult) -> StudyFindings:
        """Return what a study found."""
        return cls(
            study_answer(result),
            findings_table(result),
            tuple(warnings(result)),
            FleetFacts.of(result),
        )

    @property
    def sentences(self) -> list[str]:
        """All findings, one sentence each."""
        return [str(sentence) for sentence in self.table["finding"]]
