"""What a run says about preemptions, and pools of virtual clusters and rates in decisions."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from preemption_cases import INF, Later, a_pool, a_table, run, two_jobs

from clustersim.engine.recovery import Recovery
from clustersim.scheduling import Policy, Preempt, Start, View
from clustersim.scheduling.decisions import Decision
from clustersim.simulation.runtimes import find_runtimes
from clustersim.simulation.speeds import Speeds
from clustersim.topology import Cluster

SHORT = two_jobs(priority=[0, 1])


@pytest.mark.parametrize(
    ("policy", "options", "message"),
    [
        ("srtf", {}, "preemptions cost no time"),
        ("srtf", {"cost": 0}, ""),
        ("srtf", {"cost": 5}, ""),
        ("srtf", {"preempt_by": "requeue"}, "jobs that are requeued start again from their begin"),
        ("srtf", {"preempt_by": "suspend"}, ""),
        ("priority", {"preempt_by": "cancel"}, ""),
        (Later, {}, "preemptions cost no time"),
        ("fcfs", {}, ""),
    ],
)
def test_what_is_said_about_the_cost_of_preemptions(
    policy: str | type[Policy], options: dict[str, object], message: str
) -> None:
    notes = run(policy, SHORT, **options).provenance.get("notes", [])
    found = [each for each in notes if "preempt" in each or "requeued" in each]
    assert len(found) == bool(message)
    assert message in "".join(found)


class Own(Policy):
    """A policy of a user that has no option for the cost."""

    def decide(self, view: View) -> Iterable[Decision]:
        newest = view.active[-1:].tolist()
        yield from (Preempt(job) for job in view.running.tolist() if job not in newest)
        yield from (Start(job) for job in newest if job in self.waiting and view.fits(job))


def test_a_policy_without_the_option_is_told_of_the_decision() -> None:
    (note,) = run(Own, two_jobs()).provenance["notes"]
    assert "set cost_s of Preempt (in seconds" in note


def test_with_checkpoints_nothing_is_said() -> None:
    recovery = Recovery([[INF] * 2], [1.0] * 2, [5.0] * 2)
    assert "notes" not in run("srtf", SHORT, recovery).provenance


class OnPool(Policy):
    """Starts jobs on a pool by its name, or by that of the share of a virtual cluster."""

    pool: str = ""

    def decide(self, view: View) -> Iterable[Decision]:
        jobs = view.waiting.tolist()
        yield from (Start(job, self.pool) for job in jobs if view.fits(job, self.pool))


@pytest.mark.parametrize("name", ["gpu", "gpu/a"])
def test_a_pool_of_virtual_clusters_is_named_either_way(name: str) -> None:
    pools = [a_pool("gpu", 2, a=1)]
    jobs = a_table([100], 8, vc=["a"])
    assert run(OnPool, jobs, pools=pools, pool=name).jobs["start_s"].tolist() == [0]


def test_an_estimate_takes_longer_where_the_rate_is_lower() -> None:
    rates = {"steps": 100, "steps_per_s.a": [2.0], "steps_per_s.b": [0.5]}
    jobs = a_table([50], 8, estimate_s=[60.0], **rates)
    found = find_runtimes(jobs, Speeds(Cluster("two", (a_pool("a"), a_pool("b"))), None, None))
    assert found.run_s[:, 0].tolist() == [50, 200]
    assert found.estimate_s[:, 0].tolist() == [60, 240]
