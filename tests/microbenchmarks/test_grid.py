"""What is measured: every kind, the shapes of tensor-parallel ranks, nothing twice."""

from __future__ import annotations

import pytest

from clustersim.microbenchmarks.collectives import COLLECTIVES, collective_cases
from clustersim.microbenchmarks.grid import grid, layer_products, quick_grid
from clustersim.microbenchmarks.schema import KINDS, SHAPE


@pytest.mark.parametrize("cases", [grid(), quick_grid()], ids=["all", "quick"])
def test_every_kind_is_measured_once(cases):
    assert {case.kind for case in cases} == set(KINDS) - set(COLLECTIVES)
    assert {case.shape.get("precision") for case in cases} == {"bf16", "fp16", "fp8"}
    assert {column for case in cases for column in case.shape} <= set(SHAPE)
    shapes = [(case.kind, *sorted(case.shape.items())) for case in cases]
    assert len(set(shapes)) == len(shapes)
    assert [case.kind for case in cases][-1] == "step"


def test_products_of_tensor_parallel_ranks():
    """GPT-3 on eight ranks: the local matrices of Megatron-LM's column and row splits."""
    assert layer_products(12288, 8) == [(4608, 12288), (12288, 1536), (6144, 12288), (12288, 6144)]
    measured = {
        (case.number("n"), case.number("k"))
        for case in grid()
        if case.kind == "matmul" and case.shape["layout"] == "TN"
    }
    for hidden in (4096, 8192):
        for ranks in (1, 4, 8):
            assert set(layer_products(hidden, ranks)) <= measured


def test_collectives_need_two_devices():
    assert collective_cases(1) == []
    cases = collective_cases(8)
    assert {case.kind for case in cases} == set(COLLECTIVES)
    assert {case.number("ranks") for case in cases} == {8}
