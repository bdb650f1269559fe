"""Files of a user's own that do not end, catch what should end them, or leave: nothing hangs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clustersim import InputError
from clustersim.analysis.registry import users_code
from clustersim.cli.main import main
from clustersim.scheduling import plugins, stalls
from clustersim.simulation import check_policy
from tests.signals import default_signals

HEAD = "import re, time\n"
MINE = HEAD + "from clustersim import Policy\n\nclass Mine(Policy):\n"
MINE += "    def schedule(self, now):\n"
LOOP = "while True:\n    try:\n        time.sleep(9)\n    except BaseException:\n        pass\n"
SWALLOWS = "        while True:\n            try:\n                time.sleep(1)\n"
SWALLOWS += "            except BaseException:\n                pass\n"
LIMITS = """
import sys
from importlib import import_module
from clustersim.scheduling import plugins, stalls
from clustersim.analysis import registry
from clustersim import interrupts
stalls.GRACE_S = 1.0
interrupts.RESPONSE_S = 0.5
plugins.LONGEST_LOAD_S = registry.LONGEST_CALL_S = 1.0
import_module('clustersim.simulation.check_policy')._LONGEST_CALL_S = 1.0
from clustersim.cli.main import main
sys.exit(main())
"""
"""The command, with limits that let a test be quick."""
LOG = "job_id,submit_s,n_accelerators,duration_s\n1,0,8,10\n2,1,8,10\n"


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LIMITS, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=default_signals,
    )


def ended(folder: Path, *arguments: str) -> tuple[int, str, str]:
    process = start(folder, *arguments)
    try:
        printed, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    return process.returncode, printed, errors


CHECK = ("check-policy", "mine.py")
LOADS = {
    "waits": ("while True:\n    pass\n", "did not finish within 0.6 s"),
    "interrupts": ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    "in a function": ("def f():\n    raise KeyboardInterrupt\nf()\n", "KeyboardInterrupt"),
    "through another": ("import signal\nsignal.default_int_handler(2, 0)\n", "KeyboardInterrupt"),
    "closes": ("raise GeneratorExit\n", "GeneratorExit"),
    "its own error": ("class E(BaseException):\n    pass\nraise E('no')\n", "E: no"),
    "takes itself away": ("import sys\ndel sys.modules[__name__]\n1 / 0\n", "ZeroDivisionError"),
}


@pytest.mark.parametrize("case", LOADS)
@pytest.mark.parametrize("command", ["policy", "plugin"])
def test_a_file_that_fails_to_load_is_named(
    refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch, case: str, command: str
) -> None:
    monkeypatch.setattr(plugins, "LONGEST_LOAD_S", 0.6)
    source, words = LOADS[case]
    Path("mine.py").write_text(source)
    arguments = CHECK if command == "policy" else ("metrics", "--plugins", "mine.py")
    refuse([*arguments], "mine.py: fails to load: ", words)


@pytest.mark.parametrize("case", ["interrupts", "closes", "its own error"])
def test_a_metric_that_leaves_is_named(case: str) -> None:
    source, words = LOADS[case]
    Path("mine.py").write_text(source)
    code = compile(source, str(Path("mine.py").resolve()), "exec")
    message = pytest.raises(InputError, match=f"metric 'a': line .*: {words}")
    with message, users_code(code.co_filename, "metric 'a'"):
        exec(code, {})


def test_a_regular_expression_without_end_is_reported_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compiled code that lets no thread run, but looks at signals."""
    monkeypatch.setattr(check_policy, "_LONGEST_CALL_S", 0.6)
    monkeypatch.setattr(stalls, "GRACE_S", 60.0)  # on a busy machine a timer of CPU time is late
    Path("mine.py").write_text(f"{MINE}        re.match('(a+)+$', 'a' * 60 + 'b')\n")
    assert main([*CHECK]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("line 6, in schedule: did not finish within 0.6 s") == 1
    assert "the remaining trials were skipped" in printed


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        pytest.param(f"{HEAD}{LOOP}", 2, "in <module>: did not finish", marks=pytest.mark.slow),
        (MINE + SWALLOWS, 2, ", in schedule: did not finish within 1 s; it did not stop"),
        pytest.param(
            MINE + "        sum(iter(int, 1))\n", 1, "Timeout (0:00:03)!", marks=pytest.mark.slow
        ),
    ],
)
def test_what_cannot_be_stopped_is_ended(
    tmp_path: Path, source: str, code: int, words: str
) -> None:
    (tmp_path / "mine.py").write_text(source)
    ending, printed, errors = ended(tmp_path, *CHECK)
    assert (ending, printed) == (code, "")
    assert words in errors
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "where"),
    [
        (signal.SIGTERM, "schedules"),
        pytest.param(signal.SIGINT, "schedules", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, "loads", marks=pytest.mark.slow),
    ],
)
def test_signals_end_code_that_catches_them(
    tmp_path: Path, number: signal.Signals, where: str
) -> None:
    touch = "open('began', 'w').close()\n"
    source = f"{HEAD}{touch}{LOOP}" if where == "loads" else f"{MINE}        {touch}{SWALLOWS}"
    (tmp_path / "mine.py").write_text(source)
    (tmp_path / "jobs.csv").write_text(LOG)
    process = start(
        tmp_path, "replay", "jobs.csv", "--policy", "mine.py", "--accelerators", "8", "--out", "out"
    )
    while not (tmp_path / "began").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 128 + number, errors
    assert errors.startswith("clustersim: interrupted")
