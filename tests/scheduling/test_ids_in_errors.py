"""Errors of decisions name the jobs of the table by their ids, also if some jobs cannot run."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest

import clustersim as cs
from clustersim.errors import ClusterSimError
from clustersim.scheduling.decisions import Decision, Start
from clustersim.scheduling.policies import Policy
from clustersim.scheduling.view import View


class StartsTwice(Policy):
    def decide(self, view: View) -> Iterator[Decision]:
        for job in view.waiting:
            yield Start(int(job))
            yield Start(int(job))


def test_the_id_is_that_of_the_table_though_a_job_before_it_cannot_run() -> None:
    jobs = pd.DataFrame({"job_id": ["big", "b-7"], "submit_s": 0, "n_accelerators": [64, 8]})
    with pytest.raises(ClusterSimError) as error:
        cs.replay(jobs.assign(duration_s=60), policy=StartsTwice, accelerators=8)
    said = "job 0 (job_id 'b-7'; counted from 0 among those that can run) cannot be started: it is"
    assert said in str(error.value)
