"""Means and differences with controls: by hand, coverage, and on a small fleet."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from clustersim.analysis.controls.means import controlled_difference, controlled_mean, deviations
from clustersim.analysis.controls.metrics import CONTROLS, surplus_of
from clustersim.analysis.samples import Sample
from clustersim.analysis.statistics import mean_interval
from clustersim.source_code import this_code
from clustersim.studies.conclusions import differences_table
from clustersim.studies.points import controls_of, points_table
from clustersim.studies.run_key import run_key
from clustersim.studies.worker import make_run

DAY_S = 86400.0


def generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def test_regression_on_two_controls_by_hand() -> None:
    random = generator(4)
    one, two, rest = random.standard_normal((3, 14))
    values = 7 + 2 * one - two + 0.1 * rest
    found = controlled_mean(values, [two, one])
    assert found is not None
    design = np.column_stack([np.ones(14), one, two])
    inverse = np.linalg.inv(design.T @ design)
    fitted = inverse @ design.T @ values
    hat = design @ inverse @ design.T
    left_out = (values - design @ fitted) / (1 - np.diag(hat))
    error = math.sqrt((((inverse @ design.T)[0] * left_out) ** 2).sum())
    assert found.value == pytest.approx(fitted[0])
    assert found.high - found.value == pytest.approx(2.200985160082949 * error)  # t with 11
    off = [values[k] - np.delete(values, k).mean() for k in range(14)]
    assert found.explained == pytest.approx(1 - (left_out**2).sum() / np.square(off).sum())


def test_when_no_control_is_used() -> None:
    random = generator(5)
    values, noise = random.standard_normal((2, 12))
    assert controlled_mean(values, [noise]) is None
    assert controlled_mean(values[:5], [values[:5]]) is None
    assert controlled_mean(np.ones(8), [noise[:8]]) is None
    # the runs contradict the expectation
    assert controlled_mean(values, [values + 100]) is None
    assert controlled_mean(values, []) is None


def test_controls_of_a_metric_are_those_of_its_period() -> None:
    runs = {
        name: np.array([1.0, 2.0, 4.0])
        for name in ("arrived_load", "arrived_load@2", "delivered_flop_per_s@2")
    }
    runs |= {f"expected_{name}": np.full(3, 2.0) for name in runs}
    runs["expected_delivered_flop_per_s@2"] = np.array([np.nan, 2.0, 2.0])
    assert list(deviations("cost_cny@2", runs, CONTROLS)) == ["arrived_load@2"]
    assert list(deviations("cost_cny", runs, CONTROLS)) == ["arrived_load"]
    assert deviations("expected_arrived_load", runs, CONTROLS) == {}


@pytest.mark.parametrize("count", [6, 8, 12])
def test_coverage_with_three_candidates(count: int) -> None:
    """Normal values; in half of the studies no control is related to them."""
    random = generator(count)
    held, narrower = [], []
    for study in range(600):
        controls = random.standard_normal((3, count))
        share = 0.97 * (study % 2)
        values = 3 + share * controls[1] + math.sqrt(1 - share**2) * random.standard_normal(count)
        found = controlled_mean(values, list(controls))
        plain = mean_interval(values)
        low, high = plain[1:] if found is None else (found.low, found.high)
        held.append(low <= 3 <= high)
        if study % 2:
            narrower.append((high - low) / (plain[2] - plain[1]))
    assert 0.92 <= np.mean(held) <= 0.98
    assert np.median(narrower) < 0.45


def test_a_difference_of_systems_with_the_same_deliveries() -> None:
    """The common control cancels in the difference, unless the systems use it differently."""
    random = generator(6)
    late, rest = random.standard_normal((2, 10))
    same = {"delivered": late}
    found, _ = controlled_difference(5 + late + 0.1 * rest, 4 + late, same, same)
    assert found is None
    found, relative = controlled_difference(5 + 3 * late + 0.1 * rest, 4 + late, same, same)
    assert found is not None
    assert found.value == pytest.approx(1.0, abs=0.2)
    assert found.high - found.low < 0.3
    assert relative is not None
    assert relative.low <= 0.25 <= relative.high


def test_a_difference_of_systems_with_deliveries_of_their_own() -> None:
    random = generator(7)
    ours, theirs, rest = random.standard_normal((3, 14))
    found, relative = controlled_difference(
        20 + 2 * ours + 0.05 * rest, 10 + theirs, {"delivered": ours}, {"delivered": theirs}
    )
    assert found is not None
    assert found.low <= 10 <= found.high
    assert found.high - found.low < 0.2
    assert relative is not None
    assert relative.low <= 1 <= relative.high
    assert relative.explained > 0.95


def test_coverage_of_a_controlled_relative_difference() -> None:
    random = generator(8)
    held = []
    for _ in range(400):
        late, rest, more = random.standard_normal((3, 10))
        ours, theirs = 30 + 3 * late + 0.5 * rest, 20 + late + 0.5 * more
        _, found = controlled_difference(ours, theirs, {"late": late}, {"late": late})
        if found is not None:
            held.append(found.low <= 0.5 <= found.high)
    assert len(held) > 100
    assert 0.92 <= np.mean(held) <= 0.985


# A small fleet with a delivery, failures and arrivals


SCENARIO = {
    "cluster": "mixed-small",
    "workload": {
        "generate": {
            "name": "tests",
            "reference_accelerator": "H200",
            "arrivals": {"mean_interarrival": "40 min", "daily": [1.0] * 12 + [2.0] * 12},
            "classes": [
                {
                    "name": "short",
                    "weight": 1,
                    "sizes": {8: 1.0},
                    "duration": {"kind": "lognormal", "median": "3 h", "sigma": 0.7},
                }
            ],
        },
        "duration": "8 d",
    },
    "supply": {
        "deliveries": [
            {
                "pool": "h200",
                "nodes": 24,
                "at": "1 d",
                "ramp": "1 d",
                "slip": {"kind": "exponential", "average": "1 d"},
            }
        ]
    },
    "failures": {"sources": "meta-llama3", "rate": 20},
    "horizon": "8 d",
}


def runs(cases: dict[str, dict[str, object]], replications: int) -> pd.DataFrame:
    return measured(cases, replications)[0]


def measured(
    cases: dict[str, dict[str, object]], replications: int
) -> tuple[pd.DataFrame, dict[str, Mapping[str, Sample]]]:
    """Return the runs of some cases and their samples."""
    rows, samples = [], {}
    for case, changes in cases.items():
        for replication in range(replications):
            key = run_key({"run": f"{case} {replication}"}, this_code())
            made = make_run(
                key,
                SCENARIO,
                {**changes, "replication": replication, "seed": 3},
                {"warm_up": 0.0, "cool_down": 0.0, "periods": 2},
                {},
            )
            assert not made.failed, made.error
            samples[key] = made.samples
            rows.append(
                {"run": key, "point": case, "case": case, "draw": -1, "replication": replication,
                 "status": "finished", **made.metrics}
            )  # fmt: skip
    return pd.DataFrame(rows), samples


@pytest.fixture(scope="module")
def small_fleet() -> pd.DataFrame:
    late = {"supply.deliveries": [{**SCENARIO["supply"]["deliveries"][0], "at": "3 d"}]}  # type: ignore[index]
    return runs({"soon": {}, "late": late}, 8)


def test_expectations_of_a_small_fleet(small_fleet: pd.DataFrame) -> None:
    soon = small_fleet[small_fleet["case"] == "soon"]
    for name in (f"{name}{period}" for name in CONTROLS for period in ("", "@1", "@2")):
        off = soon[name] - soon[f"expected_{name}"]
        assert off.std() > 0
        assert abs(off.mean()) <= 3.5 * off.std() / math.sqrt(len(off)), name
    # 40 of 60 nodes are H200; the delivery moves half of a period by a day on average
    assert soon["expected_arrived_load@1"].nunique() == 1


def test_controlled_points_and_differences_of_a_small_fleet(small_fleet: pd.DataFrame) -> None:
    names = ["accelerators", "accelerators@1"]
    points = points_table(small_fleet, ["case"], names, steady=False)
    # Only one delivery slips, so the control is the metric itself.
    assert points["accelerators@1_explained"].to_list() == pytest.approx([1.0, 1.0])
    assert (points["accelerators@1_low"] <= points["accelerators@1"]).all()
    widths = points["accelerators@1_plain_high"] - points["accelerators@1_plain_low"]
    assert (points["accelerators@1_high"] - points["accelerators@1_low"] < 1e-6 * widths).all()
    found = differences_table(
        small_fleet, ["case"], of="case", baseline="soon", metrics=["accelerators@1"], steady=False
    ).iloc[0]
    assert found["difference_explained"] > 0.9
    exact = points["accelerators@1"].to_numpy()
    assert found["difference"] == pytest.approx(exact[1] - exact[0], rel=1e-6)


def test_loads_by_class_explain_what_only_one_class_does() -> None:
    """The surplus of the classes adds up to that of all jobs, and its expectation is 0."""
    big = {"name": "big", "weight": 1, "sizes": {64: 1.0}}
    generate = SCENARIO["workload"]["generate"]
    (short,) = generate["classes"]  # type: ignore[index]
    classes = [short, {**short, **big}]
    workload = {"generate": {**generate, "classes": classes}, "duration": "8 d"}  # type: ignore[dict-item]
    table, samples = measured({"both": {"workload": workload}}, 12)
    for period in ("", "@1", "@2"):
        found = surplus_of(f"cost_cny{period}", [samples[key] for key in table["run"]])
        assert len(found) == 2
        surplus = table[f"arrived_load{period}"] - table[f"expected_arrived_load{period}"]
        assert sum(found.values()) == pytest.approx(surplus.to_numpy(), rel=1e-5, abs=1e-6)
        for each in found.values():
            assert abs(each.mean()) <= 3.5 * each.std(ddof=1) / math.sqrt(12)
    names = [*controls_of("utilisation", table, samples)]
    assert [name.partition(", ")[2] for name in names][-2:] == ["short", "big"]
    assert surplus_of("cost_cny", [{}]) == {}
