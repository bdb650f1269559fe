"""Slurm's multifactor priority in a simulation: cases worked out by hand, and EASY as its twin."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_preemption import a_pool, small_logs

from clustersim.errors import InputError
from clustersim.notes import forget_notes
from clustersim.scheduling import Policy
from clustersim.scheduling.policies.slurm.multifactor import Multifactor
from clustersim.simulation.result import Result
from clustersim.simulation.scheduling import Scheduling
from clustersim.simulation.simulate import simulate
from clustersim.topology import Cluster, Pool
from tests.examples import examples


def table(*rows: tuple[float, int, float], **columns: object) -> pd.DataFrame:
    """Jobs (submitted, accelerators, run time), all times in seconds."""
    submit, sizes, run_s = (list(column) for column in zip(*rows, strict=True))
    own = {"job_id": range(len(rows)), "submit_s": submit, "n_accelerators": sizes}
    return pd.DataFrame({**own, "duration_s": run_s, **columns})


def run(
    jobs: pd.DataFrame,
    pools: Iterable[Pool] | None = None,
    *,
    policy: str | type[Policy] = "multifactor",
    placement: str = "consolidate",
    **options: object,
) -> Result:
    cluster = Cluster("small", tuple(pools or [a_pool("gpu")]))
    if policy == "multifactor":
        options = {"bf_interval": 0, "calc_period": 0, **options}
    scheduling = Scheduling(policy=policy, placement=placement, options=options)
    return simulate(jobs, cluster, scheduling, check=True)


def starts(result: Result) -> list[float]:
    return result.jobs["start_s"].tolist()


@settings(max_examples=examples(30), deadline=None)
@given(log=small_logs(), placement=st.sampled_from(["pooled", "consolidate"]))
def test_without_weights_it_is_easy(log: list[tuple[int, int, int]], placement: str) -> None:
    jobs = table(*log, estimate_s=[run_s + n for _, n, run_s in log])
    pools = [a_pool("a", 1), a_pool("b", 2)]
    easy = run(jobs, pools, policy="easy", placement=placement)
    assert starts(run(jobs, pools, placement=placement)) == starts(easy)


def test_a_weight_without_priorities_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    """All factors are then 0, so that the weight changes nothing."""
    jobs = table((0, 8, 10), (1, 8, 10), qos=["low", "high"], partition=["a", "a"])
    for name in ("qos", "partition"):
        text = f"option weight_{name} of multifactor has no effect: {name}_priority gives no {name}"
        forget_notes()
        run(jobs, **{f"weight_{name}": 1000})
        assert text in capsys.readouterr().err
        forget_notes()
        priorities = {"qos": {"high": 1}, "partition": {"a": 1}}[name]
        run(jobs, **{f"weight_{name}": 1000, f"{name}_priority": priorities})
        assert text not in capsys.readouterr().err


class Eager(Multifactor):
    """Computes priorities and the order in every pass, and wakes up in every period."""

    def _anybody_fits(self, now: float) -> bool:
        return True


@settings(max_examples=examples(15), deadline=None)
@given(
    log=small_logs(),
    seed=st.integers(0, 9),
    weights=st.sampled_from([{}, {"weight_age": 1000}, {"weight_fair_share": 10_000}]),
    times=st.sampled_from([(0, 0), (30, 300), (7, 20), (30, 0)]),
)
def test_priorities_that_wait_until_a_job_fits_are_those_of_every_pass(
    log: list[tuple[int, int, int]],
    seed: int,
    weights: dict[str, float],
    times: tuple[int, int],
) -> None:
    users = np.random.default_rng(seed).choice(["ann", "bo", "cy"], len(log))
    jobs = table(*[(20 * at, n, 15 * run_s) for at, n, run_s in log], user=users)
    pools = [a_pool("a", 1), a_pool("b", 2)]
    options = {**weights, "max_age": 3600, "bf_interval": times[0], "calc_period": times[1]}
    lazy = run(jobs, pools, **options)
    assert starts(lazy) == starts(run(jobs, pools, policy=Eager, **options))


@settings(max_examples=examples(20), deadline=None)
@given(log=small_logs(), seed=st.integers(0, 9))
def test_with_priorities_it_is_easy_with_the_queue_in_this_order(
    log: list[tuple[int, int, int]], seed: int
) -> None:
    jobs = table(*[(0, n, run_s) for _, n, run_s in log])
    jobs["qos"] = np.random.default_rng(seed).choice(["low", "normal", "high"], len(log))
    points = {"low": 1, "normal": 5, "high": 10}
    result = run(jobs, placement="pooled", weight_qos=1000, qos_priority=points,
                 pools=[a_pool("gpu", 2)])  # fmt: skip
    order = np.argsort(-jobs["qos"].map(points).to_numpy(), kind="stable")
    in_order = jobs.iloc[order].reset_index(drop=True)
    easy = run(in_order, policy="easy", placement="pooled", pools=[a_pool("gpu", 2)])
    assert result.jobs.set_index("job_id")["start_s"][easy.jobs["job_id"]].tolist() == starts(easy)


# --- Priorities -----------------------------------------------------------------------


def test_the_quality_of_service_decides_the_order():
    jobs = table((0, 8, 100), (10, 8, 50), (20, 8, 50), qos=["normal", "normal", "high"])
    options = {"weight_qos": 1000, "qos_priority": "high:10,normal:0"}
    assert starts(run(jobs, **options)) == [0, 150, 100]
    assert starts(run(jobs)) == [0, 100, 150]


@pytest.mark.parametrize(("submitted", "first"), [(400, 2), (600, 1)])
def test_age_makes_up_for_priority(submitted: int, first: int):
    # The older job is ahead by 1000 x (its head start / 1000 s); the other has 500 points.
    jobs = table((0, 8, 700), (10, 8, 50), (submitted, 8, 50), qos=["low", "low", "high"])
    options = {"weight_qos": 500, "qos_priority": {"high": 1}, "weight_age": 1000, "max_age": 1000}
    assert np.argmin(starts(run(jobs, **options))[1:]) + 1 == first


def test_nice_and_the_factor_of_the_site():
    waiting = ((0, 8, 100), (1, 8, 10), (2, 8, 10), (3, 8, 10))
    jobs = table(*waiting, nice=[0, 5, 0, -5], priority=[0, 100, 100, 100])
    assert starts(run(jobs)) == [0, 120, 110, 100]
    # A priority is at least 1, so that without the site's factor only the last one is ahead.
    assert starts(run(jobs, site_column=None)) == [0, 110, 120, 100]


@pytest.mark.parametrize("algorithm", ["fair_tree", "classic"])
@pytest.mark.parametrize(("half_life", "first"), [(0, 3), (5, 2)])
def test_usage_is_forgotten(algorithm: str, half_life: float, first: int):
    # Ann ran from 0 to 100 s and bob from 100 to 110 s; then bob's recent usage weighs more if
    # usage halves every 5 s: 8 x 5 / ln 2 x 0.25 for ann, x 0.75 for bob.
    rows = ((0, 8, 100), (1, 8, 10), (50, 8, 10), (51, 8, 10))
    jobs = table(*rows, user=["ann", "bob", "ann", "bob"])
    options = {"weight_fair_share": 10_000, "half_life": half_life, "fair_share": algorithm}
    assert np.argmin(starts(run(jobs, **options))[2:]) + 2 == first


def test_shares_of_accounts_count():
    # Both accounts have used the same, but chem owns more.
    rows = ((0, 4, 100), (0, 4, 100), (10, 8, 10), (11, 8, 10))
    jobs = table(*rows, user=list("abab"), account=["nlp", "chem"] * 2)
    options = {"weight_fair_share": 1000, "account_shares": "chem:3"}
    assert starts(run(jobs, **options)) == [0, 0, 110, 100]


def test_usage_counts_in_all_queues_of_a_run():
    pools = [
        dataclasses.replace(a_pool("a"), queues=("x",)),
        dataclasses.replace(a_pool("b"), queues=("y",)),
    ]
    # Ann uses queue x only, and then waits behind cem in queue y.
    rows = ((0, 8, 100), (0, 8, 50), (10, 8, 10), (11, 8, 10))
    jobs = table(*rows, user=["ann", "bob", "ann", "cem"], vc=["x", "y", "y", "y"])
    assert starts(run(jobs, pools, weight_fair_share=1000)) == [0, 0, 60, 50]


def test_priorities_are_computed_once_in_a_period():
    # Nobody had used anything when the jobs arrived; the shares of that period hold until 300 s.
    rows = ((0, 8, 200), (10, 8, 10), (11, 8, 10))
    jobs = table(*rows, user=["ann", "ann", "bob"])
    assert starts(run(jobs, weight_fair_share=1000, calc_period=300)) == [0, 200, 210]
    assert starts(run(jobs, weight_fair_share=1000)) == [0, 210, 200]


@pytest.mark.parametrize(("small", "order"), [(False, [110, 100]), (True, [100, 150])])
def test_job_size(small: bool, order: list[float]):
    jobs = table((0, 8, 100), (1, 2, 50), (2, 8, 10))
    assert starts(run(jobs, weight_job_size=1000, favor_small=small))[1:] == order


# --- Backfilling ----------------------------------------------------------------------

BEHIND = ((0, 6, 100), (5, 8, 10), (7, 2, 20))
"""A job that waits for all accelerators, and a small one that ends before it can start."""


def test_backfilling_takes_place_at_an_interval():
    assert starts(run(table(*BEHIND))) == [0, 100, 7]
    assert starts(run(table(*BEHIND), bf_interval=30)) == [0, 100, 30]


def test_between_backfilling_passes_jobs_start_in_order():
    jobs = table(*BEHIND[:2], (7, 2, 20), (40, 2, 5), (101, 1, 1))
    # The last job finds free accelerators only behind nobody: at 110 s, when job 1 has ended.
    assert starts(run(jobs, bf_interval=1000)) == [0, 100, 110, 110, 110]


def test_a_job_beyond_the_window_reserves_nothing():
    jobs = table((0, 6, 200), (5, 8, 100), (7, 2, 1000))
    assert starts(run(jobs)) == [0, 200, 300]
    assert starts(run(jobs, bf_window=1)) == [0, 1007, 7]


def test_only_so_many_jobs_are_tested():
    assert starts(run(table(*BEHIND), bf_max_job_test=1)) == [0, 100, 110]
    assert starts(run(table(*BEHIND), bf_max_job_test=2)) == [0, 100, 7]


# --- Preemption -----------------------------------------------------------------------

BY_QOS = {"preempt_type": "qos", "qos_preempts": "high:low", "qos_priority": "high:10,low:1"}


def two_jobs(qos: Iterable[str] = ("low", "high")) -> pd.DataFrame:
    return table((0, 8, 100), (50, 8, 20), qos=list(qos))


def test_a_quality_of_service_preempts_another():
    result = run(two_jobs(), preempt_mode="requeue", **BY_QOS)
    assert result.jobs["finish_s"].tolist() == [170, 70]  # the first begins again
    result = run(two_jobs(), preempt_mode="suspend", **BY_QOS)
    assert result.jobs["finish_s"].tolist() == [120, 70]  # it goes on where it was
    result = run(two_jobs(), preempt_mode="cancel", **BY_QOS)
    assert result.jobs["outcome"].tolist() == ["unfinished", "finished"]
    result = run(two_jobs(["high", "low"]), preempt_mode="requeue", **BY_QOS)
    assert result.jobs["finish_s"].tolist() == [100, 120]


def test_a_job_is_exempt_for_a_time():
    result = run(two_jobs(), preempt_mode="requeue", preempt_exempt_time=60, **BY_QOS)
    assert result.jobs["finish_s"].tolist() == [180, 80]
    result = run(two_jobs(), preempt_mode="requeue", preempt_exempt_time=100, **BY_QOS)
    assert result.jobs["finish_s"].tolist() == [100, 120]


def test_a_partition_of_a_higher_tier_comes_first_and_preempts():
    jobs = table((0, 8, 100), (10, 8, 20), (20, 8, 5), partition=["std", "std", "urgent"])
    tiers = {"partition_tier": {"urgent": 5}}
    assert starts(run(jobs, **tiers)) == [0, 105, 100]
    result = run(jobs, preempt_type="partition_prio", preempt_mode="requeue", **tiers)
    # The job that was requeued at 20 s waits behind the one that was submitted at 10 s.
    assert result.jobs["finish_s"].tolist() == [145, 45, 25]


def test_a_mode_of_one_quality_of_service():
    options = {**BY_QOS, "preempt_mode": "requeue", "preempt_mode_of": "low:off"}
    assert run(two_jobs(), **options).jobs["finish_s"].tolist() == [100, 120]


def test_victims_are_those_without_which_the_nodes_are_free():
    # Node 0 has jobs of 3 and 5 accelerators, the latter not to be preempted, and node 1 two of 4.
    rows = ((0, 3, 99), (0, 5, 99), (0, 4, 99), (0, 4, 99), (10, 8, 5))
    jobs = table(*rows, qos=["low", "high", "low", "low", "high"])
    result = run(jobs, [a_pool("gpu", 2)], preempt_mode="requeue", **BY_QOS)
    assert result.jobs["preemptions"].tolist() == [0, 0, 1, 1, 0]
    assert starts(result)[4] == 10


@settings(max_examples=examples(20), deadline=None)
@given(log=small_logs(), seed=st.integers(0, 9), mode=st.sampled_from(["requeue", "suspend"]),
       interval=st.sampled_from([0, 30]))  # fmt: skip
def test_every_job_ends_with_preemption(
    log: list[tuple[int, int, int]], seed: int, mode: str, interval: float
) -> None:
    names = np.random.default_rng(seed).choice(["low", "high", "top"], len(log))
    jobs = table(*log, qos=names, user=names)
    options = {**BY_QOS, "preempt_mode": mode, "bf_interval": interval, "weight_fair_share": 100}
    options["qos_preempts"] = "top:high+low,high:low,low:top"
    result = run(jobs, [a_pool("a", 1), a_pool("b", 2)], **options)
    assert (result.jobs["outcome"] == "finished").all()


# --- Refusals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight_fair_share": 1}, "weight_fair_share: needs a column user or account"),
        ({"weight_partition": 1}, "weight_partition: needs a column partition or vc"),
        ({"qos_priority": "hihg:3"}, "no job has the qos 'hihg'; did you mean 'high'"),
        ({"weight_age": -1}, "option weight_age: must be 0 or more, found -1"),
        ({"bf_window": 0}, "bf_window_s: must be from 60 to"),
        ({"preempt_type": "qos"}, "needs a preempt_mode: requeue, suspend or cancel"),
        ({"preempt_mode": "requeue"}, "preempt_mode: has no effect without preempt_type"),
        ({"qos_priority": "high"}, "option qos_priority: found 'high'"),
    ],
)
def test_what_would_have_no_effect_is_refused(options: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        run(two_jobs(), **options)
