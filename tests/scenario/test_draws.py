"""The performance section of a scenario: stack, precision, calibration and draw."""

import json

import numpy as np
import pytest

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.performance import best_plans, default_calibration
from clustersim.scenario.platform import open_platform
from clustersim.scenario.resolved import resolve
from clustersim.scenario.run import run_scenario
from clustersim.scenario.scenario import define_scenario

BASE = {
    "cluster": {
        "name": "two",
        "pools": {
            "h": {"accelerator": "H100", "nodes": 8},
            "s": {"accelerator": "SeedChip", "nodes": 8},
        },
    },
    "workload": {
        "generate": {
            "name": "one",
            "arrivals": {"mean_interarrival": "1 h"},
            "classes": [
                {
                    "name": "train",
                    "weight": 1,
                    "sizes": {8: 1.0},
                    "model": "llama3-8b",
                    "tokens": {"kind": "constant", "value": 1e9},
                }
            ],
        },
        "jobs": 4,
        "load": 0.5,
    },
    "scheduler": {"policy": "fcfs", "choose": "fastest"},
}


def scenario(**performance):
    return define_scenario({**BASE, "performance": performance})


def run_seconds(**performance):
    jobs = run_scenario(scenario(**performance)).jobs
    return (jobs["finish_s"] - jobs["start_s"]).to_numpy(dtype=float)


def expected(**options):
    catalogue = load_catalogue()
    chip, model = catalogue.accelerator("H100"), catalogue.model("llama3-8b")
    return 1e9 / best_plans(model, chip, 8, nic_Bps=50e9, **options).tokens_per_s[0]


def test_a_job_runs_as_long_as_its_stack_takes():
    fast = run_seconds()
    slow = run_seconds(stack="Megatron-LM")
    np.testing.assert_allclose(fast, expected())
    np.testing.assert_allclose(slow, expected(stack="Megatron-LM"))
    assert slow[0] > 1.02 * fast[0]


def test_a_stack_by_chip():
    mixed = run_seconds(stack={"H100": "Megatron-LM", "default": "NeMo 24.07"})
    np.testing.assert_allclose(mixed, expected(stack="Megatron-LM"))
    named = run_seconds(stack={"default": "nemo 24.07"})
    np.testing.assert_allclose(named, expected(stack="NeMo 24.07"))
    unknown = run_seconds(stack="unknown")
    np.testing.assert_allclose(unknown, expected(stack=""))


def test_fp8():
    np.testing.assert_allclose(run_seconds(precision="fp8"), expected(precision="fp8"))
    assert run_seconds(precision="fp8")[0] < 0.9 * run_seconds()[0]


def test_memory_of_jobs():
    """Gradients in FP32 leave less room; what then takes longer is another plan."""
    options = {"gradients": "fp32", "optimizer": "adamw", "loss_fused": "n"}
    np.testing.assert_allclose(run_seconds(memory=options), expected(memory=options))
    more = run_seconds(memory={"offload": "activations", "loss_fused": "linear"})
    np.testing.assert_allclose(more, expected(memory="offload=activations,loss_fused=linear"))
    assert more[0] < run_seconds(memory=options)[0]
    host = run_seconds(memory={"offload": "activations+optimizer"})
    np.testing.assert_allclose(host, expected(memory="offload=activations+optimizer"))


def test_a_draw_is_reproducible_and_leaves_the_arrivals_alone():
    first, again, second = (run_seconds(draw=number) for number in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first[0] != second[0]
    submitted = []
    for performance in ({}, {"draw": 1}):
        loaded = scenario(**performance)
        jobs = resolve(loaded).jobs
        submitted.append(jobs["submit_s"].to_numpy())
    np.testing.assert_array_equal(*submitted)


def test_draws_scatter_as_the_posterior_says():
    """One H100 in 200 draws: the standard deviation of the best plan's time is that of the plan."""
    loaded = scenario()
    fleet = open_platform(loaded)
    model, chip = fleet.catalogue.model("llama3-8b"), fleet.catalogue.accelerator("H100")
    calibration = default_calibration()
    times = [
        best_plans(model, chip, 8, draw=calibration.draw(seed=number)).step_time_s[0]
        for number in range(60)
    ]
    spread = np.std(np.log(times))
    assert 0.01 < spread < 0.15
    assert abs(np.mean(np.log(times / best_plans(model, chip, 8).step_time_s[0]))) < spread


def test_a_draw_draws_the_hypothetical_chip_within_its_range():
    nominal = open_platform(scenario()).catalogue.accelerator("SeedChip")
    drawn = [open_platform(scenario(draw=k)).catalogue.accelerator("SeedChip") for k in range(8)]
    low, high = nominal.ranges["hbm_Bps"]
    assert all(low <= chip.hbm_Bps <= high for chip in drawn)
    assert len({chip.hbm_Bps for chip in drawn}) == 8
    ratio = [chip.peak_flops["fp8"] / chip.peak_flops["bf16"] for chip in drawn]
    assert ratio == pytest.approx([2.0] * 8)
    assert open_platform(scenario(draw=3)).catalogue.accelerator("H100").hbm_Bps == 3.35e12


def test_a_calibration_of_ones_own(tmp_path):
    own = json.loads(default_calibration().to_json())
    del own["checksum"]  # edited on purpose
    for effect in own["effects"]:
        if effect[:2] == ["matmul_efficiency", "base"]:
            effect[3] -= 2.0
    path = tmp_path / "own.json"
    path.write_text(json.dumps(own))
    assert run_seconds(calibration=str(path))[0] > 1.1 * run_seconds()[0]


@pytest.mark.parametrize(
    ("performance", "words"),
    [
        ({"stack": "NeMo 24.70"}, ["performance", "stack", "NeMo 24.70", "NeMo 24.07"]),
        ({"stack": {"H1000": "NeMo 24.07"}}, ["stack.H1000", "H100"]),
        ({"stack": {"H100": "nothing"}}, ["stack.H100", "nothing"]),
        ({"calibration": "missing.json"}, ["missing.json", "cannot be read"]),
        ({"precision": "int8"}, ["performance.precision", "bf16", "fp8", "int8"]),
        ({"draw": -1}, ["performance.draw"]),
        ({"stacks": "NeMo"}, ["performance.stacks", "stack"]),
        ({"memory": {"los": 1}}, ["performance.memory.los", "loss_fused"]),
        ({"memory": {"gradients": "fp64"}}, ["performance.memory.gradients", "bf16", "fp64"]),
        ({"memory": {"offload": "all"}}, ["performance.memory.offload", "activations:30", "all"]),
    ],
)
def test_faults(performance, words):
    with pytest.raises(InputError) as caught:
        open_platform(scenario(**performance))
    assert all(word in str(caught.value) for word in words), str(caught.value)
