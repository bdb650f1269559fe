"""A user's own chips and models, without code; and what is wrong with them."""

from __future__ import annotations

import jsonschema
import pytest
from ruamel.yaml import YAML

from clustersim.catalogue import HBM_GENERATIONS, load_catalogue
from clustersim.catalogue.assumptions import ASSUMPTIONS_FILE
from clustersim.catalogue.load import BUILT_IN_FILES
from clustersim.errors import InputError
from clustersim.performance.arrays import AcceleratorArrays
from clustersim.schemas import schema as schema_of

CHIP = """
accelerators:
  MyChip:
    vendor: Mine
    year: 2027
    peak_flops: {bf16: 500 TFLOP/s}
    hbm_capacity: 128 GB
    hbm_bandwidth: {value: 4 TB/s, low: 3 TB/s, high: 5 TB/s, source: my datasheet}
    scaleup_shape: mesh
    scaleup_bandwidth: 300 GB/s
    nic_bandwidth: 400 Gb/s
    chips_per_node: 8
    power: 600 W
"""
MODEL = """
models:
  my-model:
    kind: language
    layers: 40
    hidden: 5120
    heads: 40
    ffn_hidden: 13824
    vocab: 32000
    seq_len: 4096
    global_batch: 512
"""


@pytest.fixture
def load(tmp_path):
    def load_text(*texts):
        paths = []
        for number, text in enumerate(texts):
            paths.append(tmp_path / f"user{number}.yaml")
            paths[-1].write_text(text)
        return load_catalogue(*paths)

    return load_text


def problems_of(load, text):
    with pytest.raises(InputError) as caught:
        load(text)
    return str(caught.value)


def test_a_chip_of_ones_own(load):
    chip = load(CHIP).accelerator("mychip")
    assert chip.hbm_bytes == 128e9
    assert chip.nic_Bps == 50e9
    assert chip.ranges == {"hbm_Bps": (3e12, 5e12)}
    assert chip.sources["hbm_Bps"] == "my datasheet"
    assert chip.sources["power_w"] == "assumption: user0.yaml gives no source"
    assert chip.family == "other"
    assert chip.hbm_type == "unknown"
    assert chip.price is None


def test_a_model_of_ones_own(load):
    model = load(MODEL).model("my-model")
    assert model.params == pytest.approx(13.0e9, rel=0.01)
    assert model.active_params == model.params
    assert (model.kv_heads, model.head_dim, model.gated_mlp) == (40, 128, True)


def test_memory_from_stacks(load):
    catalogue = load("accelerators: {SeedChip: {extends: SeedChip, hbm_type: HBM3, hbm_stacks: 4}}")
    chip = catalogue.accelerator("SeedChip")
    assert chip.hbm_bytes == 4 * HBM_GENERATIONS["HBM3"].stack_bytes
    assert chip.hbm_Bps == 4 * HBM_GENERATIONS["HBM3"].stack_Bps
    assert chip.hypothetical
    assert chip.peak_flops["bf16"] == 200e12
    assert load_catalogue().accelerator("SeedChip").hbm_bytes == 96e9


def test_extends_keeps_the_rest(load):
    catalogue = load(
        """
accelerators:
  H20-fast: {extends: h20, peak_flops: {bf16: 200 TFLOP/s}, hbm_bandwidth: 5 TB/s}
  H20-faster: {extends: H20-fast, nic_bandwidth: 800 Gb/s}
models:
  llama3-8b-long: {extends: llama3-8b, seq_len: 131072}
  llama3-12b: {extends: llama3-8b, layers: 48}
"""
    )
    chip = catalogue.accelerator("H20-faster")
    assert chip.peak_flops == {"bf16": 200e12, "fp8": 296e12}
    assert (chip.hbm_Bps, chip.hbm_bytes, chip.nic_Bps) == (5e12, 96e9, 100e9)
    assert chip.sources["hbm_bytes"].startswith("soramidjourney")
    assert catalogue.accelerator("NVIDIA H20").name == "H20"
    assert catalogue.model("llama3-8b-long").params == 8.03e9
    assert catalogue.model("llama3-12b").params == pytest.approx(11.5e9, rel=0.01)


def test_a_later_file_wins(load):
    second = CHIP.replace("128 GB", "64 GB")
    assert load(CHIP, second).accelerator("MyChip").hbm_bytes == 64e9
    third = "accelerators: {MyChip: {extends: MyChip, power: 1 kW}}"
    chip = load(CHIP, second, third).accelerator("MyChip")
    assert (chip.hbm_bytes, chip.power_w) == (64e9, 1000.0)


def test_built_in_files_follow_the_schema():
    schema = schema_of("catalogue")
    for path in (*BUILT_IN_FILES, ASSUMPTIONS_FILE):
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        jsonschema.validate(data, schema)
    jsonschema.validate(YAML(typ="safe", pure=True).load(CHIP + MODEL), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"accelerators": {"X": {"vendors": "Mine"}}}, schema)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("vendor: Mine", "vendr: Mine", "MyChip.vendr: unknown key; did you mean 'vendor'?"),
        ("    vendor: Mine\n", "", "accelerators.MyChip.vendor: is required but absent"),
        ("128 GB", "128", "has no unit"),
        ("128 GB", "-128 GB", "is negative"),
        ("128 GB", "5 TB", "must be more than 0 and at most 4 TB"),
        ("128 GB", "0", "must be more than 0 and at most 4 TB"),
        ("128 GB", "128 GHz", "has the unit 'GHz'"),
        ("128 GB", "nan", "expected bytes, found 'nan'"),
        ("500 TFLOP/s", "500 PFLOP/s", "at most 100 PFLOP/s"),
        ("500 TFLOP/s", "500 TB/s", "has the unit 'TB/s'"),
        ("bf16: 500", "bf61: 500", "bf61"),
        ("bf16: 500", "fp8: 500", "peak_flops.bf16: is required but absent"),
        ("low: 3 TB/s", "low: 4.5 TB/s", "must satisfy low <= value <= high"),
        ("source: my datasheet", "sorce: x", "hbm_bandwidth.sorce: unknown key"),
        ("shape: mesh", "shape: ring", "unknown value 'ring'"),
        ("chips_per_node: 8", "chips_per_node: 0", "chips_per_node: input should be greater"),
        ("chips_per_node: 8", "chips_per_node: 2.5", "MyChip.chips_per_node"),
        ("year: 2027", "year: 27", "MyChip.year"),
        ("power: 600 W", "power: 600 kW", "at most 20 kW"),
        ("400 Gb/s", "400 TB/s", "at most 10 TB/s"),
        (
            "    power: 600 W",
            "    price: {low: 2 USD, high: 1 USD}",
            "must satisfy 0 < low <= high",
        ),
        ("    power: 600 W", "    price: {low: 1 USD, high: 2 CNY}", "same currency"),
        ("    vendor: Mine", "    extends: H2OO", "extends: unknown name 'H2OO'"),
        ("    vendor: Mine", "    vendor: Mine\n    aliases: [H200]", "'H200' is already used by"),
        ("  MyChip:", "  h200:", "is already used by 'H200'"),
        ("accelerators:", "accelerator:", "accelerator: unknown key; did you mean 'accelerators'"),
        ("128 GB\n", "128 GB\n    hbm_capacity: 1 GB\n", "hbm_capacity"),
    ],
)
def test_bad_chips(load, old, new, text):
    assert old in CHIP
    assert text in problems_of(load, CHIP.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("    layers: 40\n", "", "models.my-model.layers: is required but absent"),
        ("layers: 40", "layer: 40", "did you mean 'layers'"),
        ("layers: 40", "layers: -40", "my-model.layers"),
        ("layers: 40", "layers: 40000", "my-model.layers"),
        ("layers: 40", "layers: forty", "my-model.layers"),
        ("kind: language", "kind: speech", "unknown value 'speech'"),
        ("    vocab: 32000\n", "", "my-model.vocab: is required but absent"),
        ("vocab: 32000", "vocab: 0", "must be 1 or more for a language model"),
        ("heads: 40", "heads: 40\n    kv_heads: 7", "kv_heads: must divide heads (40), found 7"),
        ("heads: 40", "heads: 40\n    params: 130e9", "differs by more than 25 %"),
        ("heads: 40", "heads: 40\n    top_k: 2", "top_k: can only be set together with n_experts"),
        ("heads: 40", "heads: 40\n    n_experts: 8\n    top_k: 9", "must be 1 to n_experts (8)"),
        (
            "heads: 40",
            "heads: 40\n    n_experts: 8\n    top_k: 2",
            "expert_ffn_hidden: is required",
        ),
        ("heads: 40", "heads: 40\n    sources: {layer: x}", "sources.layer: unknown field"),
        ("    kind: language", "    extends: llama9", "extends: unknown name 'llama9'"),
    ],
)
def test_bad_models(load, old, new, text):
    assert old in MODEL
    assert text in problems_of(load, MODEL.replace(old, new))


def test_all_problems_at_once(load):
    text = CHIP.replace("128 GB", "128 TB").replace("vendor", "vendr") + MODEL.replace(
        "layers: 40", "layers: -1"
    )
    message = problems_of(load, text)
    assert "3 problems" in message
    assert "user0.yaml" in message


def test_circles_are_found(load):
    text = "accelerators: {A: {extends: B}, B: {extends: A}}"
    assert "entries extend each other: A -> B -> A" in problems_of(load, text)


def test_unknown_memory_needs_its_capacity(load):
    text = "accelerators: {A: {extends: H20, hbm_type: HBM9, hbm_stacks: 4}}"
    message = problems_of(load, text)
    assert "'HBM9' is not a known memory generation" in message
    assert "hbm_capacity" in message


OWN = """
accelerators:
  Mine: {extends: H200, power: 999 W, scaleup_size: 4}
  Sourced: {extends: H200, source: our datasheet, nic_bandwidth: 800 Gb/s}
  Heir: {extends: Mine}
prices: {H200: {low: 200000 CNY, high: 200000 CNY}}
models: {Slim: {extends: llama3-8b, layers: 16}}
"""


def test_what_an_entry_changes_has_its_own_source_and_the_rest_keeps_its(load):
    built_in, own = load(), load(OWN)
    before = built_in.accelerator("H200").sources
    none = "assumption: user0.yaml gives no source"
    mine = own.accelerator("Mine").sources
    # The shape and the size of the scale-up link have one source, scaleup_source.
    shown = ("power_w", "scaleup_size", "scaleup_shape", "price")
    assert mine == {**before, **dict.fromkeys(shown, none)}
    assert own.accelerator("Heir").sources == mine
    sourced = own.accelerator("Sourced").sources
    assert sourced["nic_Bps"] == "our datasheet"
    assert sourced["hbm_bytes"] == before["hbm_bytes"]
    assert own.accelerator("H200").sources == {**before, "price": none}
    slim, base = own.model("Slim"), built_in.model("llama3-8b")
    assert slim.sources["layers"] == none
    assert slim.sources["hidden"] == base.sources["hidden"]


def test_chips_say_which_file_their_price_is_from(load):
    own = load(OWN)
    names = ("H200", "H100", "Mine", "Sourced")
    files = [own.accelerator(name).price_file for name in names]
    assert files == ["user0.yaml", "", "user0.yaml", "user0.yaml"]


@pytest.mark.parametrize("size", ["180 GiB", "180 GB", "184320 MiB", {"value": "180 GiB"}])
def test_memory_in_binary_units_is_counted_once(load, size) -> None:
    """180 GiB, in whatever unit: estimates count 180 * 2**30 bytes."""
    text = CHIP.replace("hbm_capacity: 128 GB", f"hbm_capacity: {size!r}")
    chip = load(text).accelerator("MyChip")
    assert chip.hbm_bytes == 180e9
    (counted,) = AcceleratorArrays.of([chip]).hbm_bytes
    assert counted == pytest.approx(180 * 2**30, rel=1e-12)
