"""Rows of a table: what is read, what is assumed, and what cannot be predicted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import clustersim as cs
from clustersim.inference.images import ImageTask
from clustersim.inference.row_load import draft_of
from clustersim.inference.row_values import RowError, RowValues
from clustersim.inference.rows import ServedRow, read_row
from clustersim.inference.settings import Instance

CATALOGUE = cs.load_catalogue()
ROW: dict[str, Any] = {
    "chip": "H200",
    "n_chips": "8",
    "model": "DeepSeek-R1",
    "weight_precision": "fp8",
    "phase": "both",
    "tp": "8",
    "concurrency": "64",
    "input_len": "1000",
    "output_len": "500",
    "measure": "output tokens/s/chip",
    "engine": "SGLang 0.5",
}


def read(**changes: Any) -> tuple[ServedRow, Instance]:
    row = read_row({**ROW, **changes}, CATALOGUE)
    assert isinstance(row.task, Instance)
    return row, row.task


def test_a_complete_row_needs_no_assumption() -> None:
    row, task = read()
    assert (row.notes, row.guessed, row.kind) == ((), frozenset(), "steady")
    assert (task.tp, task.expert_chips, task.batch, task.weights) == (8, 8, 64, "fp8")
    assert (task.input_len, task.output_len, task.chunk_tokens) == (1000, 500, 8192)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chip": ""}, "chip: blank"),
        ({"chip": "H2000"}, "chip: unknown chip 'H2000'; did you mean"),
        ({"model": "my model"}, "model: 'my model' is not a known model, and total_params_b"),
        ({"model": ""}, "model: blank, and total_params_b is blank"),
        ({"measure": ""}, "measure: blank; must be one of"),
        ({"measure": "tokens per day"}, "measure: unknown measure 'tokens per day'"),
        ({"measure": "seconds/video"}, "is not a measure of deepseek-v3, a model of text"),
        ({"model": "Wan2.1-14B"}, "is not a measure of wan-14b, a model of images or videos"),
    ],
)
def test_what_cannot_be_predicted_has_a_reason(changes: dict[str, str], said: str) -> None:
    with pytest.raises(RowError) as caught:
        read(**changes)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"input_len": ""}, "lengths", "input_len: 1024 is assumed"),
        ({"concurrency": ""}, "batch", "as many as engine and memory allow"),
        ({"weight_precision": ""}, "precision", "weight_precision: fp8 is assumed"),
        ({"tp": ""}, "plan", "tp: 8 is assumed"),
        ({"n_chips": "", "tp": ""}, "plan", "n_chips: 8 is assumed"),
        ({"engine": "mine"}, "engine", "engine is not listed"),
        ({"model": "Other-70B", "n_chips": "1", "tp": "1"}, "size", "The size 70B"),
        ({"model": "X", "total_params_b": "70"}, "shape", "The model is not listed"),
    ],
)
def test_blank_cells_are_assumed_and_widen_the_interval(
    changes: dict[str, str], kind: str, said: str
) -> None:
    row, _ = read(**changes)
    assert kind in row.guessed
    assert said in " ".join(row.notes)


@pytest.mark.parametrize("text", ["-3", "many", "0", "1e99", "inf", "8.5"])
def test_numbers_that_cannot_be_used_are_ignored_with_a_note(text: str) -> None:
    row, task = read(tp=text)
    assert any(note.startswith(f"tp: {text!r} is ignored") for note in row.notes)
    assert task.tp == 8


@pytest.mark.parametrize("name", ["H20 (96 GB)", "H20/H800", "H20-96G"])
def test_a_chip_with_an_addition_is_read_without_it(name: str) -> None:
    row, task = read(chip=name)
    assert task.chip.name == "H20"
    assert f"chip: {name!r} is read as H20." in row.notes


def test_lengths_that_do_not_matter_are_not_assumed() -> None:
    row, task = read(phase="decode", input_len="4000", output_len="")
    assert (row.guessed, task.input_len) == (frozenset(), 4000)
    row, _ = read(phase="prefill", output_len="", measure="prefill tokens/s/chip")
    assert row.guessed == frozenset()


def test_mlperf_rows_have_the_lengths_of_its_data_sets() -> None:
    row, task = read(
        model="Llama-2-70B",
        input_len="",
        output_len="",
        tp="",
        engine="TensorRT-LLM (NVIDIA submission)",
        weight_precision="",
    )
    assert (task.input_len, task.output_len, task.weights, task.tp) == (294, 294, "fp8", 1)
    blank = {"input_len": "", "output_len": "", "source": "MLPerf Inference"}
    _, beams = read(model="GPT-J-6B", measure="samples/s/chip", **blank)
    assert beams.output_len == 4 * 69
    assert "lengths" in row.guessed


def test_weights_that_do_not_fit_are_read_as_narrower() -> None:
    row, task = read(model="GLM-4.5-Air", chip="H100", n_chips="2", tp="2", weight_precision="bf16")
    assert task.weights == "fp8"
    assert "Weights in bf16 do not fit; fp8 is assumed." in row.notes


def test_a_910c_is_served_as_two_dies() -> None:
    row, task = read(chip="910C", n_chips="8", tp="8", ep="16", weight_precision="W8A8")
    assert (row.devices, task.tp, task.expert_chips, task.distributed) == (2, 8, 16, 1)
    assert task.chip.hbm_bytes == 64e9
    # A plan that needs only the packages counts packages.
    _, packages = read(chip="910C", n_chips="8", tp="8", weight_precision="int8")
    assert packages.tp == 16


def test_attention_in_replicas() -> None:
    _, task = read(notes="attention data-parallel")
    assert (task.tp, task.expert_chips, task.distributed, task.batch) == (1, 8, 0, 8)
    _, trt = read(notes="attention data-parallel", engine="TensorRT-LLM 1.0")
    assert trt.distributed == 1
    # SGLang counts the replicas within the tensor-parallel group.
    _, inside = read(dp="8")
    assert (inside.tp, inside.expert_chips) == (1, 8)
    _, beside = read(tp="1", dp="8")
    assert (beside.tp, beside.expert_chips) == (1, 8)


def test_how_the_benchmark_was_run_is_in_the_notes() -> None:
    row, task = read(notes="ShareGPT, mean lengths; 64 requests sent at once", concurrency="64")
    assert (row.kind, task.burst, task.varied) == ("burst", 64, 1)
    _, capped = read(notes="16 sequences a DP rank at most")
    assert capped.sequences == 16
    _, slow = read(notes="MaxQ, reduced power")
    assert slow.slower == 1.2
    _, tuned = read(source="LMSYS blog")
    assert tuned.tuned == 1


def test_a_decode_row_without_a_batch_uses_its_time_per_token() -> None:
    row, task = read(phase="decode", concurrency="", tpot_ms="about 50")
    assert (row.tpot_s, row.guessed) == (0.05, frozenset())
    assert np.isnan(task.batch)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n", (0.0, None)),
        ("", (0.0, None)),
        ("y", (1.0, None)),
        ("y (MTP 1)", (1.0, None)),
        ("y (EAGLE3, 3)", (3.0, None)),
        ("y (MTP 4 tokens, accept 2.44)", (3.0, 2.44)),
    ],
)
def test_speculative_decoding(text: str, expected: tuple[float, float | None]) -> None:
    draft, accepted = draft_of(text)
    assert draft == expected[0]
    assert accepted == expected[1] or (np.isnan(accepted) and expected[1] is None)


def test_an_image_row() -> None:
    row = read_row(
        {
            "chip": "A100-80GB",
            "model": "FLUX.1-dev-12B",
            "measure": "seconds/image",
            "resolution": "1024x768",
            "steps": "28",
            "n_chips": "2",
            "engine": "xDiT (eager)",
        },
        CATALOGUE,
    )
    assert isinstance(row.task, ImageTask)
    assert (row.task.width, row.task.height, row.task.n_chips, row.task.compiled) == (
        1024,
        768,
        2,
        0,
    )
    assert (row.kind, row.guessed) == ("images", frozenset())


def test_an_unlisted_video_model_is_taken_as_a_usual_one() -> None:
    row = read_row(
        {"chip": "H20", "model": "Mine", "total_params_b": "14", "measure": "seconds/video"},
        CATALOGUE,
    )
    assert isinstance(row.task, ImageTask)
    assert (row.task.model.kind, row.task.model.hidden) == ("video-diffusion", 5120)
    assert {"passes", "shape", "task"} <= row.guessed


def test_a_video_row_without_a_size_is_assumed() -> None:
    row = read_row({"chip": "H20", "model": "Wan2.1-14B", "measure": "seconds/video"}, CATALOGUE)
    assert row.guessed == {"task", "plan"}
    assert row.kind == "videos"


def test_texts_are_kept_and_blanks_recognised() -> None:
    row = RowValues({"a": None, "b": float("nan"), "c": " n/a ", "d": " x "})
    assert [row.text(name) for name in "abcde"] == ["", "", "", "x", ""]
