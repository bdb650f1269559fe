"""The experiment policy_comparison has every policy, or says why it lacks one."""

from __future__ import annotations

import re
from pathlib import Path

from clustersim.files import read_yaml
from clustersim.scheduling import POLICIES

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
BASE = EXPERIMENTS / "mixed_policies.yaml"


def test_every_policy_is_compared_or_left_out_for_a_reason() -> None:
    cases = read_yaml(BASE)["cases"]
    compared = {case["scheduler.policy"] for case in cases.values()}
    reasons = re.findall(r"^#   (\w[a-z_, ]+): \w+", BASE.read_text(), re.MULTILINE)
    left_out = {name for names in reasons for name in names.split(", ")}
    assert compared | left_out == set(POLICIES)
    assert not compared & left_out
    assert read_yaml(EXPERIMENTS / "policy_comparison.yaml")["parameters"]["case"] == list(cases)
