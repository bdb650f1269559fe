"""Values of hero, preemptible and priority that mean nothing are refused with file and row."""

from __future__ import annotations

from pathlib import Path

import pytest

from clustersim.errors import InputError
from clustersim.workload import read_jobs


@pytest.mark.parametrize(
    ("name", "cells", "said"),
    [
        ("hero", ("true", "maybe"), "hero: must be true or false, found 'maybe' (row 2)"),
        (
            "preemptible",
            ("", "perhaps"),
            "preemptible: must be true or false, found 'perhaps' (row 2)",
        ),
        ("preemptible", ("2", "1"), "preemptible: must be true or false, found 2 (row 1)"),
        ("priority", ("1", "inf"), "priority: must be a finite number, found inf (row 2)"),
        ("priority", ("-inf", "1"), "priority: must be a finite number, found -inf (row 1)"),
        ("hero", ("true", "FALSE"), ""),
        ("hero", ("", "True"), ""),
        ("preemptible", ("1", "0"), ""),
        ("priority", ("", "2.5"), ""),
    ],
)
def test_values_that_mean_nothing_are_refused(
    name: str, cells: tuple[str, str], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.csv"
    path.write_text(
        f"job_id,submit_s,n_accelerators,duration_s,{name}\n"
        + "".join(f"{row},0,8,60,{cell}\n" for row, cell in enumerate(cells, 1))
    )
    if not said:
        assert len(read_jobs(path).jobs) == 2
        return
    with pytest.raises(InputError) as error:
        read_jobs(path)
    assert str(error.value) == f"{path}: {said}"
