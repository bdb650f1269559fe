"""The page that goes from the log of an example site to a decision."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from clustersim.cli.main import main
from tests.docs.example_site import FOLDER, site_files

PAGE = Path(__file__).parents[2] / "docs" / "from-a-log-to-a-decision.md"


def test_the_files_of_the_site_are_those_of_the_program():
    for name, text in site_files().items():
        assert (FOLDER / name).read_text() == text


@pytest.mark.slow
@pytest.mark.full
def test_every_command_prints_what_the_page_says(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"^```(sh|text|yaml)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL
    )
    compared, printed = 0, None
    for kind, text in blocks:
        if kind == "yaml":
            Path(text.split()[1]).write_text(text)
        elif kind == "sh":
            program, *arguments = shlex.split(text.replace("\\\n", " "))
            assert program == "clustersim"
            capsys.readouterr()
            assert main(arguments) == 0
            printed = capsys.readouterr().out
        elif printed is not None:
            assert text in printed
            compared, printed = compared + 1, None
    assert compared == 6
    use = (tmp_path / "valid" / "capacity.csv").read_text().splitlines()
    out = [line for line in use[1:] if int(line.split(",")[-2]) < 96]
    assert [line.split(",")[1][:10] for line in out] == [f"2026-09-{day}" for day in range(22, 27)]
