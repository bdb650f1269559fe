"""The report of a fit: its numbers are those of the fit, and nothing is left out silently."""

from __future__ import annotations

import dataclasses
import re
import sys

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import calibrate, load_measurements
from clustersim.calibration.coverage import coverage_by_slice, with_half_widths
from clustersim.calibration.diagnostics import (
    GROUPS,
    base_coefficients,
    correlations,
    effects,
    group_errors,
    movers,
    uncertainty_by_group,
)
from clustersim.calibration.limits import count_limits
from clustersim.calibration.peers import peer_errors, worse_than_peers
from clustersim.calibration.report import markdown_table, report_text
from clustersim.calibration.scatter_fit import LeftOutErrors, fit_coverage, fit_scatter
from clustersim.catalogue import load_catalogue
from clustersim.estimation import predict
from clustersim.performance import PARAMETERS, default_calibration
from clustersim.units import format_percent
from tests.calibration.small_fit import small_fit, small_rows

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("small fit")]


@pytest.fixture(scope="module")
def text():
    return report_text(small_fit())


@pytest.fixture
def few_folds(monkeypatch):
    """Fewer fits for what does not depend on their number."""
    module = sys.modules["clustersim.calibration.calibrate"]  # as an attribute it is the function
    monkeypatch.setattr(module, "FOLDS", 2)


def table_under(text, heading):
    """Cells of the first Markdown table after some text."""
    lines = text[text.index(heading) :].splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("| "))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


def test_rows_are_counted_by_quality_chip_and_family(text):
    rows = small_rows()
    for column in ("quality", "chip", "publisher", "family"):
        found = table_under(text, f"| {column} ")
        assert {row[0]: int(row[1]) for row in found[1:]} == rows[column].value_counts().to_dict()


def test_errors_of_left_out_rows_are_those_of_the_fit(text):
    fitted = small_fit()
    good = fitted.measured.complete
    found = {(row[0], row[1]): row[2:] for row in table_under(text, "| left out ")[1:]}
    for name, left in (("rows, 10 folds", fitted.within), ("publishers", fitted.across)):
        size = np.abs(left.error[good])
        expected = [str(size.size)]
        expected += map(format_percent, (np.median(size), size.mean(), np.quantile(size, 0.9)))
        assert found[name, "quality A, complete"][:4] == expected


def test_plans_that_ran_but_are_said_not_to_fit_are_counted(text):
    """Among them is Llama-2 70B tuned whole on 16 H100 without a split optimizer."""
    fits = predict(small_fit().measured.rows, small_fit().calibration, draws=2).step.fits
    count = np.count_nonzero(~fits)
    assert count > 0
    assert f"not fit in memory according to the model: {count} of 46." in text


def test_incomplete_rows_are_reported_with_their_justification(text):
    found = table_under(text, "Incomplete rows that are used")
    (recipes,) = (row for row in found if row[1] == "nemo2407ft")
    assert recipes[2] == "6"
    assert "defaults of the recipes" in recipes[0]


def test_every_coefficient_is_reported_with_its_prior_and_meaning(text):
    found = {row[0]: row for row in table_under(text, "| coefficient ")[1:]}
    assert list(found) == [parameter.name for parameter in PARAMETERS]
    for parameter in PARAMETERS:
        assert found[parameter.name][1].startswith(f"{parameter.mean:.3g} ±")
        assert found[parameter.name][-1] == parameter.meaning


def test_base_coefficients_by_hand():
    calibration = small_fit().calibration
    place = calibration.keys.index(("matmul_efficiency", "base", ""))
    row = base_coefficients(calibration).loc["matmul_efficiency"]
    estimate = 1 / (1 + np.exp(-(np.log(0.72 / 0.28) + 0.3 * calibration.mean[place])))
    assert row["estimate"] == pytest.approx(estimate)
    error = calibration.standard_errors()[place] * calibration.overdispersion
    assert row["standard_error"] == pytest.approx(estimate * (1 - estimate) * error)
    assert row["prior_error"] == pytest.approx(0.72 * 0.28 * 0.3)
    assert 0 < row["known"] < 1


def test_only_strong_effects_are_reported():
    shipped = default_calibration()
    found = effects(shipped)
    assert len(found) + len(PARAMETERS) - 1 == len(shipped.keys), "slowdown has no base"
    strong = found[found["ratio"].abs() > 1.5]
    assert 0 < len(strong) < 0.1 * len(found)
    text = report_text(dataclasses.replace(small_fit(), calibration=shipped))
    message = table_under(text, "Effects of more than 1.5")[1:]
    assert {(row[0], row[1], row[2]) for row in message} == set(
        zip(strong["level"], strong["label"], strong["parameter"], strict=True)
    )


def test_value_of_an_effect_is_the_base_with_it():
    shipped = default_calibration()
    found = effects(shipped).set_index(["parameter", "level", "label"])
    row = found.loc["nic_factor", "product", "DeepSpeed"]
    base = base_coefficients(shipped).loc["nic_factor", "estimate"]
    assert row["value"] == pytest.approx(base * np.exp(row["effect"]))


def test_correlations_are_those_of_the_draws():
    calibration = small_fit().calibration
    (first, second, value), *others = correlations(calibration)
    assert all(abs(value) >= abs(other[-1]) for other in others)
    drawn = calibration.draw(20_000).effects
    assert np.corrcoef(drawn[first], drawn[second])[0, 1] == pytest.approx(value, abs=0.02)


def test_worst_rows_come_first(text):
    found = table_under(text, "worst rows left out")
    rows = small_rows()
    size = np.log1p(rows["within_error"]).abs()
    assert [row[0] for row in found[1:]] == rows.loc[size.nlargest(10).index, "id"].tolist()


def test_groups_are_a_partition_and_their_summaries_right():
    rows = small_rows()
    for column in ("chip", "stack", "scale", "precision", "kind", "model_kind", "part"):
        assert group_errors(rows, column)["rows"].sum() == len(rows)
    part = rows[rows["chip"] == "H100"]
    found = group_errors(rows, "chip").loc["H100"]
    assert found["within_median"] == np.median(np.abs(part["within_error"]))
    assert found["across_covered"] == part["across_covered"].mean()
    assert found["fitted_bias"] == np.median(part["fitted_error"])


def test_scales_stand_in_order():
    labels = list(group_errors(small_rows(), "scale").index)
    order = ["to 8", "9 to 64", "65 to 512", "513 to 4,096", "over 4,096"]
    assert labels == [label for label in order if label in labels]
    assert len(labels) > 1


def test_intervals_cover_what_is_said_to_be_covered():
    rows = small_rows()
    for name in ("within", "across"):
        inside = rows["measured_s"].between(rows[f"{name}_lo_s"], rows[f"{name}_hi_s"])
        assert inside.equals(rows[f"{name}_covered"])


def test_width_of_a_publisher_is_set_by_the_others():
    fitted = small_fit()
    own = fitted.measured.publishers == "IBM"
    parts = (fitted.within, fitted.across)
    others = LeftOutErrors.together([part.errors.take(~own) for part in parts])
    scatter = fit_scatter(others)
    held = fitted.across.errors.take(own)
    expected = fit_coverage(others, scatter) * scatter.deviation(held.spread, held.weights)
    np.testing.assert_allclose(fitted.across.half_width[own], expected)


def test_own_error_has_no_say_in_the_width():
    """However wrong one publisher is, the width of its own intervals does not change."""
    fitted = small_fit()
    own = fitted.measured.publishers == "ByteDance"
    worse = np.where(own, 5.0, fitted.across.log_error)
    across = dataclasses.replace(fitted.across, log_error=worse)
    found = with_half_widths(across, [fitted.within, across])
    np.testing.assert_array_equal(found.half_width[own], fitted.across.half_width[own])
    assert not found.covered[own].any()


def test_slices_that_fail_come_first():
    rows = small_rows().assign(across_covered=lambda rows: rows["publisher"] != "IBM")
    found = coverage_by_slice(rows, "across")
    assert found["holds"].is_monotonic_increasing
    assert found.loc[0, "covered"] == 0.0
    ibm = found.set_index("slice").loc["publisher: IBM"]
    assert (ibm["rows"], ibm["covered"], ibm["holds"]) == (8, 0.0, False)
    part = rows[rows["publisher"] == "IBM"]["across_error"]
    assert (ibm["median"], ibm["bias"]) == (part.abs().median(), part.median())
    whole = found.set_index("slice").loc["all rows"]
    assert whole["covered"] == rows["across_covered"].mean()


@pytest.mark.parametrize(
    ("rows", "inside", "holds"),
    [(8, 6, True), (8, 5, False), (40, 34, True), (40, 33, False), (40, 38, True), (40, 39, False)],
)
def test_when_a_coverage_agrees(rows, inside, holds):
    one = small_rows().iloc[:1]
    table = pd.concat([one] * rows, ignore_index=True)
    table["across_covered"] = np.arange(rows) < inside
    found = coverage_by_slice(table, "across").set_index("slice")
    assert found.loc["all rows", "holds"] == holds


def test_coverage_is_reported_by_slice(text):
    found = coverage_by_slice(small_rows(), "across")
    written = table_under(text[text.index("## Coverage by slice") :], "Publishers left out:")
    assert [row[0] for row in written[1:]] == found["slice"].tolist()
    assert written[1][5] == format_percent(found.loc[0, "covered"], 0)


def test_what_a_peer_does_better_is_reported():
    rows = small_rows().assign(across_error=0.2)
    (line,) = worse_than_peers(rows)
    assert line.startswith("Less accurate than the peer: Megatron-LM at SC'21")
    assert "20.0 %" in line
    assert worse_than_peers(small_rows().assign(across_error=0.05)) == []


def test_every_coefficient_is_in_one_group():
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == sorted(parameter.name for parameter in PARAMETERS)


def test_shares_of_uncertainty_add_up_to_its_variance():
    found = uncertainty_by_group(small_fit())
    assert found["share"].sum() == pytest.approx(1.0)
    assert (found["spread"] >= 0).all()
    assert found.loc["experts", "spread"] == pytest.approx(0.0, abs=1e-9), "all are dense"
    assert found.loc["matrix products", "spread"] > 0.01


def test_movers_from_the_prior_and_from_another_calibration():
    calibration = small_fit().calibration
    found = movers(calibration, most=3)
    assert [abs(size) for _, size in found] == sorted(np.abs(calibration.mean))[:-4:-1]
    assert movers(calibration, calibration, most=1)[0][1] == 0.0
    key = calibration.keys[5]
    moved = calibration.mean.copy()
    moved[5] += 4.0
    changed = dataclasses.replace(calibration, mean=moved)
    assert movers(changed, calibration, most=1) == [(key, pytest.approx(4.0))]


def test_peers_are_compared_on_their_rows():
    found = {peer.rows: (count, errors) for peer, count, errors in peer_errors(small_rows())}
    rows = small_rows()
    sc21 = rows[rows["family"] == "sc21t1"]
    count, errors = found["Megatron-LM at SC'21, tables 1 and 2"]
    assert count == len(sc21) == 6
    assert errors["across"] == pytest.approx(sc21["across_error"].abs().mean())
    assert "BLOOM" not in found, "none of its rows is here"


def test_limits_count_the_table():
    measured = load_measurements()
    found = count_limits(measured, load_catalogue()).set_index("what")
    table = measured.table
    assert found.loc["training on H20", "rows"] == sum(table["accelerator"] == "H20") == 4
    hopper = sum(chip.family in ("hopper", "hopper-h20") for chip in measured.rows.accelerators)
    assert f"{hopper} rows" in found.loc["training on H20", "what the model does"]
    assert found.loc["training on SeedChip", "rows"] == 0
    assert found.loc["sequences over 131,072 tokens", "rows"] == sum(
        pd.to_numeric(table["seq_len"]) > 131072
    )
    assert found.loc["LoRA", "rows"] == sum(table["kind"] == "LoRA") > 0
    ascend = measured.rows.models.n_experts[table["accelerator"] == "Ascend-910B"]
    assert found.loc["mixture of experts on 910B2", "rows"] == sum(ascend > 0) > 0
    assert found["rows"].is_monotonic_increasing


def test_what_is_in_neither_table_is_not_lost(shared_data):
    """Every run of the table of measurements is used, or reported with a reason."""
    names = ("training.csv", "training_2026.csv")
    tables = [pd.read_csv(shared_data / "measurements" / name, dtype=str) for name in names]
    published = pd.concat(tables)
    text = report_text(small_fit())
    used = set(load_measurements().table["id"])
    count = int(re.search(r"not in the project's table: (\d+)", text)[1])
    assert len(published) == len(used) + count
    assert used < set(published["id"])
    message = sum(int(row[-1]) for row in table_under(text, "not in the project's table")[1:])
    assert message == count


def test_a_fit_without_validation_says_so():
    measured = small_fit().measured
    fitted = calibrate(measured, validate=False)
    assert fitted.within is None
    assert fitted.across is None
    shipped = default_calibration()
    assert fitted.calibration.coverage_factor == pytest.approx(shipped.coverage_factor, abs=1e-4)
    assert fitted.calibration.scatter == shipped.scatter
    assert "No rows were left out" in report_text(fitted, own=False)
    assert "not in the project's table" not in report_text(fitted, own=False)


@pytest.mark.full
@pytest.mark.parametrize("count", [1, 2, 25])
def test_few_measurements_can_be_fitted(count, few_folds):
    measured = load_measurements(shipped=[])
    few = measured.take(np.arange(len(measured)) < count)
    fitted = calibrate(few)
    assert fitted.calibration.facts["rows"] == count
    assert (fitted.within is None) == (count < 20)
    message = report_text(fitted, own=False)
    assert f"{count} run{'' if count == 1 else 's'} of " in message
    assert ("1 run of 1 family on 1 chip." in message) == (count == 1)
    assert ("nearly all of this calibration is the prior" in message) == (count < 20)
    assert ("fewer than 20 runs" in message) == (count < 20)


def test_a_wild_row_gives_no_nan():
    measured = load_measurements(shipped=[])
    one = measured.take(np.arange(len(measured)) < 1)
    fitted = calibrate(dataclasses.replace(one, step_time_s=1e4 * one.step_time_s))
    assert " nan" not in report_text(fitted, own=False)
    assert np.isfinite(uncertainty_by_group(fitted).to_numpy()).all()


@pytest.mark.full
def test_one_publisher_cannot_be_left_out(few_folds):
    measured = load_measurements(shipped=[])
    fitted = calibrate(measured.take(measured.families == "internevo"))
    assert fitted.within is not None
    assert fitted.across is None
    message = report_text(fitted, own=False)
    assert "\n| publishers" not in message
    assert "Publishers were not left out because there is only one." in message


def test_markdown_table_is_aligned():
    assert markdown_table(["a", "bb"], [["ccc", "d"]]) == "| a   | bb |\n| --- | -- |\n| ccc | d  |"
