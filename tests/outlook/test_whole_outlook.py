"""The outlook as a whole, on a small fleet."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clustersim.cli.main import main
from clustersim.errors import InputError
from clustersim.files import yaml_text
from clustersim.outlook.loss_factor import LossFactor, loss_factor
from clustersim.outlook.outlook import CaseOutlook, Outlook, Target, outlook
from clustersim.outlook.stop import Stop
from clustersim.report.of_outlook.tables import case_table, month_table
from clustersim.report.of_outlook.text import outlook_text
from tests.outlook.small_fleet import SMALL, small

LATE = {"fleet.pools.h200.deliveries.first.at": "2026-06-01"}
TARGET = Target(1.0e17, 2)


@pytest.fixture(scope="module")
def loss() -> LossFactor:
    return loss_factor({"small": small()}, replications=2, workers=1)


@pytest.fixture(scope="module")
def found(loss: LossFactor) -> Outlook:
    stop = Stop(("h200",), (20 * 86400.0,), (1.0,), name="rule")
    cases = {"small": small(), "late": small(LATE)}
    return outlook(cases, draws=2048, target=TARGET, event=stop, model_draws=3, loss=loss)


def test_the_simulation_does_not_exceed_the_fluid_by_more_than_the_noise(loss: LossFactor) -> None:
    assert 0.5 < loss.factor < 1.05
    for run in loss.runs:
        assert run.load >= 1.5
        assert len(run.simulated) == 6


def test_a_late_delivery_misses_more_often(found: Outlook) -> None:
    small_case, late = found.cases
    assert small_case.missed is not None
    assert late.missed is not None
    assert late.missed.probability > small_case.missed.probability
    assert late.end.mean[0] < small_case.end.mean[0]
    assert (small_case.fan.p10 <= small_case.fan.p50).all()
    assert np.allclose(small_case.by_pool.sum(axis=1), small_case.fan.mean)


def test_a_stop_before_all_deliveries_leaves_no_difference(found: Outlook) -> None:
    pair = found.break_even["small", "late"]
    assert pair.a_with == pytest.approx(pair.b_with)
    assert pair.a_without > pair.b_without
    assert pair.better_below == "a"
    assert math.isnan(pair.probability)


def test_a_second_seed_is_within_the_intervals(found: Outlook, loss: LossFactor) -> None:
    other = outlook(
        {"small": small()}, draws=2048, seed=99, target=TARGET, model_draws=0, loss=loss
    ).cases[0]
    first = found.cases[0]
    assert first.missed is not None
    assert other.missed is not None
    both = math.hypot(float(first.end.mean_error[0]), float(other.end.mean_error[0]))
    assert abs(first.end.mean[0] - other.end.mean[0]) <= both
    assert 0.05 < first.missed.probability < 0.95
    wide = [(each.high - each.low) / 2 for each in (first.missed, other.missed)]
    assert abs(first.missed.probability - other.missed.probability) <= math.hypot(*wide)
    assert first.sampling_error < 0.03
    assert other.sampling_error < 0.03


def test_intervals_contain_the_value_of_many_draws(loss: LossFactor) -> None:
    def end(draws: int, seed: int) -> CaseOutlook:
        found = outlook(
            {"small": small()}, draws=draws, seed=seed, target=TARGET, model_draws=0, loss=loss
        )
        return found.cases[0]

    many, inside = end(16_384, 1), []
    assert many.missed is not None
    for seed in range(100, 125):
        few = end(256, seed)
        assert few.missed is not None
        inside.append(abs(few.end.mean[0] - many.end.mean[0]) <= few.end.mean_error[0])
        inside.append(few.missed.low <= many.missed.probability <= few.missed.high)
        inside += [
            getattr(few.end, f"{name}_low")[0]
            <= getattr(many.end, name)[0]
            <= getattr(few.end, f"{name}_high")[0]
            for name in ("p10", "p50", "p90")
        ]
    assert np.mean(inside) >= 0.94


def test_the_average_of_the_last_months_is_between_the_month_ends(found: Outlook) -> None:
    for case in found.cases:  # the fleet only grows
        assert case.fan.mean[-3] < case.end.mean[0] < case.fan.mean[-1]


def test_model_uncertainty_is_apart_from_sampling(found: Outlook) -> None:
    case = found.cases[0]
    assert case.end_model_high > case.end_model_low
    assert case.missed_model_low <= case.missed_model_high


def test_the_first_sentence_is_the_answer_and_problems_are_notes(found: Outlook) -> None:
    text = outlook_text(found)
    first = text.splitlines()[0]
    assert "misses the target" in first
    assert "'small'" in first
    flagged = dataclasses.replace(found.loss, problems=("it changes",))
    assert "not constant: it changes" in outlook_text(dataclasses.replace(found, loss=flagged))


def test_tables_have_a_row_for_each_case_and_month(found: Outlook) -> None:
    months, cases = month_table(found), case_table(found)
    assert len(months) == 2 * 6
    assert len(cases) == 2
    assert {"chips.h200", "mean_flop_per_s.seedchip", "p10_flop_per_s"} <= set(months)


def test_numbers_out_of_range_are_refused(loss: LossFactor) -> None:
    with pytest.raises(InputError, match="target months"):
        outlook({"small": small()}, draws=60, target=Target(1.0, 9), model_draws=0)
    event = Stop(("h200",), (0.0,), (0.5,))
    with pytest.raises(InputError, match="sum must be 1"):
        outlook({"small": small()}, draws=60, event=event, model_draws=0, loss=loss)


def test_the_command_writes_tables_figure_and_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenario = {**SMALL, "cases": {"as planned": {}, "late": LATE}}
    (tmp_path / "fleet.yaml").write_text(yaml_text(scenario), encoding="utf-8")
    words = ["outlook", str(tmp_path / "fleet.yaml"), "--draws", "200", "--model-draws", "2"]
    words += ["--replications", "1", "--workers", "1", "--target", "40 PFLOP/s", "--format", "svg"]
    words += ["--stop", "h200@2026-03-01", "--stop", "seedchip@60d:0.3"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "misses the target of 40 PFLOP/s" in printed.splitlines()[0]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    tables = {"months.csv", "cases.csv", "loss_factor.csv", "break_even.csv"}
    assert names == {*tables, "outlook.json", "summary.txt", "fan.svg"}
    data = json.loads((tmp_path / "out" / "outlook.json").read_text(encoding="utf-8"))
    table = pd.read_csv(tmp_path / "out" / "cases.csv")
    assert [row["case"] for row in data["cases"]] == table["case"].to_list()
    assert table["case"].to_list() == ["as planned", "late"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--stop", "h200"], "POOLS@DATE"),
        (["--stop", "h20@60d:0.3"], "h200"),
        (["--stop", "h200@60d:x"], "must be a number"),
        (["--stop", "h200@60d", "--stop", "h200@70d"], "only one"),
        (["--target", "fast"], "fast"),
        (["--case", "latest"], "late"),
    ],
)
def test_wrong_options_are_named(
    more: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "fleet.yaml").write_text(yaml_text({**SMALL, "cases": {"late": LATE}}))
    words = ["outlook", str(tmp_path / "fleet.yaml"), "--out", str(tmp_path / "out")]
    assert main([*words, "--workers", "1", "--replications", "1", *more]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
