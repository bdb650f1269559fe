"""The same scenario and seed give the same values, wherever and however they are run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fleets import cluster, crowd, pool

from clustersim.scenario.run import run
from clustersim.seeds import Streams
from clustersim.simulation.result import Result
from clustersim.simulation.simulate import Scheduling, simulate
from clustersim.workload import generate_jobs, load_workload

SCENARIO = """
name: determinism
cluster: mixed-small
workload:
  generate:
    arrivals: {mean_interarrival: 10 min}
    classes:
      - name: train
        weight: 1
        sizes: {8: 3, 16: 2, 64: 1}
        model: llama3-8b
        tokens: {kind: lognormal, median: 1.0e9, sigma: 1.0}
        estimate: {kind: constant, value: 2}
      - name: try
        weight: 4
        sizes: {1: 4, 2: 1, 4: 1}
        duration: {kind: weibull, scale: 40 min, shape: 0.6}
  jobs: 800
  load: 1.5
  reference_accelerator: H200
  reference_models: {default: llama3-8b}
scheduler: {policy: easy, placement: consolidate}
seed: 11
"""
POLICIES = ["fcfs", "sjf", "easy", "easy_sjbf", "conservative"]
TABLES = ("jobs", "allocations", "utilisation", "summary")


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return path


def digest(result: Result) -> str:
    """A hash of every value of the tables."""
    total = hashlib.sha256()
    for name in TABLES:
        table = getattr(result, name)
        for column in table:
            values = table[column]
            total.update(f"{name}.{column}".encode())
            if pd.api.types.is_numeric_dtype(values):
                total.update(values.to_numpy().tobytes())
            else:
                total.update("\0".join(map(str, values)).encode())
    return total.hexdigest()


def test_the_same_tables_twice(scenario: Path) -> None:
    first, second = run(scenario), run(scenario)
    for name in TABLES:
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name), check_exact=True)
    assert digest(first) == digest(second)
    assert digest(first) != digest(run(scenario, ["seed=12"]))
    assert digest(first) != digest(run(scenario, ["replication=1"]))
    assert digest(first) != digest(run(scenario, ["scheduler.policy=fcfs"]))


@pytest.mark.slow
@pytest.mark.parametrize(("hash_seed", "threads"), [("0", "1"), ("4321", "4")])
def test_the_same_tables_in_a_fresh_process(scenario: Path, hash_seed: str, threads: str) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "import test_determinism as here\n"
        "print(here.digest(here.run(Path(sys.argv[2]))))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent), str(scenario)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "OPENBLAS_NUM_THREADS": threads},
        capture_output=True,
        text=True,
        check=True,
    )
    assert finished.stdout.strip() == digest(run(scenario))


LONG_SUM = """
import numpy as np, pandas as pd
from clustersim.simulation.metrics import accelerator_seconds
draw = np.random.default_rng(1)
time_s = np.sort(draw.uniform(0, 1e7, 100_000))
steps = pd.DataFrame({"pool": "gpu", "time_s": time_s, "installed": 9.5})
steps["allocated"] = draw.uniform(0, 9, 100_000)
print(accelerator_seconds(steps).to_numpy().tolist())
"""


@pytest.mark.slow
def test_a_long_sum_does_not_depend_on_the_number_of_threads() -> None:
    sums = {
        subprocess.run(
            [sys.executable, "-c", LONG_SUM],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(sums) == 1


def test_another_policy_sees_the_same_jobs(scenario: Path) -> None:
    outcome = ("start_s", "wait_s", "finish_s", "total_wait_s", "pool")
    drawn = [c for c in run(scenario).jobs.columns if c not in outcome]
    tables = [run(scenario, [f"scheduler.policy={name}"]).jobs for name in POLICIES]
    for table in tables[1:]:
        pd.testing.assert_frame_equal(table[drawn], tables[0][drawn], check_exact=True)
    assert len({tuple(table["start_s"]) for table in tables}) == len(POLICIES)


def test_another_load_moves_only_the_submissions(scenario: Path) -> None:
    low = run(scenario, ["workload.load=0.5"]).jobs
    high = run(scenario, ["workload.load=1.0"]).jobs
    for column in ("n_accelerators", "duration_s", "tokens", "job_class"):
        pd.testing.assert_series_equal(low[column], high[column], check_exact=True)
    np.testing.assert_allclose(low["submit_s"], 2 * high["submit_s"], rtol=1e-12)


def test_streams_of_one_purpose_are_untouched_by_the_others() -> None:
    streams = Streams(3)
    alone = streams("arrivals").random(5)
    streams("durations").random(1000)
    np.testing.assert_array_equal(streams("arrivals").random(5), alone)
    others = [Streams(4), Streams(3, replication=1)]
    for other in others:
        assert not np.array_equal(other("arrivals").random(5), alone)
    assert not np.array_equal(streams("sizes").random(5), alone)


def test_one_column_more_to_draw_leaves_the_others_as_they_were() -> None:
    spec = load_workload("philly-2017")
    with_users = spec.model_copy(
        update={"classes": tuple(c.model_copy(update={"users": {"x": 1.0}}) for c in spec.classes)}
    )
    plain = generate_jobs(spec, Streams(2), n_jobs=500)
    more = generate_jobs(with_users, Streams(2), n_jobs=500)
    assert set(more) > set(plain) - {"user"}
    for column in ("submit_s", "n_accelerators", "duration_s"):
        pd.testing.assert_series_equal(more[column], plain[column], check_exact=True)


# --- Golden values ------------------------------------------------------------------
# Of whole seconds drawn as integers, which are the same on every machine and Python.

GOLDEN = {
    "fcfs": "a6a253f19e1c3183",
    "sjf": "2a1e34db5a03d1df",
    "easy": "25bbd9fe67b95fa9",
    "easy_sjbf": "9ff8e635d86961ff",
    "conservative": "da7eea4b6dcb2375",
}


@pytest.mark.parametrize("policy", POLICIES)
def test_golden_schedule(policy: str) -> None:
    fleet = cluster(pool("one", 2), pool("two", 3))
    scheduling = Scheduling(policy=policy, placement="consolidate")
    table = simulate(crowd(20, 1000), fleet, scheduling).jobs
    starts = np.ascontiguousarray(table["start_s"].to_numpy(dtype="<f8"))
    assert hashlib.sha256(starts.tobytes()).hexdigest()[:16] == GOLDEN[policy]
