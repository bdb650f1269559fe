"""How often the intervals of whole studies hold the truth, on M/M/c queues with known answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mmc
import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.statistics import mean_interval, paired_difference
from clustersim.studies import define_study, load_result, make_runs
from clustersim.studies.study_result import StudyResult

SERVERS, STUDIES, REPLICATIONS = 2, 400, 6
LOADS = (0.4, 0.5)
LEAST, MOST = 0.92, 0.98
"""Allowed coverage of 95 % intervals in 400 studies."""


def conduct(out: Path, **fields: Any) -> StudyResult:
    assert make_runs(define_study({"name": "coverage", **fields}), out, workers=1)
    return load_result(out)


def check(covered: list[bool], what: str) -> None:
    share = float(np.mean(covered))
    print(f"coverage of {what}: {share:.1%} of {len(covered)} studies")
    assert LEAST <= share <= MOST, f"{what}: {share:.1%}"


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
def test_intervals_of_400_studies(tmp_path: Path) -> None:
    """Each study has two loads and 6 replications of jobs of its own.

    These are the intervals without statistics over the jobs of all replications, for which
    tests/analysis/test_known_queues.py has known answers.
    """
    runs = conduct(
        tmp_path / "study",
        base=mmc.scenario(SERVERS, 0.5, jobs=800, seed=11),
        parameters={"workload.load": list(LOADS)},
        replications=STUDIES * REPLICATIONS,
        window={"warm_up": 0.2, "cool_down": 0.0},
    ).runs
    for load in LOADS:
        truths = {
            "mean_wait_s": mmc.mean_wait_s(SERVERS, load),
            "p95_wait_s": mmc.wait_quantile_s(SERVERS, load, 0.95),
            "waited": mmc.erlang_c(SERVERS, load),
            "utilisation": load,
        }
        for metric, truth in truths.items():
            intervals = map(mean_interval, by_study(runs, load, metric))
            check([low <= truth <= high for _, low, high in intervals], f"{metric}, load {load}")
    check_differences(*(by_study(runs, load, "mean_wait_s") for load in LOADS))


def by_study(runs: pd.DataFrame, load: float, metric: str) -> np.ndarray:
    """Values of a metric: (studies, replications)."""
    return runs.loc[runs["workload.load"] == load, metric].to_numpy().reshape(STUDIES, -1)


def check_differences(low: np.ndarray, high: np.ndarray) -> None:
    """Of the mean waits at the two loads, on the same jobs."""
    pairs = [paired_difference(*study) for study in zip(high, low, strict=True)]
    waits = [mmc.mean_wait_s(SERVERS, load) for load in LOADS]
    truth = waits[1] - waits[0]
    check([p.difference_low <= truth <= p.difference_high for p in pairs], "the paired difference")
    ratio = truth / waits[0]
    check([p.relative_low <= ratio <= p.relative_high for p in pairs], "the relative difference")
    # Common random numbers: surer than two intervals of independent runs would be.
    halves = [
        [mean_interval(sample)[2] - sample.mean() for sample in loads] for loads in (low, high)
    ]
    apart = np.hypot(*halves).mean()
    paired = np.mean([p.difference_high - p.difference for p in pairs])
    print(f"half width of the difference: {paired / apart:.0%} of that of independent runs")
    assert paired < 0.75 * apart


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
def test_batch_means_of_one_long_run(tmp_path: Path) -> None:
    runs = conduct(
        tmp_path / "study",
        base=mmc.scenario(SERVERS, 0.5, jobs=6_000, seed=5),
        parameters={"workload.load": [0.5]},
        replications=STUDIES,
        window={"warm_up": 0.1, "cool_down": 0.0},
    ).runs
    off = (runs["mean_wait_s"] - mmc.mean_wait_s(SERVERS, 0.5)).abs()
    check((off <= runs["mean_wait_s_half"]).tolist(), "batch means")
    for name, q in (("median_wait_s", 0.5), ("p95_wait_s", 0.95), ("p99_wait_s", 0.99)):
        truth = mmc.wait_quantile_s(SERVERS, 0.5, q)
        low, high = runs[f"{name}_at_least"], runs[f"{name}_at_most"]
        bounded = np.isfinite(high)
        print(f"{name}: bounded on both sides in {bounded.mean():.0%} of runs")
        covered = ((low <= truth) & (truth <= high)).tolist()
        if truth == 0:
            assert all(covered), "the median wait is 0, and a run shows it"
        else:
            check(covered, f"{name} by order statistics")


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.coverage
def test_a_capacity_search_finds_the_known_load(tmp_path: Path) -> None:
    """Twenty studies, each with jobs of its own, look for the load of a mean wait of 20 s.

    The coverage of 400 studies is in tests/analysis/test_known_queues.py.
    """
    limit_s = 20.0
    truth = mmc.load_of_mean_wait(SERVERS, limit_s)
    assert truth == pytest.approx(0.5)
    results = [
        conduct(
            tmp_path / f"{seed}",
            base=mmc.scenario(SERVERS, 0.5, jobs=1000, seed=seed),
            parameters={"workload.load": [truth]},
            objective={"metric": "mean_wait_s", "at_most": f"{limit_s} s"},
            capacity={"between": [0.2, 1.0], "tolerance": 0.01},
            replications=REPLICATIONS,
            window={"warm_up": 0.2, "cool_down": 0.0},
        )
        for seed in range(20)
    ]
    table = pd.concat(result.capacities for result in results)
    assert np.isfinite(table["capacity"]).all()
    covered = ((table["capacity_low"] <= truth) & (truth <= table["capacity_high"])).tolist()
    print(f"capacity: {sum(covered)} of 20 intervals hold {truth:.3f}; "
          f"{table['runs'].mean():.0f} runs each")  # fmt: skip
    assert sum(covered) >= 15  # of 20 at 95 %: fewer happen in 0.3 % of cases
    assert (table["capacity"] - truth).abs().median() < 0.02
    assert table["runs"].mean() < 15 * REPLICATIONS
