"""Calling `clustersim estimate` as from the terminal."""

from __future__ import annotations

import pandas as pd
import pytest

from clustersim.cli.main import main
from clustersim.estimation import predict_table

Printed = pytest.CaptureFixture[str]
ROW = {
    "accelerator": "H100", "model": "llama3-8b", "n_accelerators": "64", "global_batch": "512",
    "tp": "2", "pp": "1", "micro_batch": "1", "framework": "NeMo 24.07", "family": "nemo2407",
}  # fmt: skip


def predicted(*changes: dict[str, str]) -> pd.DataFrame:
    """Predictions of the one row with changes."""
    return predict_table(pd.DataFrame([{**ROW, **change} for change in changes])).table


def call(capsys: Printed, *arguments: str, code: int = 0) -> str:
    found = main(["estimate", *arguments])
    captured = capsys.readouterr()
    assert found == code, captured.err
    assert captured.err == ""
    return captured.out
