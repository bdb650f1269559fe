"""Tables whose columns are recognised, or named by the user."""

from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.workload import read_jobs
from clustersim.workload.readers.site_logs.durations import duration_s
from clustersim.workload.readers.site_logs.gres import gres_count, tres_count
from tests.examples import examples


def read(tmp_path: Path, text: str, **options: Any) -> Any:
    path = tmp_path / "log.csv"
    path.write_text(text)
    return read_jobs(path, **options)


@pytest.mark.parametrize(
    ("names", "cells", "n"),
    [
        ("nodes,gpus_per_node", "2,8", 16),
        ("Nodes,GPUs per Node", "2,8", 16),
        ("workers,gpuPerWorker", "4,2", 8),
        ("num_workers,num_gpus_per_worker", "4,2", 8),
        ("replicas,gpus_per_pod", "4,2", 8),
        ("worker_num,gpu_request", "4,2", 8),
        ("nodes,num_gpus", "2,16", 16),
        ("gpu_model,gpu_count", "H100,16", 16),
        ("allocated", "gres/gpu:a100=4;gres/gpu=4", 4),
        ("gpus", "8xA100", 8),
        ("n_npus", "8", 8),
    ],
)
def test_sizes(tmp_path: Path, names: str, cells: str, n: int) -> None:
    cells = cells.replace(";", "\u00b7")
    times = "2025-01-01 00:00:00,2025-01-01 01:00:00,2025-01-01 03:00:00"
    text = f"id,{names},submitted,started,finished\n1,{cells},{times}\n"
    text = text.replace("\u00b7", ";")
    assert read(tmp_path, text, time_zone="UTC").jobs["n_accelerators"].tolist() == [n]


@pytest.mark.parametrize(
    ("names", "cells"),
    [
        ("submitted_at,queue_wait,run_time", "2025-07-14T02:00:00,01:00,02:00:00"),
        ("submit_time,start_time,end_time", "1752458400,1752458460,1752465660"),
        ("submitTime,startTime,endTime", "1752458400000,1752458460000,1752465660000"),
        ("Submit,Start,End", "2025-07-14T02:00:00Z,2025-07-14T04:01:00+02:00,2025-07-14 04:01 UTC"),
        ("created,began,ended", "7/14/2025 2:00 AM,7/14/2025 2:01 AM,7/14/2025 4:01 AM"),
        ("created,began,ended", "14.07.2025 02:00,14.07.2025 02:01,14.07.2025 04:01"),
        ("Start,Wait (min),Elapsed", "2025-07-14 02:01:00,1,0-02:00:00"),
        ("created,start,runtime_h", "2025-07-14 02:00,2025-07-14 02:01,2"),
        (
            "qtime,stime,etime".replace("stime", "start").replace("etime", "end"),
            "Mon Jul 14 02:00:00 2025,Mon Jul 14 02:01:00 2025,Mon Jul 14 04:01:00 2025",
        ),
    ],
)
def test_times(tmp_path: Path, names: str, cells: str) -> None:
    log = read(tmp_path, f"job,gpus,{names}\n1,8,{cells}\n", time_zone="UTC")
    assert log.origin is not None
    assert log.origin.isoformat() == "2025-07-14T02:00:00+00:00"
    assert log.jobs["duration_s"].tolist() == [7200]
    assert log.jobs["start_s"].tolist() == [60]


def test_fractions_of_seconds_are_kept_and_zero_is_no_time(tmp_path: Path) -> None:
    log = read(
        tmp_path,
        "id,gpus,submit,start,end\na,8,1750006272137,1750006273137,1750006275637\n"
        "b,8,1750006272637,1750006273137,1750006275637\nc,8,1750006272137,0,0\n"
        "d,8,1750006272137,null,\n",
    )
    assert log.jobs["submit_s"].tolist() == [0.0, 0.5]
    assert log.jobs["duration_s"].tolist() == [2.5, 2.5]
    assert log.left_out_table()["reason"].tolist() == ["never_started"] * 2


def test_a_mapping_names_columns(tmp_path: Path) -> None:
    text = "Nr,Wann,Karten,Dauer\n1,2025-01-01 00:10,8,01:00:00\n2,2025-01-01 00:00,4,00:30\n"
    columns = "job=Nr,submit=Wann,gpus=Karten,run=Dauer"
    log = read(tmp_path, text, columns=columns, time_zone="Europe/Berlin")
    assert log.jobs["job_id"].tolist() == [2, 1]
    assert log.jobs["duration_s"].tolist() == [30, 3600]
    assert any("sorted by submit time" in note for note in log.notes)
    with pytest.raises(InputError, match="unknown role 'gpuz'; did you mean 'gpus'"):
        read(tmp_path, text, columns="gpuz=Karten")
    with pytest.raises(InputError, match="no line is a header with the columns Wen"):
        read(tmp_path, text, columns="submit=Wen")
    with pytest.raises(InputError, match="mixes names with role=NAME"):
        read(tmp_path, text, columns="Nr,submit=Wann")
    with pytest.raises(InputError, match="--time-zone: unknown time zone 'Berlino'"):
        read(tmp_path, text, columns=columns, time_zone="Berlino")


def test_quotes_totals_comments_and_rows_that_are_cut(tmp_path: Path) -> None:
    text = (
        "# exported today\nid,name,gpus,submitted,started,ended\n"
        '1,"a, b",8,2025-01-01 00:00:00,2025-01-01 00:00:00,2025-01-01 01:00:00\n'
        "2,c,8,2025-01-01 00:00:00,2025-01-01\nTotal,,16,,,\n"
    )
    log = read(tmp_path, text, time_zone="UTC")
    assert log.jobs["job_id"].tolist() == [1]
    table = log.left_out_table()
    assert list(zip(table["line"], table["reason"], strict=True)) == [
        (1, "noise"),
        (4, "malformed"),
        (5, "noise"),
    ]


@pytest.mark.parametrize("packing", ["gz", "xz", "zst"])
def test_packed(tmp_path: Path, packing: str) -> None:
    text = b"id\tgpus\tsubmit\tstart\tend\n1\t8\t1750006272\t1750006273\t1750006283\n"
    pack = {
        "gz": gzip.compress,
        "xz": lzma.compress,
        "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
    }
    path = tmp_path / f"log.tsv.{packing}"
    path.write_bytes(pack[packing](text))
    assert read_jobs(path).jobs["duration_s"].tolist() == [10]


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "gpus": 8, "submit_time": "2025-01-01T00:00:00Z",
         "start_time": "2025-01-01T00:00:10Z", "end_time": "2025-01-01T01:00:00Z"},
        {"id": "b", "gpus": 8, "submit_time": "2025-01-01T00:00:00Z", "start_time": None,
         "end_time": None},
    ]  # fmt: skip
    log = read(tmp_path, "\n".join(map(json.dumps, rows)))
    assert log.jobs["duration_s"].tolist() == [3590]
    assert log.left_out_table()["reason"].tolist() == ["never_started"]


@settings(max_examples=examples(200))
@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_durations_as_slurm_writes_them(days: int, hours: int, minutes: int, seconds: int) -> None:
    wanted = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    assert duration_s(f"{days}-{hours:02}:{minutes:02}:{seconds:02}") == wanted
    assert duration_s(f"{days * 24 + hours}:{minutes:02}:{seconds:02}") == wanted
    assert duration_s(str(wanted)) == wanted


KINDS = st.lists(
    st.tuples(st.sampled_from(["a100", "h100_80gb", "1g.10gb"]), st.integers(1, 64)),
    min_size=1,
    unique_by=lambda pair: pair[0],
)


@settings(max_examples=examples(200))
@given(KINDS, st.booleans(), st.booleans())
def test_typed_and_untyped_devices_are_the_same(
    kinds: list[tuple[str, int]], untyped: bool, memory: bool
) -> None:
    total = sum(count for _, count in kinds)
    entries = [f"gres/gpu:{kind}={count}" for kind, count in kinds]
    entries += [f"gres/gpu={total}"] * untyped + ["gres/gpumem=40G"] * memory
    assert tres_count(",".join(["cpu=8", *entries, "mem=4G"])) == total
    assert gres_count(",".join(f"gpu:{kind}:{count}(S:0-1)" for kind, count in kinds)) == total
