"""`clustersim collective`: times by algorithm, errors of the model, and unusable options."""

from __future__ import annotations

import json

import pytest

import clustersim as cs
from clustersim.cli.main import main
from clustersim.network.chip_collectives import estimate_collective
from tests.reference_data import ROOT

JOB = ("--op", "all_reduce", "--size", "1GB", "--accelerator", "H200", "--count", "64")


def printed(capsys, *arguments):
    assert main(["collective", *arguments]) == 0
    return capsys.readouterr().out


def test_time_algbw_and_busbw(capsys):
    text = printed(capsys, *JOB)
    found = estimate_collective(
        "all_reduce", 1e9, cs.load_catalogue().accelerator("H200"), 64, algorithm="ring"
    )
    (line,) = [line for line in text.splitlines() if line.startswith("ring ")]
    assert line.split()[1] == f"{1e3 * float(found.seconds):.2f}"
    assert f"{float(found.busbw_Bps) / 1e9:.1f} GB/s" in line
    assert text.startswith("all_reduce of 1 GB on 64 H200: 5.7 ms\n")
    assert "in_network" in text


def test_json_has_the_chosen_algorithm_first(capsys):
    found = json.loads(printed(capsys, *JOB, "--algorithm", "tree", "--json"))
    assert found["algorithm"] == "tree"
    assert found["algorithms"] == [
        {name: found[name] for name in ("algorithm", "seconds", "algbw_Bps", "busbw_Bps")}
    ]
    assert found["busbw_Bps"] == pytest.approx(2 * 63 / 64 * 1e9 / found["seconds"])
    assert found["fabric"] == "infiniband"


def test_options_change_the_links(capsys):
    def seconds(*options):
        return json.loads(printed(capsys, *JOB, *options, "--json"))["seconds"]

    assert seconds("--network", "200Gb/s") > 1.5 * seconds()
    assert seconds("--fabric", "efa") > seconds()
    eight = ("--count", "8")
    assert seconds(*eight, "--no-in-switch") > 1.2 * seconds(*eight)
    exchange = ("--op", "all_to_all", "--algorithm", "deepep")
    assert seconds(*exchange, "--copies", "8") < seconds(*exchange, "--copies", "1")


def test_notes(capsys):
    assert "usually has 200 Gb/s per chip" in printed(capsys, *JOB, "--fabric", "tcpx")
    assert "usually" not in printed(capsys, *JOB, "--fabric", "tcpx", "--network", "200Gb/s")
    assert "hypothetical" in printed(capsys, *JOB, "--accelerator", "SeedChip")


def test_one_chip_has_no_bandwidth(capsys):
    found = json.loads(printed(capsys, *JOB, "--count", "1", "--json"))
    assert found["seconds"] == 0
    assert found["busbw_Bps"] is None


def test_errors_by_chip_and_operation(capsys):
    rows = json.loads(printed(capsys, "--errors", "--json"))["errors"]
    named = {(row["accelerator"], row["operation"]): row for row in rows}
    assert named["all", "all"]["rows"] == 192
    assert named["all", "all"]["median_error"] < 0.04
    assert named["all", "large"]["held_out_median_error"] < 0.05
    assert named["Ascend-910B", "all_gather"]["held_out_median_error"] is None
    assert "H20-3e" in printed(capsys, "--errors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*JOB[:-2],), "needs --count; or --errors"),
        ((*JOB, "--op", "allreduce"), "did you mean 'all_reduce'"),
        ((*JOB, "--size", "1 GBit"), "--size: "),
        ((*JOB, "--size", "-1GB"), "as --size=VALUE"),
        ((*JOB, "--size=-1GB"), "size_bytes: must be more than 0"),
        ((*JOB, "--accelerator", "H2000"), "unknown accelerator 'H2000'; did you mean"),
        ((*JOB, "--algorithm", "rng"), "unknown algorithm 'rng'; did you mean 'ring'"),
        ((*JOB, "--fabric", "efs"), "unknown fabric 'efs'; did you mean 'efa'"),
        ((*JOB, "--network", "fast"), "--network: expected bandwidth"),
        ((*JOB, "--copies", "4"), "--copies: is only for --op all_to_all"),
        ((*JOB, "--errors"), "--errors: takes no collective, found --op, --size"),
    ],
)
def test_unusable_options(capsys, arguments, message):
    assert main(["collective", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_page_shows_what_the_command_prints(capsys):
    page = (ROOT / "docs" / "collectives.md").read_text(encoding="utf-8")
    assert printed(capsys, *JOB).strip() in page
    rows = json.loads(printed(capsys, "--errors", "--json"))["errors"]
    named = {row["operation"]: row for row in rows if row["accelerator"] == "all"}
    for kind, words in (
        ("large", "messages of 64 MiB and more"),
        ("small", "smaller messages"),
        ("all", "all"),
    ):
        row = named[kind]
        rates = [100 * row[name] for name in ("median_error", "held_out_median_error")]
        line = f"| {words} | {row['rows']} | {rates[0]:.1f} % | {rates[1]:.1f} % "
        assert f"{line}({row['held_out_rows']} rows) |" in page
