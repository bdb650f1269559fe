"""`clustersim estimate --table`: a table of configurations."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clustersim.calibration.own_data import own_table
from clustersim.catalogue import load_catalogue
from clustersim.cli.main import main
from clustersim.estimation import COLUMNS, PREDICTED, missing_plans, predict_table
from clustersim.estimation.table import read_csv_as_text, write_csv
from clustersim.performance import best_plans
from tests.cli.estimating import ROW, Printed, call, predicted
from tests.examples import examples

SHAPE = ("layers", "hidden", "heads", "kv_heads", "head_dim", "ffn_hidden", "vocab")

CATALOGUE = load_catalogue()
RESULTS = ["step_time_s", "published_fields"]


def width(table: pd.DataFrame) -> np.ndarray:
    """Upper over lower bound of each row."""
    bounds = table[["predicted_lo_s", "predicted_hi_s"]].astype(float).to_numpy()
    return bounds[:, 1] / bounds[:, 0]


class TestTable:
    def test_published_runs_in_any_order(self) -> None:
        """Rows and columns of any order and number; the results are not looked at."""
        runs = own_table().fillna("")
        whole = predict_table(runs.drop(columns=RESULTS)).table
        assert (whole["reason"] == "").all()
        ratio = whole["predicted_step_time_s"].astype(float) / runs["step_time_s"].astype(float)
        assert np.median(np.abs(ratio - 1)) < 0.04
        wrong = runs.assign(step_time_s="1e9").iloc[::-7, ::-1].reset_index(drop=True)
        some = predict_table(wrong).table
        assert list(some.columns) == [*wrong.columns, *PREDICTED]
        pd.testing.assert_frame_equal(some[wrong.columns], wrong)
        expected = whole.iloc[::-7].reset_index(drop=True)
        numbers = list(PREDICTED)[:4]
        np.testing.assert_allclose(
            some[numbers].astype(float), expected[numbers].astype(float), rtol=1e-5
        )

    def test_the_project_s_own_measurements(
        self, capsys: Printed, tmp_path: Path, shared_data: Path
    ) -> None:
        source = shared_data / "measurements" / "training.csv"
        out = tmp_path / "predicted.csv"
        printed = call(capsys, "--table", str(source), "--out", str(out))
        assert "613 rows predicted (20 memory only), 2 not (column reason)" in printed
        assert f"written to {out}" in printed
        with source.open(newline="") as file, out.open(newline="") as copy:
            before, after = list(csv.reader(file)), list(csv.reader(copy))
        assert [row[: len(before[0])] for row in after] == before
        assert after[0][len(before[0]) :] == list(PREDICTED)
        reason = after[0].index("reason")
        assert sum(row[reason] == "" for row in after[1:]) == 613

    def test_values_are_kept_byte_for_byte(self, capsys: Printed, tmp_path: Path) -> None:
        texts = {"odd": "NA", "other": ' "a,\nb" ', "zero": "1.0", "null": "", "number": "007"}
        path, out = tmp_path / "runs.csv", tmp_path / "out.csv"
        write_csv(pd.DataFrame([{**ROW, **texts}]), path)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes() + b"\n")  # as Excel writes it
        assert "1 row predicted, 0 not\n" in call(capsys, "--table", str(path), "--out", str(out))
        row = read_csv_as_text(out).iloc[0]
        assert {name: row[name] for name in texts} == texts
        assert row["predicted_note"] == ""
        assert sorted(tmp_path.iterdir()) == [out, path], "no part of a file is left"

    def test_a_row_that_cannot_be_predicted_says_why(self) -> None:
        table = predicted({}, {"accelerator": "Zork"}, {"tp": "5"}, {"layers": "many"})
        assert table["reason"].tolist() == [
            "",
            "accelerator: unknown accelerator 'Zork'; did you mean 'Trainium2'? Otherwise give its "
            "dense peak in a column peak_tflops",
            "tp, pp, cp: their product 5 does not divide 64 chips; "
            "tp: must divide the 32 heads, found 5",
            "layers: must be a whole number of at least 1, found 'many'",
        ]
        others = table[[name for name in PREDICTED if name != "reason"]].iloc[1:]
        assert (others == "").all(axis=None)

    def test_the_memory_is_predicted_without_a_batch_chip_or_shape(self) -> None:
        table = predicted(
            {},
            {"global_batch": ""},
            {"accelerator": "", "chip_memory_gb": "80"},
            {"model": "other-7b", "params_b": "7", **dict.fromkeys(SHAPE, "")},
            {"accelerator": ""},
            {"accelerator": "our own", "chip_memory_gb": "80", "global_batch": ""},
        )
        assert (table["reason"] == "").all()
        assert (table["predicted_step_time_s"] == "").tolist() == [False] + 5 * [True]
        assert (table["predicted_memory_bytes"].astype(float) > 1e9).all()
        assert table["fits"].tolist()[4] == table["fit_probability"].tolist()[4] == ""
        said = table["predicted_note"]
        assert said[1].startswith("Only the memory is predicted: global_batch is not given.")
        assert said[2].startswith("Only the memory is predicted: accelerator is not given.")
        assert "H100 is assumed, the chip of the catalogue with the nearest memory." in said[2]
        assert "a usual shape of 7 billion parameters is assumed" in said[3]
        assert "not known without chip_memory_gb" in said[4]
        assert "the chip 'our own' is not in the catalogue; global_batch is not given" in said[5]

    def test_a_remark_after_the_name_of_a_model_changes_nothing(self) -> None:
        blank = {**dict.fromkeys(SHAPE, ""), "seq_len": "", "params_b": "8"}
        names = ("llama3-8b", "Llama3-8B (fine-tuning)", "Llama3-8B LoRA")
        table = predicted(*({**blank, "model": name} for name in names))
        found = table[["predicted_step_time_s", "predicted_memory_bytes", "predicted_note"]]
        assert (found["predicted_step_time_s"] != "").all()
        assert (found == found.iloc[0]).all(axis=None)

    def test_an_unknown_stack_or_chip_has_a_wider_interval(self) -> None:
        table = predicted(
            {},
            {"framework": "NeMo 99"},
            {"framework": "our own"},
            {"framework": "unknown", "family": ""},
            {"accelerator": "H100-SXM-96GB", "peak_tflops": "989"},
            {"accelerator": "Zork 9", "peak_tflops": "989", "year": "2023"},
        )
        known, release, stack, none, relative, stranger = width(table)
        assert known < release < stack
        assert none > 1.3 * known
        assert known < relative < stranger
        assert "the mean of all stacks is used" in table["predicted_note"][2]
        assert "the mean of all stacks is used" in table["predicted_note"][3]
        seconds = table["predicted_step_time_s"].astype(float)
        assert 0.8 < seconds[4] / seconds[0] < 1.25
        assert "H100" in table["predicted_note"][4]

    def test_an_unknown_chip_without_its_peak_names_the_nearest(self) -> None:
        table = predicted({"accelerator": "H1000"}, {"accelerator": "Zork", "peak_tflops": "x"})
        assert "unknown accelerator 'H1000'; did you mean 'H100'?" in table["reason"][0]
        assert "did you mean" in table["reason"][1]
        assert "peak_tflops" in table["reason"][1]

    def test_a_peak_counts_in_the_row_s_precision(self) -> None:
        chips = [
            {"accelerator": "Zork", "peak_tflops": "800", "precision": "bf16"},
            {"accelerator": "Zork", "peak_tflops": "1600", "precision": "bf16"},
            {"accelerator": "Zork", "peak_tflops": "1600", "precision": "fp8"},
        ]
        seconds = predicted(*chips)["predicted_step_time_s"].astype(float)
        assert seconds[1] < seconds[2] < seconds[0]

    def test_an_unknown_chip_is_predicted_from_the_numbers_that_are_given(self) -> None:
        full = {"accelerator": "Zork", "peak_tflops": "500", "hbm_bandwidth_GBps": "3000",
                "scaleup_GBps": "400", "inter_node_gbps_per_device": "400"}  # fmt: skip
        less = {"hbm_bandwidth_GBps": "750", "scaleup_GBps": "50"}
        table = predicted(full, *({**full, name: value} for name, value in less.items()))
        seconds = table["predicted_step_time_s"].astype(float)
        assert (seconds[1:] > 1.05 * seconds[0]).all(), "chips of one name keep their own numbers"

    def test_numbers_beside_a_chip_of_the_catalogue_are_said_not_to_be_used(self) -> None:
        table = predicted(
            {"accelerator": "H100", "power_w": "500", "peak_tflops": "400"},
            {"accelerator": "H100", "power_w": "700", "peak_tflops": "989.5"},
            {"accelerator": "H100", "precision": "fp8", "peak_tflops": "1979"},
        )
        notes = table["predicted_note"].tolist()
        used = "keeps its own numbers; not used: peak_tflops 400 (its own: 989), power_w 500"
        assert used in notes[0]
        assert "not used" not in notes[1]
        assert "not used" not in notes[2]

    def test_numbers_that_no_chip_can_have_are_not_used(self) -> None:
        chip = {"accelerator": "NewChip", "peak_tflops": "500", "hbm_bandwidth_GBps": "3000"}
        usual = predicted({**chip, "hbm_bandwidth_GBps": ""})["predicted_step_time_s"][0]
        wrong = predicted({**chip, "hbm_bandwidth_GBps": "3.0"}, {**chip, "peak_tflops": "0.5"})
        assert wrong["predicted_step_time_s"][0] == usual
        note = "hbm_bandwidth_GBps: must be from 20 to 100,000, found 3; it is not used."
        assert note in wrong["predicted_note"][0]
        assert "unknown accelerator 'NewChip'" in wrong["reason"][1]
        assert "peak_tflops: must be from 1 to 1,000,000" in wrong["predicted_note"][1]

    def test_a_batch_in_tokens_is_asked_about(self) -> None:
        notes = predicted({"global_batch": "4194304"}, {})["predicted_note"]
        assert "the batch is in sequences, not in tokens" in notes[0]
        assert "in sequences" not in notes[1]

    def test_a_name_that_means_several_chips_is_noted(self) -> None:
        notes = predicted({"accelerator": "Ascend-910B"}, {"accelerator": "910B2"})[
            "predicted_note"
        ]
        assert "'Ascend-910B' is read as 910B2; it could also mean 910B1, 910B3, 910B4." in notes[0]
        assert "could also mean" not in notes[1]

    def test_a_product_without_its_release(self) -> None:
        """DeepSpeed is a release of two runs; Megatron-Bridge has several."""
        stacks = ("DeepSpeed", "Megatron-Bridge", "NeMo 99")
        notes = predicted(*({"framework": stack} for stack in stacks))["predicted_note"]
        assert (
            "The release of DeepSpeed is unknown: it is treated like that of the 2 runs" in notes[0]
        )
        assert "'Megatron-Bridge' names" in notes[1]
        assert "it is treated as NeMo, the mean of its releases" in notes[1]

    def test_ms_swift_with_tensor_parallelism_is_its_megatron_back_end(self) -> None:
        row = {"framework": "ms-swift 3.5", "tp": "2"}
        table = predicted(row, {**row, "framework": "Megatron-SWIFT"}, {**row, "tp": "1"})
        seconds = table["predicted_step_time_s"].tolist()
        assert seconds[0] == seconds[1] != seconds[2]
        assert "'ms-swift 3.5' is treated as Megatron-SWIFT" in table["predicted_note"][0]
        assert "Megatron-SWIFT" not in table["predicted_note"][2]

    def test_a_power_in_the_name_of_a_chip_lowers_its_peak(self) -> None:
        names = (
            "H100-SXM",
            "H100 64 GB",
            "H100 64 GB at 500 W",
            "H100 96 GB at 500 W",
            "H100-96GB",
        )
        table = predicted(*({"accelerator": name} for name in names))
        assert (table["reason"] == "").all()
        normal, memory, limited, titan, catalogue = table["predicted_step_time_s"].astype(float)
        assert normal == pytest.approx(memory, rel=0.04)  # it has no effect of its own
        assert 1.05 * normal < limited < 1.25 * normal
        assert titan == pytest.approx(catalogue, rel=0.02)
        assert "884 TFLOP/s at 500 W" in table["predicted_note"][2]

    @pytest.mark.parametrize(
        "name", ["H200-500W", "H200_500W", "H200 at 0.5 kW", "H200, 500 watts"]
    )
    def test_a_power_is_found_wherever_it_is_in_a_name(self, name: str) -> None:
        assert "884 TFLOP/s at 500 W" in predicted({"accelerator": name})["predicted_note"][0]

    @pytest.mark.parametrize(
        "name", ["A100-SXM at 250 W", "910B2 200W", "MI250X 300W", "V100 200W"]
    )
    def test_a_limited_chip_whose_model_has_no_fp8(self, name: str) -> None:
        row = {"accelerator": name, "precision": "fp8", "peak_tflops": "312"}
        assert predicted(row)["reason"][0] == ""

    def test_documents_of_a_row_replace_those_of_the_catalogue(self) -> None:
        """Longer ones, too: the model's own documents have 1,024 tokens."""
        own = dataclasses.replace(CATALOGUE.model("llama3-8b"), document_tokens=1024)
        catalogue = dataclasses.replace(CATALOGUE, models={**CATALOGUE.models, own.name: own})
        rows = [{**ROW, "document_tokens": tokens} for tokens in ("", "1024", "8192")]
        rows.append({**rows[2], "document_tokens": "4096"})
        found = predict_table(pd.DataFrame(rows), catalogue=catalogue).table
        seconds = found["predicted_step_time_s"].astype(float).tolist()
        assert seconds[0] == seconds[1] < seconds[3] < seconds[2]
        plain = float(predicted({})["predicted_step_time_s"][0])
        assert seconds[2] == pytest.approx(plain)

    def test_memory_in_the_name_of_an_unknown_chip(self) -> None:
        table = predicted(
            *({"accelerator": f"A100-SXM-{size}GB", "peak_tflops": "312", "model": "llama2-70b",
               "tp": "8", "pp": "2", "zero": "1"} for size in (20, 640))
        )  # fmt: skip
        assert table["fits"].tolist() == ["false", "true"]

    def test_a_missing_plan_is_the_best_one(self) -> None:
        table = predicted(
            {"tp": "", "pp": "", "micro_batch": ""},
            {"tp": "", "pp": "", "dp": "8", "recompute": "full"},
            {"tp": "", "pp": "", "dp": "7"},
            {
                "tp": "",
                "pp": "",
                "micro_batch": "",
                "n_accelerators": "37",
                "model": "gpt3-5b",
                "global_batch": "8",
            },
        )
        model, chip = CATALOGUE.model("llama3-8b"), CATALOGUE.accelerator("H100")
        best = best_plans(model, chip, 64, global_batch=512, stack="NeMo 24.07")
        first = table.iloc[0]
        assert float(first["predicted_step_time_s"]) == pytest.approx(
            best.step_time_s[0], rel=0.03
        ), "the row's source has an effect of its own"
        assert first["predicted_note"].startswith(
            "No plan is given; the fastest plan that fits is used: tp="
        )
        assert f"dp={best.dp[0]},micro_batch={best.micro_batch[0]}" in first["predicted_note"]
        assert table["predicted_note"][1].startswith("dp 8 is replaced by 64")
        assert table["reason"][2].startswith("dp: must be 64 (64 chips over tp pp cp 1)")
        assert table["predicted_step_time_s"][2] == ""
        assert "8 sequences are fewer than dp = 37" in table["predicted_note"][3]

    def test_no_plan_that_fits(self) -> None:
        table = predicted(
            {"tp": "", "pp": "", "micro_batch": "", "model": "llama3-405b", "n_accelerators": "8"}
        )
        assert table["fits"][0] == "false"
        assert "no plan fits; the plan with the least memory is used" in table["predicted_note"][0]
        assert float(table["predicted_memory_bytes"][0]) > 80 * 2**30

    def test_an_unknown_plan_widens_the_upper_bound(self) -> None:
        table = predicted({}, {"tp": "", "pp": "", "micro_batch": ""})
        bounds = table[["predicted_step_time_s", "predicted_hi_s"]].astype(float).to_numpy()
        upper = bounds[:, 1] / bounds[:, 0]
        assert upper[1] > 1.15 * upper[0]

    def test_misspelt_columns_are_reported(self, capsys: Printed, tmp_path: Path) -> None:
        table = pd.DataFrame([ROW]).rename(columns={"micro_batch": "microbatch"})
        table.to_csv(tmp_path / "runs.csv", index=False)
        out = str(tmp_path / "out.csv")
        printed = call(capsys, "--table", str(tmp_path / "runs.csv"), "--out", out)
        assert "Note: column 'microbatch' is read as micro_batch\n" in printed

    def test_a_misspelt_column_of_rows_that_are_not_predicted(
        self, capsys: Printed, tmp_path: Path
    ) -> None:
        message = "Note: column 'global_bacth' is unknown; did you mean 'global_batch'?"
        table = pd.DataFrame([ROW]).rename(columns={"global_batch": "global_bacth"})
        table.to_csv(tmp_path / "runs.csv", index=False)
        arguments = "--table", str(tmp_path / "runs.csv"), "--out", str(tmp_path / "out.csv")
        lines = call(capsys, *arguments).splitlines()
        assert lines[0].startswith(message)
        assert lines[1] == "1 row predicted (1 memory only), 0 not"
        again = pd.DataFrame([ROW]).rename(columns={"micro_batch": "micor_batch"})
        again.to_csv(tmp_path / "runs.csv", index=False)
        (tmp_path / "out.csv").unlink()
        assert call(capsys, *arguments).startswith(
            "Note: column 'micor_batch' is unknown; did you mean 'micro_batch'? The predicted "
            "rows use the default of micro_batch.\n"
        )

    @pytest.mark.parametrize(
        "name", ["count", "gpus", "num_gpus", "n_gpus", "GPU count", "chips", "world_size", "gpu"]
    )
    def test_numbers_of_chips_under_their_usual_names(self, name: str) -> None:
        table = pd.DataFrame([ROW]).rename(columns={"n_accelerators": name})
        found = predict_table(table)
        assert found.renamed == (f"column {name!r} is read as n_accelerators",)
        assert found.predicted == 1
        assert list(found.table)[: len(ROW)] == list(table)
        expected = predicted({})["predicted_step_time_s"]
        assert found.table["predicted_step_time_s"].tolist() == expected.tolist()

    def test_other_usual_names(self) -> None:
        names = {
            "accelerator": "GPU", "n_accelerators": "gpus", "tp": "tensor_model_parallel_size",
            "pp": "pipeline-parallel", "global_batch": "gbs", "micro_batch": "mbs",
            "framework": "stack",
        }  # fmt: skip
        found = predict_table(pd.DataFrame([ROW]).rename(columns=names))
        assert sorted(found.renamed) == sorted(
            f"column {name!r} is read as {known}" for known, name in names.items()
        )
        expected = predicted({})["predicted_step_time_s"]
        assert found.table["predicted_step_time_s"].tolist() == expected.tolist()

    def test_two_columns_that_may_mean_the_same_are_not_guessed(self) -> None:
        table = pd.DataFrame([{**ROW, "gpus": "64", "chips": "64"}]).drop(columns="n_accelerators")
        found = predict_table(table)
        message = "columns 'gpus' and 'chips' may each mean n_accelerators, so none of them is read"
        assert (found.renamed, found.predicted) == ((message,), 0)
        assert found.table["reason"][0] == "n_accelerators: missing"

    def test_kinds_that_are_not_known(self) -> None:
        table = predicted({"kind": "pretrain"}, {"kind": "dpo"}, {"kind": "QLoRA"})
        seconds = table["predicted_step_time_s"].astype(float)
        assert seconds[0] == seconds[1] > seconds[2]
        assert table["predicted_note"][1] == "kind 'dpo' is treated as training of all weights."

    def test_a_table_of_numbers_keeps_them(self) -> None:
        table = pd.DataFrame([{**ROW, "tp": 2, "pp": 1.0, "note": np.nan}])
        done = predict_table(table).table
        assert done["reason"][0] == ""
        pd.testing.assert_frame_equal(done[table.columns], table)

    @settings(max_examples=examples(40), deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from([*COLUMNS, "peak_tflops", "year"]),
            st.one_of(
                st.sampled_from(
                    ["", "0", "1", "8", "-1", "1e9", "1e300", "nan", "inf", "fsdp", "none"]
                ),
                st.text(max_size=5),
            ),
            max_size=4,
        )
    )
    def test_any_cell_gives_numbers_or_a_reason(self, cells: dict[str, str]) -> None:
        row = predicted(cells).iloc[0]
        if row["reason"]:
            assert row["predicted_step_time_s"] == row["fits"] == ""
        elif not row["predicted_step_time_s"]:
            assert "Only the memory is predicted" in row["predicted_note"]
            assert float(row["predicted_memory_bytes"]) > 0
        else:
            low, middle, high = (
                float(row[name])
                for name in ("predicted_lo_s", "predicted_step_time_s", "predicted_hi_s")
            )
            assert 0 < low < middle < high < np.inf
            assert row["fits"] in ("true", "false")
            assert 0.0 <= float(row["fit_probability"]) <= 1.0

    def test_columns_are_listed(self, capsys: Printed) -> None:
        printed = call(capsys, "--list-columns")
        for name in ("inter_node_gbps_per_device", "peak_tflops", *PREDICTED):
            assert name in printed


def test_read_csv_skips_blank_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n\n1,\n,\n")
    table = read_csv_as_text(path)
    assert table.to_dict("list") == {"a": ["1", ""], "b": ["", ""]}


def test_an_interrupt_keeps_the_rows_that_are_predicted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three blocks of searches, interrupted in the second; the last row needs no search."""
    row = "H100,llama3-8b,8,128,"
    lines = ["accelerator,model,n_accelerators,global_batch,tp", *[row] * 40, f"{row}2"]
    (tmp_path / "in.csv").write_text("\n".join(lines) + "\n")
    out = tmp_path / "out.csv"
    search, calls = missing_plans._search, [0]

    def interrupted(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return search(*arguments)

    monkeypatch.setattr(missing_plans, "_search", interrupted)
    assert main(["estimate", "--table", str(tmp_path / "in.csv"), "--out", str(out)]) == 130
    message = capsys.readouterr()
    assert "17 rows predicted, 24 not" in message.out
    assert message.err == "interrupted: 24 of the rows were not reached; see the column reason\n"
    table = pd.read_csv(out, keep_default_na=False)
    done = [*range(16), 40]
    assert (table["reason"][done] == "").all()
    assert (table["predicted_step_time_s"][done] != "").all()
    rest = table.drop(index=done)
    assert len(rest) == 24
    assert rest["reason"].str.startswith("interrupted before its plan was searched").all()
    assert (rest["predicted_step_time_s"] == "").all()
