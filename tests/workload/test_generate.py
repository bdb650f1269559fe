"""Arrivals, distributions and generated jobs against theory and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from clustersim.errors import InputError
from clustersim.files import validate
from clustersim.seeds import Streams
from clustersim.workload import (
    Arrivals,
    WorkloadSpec,
    check_jobs,
    generate_jobs,
    load_workload,
    save_workload,
    workload_names,
)
from clustersim.workload.arrivals import arrival_times
from clustersim.workload.distributions import DurationDistribution, NumberDistribution
from tests.workload.closed_form import mean_work

U = (np.arange(200_000) + 0.5) / 200_000


def distribution(**values: object) -> Any:
    return TypeAdapter(NumberDistribution).validate_python(values)


@pytest.mark.parametrize(
    ("values", "reference"),
    [
        ({"kind": "lognormal", "median": 100, "sigma": 1.2}, stats.lognorm(1.2, scale=100)),
        ({"kind": "weibull", "scale": 50, "shape": 0.6}, stats.weibull_min(0.6, scale=50)),
        ({"kind": "exponential", "average": 7}, stats.expon(scale=7)),
    ],
)
def test_distributions_equal_scipy(values: dict[str, object], reference: Any) -> None:
    made = distribution(**values)
    np.testing.assert_allclose(made.quantile(U[::1000]), reference.ppf(U[::1000]), rtol=1e-9)
    assert made.mean() == pytest.approx(reference.mean(), rel=1e-9)


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "lognormal", "median": 100, "sigma": 1.5, "at_least": 20, "at_most": 900},
        {"kind": "weibull", "scale": 50, "shape": 0.6, "at_least": 5, "at_most": 300},
        {"kind": "exponential", "average": 7, "at_least": 2, "at_most": 9},
        {"kind": "constant", "value": 5, "at_most": 4},
        {"kind": "quantiles", "probabilities": [0, 0.2, 0.9, 1], "values": [2, 2, 90, 4000]},
        {
            "kind": "quantiles",
            "probabilities": [0, 0.5, 1],
            "values": [1, 10, 1000],
            "at_least": 3,
            "at_most": 200,
        },
    ],
)
def test_mean_is_the_integral_of_the_quantiles(values: dict[str, object]) -> None:
    made = distribution(**values)
    drawn = made.quantile(U)
    assert made.mean() == pytest.approx(drawn.mean(), rel=2e-4)
    assert drawn.min() >= made.at_least
    assert made.at_most is None or drawn.max() <= made.at_most


def test_quantile_table_by_hand() -> None:
    made = distribution(kind="quantiles", probabilities=[0, 0.5, 1], values=[1, 10, 1000])
    np.testing.assert_allclose(
        made.quantile(np.array([0.0, 0.25, 0.5, 0.75])), [1, 10**0.5, 10, 100]
    )
    assert made.mean() == pytest.approx(0.5 * 9 / np.log(10) + 0.5 * 990 / np.log(100))


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "lognormal", "median": 0, "sigma": 1},
        {"kind": "lognormal", "median": 1, "sigma": -1},
        {"kind": "exponential", "average": float("inf")},
        {"kind": "constant", "value": 5, "at_least": 7, "at_most": 6},
        {"kind": "quantiles", "probabilities": [0, 1], "values": [1]},
        {"kind": "quantiles", "probabilities": [0, 0.5], "values": [1, 2]},
        {"kind": "quantiles", "probabilities": [0, 1], "values": [2, 1]},
        {"kind": "gamma", "scale": 1},
    ],
)
def test_distributions_that_are_none(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        distribution(**values)


def test_durations_need_units() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(DurationDistribution)
    assert adapter.validate_python({"kind": "exponential", "average": "2 h"}).average == 7200
    with pytest.raises(ValidationError, match="has no unit"):
        adapter.validate_python({"kind": "exponential", "average": 2})


def arrivals(**values: object) -> Arrivals:
    return Arrivals.model_validate({"mean_interarrival": "10 s", **values})


def draw(spec: Arrivals, n: int = 200_000, **options: float) -> npt.NDArray[np.float64]:
    return arrival_times(spec, np.random.default_rng(5), n_jobs=n, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("process", "cv"),
    [
        ({"kind": "poisson"}, 1.0),
        ({"kind": "hyperexponential", "cv": 3}, 3.0),
        ({"kind": "hyperexponential", "cv": 2, "short_share": 0.95}, 2.0),
        ({"kind": "batch", "mean_batch": 5}, 3.0),
    ],
)
def test_gaps_have_the_mean_and_variation_asked_for(process: dict[str, object], cv: float) -> None:
    spec = arrivals(process=process)
    gaps = np.diff(draw(spec))
    assert gaps.mean() == pytest.approx(10, rel=0.03)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)
    checked = stats.ks_1samp(gaps[gaps > 0] / 10, lambda x: _positive_cdf(spec, x)).statistic
    assert checked < 0.006


def _positive_cdf(spec: Arrivals, x: Any) -> Any:
    at_once = float(spec.process.cdf(np.array(0.0)))
    return (spec.process.cdf(x) - at_once) / (1 - at_once)


def test_batches_come_together() -> None:
    times = draw(arrivals(process={"kind": "batch", "mean_batch": 4}))
    sizes = np.unique(times, return_counts=True)[1]
    assert sizes.mean() == pytest.approx(4, rel=0.02)
    # geometric: P(1) = 1/4
    assert (sizes == 1).mean() == pytest.approx(0.25, abs=0.01)


DAILY = [0.0] * 8 + [3.0] * 10 + [1.0] * 6
WEEKLY = [1.0] * 5 + [0.5, 0.0]


def test_cycle_is_kept() -> None:
    times = draw(arrivals(daily=DAILY, weekly=WEEKLY), 10**7, horizon_s=28 * 86400.0)
    hours = (times // 3600).astype(int) % 24
    days = (times // 86400).astype(int) % 7
    by_hour = np.bincount(hours, minlength=24)
    assert by_hour[:8].sum() == 0
    assert by_hour[8:18].mean() / by_hour[18:].mean() == pytest.approx(3, rel=0.03)
    by_day = np.bincount(days, minlength=7)
    assert by_day[6] == 0
    assert by_day[5] / by_day[:5].mean() == pytest.approx(0.5, rel=0.05)
    assert len(times) == pytest.approx(28 * 8640, rel=0.02)


@given(
    st.lists(st.floats(0, 1e7), min_size=1, max_size=20),
    st.floats(1e-4, 10),
    st.booleans(),
    st.sampled_from([1.0, 1.0 + 1e-9, 1.5, 20.0]),
)
def test_operational_time_and_back(
    points: list[float], rate: float, cyclic: bool, growth: float
) -> None:
    cycle = {"daily": [1.0] * 12 + [2.0] * 12, "weekly": [*WEEKLY[:6], 1.0]}
    spec = arrivals(growth=growth, **(cycle if cyclic else {}))
    seconds = np.array(points)
    back = spec.to_seconds(spec.to_operational(seconds, rate), rate)
    np.testing.assert_allclose(back, seconds, rtol=1e-9, atol=1e-3)


YEAR_S = 365.25 * 86400.0


@pytest.mark.parametrize("cyclic", [False, True])
def test_growth_in_closed_form(cyclic: bool) -> None:
    """Jobs of years of exponential growth: the integral of 2^t, times the rate of the begin."""
    spec = arrivals(growth=2.0, **({"daily": DAILY, "weekly": WEEKLY} if cyclic else {}))
    rate = 1 / 3600.0
    for years in (0.5, 1, 3):
        expected = rate * YEAR_S * (2.0**years - 1) / np.log(2)
        found = float(spec.to_operational(np.array(years * YEAR_S), rate))
        # In whole years' weeks a cycle's mean is 1; at the end part of a week is missing.
        assert found == pytest.approx(expected, rel=0.01 if cyclic else 1e-12)
    times = arrival_times(
        spec, np.random.default_rng(1), horizon_s=3 * YEAR_S, rate_scale=rate * 10
    )
    counts = np.histogram(times, np.arange(4) * YEAR_S)[0]
    expected = rate * YEAR_S * 2.0 ** np.arange(3) / np.log(2)
    np.testing.assert_allclose(counts, expected, rtol=0.01, atol=4 * np.sqrt(expected.max()))
    assert (np.diff(times) >= 0).all()


def test_growth_in_a_cycle_is_the_integral_of_the_rate() -> None:
    """Against the midpoint rule over whole seconds, to the middle of an hour of the third week."""
    spec = arrivals(growth=50.0, daily=DAILY, weekly=WEEKLY)
    end_s = int(2 * 604800 + 3 * 86400 + 9.5 * 3600)
    middle = np.arange(end_s) + 0.5
    profile = spec.weekly_profile()[(middle // 3600).astype(int) % 168]
    expected = float((profile * 50.0 ** (middle / YEAR_S)).sum())
    found = spec.to_operational(np.array([float(end_s)]), 1.0)
    assert float(found[0]) == pytest.approx(expected, rel=1e-10)
    assert float(spec.to_seconds(found, 1.0)[0]) == pytest.approx(end_s, abs=1e-6)


def test_without_growth_nothing_moves() -> None:
    given = arrivals(daily=DAILY, growth=1.0)
    np.testing.assert_array_equal(draw(given, 5000), draw(arrivals(daily=DAILY), 5000))
    np.testing.assert_allclose(
        draw(arrivals(daily=DAILY, growth=1 + 1e-12), 5000), draw(given, 5000), rtol=1e-9
    )


@pytest.mark.parametrize(
    "values",
    [
        {"growth": 0.9},
        {"growth": "fast"},
        {"daily": [1.0] * 23},
        {"daily": [0.0] * 24},
        {"weekly": [1.0] * 6 + [-1.0]},
        {"process": {"kind": "hyperexponential", "cv": 1.0}},
        {"process": {"kind": "hyperexponential", "cv": 3.0, "short_share": 0.7}},
        {"process": {"kind": "batch", "mean_batch": 0.5}},
        {"mean_interarrival": "0 s"},
        {"mean_interarrival": 5},
    ],
)
def test_arrivals_that_are_none(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        arrivals(**values)


SPEC: dict[str, Any] = {
    "name": "test",
    "arrivals": {"mean_interarrival": "1 min", "daily": DAILY},
    "classes": [
        {
            "name": "small",
            "weight": 3,
            "sizes": {1: 0.5, 2: 0.5},
            "duration": {"kind": "lognormal", "median": "10 min", "sigma": 1.0},
            "estimate": {"kind": "lognormal", "median": 2, "sigma": 0.5},
            "vcs": {"a": 1, "b": 3},
        },
        {
            "name": "large",
            "weight": 1,
            "sizes": {64: 0.75, 128: 0.25},
            "model": "llama3-70b",
            "tokens": {"kind": "exponential", "average": 1e9},
            "users": {"ann": 1},
        },
    ],
}


def spec() -> WorkloadSpec:
    return WorkloadSpec.model_validate(SPEC)


def test_jobs_are_as_specified() -> None:
    jobs = generate_jobs(spec(), Streams(3), n_jobs=100_000)
    check_jobs(jobs, "generated")
    small = jobs["job_class"] == "small"
    assert small.mean() == pytest.approx(0.75, abs=0.005)
    assert set(jobs["n_accelerators"][small]) == {1, 2}
    assert (jobs["n_accelerators"][~small] == 64).mean() == pytest.approx(0.75, abs=0.01)
    assert jobs["duration_s"][small].median() == pytest.approx(600, rel=0.02)
    assert jobs["duration_s"][~small].isna().all()
    assert (jobs["model"][~small] == "llama3-70b").all()
    assert jobs["model"][small].isna().all()
    assert jobs["tokens"][~small].mean() == pytest.approx(1e9, rel=0.02)
    factors = jobs["estimate_s"][small] / jobs["duration_s"][small]
    assert factors.min() >= 1
    assert factors.median() == pytest.approx(2, rel=0.02)
    assert (jobs["vc"][small] == "b").mean() == pytest.approx(0.75, abs=0.01)
    assert jobs["vc"][~small].isna().all()
    assert (jobs["user"][~small] == "ann").all()


def test_one_stream_a_purpose() -> None:
    """More load moves arrivals only; another size mix changes sizes only."""
    base = generate_jobs(spec(), Streams(3), n_jobs=5000)
    loaded = generate_jobs(spec(), Streams(3), n_jobs=5000, rate_scale=2.0)
    assert (loaded["submit_s"] < base["submit_s"]).all()
    same = [name for name in base.columns if name != "submit_s"]
    assert base[same].equals(loaded[same])
    other = {**SPEC, "classes": [{**SPEC["classes"][0], "sizes": {4: 1}}, SPEC["classes"][1]]}
    resized = generate_jobs(WorkloadSpec.model_validate(other), Streams(3), n_jobs=5000)
    same = [name for name in base.columns if name != "n_accelerators"]
    assert base[same].equals(resized[same])
    fewer = generate_jobs(spec(), Streams(3), n_jobs=100)
    assert fewer.equals(base.head(100))


def test_even_rate_scales_times_exactly() -> None:
    even = WorkloadSpec.model_validate({**SPEC, "arrivals": {"mean_interarrival": "1 min"}})
    base = generate_jobs(even, Streams(1), n_jobs=1000)
    loaded = generate_jobs(even, Streams(1), n_jobs=1000, rate_scale=4.0)
    np.testing.assert_array_equal(base["submit_s"], 4 * loaded["submit_s"])


def test_same_seed_same_jobs_other_seed_others() -> None:
    one, two = (generate_jobs(spec(), Streams(9), n_jobs=500) for _ in range(2))
    assert one.equals(two)
    third = generate_jobs(spec(), Streams(9, replication=1), n_jobs=500)
    assert not one["submit_s"].equals(third["submit_s"])


def test_horizon() -> None:
    jobs = generate_jobs(spec(), Streams(3), horizon_s=7 * 86400.0)
    assert jobs["submit_s"].iloc[-1] < 7 * 86400
    assert len(jobs) == pytest.approx(7 * 1440, rel=0.05)
    longer = generate_jobs(spec(), Streams(3), horizon_s=8 * 86400.0)
    assert longer.head(len(jobs)).equals(jobs)
    assert longer["submit_s"].iloc[len(jobs)] >= 7 * 86400
    assert len(generate_jobs(spec(), Streams(3), horizon_s=1e9, n_jobs=10)) == 10
    with pytest.raises(ValueError, match="n_jobs or horizon_s"):
        generate_jobs(spec(), Streams(3))


def runtime(model: str, n: npt.NDArray[np.int64], tokens: float) -> npt.NDArray[np.float64]:
    assert model == "llama3-70b"
    return tokens / (1000.0 * n)


def test_mean_work_and_load() -> None:
    small = 1.5 * 600 * np.exp(0.5)
    large = 1e9 / 1000
    assert mean_work(spec(), runtime=runtime) == pytest.approx(0.75 * small + 0.25 * large)
    with pytest.raises(ValueError, match="has a model"):
        mean_work(spec())
    rate = 0.8 * 5000 / mean_work(spec(), runtime=runtime)
    scale = rate * spec().arrivals.mean_interarrival
    jobs = generate_jobs(spec(), Streams(3), n_jobs=200_000, rate_scale=scale)
    work = jobs["n_accelerators"] * jobs["duration_s"].fillna(
        jobs["tokens"] / (1000.0 * jobs["n_accelerators"])
    )
    assert work.sum() / jobs["submit_s"].iloc[-1] / 5000 == pytest.approx(0.8, rel=0.02)


def changed(**values: object) -> dict[str, Any]:
    return {**SPEC, "classes": [{**SPEC["classes"][0], **values}]}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({**SPEC, "classes": []}, "classes: "),
        ({"arrivals": SPEC["arrivals"]}, "classes: is required but absent"),
        ({**SPEC, "arival": {}}, "arival: unknown key; did you mean 'arrivals'"),
        (changed(sizes={}), "must have at least one size"),
        (changed(sizes={0: 1}), "0 is not a number of accelerators"),
        (changed(sizes={8: -1}), "8: the weight must be 0 or more, found -1.0"),
        (changed(sizes={8: 0}), "at least one weight must be more than 0"),
        (changed(weight=0), "weight"),
        (changed(duration=None), "needs either a duration or a model"),
        (
            changed(model="x", tokens={"kind": "constant", "value": 1}),
            "either a duration or a model",
        ),
        (changed(duration=None, model="x"), "must have both model and tokens, or neither"),
        (changed(duration={"kind": "lognorm"}), "'lognorm'; did you mean 'lognormal'"),
        (changed(duration={"kind": "lognormal", "median": "3 m", "sigma": 1}), "the unit 'm'"),
        (
            {**SPEC, "classes": [SPEC["classes"][0]] * 2},
            "names must be unique, found duplicates: small",
        ),
    ],
)
def test_specs_that_are_none(data: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as caught:
        validate(WorkloadSpec, data, "w.yaml")
    assert said in str(caught.value)


def test_saved_models_load_as_they_were(tmp_path: Any) -> None:
    save_workload(spec(), tmp_path / "w.yaml")
    assert load_workload(tmp_path / "w.yaml") == spec()
    with pytest.raises(InputError, match="exists already"):
        save_workload(spec(), tmp_path / "w.yaml")
    with pytest.raises(InputError, match="cannot be written"):
        save_workload(spec(), tmp_path / "none" / "w.yaml")


def test_named_models() -> None:
    assert {"kth-sp2", "large-model-lab", "philly-2017"} <= set(workload_names())
    for name in workload_names():
        made = load_workload(name)
        assert made.name == name
        check_jobs(generate_jobs(made, Streams(0), n_jobs=2000), name)
    with pytest.raises(InputError, match="did you mean 'philly-2017'"):
        load_workload("philly-2018")
    with pytest.raises(InputError, match="no such file"):
        load_workload("mine.yaml")


def test_a_million_jobs() -> None:
    jobs = generate_jobs(load_workload("philly-2017"), Streams(0), n_jobs=1_000_000)
    assert len(jobs) == 1_000_000
    check_jobs(jobs, "generated")


A100_FLOPS, MFU = 312e12, 0.45  # NVIDIA A100 datasheet, dense bf16; as stated in the file
PARAMETERS = {"llama3-70b": 70.6e9, "llama3-8b": 8.03e9, "gpt3-175b": 175e9}


def a100_runtime(model: str, n: npt.NDArray[np.int64], tokens: float) -> npt.NDArray[np.float64]:
    return 6 * PARAMETERS[model] * tokens / (n * A100_FLOPS * MFU)


def test_large_model_lab_has_the_published_totals() -> None:
    """Row Kalos of Acme's cluster_summary.csv, within 5 % (medians exact or within 10 %)."""
    lab = load_workload("large-model-lab")
    published_work = (1667685146 + 3239202064 + 426292851) / 19907
    work = mean_work(lab, runtime=a100_runtime)
    assert work == pytest.approx(published_work, rel=0.05)
    jobs = generate_jobs(lab, Streams(0), n_jobs=300_000)
    runs = jobs["duration_s"].to_numpy(copy=True)
    for model in lab.models():
        rows = (jobs["model"] == model).fillna(False).to_numpy(dtype=bool)
        per_token = a100_runtime(model, jobs["n_accelerators"].to_numpy()[rows], 1.0)
        runs[rows] = per_token * jobs["tokens"].to_numpy()[rows]
    assert jobs["n_accelerators"].mean() == pytest.approx(26.77, rel=0.05)
    assert jobs["n_accelerators"].median() == 1
    assert jobs["n_accelerators"].max() == 1024
    assert runs.mean() == pytest.approx(1259.689, rel=0.05)
    assert np.median(runs) == pytest.approx(124, rel=0.1)
    is_pretraining = jobs["job_class"].astype(str).str.startswith("pretraining")
    spent = runs * jobs["n_accelerators"]
    assert is_pretraining.mean() == pytest.approx(0.032, rel=0.05)
    assert spent[is_pretraining].sum() / spent.sum() == pytest.approx(0.94, abs=0.02)
