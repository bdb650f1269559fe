"""Whether published configurations ran or ran out of memory, and their peaks, as predicted.

Measured on ``memory.csv`` of the reference data as it is written: 97 % of the rows that ran are
said to fit, and 19 of 23 full trainings of quality A that ran out of memory not to fit; the
predicted peak over the measured one is 0.98 in the median, and 87 % are within 20 %.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clustersim.estimation import predict_table
from tests.reference_data import data_folder, reference_data

pytestmark = pytest.mark.skipif(reference_data() is None, reason=f"no data in {data_folder()}")


@pytest.fixture(scope="module")
def judged() -> pd.DataFrame:
    path = data_folder() / "measurements" / "memory.csv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    done = predict_table(pd.read_csv(path, dtype=str, keep_default_na=False)).table
    assert (done["reason"] == "").all()
    peak = pd.to_numeric(done["peak_memory_gb"].replace("", np.nan))
    done["ratio"] = done["predicted_memory_bytes"].astype(float) / 1e9 / peak
    return done


def test_nothing_in_it_is_not_understood(judged: pd.DataFrame) -> None:
    assert len(judged) > 190
    assert not judged["predicted_note"].str.contains("not understood").any()


def test_what_ran_is_said_to_fit(judged: pd.DataFrame) -> None:
    ran = judged[judged["outcome"] == "ran"]
    assert (ran["fits"] == "true").mean() > 0.96
    assert (ran.loc[ran["quality"] == "A", "fits"] == "true").mean() > 0.97


def test_what_ran_out_is_said_not_to_fit(judged: pd.DataFrame) -> None:
    full = ~judged["kind"].str.lower().isin(["lora", "qlora"])
    out = judged[(judged["outcome"] == "oom") & (judged["quality"] == "A") & full]
    assert len(out) > 20
    assert (out["fits"] == "false").mean() > 0.8


def test_probabilities_order_the_outcomes(judged: pd.DataFrame) -> None:
    """A run has a higher probability than a row that ran out in more than 85 % of the pairs."""
    known = judged[judged["fit_probability"] != ""]
    chance = known["fit_probability"].astype(float)
    ran, out = (chance[known["outcome"] == word].to_numpy() for word in ("ran", "oom"))
    above = (ran[:, None] > out).mean() + 0.5 * (ran[:, None] == out).mean()
    assert above > 0.85


def test_peaks(judged: pd.DataFrame) -> None:
    ran = judged[(judged["outcome"] == "ran") & judged["ratio"].notna()]
    assert len(ran) > 120
    assert 0.95 < ran["ratio"].median() < 1.05
    assert (ran["ratio"].sub(1.0).abs() <= 0.2).mean() > 0.85
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
    """All ran; twelve are said not to fit, four of them only just.

    Recompute of some layers or of other modules, or offload, is in their notes or recipes alone.
    """
    assert len(recent) == 211
    assert (recent["fits"] == "false").sum() == 12


def test_split_experts_of_published_runs(recent: pd.DataFrame) -> None:
    """MoE parallel folding (arXiv 2504.14960): expert TP 2 to 8 is in the notes of its rows."""
    folding = recent[recent["family"] == "moe-folding"]
    split = folding[folding["notes"].str.contains(r"expert TP [248]\b")]
    assert (len(folding), len(split)) == (44, 28)
    assert split["predicted_note"].str.contains("is taken from the column notes").all()
    assert (folding["fits"] == "false").sum() <= 1  # recompute is not printed
    measured = folding["step_time_s"].astype(float)
    error = np.log(folding["predicted_step_time_s"].astype(float) / measured)
    assert error.abs().mean() < 0.3  # 0.35 with whole experts
