"""The fit of the serving model: reproduced, recovered from made-up values, and cross-validated."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from clustersim.errors import InputError
from clustersim.inference import default_serving
from clustersim.inference.calibration import Effects, load_serving, parse_serving
from clustersim.inference.cross_validation import error_table, fit_serving
from clustersim.inference.fit import fit_rows, own_rows, own_table, read_measured
from clustersim.inference.intervals import Spread, bounds
from clustersim.inference.parameters import IMAGE_PARAMETERS, LEVELS, PARAMETERS
from clustersim.inference.prediction import is_image, values_of_rows

ROOT = Path(__file__).resolve().parents[2]


def test_every_coefficient_has_a_source_and_known_levels() -> None:
    for parameter in (*PARAMETERS, *IMAGE_PARAMETERS):
        assert parameter.source
        assert parameter.meaning
        assert parameter.centre > 0
        assert set(parameter.effects) <= set(LEVELS)


def test_the_stored_fit_is_reproduced() -> None:
    language, images = fit_rows(own_rows())
    stored = default_serving()
    for found, kept in ((language, stored.language), (images, stored.images)):
        assert found.offsets.keys() == kept.offsets.keys()
        off = [found.offsets[key] - kept.offsets[key] for key in kept.offsets]
        assert np.abs(off).max() < 0.005


def test_made_up_values_are_recovered() -> None:
    measured = own_rows()
    measured = measured.only(~is_image(measured.rows) & (measured.families == "trtllm-perf"))
    truth = Effects({("cache_read", "", ""): -0.3, ("prefill", "", ""): 0.2})
    made = dataclasses.replace(
        measured, measured=values_of_rows(measured.rows, truth, Effects(), new=False)
    )
    found, _ = fit_rows(made)
    again = values_of_rows(made.rows, found, Effects(), new=False)
    assert np.abs(np.log(again / made.measured)).max() < 0.05
    assert found.offsets[("cache_read", "", "")] < -0.1


def test_a_calibration_is_written_and_read(tmp_path: object) -> None:
    stored = default_serving()
    again = parse_serving(stored.to_json(), "again")
    assert again.language.offsets.keys() == stored.language.offsets.keys()
    assert again.spread == stored.spread


@pytest.mark.parametrize("text", ["", "{}", '{"format": 7}', '{"format": 1}', "[1]"])
def test_files_that_are_no_calibration(text: str) -> None:
    with pytest.raises(InputError, match="is not a calibration that `clustersim fit --serving`"):
        parse_serving(text, "mine.json")
    with pytest.raises(InputError, match="cannot be read"):
        load_serving("no-such-file.json")


def test_rows_that_cannot_be_fitted_are_listed() -> None:
    table = own_table().iloc[:3].assign(value=["1", "none", "-2"])
    found = read_measured(table)
    assert len(found.rows) == 1
    assert list(found.left_out) == [1, 2]


def test_intervals_grow_with_assumptions() -> None:
    spread = Spread(0.3, 0.4, 0.5, 0.4, 0.2)
    assert spread.of_row("steady", []) == 0.3
    assert spread.of_row("steady", ["lengths"]) == pytest.approx(np.hypot(0.3, 0.3))
    low, high = bounds(np.full(1, 10.0), np.full(1, 0.3))
    assert low * high == pytest.approx(100)
    assert high == pytest.approx(10 * np.exp(1.6449 * 0.3))


@pytest.mark.slow
def test_errors_on_sources_that_were_left_out() -> None:
    """The errors that docs/serving.md states: one source is left out at a time."""
    found = fit_serving(own_rows())
    stored = default_serving().spread.data()
    assert found.calibration.spread.data() == pytest.approx(stored, abs=0.02)
    rows = found.rows[found.rows["used"]]
    off = np.abs(rows["left_out"] / rows["measured"] - 1.0)
    assert off.median() < 0.25
    main = rows["chip"].isin(["H200", "H20", "910B"]) & (rows["quality"] == "A")
    assert off[main].median() < 0.25
    assert error_table(found.rows)["rows"].sum() == len(rows)
    assert found.calibration.facts["left_out_coverage"] >= 0.9
    by_source = error_table(found.rows, ("family",)).set_index("family")
    page = (ROOT / "docs" / "serving.md").read_text()
    for source, row in by_source.iterrows():
        line = re.search(rf"^\| {source} \| .*$", page, re.MULTILINE)
        assert line is not None, source
        stated = float(line[0].split("|")[5].replace("%", ""))
        assert stated == pytest.approx(100 * row["left_out"], abs=max(2.0, 0.05 * stated)), source
    large = by_source[by_source["rows"] >= 20]
    assert (large["left_out"] < 0.35).all()
    assert (large["covered"] > 0.7).all()
