"""The timeline export: a run worked out by hand, and what holds for every run."""

from __future__ import annotations

import gzip
import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.plots.parts.gantt_layout import lanes, lay_out
from clustersim.report.timeline import chrome_trace
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, replay, simulate
from clustersim.topology import Cluster
from tests.examples import examples
from tests.simulation.fleets import cluster, crowd, jobs, pool

FLEETS = {
    "one pool": cluster(pool("gpu", 3, 4)),
    "two pools": cluster(pool("one", 2, 4), pool("two", 3, 2)),
    "virtual clusters": cluster(pool("gpu", 5, 4, virtual_clusters={"a": 2, "b": 1})),
}
REQUIRED = {
    "X": {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"},
    "C": {"name", "cat", "ph", "ts", "pid", "tid", "args"},
    "i": {"name", "cat", "ph", "ts", "pid", "tid", "s", "args"},
    "M": {"name", "ph", "ts", "pid", "tid", "args"},
}
"""Keys of each kind of event in the format's document."""


def parsed(trace: Any) -> dict[str, Any]:
    return json.loads(b"".join(trace.chunks()))


@pytest.fixture
def worked_out() -> Result:
    """Two nodes of 4, first come first served, cut at 20 s.

    Jobs 1 (2 chips, 0 to 10 s) and 2 (2 chips, 1 to 6 s) share node 0; job 3 (6 chips)
    waits from 2 s until job 2 ends and runs from 6 to 14 s, with 4 chips on node 1 and 2
    beside job 1; job 4 (8) waits until 14 s and still runs at 20 s; job 5 (9) is too large;
    job 6 waits at the end.
    """
    log = jobs(
        [(0, 2, 10), (1, 2, 5), (2, 6, 8), (3, 8, 50), (4, 9, 1), (5, 1, 1)],
        job_class=["train", "try", "train", "train", "try", None],
        model=["llama", None, None, None, None, None],
        user=["ann", "bob", "ann", "ann", "ann", "bob"],
    )
    fleet = cluster(pool("gpu", 2, 4))
    scheduling = Scheduling(policy="fcfs", placement="consolidate")
    provenance = {"seed": 7, "scenario": {"name": "by hand", "scheduler": {"policy": "fcfs"}}}
    return simulate(log, fleet, scheduling, horizon_s=20).with_provenance(provenance)


def test_the_events_of_a_run_worked_out_by_hand(worked_out: Result) -> None:
    trace = chrome_trace(worked_out)
    message = parsed(trace)
    assert message["displayTimeUnit"] == "ms"
    other = message["otherData"]
    assert (other["scenario"], other["seed"], other["policy"]) == ("by hand", 7, "fcfs")
    assert other["versions"] == worked_out.provenance["versions"]
    named = {
        (e["name"], e["pid"], e["tid"]): next(iter(e["args"].values()))
        for e in message["traceEvents"]
        if e["ph"] == "M"
    }
    assert named == {
        ("process_name", 1, 1): "all pools",
        ("process_sort_index", 1, 1): 1,
        ("process_name", 2, 2): "gpu (8 accelerators)",
        ("process_sort_index", 2, 2): 2,
        ("thread_name", 1, 3): "jobs that never ran",
        ("thread_sort_index", 1, 3): 0,
        ("thread_name", 2, 4): "node 0",
        ("thread_sort_index", 2, 4): 0,
        ("thread_name", 2, 5): "node 0, lane 2",
        ("thread_sort_index", 2, 5): 1,
        ("thread_name", 2, 6): "node 1",
        ("thread_sort_index", 2, 6): 2,
    }
    second = 1_000_000
    slices = [
        (e["tid"], e["ts"] / second, e["dur"] / second, e["name"], e["args"])
        for e in message["traceEvents"]
        if e["ph"] == "X"
    ]
    ann = {"user": "ann"}
    three = {"job_id": 3, "wait_s": 4.0, "job_accelerators": 6, **ann}
    four = {"job_id": 4, "wait_s": 11.0, "job_accelerators": 8, "unfinished": True, **ann}
    one = {"job_id": 1, "n_accelerators": 2, "wait_s": 0.0, "model": "llama", **ann}
    two = {"job_id": 2, "n_accelerators": 2, "wait_s": 0.0, "user": "bob"}
    assert slices == [
        (4, 0, 10, "train", one),
        (5, 1, 5, "try", two),
        (5, 6, 8, "train", {**three, "n_accelerators": 2}),
        (4, 14, 6, "train", {**four, "n_accelerators": 4}),
        (6, 6, 8, "train", {**three, "n_accelerators": 4}),
        (6, 14, 6, "train", {**four, "n_accelerators": 4}),
    ]
    counters = defaultdict(list)
    for e in message["traceEvents"]:
        if e["ph"] == "C":
            (series, value), *_ = e["args"].items()
            counters[e["pid"], e["name"], series].append((e["ts"] // second, value))
    assert counters == {
        (2, "accelerators", "allocated"): [
            (0, 2),
            (1, 4),
            (6, 8),
            (10, 6),
            (14, 8),
            (20, 0),
        ],
        (1, "jobs", "waiting"): [(0, 0), (2, 1), (3, 2), (5, 3), (6, 2), (14, 1), (20, 1)],
        (2, "jobs", "waiting, ran here later"): [(0, 0), (2, 1), (3, 2), (6, 1), (14, 0), (20, 0)],
    }
    never = [
        (e["ts"] / second, e["name"], e["pid"], e["tid"], e["s"], e["args"]["job_id"])
        for e in message["traceEvents"]
        if e["ph"] == "i"
    ]
    assert never == [(4, "never ran", 1, 3, "t", 5), (5, "never ran", 1, 3, "t", 6)]
    reasons = [e["args"]["reason"] for e in message["traceEvents"] if e["ph"] == "i"]
    assert "8" in reasons[0]
    assert reasons[1] == "still waiting when the simulation ended"
    assert (trace.n_slices, trace.n_tracks, trace.n_marks) == (6, 3, 0)


def test_by_pool_each_job_is_one_slice(worked_out: Result) -> None:
    message = parsed(chrome_trace(worked_out, by="pool"))["traceEvents"]
    slices = [e for e in message if e["ph"] == "X"]
    assert [e["args"]["job_id"] for e in slices] == [1, 2, 3, 4]
    assert [e["args"]["n_accelerators"] for e in slices] == [2, 2, 6, 8]
    assert [e["tid"] for e in slices] == [4, 5, 5, 4]
    assert not any("job_accelerators" in e["args"] for e in slices)
    assert {e["args"]["name"] for e in message if e["name"] == "thread_name"} == {
        "jobs that never ran",
        "lane 1",
        "lane 2",
    }


def test_marks(worked_out: Result, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "time_s": [3, 12.5, 20, 0],
            "kind": ["failure", "supply", "announcement", "failure"],
            "pool": ["gpu", "gpu", None, "gpu"],
            "node": [1, None, None, 7],
            "text": ["down", None, "SeedChip in May", None],
        }
    )
    table.to_csv(tmp_path / "events.csv", index=False)
    expected = [
        (3_000_000, "failure", 2, 6, "t", {"node": 1, "text": "down"}),
        (12_500_000, "supply", 2, 2, "p", {}),
        (20_000_000, "announcement", 1, 1, "g", {"text": "SeedChip in May"}),
        (0, "failure", 2, 2, "p", {"node": 7}),  # no job ran there, so it has no track
    ]
    for events in (table, tmp_path / "events.csv", str(tmp_path / "events.csv")):
        trace = chrome_trace(worked_out, events=events)
        marks = [e for e in trace.events() if e["ph"] == "i" and e["name"] != "never ran"]
        found = [(e["ts"], e["name"], e["pid"], e["tid"], e["s"], e["args"]) for e in marks]
        assert found == expected
        assert trace.n_marks == 4


def test_only_so_many_jobs(worked_out: Result) -> None:
    whole, part = parsed(chrome_trace(worked_out)), parsed(chrome_trace(worked_out, most_jobs=2))
    assert [e["args"]["job_id"] for e in part["traceEvents"] if e["ph"] == "X"] == [1, 2]
    assert not [e for e in part["traceEvents"] if e["ph"] == "i"]
    assert part["otherData"]["jobs_left_out"] == 4
    assert "jobs_left_out" not in whole["otherData"]
    counters = [[e for e in t["traceEvents"] if e["ph"] == "C"] for t in (whole, part)]
    series = [[(e["name"], e["ts"], e["args"]) for e in events] for events in counters]
    assert series[0] == series[1]


@pytest.mark.parametrize("fleet", FLEETS)
@pytest.mark.parametrize("by", ["node", "pool"])
@settings(derandomize=True, deadline=None, max_examples=examples(8))
@given(
    seed=st.integers(0, 10_000),
    placement=st.sampled_from(["pooled", "consolidate", "spread"]),
    policy=st.sampled_from(["fcfs", "easy"]),
    horizon_s=st.sampled_from([None, 30.0, 77.7]),
    whole=st.booleans(),
)
def test_any_run(
    fleet: str, by: Any, seed: int, placement: str, policy: str, horizon_s: float, whole: bool
) -> None:
    log = crowd(seed, 60, largest=12, whole=whole)
    log["vc"] = np.random.default_rng(seed).choice(["a", "b", ""], len(log))
    scheduling = Scheduling(policy=policy, placement=placement)
    result = simulate(log, FLEETS[fleet], scheduling, horizon_s=horizon_s)
    check(result, by, FLEETS[fleet])


def check(result: Result, by: Any, fleet: Cluster) -> None:
    trace = chrome_trace(result, by=by)
    events = parsed(trace)["traceEvents"]
    assert events == list(trace.events())
    for event in events:
        assert set(event) == REQUIRED[event["ph"]]
        assert event["pid"] >= 1
        assert event["tid"] >= 1
        assert isinstance(event["ts"], int)
    slices = [e for e in events if e["ph"] == "X"]
    by_tid = defaultdict(list)
    for e in slices:
        by_tid[e["tid"]].append((e["ts"], e["ts"] + e["dur"]))
    for spans in by_tid.values():
        assert all(one[1] <= two[0] for one, two in itertools.pairwise(sorted(spans)))
    tids = {e["tid"]: e["pid"] for e in events if e["name"] == "thread_name"}
    assert set(by_tid) <= set(tids), "every thread has a name, and tids are of one process"
    assert all(tids[e["tid"]] == e["pid"] for e in slices)
    pids = {p.name: 2 + k for k, p in enumerate(fleet.pools)}
    rows = result.allocations
    held = rows["n_accelerators"] * (rows["end_s"] - rows["start_s"])
    for name, pid in pids.items():
        mine = [e for e in slices if e["pid"] == pid]
        drawn = sum(e["args"]["n_accelerators"] * e["dur"] for e in mine) / 1e6
        assert drawn == pytest.approx(held[rows["pool"] == name].sum(), abs=1e-3)
        steps = result.utilisation[result.utilisation["pool"] == name]
        message = [e for e in events if e["ph"] == "C" and e["pid"] == pid and e["name"][0] == "a"]
        assert [e["args"]["allocated"] for e in message] == steps["allocated"].tolist()
        np.testing.assert_allclose([e["ts"] / 1e6 for e in message], steps["time_s"], atol=1e-6)
    check_waiting(result, events)


def check_waiting(result: Result, events: list[dict[str, Any]]) -> None:
    """The counter of waiting jobs, against a count at every instant that it shows."""
    could = result.jobs[result.jobs["outcome"] != "never runnable"]
    submit = np.rint(could["submit_s"] * 1e6)
    start = np.rint(could["start_s"] * 1e6).fillna(np.inf)
    message = [e for e in events if e["ph"] == "C" and e["pid"] == 1]
    assert message[0]["ts"] == 0
    for e in message:
        expected = ((submit <= e["ts"]) & (e["ts"] < start)).sum()
        assert e["args"]["waiting"] == expected
    changes = np.unique(np.concatenate([submit, start[np.isfinite(start)]]))
    counts = [int(((submit <= t) & (t < start)).sum()) for t in changes]
    moves = [t for t, b, a in zip(changes, [0, *counts], counts, strict=False) if a != b]
    assert set(moves) <= {e["ts"] for e in message}


@settings(derandomize=True, deadline=None, max_examples=examples(200))
@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 6)), max_size=25)
)
def test_lanes_are_as_few_as_can_be(rows: list[tuple[int, int, int]]) -> None:
    rows = sorted((g, s, s + d) for g, s, d in rows)
    group, start, end = np.array(rows, dtype=int).reshape(-1, 3).T
    chosen = lanes(group, start, end)
    for lane_of in {(g, k) for g, k in zip(group, chosen, strict=True)}:
        mine = [r for r, k in zip(rows, chosen, strict=True) if (r[0], k) == lane_of]
        assert all(one[2] <= two[1] for one, two in itertools.pairwise(mine))
    for g in set(group.tolist()):
        starts = start[group == g]
        at_once = max(
            sum(1 for h, s, e in rows if h == g and s <= t < max(e, s + 0.5)) for t in starts
        )
        assert chosen[group == g].max() + 1 <= at_once


def test_nothing_ran() -> None:
    result = simulate(jobs([(0, 100, 5)]), cluster(pool("gpu", 2, 4)), Scheduling())
    for by in ("node", "pool"):
        trace = chrome_trace(result, by=by)  # type: ignore[arg-type]
        assert (trace.n_slices, trace.n_tracks) == (0, 0)
        assert [e["name"] for e in parsed(trace)["traceEvents"] if e["ph"] == "i"] == ["never ran"]
    assert lay_out(result).tracks.empty


def test_text_ids_and_awkward_names(tmp_path: Path) -> None:
    log = jobs(
        [(0, 4, 5), (0, 4, 5)], job_class=['größer "x"', "\u2028"], user=[None, "\ud83d"[:0]]
    )
    log["job_id"] = ["a\\b", "007"]
    result = replay(log, policy="fcfs", accelerators=8)
    trace = chrome_trace(result)
    trace.write(tmp_path / "t.json")
    message = json.loads((tmp_path / "t.json").read_text())
    slices = [e for e in message["traceEvents"] if e["ph"] == "X"]
    assert [e["name"] for e in slices] == ['größer "x"', "\u2028"]
    assert [e["args"]["job_id"] for e in slices] == ["a\\b", "007"]
    assert not any("user" in e["args"] for e in slices)
    assert trace.n_slices == 2


def test_same_bytes_packed_or_not_and_after_loading(worked_out: Result, tmp_path: Path) -> None:
    loaded = Result.load(worked_out.save(tmp_path / "result"))
    plain = [tmp_path / f"{k}.json" for k in range(2)]
    packed = [tmp_path / f"{k}.json.gz" for k in range(2)]
    for result, path in zip((worked_out, loaded) * 2, (*plain, *packed), strict=True):
        chrome_trace(result).write(path)
    assert plain[0].read_bytes() == plain[1].read_bytes()
    assert packed[0].read_bytes() == packed[1].read_bytes()
    assert packed[0].read_bytes()[4:8] == bytes(4), "no time of writing in the file"
    assert gzip.decompress(packed[0].read_bytes()) == plain[0].read_bytes()


def test_chunks_join_at_any_size(worked_out: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = b"".join(chrome_trace(worked_out).chunks())
    monkeypatch.setattr("clustersim.report.timeline._CHUNK", 3)
    pieces = list(chrome_trace(worked_out).chunks())
    assert b"".join(pieces) == whole
    assert len(pieces) > 10


def test_a_full_disk_leaves_nothing(
    worked_out: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(self: Any) -> Any:
        yield b"{"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clustersim.report.timeline.ChromeTrace.chunks", fill)
    for name in ("t.json", "t.json.gz"):
        with pytest.raises(InputError, match="No space left"):
            chrome_trace(worked_out).write(tmp_path / name)
        assert not (tmp_path / name).exists()


def test_command(worked_out: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out, picture = (
        worked_out.save(tmp_path / "r"),
        tmp_path / "t.json.gz",
        tmp_path / "g.svg",
    )
    (tmp_path / "e.csv").write_text("time_s,kind,pool\n3,failure,gpu\n")
    options = ["--out", str(out), "--events", str(tmp_path / "e.csv"), "--plot", str(picture)]
    assert main(["timeline", str(folder), *options]) == 0
    printed = capsys.readouterr().out
    assert "6 slices on 3 tracks, 1 mark\n" in printed
    assert "ui.perfetto.dev" in printed
    assert len(json.loads(gzip.decompress(out.read_bytes()))["traceEvents"]) > 20
    assert "<svg" in picture.read_text()
    again = ["--out", str(tmp_path / "pool.json"), "--by", "pool", "--most-jobs", "1"]
    assert main(["timeline", str(folder), *again]) == 0
    assert "1 slice on 1 track\n" in capsys.readouterr().out
