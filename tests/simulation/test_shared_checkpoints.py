"""Jobs that load and save their state on storage that they share: by hand, twins, invariants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clustersim as cs
from clustersim.array_types import Floats
from clustersim.engine.node_events import NodeEvent, NodeEventKind
from clustersim.engine.recovery import Progress
from clustersim.errors import InputError
from clustersim.scheduling import Policy, Preempt, Start, View, Wake
from clustersim.scheduling.decisions import Decision
from tests.examples import examples
from tests.network.leaf_clusters import FarApart, leaf_cluster, leaf_pool
from tests.network.plain_storage import ends_of_transfers, fair_rates
from tests.simulation.fleets import cluster, jobs, pool
from tests.simulation.stored_jobs import EIGHT, TB, attempts, fail, finishes, sharing, stored

# --- Restarts, by hand ----------------------------------------------------------------


def test_two_jobs_that_load_at_once_take_twice_as_long() -> None:
    """Both fail after 50 s without a checkpoint of use to anyone but the interval of 20 s.

    They keep 40 s of work, wait for 5 s, load 1 TB each in 20 s, and work for 60 s. Alone, one of
    them would load in 10 s.
    """
    table = jobs([(0, 8, 100), (0, 8, 100)])
    recovery = sharing(table, FAST, interval="20 s", restart="5 s")
    both = stored(table, recovery, fail(50, 0, 1))
    assert finishes(both) == pytest.approx([50 + 5 + 20 + 60] * 2)
    used = attempts(both, "kept_s", "lost_s", "restart_s", "storage_s")
    assert used == [pytest.approx(row, abs=1e-4) for row in ([40, 10, 0, 0], [60, 0, 15, 10]) * 2]
    alone = stored(table, recovery, fail(50, 0))
    assert finishes(alone) == pytest.approx([125, 100])
    assert alone.attempts is not None
    assert alone.attempts["storage_s"].tolist() == pytest.approx([0, 0, 0], abs=1e-6)


def test_a_job_that_keeps_nothing_has_nothing_to_load() -> None:
    table = jobs([(0, 8, 100)])
    result = stored(table, sharing(table, restart="5 s"), fail(50, 0))
    assert finishes(result) == [50 + 5 + 100]


def first_reads(*nodes: int, **storage: Any) -> cs.Result:
    """Jobs on so many nodes each that read 1 TB for each node before they work for 100 s."""
    table = jobs([(0, 8 * n, 100) for n in nodes], read_bytes=[1e12 * n for n in nodes])
    return stored(table, sharing(table, {**TB, **storage}))


def test_a_job_with_few_nodes_takes_what_its_nodes_can() -> None:
    """One node of 20 GB/s needs 50 s for its TB. Meanwhile six have read 4 of 6 TB at the other 80.

    They need 20 s for the rest, and would have needed 60 s without the small job.
    """
    result = first_reads(1, 6, client="20 GB/s")
    assert finishes(result) == pytest.approx([50 + 100, 70 + 100])
    used = attempts(result, "restart_s", "storage_s")
    assert used == [pytest.approx(row, abs=1e-9) for row in ([50, 0], [60, 10])]


def test_many_files_take_as_long_as_their_metadata() -> None:
    """100 files for each accelerator, 40 a second: 800 files take 20 s, those of two jobs 40 s."""
    files = {"metadata_rate": 40, "files_per_accelerator": 100}
    assert finishes(first_reads(1, **files)) == pytest.approx([20 + 100])
    assert finishes(first_reads(1, 1, **files)) == pytest.approx([40 + 100] * 2)
    assert attempts(first_reads(1, 1, **files), "storage_s") == [pytest.approx([20])] * 2


FAST = {**TB, "write": "1e6 TB/s", "read": "100 GB/s"}
"""Saves take no time."""


def test_a_storm_of_restarts_with_and_without_turns() -> None:
    """Eight jobs load 1 TB each: all in 80 s; or two at a time, in 20, 40, 60 and 80 s."""
    table = jobs([(0, 8, 100)] * 8)

    def saved(table: pd.DataFrame, **storage: Any) -> cs.Result:
        recovery = sharing(table, {**FAST, **storage}, interval="20 s")
        return stored(table, recovery, fail(30, *range(8)))

    assert finishes(saved(table)) == pytest.approx([30 + 80 + 80] * 8, rel=1e-5)
    in_turns = [30 + load_s + 80 for load_s in (20, 20, 40, 40, 60, 60, 80, 80)]
    staggered = saved(table, restores_at_once=2)
    assert finishes(staggered) == pytest.approx(in_turns, rel=1e-5)
    lost_s = [row[0] for row in attempts(staggered, "storage_s")[1::2]]
    assert lost_s == pytest.approx([10, 10, 30, 30, 50, 50, 70, 70], abs=1e-3)
    assert sum(finishes(staggered)) < sum(finishes(saved(table)))


def test_a_node_that_fails_again_gives_its_turn_to_the_next_job() -> None:
    """One at a time from 30 s on: the first fails again at 35 s, and comes after the third."""
    table = jobs([(0, 8, 100)] * 3)
    recovery = sharing(table, {**FAST, "restores_at_once": 1}, interval="20 s")
    result = stored(table, recovery, [*fail(30, 0, 1, 2), *fail(35, 0)])
    assert finishes(result) == pytest.approx([65 + 80, 45 + 80, 55 + 80], rel=1e-5)


def test_slow_nodes_do_not_slow_a_restart_down() -> None:
    """From 35 s on, each step takes twice as long; the load from 30 to 40 s does not."""
    table = jobs([(0, 8, 100)])
    slow = NodeEvent(35, 1e6, 0, 0, "", NodeEventKind.SLOWDOWN, 2.0)
    recovery = sharing(table, FAST, interval="20 s")
    result = stored(table, recovery, [*fail(30, 0), slow])
    assert finishes(result) == pytest.approx([30 + 10 + 2 * 80])
    assert attempts(result, "slow_s", "storage_s")[1] == pytest.approx([80, 0], abs=1e-3)


# --- Regular saves --------------------------------------------------------------------


def test_regular_saves_of_two_jobs_meet_by_chance() -> None:
    """Alone, five saves of 10 s between 120 s of work. Together s = 1 + 10 s / (24 + 10 s).

    So 10 s^2 + 4 s = 24, and 120 s of work with 5 saves take 120 + 50 s.
    """
    stretch = (-4 + np.sqrt(16 + 960)) / 20
    table = jobs([(0, 8, 120), (0, 8, 120)])
    result = stored(table, sharing(table, interval="20 s"))
    assert finishes(result) == pytest.approx([120 + 50 * stretch] * 2, rel=1e-6)
    used = attempts(result, "kept_s", "checkpoint_s", "storage_s")
    assert used == [pytest.approx([120, 50, 50 * (stretch - 1)], rel=1e-5)] * 2
    alone = stored(table[:1], sharing(table[:1], interval="20 s"))
    assert finishes(alone) == [170]
    assert attempts(alone, "storage_s") == [[0]]


def test_a_load_slows_regular_saves_down_and_they_slow_it() -> None:
    """The second job reads 5 TB at first. Meanwhile each save of the first one takes 20 s.

    The first one saves 1 TB in 20 + 20 s, so that the read has 75 GB/s.
    """
    table = jobs([(0, 8, 1e4), (0, 8, 10)], read_bytes=[0.0, 5e12])
    result = stored(table, sharing(table, interval="20 s"), horizon_s=1000.0)
    read_s = 5e12 / (100e9 - 1e12 / (1e4 / 499 + 20))
    assert finishes(result)[1] == pytest.approx(read_s + 10, rel=1e-9)
    assert attempts(result, "restart_s", "storage_s")[1] == pytest.approx([50, read_s - 50])


@pytest.mark.parametrize(("n", "cycle_s"), [(4, 50.1 + 1), (8, 80)])
def test_asynchronous_saves_block_nobody_as_long_as_the_storage_keeps_up(
    n: int, cycle_s: float
) -> None:
    """Copies take 1 s, writes 10 s; four jobs write 40 s in each 51.1 s, eight cannot.

    With eight, each job has its turn after 80 s. Each makes ten saves in 501 s of work.
    """
    table = jobs([(0, 8, 501.0)] * n)
    storage = {**TB, "tolerance": 1e-6}
    recovery = sharing(table, storage, interval="50 s", asynchronous=True, host_link="125 GB/s")
    result = stored(table, recovery)
    assert finishes(result)[0] == pytest.approx(10 * cycle_s, rel=1e-3)


def test_a_checkpoint_that_takes_longer_to_write_counts_later() -> None:
    """Written alone, the save of 20 s counts from 30 s on; beside a long read, from 40 s on."""
    table = jobs([(0, 8, 100), (0, 8, 10)], read_bytes=[0.0, 1e14])
    quick = {"asynchronous": True, "host_link": "1e6 TB/s", "interval": "20 s", "restart": "0 s"}
    for first, kept_s in ((0, 20), (1, 0)):
        some = table[: 1 + first]
        result = stored(some, sharing(some, **quick), fail(35, 0), horizon_s=36.0)
        assert attempts(result, "kept_s")[0] == pytest.approx([kept_s]), first


# --- Saves before a job leaves -----------------------------------------------------------


class StopsAll(Policy):
    """Preempts all running jobs at a time and starts them again later."""

    tracks_running: ClassVar[bool] = True
    grace: ClassVar[float] = 0.0
    times: ClassVar[tuple[float, float]] = (50.0, 200.0)

    def decide(self, view: View) -> Iterator[Decision]:
        stop_s, again_s = self.times
        if view.now == stop_s:
            yield from (Preempt(job, "save") for job in view.running.tolist())
        elif view.now < stop_s or view.now >= again_s:
            yield from (Start(job) for job in view.waiting.tolist() if view.fits(job))
        if later := [time for time in self.times if time > view.now]:
            yield Wake(min(later))


def test_jobs_that_are_preempted_together_save_together() -> None:
    """Alone, one would leave after 10 s; four leave after 40 s, and load in 40 s at 200 s."""
    table = jobs([(0, 8, 100)] * 4)
    result = stored(table, sharing(table), policy=StopsAll)
    assert finishes(result) == pytest.approx([200 + 40 + 50] * 4)
    used = attempts(result, "end_s", "kept_s", "checkpoint_s", "restart_s", "storage_s")
    assert used[0] == pytest.approx([90, 50, 10, 0, 30])
    assert used[1] == pytest.approx([290, 50, 0, 10, 30])


class Watches(StopsAll):
    """Notes when jobs will leave, at 60 s."""

    seen: ClassVar[list[dict[int, float]]] = []
    times = (50.0, 60.0)

    def decide(self, view: View) -> Iterator[Decision]:
        if view.now == 60.0:
            self.seen.append(dict(view.leaving))
        yield from super().decide(view)


def test_policies_see_when_jobs_leave_at_the_present_rates() -> None:
    """The large one of three nodes has 2 of 3 TB left when the others leave, and start again.

    So three transfers go on until the others have loaded at 110 s, and it has 1 TB left.
    """
    Watches.seen.clear()
    table = jobs([(0, 8, 400), (0, 8, 400), (0, 24, 400)])
    result = stored(table, sharing(table), policy=Watches)
    assert Watches.seen == [{0: 80.0, 1: 80.0, 2: 140.0}]
    assert [row[0] for row in attempts(result, "end_s")[::2]] == pytest.approx([80, 80, 120])


def test_what_is_not_saved_when_the_notice_runs_out_is_lost() -> None:
    """Notice of 25 s: alone, the job works for 15 s more and saves for 10 s.

    Two jobs expect to save in 10 s each, and begin so late that neither is done.
    """
    for n, kept_s in ((1, 65), (2, 0)):
        scheduling = cs.Scheduling(policy="srtf", placement="consolidate", options={"grace": 25})
        table = jobs([(0, 8, 100)] * n + [(50, 64, 10)])
        result = cs.simulate(table, EIGHT, scheduling, recovery=sharing(table), check=True)
        used = attempts(result, "end_s", "kept_s", "stopped")[0]
        assert used[:2] == pytest.approx([75, kept_s])
        assert used[2] == ("preempted (saved)" if n == 1 else "preempted (requeued)")


def test_a_window_waits_until_the_jobs_on_its_nodes_have_saved() -> None:
    """Maintenance of all nodes from 50 s on: two jobs need 20 s to save, and 20 s to load again."""
    table = jobs([(0, 8, 100)] * 2)
    windows = {"maintenance": [{"pools": ["gpu"], "at": "50 s", "duration": "100 s",
                                "notice": "0 s"}]}  # fmt: skip
    for storage, finish_s in ((TB, 150 + 20 + 50), ("100 GB/s", 150 + 50)):
        result = cs.replay(
            table, policy="fcfs", cluster=EIGHT, windows=windows, check=True,
            checkpoints={"interval": "never", "restart": "0 s", "storage": storage},
        )  # fmt: skip
        assert finishes(result) == pytest.approx([finish_s] * 2)
    shared = cs.replay(
        table, policy="fcfs", cluster=EIGHT, windows=windows,
        checkpoints={"interval": "never", "restart": "0 s", "storage": TB},
    )  # fmt: skip
    outages = shared.outages
    assert outages is not None
    assert outages["begin_s"].tolist() == pytest.approx([50.0] * 6 + [70.0] * 2)
    assert (outages["end_s"] == 150).all()
    assert shared.windows is not None
    assert shared.windows["stopped"].tolist() == [2]
    used = attempts(shared, "end_s", "kept_s", "checkpoint_s", "storage_s", "stopped")[0]
    assert used == [pytest.approx(70), 50, pytest.approx(10), pytest.approx(10), "node"]


def test_a_job_over_several_nodes_of_a_window_is_stopped_once() -> None:
    table = jobs([(0, 24, 100)])
    windows = {"maintenance": [{"pools": ["gpu"], "at": "50 s", "duration": "100 s",
                                "notice": "0 s"}]}  # fmt: skip
    result = cs.replay(
        table, policy="fcfs", cluster=EIGHT, windows=windows, check=True,
        checkpoints={"interval": "never", "restart": "0 s", "storage": TB},
    )  # fmt: skip
    assert result.windows is not None
    assert result.windows["stopped"].tolist() == [1]
    assert finishes(result) == pytest.approx([150 + 30 + 50])


def test_a_reservation_starts_when_the_jobs_before_it_have_saved() -> None:
    """The job of bo is longer than its estimate; its 8 TB need 80 s."""
    table = jobs([(0, 64, 400), (1, 64, 10)], user=["bo", "ann"], estimate_s=[30.0, 10.0])
    reserve = [{"pool": "gpu", "accelerators": 64, "at": "50 s", "duration": "400 s",
                "users": ["ann"], "notice": "0 s"}]  # fmt: skip
    result = cs.replay(
        table, policy="first_fit", cluster=EIGHT, windows={"reservations": reserve}, check=True,
        checkpoints={"interval": "never", "restart": "0 s", "storage": TB},
    )  # fmt: skip
    assert result.jobs["start_s"].tolist() == pytest.approx([0, 130])


# --- Reads of others --------------------------------------------------------------------


def test_dependent_jobs_read_what_the_jobs_before_them_have_saved() -> None:
    """Three evaluations of a model that was trained on one node read its weights: 1/7 TB each."""
    table = jobs([(0, 8, 100)] + [(0, 8, 10)] * 3, after_ok=["", "1", "1", "1"])
    weights = stored(table, sharing(table, {**TB, "dependents": "weights"}))
    assert finishes(weights) == pytest.approx([100] + [100 + 30 / 7 + 10] * 3)
    state = stored(table, sharing(table, {**TB, "dependents": "state"}))
    assert finishes(state) == pytest.approx([100] + [100 + 30 + 10] * 3)
    assert attempts(state, "restart_s", "storage_s")[1] == pytest.approx([10, 20])
    assert finishes(stored(table, sharing(table))) == [100] + [110] * 3


def test_estimates_know_what_a_job_reads_first() -> None:
    """The first job ends at 110 s, so that EASY lets the third run from 2 to 107 s."""
    table = jobs([(0, 56, 100), (1, 64, 10), (2, 8, 105)], read_bytes=[1e12, 0, 0])
    result = stored(table, sharing(table), policy="easy")
    assert result.jobs["start_s"].tolist() == [0, 110, 2]


def test_services_read_weights_when_nodes_begin_to_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes begin to serve while a job loads: each of three reads has a third."""
    monkeypatch.chdir(tmp_path)
    tree = {
        "cluster": {"name": "one", "pools": {"gpu": {"accelerator": "H200", "nodes": 4}}},
        "workload": {"trace": "jobs.csv"},
        "horizon": "2 h",
        "serving": {
            "services": [
                {
                    "name": "chat",
                    "pool": "gpu",
                    "peak_requests_per_s": 16,
                    "input_tokens": 1,
                    "output_tokens": 0,
                    "tokens_per_s_per_chip": 1,
                    "weights": "1 TB",
                }
            ]
        },
        "failures": {
            "checkpoints": {
                "storage": {"write": "100 GB/s", "checkpoint_per_accelerator": "125 GB"}
            }
        },
    }
    log = jobs([(0, 8, 100)], read_bytes=[1e12])
    log.to_csv("jobs.csv", index=False)
    result = cs.run(tree)
    assert finishes(result) == pytest.approx([30 + 100])
    del tree["serving"]["services"][0]["weights"]
    assert finishes(cs.run(tree)) == pytest.approx([10 + 100])


# --- Systems of pools, and jobs without a size -----------------------------------------------


def test_pools_with_systems_of_their_own_do_not_disturb_each_other() -> None:
    both = cluster(pool("a", 1, 8), pool("b", 1, 8))
    table = jobs([(0, 8, 100), (0, 8, 100)], read_bytes=[1e12, 1e12])
    shared = stored(table, sharing(table, on=both), on=both)
    assert finishes(shared) == pytest.approx([120, 120])
    own = {**TB, "pools": {"b": {"read": "50 GB/s"}}}
    apart = stored(table, sharing(table, own, on=both), on=both)
    assert finishes(apart) == pytest.approx([110, 120])
    load = apart.storage_load
    assert load is not None
    assert list(load["storage"].unique()) == ["shared", "b"]
    read = (load["read_Bps"] * (load["end_s"] - load["time_s"])).groupby(
        load["storage"], observed=True
    )
    assert read.sum().tolist() == pytest.approx([1e12, 1e12])


def test_a_job_without_a_model_needs_a_size() -> None:
    table = jobs([(0, 8, 100)], model=[None])
    with pytest.raises(InputError, match=r"no job uses it.* set checkpoint_per_accelerator"):
        sharing(table, {"write": "1 TB/s"})
    with pytest.raises(InputError, match=r"storage\.pools\.h100: .*gpu"):
        sharing(table, {**TB, "pools": {"h100": {"read": "1 TB/s"}}})
    mixed = jobs([(0, 8, 100), (0, 8, 100)], model=[None, "llama3-8b"])
    recovery = sharing(mixed, {"write": "1 GB/s"}, cost="7 s", restart="3 s")
    assert recovery.of(0, 0).cost_s == 7.0
    assert recovery.of(0, 0).restart_s == 3.0
    assert recovery.of(1, 0).cost_s == pytest.approx(14 * 8.03, rel=1e-2)


# --- Twins and invariants -------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(60))
def test_first_reads_end_when_those_of_a_plain_twin_do(seed: int) -> None:
    """Each job has nodes of its own, and begins to read when it is submitted."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, int(rng.integers(2, 9)))
    on = cluster(pool("gpu", int(sizes.sum()), 8))
    submit_s = np.sort(np.round(rng.uniform(0, 60, len(sizes)), int(rng.integers(0, 2))))
    read = np.round(rng.uniform(0.5, 3.0, len(sizes)), 1)
    rows = zip(submit_s.tolist(), (sizes * 8).tolist(), [100.0] * len(sizes), strict=True)
    table = jobs(list(rows), read_bytes=read * 1e12)
    client = float(rng.choice([np.inf, 0.3]))
    storage = TB if client > 1 else {**TB, "client": "30 GB/s"}
    result = stored(table, sharing(table, storage, on=on), on=on)
    caps = np.minimum(sizes * client, 1.0)

    def rates(going: list[int]) -> Floats:
        return 0.1 * fair_rates(1.0, caps[going])

    loaded_s = np.array(ends_of_transfers(submit_s.tolist(), read.tolist(), rates))
    assert finishes(result) == pytest.approx((loaded_s + 100).tolist(), rel=1e-9)
    lost_s = loaded_s - submit_s - 10 * read / caps
    assert [row[0] for row in attempts(result, "storage_s")] == pytest.approx(
        lost_s.tolist(), abs=1e-6
    )


def random_case(seed: int) -> tuple[pd.DataFrame, list[NodeEvent], dict[str, Any], str]:
    """Random jobs, failures of some nodes at once, storage, and a policy."""
    rng = np.random.default_rng(seed)
    rows = [
        (float(t), int(rng.choice([4, 8, 16, 24])), float(rng.uniform(20, 200)))
        for t in np.sort(rng.uniform(0, 300, 20))
    ]
    table = jobs(rows, read_bytes=rng.choice([0.0, 2e11], 20))
    events = []
    for time in np.sort(rng.uniform(10, 600, 6)):
        nodes = rng.choice(8, int(rng.integers(1, 8)), replace=False)
        events += fail(
            float(time), *sorted(nodes.tolist()), until_s=float(time + rng.uniform(0, 9))
        )
    storage = {
        **TB,
        "checkpoint_per_accelerator": "10 GB",
        "tolerance": float(rng.choice([1e-6, 0.01])),
        "restores_at_once": int(rng.integers(1, 4)) if rng.random() < 0.5 else None,
        "client": "20 GB/s" if rng.random() < 0.5 else None,
        "efficiency": {1: 1.0, 8: 0.5} if rng.random() < 0.3 else None,
        "metadata_rate": 40.0 if rng.random() < 0.3 else None,
    }
    return table, events, storage, str(rng.choice(["fcfs", "easy", "srtf"]))


@given(seed=st.integers(0, 2**32 - 1), asynchronous=st.booleans())
@settings(max_examples=examples(60))
def test_accounts_and_bytes_add_up_and_runs_repeat(seed: int, asynchronous: bool) -> None:
    """All parts of an attempt are its time; what the load says was read is what jobs loaded."""
    table, events, storage, policy = random_case(seed)
    recovery = sharing(table, storage, interval="15 s", restart="2 s", asynchronous=asynchronous)
    one, other = (stored(table, recovery, list(events), policy=policy) for _ in range(2))
    assert one.jobs.equals(other.jobs)
    used, load = one.attempts, one.storage_load
    assert used is not None
    assert load is not None
    assert other.attempts is not None
    assert used.equals(other.attempts)
    assert load.equals(other.storage_load)
    parts = [name for name in Progress._fields if name != "network_s"]
    np.testing.assert_allclose(used[parts].sum(axis=1), used["end_s"] - used["start_s"], atol=1e-6)
    assert (used[parts] >= -1e-6).all(axis=None)
    kept_s = used.groupby("job_id")["kept_s"].sum()
    np.testing.assert_allclose(kept_s, table.set_index("job_id")["duration_s"], rtol=1e-9)
    assert (load[["read_Bps", "write_Bps"]] >= 0).all(axis=None)
    assert load["utilisation"].between(0, 1 + storage["tolerance"]).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40))
def test_bytes_are_read_once_for_each_load(seed: int) -> None:
    """Without failures, jobs read what they read at first, whatever disturbs them."""
    table, _, storage, policy = random_case(seed)
    result = stored(table, sharing(table, storage, interval="15 s"), policy=policy)
    load = result.storage_load
    assert load is not None
    span_s = load["end_s"] - load["time_s"]
    stopped = result.attempts is not None and bool((result.attempts["stopped"] != "").any())
    if not stopped:
        assert (load["read_Bps"] * span_s).sum() == pytest.approx(table["read_bytes"].sum())


@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(1.0, 20.0))
@settings(max_examples=examples(60))
def test_sharing_never_helps_and_bandwidth_never_hurts(seed: int, factor: float) -> None:
    """Jobs on nodes of their own, which read at first and save regularly."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 9))
    submit_s = np.sort(rng.uniform(0, 200, n)) * rng.integers(0, 2)
    rows = zip(submit_s.tolist(), [8] * n, rng.uniform(50, 500, n).tolist(), strict=True)
    table = jobs(list(rows), read_bytes=rng.choice([0.0, 1e11, 5e11], n))
    background = bool(rng.integers(2))
    size = {"checkpoint_per_accelerator": "10 GB", "tolerance": 1e-9}

    def run(some: pd.DataFrame, rate: float) -> Floats:
        storage = {"write": f"{rate} GB/s", **size}
        recovery = sharing(some, storage, interval="30 s", asynchronous=background)
        return np.array(finishes(stored(some, recovery)))

    shared = run(table, 20.0)
    alone = np.concatenate([run(table[k : k + 1], 20.0) for k in range(n)])
    assert (shared >= alone * (1 - 1e-9)).all()
    assert (run(table, 20.0 * factor) <= shared * (1 + 1e-6)).all()


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(40))
def test_losses_to_nodes_network_and_storage_add_up(seed: int) -> None:
    """Jobs over narrow trunks, on slow nodes, that save and load beside each other."""
    rng = np.random.default_rng(seed)
    on = leaf_cluster(leaf_pool(nodes=8, leaf_nodes=2))
    rows = [
        (float(t), int(rng.choice([8, 16, 24])), float(rng.uniform(50, 200)))
        for t in np.sort(rng.uniform(0, 300, 12))
    ]
    table = jobs(rows, read_bytes=rng.choice([0.0, 2e11], 12))
    events = []
    for time in np.sort(rng.uniform(10, 500, 8)).tolist():
        node = int(rng.integers(8))
        slows = NodeEvent(time, time + 90, 0, node, "", NodeEventKind.SLOWDOWN, 1.5)
        events += [slows] if rng.random() < 0.5 else fail(time, node)
    storage = {"write": "20 GB/s", "checkpoint_per_accelerator": "5 GB"}
    recovery = sharing(table, storage, on=on, interval="20 s", restart="2 s")
    network = {"communication_share": 0.4}
    result = stored(table, recovery, events, on=on, placement=FarApart, network=network)
    used = result.attempts
    assert used is not None
    parts = list(Progress._fields)
    np.testing.assert_allclose(used[parts].sum(axis=1), used["end_s"] - used["start_s"], atol=1e-6)
    assert (used[parts] >= -1e-6).all(axis=None)
    assert used["storage_s"].sum() > 0


# --- Jobs of unusual size or place --------------------------------------------------------


def test_a_job_over_two_pools_has_the_nodes_of_both_as_clients() -> None:
    both = cluster(pool("a", 1, 8), pool("b", 1, 8))
    table = jobs([(0, 16, 100)], read_bytes=[2e12])
    recovery = sharing(table, {**TB, "client": "20 GB/s"}, on=both)
    scheduling = cs.Scheduling(placement="consolidate", span_pools="equal")
    result = cs.simulate(table, both, scheduling, recovery=recovery, check=True)
    assert finishes(result) == pytest.approx([2000 / 40 + 100])


def test_a_job_on_fewer_nodes_than_it_asks_for_has_fewer_clients() -> None:
    """One node instead of two: twice the time for its 2 TB, and for its work."""
    small = cluster(pool("gpu", 1, 8))
    table = jobs([(0, 16, 100)], read_bytes=[2e12], min_accelerators=[8])
    recovery = sharing(table, {**TB, "client": "20 GB/s"}, on=small)
    scheduling = cs.Scheduling(policy="fcfs", placement="consolidate", options={"partial": True})
    result = cs.simulate(table, small, scheduling, recovery=recovery, check=True)
    assert finishes(result) == pytest.approx([2000 / 20 + 200])


def test_without_nodes_a_job_has_as_few_as_possible() -> None:
    table = jobs([(0, 12, 100)], read_bytes=[2e12])
    recovery = sharing(table, {**TB, "client": "20 GB/s"})
    result = stored(table, recovery, placement="pooled")
    assert finishes(result) == pytest.approx([2000 / 40 + 100])
