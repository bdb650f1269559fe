"""The search for the planning utilisation that just keeps an objective."""

from __future__ import annotations

import math
from typing import Any

import pytest

from clustersim.procurement.correction import Correction


def search(**fields: float) -> Correction:
    return Correction(**{"begin": 0.9, "lowest": 0.2, "at_most": 1.0, "tolerance": 0.01, **fields})


def tries(correction: Correction, measure: Any) -> dict[float, float | None]:
    tried: dict[float, float | None] = {}
    while (value := correction.next_value(tried)) is not None and len(tried) < 30:
        assert value not in tried
        tried[value] = measure(value)
    return tried


@pytest.mark.parametrize("root", [0.25, 0.4, 0.61, 0.8, 0.89])
def test_a_search_ends_within_its_tolerance(root: float) -> None:
    """Of a wait that goes to infinity at 0.95, as a queue's does."""
    scale = (0.95 - root) / root**4
    tried = tries(search(), lambda u: scale * u**4 / (0.95 - u))
    found = search().result(tried)
    assert found is not None
    assert root - 0.01 - 1e-12 <= found <= root
    assert len(tried) <= 12


def test_a_search_among_infinite_waits() -> None:
    tried = tries(search(), lambda u: math.inf if u > 0.5 else 0.0)
    found = search().result(tried)
    assert found is not None
    assert 0.49 <= found <= 0.5


def test_a_search_that_finds_nothing() -> None:
    assert search().result(tries(search(), lambda _: 2.0)) is None
    assert min(tries(search(), lambda _: 2.0)) == 0.2
    impossible = tries(search(), lambda u: None if u < 0.6 else 2.0)
    assert search().result(impossible) is None
    assert len(impossible) <= 12


def test_no_plan_at_less_does_not_end_a_search() -> None:
    """Plans are possible from 0.5 on and good enough up to 0.55."""
    measure = lambda u: None if u < 0.5 else (0.5 if u <= 0.55 else 2.0)  # noqa: E731
    found = search().result(tries(search(), measure))
    assert found is not None
    assert 0.54 <= found <= 0.55
