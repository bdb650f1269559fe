"""The comparison of chips: its numbers follow from the estimates, its picture shows them."""

from __future__ import annotations

import numpy as np
import pytest

from clustersim.estimation.chip_comparison import compare_chips
from clustersim.estimation.cost import Prices
from clustersim.estimation.estimate import estimate
from clustersim.plots.chips import draw_chip_comparison, plot_chips

CHIPS = ("H200", "910B2", "SeedChip")


@pytest.fixture(scope="module")
def table():
    return compare_chips({"llama3-8b": 64, "llama3-70b": 2}, CHIPS)


def test_step_times_are_the_estimates(table):
    row = table.iloc[0]
    found = estimate("llama3-8b", "H200", 64).best
    assert (row["step_time_s"], row["lo_s"], row["hi_s"]) == (
        found.step_time_s,
        found.lo_s,
        found.hi_s,
    )
    assert row["plan"].startswith("tp ")


def test_cost_by_hand(table):
    row = table.iloc[0]
    purchase = 1.2 * 187500 / (4 * 365.25 * 86400)
    electricity = (0.9 * 700 + 1800 / 8) * 1.3 * 0.6 / 3.6e6
    tokens = 512 * 8192 / 1e6
    expected = (purchase + electricity) * 64 * row["step_time_s"] / tokens
    assert row["cny_per_mtoken"] == pytest.approx(expected, rel=1e-6)
    assert row["electricity_share"] == pytest.approx(electricity / (purchase + electricity))
    assert row["lo_cny"] < row["cny_per_mtoken"] < row["hi_cny"]


def test_a_known_price_leaves_the_band_of_the_step_time():
    row = compare_chips({"llama3-8b": 64}, ["H200"], prices=Prices(chip_cny=2e5)).iloc[0]
    ratio = np.sqrt(row["hi_cny"] / row["lo_cny"])
    assert ratio == pytest.approx(np.sqrt(row["hi_s"] / row["lo_s"]), rel=0.02)


def test_a_hypothetical_chip_has_the_widest_band(table):
    rows = table[table["model"] == "llama3-8b"].set_index("accelerator")
    width = rows["hi_s"] / rows["lo_s"]
    assert width["SeedChip"] > width.drop("SeedChip").max()
    assert rows["hypothetical"].to_dict() == {"H200": False, "910B2": False, "SeedChip": True}


def test_what_does_not_fit_says_so_and_has_no_numbers(table):
    rows = table[table["model"] == "llama3-70b"]
    assert rows["step_time_s"].isna().all()
    assert rows["reason"].str.contains("needs at least").all()


def test_same_seed_same_bands(table):
    again = compare_chips({"llama3-8b": 64}, ["H200"])
    assert again["lo_cny"].iloc[0] == table["lo_cny"].iloc[0]
    other = compare_chips({"llama3-8b": 64}, ["H200"], seed=1)
    assert other["lo_cny"].iloc[0] != table["lo_cny"].iloc[0]


def test_hypothetical_chips_are_hollow_and_named(table):
    ax = plot_chips(table, "step_time_s")
    lines = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    assert list(lines) == ["H200", "910B2", "SeedChip (hypothetical)"]
    assert lines["SeedChip (hypothetical)"].get_markerfacecolor() == "white"
    assert lines["H200"].get_markerfacecolor() != "white"
    for chip, line in lines.items():
        rows = table[table["accelerator"] == chip.split(" ")[0]]
        np.testing.assert_array_equal(line.get_xdata(), rows["step_time_s"])
    assert ax.get_yticklabels()[0].get_text() == "llama3-8b\n64 chips"


def test_both_measures_and_the_note_are_drawn(table):
    figure = draw_chip_comparison(table, note="Assumptions.")
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["Step time", "Cost"]
    assert figure.get_supxlabel() == "Assumptions."
