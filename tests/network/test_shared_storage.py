"""Transfers that share storage: by hand, invariants, and plain twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.array_types import Floats
from clustersim.network import SharedStorage, StorageSystem, Transfers
from tests.examples import examples
from tests.network.plain_storage import SavingJobs, ends_of_transfers, fair_rates

GB = 1e9


def rates(system: StorageSystem, *transfers: dict[str, float]) -> list[float]:
    """Rates of transfers that go on at the same time, GB/s; by default, they write."""
    storage = SharedStorage(system)
    for key, each in enumerate(transfers):
        storage.begin(key, **{"size_bytes": 1e12, "clients": 1, "reads": False, **each})
    storage.settle()
    return [storage.rate_Bps(key) / GB for key in range(len(transfers))]


def saving(system: StorageSystem, jobs: list[tuple[float, float]]) -> SharedStorage:
    """Jobs (bytes, seconds between saves) that save regularly, each from ten nodes."""
    storage = SharedStorage(system, tolerance=1e-9)
    for key, (size, period_s) in enumerate(jobs):
        storage.save_regularly(key, size_bytes=size, clients=10, period_s=period_s)
    storage.settle()
    return storage


# --- By hand ------------------------------------------------------------------------


def test_what_a_client_cannot_take_the_others_get() -> None:
    """Of 100 GB/s, nodes of 10 GB/s: one node gets 10, and the others the rest in equal parts."""
    system = StorageSystem(100 * GB, 100 * GB, client_Bps=10 * GB)
    assert rates(system, {"clients": 1}) == [10]
    assert rates(system, {"clients": 1}, {"clients": 64}) == pytest.approx([10, 90])
    three = rates(system, {"clients": 1}, {"clients": 64}, {"clients": 8})
    assert three == pytest.approx([10, 45, 45])
    assert rates(system, {"clients": 4}, {"clients": 4}) == pytest.approx([40, 40])


def test_reads_and_writes_take_time_of_the_same_disks() -> None:
    """Each of two transfers has half of the time; a byte read takes half of one written."""
    system = StorageSystem(write_Bps=100 * GB, read_Bps=200 * GB)
    assert rates(system, {"reads": True}) == [200]
    assert rates(system, {"reads": True}, {"reads": False}) == pytest.approx([100, 50])
    slow = StorageSystem(write_Bps=100 * GB, read_Bps=200 * GB, client_Bps=20 * GB)
    both = rates(slow, {"reads": True}, {"reads": False, "clients": 9})
    assert both == pytest.approx([20, 90])


def test_files_are_created_at_a_limited_rate() -> None:
    """1,000 files in 20 s, instead of 10 s for their bytes; without files, only bytes count."""
    system = StorageSystem(100 * GB, 100 * GB, metadata_per_s=50)
    some = {"files": 1000}
    assert rates(system, some) == [50]
    assert rates(system, some, some) == pytest.approx([25, 25])
    assert rates(system, some, {"files": 0}) == pytest.approx([50, 50])
    three = rates(system, {"files": 2000}, {"files": 2000}, {"files": 0})
    assert three == pytest.approx([12.5, 12.5, 75])


def test_a_writer_of_many_files_leaves_the_bandwidth_to_others() -> None:
    """Two writers of 100 GB share 10 GB/s and 50 files/s; the second one begins 5 s later.

    With one file each, both have 5 GB/s from then on: the first ends at 15 s and the second, which
    has half of its bytes left, at 20 s.  1,000 files take 20 s, or 5 GB/s, with or without the
    first writer: the second ends at 25 s.  In turns, the first ends at 10 s.
    """
    system = StorageSystem(10 * GB, 10 * GB, metadata_per_s=50)

    def ends(begin_s: float, files: float) -> list[float]:
        storage = SharedStorage(system)

        def rates_of(going: list[int]) -> Floats:
            for key in (0, 1):
                if key in keys and key not in going:
                    keys.remove(key)
                    storage.end(key)
                elif key in going and key not in keys:
                    keys.add(key)
                    n_files = files if key else 1.0
                    storage.begin(key, size_bytes=1e11, clients=1, files=n_files, reads=False)
            storage.settle()
            return np.array([storage.rate_Bps(key) for key in going])

        keys: set[int] = set()
        return ends_of_transfers([0.0, begin_s], [1e11, 1e11], rates_of)

    assert ends(5.0, 1) == pytest.approx([15, 20], rel=1e-3)
    assert ends(5.0, 1000) == pytest.approx([15, 25], rel=1e-3)
    assert ends(10.0, 1) == pytest.approx([10, 20], rel=1e-3), "in turns"
    assert ends(10.0, 1000) == pytest.approx([10, 30], rel=1e-3), "in turns"


def test_too_many_clients_take_bandwidth_from_all() -> None:
    """The share of the bandwidth is linear in the logarithm of the number of clients."""
    system = StorageSystem(100 * GB, 100 * GB, efficiency=((10, 1.0), (1000, 0.2)))
    assert rates(system, {"clients": 10}) == [100]
    assert rates(system, {"clients": 100}) == pytest.approx([60])
    assert rates(system, *[{"clients": 500}] * 2) == pytest.approx([10, 10])
    assert rates(system, *[{"clients": 5000}] * 2) == pytest.approx([10, 10])


def test_published_storage_gives_its_clients_a_few_per_cent_of_the_rate_of_their_links() -> None:
    """Sources in docs/storage.md.

    In the trace of Zhejiang Lab, one node writes the 13.5 GB of a 7B model in 12.0 s, 4.5 % of a
    port of 200 Gb/s.  A Lustre system of Dell writes 0.948 GB/s from one client, and 6.2 GB/s from
    24 threads on; so 64 clients have 97 MB/s each, 0.4 % of such a port.
    """
    port_Bps = 25 * GB
    node = StorageSystem(100 * GB, 100 * GB, client_Bps=1.12 * GB)
    assert node.alone_s(Transfers.of(13.48e9, clients=1))[0] == pytest.approx(12.0, abs=0.05)
    assert node.client_Bps / port_Bps == pytest.approx(0.045, rel=0.01)
    lustre = StorageSystem(6.2 * GB, 10.7 * GB, client_Bps=0.948 * GB)
    assert rates(lustre, {}) == [0.948]
    for clients in (7, 24, 64):
        each = rates(lustre, *[{}] * clients)
        assert sum(each) == pytest.approx(6.2)
    assert each[0] * GB / port_Bps == pytest.approx(0.004, rel=0.05)


def test_published_metadata_is_slower_than_the_bandwidth() -> None:
    """PLFS on Cielo (docs/storage.md): 512 processes write 8.06 GB at 21.9 MiB/s, or in 351 s.

    Of this, 347 s are for opening the file; the bytes alone are written at 3,490 MiB/s.
    """
    write_Bps, processes = 3490 * 2**20, 512
    cielo = StorageSystem(write_Bps, write_Bps, metadata_per_s=processes / 347)
    saved = Transfers.of(8.0645e9, clients=processes, files=processes)
    assert cielo.alone_s(saved)[0] == pytest.approx(8.0645e9 / (21.9 * 2**20), rel=0.02)
    [rate] = rates(cielo, {"size_bytes": 8.0645e9, "clients": processes, "files": processes})
    assert rate * GB / write_Bps == pytest.approx(0.006, rel=0.1)


def test_regular_saves_meet_each_other_by_chance() -> None:
    """Two jobs of 10 s a save: s = 1 + p and p = 10 s / (90 + 10 s), so that s^2 + 7 s = 9."""
    storage = saving(StorageSystem(100 * GB, 100 * GB), [(1e12, 90.0), (1e12, 90.0)])
    stretch = (np.sqrt(85) - 7) / 2
    assert [storage.stretch(key) for key in (0, 1)] == pytest.approx([stretch] * 2, rel=1e-6)
    written, read, utilisation = storage.usage()
    assert (written, read) == (pytest.approx(2e12 / (90 + 10 * stretch)), 0.0)
    assert utilisation == pytest.approx(written / 100e9)


def test_clients_that_cannot_fill_the_system_do_not_meet() -> None:
    system = StorageSystem(100 * GB, 100 * GB, client_Bps=1 * GB)
    storage = saving(system, [(1e12, 900.0)] * 5)
    assert [storage.stretch(key) for key in range(5)] == [1.0] * 5
    assert storage.rate_Bps(0) == 10 * GB


def test_a_new_save_and_one_that_is_gone_count_at_the_next_change() -> None:
    """Each job needs one per cent of the system. One alone has no others to ask."""
    storage = saving(StorageSystem(100 * GB, 100 * GB), [(1e12, 990.0)] * 2)
    storage.tolerance = 0.015
    new = {"size_bytes": 1e12, "clients": 1.0, "period_s": 990.0}
    storage.save_regularly(2, **new)
    assert storage.settle() == [2], "one per cent more than before"
    stretches = [storage.stretch(key) for key in range(3)]
    assert stretches == pytest.approx([1.01, 1.01, 1.02], abs=3e-4)
    storage.save_regularly(3, **new)
    assert storage.settle() == [0, 1, 2, 3]
    assert storage.stretch(0) == pytest.approx(1.03, abs=1e-3)
    storage.end(1)
    assert storage.settle() == []
    for key in (0, 3):
        storage.end(key)
    assert storage.settle() == [2]
    assert storage.stretch(2) == 1.0
    storage.save_regularly(0, **{**new, "size_bytes": 1.0})
    storage.end(0)
    assert storage.settle() == []
    storage.end(2)
    assert (storage.settle(), storage.usage(), len(storage)) == ([], (0.0, 0.0, 0.0), 0)


def test_one_transfer_alone_is_as_fast_as_arrays_say() -> None:
    curve = ((4.0, 1.0), (64.0, 0.5))
    system = StorageSystem(100 * GB, 50 * GB, 20 * GB, metadata_per_s=90.0, efficiency=curve)
    for clients, files, reads in ((2, 0, False), (16, 0, True), (64, 8, False), (9, 5000, True)):
        transfers = Transfers.of(1e12, clients, files, reads=reads)
        one = system.rate_Bps(1e12, clients, files, reads=reads)
        assert one == pytest.approx(float(system.alone_Bps(transfers)[0]), rel=1e-12)


# --- Invariants -----------------------------------------------------------------------


@st.composite
def systems(draw: st.DrawFn) -> StorageSystem:
    number = st.floats(0.1, 100.0)
    curve: tuple[tuple[float, float], ...] = ()
    if draw(st.booleans()):
        shares = sorted(draw(st.lists(st.floats(0.02, 1.0), min_size=2, max_size=4)), reverse=True)
        curve = tuple((4.0**place, share) for place, share in enumerate(shares))
    return StorageSystem(
        write_Bps=draw(number) * GB,
        read_Bps=draw(number) * GB,
        client_Bps=draw(st.sampled_from([np.inf, 1.0 * GB, 10.0 * GB])),
        metadata_per_s=draw(st.sampled_from([np.inf, 10.0, 1000.0])),
        efficiency=curve,
    )


def crowd_of(seed: int) -> list[tuple[dict[str, float], float]]:
    """Random transfers, and the time between saves of those that are regular (else 0)."""
    rng = np.random.default_rng(seed)
    return [
        (
            {
                "size_bytes": float(rng.uniform(0.1, 10.0)) * GB,
                "clients": float(rng.integers(1, 100)),
                "files": float(rng.integers(0, 50)),
            },
            float(rng.choice([0.0, rng.uniform(1.0, 500.0)])),
        )
        for _ in range(int(rng.integers(1, 20)))
    ]


def mixed(system: StorageSystem, seed: int, *, but: int = -1) -> dict[int, tuple[float, float]]:
    """Rate of each transfer of a crowd, and its rate alone; without that at `but`."""
    storage = SharedStorage(system, tolerance=1e-9)
    for key, (each, period_s) in enumerate(crowd_of(seed)):
        if key == but:
            continue
        if period_s:
            storage.save_regularly(key, **each, period_s=period_s, background=key % 3 == 0)
        else:
            storage.begin(key, **each, reads=key % 2 == 0)
    storage.settle()
    keys = [key for key in range(len(crowd_of(seed))) if key != but]
    return {
        key: (storage.rate_Bps(key), storage.rate_Bps(key) * storage.stretch(key)) for key in keys
    }


@given(system=systems(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(200))
def test_no_transfer_is_faster_than_alone_or_stands_still(system: StorageSystem, seed: int) -> None:
    for rate, alone in mixed(system, seed).values():
        assert 0 < rate <= alone * (1 + 1e-12)


@given(system=systems(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(200))
def test_transfers_use_all_there_is_and_not_more(system: StorageSystem, seed: int) -> None:
    """Without regular saves: of two that read or write the same, none could take from the other."""
    storage = SharedStorage(system)
    crowd = [each for each, _ in crowd_of(seed)]
    for key, each in enumerate(crowd):
        storage.begin(key, **each, reads=False)
    storage.settle()
    rate = np.array([storage.rate_Bps(key) for key in range(len(crowd))])
    alone = np.array([storage.rate_Bps(key) * storage.stretch(key) for key in range(len(crowd))])
    n = np.array([sum(each["clients"] for each in crowd)])
    room = float(system.efficiency_at(n)[0]) * system.write_Bps
    opened = sum(rate[key] * each["files"] / each["size_bytes"] for key, each in enumerate(crowd))
    assert rate.sum() <= room * (1 + 1e-9)
    assert opened <= system.metadata_per_s * (1 + 1e-9)
    if not np.isfinite(system.metadata_per_s):
        np.testing.assert_allclose(rate, fair_rates(room, alone), rtol=1e-9)
    assert storage.usage()[2] <= 1 + 1e-9


@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(1.0, 10.0))
@settings(max_examples=examples(200))
def test_more_bandwidth_or_fewer_jobs_never_make_a_transfer_longer(
    seed: int, factor: float
) -> None:
    few, many = StorageSystem(5 * GB, 8 * GB), StorageSystem(5 * factor * GB, 8 * factor * GB)
    now, more, fewer = mixed(few, seed), mixed(many, seed), mixed(few, seed, but=0)
    for key, (rate, _) in now.items():
        assert more[key][0] >= rate * (1 - 1e-6)
        assert key == 0 or fewer[key][0] >= rate * (1 - 1e-6)


# --- Plain twins ------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=examples(100))
def test_transfers_end_when_those_of_a_plain_twin_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 15))
    begin_s = np.round(rng.uniform(0, 5, n), int(rng.integers(0, 3)))
    size, clients = rng.uniform(0.5, 5.0, n), rng.integers(1, 5, n)
    client = float(rng.choice([np.inf, 0.4]))
    system = StorageSystem(1.0, 1.0, client_Bps=client)
    alone = np.minimum(clients * client, 1.0)

    def plain(going: list[int]) -> Floats:
        return fair_rates(1.0, alone[going])

    storage = SharedStorage(system)

    def shared(going: list[int]) -> Floats:
        for key in [key for key in range(n) if key in known and key not in going]:
            storage.end(key)
            known.remove(key)
        for key in set(going) - known:
            known.add(key)
            storage.begin(key, size_bytes=size[key], clients=float(clients[key]), reads=True)
        storage.settle()
        return np.array([storage.rate_Bps(key) for key in going])

    known: set[int] = set()
    expected = ends_of_transfers(begin_s.tolist(), size.tolist(), plain)
    found = ends_of_transfers(begin_s.tolist(), size.tolist(), shared)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    transfers = Transfers.of(size, clients)
    assert (np.array(found) - begin_s >= system.alone_s(transfers) * (1 - 1e-9)).all()


@pytest.mark.slow
def test_regular_saves_take_as_long_as_those_of_a_plain_twin() -> None:
    """The mean field is within 0.3 % of the time from save to save, and 5 % of what saves add.

    Random jobs, of which some write in the background, need up to 70 % of the storage.
    """
    errors, added = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(2, 30))
        clients = 2.0 ** rng.integers(0, 7, n)
        size = clients * rng.uniform(0.5, 4.0, n)
        background = rng.random(n) < rng.choice([0.0, 0.5])
        client, load = float(rng.choice([np.inf, 1.0, 5.0])), rng.uniform(0.05, 0.7)
        period_s = rng.uniform(300, 3600, n)
        total = float((size / period_s).sum() / load)
        storage = SharedStorage(StorageSystem(total, total, client_Bps=client), tolerance=1e-9)
        for key in range(n):
            storage.save_regularly(
                key,
                size_bytes=size[key],
                clients=clients[key],
                period_s=period_s[key],
                background=bool(background[key]),
            )
        storage.settle()
        save_s = size / [storage.rate_Bps(key) for key in range(n)]
        found = np.where(background, np.maximum(period_s, save_s), period_s + save_s)
        caps = np.minimum(clients * client, total)
        twin = SavingJobs(total, size, caps, period_s, background).cycles_s(300, rng)
        errors += np.abs(found / twin - 1).tolist()
        blocks = ~background
        added += [float((found - twin)[blocks].sum() / (twin - period_s)[blocks].sum())]
    assert np.mean(errors) < 0.003
    assert np.mean(np.abs(added)) < 0.05
