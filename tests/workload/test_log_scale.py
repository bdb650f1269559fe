"""More or less load of a log: small cases by hand, and invariants."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.calendar import DAY_S, UNDATED, WEEK_S, Calendar
from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.seeds import Streams
from clustersim.workload import check_jobs
from clustersim.workload.jobs import users_are_namespaces
from clustersim.workload.log_scale import LogScale, changes_load, scaled
from tests.examples import examples

BERLIN = Calendar(datetime(2026, 3, 2, tzinfo=ZoneInfo("Europe/Berlin")))
"""Monday; the clocks go forward on 29 March."""


def log(submit_s: list[float], **columns: object) -> pd.DataFrame:
    jobs = pd.DataFrame({"job_id": np.arange(1, len(submit_s) + 1), "submit_s": submit_s})
    return jobs.assign(**{"n_accelerators": 8, "duration_s": 3600.0, **columns})


def work(jobs: pd.DataFrame) -> float:
    return float((jobs["n_accelerators"] * jobs["duration_s"]).sum())


@st.composite
def logs(draw: st.DrawFn) -> pd.DataFrame:
    """Logs of up to five weeks with a few users."""
    count = draw(st.integers(1, 60))
    times = draw(st.lists(st.floats(0, 35 * DAY_S), min_size=count, max_size=count))
    return log(
        sorted(times),
        n_accelerators=draw(st.lists(st.integers(1, 64), min_size=count, max_size=count)),
        duration_s=draw(st.lists(st.floats(1, 1e5), min_size=count, max_size=count)),
        user=draw(st.lists(st.sampled_from("abcd"), min_size=count, max_size=count)),
    )


def test_twice_the_load_by_hand() -> None:
    # Two full weeks: the copy of each user moves by one week, so each slot is filled twice.
    times = [0.0, 3600.0, WEEK_S + 7200.0, 2 * WEEK_S]
    twice, notes = scaled(log(times, user=list("abab")), LogScale(load=2), UNDATED, Streams(0))
    assert len(twice) == 8
    copies = twice[twice["job_id"].str.contains("+", regex=False)].set_index("job_id")["submit_s"]
    assert copies["2+1"] == WEEK_S + 3600.0
    assert copies["3+1"] == 7200.0
    assert copies["1+1"] in (WEEK_S, 2 * WEEK_S)  # three weeks have this hour
    assert "the work of all jobs is 2 times" in notes[0]


def test_half_the_load_leaves_out_whole_users() -> None:
    times = [float(k) for k in range(8)]
    half, _ = scaled(log(times, user=list("aabbccdd")), LogScale(load=0.5), UNDATED, Streams(3))
    assert len(half) == 4
    assert sorted(half.groupby("user").size()) == [2, 2]


def test_a_user_with_most_of_the_work_is_thinned_by_days() -> None:
    times = [DAY_S * k for k in range(10)]
    half, notes = scaled(
        log(times, user=list("a" * 9 + "b")), LogScale(load=0.5), UNDATED, Streams(1)
    )
    assert len(half) == 5
    assert len(notes) == 1


def test_compression_keeps_order_and_durations() -> None:
    jobs = log([100.0, 160.0, 400.0])
    denser, notes = scaled(jobs, LogScale(load=2, method="compress"), UNDATED, Streams(0))
    assert denser["submit_s"].tolist() == [100.0, 130.0, 250.0]
    assert denser["duration_s"].tolist() == jobs["duration_s"].tolist()
    assert "bursts" in notes[0]
    plain, _ = scaled(jobs, 2.0, UNDATED, Streams(0))
    assert plain.equals(denser)


def test_twice_the_large_jobs() -> None:
    jobs = log([0.0, 60.0, 120.0], n_accelerators=[8, 64, 128])
    more, _ = scaled(jobs, LogScale(load=2, where={"accelerators": "64+"}), UNDATED, Streams(0))
    assert more["n_accelerators"].value_counts().to_dict() == {8: 1, 64: 2, 128: 2}


def test_fewer_large_jobs_keep_the_small_ones() -> None:
    jobs = log([0.0, 60.0, 120.0, 180.0], n_accelerators=[8, 64, 64, 8], user=list("abcd"))
    less, _ = scaled(jobs, LogScale(load=0.5, where={"accelerators": ">=64"}), UNDATED, Streams(0))
    assert less["n_accelerators"].value_counts().to_dict() == {8: 2, 64: 1}


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ({"accelerators": "<64"}, [1]),
        ({"accelerators": 64}, [2]),
        ({"duration": "2h+"}, [3]),
        ({"duration": "<2 h", "accelerators": "8+"}, [1, 2]),
        ({"vc": "b"}, [2]),
        ({"user": ["x", "z"]}, [1, 3]),
    ],
)
def test_conditions(where: dict[str, object], ids: list[int]) -> None:
    jobs = log([0.0, 1.0, 2.0], n_accelerators=[8, 64, 128], duration_s=[60.0, 3600.0, 7200.0],
               vc=["a", "b", None], user=list("xyz"))  # fmt: skip
    scale = LogScale(where=where)
    assert scale.where is not None
    assert jobs["job_id"][scale.where.mask(jobs, "where")].tolist() == ids


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ({"load": 0}, "greater than 0"),
        ({"method": "supperpose"}, "did you mean 'superpose'"),
        ({"where": {"accelerators": "many"}}, "such as 64+"),
        ({"where": {"duration": "2 apples"}}, "not a unit of duration"),
        ({"where": {}}, "needs a condition"),
        ({"method": "compress", "by": "user"}, "by applies to superpose"),
    ],
)
def test_an_unusable_scale_is_refused(scale: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as error:
        validate(LogScale, {"load": 2, "method": "superpose", **scale}, "scale")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        ({"where": {"accelerators": "999+"}}, "no job of the log meets the conditions"),
        ({"where": {"vc": "a"}}, "the log has no column vc"),
        ({"where": {"user": "bob"}}, "unknown user 'bob'"),
        ({"by": "usr"}, "did you mean 'user'"),
    ],
)
def test_what_a_log_lacks_is_named(scale: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as error:
        scaled(log([0.0, 1.0], user=["bo", "al"]), LogScale(load=2, **scale), UNDATED, Streams(0))
    assert words in str(error.value)
    assert "workload.scale" in str(error.value)


@settings(max_examples=examples(100), deadline=None)
@given(logs(), st.integers(2, 4), st.integers(0, 5))
def test_superposing_multiplies_the_work_of_each_user_exactly(
    jobs: pd.DataFrame, factor: int, seed: int
) -> None:
    more, _ = scaled(jobs, LogScale(load=factor), BERLIN, Streams(seed))
    check_jobs(more, "scaled")
    before = jobs.groupby("user").apply(work, include_groups=False)
    after = more.groupby("user").apply(work, include_groups=False)
    assert np.allclose(after, factor * before, rtol=1e-12)
    assert len(more) == factor * len(jobs)
    # The copies stay within the log and keep the hour, and the weekday if there are two weeks.
    first, last = jobs["submit_s"].iloc[0], jobs["submit_s"].iloc[-1]
    assert more["submit_s"].between(first - 3600.0, last + 3600.0).all()
    period = WEEK_S if last - first >= 2 * WEEK_S + 3600.0 else DAY_S
    originals = more["job_id"].astype(str).str.partition("+")[0].astype(int)
    moved = BERLIN.local_s(more["submit_s"]) - BERLIN.local_s(
        jobs.set_index("job_id")["submit_s"].loc[originals]
    )
    if last - first >= 2 * DAY_S + 3600.0:
        off = np.abs((moved + period / 2) % period - period / 2)
        assert (off <= 3600.0 + 1e-3).all()  # an hour if the clock skips the new time
        assert (off < 1e-3).mean() > 0.5


@settings(max_examples=examples(100), deadline=None)
@given(logs(), st.floats(0.05, 3.0), st.floats(0.05, 3.0), st.integers(0, 5))
def test_a_larger_load_has_the_jobs_of_a_smaller_one(
    jobs: pd.DataFrame, one: float, other: float, seed: int
) -> None:
    found = []
    for load in sorted((one, other)):
        try:
            more, _ = scaled(jobs, LogScale(load=load), UNDATED, Streams(seed))
        except InputError:  # a small share of a short log has no job
            assert load < 1
            more = jobs.iloc[:0]
        found.append(set(zip(more["job_id"].astype(str), more["submit_s"], strict=True)))
    assert found[0] <= found[1]


def test_thinning_keeps_the_expected_load() -> None:
    generator = np.random.default_rng(1)
    jobs = log(
        np.sort(generator.uniform(0, 28 * DAY_S, 400)).tolist(),
        duration_s=generator.lognormal(8, 1.5, 400),
        user=generator.choice(list("abcdefghij"), 400),
    )
    shares = []
    for seed in range(200):
        less, _ = scaled(jobs, LogScale(load=0.6), UNDATED, Streams(seed))
        shares.append(work(less) / work(jobs))
    assert np.mean(shares) == pytest.approx(0.6, abs=0.01)
    assert np.std(shares) < 0.05


def test_a_load_that_is_not_reached_is_said() -> None:
    jobs = log([0.0, 1.0], n_accelerators=[1, 1000], user=["a", "b"])
    _, notes = scaled(jobs, LogScale(load=1.4), UNDATED, Streams(0))
    assert any("differs by" in note for note in notes)


def test_one_is_no_change() -> None:
    jobs = log([0.0, 1.0])
    assert scaled(jobs, LogScale(load=1), UNDATED, Streams(0))[0] is jobs
    assert not changes_load({"load": 1.0, "method": "compress"})
    assert changes_load({"load": 1.1})


def test_copies_of_a_job_are_submitted_at_different_times() -> None:
    """Five weeks have four other weeks for the copies of a job; a fifth copy meets another."""
    jobs = log([7200.0 * k for k in range(426)], user=list("abcdef") * 71)

    def times(load: int) -> tuple[pd.Series, list[str]]:
        many, notes = scaled(jobs, LogScale(load=load), UNDATED, Streams(3))
        original = many["job_id"].str.split("+").str[0]
        return many["submit_s"].groupby(original).nunique(), notes

    different, notes = times(5)
    assert (different == 5).all()
    assert not any("time of its own" in note for note in notes)
    different, notes = times(6)
    assert (different == 5).all()
    assert any("5 whole weeks, so only 4 copies of a job" in note for note in notes)


def test_two_copies_in_a_log_of_two_weeks_coincide_and_a_note_says_so() -> None:
    jobs = log([3600.0 * k for k in range(400)], user=list("abcd") * 100)  # 2.4 weeks
    _, notes = scaled(jobs, LogScale(load=3), UNDATED, Streams(0))
    assert any("2 whole weeks, so only 1 copy of a job" in note for note in notes)
    _, notes = scaled(jobs, LogScale(load=2), UNDATED, Streams(0))
    assert len(notes) == 1


def test_namespaces_are_not_copied_as_a_whole() -> None:
    """Jobs of two namespaces on Kubernetes are copied by the hour; those of two users are not."""
    count = 400
    space = np.where(np.arange(count) % 2, "dev", "prod")
    jobs = pd.DataFrame(
        {
            "job_id": [f"{name}/{number}" for number, name in enumerate(space)],
            "submit_s": np.linspace(0.0, 21 * DAY_S, count),
            "n_accelerators": 8,
            "duration_s": 3600.0,
            "user": space,
        }
    )
    spec = LogScale(load=1.2, method="superpose")
    more, (note, *_) = scaled(jobs, spec, UNDATED, Streams(1))
    assert "single hours" in note
    added = more["user"].value_counts() / jobs["user"].value_counts()
    assert added.between(1.1, 1.3).all()
    _, (of_users, *_) = scaled(jobs.assign(job_id=range(count)), spec, UNDATED, Streams(1))
    assert "all jobs of a user" in of_users


def test_one_named_user_does_not_make_users_of_namespaces() -> None:
    """Of 400 jobs of a namespace, one names its user: the others are still copied by the hour."""
    count = 400
    jobs = pd.DataFrame(
        {
            "job_id": [f"prod/flow/{number}" for number in range(count)],
            "submit_s": np.linspace(0.0, 21 * DAY_S, count),
            "n_accelerators": 8,
            "duration_s": 3600.0,
            "user": ["ann", *["prod"] * (count - 1)],
        }
    )
    more, (note, *_) = scaled(jobs, LogScale(load=1.2), UNDATED, Streams(1))
    assert "all jobs of a user, and of an hour where the user is a namespace" in note
    copies = more[more["job_id"].str.endswith("+1") & (more["user"] == "prod")]
    assert len(copies) in (79, 80)  # a fifth, from all three weeks
    of_weeks = np.histogram(
        [int(name[10:-2]) for name in copies["job_id"]], bins=[0, 133, 266, 400]
    )
    assert of_weeks[0].min() > 10
    assert users_are_namespaces(jobs)
    assert not users_are_namespaces(jobs.assign(user="ann"))
    assert not users_are_namespaces(jobs.drop(columns="user"))
