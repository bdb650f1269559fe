"""`clustersim estimate` of one job."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from clustersim import estimate
from clustersim.catalogue import load_catalogue
from clustersim.cli.main import main
from clustersim.cli.texts.estimate_text import estimate_text, plan_text
from clustersim.estimation.cost import Prices
from clustersim.performance import MEMORY_OPTIONS, best_plans, default_calibration
from clustersim.performance.calibration import checksum
from tests.cli.estimating import Printed, call, predicted

CATALOGUE = load_catalogue()
RESULTS = ["step_time_s", "published_fields"]
JOBS = [
    ("llama3-70b", "H200", 512),
    ("deepseek-v3", "910B2", 2048),
    ("gpt3-175b", "SeedChip", 1024),
    ("llama3-8b", "H20", 8),
    ("llama3-405b", "A100-40GB", 8),
    ("jimeng-class", "H20", 64),
    ("llama3-8b", "V100", 1),
]


class TestJob:
    @pytest.mark.parametrize(("model", "chip", "count"), JOBS)
    def test_text_within_a_hundred_columns(self, model: str, chip: str, count: int) -> None:
        found = estimate(model, chip, count, draws=20)
        text = estimate_text(found)
        assert max(map(len, text.splitlines())) <= 100
        assert text.startswith(f"{found.model.name} on {count:,} {found.accelerator.name} ")
        words = ["Step time", "90 % interval", "MFU", "Best plans", "total"]
        if found.best is None:
            words = ["No plan fits: ", found.reason.split(" on ")[0], "a plan fits on"]
        elif found.accelerator.price is None:
            words = ["unknown price; give --price"]
        for word in words:
            assert word in " ".join(text.split())

    def test_best_plan_is_that_of_the_search(self) -> None:
        found = estimate("llama3-70b", "H200", 512)
        best = best_plans(CATALOGUE.model("llama3-70b"), CATALOGUE.accelerator("H200"), 512)
        assert found.best is not None
        assert found.best.step_time_s == pytest.approx(best.step_time_s[0], rel=1e-12)
        times = [plan.step_time_s for plan in found.plans]
        assert len(times) == 5
        assert times == sorted(times)
        assert all(plan.fits for plan in found.plans)
        assert found.searched is not None
        assert found.searched[0] > found.searched[1] > 5

    @pytest.mark.parametrize(("model", "chip", "count"), JOBS)
    def test_a_printed_plan_can_be_given(self, model: str, chip: str, count: int) -> None:
        for plan in estimate(model, chip, count).plans:
            again = estimate(model, chip, count, plan=plan_text(plan.plan)).best
            assert again is not None
            assert again.step_time_s == pytest.approx(plan.step_time_s, rel=1e-12)
            assert again.memory_bytes == pytest.approx(plan.memory_bytes, rel=1e-12)
            assert again.lo_s == pytest.approx(plan.lo_s, rel=1e-12)

    def test_parts_memory_and_rates_add_up(self) -> None:
        found = estimate("mixtral-8x7b", "H100", 64, plan="tp=4,pp=2,ep=8,micro_batch=2")
        best = found.best
        assert best is not None
        assert sum(found.parts.values()) == pytest.approx(best.step_time_s)
        assert sum(found.memory.values()) == pytest.approx(best.memory_bytes)
        assert best.tokens_per_s == pytest.approx(found.tokens_per_step / best.step_time_s)
        assert best.lo_s < best.step_time_s < best.hi_s
        assert found.reason == ""
        assert found.searched is None

    def test_plans_that_fit_only_just_are_marked(self, capsys: Printed) -> None:
        job = ["--model", "llama3-8b", "--accelerator", "H200", "--count", "8"]
        printed = call(capsys, *job)
        plans = estimate("llama3-8b", "H200", 8).plans
        close = [plan for plan in plans if plan.fits_only_just]
        assert 0 < len(close) < len(plans)
        assert all(0.5 <= plan.fit_probability < 0.9 for plan in close)
        assert printed.count("\n* ") == len(close)
        assert "* fits only just" in printed

    def test_a_plan_that_does_not_fit_is_shown(self, capsys: Printed) -> None:
        job = ["--model", "gpt3-175b", "--accelerator", "A100-80GB", "--count", "64"]
        printed = call(capsys, *job, "--plan", "tp=4,pp=2", code=1)
        text = " ".join(printed.split())
        assert "The plan does not fit: the fullest chip needs 137.3 GiB" in text
        assert "; a chip has 80 GiB (probability of fitting 0.0 %; at least 50.0 % is" in text
        assert "Step time" in printed
        assert "optimizer" in printed

    def test_cost_by_hand(self) -> None:
        prices = Prices(chip_cny=100_000, depreciation_years=2, tariff_cny_per_kwh=0.5, pue=1.5)
        found = estimate("llama3-8b", "H100", 16, tokens=1e12, prices=prices)
        assert found.best is not None
        assert found.cost is not None
        seconds = 1e12 / found.best.tokens_per_s
        assert found.cost.seconds == pytest.approx(seconds)
        assert found.cost.lo_s / seconds == pytest.approx(found.best.lo_s / found.best.step_time_s)
        assert found.cost.energy_kwh == pytest.approx(16 * 0.855 * 1.5 * seconds / 3600)
        assert found.cost.energy_cny == pytest.approx(0.5 * found.cost.energy_kwh)
        share = seconds / (2 * 365.25 * 86400)
        assert found.cost.chips_cny == pytest.approx(16 * 100_000 * share)
        assert found.cost.site_cny == pytest.approx(0.2 * found.cost.chips_cny)
        parts = (found.cost.chips_cny, found.cost.site_cny, found.cost.energy_cny)
        assert found.cost.total_cny == pytest.approx(sum(parts))
        default = estimate("llama3-8b", "H100", 16).cost
        assert default is not None
        assert default.tokens == 20 * CATALOGUE.model("llama3-8b").params
        server = 32_010 * 7.2 / 8
        assert default.prices.chip_cny == CATALOGUE.accelerator("H100").price + server

    def test_stacks(self) -> None:
        def job(stack: str | None):
            return estimate("llama3-8b", "H100", 64, plan="tp=2", stack=stack)

        def wide(stack: str | None) -> float:
            best = job(stack).best
            assert best is not None
            return best.hi_s / best.lo_s

        assert "is assumed" in job(None).notes[0]
        assert job("nemo 24.07").stack == "NeMo 24.07"
        assert job("nemo 24.07").notes == ()
        assert wide("NeMo 24.07") < wide("NeMo 99") < wide("unknown")
        assert "treated as NeMo" in job("NeMo 99").notes[0]
        assert job("Unknown").notes[0].startswith("The software stack is unknown: the mean of all")
        unknown = job("PaxTrainer").notes[0]
        assert "No run of the software stack 'PaxTrainer' was measured" in unknown
        assert "Did you mean" not in job("Colossal-AI").notes[0]

    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("MegaScal", "Did you mean 'MegaScale'? "),
            ("NeMoo", "Did you mean 'NeMo'? "),
            ("Megatronn-LM", "Did you mean 'Megatron-LM'? "),
            ("nemo-24.07x", None),  # a release of NeMo that is not known
            ("our paxos trainer", ""),
            ("Metal runtime", ""),
            ("", ""),
        ],
    )
    def test_an_unknown_stack_is_noted_with_the_nearest_name(
        self, capsys: Printed, name: str, near: str | None
    ) -> None:
        job = ("--model", "llama3-8b", "--accelerator", "H100", "--count", "64", "--plan", "tp=2")
        assert main(["estimate", *job, "--json", "--stack", name]) == 0
        notes = json.loads(capsys.readouterr().out)["notes"]
        if near is None:
            assert "it is treated as NeMo" in notes[0]
            return
        assert notes[0].startswith(f"No run of the software stack {name!r} was measured: the mean")
        assert near in notes[0]
        assert ("Did you mean" in notes[0]) == bool(near)
        note = predicted({"framework": name or "?"})["predicted_note"][0]
        assert "was measured: the mean of all stacks" in note

    def test_what_was_not_measured_is_reported(self) -> None:
        stack, chip = estimate("llama3-8b", "MI300X", 64, plan="tp=2").notes[:2]
        assert stack == (
            "No software stack is known for MI300X: the mean of all stacks is used, and the "
            "interval includes their spread."
        )
        expected = (
            "No run on {} is in the calibration; its efficiencies are those of related chips, and "
            "the interval includes their spread"
        )
        assert chip == expected.format("MI300X") + "."
        table = predicted({}, {"accelerator": "910C"}, {"framework": "TorchTitan"})
        assert table["predicted_note"].tolist() == [
            "",
            expected.format("910C") + ".",
            " ".join(estimate("llama3-8b", "H100", 64, plan="tp=2", stack="TorchTitan").notes),
        ]

    def test_an_unusual_plan_is_noted_in_a_table(self) -> None:
        table = predicted({"tp": "", "dp": "32", "global_batch": "500"}, {"ep": "2"}, {"dp": "64"})
        assert table["predicted_note"][0] == (
            "dp 32 is replaced by 64 (64 chips over tp pp cp 1): tp is not given and counts as 1. "
            "500 sequences are not a multiple of dp x micro-batch = 64; the last micro-batches are "
            "partly empty. The plan fits only just: with a probability of 84.1 % its peak is at "
            "most the memory of the chip."
        )
        assert table["reason"].tolist() == [
            "",
            "ep: must be 1 because the model has no experts, found 2",
            "dp: must be 32 (64 chips over tp pp cp 2) or left out, found 64",
        ]

    def test_a_batch_that_does_not_divide_is_reported(self, capsys: Printed) -> None:
        """Only dp = 7 is left on 7 chips; no plan is suggested without a word."""
        found = estimate("gpt3-5b", "H200", 7, global_batch=512)
        assert found.best is not None
        assert 512 % (found.best.plan["dp"] * found.best.plan["micro_batch"])
        assert any("are not a multiple of dp x micro-batch" in note for note in found.notes)
        job = ["--model", "gpt3-5b", "--accelerator", "H200", "--count", "7"]
        printed = " ".join(call(capsys, *job, "--global-batch", "512").split())
        for place, plan in enumerate(found.plans[1:], start=2):
            uneven = bool(512 % (plan.plan["dp"] * plan.plan["micro_batch"]))
            assert any("not a multiple of dp x" in note for note in plan.notes) == uneven
            if set(plan.notes) - set(found.notes):
                assert f"{place}" in printed.split("Row")[1]

    def test_a_switch_alone_leaves_the_plan_open(self) -> None:
        usual = estimate("llama3-70b", "H200", 64)
        assert estimate("llama3-70b", "H200", 64, plan={}).best == usual.best
        adapters = estimate("llama3-70b", "H200", 64, plan="lora=1")
        assert usual.best is not None
        assert adapters.best is not None
        assert adapters.searched is not None
        assert all(plan.plan["lora"] == 1 for plan in adapters.plans)
        assert adapters.best.step_time_s < usual.best.step_time_s
        given = estimate("llama3-70b", "H200", 64, plan="zero=3").best
        assert given is not None
        assert (given.plan["tp"], given.plan["pp"], given.plan["dp"]) == (1, 1, 64)

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            (["--count", "8"], 1),
            (["--count", "8", "--plan", "tp=8"], 1),
            (["--count", "256"], 0),
            (["--count", "256", "--json"], 0),
        ],
    )
    def test_exit_code_says_whether_a_plan_fits(
        self, capsys: Printed, options: list[str], code: int
    ) -> None:
        call(capsys, "--model", "llama3-405b", "--accelerator", "H200", *options, code=code)

    def test_without_text_stderr_says_that_no_plan_fits(self, capsys: Printed) -> None:
        job = ["--model", "llama3-405b", "--accelerator", "H200", "--count", "8"]
        assert main(["estimate", *job, "--json"]) == 1
        printed = capsys.readouterr()
        reason = json.loads(printed.out)["reason"]
        assert printed.err == f"clustersim: no plan fits: {reason}\n"

    def test_a_hypothetical_chip_has_its_range_in_the_interval(self) -> None:
        found = estimate("llama3-8b", "SeedChip", 64)
        sure = estimate(
            "llama3-8b", CATALOGUE.accelerator("SeedChip").at(ranges={}), 64,
        )  # fmt: skip
        assert found.best is not None
        assert sure.best is not None
        assert found.best.hi_s / found.best.lo_s > 1.1 * sure.best.hi_s / sure.best.lo_s
        text = " ".join(found.notes)
        assert "SeedChip is hypothetical" in text
        assert "peak in BF16 120 to 300 TFLOP/s" in text
        # Without ranges there is nothing to name, and the chip is as unmeasured as any other.
        assert not any("range of the specification" in note for note in sure.notes)
        assert any(note.startswith("No run on SeedChip") for note in sure.notes)
        assert not any(note.startswith("No run on SeedChip") for note in found.notes)

    def test_memory_that_follows_from_stacks_is_said(self, tmp_path: Path) -> None:
        entry = (
            "accelerators:\n  MyChip:\n    extends: H200\n    source: a test\n    hbm_stacks: 6\n"
        )
        (tmp_path / "own.yaml").write_text(entry)
        own = load_catalogue(tmp_path / "own.yaml").accelerator("MyChip")
        note = "The memory of MyChip follows from its 6 stacks of HBM3E: 144 GB at 4.8 TB/s."
        assert any(each.startswith(note) for each in estimate("llama3-8b", own, 8).notes)
        given = "    hbm_capacity: 141 GB\n    hbm_bandwidth: 4.8 TB/s\n"
        (tmp_path / "own.yaml").write_text(entry + given)
        own = load_catalogue(tmp_path / "own.yaml").accelerator("MyChip")
        assert not any("stacks" in each for each in estimate("llama3-8b", own, 8).notes)

    def test_options_change_what_they_name(self) -> None:
        base = estimate("llama3-8b", "H100", 64, plan="tp=2").best
        slow = estimate("llama3-8b", "H100", 64, plan="tp=2", nic_Bps=1e9).best
        fast = estimate("llama3-8b", "H100", 64, plan="tp=2", precision="fp8").best
        double = estimate("llama3-8b", "H100", 64, plan="tp=2", global_batch=1024)
        short = estimate("llama3-8b", "H100", 64, plan="tp=2", seq_len=4096)
        assert base is not None
        assert slow is not None
        assert fast is not None
        assert slow.step_time_s > base.step_time_s > fast.step_time_s
        assert double.tokens_per_step == 2 * 512 * 8192 == 4 * short.tokens_per_step
        no_fp8 = estimate("llama3-8b", "A100-80GB", 64, plan="tp=2", precision="fp8")
        assert no_fp8.precision == "bf16"
        assert "A100-80GB has no FP8; it computes in BF16." in no_fp8.notes

    def test_draws(self) -> None:
        found = estimate("llama3-8b", "H100", 64, plan={"tp": 2}, draws=300)
        again = estimate("llama3-8b", "H100", 64, plan={"tp": 2}, draws=300)
        assert found.drawn_s.shape == (300,)
        np.testing.assert_array_equal(found.drawn_s, again.drawn_s)
        assert found.best is not None
        assert np.median(found.drawn_s) == pytest.approx(found.best.step_time_s, rel=0.1)
        inside = (found.drawn_s > found.best.lo_s) & (found.drawn_s < found.best.hi_s)
        assert inside.mean() > 0.9
        assert "quantiles of 300 drawn" in estimate_text(found)
        assert "of the model alone, without the scatter of a measurement" in estimate_text(found)

    def test_json_says_the_same(self, capsys: Printed) -> None:
        job = ["--model", "llama3-8b", "--accelerator", "h20", "--count", "16"]
        content = json.loads(call(capsys, *job, "--json", "--draws", "3"))
        found = estimate("llama3-8b", "H20", 16)
        assert found.best is not None
        assert content["plans"][0]["step_time_s"] == found.best.step_time_s
        assert content["plans"][0]["plan"]["recompute"] in ("none", "selective", "full")
        assert content["parts_s"] == found.parts
        assert content["notes"] == list(found.notes)
        assert len(content["drawn_s"]) == 3

    def test_options_reach_the_estimate(self, capsys: Printed) -> None:
        job = ["--model", "llama3-8b", "--accelerator", "H100", "--count", "64"]
        options = ["--plan", "tp=2", "--network", "100Gb/s", "--global-batch", "128"]
        money = ["--tokens", "15T", "--price", "1e5", "--depreciation", "3 yr", "--tariff", "0.7"]
        printed = call(capsys, *job, *options, *money, "--pue", "1.2", "--seq-len", "4096")
        for words in (
            "100 Gb/s of network",
            "128 sequences of 4,096 tokens",
            "Training on 15,000,000,000,000 tokens",
            "100,000 CNY per chip with its share of the server (--price) over 3 years",
            "1.2 (--pue) at 0.7 CNY",
        ):
            assert words in " ".join(printed.split())

    def test_memory_is_that_of_the_stack(self, capsys: Printed) -> None:
        job = ["--model", "llama3-70b", "--accelerator", "H200", "--count", "64", "--plan", "tp=8"]
        own = " ".join(call(capsys, *job, "--stack", "Megatron-LM").split())
        assert (
            "counted for Megatron-Core: weights 2, gradients 4, optimizer 12 bytes per parameter; "
            "logits stored, 6 bytes each"
        ) in own
        options = ["--memory", "loss_fused=linear,gradients=bf16,offload=optimizer"]
        changed = json.loads(call(capsys, *job, "--stack", "Megatron-LM", *options, "--json"))
        assert changed["memory_basis"] == (
            "Megatron-Core: weights 2, gradients 2, optimizer 0 bytes per parameter; logits never "
            "stored; optimizer on the host"
        )
        assert changed["memory_bytes"]["optimizer"] == 0
        assert any("optimizer on the host is timed" in note for note in changed["notes"])
        assert changed["plans"][0]["plan"]["host_optimizer"] == 100
        found = estimate("llama3-70b", "H200", 64, plan="tp=8", stack="Megatron-LM")
        halved = changed["memory_bytes"]["gradients"]
        assert halved == pytest.approx(found.memory["gradients"] / 2)

    def test_options_of_the_memory_are_checked(self, capsys: Printed) -> None:
        job = ["--model", "llama3-8b", "--accelerator", "H100", "--count", "8"]
        assert main(["estimate", *job, "--memory", "loss=linear"]) == 2
        assert "memory: loss: unknown memory option" in capsys.readouterr().err
        assert main(["estimate", "--list-columns"]) == 0
        printed = capsys.readouterr().out
        for name in (*MEMORY_OPTIONS, "chip_memory_gb", "predicted_memory_basis"):
            assert name in printed

    def test_a_calibration_of_one_s_own(self, capsys: Printed, tmp_path: Path) -> None:
        mine = tmp_path / "mine.json"
        text = (
            default_calibration().to_json().replace('"coverage_factor": ', '"coverage_factor": 9')
        )
        mine.write_text(text)
        job = ["--model", "llama3-8b", "--accelerator", "H100", "--count", "64", "--json"]
        assert main(["estimate", *job, "--calibration", str(mine)]) == 2
        assert "remove its field `checksum`" in capsys.readouterr().err
        mine.write_text(text.replace('"checksum": ', '"was": '))
        assert main(["estimate", *job, "--calibration", str(mine)]) == 0
        assert f"Note: {mine} has no checksum: it was edited" in capsys.readouterr().err
        usual = json.loads(call(capsys, *job))["plans"][0]
        edited = json.loads(text)
        del edited["checksum"]
        mine.write_text(json.dumps({**edited, "checksum": checksum(edited)}))
        wide = json.loads(call(capsys, *job, "--calibration", str(mine)))["plans"][0]
        assert wide["step_time_s"] == pytest.approx(usual["step_time_s"], rel=1e-4)
        assert wide["hi_s"] > 2 * usual["hi_s"]
