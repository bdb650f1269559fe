"""The hash of a run: digits for its scenario, followed by digits for the code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from clustersim.source_code import Code

__all__ = ["code_hash", "run_key", "scenario_hash"]

SCENARIO_DIGITS = 16


def run_key(identity: Mapping[str, Any], code: Code) -> str:
    """Return the hash of a run.

    Parameters
    ----------
    identity : mapping
        The scenario and the measurement settings as plain data.
    code : Code
        The code that makes the run.

    Returns
    -------
    str
        24 hexadecimal digits.
    """
    text = json.dumps(identity, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:SCENARIO_DIGITS] + code.hash


def scenario_hash(key: str) -> str:
    """Return the part of a run's hash that does not depend on the code.

    Examples
    --------
    >>> scenario_hash("0f1e2d3c4b5a69781a2b3c4d")
    '0f1e2d3c4b5a6978'
    """
    return key[:SCENARIO_DIGITS]


def code_hash(key: str) -> str:
    """Return the part of a run's hash that identifies the code.

    Examples
    --------
    >>> code_hash("0f1e2d3c4b5a69781a2b3c4d")
    '1a2b3c4d'
    """
    return key[SCENARIO_DIGITS:]
