"""What the shell completes, as argcomplete asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from argcomplete import CompletionFinder

from clustersim.cli.completion import add_completers
from clustersim.cli.main import make_parser

OWN = "accelerators: {MyChip: {extends: H20}}"
CASES: dict[str, tuple[str, set[str], set[str]]] = {
    "commands": ("re", {"replay", "report"}, {"run"}),
    "options": ("trace jobs.csv --", {"--since", "--json", "--quiet"}, {"--from", "--file"}),
    "chips": ("estimate --accelerator H2", {"H20", "H200"}, {"H100"}),
    "chips of a file": ("estimate --catalogue own.yaml --accelerator My", {"MyChip"}, set()),
    "models": ("estimate --model llama3", {"llama3-8b", "llama3-70b"}, {"deepseek-v3"}),
    "chips and models": ("catalogue S", {"SeedChip"}, {"H20"}),
    "policies": ("replay jobs.csv --policy e", {"easy", "easy_sjbf"}, {"fcfs"}),
    "policies of files": ("check-policy my", {"my_policy.py"}, {"my_study.yaml"}),
    "placements": ("replay jobs.csv --placement ", {"consolidate", "spread", "pooled"}, set()),
    "topologies": ("replay jobs.csv --cluster mi", {"mixed-small"}, {"h200-superpod"}),
    "topologies to print": ("topology h", {"h200-superpod"}, {"mixed-small"}),
    "metrics": ("metrics p95_w", {"p95_wait_s"}, {"mean_wait_s"}),
    "scenarios": (
        "run experiments/",
        {"experiments/mixed_small.yaml"},
        {"experiments/plan_2026.yaml", "experiments/capacity_vs_load.yaml"},
    ),
    "studies": (
        "study experiments/ca",
        {"experiments/capacity_vs_load.yaml", "experiments/capacity_vs_seedchips.yaml"},
        {"experiments/mixed_small.yaml"},
    ),
    "own studies": ("study my", {"my_study.yaml"}, {"my_policy.py"}),
    "plans": ("plan e", {"experiments/plan_2026.yaml"}, {"experiments/mixed_small.yaml"}),
    "logs": ("trace experiments/s", {"experiments/sample_jobs.csv"}, set()),
    "formats of logs": ("trace jobs.csv --log-format s", {"swf"}, {"csv"}),
    "formats": ("schema s", {"scenario", "study"}, {"plan"}),
    "kinds": ("measure --kinds m", {"matmul"}, set()),
}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("own.yaml", OWN), ("my_policy.py", ""), ("my_study.yaml", "")):
        Path(name).write_text(text)


def completed(line: str) -> set[str]:
    *words, prefix = f"clustersim {line}".split(" ")
    parser = make_parser()
    add_completers(parser)
    finder = CompletionFinder(parser, always_complete_options="long")
    return {each.strip() for each in finder._get_completions(words, prefix, "", None)}


@pytest.mark.parametrize("case", CASES)
def test_completions(case: str) -> None:
    line, expected, others = CASES[case]
    found = completed(line)
    assert expected <= found
    assert not others & found


def test_as_the_shell_calls_it(tmp_path: Path) -> None:
    line = "clustersim replay jobs.csv --policy conserv"
    answer = tmp_path / "answer"
    variables = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    code = "from clustersim.cli.main import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ended.stdout == ""
    assert answer.read_text().strip() == "conservative"


def test_a_command_does_not_import_it() -> None:
    """So that completion does not slow down the start of a command; nor do large libraries."""
    code = (
        "import sys\nfrom clustersim.cli.main import make_parser\nmake_parser()\n"
        "print([name for name in ('argcomplete', 'clustersim.cli.completion', 'numpy', 'pandas')"
        " if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "[]\n"
