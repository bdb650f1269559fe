"""Jobs that a policy preempts at the instant at which they start are counted in a note."""

from __future__ import annotations

from typing import Any

import pandas as pd

import clustersim as cs
from clustersim.simulation.result import Result


def lab(**options: Any) -> Result:
    """Teams own 3 of 6 accelerators each; jobs of 10 s ask for 5 (a), then 5 and 4 (b)."""
    own = {
        "cohort": "lab",
        "quotas": {"pool": 3},
        "preemption": {"within_queue": "lower", "reclaim_within_cohort": "any"},
    }
    jobs = pd.DataFrame(
        {
            "job_id": [1, 2, 3],
            "submit_s": 0.0,
            "n_accelerators": [5, 5, 4],
            "duration_s": 10.0,
            "team": ["a", "b", "b"],
        }
    )
    quotas = {"by": "team", "queues": {"a": own, "b": own}}
    return cs.replay(jobs, policy="kueue", accelerators=6, options={"quotas": quotas, **options})


def notes(result: Result) -> list[str]:
    return [text for text in result.provenance.get("notes", ()) if "at the instant" in text]


def test_fair_sharing_preempts_a_job_that_has_just_started() -> None:
    # Jobs 1 (of a) and 2 (of b) would borrow 2 each: job 1 starts, and job 2 is refused (2 is not
    # below 2). Job 3, with which b borrows 1, preempts job 1, whose team borrows 2. At 10 s, job 1
    # comes before job 2 again, and nobody is left to preempt it.
    result = lab(fair_sharing=True, preempt_by="requeue")
    assert result.jobs["start_s"].tolist() == [0, 20, 0]
    assert result.attempts is not None
    spans = result.attempts[["job_id", "start_s", "end_s"]].to_numpy().tolist()
    assert [span for span in spans if span[0] == 1] == [[1, 0, 0], [1, 10, 20]]
    assert notes(result) == [
        "1 job made no progress in 1 attempt: preempted at the instant of the start; with fair "
        "sharing, queues can preempt each other in turn, as in Kueue"
    ]


def test_without_such_attempts_there_is_no_note() -> None:
    # Without fair sharing, no queue preempts in order to borrow.
    result = lab(preempt_by="requeue")
    assert result.jobs["finish_s"].tolist() == [10, 20, 30]
    assert notes(result) == []
