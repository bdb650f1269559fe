"""Chips of published training runs: their names as papers spell them, and their datasheets."""

from __future__ import annotations

import csv
import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError

CATALOGUE = load_catalogue()
REFERENCES = {name: chip for name, chip in CATALOGUE.accelerators.items() if chip.reference_only}
PUBLISHED = {
    "H100-SXM": "H100",
    "A100-80GB": "A100-80GB",
    "Ascend-910B": "910B2",
    "A100-40GB": "A100-40GB",
    "B200-SXM": "B200",
    "H200-SXM": "H200",
    "A800-80GB": "A800",
    "H800-SXM": "H800",
    "H20": "H20",
    "Ascend-910C": "910C",
    "H200-NVL": "H200-NVL",
}
SPELLINGS = {
    "H100 SXM5 80GB": "H100",
    "H100-SXM5": "H100",
    "NVIDIA H100 80GB HBM3": "H100",
    "h100": "H100",
    "NVIDIA H100 PCIe": "H100-PCIe",
    "NVIDIA H100 NVL": "H100-NVL",
    "NVIDIA H200": "H200",
    "H200_141GB": "H200",
    "NVIDIA H20": "H20",
    "A100": "A100-80GB",
    "A100-SXM4-80GB": "A100-80GB",
    "NVIDIA A100-SXM4-40GB": "A100-40GB",
    "A100-SXM-40GB": "A100-40GB",
    "NVIDIA A100 80GB PCIe": "A100-PCIe-80GB",
    "NVIDIA A100-PCIE-40GB": "A100-PCIe-40GB",
    "A800-SXM4-80GB": "A800",
    "H800 SXM": "H800",
    "Ascend 910B": "910B2",
    "Huawei Ascend910B3": "910B3",
    "ascend_910c": "910C",
    "Ascend 910": "910A",
    "B200": "B200",
    "GB200": "GB200",
    "GB200 NVL72": "GB200",
    "GB300-NVL72": "GB300",
    "Tesla V100-SXM2-16GB": "V100-SXM2-16GB",
    "V100": "V100-SXM2-32GB",
    "NVIDIA GeForce RTX 4090": "RTX-4090",
    "AMD Instinct MI300X": "MI300X",
    "MI250X GCD": "MI250X-GCD",
    "TPUv4": "TPU-v4",
    "Cloud TPU v5e": "TPU-v5e",
    "Trillium": "TPU-v6e",
    "Intel Gaudi 2": "Gaudi2",
    "Trn2": "Trainium2",
}


@pytest.mark.parametrize(("spelling", "name"), [*PUBLISHED.items(), *SPELLINGS.items()])
def test_usual_spellings(spelling, name):
    assert CATALOGUE.accelerator(spelling).name == name
    assert CATALOGUE.find(spelling).name == name


def test_every_chip_of_the_table_of_measurements_is_known(shared_data):
    with (shared_data / "measurements" / "training.csv").open(newline="") as file:
        names = {row["accelerator"] for row in csv.DictReader(file)}
    assert {name: CATALOGUE.accelerator(name).name for name in names} == PUBLISHED


@given(
    chip=st.sampled_from(list(CATALOGUE.accelerators.values())),
    separator=st.sampled_from(["-", "_", " ", " - "]),
    upper=st.booleans(),
    vendor=st.booleans(),
    data=st.data(),
)
def test_case_separators_and_vendor_do_not_matter(chip, separator, upper, vendor, data):
    spelling = data.draw(st.sampled_from([chip.name, *chip.aliases]))
    text = f"{chip.vendor} {spelling}" if vendor else spelling
    text = text.replace("-", separator).replace(" ", separator)
    assert CATALOGUE.accelerator(text.upper() if upper else text.lower()) is chip


def test_separators_are_not_dropped():
    with pytest.raises(InputError, match="did you mean 'llama2-7b'"):
        CATALOGUE.model("llama-27b")
    with pytest.raises(InputError, match="unknown accelerator"):
        CATALOGUE.accelerator("")


def test_names_go_before_aliases_and_aliases_before_vendors():
    chip = CATALOGUE.accelerator("H20")
    shadow = dataclasses.replace(chip, name="NVIDIA A100", aliases=("NVIDIA H100",), vendor="X")
    more = CATALOGUE.with_accelerator(shadow)
    assert more.accelerator("nvidia-a100") is shadow
    assert more.accelerator("nvidia-h100") is shadow
    assert more.accelerator("A100").name == "A100-80GB"


WITHOUT_DATASHEET = ("L20", "H100-96GB")
"""Chips that NVIDIA sells without a public datasheet."""


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_chips_are_plausible(name):
    chip = REFERENCES[name]
    assert not chip.hypothetical
    assert chip.price is None
    assert chip.family != "other"
    fp8 = chip.peak_flops.get("fp8", 2 * chip.peak_flops["bf16"])
    assert 1.0 <= fp8 / chip.peak_flops["bf16"] <= 2.05
    assert chip.scaleup_shape != "mesh" or chip.scaleup_size <= 8
    known = ("official", "press") if name in WITHOUT_DATASHEET else ("official",)
    assert chip.confidence["peak_flops.bf16"] in known
    assert chip.confidence["hbm_bytes"] in known
    operations_per_byte = chip.peak_flops["bf16"] / chip.hbm_Bps
    assert 70 < operations_per_byte < 600


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # dense BF16 (V100: FP16) and FP8 in TFLOP/s, memory GB and GB/s, link GB/s one way, W
        ("V100", (125, None, 32, 900, 150, 300)),
        ("A100-PCIe", (312, None, 80, 1935, 31.5, 300)),
        ("H200-NVL", (835.5, 1670.5, 141, 4800, 450, 600)),
        ("GB200", (2500, 5000, 186, 8000, 900, 1200)),
        ("L40", (181, 362, 48, 864, 31.5, 300)),
        ("H100-96GB", (835, 1671, 96, 2400, 450, 500)),
        ("L40S", (362, 733, 48, 864, 31.5, 350)),
        ("MI300X", (1307.4, 2614.9, 192, 5300, 448, 750)),
        ("MI250X", (383, None, 128, 3277, 350, 560)),
        ("TPU-v4", (275, None, 32, 1200, 300, 192)),
        ("Gaudi2", (432, 865, 96, 2450, 262.5, 600)),
        ("Trainium2", (667, 1299, 96, 2900, 640, 500)),
    ],
)
def test_datasheets(name, expected):
    # Memory in GB as vendors write it, 2**30 bytes: TPU and Trainium state GiB.
    chip = CATALOGUE.accelerator(name)
    fp8 = chip.peak_flops.get("fp8")
    assert (
        chip.peak_flops["bf16"] / 1e12,
        None if fp8 is None else fp8 / 1e12,
        chip.hbm_bytes / 1e9,
        chip.hbm_Bps / 1e9,
        chip.scaleup_Bps / 1e9,
        chip.power_w,
    ) == pytest.approx(expected)


def test_scale_up_domains():
    domains = {"GB200": 72, "H200-NVL": 4, "H100-NVL": 2, "TPU-v5p": 8960, "MI300X": 8, "910A": 4}
    for name, size in domains.items():
        assert CATALOGUE.accelerator(name).scaleup_size == size
    nvl = CATALOGUE.accelerator("H200-NVL")
    assert (nvl.scaleup_shape, nvl.chips_per_node) == ("mesh", 8)
    halves = CATALOGUE.accelerator("MI250X-GCD"), CATALOGUE.accelerator("MI250X")
    assert halves[1].peak_flops["bf16"] == 2 * halves[0].peak_flops["bf16"]
    assert halves[1].hbm_bytes == 2 * halves[0].hbm_bytes


def test_a_chip_of_ones_own_on_a_reference_is_no_reference(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("accelerators: {Mine: {extends: nvidia v100, power: 250 W}}")
    chip = load_catalogue(path).accelerator("mine")
    assert not chip.reference_only
    assert (chip.family, chip.power_w) == ("volta", 250.0)
