"""Names of chips as drivers give them."""

from __future__ import annotations

import pytest

from clustersim.catalogue import load_catalogue
from clustersim.microbenchmarks.device import name_in_catalogue


@pytest.mark.parametrize(
    ("device", "chip"),
    [
        ("NVIDIA H200", "H200"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100-PCIe"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100-SXM4-40GB", "A100-40GB"),
        ("NVIDIA H20", "H20"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("NVIDIA H20-3e", "H20-141GB"),
        ("NVIDIA H800", "H800"),
        ("Ascend910B3", "910B3"),
        ("NVIDIA GeForce GTX 1060 6GB", None),
        ("Intel(R) Xeon(R) Processor", None),
    ],
)
def test_names_that_drivers_give(device, chip):
    assert name_in_catalogue(device, load_catalogue()) == chip
