"""Tables of configurations: names of plans, columns that stand twice, models not known, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from clustersim import InputError
from clustersim.cli.main import main
from clustersim.estimation import predict_table

ROW = {
    "accelerator": "H100",
    "n_accelerators": "8",
    "model": "llama3-8b",
    "seq_len": "8192",
    "global_batch": "512",
    "tp": "2",
    "zero": "1",
}


def predicted(**changes: Any) -> tuple[str, str, tuple[str, ...]]:
    """Step time, reason and what was said of the columns."""
    found = predict_table(pd.DataFrame([{**ROW, **changes}]))
    row = found.table.iloc[0]
    return row["predicted_step_time_s"], row["reason"], found.renamed


@pytest.mark.parametrize(
    ("name", "column", "value"),
    [
        ("sequence_parallel", "seq_parallel", "0"),
        ("sp", "seq_parallel", "0"),
        ("flash", "flash_attn", "0"),
        ("overlap", "comm_overlap", "0"),
        ("expert_tp", "etp", "1"),
    ],
)
def test_columns_of_the_names_of_a_plan_are_read(name: str, column: str, value: str) -> None:
    seconds, reason, said = predicted(**{name: value})
    assert reason == ""
    assert seconds == predicted(**{column: value})[0]
    assert said == (f"column {name!r} is read as {column}",)
    if column in ("flash_attn", "comm_overlap"):
        assert float(seconds) > float(predicted()[0])


def test_a_group_of_zero_is_a_column_of_its_own() -> None:
    seconds, reason, said = predicted(zero_group="2")
    assert (reason, said) == ("", ())
    assert seconds == predicted(zero="1(group=2)")[0]
    assert "zero_group" in predicted(zero_group="3")[1]
    assert predicted(lora="1")[0] == predicted(kind="LoRA")[0] != predicted()[0]


def test_a_column_that_stands_twice_is_named() -> None:
    with pytest.raises(InputError, match="column 'tp' is present twice: 'tp' and 'TP'; remove one"):
        predicted(TP="4")
    with pytest.raises(
        InputError, match="'micro_batch' is present twice: 'Micro_Batch' and 'microb"
    ):
        predicted(Micro_Batch="1", microbatch="1")
    assert predicted(flash="0", flash_attn="1")[2] == (
        "column 'flash' is ignored because there is a column flash_attn",
    )
    assert predicted(mbs="1", micro_bs="2")[2] == (
        "columns 'mbs' and 'micro_bs' may each mean micro_batch, so none of them is read",
    )


@pytest.mark.parametrize(("model", "near"), [("no-model", ""), ("llama3-8", "'llama3-8b'")])
def test_a_model_that_is_not_known_is_named(model: str, near: str) -> None:
    seconds, reason, _ = predicted(model=model)
    assert seconds == ""
    assert reason.startswith(f"model: unknown model {model!r}; ")
    assert near in reason
    assert reason.endswith("or give its layers, hidden, heads, ffn_hidden, vocab")
    assert "missing" not in reason
    _, reason, _ = predicted(layers="7")
    assert reason.startswith("model: 'llama3-8b' has another shape in the catalogue; correct the")


@pytest.mark.parametrize("name", ["global_batch", "seq_len"])
def test_a_table_has_the_limits_of_the_command(name: str) -> None:
    assert predicted(**{name: "50000000"})[1].startswith(f"{name}: must be at most 10,000,000")


JOB = ["estimate", "--model", "llama3-8b", "--accelerator", "H100", "--count", "8"]


def test_the_plan_of_a_note_is_the_plan_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    row = {name: value for name, value in ROW.items() if name not in ("tp", "zero")}
    found = predict_table(pd.DataFrame([{**row, "seq_len": "", "global_batch": "128"}])).table
    note = found["predicted_note"][0]
    assert main([*JOB, "--global-batch", "128"]) == 0
    shown = capsys.readouterr().out
    plan = next(line.split()[1] for line in shown.splitlines() if line.startswith("plan "))
    assert f"fastest plan that fits is used: {plan};" in note
    assert "recompute=" in plan
    assert main([*JOB, "--global-batch", "128", "--plan", plan]) == 0
    assert plan in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--global-batch", "1.5", "--global-batch: must be a whole number, found '1.5'"),
        ("--seq-len", "many", "--seq-len: must be a whole number, found 'many'"),
        ("--seq-len", "1e9", "seq_len: must be a whole number from 1 to 10,000,000"),
        ("--count", "nan", "--count: must be a whole number, found 'nan'"),
        ("--price", "x", "--price: must be a number, found 'x'"),
        ("--price=-5", "", "--price: must be 0 or more"),
        ("--depreciation", "0", "--depreciation (in years): must be 0.01 or more"),
        ("--pue", "0.5", "--pue: must be 1 or more"),
        ("--tokens", "x", "--tokens: must be a number, such as 15e12"),
        ("--plan", "tp=1.5", "tp: must be a whole number"),
    ],
)
def test_numbers_of_options_are_refused_in_one_style(
    capsys: pytest.CaptureFixture[str], option: str, value: str, words: str
) -> None:
    assert main([*JOB, *filter(None, (option, value))]) == 2
    message = capsys.readouterr().err
    assert message.startswith("clustersim: error: ")
    assert words in message
    assert "usage" not in message


def test_numbers_of_options_and_plans_are_read_alike(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*JOB, "--global-batch", "1e2", "--seq-len", "8,192", "--plan", "tp=2e0"]) == 0
    printed = capsys.readouterr().out
    assert main([*JOB, "--global-batch", "100", "--seq-len", "8192", "--plan", "tp=2"]) == 0
    assert capsys.readouterr().out == printed


def test_a_table_says_how_many_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame([ROW]).to_csv(tmp_path / "a.csv", index=False)
    arguments = ["--table", str(tmp_path / "a.csv"), "--out", str(tmp_path / "b.csv")]
    assert main(["estimate", *arguments]) == 0
    assert "1 row predicted, 0 not" in capsys.readouterr().out
