"""The built-in catalogue: names, sources, and numbers against the table of measurements."""

from __future__ import annotations

import csv
import dataclasses

import pytest

from clustersim.catalogue import (
    CNY_PER_USD,
    HBM_GENERATIONS,
    Accelerator,
    Model,
    hypothetical_note,
    load_catalogue,
    seedchip,
)
from clustersim.catalogue.load import BUILT_IN_FILES
from clustersim.errors import InputError
from clustersim.files import read_yaml

CATALOGUE = load_catalogue()
ACCELERATORS = [
    "H200",
    "H20",
    "H20-141GB",
    "910B1",
    "910B2",
    "910B3",
    "910B4",
    "SeedChip",
    "H100",
    "H800",
    "A100-40GB",
    "A100-80GB",
    "A800",
    "910C",
    "B200",
    "P800",
    "810E",
    "950DT",
    "950PR",
]
MODELS = [
    "gpt3-175b",
    "gpt3-5b",
    "gpt3-20b",
    "llama2-7b",
    "llama2-13b",
    "llama2-70b",
    "llama3-8b",
    "llama3-70b",
    "llama3-405b",
    "mpt-7b",
    "mpt-30b",
    "qwen2-72b",
    "nemotron-4-15b",
    "mixtral-8x7b",
    "mixtral-8x22b",
    "qwen3-30b-a3b",
    "qwen3-235b-a22b",
    "grok-1",
    "deepseek-v3",
    "qwen3-0.6b",
    "qwen3-1.7b",
    "qwen3-4b",
    "qwen3-8b",
    "qwen3-14b",
    "qwen3-32b",
    "qwen2.5-0.5b",
    "qwen2.5-1.5b",
    "qwen2.5-3b",
    "qwen2.5-7b",
    "qwen2.5-14b",
    "qwen2.5-32b",
    "llama3.2-1b",
    "llama3.2-3b",
    "codellama-34b",
    "nemotron-4-340b",
    "qwen2-57b-a14b",
    "deepseek-v2",
    "deepseek-v2-lite",
    "deepseekmoe-16b",
    "kimi-k2",
    "moonlight-16b",
    "glm-4.5",
    "glm-4.5-air",
    "gpt-oss-20b",
    "gpt-oss-120b",
    "llama4-scout",
    "llama4-maverick",
    "olmoe-1b-7b",
    "dots-llm1",
    "seed-oss-36b",
    "doubao-class",
    "jimeng-class",
    "wan-14b",
    "wan-1.3b",
    "hunyuan-video",
    "flux-1",
]
TABLE_NAMES = {
    "A100-40GB SXM": "A100-40GB",
    "A100-80GB SXM": "A100-80GB",
    "A800-80GB SXM": "A800",
    "H100 SXM": "H100",
    "H800 SXM": "H800",
    "H200 SXM": "H200",
    "H20 SXM": "H20",
    "H20-141GB SXM": "H20-141GB",
    "Ascend 910B1": "910B1",
    "Ascend 910B2": "910B2",
    "Ascend 910B3": "910B3",
    "Ascend 910B4": "910B4",
    "Ascend 910C (package, 2 dies)": "910C",
    "Kunlun P800": "P800",
    "Alibaba Zhenwu 810E / T-Head PPU": "810E",
    "Ascend 950DT (outlook)": "950DT",
    "B200 SXM (outlook)": "B200",
    "SeedChip": "SeedChip",
}


def test_names():
    main = {name for name, chip in CATALOGUE.accelerators.items() if not chip.reference_only}
    assert main == set(ACCELERATORS)
    assert set(CATALOGUE.models) == set(MODELS)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("910B", "910B2"),
        ("ascend 910b", "910B2"),
        ("Ascend 910B2", "910B2"),
        ("Kunlun P800", "P800"),
        ("Zhenwu 810E", "810E"),
        ("h200", "H200"),
        (" H20 ", "H20"),
    ],
)
def test_aliases_and_case(alias, name):
    assert CATALOGUE.accelerator(alias).name == name


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(InputError, match="unknown accelerator 'H2000'; did you mean 'H200'"):
        CATALOGUE.accelerator("H2000")
    with pytest.raises(InputError, match="did you mean 'llama3-70b'"):
        CATALOGUE.model("llama-70b")
    with pytest.raises(InputError, match="unknown accelerator or model"):
        CATALOGUE.find("nothing like it")


def test_no_two_files_of_the_catalogue_have_one_name():
    names = [
        name
        for path in BUILT_IN_FILES
        for section in ("accelerators", "models")
        for name in read_yaml(path).get(section, {})
    ]
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", CATALOGUE.accelerators)
def test_every_number_of_a_chip_has_a_source(name):
    chip = CATALOGUE.accelerators[name]
    numbers = {f"peak_flops.{precision}" for precision in chip.peak_flops}
    numbers |= {"hbm_bytes", "hbm_Bps", "scaleup_Bps", "nic_Bps", "power_w"}
    assert numbers <= chip.sources.keys()
    assert numbers <= chip.confidence.keys()
    others = {"hbm_type", "hbm_stacks", "scaleup_shape", "scaleup_size", "chips_per_node"}
    assert others | {"export_status"} <= chip.sources.keys()
    assert all(len(text) > 5 for text in chip.sources.values())
    assert (chip.price_low is None) == ("price" not in chip.sources)
    assert not any("gives no source" in text for text in chip.sources.values())
    for key, (low, high) in chip.ranges.items():
        value = chip.peak_flops[key[11:]] if "." in key else getattr(chip, key)
        assert low <= value <= high


@pytest.mark.parametrize("name", CATALOGUE.accelerators)
def test_assumptions_are_estimates(name):
    chip = CATALOGUE.accelerators[name]
    guessed = {key for key, text in chip.sources.items() if text.startswith("assumption:")}
    assert {chip.confidence.get(key, "estimate") for key in guessed} <= {"estimate"}


@pytest.mark.parametrize("name", MODELS)
def test_every_number_of_a_model_has_a_source(name):
    model = CATALOGUE.models[name]
    fields = {field.name for field in dataclasses.fields(Model)}
    assert fields - {"name", "aliases", "sources", "document_tokens"} <= model.sources.keys()
    assert not any("gives no source" in text for text in model.sources.values())
    assert model.assumptions.items() <= model.sources.items()


@pytest.mark.parametrize("name", MODELS)
def test_counted_parameters_agree_with_the_published(name):
    model = CATALOGUE.models[name]
    total, active = model.count_params()
    if model.kind == "language":
        assert total == pytest.approx(model.params, rel=0.02)
    else:  # weights for text beside those for video or images process other tokens
        least = 0.5 if name in ("hunyuan-video", "flux-1") else 0.84
        assert least * model.params < total <= model.params
    assert active == pytest.approx(model.active_params, rel=0.02)


def test_named_facts():
    chip = CATALOGUE.accelerator("910B")
    assert chip.scaleup_shape == "mesh"
    assert chip.scaleup_Bps / 7 == pytest.approx(28e9)
    assert chip.peak_flops["bf16"] == 353.9e12
    assert chip.nic_Bps == 25e9
    assert CATALOGUE.accelerator("910C").scaleup_size == 384
    assert CATALOGUE.accelerator("H200").price == 1.5e6 / 8
    assert CATALOGUE.accelerator("H20").price_low == 12000 * CNY_PER_USD
    assert CATALOGUE.accelerator("SeedChip").price_high == 110000
    assert CATALOGUE.accelerator("A800").price is None
    assert CATALOGUE.model("deepseek-v3").active_params == 37e9
    assert CATALOGUE.model("jimeng-class").kind == "video-diffusion"
    assert CATALOGUE.model("jimeng-class").seq_len == 21 * 30 * 52
    assert CATALOGUE.model("flux-1").kind == "image-diffusion"
    assert CATALOGUE.model("hunyuan-video").seq_len == 33 * 45 * 80 + 256
    assert CATALOGUE.model("doubao-class").params == 200e9


def test_numbers_agree_with_the_table_of_measurements(shared_data):
    with (shared_data / "measurements" / "accelerators.csv").open(newline="") as file:
        rows = {row["chip"]: row for row in csv.DictReader(file)}
    columns = {
        "hbm_gb": lambda chip: chip.hbm_bytes / 1e9,
        "hbm_bw_GBps": lambda chip: chip.hbm_Bps / 1e9,
        "peak_bf16_tflops_dense": lambda chip: chip.peak_flops["bf16"] / 1e12,
        "peak_fp8_tflops_dense": lambda chip: chip.peak_flops["fp8"] / 1e12,
        "scaleup_uni_GBps_per_chip": lambda chip: chip.scaleup_Bps / 1e9,
        "scaleout_nic_gbps_per_chip": lambda chip: chip.nic_Bps * 8 / 1e9,
        "tdp_w": lambda chip: chip.power_w,
        "chips_per_node": lambda chip: chip.chips_per_node,
        "year": lambda chip: chip.year,
    }
    compared = 0
    for table_name, name in TABLE_NAMES.items():
        for column, value in columns.items():
            if rows[table_name][column]:
                assert value(CATALOGUE.accelerators[name]) == pytest.approx(
                    float(rows[table_name][column])
                ), (name, column)
                compared += 1
    assert compared > 100


def test_seedchip_is_hypothetical_and_says_so():
    chip = CATALOGUE.accelerator("SeedChip")
    assert chip.hypothetical
    assert all(text for key, text in chip.sources.items() if key != "export_status")
    note = hypothetical_note([chip, CATALOGUE.accelerator("H200")])
    assert note is not None
    assert note.startswith("Note: SeedChip is hypothetical")
    assert hypothetical_note([CATALOGUE.accelerator("H200")]) is None
    assert [c.name for c in CATALOGUE.accelerators.values() if c.hypothetical] == ["SeedChip"]


@pytest.mark.parametrize("hbm_type", ["HBM2e", "HBM3", "HBM3E"])
@pytest.mark.parametrize("stacks", [4, 5, 6])
def test_seedchip_memory_follows_from_its_stacks(hbm_type, stacks):
    chip = seedchip(hbm_type=hbm_type, hbm_stacks=stacks)
    generation = HBM_GENERATIONS[hbm_type]
    assert chip.hbm_bytes == stacks * generation.stack_bytes
    assert chip.hbm_Bps == stacks * generation.stack_Bps
    assert chip.hypothetical
    assert chip.sources["hbm_bytes"].startswith(f"{stacks} stacks of {hbm_type}")
    low, high = chip.ranges["hbm_Bps"]
    assert low <= chip.hbm_Bps <= high


def test_seedchip_peak_keeps_the_fp8_ratio():
    chip = seedchip(peak_bf16=300e12)
    assert chip.peak_flops == {"bf16": 300e12, "fp8": 600e12}


def test_bad_seedchips():
    with pytest.raises(InputError, match="must be 4 to 6 for SeedChip, found 8"):
        seedchip(hbm_stacks=8)
    with pytest.raises(InputError, match="unknown HBM type 'HBM5'"):
        seedchip(hbm_type="HBM5")
    with pytest.raises(InputError, match="peak_bf16"):
        seedchip(peak_bf16=-1.0)


def test_generic_memory_change():
    chip = CATALOGUE.accelerator("H20").with_hbm("hbm3e", 6)
    assert (chip.hbm_bytes, chip.hbm_Bps, chip.hbm_type) == (144e9, 4.8e12, "HBM3E")
    with pytest.raises(InputError, match="1 to 16"):
        chip.with_hbm("HBM3", 0)


def test_catalogue_is_immutable():
    with pytest.raises(TypeError):
        CATALOGUE.accelerators["X"] = CATALOGUE.accelerator("H200")  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        CATALOGUE.accelerator("H200").year = 1999  # type: ignore[misc]


def test_with_accelerator():
    mine = dataclasses.replace(CATALOGUE.accelerator("H200"), name="mine", aliases=())
    more = CATALOGUE.with_accelerator(mine)
    assert isinstance(more.accelerator("MINE"), Accelerator)
    assert "mine" not in CATALOGUE.accelerators


def test_ranges_can_be_drawn_from():
    chip = CATALOGUE.accelerator("SeedChip")
    low = chip.at(hbm_Bps=chip.ranges["hbm_Bps"][0], peak_flops={"bf16": 120e12})
    assert low.hbm_Bps == 1.6e12
    assert low.peak_flops == {"bf16": 120e12, "fp8": 400e12}
    assert chip.peak_flops["bf16"] == 200e12
