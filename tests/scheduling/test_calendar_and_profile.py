"""The structures that backfilling looks ahead with, against plain lists."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.scheduling.calendar import JOB, NODE, Release, ReleaseCalendar
from clustersim.scheduling.policies.profile import Profile
from tests.examples import examples

repeatable = settings(derandomize=True, deadline=None, max_examples=examples(200))


def earliest(entries: list[Release], need: int) -> tuple[float, int] | None:
    """The definition: first time at which `need` are back, and all that are back then."""
    back = 0
    for end, together in groupby(sorted(entries), key=lambda entry: entry[0]):
        back += sum(n for *_, n in together)
        if back >= need:
            return end, back
    return None


def check(calendar: ReleaseCalendar, entries: list[Release], needs: list[int]) -> None:
    assert list(calendar) == sorted(entries)
    for need in needs:
        expected = earliest(entries, need)
        if expected is None:
            with pytest.raises(ValueError, match="never released"):
                calendar.earliest(need)
        else:
            assert calendar.earliest(need) == expected


def add(calendar: ReleaseCalendar, entry: Release) -> None:
    end, holder, number, n = entry
    (calendar.add if holder == JOB else calendar.add_node)(end, number, n)


def remove(calendar: ReleaseCalendar, entry: Release) -> None:
    end, holder, number, n = entry
    (calendar.remove if holder == JOB else calendar.remove_node)(end, number, n)


@repeatable
@given(
    ops=st.lists(
        st.tuples(
            st.integers(0, 6), st.integers(1, 9), st.booleans(), st.sampled_from([JOB, NODE])
        ),
        max_size=40,
    ),
    need=st.integers(1, 60),
)
def test_calendar_is_a_sorted_list(ops: list[tuple[int, int, bool, int]], need: int) -> None:
    """A job and a node of one number are two entries."""
    calendar, entries = ReleaseCalendar(), []
    for number, (end, n, removed, holder) in enumerate(ops):
        if removed and entries:
            remove(calendar, entries.pop(end % len(entries)))
        else:
            entries.append((end / 2, holder, number // 2, n))
            add(calendar, entries[-1])
        check(calendar, entries, [need])


def test_calendar_of_thousands() -> None:
    draw = np.random.default_rng(5)
    calendar, entries = ReleaseCalendar(), []
    for job in range(3000):
        if entries and draw.random() < (0.2 if job < 2000 else 0.9):
            remove(calendar, entries.pop(int(draw.integers(len(entries)))))
        holder = int(draw.integers(2))
        entries.append((float(draw.integers(60)), holder, job, int(draw.integers(1, 9))))
        add(calendar, entries[-1])
        if job % 300 == 299:
            total = sum(n for *_, n in entries)
            check(calendar, entries, [1, total // 3, total // 2, total, total + 1])
    assert len(entries) > 1500, "enough for several chunks"
    for at in draw.permutation(len(entries)).tolist():
        remove(calendar, entries[at])
    assert list(calendar) == []
    calendar.add(1.0, 1, 1)
    assert calendar.earliest(1) == (1.0, 1)


def test_calendar_counts_all_that_end_together() -> None:
    calendar = ReleaseCalendar()
    for job in range(700):
        calendar.add(5.0, job, 1)
    calendar.add(4.0, 700, 2)
    assert calendar.earliest(2) == (4.0, 2)
    assert calendar.earliest(3) == (5.0, 702)


# --- Profile ------------------------------------------------------------------------

LAST = 40
"""The brute-force array has a number for every second up to this; then all is free."""


def first_fit(free: np.ndarray, now: int, n: int, run_s: int) -> int:
    for start in range(now, LAST + 1):
        if (free[start : start + max(run_s, 1)] >= n).all():
            return start
    raise AssertionError("after the last second all is free")


@repeatable
@given(data=st.data())
def test_profile_is_an_array_of_seconds(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 10))
    free, now = np.full(2 * LAST, size), 0
    profile = Profile(0.0, size)
    held: list[tuple[int, int, int]] = []
    for _ in range(data.draw(st.integers(1, 30))):
        what = data.draw(st.sampled_from(["take", "take", "give", "advance"]))
        if what == "give" and held:
            start, end, n = held.pop(data.draw(st.integers(0, len(held) - 1)))
            start = max(start, now)
            profile.change(float(start), float(end), n)
            free[start:end] += n
        elif what == "advance":
            now = min(now + data.draw(st.integers(0, 4)), LAST // 2)
            profile.advance(float(now))
        else:
            n, run_s = data.draw(st.integers(1, size)), data.draw(st.integers(0, 8))
            start = first_fit(free, now, n, run_s)
            assert profile.earliest(n, float(run_s)) == start
            if start + run_s <= LAST:
                profile.change(float(start), float(start + run_s), -n)
                free[start : start + run_s] -= n
                held.append((start, start + run_s, n))
        held = [(start, end, n) for start, end, n in held if end > now]
        check_before(profile, free, now, [each for each in held if each[0] >= now])
        for n in range(1, size + 1):
            assert profile.earliest(n, 3.0) == first_fit(free, now, n, 3)


def check_before(
    profile: Profile, free: np.ndarray, now: int, held: list[tuple[int, int, int]]
) -> None:
    """A job looks for a place in front of its own, which it gives up, and in front of any time."""
    for start, end, n in held:
        given_up = free.copy()
        given_up[start:end] += n
        for seen, own in ((given_up, True), (free, False)):
            found = first_fit(seen, now, n, end - start)
            expected = found if found < start else None
            assert (
                profile.earliest_before(n, float(end - start), float(start), held=own) == expected
            )


def test_profile_of_hundreds_of_steps() -> None:
    """In front of a time, the search with numpy finds what the search in a copy finds."""
    draw = np.random.default_rng(7)
    profile, found = Profile(0.0, 12), 0
    for _ in range(600):
        n, run_s = int(draw.integers(1, 13)), float(draw.integers(1, 40))
        start = max(profile.earliest(n, run_s), float(draw.integers(0, 2000)))
        if (
            min(
                free
                for begin, end, free in profile.steps()
                if begin < start + run_s and end > start
            )
            >= n
        ):
            profile.change(start, start + run_s, -n)
            other = Profile(0.0, 12)
            other.change(0.0, 5000.0, -12)
            for begin, end, free in profile.steps():
                other.change(begin, min(end, 5000.0), free)
            first = other.earliest(n, run_s)
            before = profile.earliest_before(n, run_s, start, held=False)
            assert before == (first if first < start else None)
            other.change(start, start + run_s, n)
            first = other.earliest(n, run_s)
            before = profile.earliest_before(n, run_s, start, held=True)
            assert before == (first if first < start else None)
            found += before is not None
    assert len(profile.steps()) > 300, "long enough for the search with numpy"
    assert found > 50, "jobs that find a place"


def test_profile_finds_a_gap_that_is_just_long_enough() -> None:
    profile = Profile(0.0, 10)
    profile.change(0.0, 10.0, -4)
    profile.change(15.0, 30.0, -8)
    assert profile.earliest(6, 15.0) == 0.0
    assert profile.earliest(6, 15.5) == 30.0
    assert profile.earliest(8, 5.0) == 10.0
    assert profile.earliest(8, 5.5) == 30.0
    assert profile.earliest(2, 1e9) == 0.0
