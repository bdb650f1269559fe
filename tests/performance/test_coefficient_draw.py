"""Labels, draws of coefficients, and the file of a calibration."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.notes import forget_notes
from clustersim.performance import (
    LEVELS,
    PARAMETERS,
    AcceleratorArrays,
    Coefficients,
    ModelArrays,
    Plans,
    default_calibration,
    default_draw,
    default_stack,
    evaluate,
    labels_of,
    load_calibration,
    product_of,
)
from clustersim.performance.calibration import MODEL
from clustersim.performance.stacks import same_release
from clustersim.source_code import this_code

CATALOGUE = load_catalogue()
CALIBRATION = default_calibration()
H100, SEED = CATALOGUE.accelerator("H100"), CATALOGUE.accelerator("SeedChip")
STACK = "NeMo 24.07"


def as_format_2(text: str) -> str:
    """Return the text of a calibration as version 0.1 wrote it."""
    names = {"coverage_factor": "reach", "overdispersion": "widening"}
    content = {names.get(name, name): value for name, value in json.loads(text).items()}
    return json.dumps({**content, "format": 2})


def values_of(coefficients: Coefficients) -> dict[str, np.ndarray]:
    return {p.name: getattr(coefficients, p.name) for p in PARAMETERS}


def seconds(draw, chip, stack=None, precision="bf16"):
    """Step times of one plan of Llama 3 8B on eight chips, a value a draw."""
    step = evaluate(
        ModelArrays.of([CATALOGUE.model("llama3-8b")]),
        AcceleratorArrays.of([chip], precision),
        Plans.of(tp=[2], dp=4),
        global_batch=128,
        coefficients=draw.for_chips([chip], stack, precision),
    )
    return step.step_time_s[..., 0]


def spread(chip, stack=None):
    return float(np.log(seconds(CALIBRATION.draw(200, seed=1), chip, stack)).std())


class TestLabels:
    def test_every_level(self):
        labels = labels_of(H100, STACK, "fp8")
        assert dict(zip(LEVELS, labels, strict=True)) == {
            "base": "",
            "architecture": "hopper",
            "chip": "H100",
            "product": "NeMo",
            "release": "NeMo 24.07",
            "combination": "hopper NeMo fp8",
        }

    def test_without_fp8_a_chip_computes_in_bf16(self):
        labels = labels_of(CATALOGUE.accelerator("A100-80GB"), STACK, "fp8")
        assert labels[-1] == "ampere NeMo bf16"

    def test_nothing_is_known_of_an_unknown_stack(self):
        known, rest = ("", "hopper", "H100"), "hopper unknown bf16"
        assert labels_of(H100, "our own") == (*known, "unknown", "our own", rest)
        assert labels_of(H100, "") == (*known, "unknown", "unknown", rest)
        assert labels_of(H100, "", "fp8")[-1] == "hopper unknown fp8"

    def test_no_effect_of_the_calibration_is_of_the_unknown(self):
        assert not [key for key in CALIBRATION.keys if "unknown" in key[2]]

    def test_h20_is_hopper_and_other_chips_stand_alone(self):
        assert labels_of(CATALOGUE.accelerator("H20"), STACK)[1] == "hopper"
        assert labels_of(SEED, STACK)[1] == "SeedChip"
        assert labels_of(CATALOGUE.accelerator("910B2"), STACK)[1] == "ascend"

    @pytest.mark.parametrize(
        ("stack", "product"),
        [
            ("Megatron-Bridge 25.11", "NeMo"),
            ("Megatron-DeepSpeed", "Megatron-LM"),
            ("DeepSpeed ZeRO-3", "DeepSpeed"),
            ("LLM-Foundry/Composer FSDP", "LLM Foundry"),
            ("torchtitan", "PyTorch FSDP"),
            ("ModelLink/MindSpeed-LLM 1.0.RC3", "MindSpeed"),
            ("MindSpeed/Megatron", "MindSpeed"),
            ("fms_fsdp", "PyTorch FSDP"),
            ("Primus", "Megatron-LM"),
            ("Primus (torchtitan)", "PyTorch FSDP"),
            ("ms-swift 3.8", "DeepSpeed"),
            ("ms-swift (Megatron-SWIFT)", "Megatron-LM"),
            ("verl", "PyTorch FSDP"),
            ("MindSpore Transformers", "MindSpeed"),
            ("", ""),
        ],
    )
    def test_products(self, stack, product):
        assert product_of(stack) == product

    @pytest.mark.parametrize(
        ("stack", "release"),
        [
            ("nemo-automodel 26.02", "NeMo AutoModel (PyTorch FSDP2, TE, DeepEP)"),
            ("fms_fsdp", "PyTorch FSDP + compile (fms-fsdp)"),
            ("MindFormers", "MindFormers 1.3.0"),
            ("MindSpeed-LLM 1.0.RC3", "ModelLink/MindSpeed-LLM 1.0.RC3"),
            ("PyTorch 2.9 FSDP2", ""),
            ("NeMo 24.12", ""),
            ("Megatron-Bridge", ""),
            ("", ""),
        ],
    )
    def test_a_release_under_another_spelling_counts_as_it(self, stack, release):
        known = {label for _, level, label in CALIBRATION.keys if level == "release"}
        assert same_release(stack, known) == release

    def test_default_stacks_were_measured(self):
        assert product_of(default_stack("hopper")) == "NeMo"
        assert product_of(default_stack("ascend")) == "MindSpeed"
        assert default_stack("tpu") == default_stack("other") == ""
        for architecture in ("ampere", "hopper", "hopper-h20", "blackwell", "ascend"):
            stack = default_stack(architecture)
            assert any(key[1:] == ("release", stack) for key in CALIBRATION.keys)


class TestMean:
    def test_effects_add_up_on_the_unbounded_scale(self):
        known = dict(zip(CALIBRATION.keys, CALIBRATION.spreads * CALIBRATION.mean, strict=True))
        labels = labels_of(H100, STACK, "bf16")
        found = values_of(default_draw().coefficients([labels]))
        for parameter in PARAMETERS:
            total = np.log(parameter.mean)
            if parameter.scale == "logit":
                total -= np.log(1 - parameter.mean)
            total += sum(
                known.get((parameter.name, level, label), 0.0)
                for level, label in zip(LEVELS, labels, strict=True)
            )
            natural = np.exp(total) if parameter.scale == "log" else 1 / (1 + np.exp(-total))
            assert found[parameter.name][0] == pytest.approx(natural, rel=1e-12)

    def test_an_unknown_stack_is_the_mean_of_all(self):
        unknown, other = (
            default_draw().coefficients([labels_of(H100, stack)]) for stack in ("", "our own")
        )
        assert values_of(unknown) == values_of(other)
        known = default_draw().coefficients([labels_of(H100, STACK)])
        assert known.layer_s[0] != unknown.layer_s[0]

    def test_an_unknown_chip_is_the_base(self):
        strange = dataclasses.replace(H100, name="X1", family="other")
        found = values_of(default_draw().coefficients([labels_of(strange, "")]))
        base = values_of(default_draw().coefficients([("",) * len(LEVELS)]))
        assert found == base

    def test_a_new_chip_of_a_known_family_leans_on_it(self):
        sibling = dataclasses.replace(H100, name="H199")
        found = default_draw().for_chips([sibling, H100], "")
        assert found.attention_efficiency[0] == found.attention_efficiency[1]
        assert found.matmul_efficiency[0] == pytest.approx(found.matmul_efficiency[1], rel=0.1)
        base = default_draw().coefficients([("",) * len(LEVELS)])
        assert found.attention_efficiency[0] != base.attention_efficiency[0]

    def test_fractions_and_positive_numbers(self):
        rows = [
            labels_of(CATALOGUE.accelerator(name), stack, precision)
            for name in sorted(CATALOGUE.accelerators)
            for stack in (STACK, "", "Megatron-LM")
            for precision in ("bf16", "fp8")
        ]
        found = values_of(default_draw().coefficients(rows))
        for parameter in PARAMETERS:
            assert (found[parameter.name] > 0).all()
            if parameter.scale == "logit":
                assert (found[parameter.name] < 1).all()


class TestDraws:
    labels = tuple(labels_of(CATALOGUE.accelerator(n), STACK) for n in ("H100", "SeedChip", "V100"))

    def test_same_seed_same_draws_in_any_order(self):
        forth = CALIBRATION.draw(50, seed=3).coefficients(self.labels)
        draw = CALIBRATION.draw(50, seed=3)
        alone = [draw.coefficients([label]) for label in reversed(self.labels)][::-1]
        for name, values in values_of(forth).items():
            assert values.shape == (50, 3)
            apart = np.concatenate([getattr(each, name) for each in alone], axis=-1)
            np.testing.assert_array_equal(values, apart)

    def test_other_seed_other_draws(self):
        one, two = (CALIBRATION.draw(50, seed=s).coefficients(self.labels) for s in (3, 4))
        for place in range(3):
            assert (one.layer_s[:, place] != two.layer_s[:, place]).all()

    def test_a_draw_has_one_value_for_a_chip(self):
        """The same chip has the same value in every row, known to the fit or not."""
        draw = CALIBRATION.draw(50, seed=3)
        for name in ("H100", "SeedChip"):
            chip = CATALOGUE.accelerator(name)
            found = draw.coefficients([labels_of(chip, STACK), labels_of(H100, ""), *self.labels])
            again = draw.coefficients([labels_of(chip, STACK)])
            for key, values in values_of(found).items():
                np.testing.assert_array_equal(values[:, :1], getattr(again, key))

    def test_a_single_draw_has_one_value_for_a_chip_too(self):
        draw = CALIBRATION.draw(0, seed=3)
        together = draw.coefficients(self.labels)
        apart = [draw.coefficients([label]) for label in reversed(self.labels)][::-1]
        again = CALIBRATION.draw(0, seed=3).coefficients(self.labels)
        mean, other = default_draw().coefficients(self.labels), CALIBRATION.draw(0, seed=4)
        for name, values in values_of(together).items():
            assert values.shape == (3,)
            np.testing.assert_array_equal(values, getattr(again, name))
            np.testing.assert_array_equal(
                values, np.concatenate([getattr(each, name) for each in apart])
            )
        changed = other.coefficients(self.labels).layer_s
        assert (together.layer_s != mean.layer_s).all()
        assert (together.layer_s != changed).all()
        assert all(isinstance(effect, float) for effect in draw.effects.values())
        assert seconds(draw, H100).shape == ()

    def test_single_draws_scatter_as_draws_side_by_side(self):
        alone = np.log([float(seconds(CALIBRATION.draw(0, seed=s), H100)) for s in range(150)])
        beside = np.log(seconds(CALIBRATION.draw(2000, seed=1), H100))
        assert alone.mean() == pytest.approx(beside.mean(), abs=4 * beside.std() / 150**0.5)
        assert alone.std() == pytest.approx(beside.std(), rel=0.25)

    def test_taking_rows_keeps_the_draws(self):
        found = CALIBRATION.draw(50, seed=3).coefficients(self.labels)
        taken = found.take(np.array([2, 0]))
        for name, values in values_of(found).items():
            np.testing.assert_array_equal(getattr(taken, name), values[:, [2, 0]])
        some = np.array([True, False, True])
        one = dataclasses.replace(found, layer_s=np.float64(1e-5)).take(some)
        assert one.layer_s == 1e-5
        assert one.slowdown.shape == (50, 2)

    def test_relatives_share_what_they_have_in_common(self):
        draw = CALIBRATION.draw(400, seed=3)
        hopper = dataclasses.replace(H100, name="H199")
        strange = dataclasses.replace(H100, name="X1", family="other")
        logs = np.log(draw.for_chips([H100, hopper, strange], "").attention_efficiency)
        near, distant = np.corrcoef(logs.T)[0, 1:]
        assert near > 0.95
        assert distant < 0.9

    def test_unknown_is_wider(self):
        strange = dataclasses.replace(H100, name="X1", family="other")
        known = spread(H100, default_stack("hopper"))
        assert known < 0.08  # its source is none of the measured ones
        assert spread(H100, "our own") > 2 * known
        assert spread(strange, default_stack("hopper")) > 1.5 * known
        assert spread(H100, "") == pytest.approx(spread(H100, "our own"), rel=0.15)
        assert spread(SEED) > 2 * spread(H100)

    def test_draws_scatter_about_the_mean(self):
        drawn = np.log(seconds(CALIBRATION.draw(2000, seed=2), H100))
        mean = np.log(seconds(default_draw(), H100))
        assert abs(drawn.mean() - mean) < 0.2 * drawn.std()
        assert drawn.min() < mean < drawn.max()

    def test_spread_of_the_effects_is_that_of_the_posterior(self):
        sampled = CALIBRATION.draw(4000, seed=9)
        drawn = np.array([sampled.effects[key].std() for key in CALIBRATION.keys])
        expected = CALIBRATION.overdispersion * CALIBRATION.standard_errors()
        np.testing.assert_allclose(drawn, expected, rtol=0.06)
        assert (CALIBRATION.standard_errors() <= CALIBRATION.spreads * (1 + 1e-6)).all()


class TestFile:
    def test_round_trip(self, tmp_path):
        path = tmp_path / "calibration.json"
        path.write_text(CALIBRATION.to_json(), encoding="utf-8")
        again = load_calibration(path)
        assert again.keys == CALIBRATION.keys
        np.testing.assert_allclose(again.mean, CALIBRATION.mean, atol=1e-6)
        np.testing.assert_allclose(again.centre, CALIBRATION.centre, atol=1e-6)
        np.testing.assert_allclose(again.basis, CALIBRATION.basis, atol=1e-7)
        np.testing.assert_allclose(again.strength, CALIBRATION.strength, rtol=1e-5)
        assert again.scatter == CALIBRATION.scatter
        assert again.runs == CALIBRATION.runs
        assert (again.coverage_factor, again.overdispersion) == (
            CALIBRATION.coverage_factor,
            CALIBRATION.overdispersion,
        )
        assert again.facts == CALIBRATION.facts
        assert again.to_json() == CALIBRATION.to_json()
        assert seconds(again.mean_draw(), H100) == pytest.approx(seconds(default_draw(), H100))
        drawn = [seconds(each.draw(20, seed=1), SEED) for each in (again, CALIBRATION)]
        np.testing.assert_allclose(*drawn, rtol=1e-5)

    def test_a_fit_of_other_code_is_used_with_a_note(self, tmp_path, capsys):
        path = tmp_path / "mine.json"
        here = this_code().modules_hash(*MODEL)
        for code, noted in ((here, False), ("0" * 8, True)):
            forget_notes()
            facts = {**CALIBRATION.facts, "code": code}
            path.write_text(dataclasses.replace(CALIBRATION, facts=facts).to_json())
            assert load_calibration(path).keys == CALIBRATION.keys
            shown = capsys.readouterr().err
            assert shown.startswith(f"Note: {path} was fitted by another version") == noted
            assert bool(shown) == noted

    def test_intervals_widen_with_what_is_not_known(self):
        labels = [labels_of(H100, STACK), labels_of(H100, STACK), labels_of(SEED, STACK)]
        half = CALIBRATION.half_width(np.full(3, 0.05), labels, np.array([False, True, False]))
        assert half[0] < half[1], "a mixture of experts"
        assert half[0] < half[2], "a chip without runs"
        wide = CALIBRATION.half_width(np.array([0.5]), labels[:1], np.array([False]))
        assert wide[0] > half[0], "a wide posterior"

    def test_facts_say_on_what_it_was_fitted(self):
        assert CALIBRATION.facts["rows"] == len(CALIBRATION.runs) > 500
        assert CALIBRATION.facts["publishers"] > 10

    def test_shipped_errors_on_left_out_rows(self):
        """Of rows at random; ``tests/calibration`` shows that these are the errors of the fit."""
        found = CALIBRATION.facts["left_out_rows"]
        assert found["all"]["median"] <= 0.04
        dense = found["dense"]
        assert dense["median"] <= 0.04
        assert dense["mean"] <= 0.06
        assert dense["p90"] <= 0.14
        assert all(0.85 <= part["covered"] <= 0.95 for part in found.values())

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda text: "", "is not a calibration"),
            (lambda text: "[]", "is not a calibration"),
            (lambda text: text[: len(text) // 2], "is not a calibration"),
            (lambda text: text.replace('"effects"', '"affects"'), "is not a calibration"),
            (
                lambda text: text.replace('"coverage_factor": ', '"coverage_factor": "x", "_": '),
                "is not a calibration",
            ),
            (lambda text: text.replace("matmul_traffic", "no_such"), "another version"),
            (lambda text: text.replace('"format": 4', '"format": 1'), "another version"),
            (lambda text: as_format_2(text), "another version"),
            (lambda text: text.replace('"format": 4', '"format": 99'), "another version"),
        ],
    )
    def test_broken(self, tmp_path, change, message):
        path = tmp_path / "calibration.json"
        path.write_text(change(CALIBRATION.to_json()), encoding="utf-8")
        with pytest.raises(InputError, match=message) as caught:
            load_calibration(path)
        assert caught.value.source == str(path)

    def test_bytes_that_are_no_text(self, tmp_path):
        path = tmp_path / "calibration.json"
        path.write_bytes(CALIBRATION.to_json().encode().replace(b"matmul", b"m\xffmul", 1))
        with pytest.raises(InputError, match="is damaged or not a calibration: it is not UTF-8"):
            load_calibration(path)

    def test_matrix_of_another_size(self, tmp_path):
        content = json.loads(CALIBRATION.to_json())
        content["strength"] = content["strength"][:-1]
        path = tmp_path / "calibration.json"
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(InputError, match="is not a calibration"):
            load_calibration(path)

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            load_calibration(tmp_path / "none.json")
