"""One draw per replication, and ranges over draws that have the estimand of the point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from conducted import GRID

from clustersim.analysis.samples import Sample
from clustersim.errors import InputError
from clustersim.studies import define_study
from clustersim.studies.conclusions import differences_table
from clustersim.studies.points import points_table
from clustersim.studies.run_requests import run_requests


def test_replication_k_has_draw_k() -> None:
    study = define_study({**GRID, "draws": 2, "replications": 3})
    for request in run_requests(study.spec, study.base, study.points):
        runs = [(run.draw, run.replication) for run in request.wanted({})]
        assert runs == [(-1, 0), (-1, 1), (-1, 2), (0, 0), (1, 1)]
        assert request.at_least() == request.at_most() == 5


def test_more_draws_than_replications_are_refused() -> None:
    with pytest.raises(InputError, match=r"draws: must be at most the number of replications \(3"):
        define_study({**GRID, "draws": 4, "replications": 3})


def table(factor: float = 1.0) -> tuple[pd.DataFrame, dict[str, dict[str, Sample]]]:
    """Eight skewed replications, and draws that make all waits 1.1 to 1.4 times as long."""
    random = np.random.Generator(np.random.PCG64(5))
    rows: list[dict[str, Any]] = []
    samples = {}
    waits = [scale * random.exponential(1.0, 200) for scale in (1, 2, 3, 4, 5, 50, 6, 100)]
    for draw in range(-1, 4):
        for replication, each in enumerate(waits):
            if draw >= 0 and replication != draw:
                continue
            own = factor * each * (1.0 if draw < 0 else 1.1 + 0.1 * draw)
            key = f"{factor} {draw} {replication}"
            samples[key] = {"wait_s": Sample.of(own)}
            rows.append(
                {
                    "run": key, "point": 0, "system": factor, "draw": draw,
                    "replication": replication, "status": "finished", "offered_load": 0.5,
                    "backlog_growth": 0.0, "wait_rise_s": 0.0, "mean_wait_s": own.mean(),
                    "p95_wait_s": np.quantile(own, 0.95),
                }
            )  # fmt: skip
    return pd.DataFrame(rows), samples


def test_the_range_over_draws_has_the_estimand_of_the_point() -> None:
    """The quantile over all jobs is far above the mean of the quantiles of the replications."""
    runs, samples = table()
    point = points_table(runs, [], ["p95_wait_s", "mean_wait_s"], samples=samples).iloc[0]
    assert point["p95_wait_s"] > 1.5 * np.median(runs["p95_wait_s"])
    for name in ("p95_wait_s", "mean_wait_s"):
        low, high = point[f"{name}_draw_low"], point[f"{name}_draw_high"]
        # 5th and 95th percentile of 1.1, 1.2, 1.3, 1.4
        assert low / point[name] == pytest.approx(1.115, rel=1e-3)
        assert high / point[name] == pytest.approx(1.385, rel=1e-3)


def test_a_metric_of_jobs_without_samples_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    runs, samples = table()
    some = {key: sample for key, sample in samples.items() if key != "1.0 -1 3"}
    point = points_table(runs, [], ["p95_wait_s"], samples=some).iloc[0]
    at_mean = runs[runs["draw"] < 0]
    assert point["p95_wait_s"] == pytest.approx(at_mean["p95_wait_s"].mean())
    assert "p95_wait_s: some runs have no value" in capsys.readouterr().err


def test_differences_of_quantiles_are_over_all_jobs() -> None:
    (one, samples), (two, others) = table(), table(1.5)
    runs = pd.concat([one, two], ignore_index=True)
    found = differences_table(
        runs, ["system"], of="system", baseline=1.0, metrics=["p95_wait_s"],
        samples={**samples, **others},
    ).iloc[0]  # fmt: skip
    point = points_table(one, [], ["p95_wait_s"], samples=samples).iloc[0]["p95_wait_s"]
    assert found["baseline_mean"] == pytest.approx(point)
    assert found["difference"] == pytest.approx(0.5 * point)
    assert found["relative"] == pytest.approx(0.5)
    assert found["relative_low"] == pytest.approx(0.5)
    assert found["relative_draw_low"] == pytest.approx(0.5)
    unsampled = differences_table(
        runs, ["system"], of="system", baseline=1.0, metrics=["p95_wait_s"]
    ).iloc[0]
    assert unsampled["baseline_mean"] < 0.8 * point
