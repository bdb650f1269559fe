"""Tables, plans and options that `clustersim estimate` refuses."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from clustersim import estimate
from clustersim.errors import InputError
from clustersim.estimation.cost import Prices

Refuse = Callable[..., str]
JOB = ["estimate", "--model", "llama3-8b", "--accelerator", "H100", "--count", "64"]
TABLE = ["estimate", "--table", "runs.csv", "--out", "out.csv"]
GOOD = "accelerator,model,n_accelerators,global_batch,tp\nH100,llama3-8b,8,64,2\n"

OPTIONS: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "nothing": (["estimate"], ("--model, --accelerator, --count", "--table")),
    "no count": (JOB[:-2], ("needs --count for one job",)),
    "no out": (TABLE[:3], ("--out is missing",)),
    "no table": (["estimate", *TABLE[3:]], ("--table is missing",)),
    "both": ([*TABLE, "--count", "8", "--json"], ("--count applies to one job",)),
    "seq len of a table": ([*TABLE, "--seq-len", "8"], ("--seq-len applies to one job",)),
    "unknown model": ([*JOB, "--model", "llama3-7"], ("did you mean 'llama3-70b'",)),
    "unknown chip": ([*JOB, "--accelerator", "H101"], ("did you mean 'H100'", "'H101'")),
    "no chips": ([*JOB, "--count", "0"], ("count: must be a whole number from 1", "found 0")),
    "count as text": ([*JOB, "--count", "many"], ("'many'",)),
    "all problems at once": (
        [*JOB, "--count", "-1", "--global-batch", "0", "--precision", "int4"],
        (
            "3 problems",
            "count",
            "global_batch",
            "precision: must be one of bf16, fp16, fp8, mxfp8, fp32, found 'int4'",
        ),
    ),
    "no tokens": ([*JOB, "--tokens", "0"], ("tokens: must be from 1",)),
    "tokens of nan": ([*JOB, "--tokens", "nan"], ("tokens: must be",)),
    "tokens as text": ([*JOB, "--tokens", "15X"], ("15T (K, M, B, T), found '15X'",)),
    "draws": ([*JOB, "--draws", "-1"], ("draws: must be from 0",)),
    "bare network": ([*JOB, "--network", "400"], ("--network: '400' has no unit",)),
    "no network": ([*JOB, "--network", "0"], ("network: must be more than 0",)),
    "network in bytes": ([*JOB, "--network", "4 GB"], ("--network", "'GB'")),
    "price": (
        [*JOB, "--price", "-5", "--pue", "0.5"],
        ("estimate: 2 problems", "--price: ", "--pue: "),
    ),
    "no calibration": ([*JOB, "--calibration", "no.json"], ("no.json: cannot be read",)),
    "calibration of runs": ([*JOB, "--calibration", "runs.csv"], ("is not a calibration",)),
    "no catalogue": ([*JOB, "--catalogue", "no.yaml"], ("no.yaml: no such file",)),
    "depreciation": ([*JOB, "--depreciation", "4"], ("--depreciation: '4' has no unit",)),
    "no folder": ([*TABLE[:3], "--out", "new/out.csv"], ("no folder new",)),
    "out is the table": ([*TABLE[:3], "--out", "runs.csv"], ("runs.csv: exists already",)),
    "out is a folder": ([*TABLE[:3], "--out", "."], ("exists already",)),
    "out of a long name": ([*TABLE[:3], "--out", "x" * 300], ("cannot be written",)),
    "out with a zero byte": ([*TABLE[:3], "--out", "a\0b"], ("cannot be written",)),
    "no such table": (["estimate", "--table", "no.csv", *TABLE[3:]], ("no.csv: cannot be read",)),
    "table of a folder": (["estimate", "--table", ".", *TABLE[3:]], ("cannot be read",)),
}


@pytest.fixture(autouse=True)
def good_table(in_empty_folder: None) -> None:
    Path("runs.csv").write_text(GOOD)


@pytest.mark.parametrize("case", OPTIONS)
def test_bad_option(refuse: Refuse, case: str) -> None:
    arguments, words = OPTIONS[case]
    refuse(arguments, *words)


TABLES: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty": (b"", ("runs.csv: is empty",)),
    "blank": (b"\n\n", ("runs.csv: is empty",)),
    "no rows": (b"accelerator,tp\n", ("has no rows",)),
    "no column": (b"a,b,c\n1,2,3\n", ("has none of the columns", "accelerator")),
    "semicolons": (b"a;tp;pp\n1;2;3\n", ("columns are separated by semicolons, not by commas",)),
    "tabs": (b"accelerator\ttp\n1\t2\n", ("columns are separated by tabs, not by commas",)),
    "UTF-16": ("accelerator,tp\n".encode("utf-16"), ("is text in UTF-16; save it as UTF-8",)),
    "UTF-16 without a mark": ("accelerator,tp\n".encode("utf-16-le"), ("is text in UTF-16",)),
    "Latin-1": (
        b"accelerator,\xe9\n",
        ("is not UTF-8 text (byte 0xe9 in line 1), perhaps Latin-1", "-t UTF-8)"),
    ),
    "binary": (b"\x89PNG\r\n\x1a\n\xff\xfe", ("not UTF-8",)),
    "twice": (b"tp,pp,tp\n1,1,1\n", ("column 'tp': is present twice",)),
    "ragged": (
        b"tp,pp\n1\n1,2\n1,2,3\n",
        ("2 problems", "line 2: has 1 values, but the header has 2", "line 4: has 3 values"),
    ),
    "open quote": (b'tp,pp\n1,"2\n', ("is not a CSV table",)),
    "predicted already": (
        b"tp,fits,reason\n1,true,\n",
        (
            "2 problems",
            "fits: the input already has a column",
            "reason: the input already has a column",
        ),
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_table(refuse: Refuse, case: str) -> None:
    content, words = TABLES[case]
    Path("runs.csv").write_bytes(content)
    refuse(TABLE, *words)


def test_nothing_is_overwritten(refuse: Refuse) -> None:
    Path("out.csv").write_text("mine")
    refuse(TABLE, "out.csv: exists already and is not overwritten; choose a new file")


def test_a_full_disk_leaves_nothing(refuse: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    refuse(TABLE, "out.csv: cannot be written: No space left on device")


PLANS = {
    "tp": "'tp': must be written as key=value",
    "tpp=2": "tpp: unknown key of a plan; did you mean 'tp'?",
    "microbatch=2": "did you mean 'micro_batch'?",
    "tp=2,TP=4": "TP: is given more than once",
    "tp=0": "tp: must be a whole number of at least 1, found '0'",
    "tp=-2": "found '-2'",
    "tp=2.5": "found '2.5'",
    "tp=²": "found '²'",
    "zero=4": "zero: must be 0 to 3, fsdp, or of the form 1(group=8), found '4'",
    "recompute=some": "recompute: must be one of none, selective, full, block, found 'some'",
    "flash=2": "flash: must be 0 or 1, found '2'",
    "tp=3": "product 3 does not divide 64 chips",
    "tp=64": "tp: must divide the 32 heads, found 64",
    "pp=64": "pp: must be at most the 32 layers, found 64",
    "pp=8,vpp=8": "vpp: must be at most the 4 layers of a stage, found 8",
    "vpp=2": "vpp: must be 1 if pp is 1, found 2",
    "ep=2": "ep: must be 1 because the model has no experts, found 2",
    "tp=2,etp=2": "etp: must be 1 because the model has no experts, found 2",
    "expert_tp=4": "etp: must be 1 because the model has no experts, found 4",
    "moe_recompute=1": "moe_recompute: must be 0 because the model has no experts, found 1",
    "dispatcher=deepep": "dispatcher: cannot be given because the model has no experts",
    "dispatcher=ring": "dispatcher: must be one of default, alltoall, allgather, deepep, hybridep",
    "moe_recompute=2": "moe_recompute: must be 0 or 1, found '2'",
    "etp=1.5": "etp: must be a whole number of at least 0, found '1.5'",
    "etp=2,expert_tensor_parallel_size=2": "expert_tensor_parallel_size: is given more than once",
    "zero_group=7": "zero_group: must divide the 64 data-parallel ranks (dp cp), found 7",
    "tp=2,dp=8": "dp: must be 32 (64 chips over tp pp cp 2) or left out, found 8",
    "zero=1(group=7)": "zero_group: must divide the 64 data-parallel ranks (dp cp), found 7",
    "zero=0,zero_group=8": "zero_group: must be 0 if ZeRO is off (stage 0), found 8",
    "tp=": "tp: has no value",
    "micro_batch=9": "at most 8, a rank's share of the batch (512 sequences over dp 64), found 9",
}


@pytest.mark.parametrize("plan", PLANS)
def test_bad_plan(refuse: Refuse, plan: str) -> None:
    refuse([*JOB, "--plan", plan], "plan: ", PLANS[plan])


def test_all_problems_of_a_plan_at_once(refuse: Refuse) -> None:
    refuse([*JOB, "--plan", "ttp=1,micro_batch=x"], "2 problems", "ttp", "micro_batch")
    refuse([*JOB, "--plan", "tp=3,pp=40,ep=2"], "4 problems", "product 120", "heads", "layers")


def test_plans_of_a_mixture() -> None:
    with pytest.raises(InputError, match="ep: must divide the 8 experts, found 16"):
        estimate("mixtral-8x7b", "H100", 64, plan={"ep": 16})
    with pytest.raises(InputError, match=r"ep: must divide the 2 chips of a stage .* found 8"):
        estimate("mixtral-8x7b", "H100", 16, plan={"tp": 2, "pp": 8, "ep": 8})
    with pytest.raises(
        InputError,
        match=r"etp: its product with ep 4 must divide the 4 chips of a stage \(tp dp cp\)",
    ):
        estimate("mixtral-8x7b", "H100", 16, plan={"tp": 2, "pp": 4, "ep": 4, "etp": 2})
    with pytest.raises(InputError, match="etp: must divide the expert width of 14336, found 3"):
        estimate("mixtral-8x7b", "H100", 48, plan={"ep": 8, "etp": 3})
    with pytest.raises(
        InputError,
        match="zero_group: its product with tp 2 must be a multiple of ep 4 x etp 2, found 2",
    ):
        estimate("mixtral-8x7b", "H100", 16, plan="tp=2,ep=4,etp=2,zero=1(group=2)")
    folded = estimate("mixtral-8x7b", "H100", 16, plan={"tp": 8, "ep": 8}).best
    assert folded is not None
    assert folded.plan["dp"] == 2


@pytest.mark.parametrize(
    ("argument", "value", "words"),
    [
        ("count", "64", r"count: must be a whole number .* found '64'"),
        ("count", True, r"count: must be a whole number .* found True"),
        ("seed", -1, "seed: must be a whole number of at least 0, found -1"),
        ("draws", 2.5, r"draws: must be from 0 to 100,000, found 2\.5"),
        ("tokens", "15T", "tokens: must be from 1 to 1e18, found '15T'"),
    ],
)
def test_arguments_of_another_kind(argument: str, value: object, words: str) -> None:
    options: dict[str, object] = {"count": 64, argument: value}
    with pytest.raises(InputError, match=words):
        estimate("llama3-8b", "H100", **options)  # type: ignore[arg-type]


def test_context_that_does_not_divide_the_sequence() -> None:
    with pytest.raises(InputError, match="cp: must divide the 8192 tokens of a sequence, found 3"):
        estimate("llama3-8b", "H100", 96, plan={"cp": 3})


def test_python_arguments() -> None:
    with pytest.raises(InputError, match=r"count: .* found 2\.5"):
        estimate("llama3-8b", "H100", 2.5)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="depreciation_years: must be"):
        Prices(depreciation_years=0)
