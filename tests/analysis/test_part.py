"""The arrays that a user's metric reads, against plain loops over the jobs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clustersim
from clustersim.analysis.measures import measure
from clustersim.analysis.metrics import METRICS
from clustersim.analysis.part import MeasuredRun
from clustersim.errors import InputError
from tests.analysis.small_run import HORIZON_S, small_run
from tests.packaging.readme import examples

README = Path(__file__).resolve().parents[2] / "README.md"
RESULT, FLEET = small_run()
JOBS = RESULT.jobs.to_dict("records")
ATTEMPTS = RESULT.attempts.to_dict("records")  # type: ignore[union-attr]
FINISHED = [job for job in JOBS if not math.isnan(job["finish_s"])]
RUN = MeasuredRun(RESULT, FLEET.catalogue)


def held_s(job: dict[str, Any]) -> float:
    own = [a for a in ATTEMPTS if a["job_id"] == job["job_id"]]
    return sum(a["end_s"] - a["start_s"] for a in own)


def wait_s(job: dict[str, Any]) -> float:
    start = HORIZON_S if math.isnan(job["start_s"]) else job["start_s"]
    return start - job["submit_s"]


def test_arrays_have_one_of_two_lengths() -> None:
    part = clustersim.Part(RUN, 0, len(JOBS), 0.0, HORIZON_S)
    assert 0 < len(FINISHED) < len(JOBS), "the run stopped at a horizon"
    for name in ("wait_s", "total_wait_s", "waits_still", "queued_still", "finished", "jobs"):
        assert len(getattr(part, name)) == len(JOBS), name
    assert part.finished.tolist() == [job in FINISHED for job in JOBS]
    assert part.wait_s == pytest.approx(np.array([wait_s(job) for job in JOBS]))
    jct_s = [job["finish_s"] - job["submit_s"] for job in FINISHED]
    assert part.jct_s == pytest.approx(np.array(jct_s))
    assert part.run_s == pytest.approx(np.array([held_s(job) for job in FINISHED]))
    assert part.finished_wait_s == pytest.approx(np.array([wait_s(job) for job in FINISHED]))
    # A job is either in the queue or runs.
    assert part.total_wait_s[part.finished] + part.run_s == pytest.approx(part.jct_s)


def test_a_part_without_a_finished_job_has_empty_arrays() -> None:
    at = next(place for place, job in enumerate(JOBS) if math.isnan(job["finish_s"]))
    part = clustersim.Part(RUN, at, at + 1, 0.0, HORIZON_S)
    assert len(part.wait_s) == 1
    assert len(part.run_s) == len(part.jct_s) == len(part.finished_wait_s) == 0


def test_a_window_without_a_finished_job_is_an_error() -> None:
    last = next(k for k in range(len(JOBS), 0, -1) if not math.isnan(JOBS[k - 1]["finish_s"]))
    assert last < len(JOBS)
    with pytest.raises(InputError, match="none of the measured jobs had finished at the horizon"):
        measure(RESULT, warm_up=(last + 0.5) / len(JOBS), cool_down=0.0)


def test_the_metrics_of_the_readme_are_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METRICS, "_of_users", {})
    found = [each for each in examples(README.read_text("utf-8")) if each.name == "my_metrics.py"]
    (tmp_path / "my_metrics.py").write_text(found[0].text)
    values = measure(
        RESULT,
        warm_up=0.0,
        cool_down=0.0,
        catalogue=FLEET.catalogue,
        plugins=[str(tmp_path / "my_metrics.py")],
    ).metrics
    assert values["longest_wait_s"] == pytest.approx(max(map(wait_s, JOBS)))
    longer = [wait_s(job) > held_s(job) for job in FINISHED]
    assert 0 < sum(longer) < len(longer)
    assert values["outwaited"] == pytest.approx(sum(longer) / len(longer))
