"""Which partitions are reserved matters to EASY, not in which order they were."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clustersim.scheduling.policies import easy
from clustersim.scheduling.policies.easy import Easy
from clustersim.scheduling.queue import JobColumns, Queue

CHOICES = [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)]


def policy() -> Easy:
    pools = cast(Any, [SimpleNamespace(pool=index) for index in range(3)])
    jobs = JobColumns([8], [[1.0]] * 3, CHOICES, [0])
    return Easy(Queue(pools, (0, 1, 2), jobs, cast(Any, None), looks_ahead=True))


def test_reservations_in_any_order_are_one_set() -> None:
    made = policy()
    orders = [order for count in range(3) for order in itertools.permutations(range(3), count)]
    for order in orders:
        left = {0, 1, 2} - set(order)
        expected = [bool(left & set(choice)) for choice in CHOICES]
        assert made._allow_one_without(dict.fromkeys(order)).tolist() == expected
    assert len(orders) == 1 + 3 + 6
    assert len(made._allow_others) == 1 + 3 + 3


def test_the_answers_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(easy, "_MOST_SETS", 2)
    made = policy()
    for reserved in ((0,), (1,), (2,), (0, 1), (0,)):
        left = {0, 1, 2} - set(reserved)
        expected = [bool(left & set(choice)) for choice in CHOICES]
        assert made._allow_one_without(reserved).tolist() == expected
        assert len(made._allow_others) <= 2
