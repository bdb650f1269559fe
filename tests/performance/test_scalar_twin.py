"""The vectorised core against its plain twin, plan by plan."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.calibration import load_measurements
from clustersim.performance import PARTS, ModelArrays, default_draw, evaluate
from tests.examples import examples
from tests.performance.strategies import (
    CATALOGUE,
    chips,
    coefficients,
    models,
    plans,
    repeatable,
    rules,
    some_chips,
)
from tests.performance.twin import Twin, row_of

CLOSE = 1e-9


def assert_same(step, twin, row=0):
    parts = twin.parts()
    total = sum(parts.values())
    assert tuple(step.parts) == PARTS
    assert set(parts) == set(PARTS)
    assert step.step_time_s[row] == pytest.approx(total, rel=CLOSE)
    for name in PARTS:
        part = np.broadcast_to(step.parts[name], step.step_time_s.shape)[row]
        assert part == pytest.approx(parts[name], rel=CLOSE, abs=1e-10 * total), name
    memory = twin.memory()
    assert step.memory_bytes[row] == pytest.approx(sum(memory.values()), rel=CLOSE)
    for name, size in memory.items():
        part = np.broadcast_to(step.memory[name], step.memory_bytes.shape)[row]
        assert part == pytest.approx(size, rel=CLOSE), name


@settings(repeatable, max_examples=examples(500))
@given(models(), some_chips, plans(), st.integers(1, 8192), coefficients(), rules())
def test_any_plan_model_and_chip(shape, chip, plan, batch, values, kept):
    step = evaluate(shape, chip, plan, global_batch=batch, coefficients=values, memory=kept)
    rows = (row_of(shape, 0), row_of(chip, 0), row_of(plan, 0))
    assert_same(step, Twin(*rows, batch, row_of(values, 0), row_of(kept, 0)))


@settings(repeatable, max_examples=examples(150))
@given(
    st.sampled_from(sorted(CATALOGUE.models)),
    st.sampled_from(sorted(CATALOGUE.accelerators)),
    st.sampled_from(["bf16", "fp8"]),
    plans(),
    st.integers(1, 5000),
)
def test_catalogue_with_the_shipped_calibration(model, name, precision, plan, batch):
    accelerator = CATALOGUE.accelerator(name)
    shape, chip = ModelArrays.of([CATALOGUE.model(model)]), chips(name, precision)
    values = default_draw().for_chips([accelerator], precision=precision)
    kept = default_draw().memory_rules([accelerator])
    step = evaluate(shape, chip, plan, global_batch=batch, coefficients=values, memory=kept)
    rows = (row_of(shape, 0), row_of(chip, 0), row_of(plan, 0))
    assert_same(step, Twin(*rows, batch, row_of(values, 0), row_of(kept, 0)))


def test_all_published_runs():
    measured = load_measurements().rows
    assert len(measured) == 748
    values = default_draw().coefficients(measured.labels)
    structs = (measured.models, measured.chips, measured.plans)
    kept = measured.memory
    step = evaluate(*structs, global_batch=measured.global_batch, coefficients=values, memory=kept)
    for row, batch in enumerate(measured.global_batch):
        parts = (row_of(part, row) for part in structs)
        assert_same(step, Twin(*parts, float(batch), row_of(values, row), row_of(kept, row)), row)


def test_no_row_depends_on_its_neighbours():
    rows = load_measurements().rows
    values = default_draw().coefficients(rows.labels)

    def seconds(chosen):
        part, known = rows.take(chosen), values.take(chosen)
        step = evaluate(
            part.models,
            part.chips,
            part.plans,
            global_batch=part.global_batch,
            coefficients=known,
        )
        return step.step_time_s

    alone = np.concatenate([seconds(np.array([row])) for row in range(len(rows))])
    together = seconds(np.arange(len(rows)))
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def beside(one, other):
    """A struct of arrays with the rows of two."""
    names = [field.name for field in dataclasses.fields(one)]
    return type(one)(**{n: np.append(getattr(one, n), getattr(other, n)) for n in names})


@settings(repeatable, max_examples=examples(200))
@given(
    st.tuples(models(), models()),
    st.tuples(some_chips, some_chips),
    st.tuples(plans(), plans()),
    st.integers(1, 8192),
    coefficients(),
)
def test_no_two_rows_depend_on_each_other(shapes, accelerators, both_plans, batch, values):
    rows = list(zip(shapes, accelerators, both_plans, strict=True))
    structs = (beside(*shapes), beside(*accelerators), beside(*both_plans))
    together = evaluate(*structs, global_batch=batch, coefficients=values)
    alone = [evaluate(*row, global_batch=batch, coefficients=values) for row in rows]
    for name in ("step_time_s", "memory_bytes", "mfu"):
        apart = np.concatenate([getattr(step, name) for step in alone])
        np.testing.assert_allclose(getattr(together, name), apart, rtol=1e-12)
