"""Bytes that the chips of a job send: by hand, and consistent with the parts of the step time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given

from clustersim.catalogue import load_catalogue
from clustersim.performance import AcceleratorArrays, ModelArrays, Plans, default_draw, evaluate
from clustersim.performance.traffic import KINDS, traffic_of
from tests.performance.plain import HIDDEN, LAYERS, PARAMS, SEQ, chip, mixture, model, plain
from tests.performance.strategies import coefficients, models, plans, repeatable, some_chips

CATALOGUE = load_catalogue()
OVERLAPS = ("tp_overlap", "dp_overlap", "zero3_overlap", "ep_overlap", "cp_overlap", "pp_overlap")


def sent(shape, plan, *, batch=1, inside=8.0, **changes):
    """Traffic of one plan with plain coefficients."""
    return traffic_of(
        shape,
        chip(scaleup_size=inside),
        Plans.of(**{name: [value] for name, value in plan.items()}),
        global_batch=[float(batch)],
        coefficients=plain(**changes),
    )


def test_a_node_and_eight_nodes_of_one_chip():
    """Llama 3 8B on 8 chips: 7/8 of gradients and weights cross the links of one level."""
    h200 = CATALOGUE.accelerator("H200")
    shape = CATALOGUE.model("llama3-8b")
    given_draw = default_draw().for_chips([h200])
    chips = dataclasses.replace(
        AcceleratorArrays.of([h200, h200]), scaleup_size=np.array([8.0, 1.0])
    )
    found = traffic_of(
        ModelArrays.of([shape]),
        chips,
        Plans.of(dp=8.0, zero=1),
        global_batch=512,
        coefficients=given_draw,
    )
    matrices = 4096 * (4096 + 1024 + 1024 + 4096) + 3 * 4096 * 14336
    params = 32 * matrices + 2 * 128256 * 4096
    volume = 7 / 8 * params * (float(given_draw.gradient_bytes[0]) + 2)
    assert found.scaleup_bytes["data"] == pytest.approx([volume, 0.0], rel=1e-3)
    assert found.nic_bytes["data"] == pytest.approx([0.0, volume], rel=1e-3)
    assert found.step_time_s[0] < found.step_time_s[1]
    assert found.exposed_s["data"][0] < found.exposed_s["data"][1] < found.seconds["data"][1]


def test_data_parallel_bytes_over_two_nodes():
    """A ring over 16 chips sends 2 (n - 1) / n S; each of the 8 chips of a node an eighth."""
    found = sent(model(), {"dp": 16, "zero": 1}, batch=16)
    gradients = 2.0 * PARAMS
    ring = 2 * 15 / 16 * gradients
    assert found.nic_bytes["data"] == pytest.approx([ring / 8])
    assert found.scaleup_bytes["data"] == pytest.approx([ring * 7 / 8])
    assert found.nic_seconds == pytest.approx([ring / 8 / 50e9])


def test_hybrid_sharding_splits_the_bytes():
    """Groups of 8: gradients and weights in the node, an eighth of the gradients over two nodes."""
    found = sent(model(), {"dp": 16, "zero": 2, "zero_group": 8}, batch=16)
    assert found.scaleup_bytes["data"] == pytest.approx([2 * 7 / 8 * 2.0 * PARAMS])
    assert found.nic_bytes["data"].tolist() == [0.0]
    # An all-reduce over 2 ranks sends as much as each of them has.
    assert found.nic_bytes["hybrid"] == pytest.approx([2.0 * PARAMS / 8])


def test_fully_sharded_weights_are_gathered_in_every_micro_batch():
    once = sent(model(), {"dp": 8, "zero": 1}, batch=32)
    often = sent(model(), {"dp": 8, "zero": 3}, batch=32)
    # Weights twice and gradients once in each of 4 micro-batches, against one of each.
    assert often.scaleup_bytes["data"] / once.scaleup_bytes["data"] == pytest.approx([4 * 3 / 2])


def test_tensor_parallel_bytes():
    """Two all-reduces a layer in each pass, 2 (n - 1) / n of tokens x hidden x 2 bytes each."""
    plan = {"tp": 4, "sequence_parallel": 0}
    found = sent(model(), plan, batch=3)
    size = 2 * SEQ * HIDDEN
    assert found.scaleup_bytes["tensor"] == pytest.approx([3 * LAYERS * 2 * 2 * 2 * 3 / 4 * size])
    assert found.messages["tensor"].tolist() == [3 * LAYERS * 2 * 2]
    # Two chips on each of two nodes: a tree between the nodes sends half of the tensor per chip.
    apart = sent(model(), plan, batch=3, inside=2.0)
    assert apart.nic_bytes["tensor"] == pytest.approx([3 * LAYERS * 2 * 2 * size / 2])


@pytest.mark.parametrize(
    ("pp", "vpp", "messages"), [(1, 1, 0), (2, 1, 1), (4, 1, 2), (2, 2, 3), (4, 3, 6)]
)
def test_pipeline_messages_of_the_busiest_rank(pp, vpp, messages):
    found = sent(model(), {"pp": pp, "vpp": vpp}, batch=5, inside=1.0)
    assert found.messages["pipeline"].tolist() == [5 * messages]
    assert found.nic_bytes["pipeline"] == pytest.approx([5 * messages * 2 * SEQ * HIDDEN])


def test_expert_bytes_of_each_dispatcher():
    """8 experts on 8 chips, 4 of them on a node; a token has 2 experts."""
    size = 2 * SEQ * HIDDEN * LAYERS * 2 * 2  # there and back in both passes
    nic = {}
    for number, name in ((1, "alltoall"), (2, "allgather"), (3, "deepep")):
        plan = {"dp": 8, "ep": 8, "dispatcher": number}
        nic[name] = float(sent(mixture(), plan, batch=8, inside=4.0).nic_bytes["expert"][0])
    assert nic["alltoall"] == pytest.approx(size * 2 * 4 / 8)
    assert nic["deepep"] == pytest.approx(size * (1 - (1 / 2) ** 2))
    assert nic["allgather"] == pytest.approx(size * 8 * 7 / 8 / 4)


@repeatable
@given(models(), plans(), some_chips, coefficients())
def test_what_is_exposed_is_in_the_step_time(shape, plan, chips, values):
    found = traffic_of(shape, chips, plan, global_batch=[512.0], coefficients=values)
    whole = evaluate(shape, chips, plan, global_batch=[512.0], coefficients=values)
    assert found.step_time_s.tolist() == whole.step_time_s.tolist()
    names = {"tensor_parallel", "context_parallel", "expert_parallel", "pipeline", "data_parallel"}
    exposed = sum(found.exposed_s[kind] for kind in KINDS)
    assert exposed == pytest.approx(sum(whole.parts[name] for name in names), rel=1e-9)
    by_pattern = sum(found.pattern_bytes.values())
    assert by_pattern == pytest.approx(sum(found.nic_bytes.values()), rel=1e-12)
    assert all(found.exposed_s[kind] <= found.seconds[kind] * (1 + 1e-12) for kind in KINDS)
    for columns in (found.nic_bytes, found.scaleup_bytes, found.messages):
        assert all(np.all(np.isfinite(column) & (column >= 0)) for column in columns.values())


@repeatable
@given(models(), plans(), some_chips, coefficients())
def test_times_without_overlap_are_those_of_the_step(shape, plan, chips, values):
    """Nothing is hidden: every kind takes exactly the time that the step is charged for it."""
    none = dataclasses.replace(values, **{name: np.zeros(1) for name in OVERLAPS})
    found = traffic_of(shape, chips, plan, global_batch=[512.0], coefficients=none)
    for kind in KINDS:
        assert found.seconds[kind] == pytest.approx(found.exposed_s[kind], rel=1e-9), kind


@repeatable
@given(models(), plans(), coefficients())
def test_bytes_do_not_depend_on_the_placement_in_all(shape, plan, values):
    """Fewer chips inside a domain move bytes of rings to the network, and add none."""
    plan = dataclasses.replace(plan, dispatcher=np.ones(1))
    both = [
        traffic_of(
            shape,
            chip(scaleup_size=inside, mesh=True),  # a switch may reduce, which saves bytes
            plan,
            global_batch=[512.0],
            coefficients=values,
        )
        for inside in (1.0, 8.0)
    ]
    for kind in KINDS:
        apart, together = (found.nic_bytes[kind] + found.scaleup_bytes[kind] for found in both)
        assert together == pytest.approx(apart, rel=1e-9), kind
        assert np.all(both[1].nic_bytes[kind] <= both[0].nic_bytes[kind] * (1 + 1e-9))
