"""Models, precisions and engines as serving knows them."""

from __future__ import annotations

import pytest

import clustersim as cs
from clustersim.errors import InputError
from clustersim.inference import served_model
from clustersim.inference.engines import engine_of, engines
from clustersim.inference.model_facts import known_model, with_given
from clustersim.inference.precisions import PRECISIONS, compute_peak, precision_of
from clustersim.inference.served_model import shape_by_size

CATALOGUE = cs.load_catalogue()


def test_deepseek_v3_from_its_configuration() -> None:
    model = served_model("deepseek-r1")
    # 58 layers of 256 experts with three matrices of 7,168 x 2,048.
    routed = 58 * 256 * 3 * 7168 * 2048
    assert model.routed_params == pytest.approx(routed, rel=0.002)
    assert model.expert_width == pytest.approx(2048, rel=0.002)
    assert model.kv_elements == 576
    assert model.prefill_width == 128 * (192 + 128)
    assert model.decode_width == 128 * (576 + 512)
    assert model.dense_params == pytest.approx(671e9 - routed - 129280 * 7168, rel=0.1)


def test_a_dense_model_from_the_catalogue() -> None:
    model = served_model("Llama-3.3-70B-Instruct-FP8")
    assert (model.name, model.routed_params, model.expert_width) == ("llama3-70b", 0, 1)
    assert model.kv_elements == 2 * 8 * 128
    assert model.dense_params == pytest.approx(70.55e9 - 128256 * 8192)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek-v3"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", "qwen3-235b-a22b"),
        ("Kimi-K2.5", "kimi-k2-thinking"),
        ("dola-class", "doubao-class"),
        ("gpt_oss 120b", "gpt-oss-120b"),
    ],
)
def test_names_of_checkpoints_and_publishers(name: str, meant: str) -> None:
    found = known_model(name)
    assert found is not None
    assert found.name == meant


def test_an_unknown_name_suggests_the_nearest() -> None:
    assert known_model("no-such-model") is None
    with pytest.raises(InputError, match=r"did you mean 'deepseek-v3'"):
        served_model("deepsek-v3")


def test_every_listed_model_is_consistent() -> None:
    from clustersim.files import read_yaml, validate
    from clustersim.inference.model_facts import DATA, ModelFile

    listed = validate(ModelFile, read_yaml(DATA), DATA).models
    assert len(listed) > 40
    for name, facts in listed.items():
        model = served_model(name)
        assert 1.01 * model.params >= model.active_params > 0, name
        assert 0 <= model.attention_layers <= 2 * model.layers, name
        assert model.weights in PRECISIONS, name
        assert facts.source, name
        assert (model.n_experts > 0) == (model.moe_layers > 0), name


def test_given_numbers_take_precedence() -> None:
    known = known_model("qwen3-8b")
    found = with_given(known, {"layers": 40.0, "kv_heads": 4.0}, "GQA")
    assert (found.layers, found.attention_layers, found.kv_heads) == (40, 40, 4)


def test_a_model_by_its_size_alone() -> None:
    found = with_given(None, {"params": 8e9}, "")
    assert (found.layers, found.hidden, found.routed_params) == (32, 4096, 0)
    mixture = with_given(None, {"params": 2e11, "active_params": 2e10}, "MLA sparse")
    assert (mixture.latent, mixture.sparse_tokens) == (576, 2048)
    assert mixture.routed_params > 1.8e11
    assert shape_by_size(70e9, 70e9, mixture=False)["layers"] == pytest.approx(80, abs=2)


def test_precisions_of_weights_and_products() -> None:
    assert precision_of("W8A8") == "int8"
    assert precision_of("FP8 block-wise") == "fp8"
    assert PRECISIONS["fp4"].weight_bytes == 0.5 + 1 / 16
    chip = CATALOGUE.accelerator
    assert compute_peak(chip("B200"), "fp4") == ("fp4", 9e15)
    assert compute_peak(chip("H200"), "fp4") == ("bf16", 989e12)
    assert compute_peak(chip("H200"), "mxfp4") == ("fp8", 1979e12)
    assert compute_peak(chip("910C"), "int8") == ("int8", 1504e12)
    assert compute_peak(chip("A100-80GB"), "fp8") == ("bf16", 312e12)


def test_low_precision_peaks_are_above_the_others() -> None:
    from clustersim.inference.precisions import _peaks

    for name, extra in _peaks().items():
        chip = CATALOGUE.accelerator(name)
        assert chip.name == name
        for peak in (extra.int8, extra.fp4):
            assert (
                peak is None or peak >= chip.peak_flops.get("fp8", chip.peak_flops["bf16"]) * 0.99
            )


def test_engines_by_their_names() -> None:
    assert engine_of("TensorRT-LLM 1.0") == "tensorrt-llm"
    assert engine_of("vllm_ascend 0.9.1rc1") == "vllm-ascend"
    assert engine_of("") == "other"
    large, small = CATALOGUE.accelerator("H100"), CATALOGUE.accelerator("A100-80GB")
    assert engines()["vllm"].limits(large).sequences == 1024
    assert engines()["vllm"].limits(small).sequences == 256
    assert all(engine.source for engine in engines().values())
