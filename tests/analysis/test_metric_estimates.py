"""The named statistic and interval of a metric are those that the table of points has."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.metric_estimates import difference_text, interval_kind, statistic_kind
from clustersim.analysis.metric_list import metric_rows
from clustersim.analysis.metrics import METRICS, metric_of
from clustersim.analysis.samples import Sample
from clustersim.studies.base import POSTERIOR_MEAN
from clustersim.studies.conclusions import differences_table
from clustersim.studies.points import points_table

BUILT_IN = METRICS.built_in


def runs_of(name: str, values: list[float], count: int = 4) -> pd.DataFrame:
    """Finished runs with the values of a metric and of those that describe the interval of one."""
    ends = {f"{name}_half": 0.1, f"{name}_at_least": values[0] / 2, f"{name}_at_most": values[0]}
    table = pd.DataFrame({name: values, **{end: ends[end] for end in ends if end in BUILT_IN}})
    return table.assign(
        point=0,
        run=[f"{number:02d}" for number in range(len(values))],
        replication=range(len(values)),
        draw=POSTERIOR_MEAN,
        status="finished",
        system="ours",
    )


def estimate(name: str, values: list[float], samples: dict[str, dict[str, Sample]]) -> list[float]:
    runs = runs_of(name, values)
    row = points_table(runs, [], [name], samples=samples, steady=False).iloc[0]
    return [float(row.get(f"{name}{end}", math.nan)) for end in ("", "_low", "_high")]


@pytest.mark.parametrize("name", [name for name in BUILT_IN if not name.endswith("_half")])
def test_the_interval_of_each_metric_is_of_the_named_kind(name: str) -> None:
    metric, values = metric_of(name), [0.2, 0.5, 0.3, 0.4]
    samples = {}
    if metric.of_jobs is not None:
        scale = 10.0 if math.isinf(metric.most) else 0.4  # within the bounds of a share
        values = [scale * (1 + value) for value in values]
        spread = np.linspace(0.5, 1.5, 200)
        samples = {
            f"{number:02d}": {metric.of_jobs[0]: Sample.of(value * spread)}
            for number, value in enumerate(values)
        }
    value, low, high = estimate(name, values, samples)
    kind = interval_kind(name)
    if kind == "none":
        assert math.isnan(low)
    elif kind.startswith("Student's t"):
        assert value == pytest.approx(np.mean(values))
        if "logarithmic" in kind:
            assert value / low == pytest.approx(high / value)
            return
        assert value - low == pytest.approx(high - value)
    elif kind.startswith("jackknife"):
        assert value / low == pytest.approx(high / value)
    else:
        assert kind.startswith("inversion")
        assert 0 < low < value < high
        pooled = np.concatenate([own * spread for own in values])
        assert value == pytest.approx(np.quantile(pooled, metric.of_jobs[1]), rel=0.02)


@pytest.mark.parametrize("name", ["utilisation", "mean_bounded_slowdown", "wait_rise_s"])
def test_where_an_interval_is_cut_off(name: str) -> None:
    values = [1.0, 1.0, 3.0] if "slowdown" in name else [0.0, 1.0, 1.0]
    _, low, high = estimate(name, values, {})
    metric, cut = metric_of(name), interval_kind(name).partition(", cut off at ")[2]
    assert cut == {"utilisation": "0 and 1", "wait_rise_s": ""}.get(name, "1")
    assert (low == metric.least) == bool(cut)
    assert (high == metric.most) == (" and " in cut)


def test_the_interval_of_one_run() -> None:
    for name, kind in {"mean_wait_s": "batch means", "p95_wait_s": "order statistics"}.items():
        assert interval_kind(name, 1) == f"{kind} of one run, on a logarithmic scale"
        assert np.isfinite(estimate(name, [2.0], {})).all()
    assert interval_kind("utilisation", 1) == "none: one run"
    assert estimate("utilisation", [0.5], {})[1:] == [0.0, 1.0]


def test_parts_of_a_metric_of_jobs_are_means_over_replications() -> None:
    for name in ("p95_wait_s@2", "mean_wait_s@1"):
        assert statistic_kind(name) == "mean over the replications"
        assert interval_kind(name).startswith("Student's t")


def test_the_difference_of_each_metric_is_of_the_named_kind() -> None:
    sample = np.linspace(0.5, 1.5, 200)
    for name in ("mean_wait_s", "p95_wait_s", "cost_cny", "wait_rise_s"):
        ours, theirs = [10.0, 14.0, 12.0], [8.0, 9.0, 11.0]
        if name == "wait_rise_s":  # the only one that can be negative
            ours[1] = -1.0
        both = pd.concat(
            [
                runs_of(name, ours),
                runs_of(name, theirs).assign(system="theirs", run=["a", "b", "c"]),
            ]
        )
        runs = dict(zip(both["run"], both[name], strict=True))
        samples = {key: {"wait_s": Sample.of(value * sample)} for key, value in runs.items()}
        row = differences_table(
            both, ["system"], of="system", baseline="theirs", metrics=[name], samples=samples,
            steady=False,
        ).iloc[0]  # fmt: skip
        apart, low, high = (row[f"difference{end}"] for end in ("", "_low", "_high"))
        assert apart - low == pytest.approx(high - apart)
        ratio, low, high = (1 + row[f"relative{end}"] for end in ("", "_low", "_high"))
        logarithmic = "logarithmic" in difference_text(name, relative=True)
        assert (ratio / low == pytest.approx(high / ratio)) == logarithmic
        assert logarithmic == (name != "wait_rise_s")


def test_all_lists_name_both() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "columns.md").read_text(encoding="utf-8")
    for row in metric_rows():
        assert row["statistic"]
        assert row["interval"]
        ending = row["name"].endswith(("_half", "_at_least", "_at_most"))
        assert ending or f" | {row['statistic']} | {row['interval']} |" in page
