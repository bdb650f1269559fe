"""What an estimate leans on, and the correction of a search's best plan."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import clustersim as cs
from clustersim.cli.texts.estimate_text import estimate_data, estimate_text
from clustersim.estimation import predict_table
from clustersim.estimation.evidence import evidence_of
from clustersim.estimation.selection import corrected, published_plan
from clustersim.performance import default_calibration, labels_of

CALIBRATION = default_calibration()
CATALOGUE = cs.load_catalogue()
FACTS = {"plans": {"dense": {"scatter": 0.06, "variation": 0.12, "comparisons": 99}}}
KNOWN = dataclasses.replace(CALIBRATION, facts=FACTS)
RUN = CALIBRATION.runs.nearest("H100", mixture=False, params=8e9, count=8)
PLAN = {"tp": 2, "pp": 1, "dp": 4}


@pytest.fixture(scope="module")
def found():
    return cs.estimate("llama3-70b", "H100", 64)


def test_counts_are_those_of_the_calibration():
    runs = CALIBRATION.runs.runs
    job = evidence_of(CALIBRATION, "H20", mixture=True, params=30e9, count=16, adapters=True)
    assert job.on_chip == sum(run.chip == "H20" for run in runs)
    assert job.of_kind_on_chip == sum(run.chip == "H20" and run.mixture for run in runs)
    assert job.of_kind == sum(run.mixture for run in runs)
    assert (job.nearest.chip, job.nearest.mixture) == ("H20", True)


def test_packed_documents_that_attend_to_themselves_take_less_attention():
    job = {"plan": "tp=2", "global_batch": 64, "seq_len": 8192}
    whole, packed = (
        cs.estimate("llama3-8b", "H100", 8, **job, document_tokens=tokens)
        for tokens in (None, 1024)
    )
    chip = [labels_of(CATALOGUE.accelerator("H100"), whole.stack)]
    ramp = float(CALIBRATION.mean_draw().coefficients(chip).attention_ramp[0])
    both = [3.5 * span + (1 + 2.5 * 415 / 240) * ramp for span in (512, 4096)]
    ratio = packed.parts["attention"] / whole.parts["attention"]
    assert ratio == pytest.approx(both[0] / both[1])
    assert packed.parts["matmul"] == whole.parts["matmul"]
    row = {"model": "llama3-8b", "accelerator": "H100", "n_accelerators": "8", "tp": "2"}
    table = [{**row, "global_batch": "64", "seq_len": "8192", "document_tokens": "1024"}]
    seconds = predict_table(pd.DataFrame(table)).table["predicted_step_time_s"]
    assert float(seconds[0]) == pytest.approx(packed.best.step_time_s, rel=1e-4)
    assert "of 8,192 tokens with documents of 1,024: " in estimate_text(packed)
    with pytest.raises(cs.InputError, match="document_tokens: must be a whole number from 1 to"):
        cs.estimate("llama3-8b", "H100", 8, document_tokens=0)


def test_a_chip_without_runs_leans_on_others():
    text = str(evidence_of(CALIBRATION, "SeedChip", mixture=False, params=8e9, count=8))
    assert text.startswith("based on 0 runs on SeedChip, 0 of dense models (")
    assert "nearest published run: " in text
    assert "https://" in text


def test_a_run_that_trained_adapters_is_named_so():
    job = {"mixture": False, "params": 70e9, "count": 8}
    assert not evidence_of(CALIBRATION, "H200", **job).nearest.adapters
    found = evidence_of(CALIBRATION, "H200", **job, adapters=True)
    assert found.nearest.adapters
    assert "nearest published run: Llama-2 70B, adapters (LoRA) on " in str(found)
    whole = dataclasses.replace(found, nearest=RUN)
    assert "LoRA" not in str(whole)


def test_a_mixture_on_a_chip_without_mixtures_leans_on_mixtures_of_its_architecture():
    job = {"mixture": True, "params": 235e9, "count": 256}
    found = evidence_of(CALIBRATION, "H200-NVL", **job, architecture="hopper")
    assert found.of_kind_on_chip == 0
    assert found.nearest.mixture
    assert CATALOGUE.accelerator(found.nearest.chip).family == "hopper"
    assert evidence_of(CALIBRATION, "B200", **job, architecture="blackwell").nearest.chip == "B200"


def test_error_is_that_of_left_out_publishers_of_this_kind():
    kinds = {"left_out_publishers": 0.31, "left_out_rows": 0.08}
    facts = {name: {"mixture": {"median": median}} for name, median in kinds.items()}
    calibration = dataclasses.replace(CALIBRATION, facts=facts)
    mixture = evidence_of(calibration, "H100", mixture=True, params=30e9, count=16)
    dense = evidence_of(calibration, "H100", mixture=False, params=30e9, count=16)
    assert (mixture.left_out_error, dense.left_out_error) == (0.31, None)
    assert str(mixture).endswith(": 8 % for single runs, 31 % for all runs of a publisher")
    assert "left out" not in str(dense)


def test_the_command_says_it_in_text_and_json(found):
    assert "\nbased on " in estimate_text(found)
    data = estimate_data(found)["evidence"]
    assert data["on_chip"] == CALIBRATION.runs.on(chip="H100") > 100
    assert data["nearest"]["source"].startswith("https://")


def test_the_table_says_it():
    row = {"model": "llama3-8b", "accelerator": "H100", "n_accelerators": "8", "tp": "2"}
    table = pd.DataFrame([{**row, "global_batch": "128"}, {**row, "accelerator": "no chip"}])
    basis = predict_table(table).table["predicted_basis"]
    assert basis[0].startswith(f"based on {CALIBRATION.runs.on(chip='H100')} runs on H100, ")
    assert basis[1] == ""


def test_an_assumed_stack_has_the_interval_of_an_unknown_stack(found):
    """Whoever names no stack does not say that it is the recipe that is assumed."""
    known = cs.estimate("llama3-70b", "H100", 64, stack=found.stack)
    assert known.best.step_time_s == found.best.step_time_s
    width = [np.log(each.best.hi_s / each.best.lo_s) for each in (known, found)]
    assert width[0] < width[1]
    unknown = cs.estimate("llama3-70b", "H100", 64, stack="unknown", plan=dict(found.best.plan))
    assert width[1] == pytest.approx(np.log(unknown.best.hi_s / unknown.best.lo_s))


class TestSelection:
    def test_gain_is_shrunk_by_the_share_of_error(self):
        one = corrected(KNOWN, 8.0, PLAN, 10.0, RUN)
        assert one.gain == pytest.approx(0.2)
        assert one.uncertainty == pytest.approx(0.06 * np.sqrt(2))
        assert one.corrected_s == pytest.approx(10.0 * 0.8**0.8)
        assert not one.prefers_published
        assert "the gain of 20.0 % exceeds the uncertainty of comparing two plans (8.1 %)" in str(
            one
        )

    def test_the_percentages_agree_with_the_verdict(self):
        """A gain just above the uncertainty: both are shares of the published plan's time."""
        least = np.exp(-0.06 * np.sqrt(2))
        one = corrected(KNOWN, 10.0 * (least - 1e-3), PLAN, 10.0, RUN)
        assert not one.prefers_published
        assert "gain of 8.2 % exceeds the uncertainty of comparing two plans (8.1 %)" in str(one)

    def test_a_gain_within_the_uncertainty(self):
        one = corrected(KNOWN, 9.5, PLAN, 10.0, RUN)
        assert one.prefers_published
        assert one.best_s < one.corrected_s < one.plan_s
        assert "prefer the published plan" in str(one)

    def test_a_published_plan_that_is_faster(self):
        one = corrected(KNOWN, 11.0, PLAN, 10.0, RUN)
        assert (one.gain, one.corrected_s) == (pytest.approx(-0.1), 10.0)
        assert one.prefers_published
        expected = "takes 10 s, no longer than the best plan of the search: prefer the published"
        assert expected in str(one)

    def test_nothing_to_correct(self):
        mixture = dataclasses.replace(RUN, mixture=True)
        assert corrected(KNOWN, 8.0, PLAN, 10.0, mixture) is None, "nothing is known of mixtures"

    def test_the_plan_is_possible_and_of_the_same_kind(self, found):
        compared = found.selection
        assert compared.best_s == found.best.step_time_s
        assert compared.best_s < compared.corrected_s < compared.plan_s
        plan, run = compared.plan, compared.run
        assert plan["tp"] * plan["pp"] * plan["dp"] * plan["cp"] == 64
        assert not run.mixture
        again = cs.estimate("llama3-70b", "H100", 64, plan=dict(plan))
        assert again.best.step_time_s == pytest.approx(compared.plan_s)
        assert again.best.fits
        assert again.selection is None, "a plan was given"

    def test_the_dispatcher_is_that_of_the_job(self):
        """DeepEP of a published run does not make a plan of another chip and software."""
        catalogue = cs.load_catalogue()
        job = (catalogue.model("qwen3-235b-a22b"), catalogue.accelerator("910B3"), 1024, 512)
        tried = []
        published_plan(CALIBRATION, *job, lambda plan: tried.append(plan) or 1.0)
        assert tried
        assert {plan["dispatcher"] for plan in tried} == {0}

    def test_no_published_plan_fits(self):
        catalogue = cs.load_catalogue()
        job = (catalogue.model("llama3-8b"), catalogue.accelerator("H100"), 8, 128)
        assert published_plan(CALIBRATION, *job, lambda plan: np.inf) is None


def test_a_plan_with_the_optimizer_on_the_host_is_compared_like_any_other():
    """`offload` is an option of the memory, not a plan that somebody gave."""
    job = ("llama3-70b", "H100", 64)
    assert cs.estimate(*job, memory="offload=optimizer").selection is not None
    assert cs.estimate(*job, plan="tp=8", memory="offload=optimizer").selection is None


@pytest.mark.parametrize(
    ("plan", "memory"),
    [("tp=2,host_optimizer=100", None), ("host_optimizer=0", "offload=optimizer")],
)
def test_a_plan_that_contradicts_the_offload_is_refused(plan, memory):
    with pytest.raises(cs.InputError, match="host_optimizer: must agree with the memory option"):
        cs.estimate("llama3-8b", "H100", 8, plan=plan, memory=memory)


def test_the_optimizer_on_the_host_takes_as_long_in_every_stack():
    """8.03 billion parameters; 0.257 s for each billion, times the chips of a host, and 0.16 s."""
    for count, each in ((1, 0.417), (8, 2.216), (64, 2.216)):
        for stack in ("DeepSpeed", "Megatron-LM"):
            found = cs.estimate("llama3-8b", "H100", count, plan="zero=0", stack=stack,
                                memory="offload=optimizer")  # fmt: skip
            assert found.parts["optimizer"] == pytest.approx(8.03 * each, rel=1e-3)


def test_amounts_that_can_hardly_be_meant_are_noted():
    job = {"plan": "tp=2", "global_batch": 64}
    few = cs.estimate("llama3-8b", "H100", 8, **job, tokens=15)
    assert "The tokens of the training are fewer than those of one step." in few.notes
    long = cs.estimate("llama3-8b", "H100", 8, **job, seq_len=8192, document_tokens=9000)
    assert "Documents of 9,000 tokens are longer than a sequence." in long.notes
    frozen = cs.estimate("llama3-8b", "H100", 8, plan="tp=2,lora=1", memory="weights=nf4")
    assert "The conversion of compressed weights for each product is not timed." in frozen.notes
    plain = cs.estimate("llama3-8b", "H100", 8, **job).notes
    assert not any(word in " ".join(plain) for word in ("fewer", "longer", "conversion"))
