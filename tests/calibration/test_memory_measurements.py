"""Whether published configurations ran or ran out of memory, and their peaks, as predicted.

Measured on ``memory.csv`` of the reference data, blanks filled with the least demanding value: of
the rows of quality A all 45 that ran are said to fit, and 21 of 31 that ran out of memory not to
fit; the predicted peak over the measured one is 0.95 in the median (quartiles 0.89 and 1.00).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.catalogue import load_catalogue
from clustersim.estimation import predict_table
from tests.reference_data import data_folder, reference_data

pytestmark = pytest.mark.skipif(reference_data() is None, reason=f"no data in {data_folder()}")

UNNAMED = {
    "24": "L20", "32": "910A", "40": "A100-40GB", "48": "L40S", "64": "910B3", "80": "A100-80GB",
    "96": "H100-96GB", "141": "H200",
}  # fmt: skip
"""A chip of the same memory where a row names none."""
LEAST = {"tp": 1, "pp": 1, "micro_batch": 1, "seq_len": 512, "recompute": "full", "zero": 1}
"""The least demanding value of a blank cell."""


def number(text: str, default: float) -> float:
    return float(text) if text else default


def filled(row: dict[str, str]) -> dict[str, str]:
    """Fill the blanks of one row as the README of the measurements does."""
    full = {**row, **{name: row[name] or str(value) for name, value in LEAST.items()}}
    full["accelerator"] = full["accelerator"] or UNNAMED.get(row["chip_memory_gb"], "")
    if full["accelerator"] == "910B":
        full["accelerator"] = "910B3"
    count = number(row["n_accelerators"], number(row["devices_per_node"], 1))
    full["n_accelerators"] = f"{count:.0f}"
    sizes = {name: number(full[name], 1) for name in ("tp", "pp", "cp", "micro_batch")}
    dp = max(1.0, count / (sizes["tp"] * sizes["pp"] * sizes["cp"]))
    batch = sizes["micro_batch"] * dp * sizes["pp"]
    full["global_batch"] = row["global_batch"] or f"{batch:.0f}"
    return full


@pytest.fixture(scope="module")
def judged() -> pd.DataFrame:
    folder = data_folder() / "measurements"
    if not (folder / "memory.csv").is_file():
        pytest.skip(f"no memory.csv in {folder}")
    catalogue = load_catalogue(folder / "memory_chips.yaml")
    table = pd.read_csv(folder / "memory.csv", dtype=str, keep_default_na=False)
    rows = pd.DataFrame([filled(row) for row in table.to_dict("records")])
    done = predict_table(rows, catalogue=catalogue).table
    done["planned"] = (table["tp"] != "") | (table["pp"] != "")
    done = done[done["reason"] == ""]
    peak = pd.to_numeric(done["peak_memory_gb"].replace("", np.nan))
    done["ratio"] = done["predicted_memory_bytes"].astype(float) / 1e9 / peak
    return done


def test_nothing_in_it_is_not_understood(judged: pd.DataFrame) -> None:
    assert len(judged) > 170
    assert not judged["predicted_note"].str.contains("not understood").any()


def test_what_ran_is_said_to_fit(judged: pd.DataFrame) -> None:
    ran = judged[judged["outcome"] == "ran"]
    assert (ran["fits"] == "true").mean() > 0.97
    assert (ran.loc[ran["quality"] == "A", "fits"] == "true").mean() > 0.97


def test_what_ran_out_is_said_not_to_fit(judged: pd.DataFrame) -> None:
    """Most of those said to fit do not print their length, micro-batch or recompute."""
    out = judged[(judged["outcome"] == "oom") & (judged["quality"] == "A")]
    assert len(out) > 25
    assert (out["fits"] == "false").mean() > 0.6


def test_peaks(judged: pd.DataFrame) -> None:
    ran = judged[(judged["outcome"] == "ran") & judged["ratio"].notna()]
    low, median, high = ran["ratio"].quantile([0.25, 0.5, 0.75])
    assert 0.9 < median < 1.02
    assert (low, high) == pytest.approx((0.85, 1.05), abs=0.05)
    golden = ran[ran["family"] == "megatron-golden-2026"]
    assert len(golden) == 6
    assert golden["ratio"].between(0.92, 1.08).all()  # all of the configuration is printed


@pytest.fixture(scope="module")
def recent() -> pd.DataFrame:
    path = data_folder() / "measurements" / "training_2026.csv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    done = predict_table(pd.read_csv(path, dtype=str, keep_default_na=False)).table
    return done[done["reason"] == ""]


def test_runs_of_2026_are_said_to_fit(recent: pd.DataFrame) -> None:
    """All ran; seven are said not to fit.

    Recompute of some layers or of other modules, or offload, is in their notes or recipes alone.
    """
    assert len(recent) == 181
    assert (recent["fits"] == "false").sum() <= 7


def test_split_experts_of_published_runs(recent: pd.DataFrame) -> None:
    """MoE parallel folding (arXiv 2504.14960): expert TP 2 to 8 is in the notes of its rows."""
    folding = recent[recent["family"] == "moe-folding"]
    split = folding[folding["notes"].str.contains(r"expert TP [248]\b")]
    assert (len(folding), len(split)) == (44, 28)
    assert split["predicted_note"].str.contains("is taken from the column notes").all()
    assert (folding["fits"] == "true").all()
    measured = folding["step_time_s"].astype(float)
    error = np.log(folding["predicted_step_time_s"].astype(float) / measured)
    assert error.abs().mean() < 0.3  # 0.35 with whole experts
