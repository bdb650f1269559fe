"""Tables of runs: defaults, every message of a bad cell, what is filled in and settled."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import load_measurements
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.estimation import COLUMNS, predict_table, read_configurations
from clustersim.estimation.estimate import estimate
from clustersim.performance import MEMORY_OPTIONS, ModelArrays, default_calibration

CATALOGUE = load_catalogue()
DENSE = {
    "accelerator": "H100", "n_accelerators": "8", "layers": "24", "hidden": "2048", "heads": "16",
    "ffn_hidden": "8192", "vocab": "50304", "seq_len": "2048", "global_batch": "64",
}  # fmt: skip
MIXTURE = DENSE | {"n_experts": "8", "topk": "2", "mlp_type": "swiglu"}
ZERO = "must be 0 to 3, fsdp, or of the form 1(group=8)"
LLAMA = {"accelerator": "H100", "n_accelerators": "8", "model": "llama3-8b", "global_batch": "64"}


def read(*rows):
    return read_configurations(pd.DataFrame(list(rows)), CATALOGUE)


def one(base=DENSE, **changes):
    """The only row, which must be complete, as numbers by field."""
    found = read({**base, **changes})
    assert found.reason == [""]
    fields = {}
    for part in (found.models, found.chips, found.plans):
        fields |= {f.name: getattr(part, f.name)[0].item() for f in dataclasses.fields(part)}
    return fields | {"global_batch": found.global_batch[0], "labels": found.labels[0]}


def reason(base=DENSE, **changes):
    """Why a row is left out; the one beside it is not."""
    found = read({**base, **changes}, DENSE)
    assert found.index.tolist() == [1]
    assert found.reason[1] == ""
    return found.reason[0]


class TestDefaults:
    def test_of_every_column(self):
        h100 = CATALOGUE.accelerator("H100")
        row = one()
        expected = {
            "tp": 1, "pp": 1, "cp": 1, "ep": 1, "vpp": 1, "micro_batch": 1, "dp": 8,
            "recompute": 0, "zero": 1, "zero_group": 0, "flash": 1, "sequence_parallel": 0,
            "overlap": 1, "lora": 0, "attention_width": 2048, "kv_width": 2048, "span": 1024,
            "mlp_matrices": 2, "n_experts": 0, "top_k": 0, "moe_layers": 0, "expert_ffn_hidden": 0,
            "shared_experts": 0, "tied": 0, "other_params": 0, "attention_params": 4 * 2048**2,
            "peak_flops": h100.peak_flops["bf16"], "fp8": False, "nic_Bps": h100.nic_Bps,
            "scaleup_size": h100.scaleup_size, "global_batch": 64,
        }  # fmt: skip
        assert {name: row[name] for name in expected} == pytest.approx(expected)
        unknown = ("unknown", "unknown", "hopper unknown bf16")
        assert row["labels"] == ("", "hopper", "H100", *unknown)

    def test_chips_follow_from_the_plan(self):
        bare = {name: value for name, value in DENSE.items() if name != "n_accelerators"}
        row = one(bare, tp="2", pp="3", dp="4", cp="8")
        assert (row["tp"], row["pp"], row["dp"], row["cp"]) == (2, 3, 4, 8)
        assert reason(bare, tp="2") == "n_accelerators: missing"

    def test_data_parallel_is_what_is_left(self):
        assert one(n_accelerators="64", tp="4", pp="2")["dp"] == 8
        text = reason(n_accelerators="64", tp="4", pp="2", dp="3")
        assert text == "dp: must be 8 (64 chips over tp pp cp 8) or left out, found 3"

    def test_sequence_parallel_where_tensors_are_split(self):
        assert one(tp="2")["sequence_parallel"] == 1
        assert one(tp="2", seq_parallel="0")["sequence_parallel"] == 0

    def test_empty_cells_are_missing(self):
        empty = one(tp=None, pp=np.nan, recompute="", zero=" ", mlp_type=None)
        assert (empty["tp"], empty["pp"], empty["recompute"], empty["zero"]) == (1, 1, 0, 1)

    def test_numbers_do_for_texts(self):
        numbers = {k: v if k == "accelerator" else float(v) for k, v in DENSE.items()}
        assert one(numbers) == one()

    def test_unknown_columns_are_not_looked_at(self):
        assert one(step_time_s="oops", colour="red") == one()


class TestGiven:
    def test_what_is_given(self):
        row = one(
            kv_heads="4", head_dim="256", mlp_type="SwiGLU", sliding_window="1000", tp="2",
            n_accelerators="16", pp="2", vpp="3", micro_batch="4", recompute="Full",
            flash_attn="0", comm_overlap="0",
            kind="LoRA", precision="fp8", framework="NeMo 24.07", family="mine",
            inter_node_gbps_per_device="100", devices_per_node="4",
        )  # fmt: skip
        expected = {
            "attention_width": 4096, "kv_width": 1024, "mlp_matrices": 3, "tp": 2, "pp": 2,
            "vpp": 3,
            "micro_batch": 4, "recompute": 2, "flash": 0, "overlap": 0, "lora": 1, "fp8": True,
            "nic_Bps": 12.5e9, "scaleup_size": 4,
            "attention_params": 2 * 2048 * (4096 + 1024), "span": 1000 * (1 - 1000 / 4096),
        }  # fmt: skip
        assert {name: row[name] for name in expected} == pytest.approx(expected)
        assert row["labels"][3:] == ("NeMo", "NeMo 24.07", "hopper NeMo fp8")

    def test_fp8_on_a_chip_without_it(self):
        row = one(accelerator="A100-80GB", precision="fp8")
        assert not row["fp8"]
        assert row["peak_flops"] == 312e12

    def test_half_precision_counts_as_bf16(self):
        assert one(precision="fp16")["peak_flops"] == one()["peak_flops"]

    def test_domain_is_at_most_the_chip_s(self):
        assert one(devices_per_node="64")["scaleup_size"] == 8

    @pytest.mark.parametrize(
        ("text", "zero", "group"),
        [
            ("0", 0, 0), ("3", 3, 0), ("2.0", 2, 0), ("zero-2", 2, 0), ("ZeRO3", 3, 0),
            ("fsdp", 3, 0), ("FSDP", 3, 0), ("fsdp-zero2", 2, 0), ("1(group=8)", 1, 8),
            ("1(group=dp)", 1, 0), ("3(group=4)", 3, 4),
        ],
    )  # fmt: skip
    def test_forms_of_zero(self, text, zero, group):
        row = one(zero=text)
        assert (row["zero"], row["zero_group"]) == (zero, group)

    @pytest.mark.parametrize(
        ("text", "mode"), [("none", 0), ("selective", 1), ("full", 2), ("block", 2)]
    )
    def test_recompute(self, text, mode):
        assert one(recompute=text)["recompute"] == mode

    @pytest.mark.parametrize(
        ("text", "layers"),
        [
            ("block:10", 10), ("block 10", 10), ("full, block, 5 layers", 5), ("block (3)", 3),
            ("block", 0), ("full", 0), ("full, uniform, 1 layer", 0), ("selective, 4 layers", 0),
        ],
    )  # fmt: skip
    def test_recompute_of_some_layers(self, text, layers):
        assert one(recompute=text)["recompute_layers"] == layers


class TestMessages:
    @pytest.mark.parametrize("name", ["layers", "hidden", "heads", "ffn_hidden", "vocab"])
    def test_missing_shape(self, name):
        assert reason(**{name: ""}) == f"{name}: missing"

    @pytest.mark.parametrize("name", ["accelerator", "n_accelerators", "seq_len"])
    def test_missing(self, name):
        assert reason(**{name: ""}) == f"{name}: missing"

    @pytest.mark.parametrize(
        ("model", "usual"),
        [("llama3-8b", " (512 is usual for llama3-8b)"), ("one of mine", "")],
    )
    def test_missing_batch(self, model, usual):
        shown = f"global_batch: must be given, in sequences per step{usual}"
        assert reason(model=model, global_batch="") == shown

    def test_experts_without_topk(self):
        assert reason(n_experts="8") == "topk: missing"

    @pytest.mark.parametrize(
        "name",
        [
            *("n_accelerators", "layers", "hidden", "heads", "kv_heads", "ffn_hidden", "vocab"),
            *("seq_len", "global_batch", "micro_batch", "tp", "pp", "vpp", "ep", "cp"),
            "devices_per_node",
        ],
    )
    @pytest.mark.parametrize("text", ["0", "-3", "2.5", "many", "inf", "nan"])
    def test_counts(self, name, text):
        if text == "nan":
            text = "NaN?"
        expected = f"{name}: must be a whole number of at least 1, found {text!r}"
        assert reason(**{name: text}) == expected

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("n_experts", "-1", "must be a whole number of at least 0, found '-1'"),
            ("dp", "-1", "must be a whole number of at least 0, found '-1'"),
            ("sliding_window", "x", "must be a whole number of at least 0, found 'x'"),
            ("flash_attn", "7.5", "must be 0 or 1, found '7.5'"),
            ("seq_parallel", "-1", "must be 0 or 1, found '-1'"),
            ("comm_overlap", "0.5", "must be 0 or 1, found '0.5'"),
            ("head_dim", "0.5", "must be a number of at least 1, found '0.5'"),
            ("params_b", "-7", "must be a number of at least 0, found '-7'"),
            ("inter_node_gbps_per_device", "0", "must be a number of at least 0.001, found '0'"),
            ("precision", "int4", "must be one of bf16, fp16, fp8, mxfp8, fp32, found 'int4'"),
            ("recompute", "some", "must be one of none, selective, full, block, found 'some'"),
            (
                "recompute",
                "nonesuch",
                "must be one of none, selective, full, block, found 'nonesuch'",
            ),
            (
                "recompute",
                "not full",
                "must be one of none, selective, full, block, found 'not full'",
            ),
            ("flash_attn", "2", "must be 0 or 1, found '2'"),
            ("kv_heads", "3", "must divide the 16 heads, found 3"),
            (
                "kind",
                "poetry",
                "must be one of pretrain, sft, lora, qlora, rl-update, found 'poetry'",
            ),
            ("zero", "4", f"{ZERO}, found '4'"),
            ("zero", "1(group=x)", f"{ZERO}, found '1(group=x)'"),
        ],
    )
    def test_other_cells(self, name, text, message):
        assert reason(**{name: text}) == f"{name}: {message}"

    def test_plan_must_divide_the_chips(self):
        text = reason(n_accelerators="12", tp="8")
        assert text == "tp, pp, cp: their product 8 does not divide 12 chips"

    def test_unknown_chip_has_its_nearest_name(self):
        text = reason(accelerator="H1000")
        assert text.startswith("accelerator: unknown accelerator 'H1000'; did you mean 'H100")

    def test_several_problems_of_a_row(self):
        text = reason(accelerator="", hidden="x", precision="int4", global_batch="")
        shown = [part.split(":")[0] for part in text.split("; ")]
        assert shown == ["accelerator", "precision", "hidden", "global_batch"]

    def test_a_bad_cell_of_a_known_model(self):
        assert "layers: must be a whole number of at least" in reason(LLAMA, layers="many")

    def test_other_rows_are_not_touched(self):
        found = read(DENSE, {**DENSE, "tp": "x"}, {**DENSE, "tp": "2"})
        assert len(found) == 2
        assert found.index.tolist() == [0, 2]
        assert [bool(text) for text in found.reason] == [False, True, False]
        assert found.plans.tp.tolist() == [1, 2]

    def test_a_table_of_something_else(self):
        with pytest.raises(InputError, match="has none of the columns accelerator"):
            read({"colour": "red"})


class TestPlans:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"n_experts": "0", "ep": "2"},
             "ep: must be 1 because the model has no experts, found 2"),
            ({"ep": "16", "n_accelerators": "16"}, "ep: must divide the 8 experts, found 16"),
            ({"ep": "8", "n_accelerators": "16", "tp": "2", "pp": "8"},
             "ep: must divide the 2 chips of a stage (tp dp cp), found 8"),
            ({"vpp": "2"}, "vpp: must be 1 if pp is 1, found 2"),
            ({"tp": "3", "n_accelerators": "3"}, "tp: must divide the 16 heads, found 3"),
            ({"heads": "12", "kv_heads": "2", "tp": "3", "n_accelerators": "3", "head_dim": "128"},
             "tp: must divide the 2 key and value heads or be a multiple of them, found 3"),
            ({"zero": "1(group=2)", "ep": "4"},
             "zero_group: its product with tp 1 must be a multiple of ep 4, found 2"),
            ({"n_experts": "0", "etp": "2"},
             "etp: must be 1 because the model has no experts, found 2"),
            ({"etp": "3", "tp": "2"}, "etp: must divide the expert width of 8192, found 3; "
             "etp: its product with ep 1 must divide the 8 chips of a stage (tp dp cp), found 3"),
            ({"zero": "0(group=2)"}, "zero_group: must be 0 if ZeRO is off (stage 0), found 2"),
            ({"topk": "9"}, "topk: must be at most the 8 experts, found 9"),
            ({"pp": "25", "n_accelerators": "25"}, "pp: must be at most the 24 layers, found 25"),
            ({"pp": "8", "vpp": "4"}, "vpp: must be at most the 3 layers of a stage, found 4"),
            ({"cp": "3", "n_accelerators": "3"},
             "cp: must divide the 2048 tokens of a sequence, found 3"),
            ({"zero": "3(group=3)"},
             "zero_group: must divide the 8 data-parallel ranks (dp cp), found 3"),
            ({"micro_batch": "9"},
             "micro_batch: must be at most 8, a rank's share of the batch (64 sequences over dp 8),"
             " found 9"),
        ],
    )  # fmt: skip
    def test_what_cannot_be(self, changes, message):
        assert reason(MIXTURE, **changes) == message

    def test_limits_themselves_can_be(self):
        row = one(MIXTURE, ep="8", topk="8", micro_batch="8", zero="3(group=8)")
        assert (row["ep"], row["top_k"], row["micro_batch"], row["zero_group"]) == (8, 8, 8, 8)
        assert one(pp="8", vpp="3")["vpp"] == 3

    @pytest.mark.parametrize(
        ("changes", "note"),
        [
            ({}, ""),
            ({"dp": "4"},
             "dp 4 is replaced by 8 (8 chips over tp pp cp 1): tp is not given and counts as 1."),
            ({"tp": "16", "n_accelerators": "16"},
             "tp 16 is larger than a scale-up domain of 8 chips; the plan search does not try such "
             "plans."),
            ({"tp": "4", "kv_heads": "2"},
             "tp 4 is more than the 2 key and value heads; each is copied to 2 ranks, and the "
             "copies are not counted."),
            ({"pp": "2", "vpp": "5"},
             "24 layers are not a multiple of pp x vpp = 10 chunks; every stage is timed as the "
             "fullest one, with 15 layers."),
            ({"pp": "4", "vpp": "2", "n_accelerators": "24", "global_batch": "66"},
             "11 micro-batches are not a multiple of pp 4; Megatron-LM refuses this with vpp above "
             "1."),
            ({"cp": "4", "seq_len": "2044"},
             "2044 tokens are not a multiple of 2 cp = 8; under a causal mask the ranks have "
             "unequal work, which is not counted."),
            ({"zero": "3", "pp": "2"},
             "ZeRO-3 with a pipeline: DeepSpeed refuses this, but PyTorch FSDP does not; the plan "
             "search does not try it."),
            ({"global_batch": "6"},
             "6 sequences are fewer than dp = 8; 2 data-parallel ranks have nothing to compute."),
            ({"recompute": "block"},
             "recompute block without a number of layers is treated as recompute of all layers "
             "(full)."),
            ({"precision": "fp16"}, "FP16 is treated as BF16."),
            ({"precision": "fp8", "accelerator": "A100-80GB"},
             "A100-80GB has no FP8; it computes in BF16."),
            ({"global_batch": "65"},
             "65 sequences are not a multiple of dp x micro-batch = 8; the last micro-batches are "
             "partly empty."),
        ],
    )  # fmt: skip
    def test_what_is_unusual(self, changes, note):
        found = read({**DENSE, **changes})
        assert found.reason == [""]
        assert found.notes == [[note] if note else []]

    def test_a_plan_that_is_searched_is_not_judged_by_its_default(self):
        frame = pd.DataFrame([{**DENSE, "global_batch": "6", "framework": "NeMo 24.07"}])
        known = default_calibration()
        published = read_configurations(frame, CATALOGUE)
        assert (published.searched, len(published.notes[0])) == ([False], 1)
        open_row = read_configurations(frame, CATALOGUE, assumed=known)
        assert (open_row.reason, open_row.notes, open_row.searched) == ([""], [[]], [True])
        sizes = ("tp", "pp", "dp", "cp", "ep", "etp", "vpp", "micro_batch", "recompute", "zero")
        for column in sizes:
            given = {"recompute": "full", "dp": "8"}.get(column, "1")
            row = read_configurations(frame.assign(**{column: given}), CATALOGUE, assumed=known)
            assert row.searched == [False], column
        for column, given in (("flash_attn", "0"), ("seq_parallel", "0"), ("kind", "LoRA")):
            row = read_configurations(frame.assign(**{column: given}), CATALOGUE, assumed=known)
            assert row.searched == [True], column

    @pytest.mark.parametrize(
        ("changes", "etp", "words"),
        [
            ({"ep": "4"}, 1, ""),
            ({"ep": "1"}, 2, ""),
            ({"ep": "1", "etp": "0"}, 2, ""),
            ({"ep": "4", "etp": "2"}, 2, ""),
            ({"ep": "4", "etp": "1", "notes": "expert TP 2"}, 1, ""),
            ({"ep": "4", "notes": "expert TP as tensor parallel; TP 2; setp 2"}, 1, ""),
            ({"ep": "4", "notes": "capacity factor 1; expert TP 2; VPP 7"}, 2, "expert TP 2"),
            ({"ep": "1", "notes": "expert tensor parallel size 1"}, 1,
             "expert tensor parallel size 1"),
            ({"ep": "4", "notes": "with expert_tensor_parallel_size=2"}, 2,
             "expert_tensor_parallel_size=2"),
            ({"ep": "4", "notes": "ETP 2"}, 2, "ETP 2"),
            ({"ep": "4", "notes": "no overlap; expert TP 2, VPP 7"}, 2, "expert TP 2"),
            ({"ep": "4", "notes": "ETP 2 was slower, whole experts here"}, 1, ""),
            ({"ep": "4", "notes": "no expert TP 2; not ETP 2, unlike etp 2"}, 1, ""),
            ({"ep": "4", "notes": "slower with ETP 2"}, 1, ""),
            ({"ep": "4", "notes": "ETP 2; in the second table expert TP 4, ETP 4"}, 1, ""),
        ],
    )  # fmt: skip
    def test_expert_tensor_parallel_size(self, changes, etp, words):
        found = read({**MIXTURE, "tp": "2", **changes})
        assert found.reason == [""]
        assert found.plans.etp.tolist() == [etp]
        notes = [f"etp {etp} is taken from the column notes ({words})."] if words else []
        if not words and "etp" not in changes and changes["ep"] != "1":
            notes = [
                "etp is not given and counts as 1 (whole experts); Megatron-Core's own default is "
                "tp = 2."
            ]
        assert found.notes[0] == notes

    @pytest.mark.parametrize(
        ("changes", "way"),
        [
            ({}, 1),
            ({"framework": "Megatron-Bridge 26.06"}, 3),
            ({"framework": "Megatron-Bridge 26.06", "notes": "a2a"}, 1),
            ({"dispatcher": "DeepEP"}, 3),
            ({"dispatcher": "hybridep"}, 3),
            ({"dispatcher": "alltoall", "notes": "DeepEP"}, 1),
            ({"notes": "1233 TFLOPS, HybridEP; plan of others"}, 3),
            ({"notes": "NCCL all-to-all dispatcher"}, 1),
            ({"notes": "dispatcher: allgather"}, 2),
            ({"notes": "DeepEP is slower; interleaved 1F1B with all-to-all overlap"}, 1),
        ],
    )
    def test_dispatcher(self, changes, way):
        found = read({**MIXTURE, **changes})
        assert (found.reason, found.plans.dispatcher.tolist()) == ([""], [way])
        said = "".join(found.notes[0])
        read_in_notes = "notes" in changes and "slower" not in changes["notes"]
        assert ("dispatcher" in said) == (read_in_notes and "dispatcher" not in changes)

    @pytest.mark.parametrize(
        ("changes", "again", "shown"),
        [
            ({}, 0, ""),
            ({"moe_recompute": "1"}, 1, ""),
            ({"recompute": "selective (layernorm, moe)"}, 1, "recompute (moe)"),
            ({"recompute": "selective", "notes": "recompute layernorm+moe"}, 1,
             "notes (recompute layernorm+moe)"),
            ({"notes": "recompute moe_act; MoE of 8 experts"}, 0, ""),
            ({"moe_recompute": "0", "notes": "recompute moe"}, 0, ""),
            ({"recompute": "selective: layernorm + moe"}, 1, "recompute (moe)"),
            ({"notes": "VPP 2; recompute_modules=moe, layernorm; etp assumed"}, 1,
             "notes (recompute_modules=moe, layernorm)"),
            ({"notes": "TP 2, moe_recompute=1"}, 1, "notes (moe_recompute=1)"),
            ({"notes": "no overlap. With recompute MoE"}, 1, "notes (recompute MoE)"),
            ({"recompute": "selective (moe: none)"}, 0, ""),
            ({"recompute": "selective (moe_act)"}, 0, ""),
            ({"recompute": "selective except moe"}, 0, ""),
            ({"notes": "same recompute settings as in the moe run"}, 0, ""),
            ({"notes": "we do not recompute the moe layers"}, 0, ""),
            ({"notes": "without recompute of moe"}, 0, ""),
            ({"notes": "we did not, as others do, recompute moe"}, 0, ""),
            ({"notes": "unlike NeMo, recompute layernorm+moe"}, 0, ""),
            ({"notes": "recompute moe: none"}, 0, ""),
            ({"notes": "recompute moe was slower; moe_recompute=0"}, 0, ""),
        ],
    )  # fmt: skip
    def test_recompute_of_mixtures(self, changes, again, shown):
        found = read({**MIXTURE, **changes})
        assert found.reason == [""]
        assert found.plans.moe_recompute.tolist() == [again]
        assert found.notes[0] == (
            [f"moe_recompute 1 is taken from the column {shown}."] if shown else []
        )
        assert found.plans.recompute.tolist() == [float("recompute" in changes)]

    @pytest.mark.parametrize(
        ("column", "text"),
        [
            ("notes", "same recompute settings as in the moe run"),
            ("notes", "recompute layernorm+moe"),
            ("notes", "moe_recompute=1; ETP 2"),
            ("recompute", "none (moe: none)"),
            ("recompute", "selective (layernorm, moe)"),
        ],
    )
    def test_a_dense_model_has_no_mixtures_whatever_a_remark_says(self, column, text):
        found = read({**DENSE, column: text})
        assert (found.reason, found.plans.moe_recompute.tolist()) == ([""], [0])
        assert "moe_recompute" not in "".join(found.notes[0])

    def test_none_for_mixtures_is_none(self):
        found = read({**MIXTURE, "recompute": "none (moe: none)"})
        assert (found.reason, found.plans.moe_recompute.tolist()) == ([""], [0])

    def test_remarks_do_not_make_a_plan(self):
        frame = pd.DataFrame([{**MIXTURE, "notes": "expert TP 2"}])
        row = read_configurations(frame, CATALOGUE, assumed=default_calibration())
        assert row.searched == [True]
        dense = read({**DENSE, "tp": "2", "notes": "expert TP 2"})
        assert (dense.reason, dense.plans.etp.tolist()) == ([""], [0])

    def test_published_runs_can_all_be(self):
        measured = load_measurements()
        assert measured.left_out == []
        assert len(measured) == 748


class TestModels:
    @pytest.mark.parametrize("name", CATALOGUE.models)
    def test_a_table_says_what_an_estimate_does(self, name):
        """Same model, plan and stack: the same step time and memory."""
        plan = {"tp": 1, "pp": 1, "micro_batch": 1, "recompute": "full", "zero": 3}
        stack = "NeMo 24.07"
        best = estimate(name, "H100", 64, plan=plan, global_batch=128, stack=stack).best
        row = {"accelerator": "H100", "model": name, "n_accelerators": 64, "global_batch": 128}
        table = predict_table(pd.DataFrame([{**row, **plan, "framework": stack}])).table
        assert table["reason"][0] == ""
        assert float(table["predicted_step_time_s"][0]) == pytest.approx(best.step_time_s, 1e-5)
        assert float(table["predicted_memory_bytes"][0]) == pytest.approx(best.memory_bytes, 1e-9)

    def test_what_is_given_of_a_known_model(self):
        usual = one(LLAMA)
        assert one(LLAMA, kv_heads="8", head_dim="128", ffn_hidden="14336") == usual
        row = one(LLAMA, kv_heads="32", ffn_hidden="8192", mlp_type="gelu")
        assert row["kv_width"] == 4096
        assert row["attention_params"] == 4 * 4096**2
        assert (row["ffn_hidden"], row["mlp_matrices"]) == (8192, 2)
        mixture = one({**LLAMA, "model": "deepseek-v3"}, ffn_hidden="1024")
        assert (mixture["ffn_hidden"], mixture["expert_ffn_hidden"]) == (18432, 1024)
        assert reason(LLAMA, kv_heads="5") == "kv_heads: must divide the 32 heads, found 5"

    def test_catalogue_fills_the_shape(self):
        row = one(LLAMA)
        shape = ModelArrays.of([CATALOGUE.model("llama3-8b")])
        for field in dataclasses.fields(ModelArrays):
            assert row[field.name] == getattr(shape, field.name)[0], field.name

    def test_catalogue_fills_a_mixture(self):
        row = one({**LLAMA, "model": "deepseek-v3", "n_accelerators": "2048"})
        model = CATALOGUE.model("deepseek-v3")
        assert (row["n_experts"], row["top_k"], row["shared_experts"]) == (256, 8, 1)
        assert row["moe_layers"] == model.moe_layers < model.layers
        assert row["expert_ffn_hidden"] == model.expert_ffn_hidden
        assert row["attention_params"] == model.attention_params_per_layer

    @pytest.mark.parametrize(
        ("name", "given"),
        [
            # a table without columns for shared experts and dense layers
            ("Kimi K2 1T", {"n_experts": "384", "topk": "9", "ffn_hidden": "2048"}),
            ("Qwen2 57B-A14B", {"n_experts": "64", "topk": "16", "ffn_hidden": "2560"}),
            ("Llama 4 Maverick 400B", {"n_experts": "128", "topk": "4", "ffn_hidden": "4096"}),
            ("FLUX.1 11.9B", {}),
            ("HunyuanVideo 13B", {}),
        ],
    )
    def test_a_mean_layer_is_the_model_of_that_name(self, name, given):
        row = one({**LLAMA, "model": name}, **given)
        known = CATALOGUE.model(re.sub(r" [0-9.]+[BT](-A14B)?$", "", name) if given == {} else
                                {"Kimi": "kimi-k2", "Qwen2": "qwen2-57b-a14b",
                                 "Llama": "llama4-maverick"}[name.split()[0]])  # fmt: skip
        shape = ModelArrays.of([known])
        for field in dataclasses.fields(ModelArrays):
            assert row[field.name] == getattr(shape, field.name)[0], field.name

    def test_another_width_of_experts_is_taken_as_given(self):
        row = one({**LLAMA, "model": "kimi-k2"}, topk="4", ffn_hidden="1024")
        assert (row["top_k"], row["expert_ffn_hidden"], row["shared_experts"]) == (4, 1024, 1)

    def test_a_truncated_mixture_keeps_its_leading_dense_layers(self):
        row = one({**LLAMA, "model": "DeepSeek-V2 60B"}, layers="16", hidden="5120", heads="128")
        assert (row["layers"], row["moe_layers"], row["expert_ffn_hidden"]) == (16, 15, 1536)
        row = one({**LLAMA, "model": "llama4-maverick"}, layers="12")
        assert (row["layers"], row["moe_layers"]) == (12, 6)
        assert "deepseek-v2" in reason(LLAMA, model="DeepSeek-V2 60B")

    def test_columns_of_a_mixture(self):
        own = {"n_experts": "64", "topk": "6", "ffn_hidden": "1408", "model": "mine"}
        row = one(**own, shared_experts="2", moe_layers="23", dense_ffn_hidden="10944")
        assert (row["shared_experts"], row["moe_layers"], row["ffn_hidden"]) == (2, 23, 10944)
        said = one(**own, notes="2 shared experts, first dense layer")
        assert (said["shared_experts"], said["moe_layers"], said["ffn_hidden"]) == (2, 23, 1408)
        assert one(**own, notes="moe-layer-freq 2")["moe_layers"] == 12
        assert one(**own, notes="first 2 layers dense was worse")["moe_layers"] == 24
        assert reason(shared_experts="1") == "shared_experts: can only be given with n_experts"
        assert "moe_layers: must be at most the 24 layers" in reason(**own, moe_layers="25")

    def test_packed_documents(self):
        assert one(seq_len="8192")["span"] == 4096
        assert one(seq_len="8192", document_tokens="1024")["span"] == 512
        assert one(seq_len="8192", document_tokens="1024", sliding_window="256")["span"] < 256
        assert one(seq_len="8192", document_tokens="9000")["span"] == 4096
        assert one({**LLAMA, "model": "wan-14b"}, document_tokens="8000")["span"] == 8000

    def test_latent_attention(self):
        ranks = {"kv_lora_rank": "512", "q_lora_rank": "1536", "head_dim": "128"}
        row = one(hidden="7168", heads="128", ffn_hidden="18432", **ranks)
        known = ModelArrays.of([CATALOGUE.model("deepseek-v3")])
        assert row["attention_params"] == pytest.approx(known.attention_params[0], rel=1e-3)
        assert row["attention_width"] == known.attention_width[0]
        assert reason(v_head_dim="128") == "v_head_dim: can only be given with kv_lora_rank"

    def test_given_cells_win(self):
        assert one(LLAMA, seq_len="1024")["seq_len"] == 1024
        assert one(LLAMA, seq_len="1024")["span"] == 512

    def test_another_shape_is_another_model(self):
        """A cut-down Llama takes nothing from the whole one."""
        assert "columns; or give its hidden, heads" in reason(LLAMA, layers="4")

    def test_a_model_that_nobody_knows_needs_its_shape(self):
        text = reason(LLAMA, model="no-such-model")
        for name in ("layers", "hidden", "heads", "ffn_hidden", "vocab", "seq_len"):
            assert re.search(rf"or give its .*\b{name}\b", text)
        assert one(model="no-such-model") == one()


class TestParameters:
    """`params_b` settles what the type of the MLP leaves open."""

    attention, embedding = 24 * 4 * 2048**2, 50304 * 2048
    matrix = 24 * 2048 * 8192

    def billions(self, matrices):
        return str((self.attention + self.embedding + matrices * self.matrix) / 1e9)

    def test_matrices(self):
        assert one(params_b=self.billions(3))["mlp_matrices"] == 3
        assert one(params_b=self.billions(2), mlp_type="swiglu")["mlp_matrices"] == 2
        assert one(params_b=self.billions(2.1))["mlp_matrices"] == 2

    def test_neither_count_agrees(self):
        for matrices in ("gelu", "swiglu"):
            said = one(params_b=self.billions(10), mlp_type=matrices)["mlp_matrices"]
            assert said == (3 if matrices == "swiglu" else 2)

    def test_what_the_shape_lacks_is_counted_in_memory(self):
        """An image encoder of 6 % of the parameters; 3 % may be of tied tables or biases."""
        whole = self.attention + 2 * self.embedding + 2 * self.matrix
        assert one(params_b=str(1.06 * whole / 1e9))["other_params"] == pytest.approx(0.06 * whole)
        for share in (1.0, 1.03, 1.5):
            assert one(params_b=str(share * whole / 1e9), mlp_type="gelu")["other_params"] == 0
        notes = read({**DENSE, "params_b": str(1.06 * whole / 1e9)}).notes
        assert "billion parameters more than the shape" in str(notes)

    def test_a_known_model_is_not_doubted(self):
        assert one(LLAMA, params_b="1")["mlp_matrices"] == 3

    def test_width_of_experts(self):
        """A table may give the width of a dense layer, or of all chosen experts together."""
        said = one(MIXTURE)
        assert (said["expert_ffn_hidden"], said["moe_layers"], said["top_k"]) == (8192, 24, 2)
        agreed = self.billions(3 * 8)
        assert one(MIXTURE, params_b=agreed)["expert_ffn_hidden"] == 8192
        half = one(MIXTURE, params_b=self.billions(3 * 8 / 2))
        assert half["expert_ffn_hidden"] == pytest.approx(4096)
        split = {"ep": "4", "etp": "2", "tp": "2", "dp": "4", "n_accelerators": "8"}
        odd = one({**MIXTURE, **split}, params_b=self.billions(3 * 8 / 2.01))
        assert odd["expert_ffn_hidden"] % 1 > 0, "no rule refuses a width that is an estimate"


def test_take_and_kinds():
    found = read(
        {**DENSE, "framework": "NeMo 24.07"},
        {**MIXTURE, "framework": "NeMo 24.07"},
        {**MIXTURE, "accelerator": "A100-80GB"},
    )
    last = found.take(np.array([2, 0]))
    assert last.index.tolist() == [2, 0]
    assert [chip.name for chip in last.accelerators] == ["A100-80GB", "H100"]
    assert last.chips.bf16_flops.tolist() == [312e12, found.chips.bf16_flops[0]]
    by_mask = found.take(np.array([False, True, False]))
    assert by_mask.labels == [found.labels[1]]


def test_a_table_without_a_complete_row():
    found = read({**DENSE, "tp": "x"})
    assert len(found) == 0
    assert found.reason == ["tp: must be a whole number of at least 1, found 'x'"]
    assert found.models.layers.shape == found.chips.hbm_Bps.shape == found.plans.tp.shape == (0,)


def test_every_column_is_read():
    """A cell that makes no sense is refused, whatever its column; names alone are free."""
    free = {"model", "mlp_type", "framework", "family", "publisher"}
    for name in set(COLUMNS) - free - set(MEMORY_OPTIONS):
        base = MIXTURE | {"kv_heads": "16", "dp": "8", "n_accelerators": "8"}
        assert reason(base, **{name: "?"}).startswith(f"{name}: "), name


def test_options_of_the_memory():
    """Published tables write them in many ways; what is not understood is reported and ignored."""
    found = read(
        {**DENSE, "loss_fused": "linear", "offload": "optimizer to the host", "kind": "SFT"},
        {**DENSE, **dict.fromkeys(MEMORY_OPTIONS, "?")},
        {**DENSE, "kind": "QLoRA", "chip_memory_gb": "96"},
        {**DENSE, "kind": "QLoRA", "weights": "bf16, frozen"},
    )
    options = [
        {"loss_fused": "linear", "offload": "optimizer"}, {}, {"weights": "nf4"},
        {"weights": "bf16"},
    ]  # fmt: skip
    assert found.memory_options == options
    assert found.notes[0] == [
        "The optimizer on the host is timed at 2.4 billion parameters a second and chip if one "
        "chip uses a host, and at 0.45 if 8 do; the interval does not include its uncertainty.",
        "Whether the memory of the hosts suffices is not checked.",
    ]
    assert found.plans.host_optimizer.tolist() == [100, 0, 0, 0]
    assert found.notes[1] == [
        f"{name} '?' is not understood and is ignored." for name in MEMORY_OPTIONS
    ]
    assert found.chips.hbm_bytes.tolist() == [80 * 2**30, 80 * 2**30, 96 * 2**30, 80 * 2**30]
    assert found.memory.frozen.tolist() == [0, 0, 4.5 / 8, 2]
    assert found.memory.logits.tolist() == [0, 6, 6, 6]
    last = found.take(np.array([3, 0]))
    assert last.memory_options == [options[3], options[0]]
