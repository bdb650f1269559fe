"""The runs of a calibration: counts, and the nearest run."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import load_measurements
from clustersim.calibration.own_data import link_of
from clustersim.catalogue import load_catalogue
from clustersim.performance import ModelArrays, labels_of
from clustersim.performance.runs import Run, Runs, params_of
from clustersim.performance.scatter import Scatter, contributions_of

RUN = Run("H100", "NeMo", "NeMo 24.07", False, "bf16", "A", 7e9, 8, "https://a", "tp=2")
RUNS = Runs(
    (
        RUN,
        dataclasses.replace(RUN, params=70e9, count=64, model="B"),
        dataclasses.replace(RUN, params=70e9, count=512, model="C"),
        dataclasses.replace(RUN, mixture=True, params=30e9, model="D"),
        dataclasses.replace(RUN, chip="H20", release="ms-swift", product="unknown", model="E"),
    )
)


@pytest.mark.parametrize(
    ("chip", "mixture", "params", "count", "model"),
    [
        ("H100", False, 8e9, 4096, "A"),
        ("H100", False, 60e9, 64, "B"),
        ("H100", False, 60e9, 400, "C"),
        ("H100", True, 7e9, 8, "D"),
        ("H20", True, 500e9, 4096, "D"),
        ("SeedChip", True, 7e9, 8, "D"),
        ("SeedChip", False, 7e9, 8, "A"),
    ],
)
def test_kind_then_chip_then_size_then_count(chip, mixture, params, count, model):
    assert RUNS.nearest(chip, mixture=mixture, params=params, count=count).model == model


def test_related_chips_are_nearer_than_others():
    other = dataclasses.replace(RUN, chip="H200", params=9e9, model="F")
    runs = Runs((*RUNS.runs, other))
    job = {"mixture": False, "params": 7e9, "count": 8}
    assert runs.nearest("H100-NVL", **job).model == "A"
    assert runs.nearest("H100-NVL", **job, related=["H200"]).model == "F"
    assert runs.nearest("H100", **job, related=["H200"]).model == "A"


def test_size_before_chip_for_plans():
    job = {"mixture": False, "params": 8e9, "count": 8}
    order = RUNS.by_distance("H20", **job, chip_first=False)
    assert [run.model for run in order] == ["E", "A", "B", "C", "D"]
    assert [run.model for run in RUNS.by_distance("H20", **job)][:2] == ["E", "A"]


def test_without_runs_there_is_no_nearest():
    assert Runs().nearest("H100", mixture=False, params=7e9, count=8) is None


def test_counts():
    assert (len(RUNS), RUNS.on(), RUNS.on(mixture=True)) == (5, 5, 1)
    assert (RUNS.on(chip="H100"), RUNS.on(chip="H100", mixture=False)) == (4, 3)
    assert (RUNS.on(release="NeMo 24.07"), RUNS.on(product="NeMo", mixture=True)) == (4, 1)
    assert RUNS.on(chip="B200") == 0


def test_runs_survive_json():
    assert Runs.from_lists(json.loads(json.dumps(RUNS.to_lists()))) == RUNS


def test_parameters_are_those_of_the_catalogue():
    catalogue = load_catalogue()
    models = [catalogue.model(name) for name in ("llama3-70b", "mixtral-8x7b")]
    found = params_of(ModelArrays.of(models))
    np.testing.assert_allclose(found, [model.params for model in models], rtol=0.02)


@pytest.mark.parametrize(
    ("source", "link"),
    [
        ("DeepSeek, Insights (arXiv 2505.09343) Table 4", "https://arxiv.org/abs/2505.09343"),
        ("NVIDIA/NeMo docs/x.md @9c5c", "https://github.com/NVIDIA/NeMo"),
        ("measured by us", "measured by us"),
        ("", ""),
    ],
)
def test_link_of_a_source(source, link):
    assert link_of(source) == link


def test_every_published_run_has_a_link_and_a_publisher():
    measured = load_measurements()
    assert all(run.source.startswith("https://") for run in measured.runs.runs)
    assert (measured.publishers != "").all()
    assert set(measured.publishers) > {"NVIDIA", "Huawei", "ByteDance", "AWS"}


def test_publisher_of_a_users_rows(tmp_path):
    job = {"model": "llama3-8b", "accelerator": "H200", "count": 8, "dp": 8, "global_batch": 512}
    rows = [
        {**job, "step_time_s": 46.0, "publisher": "us"},
        {**job, "step_time_s": 46.5, "family": "night"},
        {**job, "step_time_s": 47.0},
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "mine.csv", index=False)
    found = load_measurements([tmp_path / "mine.csv"], own=False)
    assert found.publishers.tolist() == ["us", "night", "mine"]


def test_the_source_of_a_users_rows_is_no_link(tmp_path):
    job = {"model": "llama3-8b", "accelerator": "H200", "count": 8, "dp": 8, "global_batch": 512}
    rows = [{**job, "step_time_s": 46.0, "source": text} for text in ("runs/2026 night", "")]
    pd.DataFrame(rows).to_csv(tmp_path / "mine.csv", index=False)
    found = load_measurements([tmp_path / "mine.csv"], own=False)
    assert [run.source for run in found.runs.runs] == ["runs/2026 night", "mine"]


class TestScatter:
    def test_contributions(self):
        chip = load_catalogue().accelerator("H100")
        known, other = labels_of(chip, "NeMo 24.07"), labels_of(chip, "our own")
        found = contributions_of(RUNS, [known, other], np.array([False, True]))
        assert found[0]["new release"] == found[0]["new chip"] == 0.5, "3 dense runs of each"
        assert found[1]["new release"] == 1.0
        assert found[1]["new chip"] == pytest.approx(1 / np.sqrt(2))
        assert found[0]["architecture hopper"] == 1.0

    def test_a_contribution_that_was_not_fitted_is_zero(self):
        scatter = Scatter({"base": -2.0})
        assert scatter.of([{"base": 1.0, "product new": 1.0}]) == pytest.approx(np.exp(-2.0))
