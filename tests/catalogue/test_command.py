"""``clustersim catalogue`` as a user sees it."""

from __future__ import annotations

import argparse

import pytest

from clustersim.catalogue import load_catalogue
from clustersim.cli import catalogue as command
from clustersim.errors import InputError


@pytest.fixture
def printed(capsys):
    def call(*arguments):
        parser = argparse.ArgumentParser()
        command.add_parser(parser.add_subparsers())
        args = parser.parse_args(["catalogue", *arguments])
        assert args.run(args) == 0
        return capsys.readouterr().out

    return call


def test_tables(printed):
    text = printed()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert any(line.startswith("H200 ") and " 141 " in line for line in lines)
    assert any(line.startswith("SeedChip*") for line in lines)
    assert any(line.startswith("jimeng-class") for line in lines)
    assert "BF16 TFLOP/s" in text
    assert "Note: SeedChip is hypothetical" in text


def test_one_chip_with_ranges_and_sources(printed):
    text = printed("910B")
    assert text.startswith("910B2 (Huawei, 2023)")
    assert "1.2 TB/s" in text
    assert "1.8 TB/s" in text
    assert "Ascend910B2.ini" in text
    assert "hypothetical" not in text
    assert max(map(len, text.splitlines())) <= 120


def test_hypothetical_chip_says_so(printed):
    assert "Note: SeedChip is hypothetical" in printed("seedchip")


def test_one_model_marks_assumptions(printed):
    text = printed("doubao-class")
    row = next(line for line in text.splitlines() if line.startswith("hidden "))
    assert row.split() == ["hidden", "4096", "assumption"]
    assert "arXiv 2504.13914" in text


def test_all_sources(printed):
    catalogue = load_catalogue()
    entries = [*catalogue.accelerators.values(), *catalogue.models.values()]
    references = [chip for chip in catalogue.accelerators.values() if chip.reference_only]
    assert len(entries) - len(references) >= 39
    assert len(references) >= 31
    text = printed("--sources")
    assert text.count("\nSources\n") == len(entries) - len(references)
    assert max(map(len, text.splitlines())) <= 120
    assert printed("--sources", "--all").count("\nSources\n") == len(entries)


def test_references_are_printed_only_when_asked_for(printed):
    text = printed()
    assert not any(line.startswith(("V100", "TPU", "MI300X")) for line in text.splitlines())
    assert "34 more chips are references for published training runs: --all." in text
    every = printed("--all")
    lines = every.splitlines()
    assert max(map(len, lines)) <= 120
    row = next(line for line in lines if line.startswith("MI300X"))
    assert row.split()[:5] == ["MI300X", "2023", "1307", "2615", "192"]
    assert lines.index(row) > next(i for i, line in enumerate(lines) if line.startswith("810E"))
    assert "more chips" not in every
    assert printed("tpu v4").startswith("TPU-v4 (Google, 2020)")
    assert "Export to China: unknown [not stated in the sources that were read]" in printed(
        "TPU-v4"
    )


def test_own_file(printed, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("accelerators: {Mine: {extends: H20, power: 999 W}}")
    assert "999 W" in printed("--catalogue", str(path), "Mine")


def test_unknown_name(printed):
    with pytest.raises(InputError, match="did you mean 'H20'"):
        printed("H20O")
