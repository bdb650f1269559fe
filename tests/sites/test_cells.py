"""Durations, times, memory, generic resources and host lists as schedulers print them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.sites.cells import Times, duration_s, memory_mb, number_of, whole
from clustersim.sites.hostlist import expand_hosts
from clustersim.sites.site import in_service
from clustersim.sites.tres import accelerators_of, is_cut


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("9:41", 581.0),
        ("27:10:05", 97805.0),
        ("2-12:07:21", 216441.0),
        ("1-00", 86400.0),
        ("30", 1800.0),
        ("infinite", math.inf),
        ("N/A", None),
        ("soon", None),
    ],
)
def test_a_duration_as_slurm_writes_it(text: str, seconds: float | None) -> None:
    assert duration_s(text) == seconds


def test_a_number_alone_is_seconds_for_pbs() -> None:
    assert duration_s("3600", bare="seconds") == 3600.0


@given(st.integers(0, 99), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_days_and_clock_times_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    text = f"{days}-{hours:02}:{minutes:02}:{seconds:02}"
    assert duration_s(text) == days * 86400 + hours * 3600 + minutes * 60 + seconds


def test_a_time_without_zone_is_of_the_site_and_one_with_zone_is_not() -> None:
    times = Times(ZoneInfo("Europe/Berlin"))
    assert times.parse("2025-05-14T11:20:07") == datetime(2025, 5, 14, 9, 20, 7, tzinfo=UTC)
    assert times.parse("2025-05-14T11:20:07Z") == datetime(2025, 5, 14, 11, 20, 7, tzinfo=UTC)
    assert times.parse("Wed May 14 11:20:07 2025") == datetime(2025, 5, 14, 9, 20, 7, tzinfo=UTC)
    assert times.parse(1747214407000) == times.parse(1747214407)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("gpu:a100:4(S:0-1)", {"a100": 4}),
        ("gpu:a100:4(S:0,1),nvme:2,mps:400", {"a100": 4}),
        ("gres:gpu:a100:4", {"a100": 4}),
        ("gres/gpu:4", {"gpu": 4}),
        ("gpu", {"gpu": 1}),
        ("gpu:tesla:1,gpu:kepler:1", {"tesla": 1, "kepler": 1}),
        ("gpu:nvidia_a100-sxm4-80gb:2(IDX:0-1)", {"nvidia_a100-sxm4-80gb": 2}),
        ("cpu=8,mem=64G,gres/gpu=3,gres/gpu:v100=2", {"v100": 2, "gpu": 1}),
        ("cpu=8,gres/gpumem=40G,gres/gpuutil=50,gres/shard=4", {}),
        ("N/A", {}),
        ("gpu:0", {}),
    ],
)
def test_accelerators_in_generic_resources(text: str, found: dict[str, int]) -> None:
    assert accelerators_of(text) == found


def test_a_number_that_was_cut_off_is_not_read() -> None:
    assert is_cut("gpu:gtx1080t+")
    assert is_cut("cpu=8,mem=65536M,node=")
    assert not is_cut("cpu=8,mem=65536M,node=1")


def test_memory_and_counts() -> None:
    assert memory_mb("385000+") == 385000
    assert memory_mb("2147483648", bare="b") == 2048
    assert whole("1K") == 1024
    assert number_of({"set": True, "infinite": False, "number": 5}) == 5.0
    assert number_of({"set": False, "infinite": False, "number": 5}) is None


@given(st.lists(st.integers(0, 999), min_size=1, max_size=20, unique=True))
def test_a_list_of_hosts_has_each_host_once(numbers: list[int]) -> None:
    text = f"gpu[{','.join(f'{number:03}' for number in numbers)}]"
    assert expand_hosts(text) == [f"gpu{number:03}" for number in numbers]


@pytest.mark.parametrize(
    "state",
    ["idle", "mix", "alloc", "allocated", "MIXED+CLOUD", "resv", "planned", "comp", "job-busy",
     "free", "Ready", "ok", "closed_Full", "idle#", "ALLOCATED+RESERVED"],
)  # fmt: skip
def test_a_node_in_service(state: str) -> None:
    assert in_service(state)


@pytest.mark.parametrize(
    "state",
    ["down*", "drain", "drng", "drained", "maint", "idle~", "MIXED+DRAIN", "DOWN*+DRAIN", "inval",
     "IDLE+POWERED_DOWN", "ALLOCATED+MAINTENANCE+RESERVED", "unknown", "down,offline", "unavail",
     "state-unknown,down", "unreach", "closed_Adm", "NotReady", "idle*", "fail", "IDLE+DRAIN"],
)  # fmt: skip
def test_a_node_out_of_service(state: str) -> None:
    assert not in_service(state)
