"""Policies and placements of a user's own that do not work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clustersim.cli.main import main

Refuse = Callable[..., str]
RUN = ["run", "scenario.yaml", "--out", "out"]
POLICY = "from clustersim import Policy\n\nclass Mine(Policy):\n"
SCHEDULE = POLICY + "    def schedule(self, now):\n        "
CHOOSE = (
    "from clustersim import NodePlacement\n\nclass Mine(NodePlacement):\n"
    "    def choose(self, n, node_free):\n        "
)

NOT_LOADED = {
    "missing": (None, "cannot be read: No such file"),
    "no Python": ("class X(:\n", "fails to load: SyntaxError"),
    "no class": ("x = 1\n", "has no class that derives from clustersim.Policy"),
    "a placement": (CHOOSE + "return None\n", "has no class that derives from clustersim.Policy"),
    "raises": ("raise ValueError('no')\n", "fails to load: ValueError: no"),
    "leaves": ("import sys\nsys.exit(3)\n", "fails to load: SystemExit"),
    "imports what is not there": ("import nonexistent_module\n", "ModuleNotFoundError"),
    "two classes": (
        SCHEDULE + "pass\n\nclass Other(Mine):\n    pass\n",
        "has several classes; add a class name, as in mine.py:Mine",
    ),
}


@pytest.mark.parametrize("command", ["run", "check-policy"])
@pytest.mark.parametrize("case", NOT_LOADED)
def test_file_that_holds_no_policy(
    refuse: Refuse, write_scenario: Callable[..., None], case: str, command: str
) -> None:
    source, words = NOT_LOADED[case]
    if source is not None:
        Path("mine.py").write_text(source)
    write_scenario({"scheduler/policy": "mine.py"})
    refuse(RUN if command == "run" else ["check-policy", "mine.py"], "mine.py: ", words)


def test_class_that_is_not_there(refuse: Refuse) -> None:
    Path("mine.py").write_text(SCHEDULE + "pass\n")
    refuse(["check-policy", "mine.py:Mien"], "mine.py: has no policy 'Mien'", "mean 'Mine'")


def test_a_module_name_in_the_place_of_a_file(refuse: Refuse) -> None:
    Path("mine.py").write_text(SCHEDULE + "pass\n")
    refuse(["check-policy", "mine:Mine"], "policy: 'mine:Mine': did you mean mine.py:Mine?")
    refuse(["check-policy", "other:Mine"], "unknown policy 'other:Mine'")


def test_a_policy_is_looked_for_beside_the_scenario_and_here(
    refuse: Refuse, write_scenario: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scenario({})
    for folder in ("here", "there"):
        Path(folder).mkdir()
    Path("scenario.yaml").rename("there/scenario.yaml")
    monkeypatch.chdir("here")
    run = ["run", "../there/scenario.yaml", "--out", "out", "--set"]
    policy = "scheduler.policy=mine.py:Mine"
    refuse(
        [*run, policy],
        "scheduler.policy: ../there/mine.py: cannot be read: No such file",
        "relative to ../there",
    )
    Path("mine.py").write_text(SCHEDULE + "for job in list(self.waiting): self.start(job)\n")
    assert main([*run, policy]) == 0
    Path("../there/mine.py").write_text("x = 1\n")
    run[3] = "again"
    refuse([*run, policy], "../there/mine.py: has no class")


FAULTY = {
    "raises": (SCHEDULE + "1 / 0\n", "line 5, in schedule: ZeroDivisionError"),
    "starts nobody": (SCHEDULE + "pass\n", "5 of 5 jobs that can run were never started"),
    "does not say how": (POLICY + "    pass\n", "does not define decide or schedule"),
    "takes no queue": (
        POLICY + "    def __init__(self):\n        pass\n",
        "TypeError",
    ),
    "takes no time": (POLICY + "    def schedule(self):\n        pass\n", "TypeError"),
    "starts one that did not come": (SCHEDULE + "self.start(4)\n", "it has not been submitted yet"),
    "starts all again": (
        SCHEDULE + "for job in self.waiting:\n            self.queue.start_anywhere(job)\n",
        "it has already started",
    ),
    "changes what it walks over": (
        SCHEDULE + "for job in self.waiting:\n            self.start(job)\n",
        "RuntimeError",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_policy_that_fails(
    refuse: Refuse,
    write_scenario: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    source, words = FAULTY[case]
    Path("mine.py").write_text(source)
    write_scenario({"scheduler/policy": "mine.py"})
    refuse(RUN, "mine.py: ", words)
    assert main(["check-policy", "mine.py"]) == 1
    assert "mine.py" in capsys.readouterr().out


UNLAWFUL = {
    "takes what is taken": ("return [(0, n)]\n", "on node 0, where only 0 are free"),
    "takes too few": ("return [(0, 1)]\n", "chose 1 accelerators for a job of 8"),
    "takes too many": ("return [(0, n), (1, 1)]\n", "chose 9 accelerators for a job of 8"),
    "takes none": ("return []\n", "chose 0 accelerators for a job of 8"),
    "takes more than a node has": ("return [(0, n + 1)]\n", "chose 9 accelerators on node 0"),
    "takes less than none": ("return [(0, -1), (1, n + 1)]\n", "chose -1 accelerators on node 0"),
    "node that is not there": ("return [(99, n)]\n", "node 99", "nodes are 0 to 1"),
    "node before the first": ("return [(-1, n)]\n", "node -1", "nodes are 0 to 1"),
    "a number": ("return 5\n", "TypeError"),
    "a text": ("return 'ab'\n", "ValueError"),
    "raises": ("raise KeyError('x')\n", "line 5, in choose: KeyError"),
    "writes into its argument": ("node_free[0] = 0\n        return [(0, n)]\n", "in choose"),
}


@pytest.mark.parametrize("policy", ["fcfs", "easy"])
@pytest.mark.parametrize("case", UNLAWFUL)
def test_placement_that_breaks_a_rule(
    refuse: Refuse, write_scenario: Callable[..., None], case: str, policy: str
) -> None:
    source, *words = UNLAWFUL[case]
    Path("mine.py").write_text(CHOOSE + source)
    write_scenario({"scheduler/placement": "mine.py", "scheduler/policy": policy})
    refuse(RUN, "mine.py: ", *words)


@pytest.mark.parametrize("case", UNLAWFUL)
def test_check_policy_finds_unlawful_placements(
    capsys: pytest.CaptureFixture[str], case: str
) -> None:
    Path("mine.py").write_text(CHOOSE + UNLAWFUL[case][0])
    assert main(["check-policy", "fcfs", "--placement", "mine.py"]) == 1
    assert "mine.py" in capsys.readouterr().out


def test_placement_that_places_nothing(
    write_scenario: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text(CHOOSE + "return None\n")
    assert main(["check-policy", "fcfs", "--placement", "mine.py"]) == 1
    assert "refuses a job of" in capsys.readouterr().out
    write_scenario({"scheduler/placement": "mine.py"})
    assert main(RUN) == 1
    assert "which the placement cannot allocate on the nodes" in capsys.readouterr().out


FAILS = """
from clustersim import Policy


class Mine(Policy):
    def schedule(self, now):
        for job in list(self.waiting):
            if job > 10:
                raise ValueError(f"no place for job {job}")
            self.start(job)
"""


def test_check_policy_says_the_same_once(capsys):
    Path("mine.py").write_text(FAILS, encoding="utf-8")
    assert main(["check-policy", "mine.py"]) == 1
    rows = [line for line in capsys.readouterr().out.splitlines() if "no place for job" in line]
    assert len(rows) == 1
    assert rows[0].strip().startswith("8 of 8")
