"""Sentences on the periods of a log that meet the objective of a search."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pandas as pd

from clustersim.report.of_study.log_words import log_sentences
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.search_spec import CapacitySearch, Objective

NODES = "cluster.pools.gpu.nodes"


def sentences(waits_s: list[float], blocks: float) -> list[str]:
    runs = pd.DataFrame(
        {
            NODES: 8,
            "p95_wait_s": waits_s,
            "mean_wait_s": waits_s,
            "replication": range(len(waits_s)),
            "draw": POSTERIOR_MEAN,
            "point": 0,
            "backlog_at_end": 0.0,
            "log_blocks": blocks,
        }
    )
    spec = SimpleNamespace(
        capacity=CapacitySearch.model_validate(
            {"of": NODES, "between": [4, 16], "more_is": "better"}
        ),
        objective=Objective(metric="p95_wait_s", at_most="60 s"),
    )
    result: Any = SimpleNamespace(
        of_log=True,
        points=pd.DataFrame({"point": [0]}),
        parameters=[NODES],
        study=SimpleNamespace(spec=spec),
    )
    return [text for text in log_sentences(result, runs, {}) if "meet the objective" in text]


def test_a_period_without_a_value_does_not_count() -> None:
    (said,) = sentences([10.0, math.nan, 10.0, 90.0, math.inf], 4.0)
    assert said.startswith("Periods that meet the objective")
    assert "2 of 4 at 8 " in said
    assert said.endswith("(the log as it happened, and drawn ones).")
    assert not sentences([math.nan, math.nan], 4.0)


def test_a_log_that_is_not_drawn_again_has_one_period() -> None:
    (said,) = sentences([10.0, 90.0], 0.0)
    assert said.startswith("Replications that meet the objective")
    assert "1 of 2 at 8" in said
    assert "drawn" not in said
