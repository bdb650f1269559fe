"""How the tests of Slurm's cases choose their cases, and say which they cannot read."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.peers.peer_cases import parametrised

__all__ = ["FAMILIES", "Case", "criteria", "family", "unread"]

Case = dict[str, Any]
FAMILIES = (
    "fair_tree",
    "fair_tree_level",
    "classic_fairshare",
    "multifactor",
    "tres_billing",
    "preemption",
    "backfill_parameters",
)


def family(name: str) -> Any:
    """The cases of a family, but for those that are an order of evaluation."""
    return parametrised(
        "slurm*.json", lambda case: case["family"] == name and criteria(case) is None
    )


def unread(case: Case) -> None:
    """Skip a case whose inputs no reader knows."""
    pytest.skip(f"no reader for {case['family']} with the inputs {sorted(case['input'])}")


def criteria(case: Case) -> list[str] | None:
    """The criteria by which a case says that jobs are evaluated, None if it is no such case."""
    expected = case["expected"]
    lists = [expected] if isinstance(expected, list) else list(expected.values())
    texts = [each for each in lists if isinstance(each, list) and len(each) > 2]
    found = next((each for each in texts if "preempt" in str(each[0]).lower()), None)
    return None if found is None else [_plain(str(text)) for text in found]


def _plain(text: str) -> str:
    """A criterion without its spelling: lower case, spaces, "priority" as "job priority"."""
    plain = re.sub(r"[_\-]", " ", text.lower()).replace("prioritytier", "priority tier").strip()
    return "job priority" if plain == "priority" else plain
