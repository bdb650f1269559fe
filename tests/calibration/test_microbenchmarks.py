"""Microbenchmarks in the fit: made from known coefficients, worked by hand, and of real chips."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from clustersim.calibration import calibrate, fit, load_measurements
from clustersim.calibration.chip_report import doubt_text
from clustersim.calibration.chip_tables import (
    chip_coefficients,
    microbenchmark_errors,
    step_errors,
)
from clustersim.calibration.microbenchmark_rows import read_microbenchmarks
from clustersim.calibration.microbenchmarks import DEPENDS
from clustersim.calibration.own_data import published_kernels, shipped_microbenchmarks
from clustersim.calibration.repeats import repeat_text, repeated_cases
from clustersim.calibration.timed import Joint
from clustersim.catalogue import load_catalogue
from clustersim.errors import InputError
from clustersim.microbenchmarks import COLUMNS, KINDS
from clustersim.microbenchmarks.grid import grid
from clustersim.microbenchmarks.schema import SHAPE
from clustersim.network.collectives import all_reduce_seconds
from clustersim.performance import PARAMETERS, CoefficientDraw, default_calibration
from clustersim.performance.rates import rates_of

CATALOGUE = load_catalogue()
SHIPPED = shipped_microbenchmarks()
MOST_ERROR = 0.08
"""Median error of whole steps that is asked for."""


def rows_of(*rows, family="desk"):
    """Microbenchmarks of the H200 from a few columns each."""
    table = pd.DataFrame(
        [
            {
                "accelerator": "H200",
                "framework": "PyTorch eager 2.11.0",
                "family": family,
                "source": "desk.csv",
                "row": place + 2,
                "median_s": "1.0",
                **{name: str(value) for name, value in row.items()},
            }
            for place, row in enumerate(rows)
        ]
    )
    return read_microbenchmarks(table.astype(object), CATALOGUE)


def shipped(name, draw=None):
    """The shapes of a shipped file; measured in a draw, if one is given."""
    table = SHIPPED[name].assign(family=name, source=name, row="0")
    micro, _ = read_microbenchmarks(table, CATALOGUE)
    if draw is None:
        return micro
    seconds = np.exp(micro.log_seconds(draw.coefficients(micro.labels)))
    return dataclasses.replace(micro, seconds=seconds)


# --- what is predicted of a row -------------------------------------------------------------------

VALUES = {
    "matmul_efficiency": 0.8,
    "matmul_traffic": 2.0,
    "attention_efficiency": 0.5,
    "softmax_width": 32.0,
    "attention_ramp": 512.0,
    "memory_efficiency": 0.75,
    "elementwise_traffic": 1.5,
    "logit_bytes": 40.0,
    "optimizer_bytes": 30.0,
    "layer_s": 20e-6,
    "fixed_s": 1e-3,
    "launch_s": 1e-9,
    "balance": 0.5,
    "grouped_slowdown": 1.25,
    "grouped_traffic": 3.0,
}
"""Coefficients of the hand-worked rows; launches take next to nothing."""
BALANCE = 989e12 / 4.8e12 / 250
"""FLOPs per byte of an H200, relative to those at which efficiencies are as given."""


def predicted(row):
    micro, _ = rows_of(row)
    effects = {}
    for parameter in PARAMETERS:
        if parameter.name in VALUES:
            value = VALUES[parameter.name]
            unbounded = np.log(value / (1 - value) if parameter.scale == "logit" else value)
            effects[parameter.name, "base", ""] = float(unbounded) - parameter.centre
    coefficients = CoefficientDraw(effects).coefficients(micro.labels)
    return float(np.exp(micro.log_seconds(coefficients))[0])


MEMORY = 0.75 * 4.8e12
PRODUCTS = 989e12 / (1 + 0.2 / 0.8 * BALANCE**0.5)
"""The odds of an efficiency of 0.8 are 0.8 to 0.2, divided by the loss of the chip's balance."""
ATTENTION = 989e12 / (1 + BALANCE**0.5)


@pytest.mark.parametrize(
    ("row", "seconds"),
    [
        ({"kind": "launch"}, 1e-9),
        ({"kind": "copy", "elements": 10**9}, 4e9 / MEMORY),
        ({"kind": "layer_norm", "elements": 10**9}, 1.5 * 4e9 / MEMORY),
        ({"kind": "adam", "elements": 10**9}, 30e9 / MEMORY),
        (
            {"kind": "matmul", "m": 4096, "n": 1024, "k": 2048},
            2 * 4096 * 1024 * 2048 / PRODUCTS
            + 2.0 * 2 * (4096 * 2048 + 2048 * 1024 + 4096 * 1024) / MEMORY,
        ),
        (
            {"kind": "grouped", "groups": 8, "m": 512, "n": 1024, "k": 2048},
            8
            * (
                1.25 * 2 * 512 * 1024 * 2048 / PRODUCTS
                + 3.0 * 2 * (512 * 2048 + 2048 * 1024 + 512 * 1024) / MEMORY
            ),
        ),
        (
            {
                "kind": "attention",
                "direction": "forward",
                "micro_batch": 2,
                "seq_len": 4096,
                "heads": 32,
                "kv_heads": 8,
                "head_dim": 64,
            },
            2 * 2 * 4096**2 * 32 * 64 / ATTENTION * (1 + 32 / 64) * (1 + 512 / 2048),
        ),
        ({"kind": "idle_step"}, 1e-3 + 3 * 20e-6),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_seconds_by_hand(row, seconds):
    assert predicted(row) == pytest.approx(seconds, rel=1e-9)


def test_attention_backward_takes_two_and_a_half_times_as_long_and_ramps_more_slowly():
    shape = {"micro_batch": 1, "seq_len": 2048, "heads": 8, "kv_heads": 8, "head_dim": 128}
    both, forward = (
        predicted({"kind": "attention", "direction": direction, **shape})
        for direction in ("forward+backward", "forward")
    )
    whole = forward / (1 + 512 / 1024)
    assert both == pytest.approx(forward + 2.5 * whole * (1 + 512 / 1024 * 415 / 240))


def test_a_layer_is_its_products_attention_and_streaming():
    """A GPT layer by hand: four products, attention, fourteen and four passes over activations."""
    tokens, hidden, seq_len = 2 * 1024, 2048, 1024
    shape = {"hidden": hidden, "heads": 16, "kv_heads": 16, "head_dim": 128, "mlp_type": "gelu"}
    shape |= {"ffn_hidden": 4 * hidden, "seq_len": seq_len, "micro_batch": 2}
    products = 0.0
    for width, depth in ((3 * hidden, hidden), (hidden, hidden), (4 * hidden, hidden)):
        bytes_ = 2 * (tokens * (width + depth) + width * depth)
        times = 2 if width == 4 * hidden else 1  # the down projection has the same bytes
        products += times * (2 * tokens * width * depth / PRODUCTS + 2.0 * bytes_ / MEMORY)
    whole = 2 * tokens * seq_len * hidden / ATTENTION * (1 + 32 / 128)
    attention, back = whole * (1 + 512 / 512), 2.5 * whole * (1 + 512 / 512 * 415 / 240)
    elements = 14 * hidden + 2 * 4 * hidden
    streaming = tokens * 2 * 1.5 * elements / MEMORY + 20e-6
    forward = predicted({"kind": "layer", "direction": "forward", **shape})
    assert forward == pytest.approx(products + attention + streaming, rel=1e-9)
    both = predicted({"kind": "layer", "direction": "forward+backward", **shape})
    assert both == pytest.approx(3 * products + attention + back + 3 * streaming, rel=1e-9)
    again = predicted(
        {"kind": "layer", "direction": "forward+backward", "recompute": "full", **shape}
    )
    assert again == pytest.approx(both + forward, rel=1e-9)


def test_launches_and_work_overlap():
    """A call takes as long as the longer of its launch and its work."""
    micro, _ = rows_of({"kind": "copy", "elements": 10**4}, {"kind": "copy", "elements": 10**9})
    launch = default_calibration().mean_draw().coefficients(micro.labels)
    seconds = np.exp(micro.log_seconds(launch))
    assert seconds[0] == pytest.approx(float(launch.launch_s[0]), rel=1e-3)
    work = 4e9 / (4.8e12 * launch.memory_efficiency[0])
    assert seconds[1] == pytest.approx(work, rel=1e-3)


def test_collectives_are_those_of_the_network_model():
    micro, _ = rows_of({"kind": "all_reduce", "size_bytes": 2**30, "ranks": 8})
    coefficients = default_calibration().mean_draw().coefficients(micro.labels)
    links = rates_of(micro.chips, coefficients).links
    expected = all_reduce_seconds(np.array([2.0**30]), np.array([8.0]), np.ones(1), links)
    assert np.exp(micro.log_seconds(coefficients)) == pytest.approx(expected)


def test_a_kind_depends_on_the_coefficients_that_it_says():
    """No other coefficient moves it, and each of these does."""
    micro = shipped("h200")
    draw = default_calibration().mean_draw()
    base = draw.coefficients(micro.labels)
    before = micro.log_seconds(base)
    for parameter in PARAMETERS:
        value = getattr(base, parameter.name)
        moved = value * 0.9 if parameter.scale == "logit" else value * 1.1
        after = micro.log_seconds(dataclasses.replace(base, **{parameter.name: moved}))
        changed = set(micro.kind[np.abs(after - before) > 1e-12].tolist())
        assert changed == {
            kind for kind in set(micro.kind.tolist()) if parameter.name in DEPENDS[kind]
        }, parameter.name


# --- what is read ---------------------------------------------------------------------------------


def test_rows_that_cannot_be_are_all_reported():
    with pytest.raises(InputError) as caught:
        rows_of(
            {"kind": "matmul", "m": "many", "n": 8},
            {"kind": "matmull", "m": 8, "n": 8, "k": 8},
            {"kind": "copy", "elements": 8, "accelerator": "Deskchip 9"},
            {"kind": "copy", "elements": 8, "median_s": "0"},
            {"kind": "copy", "elements": 8, "precision": "int3"},
        )
    assert caught.value.source == "desk.csv"
    first, *others = caught.value.problems
    assert first == "row 2: m: must be a whole number of at least 1, found 'many'"
    assert others[0] == "row 2: k: missing"
    assert others[1].startswith("row 3: kind: unknown kind 'matmull'; did you mean 'matmul'?")
    assert others[2].startswith("row 4: accelerator: unknown accelerator 'Deskchip 9'")
    assert others[2].endswith("give a file with its peaks (--catalogue)")
    assert others[3] == "row 5: median_s: must be above 0, found 0"
    assert others[4].startswith("row 6: precision: must be one of bf16, fp16, fp8")


def test_faults_are_left_out_and_steps_are_never_fitted_on():
    micro, left_out = rows_of(
        {"kind": "copy", "elements": 8},
        {"kind": "step", "median_s": "0.5"},
        {"kind": "matmul", "fault": "cannot be done: no such kernel", "median_s": ""},
    )
    assert micro.kind.tolist() == ["copy"]
    assert left_out == ["desk.csv, row 4: matmul: cannot be done: no such kernel"]
    assert set(DEPENDS) == set(KINDS) - {"step", "softmax"}


@pytest.mark.parametrize(
    ("row", "seconds", "left_out"),
    [
        ({"kind": "matmul", "m": 8192, "n": 8192, "k": 8192, "flops": 2.0 * 8192**3}, 1.1e-3, True),
        (
            {"kind": "matmul", "m": 8192, "n": 8192, "k": 8192, "flops": 2.0 * 8192**3},
            1.2e-3,
            False,
        ),
        ({"kind": "copy", "elements": 2**28, "bytes": 2.0**30}, 2.2e-4, True),
        ({"kind": "copy", "elements": 2**28, "bytes": 2.0**30}, 2.3e-4, False),
        ({"kind": "copy", "elements": 2**20, "bytes": 2.0**22}, 1e-7, False),  # in a cache
    ],
)
def test_rows_that_beat_the_roofline_are_left_out(row, seconds, left_out):
    """2 x 8192^3 FLOPs at 989 TFLOP/s take 1.11 ms, 2^30 bytes at 4.8 TB/s 0.224 ms."""
    micro, shown = rows_of({**row, "median_s": str(seconds)})
    assert (len(micro) == 0) is left_out
    if left_out:
        assert shown[0].startswith(f"desk.csv, row 2: {row['kind']}: {seconds:.4g} s is below the")


def write(path, table):
    table.to_csv(path, index=False)
    return path


@pytest.mark.slow
def test_files_that_say_nothing(tmp_path):
    table = SHIPPED["h200"]
    faulty = table.assign(fault="no such device", median_s="")
    no_times = ["lacks the column kind", "lacks the column median_s"]
    with pytest.raises(InputError) as caught:
        load_measurements([write(tmp_path / "cut.csv", table.drop(columns=["kind", "median_s"]))])
    assert caught.value.problems == no_times
    cases = {
        "softmax": (
            table[table["kind"] == "softmax"],
            "contains only kinds that are not fitted: softmax",
        ),
        "faulty": (faulty, "no such device"),
        "empty": (table.iloc[:0], "has no rows"),
        "nameless": (table.drop(columns="accelerator"), "lacks the column accelerator"),
    }
    for name, (content, message) in cases.items():
        path = write(tmp_path / f"{name}.csv", content)
        for own in (True, False):
            with pytest.raises(InputError, match=message) as caught:
                load_measurements([path], own=own)
            assert caught.value.source == str(path)
    steps = write(tmp_path / "steps.csv", table[table["kind"] == "step"])
    with pytest.raises(InputError, match="only whole steps, which are not used in a fit"):
        load_measurements([steps], own=False)
    assert len(load_measurements([steps]).steps) == (table["kind"] == "step").sum()


def test_columns_that_a_hand_made_file_may_lack(tmp_path):
    table = SHIPPED["h200"].drop(columns=["precision", "recompute", "layout", "fault", "framework"])
    calibrated = calibrate(
        load_measurements([write(tmp_path / "h200.csv", table)], own=False), validate=False
    )
    assert set(microbenchmark_errors(calibrated)["precision"]) == {"bf16"}
    assert set(step_errors(calibrated)["recompute"]) == {"none"}


def test_steps_that_cannot_be_used_are_reported_with_their_lines(tmp_path):
    table = SHIPPED["h200"].copy()
    first, second = np.flatnonzero(table["kind"] == "step")[:2]
    table.loc[first, "median_s"] = "0.001"
    table.loc[second, "recompute"] = "half"
    measured = load_measurements([write(tmp_path / "h200.csv", table)])
    assert len(measured.steps) == (table["kind"] == "step").sum() - 2
    shown = "\n".join(measured.left_out)
    assert f"h200.csv, row {first + 2}: step_time_s: 0.001 s is below the roofline" in shown
    assert f"h200.csv, row {second + 2}: recompute: must be one of" in shown


def test_cases_that_two_files_measured(tmp_path):
    one = SHIPPED["h200"]
    slower = one.assign(median_s=(1.1 * one["median_s"].astype(float)).astype(str))
    paths = [write(tmp_path / "one.csv", one), write(tmp_path / "slower.csv", slower)]
    cases = repeated_cases(load_measurements(paths, own=False))
    assert cases["apart"].to_numpy() == pytest.approx(np.full(len(cases), 0.1))
    shapes = one[one["kind"] != "softmax"].drop_duplicates(list(SHAPE))
    assert len(cases) == len(shapes)
    text, warning = repeat_text(cases)
    assert "10.0 % median difference" in text
    assert warning.startswith("Warning: the differences are large")
    cases["apart"] = 0.01
    assert len(repeat_text(cases)) == 1
    assert not len(repeated_cases(load_measurements(paths[:1], own=False)))


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_files(name):
    table = SHIPPED[name]
    cases = {(case.kind, *case.shape.values()) for case in grid()}
    measured = {
        (
            row["kind"],
            *(row[column] for column in SHAPE if column != "kind" and pd.notna(row[column])),
        )
        for row in table.to_dict("records")
    }
    expected = {tuple(sorted(map(str, case))) for case in cases}
    found = {tuple(sorted(map(str, case))) for case in measured}
    assert found <= expected
    absent = {"h200": 18, "h100": 39}  # data/README.md says which
    assert len(expected - found) == absent[name]
    assert list(table.columns) == list(COLUMNS)
    assert set(table["kind"]) <= set(KINDS)
    timed = table[table["fault"].isna()]
    low, median, high = (timed[column].astype(float) for column in ("low_s", "median_s", "high_s"))
    assert ((low > 0) & (low <= median) & (median <= high)).all()
    assert table["accelerator"].nunique() == table["measured_on"].nunique() == 1
    peak = np.where(timed["precision"] == "fp8", 1979e12, 989e12)
    assert ((timed["flops"].astype(float) / median).fillna(0.0) < peak).all()
    moved = timed["bytes"].astype(float) / median
    hbm = CATALOGUE.accelerator(table["accelerator"].iloc[0]).hbm_Bps
    assert moved[timed["kind"] == "copy"].max() < hbm


def test_a_file_that_is_shipped_too_counts_once(tmp_path):
    path = tmp_path / "again.csv"
    SHIPPED["h200"].to_csv(path, index=False)
    measured = load_measurements([path])
    others = len(shipped("h100")) + len(published_kernels())
    assert len(measured.micro) == len(shipped("h200")) + others
    assert measured.user_chips == ("H200",)
    assert len(measured.steps) == (SHIPPED["h200"]["kind"] == "step").sum()
    twice = load_measurements([path, write(tmp_path / "copy.csv", SHIPPED["h200"])])
    assert (len(twice.micro), len(twice.steps)) == (len(measured.micro), len(measured.steps))
    alone = load_measurements([path], own=False)
    assert (len(alone), len(alone.micro)) == (0, len(shipped("h200")))


def test_published_runs_bring_the_microbenchmarks_and_kernels_of_the_package():
    measured = load_measurements()
    own = sum(map(len, map(shipped, SHIPPED)))
    assert len(measured.micro) == own + len(published_kernels())
    assert (measured.user_chips, measured.steps) == ((), None)
    assert len(measured.fitted[1]) == len(measured) + len(measured.micro)
    few = load_measurements(shipped=["kernels"])
    assert set(few.micro.table["source"]) == {"kernels"}


def test_runs_alone():
    measured = load_measurements(shipped=[])
    assert measured.micro is None
    assert measured.fitted[0] is measured.rows


def test_published_kernels_reach_what_their_sources_say():
    """Rates by hand from the tables of the sources: TFLOP/s."""
    table = published_kernels()
    micro, left_out = read_microbenchmarks(
        table.assign(family="kernels", row="0").astype(object).where(table.notna(), ""), CATALOGUE
    )
    assert left_out == []
    assert table["id"].is_unique
    assert table["source"].notna().all()
    sizes = micro.sizes
    flops = 2.0 * sizes["groups"] * sizes["m"] * sizes["n"] * sizes["k"]
    rate = dict(zip(table["id"], flops / micro.seconds / 1e12, strict=True))
    assert rate["g0007"] == pytest.approx(134.03, rel=1e-3)  # 4,096 cubed, cuBLAS on an H20
    assert rate["g1112"] == pytest.approx(589.0, rel=1e-3)  # 4 of 1024 x 2816 x 4096, H800


# --- what a fit finds -----------------------------------------------------------------------------

NOISE = 0.02


@pytest.fixture(scope="module")
def truth():
    """A draw that is not the prior's, drawn from it."""
    return default_calibration().draw(0, seed=11)


@pytest.fixture(scope="module")
def recovered(truth):
    micro = shipped("h200", truth)
    noise = np.random.default_rng(5).standard_normal(len(micro))
    seconds = micro.seconds * np.exp(NOISE * noise)
    found = fit(micro, seconds, np.full(len(micro), NOISE))
    return micro, found


def test_known_coefficients_are_recovered(truth, recovered):
    micro, found = recovered
    draws = (truth, found.calibration.mean_draw())
    true, seen = (draw.coefficients(micro.labels) for draw in draws)
    for name, most in {
        "memory_efficiency": 0.02,
        "elementwise_traffic": 0.05,
        "logit_bytes": 0.05,
        "optimizer_bytes": 0.03,
        "launch_s": 0.05,
    }.items():
        assert getattr(seen, name)[0] == pytest.approx(getattr(true, name)[0], rel=most), name
    # One chip does not tell its efficiencies from the effect of its balance on them.
    fast, found_fast = (rates_of(micro.chips, coefficients) for coefficients in (true, seen))
    for name, most in {"bf16_flops": 0.01, "attention_flops": 0.08}.items():
        assert getattr(found_fast, name)[0] == pytest.approx(getattr(fast, name)[0], rel=most), name
    seconds = np.exp(micro.log_seconds(found.calibration.mean_draw().coefficients(micro.labels)))
    assert np.abs(seconds / micro.seconds - 1).max() < 5 * NOISE


def test_posterior_covers_the_truth(truth, recovered):
    micro, found = recovered
    labels = [micro.labels[0]]
    drawn = found.calibration.draw(400).coefficients(labels)
    shown = [name for name in sorted(set().union(*DEPENDS.values())) if "_factor" not in name]
    inside = []
    for name in shown:
        low, high = np.quantile(getattr(drawn, name), (0.005, 0.995))
        inside.append(low <= getattr(truth.coefficients(labels), name)[0] <= high)
    assert np.mean(inside) >= 0.9


def test_joint_rows_are_their_parts(truth):
    runs = load_measurements().rows.take(np.arange(0, 60, 7))
    micro = shipped("h100")
    joint = Joint((runs, micro))
    assert len(joint) == len(runs) + len(micro)
    assert joint.labels == runs.labels + micro.labels
    seconds = joint.log_seconds(truth.coefficients(joint.labels))
    apart = [part.log_seconds(truth.coefficients(part.labels)) for part in (runs, micro)]
    np.testing.assert_array_equal(seconds, np.concatenate(apart))
    assert joint.labels_with("launch_s") == [
        label
        for label, kind in zip(micro.labels, micro.kind, strict=True)
        if "launch_s" in DEPENDS[kind]
    ]
    assert joint.labels_with("dp_overlap") == runs.labels


# --- the chips that were measured -----------------------------------------------------------------


@pytest.fixture(scope="module", params=["h200", "h100"])
def files(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / f"{request.param}.csv"
    SHIPPED[request.param].to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(True, id="with published runs", marks=[pytest.mark.slow, pytest.mark.full]),
        pytest.param(False, id="alone"),
    ],
)
def test_whole_steps_that_nothing_was_fitted_on(files, own):
    begin = default_calibration() if own else None
    calibrated = calibrate(load_measurements([files], own=own), validate=False, begin=begin)
    steps = step_errors(calibrated)
    print(f"\n{files.stem}, own={own}: median {steps['error'].abs().median():.1%}")
    assert steps["error"].abs().median() < MOST_ERROR
    assert steps["covered"].mean() > 0.7
    # Without runs of this software, an interval contains the spread between software products.
    assert 1.2 < (steps["hi_s"] / steps["lo_s"]).median() < 2.5
    if own:
        runs = calibrate(load_measurements(shipped=[]), validate=False, begin=default_calibration())
        runs = dataclasses.replace(
            runs, measured=dataclasses.replace(runs.measured, steps=calibrated.measured.steps)
        )
        assert steps["error"].abs().median() < step_errors(runs)["error"].abs().median()
    errors = microbenchmark_errors(calibrated)
    mine = errors["chip"].isin(calibrated.measured.user_chips)
    products = errors[mine & (errors["kind"] == "matmul")]
    assert (products["median"] < 0.1).all()
    found = chip_coefficients(calibrated, set(calibrated.measured.user_chips))
    assert ((found["low"] < found["value"]) & (found["value"] < found["high"])).all()
    shares = found.loc[found["coefficient"] == "matmul_efficiency", "value"]
    assert len(shares) == (2 if own else 1)  # kernels on both chips are published, too
    assert shares.between(0.6, 0.85).all()


@pytest.mark.slow
@pytest.mark.full
def test_a_noisy_chip_is_reported_and_its_intervals_hold_its_values(tmp_path):
    """Times that are off by a factor of three either way, and one by 10^5, as on a busy machine."""
    table = SHIPPED["h200"].copy()
    noise = np.exp(1.1 * np.random.default_rng(8).standard_normal(len(table)))
    table["median_s"] = (10.0 * noise * table["median_s"].astype(float)).astype(str)
    row = int(np.flatnonzero(table["kind"] == "matmul")[3])
    table.loc[row, "median_s"] = "100.0"
    path = write(tmp_path / "h200.csv", table)
    for own in (True, False):
        begin = default_calibration() if own else None
        calibrated = calibrate(load_measurements([path], own=own), validate=False, begin=begin)
        found = chip_coefficients(calibrated, {"H200"})
        assert ((found["low"] < found["value"]) & (found["value"] < found["high"])).all()
        shown = doubt_text(calibrated)
        assert shown[0].startswith("Warning: the fit is off by more than a factor of 3 for ")
        assert f"h200.csv, row {row + 2}: matmul bf16: measured 100 s" in shown[1]
    plain = load_measurements([write(tmp_path / "plain.csv", SHIPPED["h200"])])
    assert doubt_text(calibrate(plain, validate=False, begin=default_calibration())) == []


def test_small_products_do_not_tell_of_large_ones(tmp_path):
    table = SHIPPED["h200"]
    small = table[~((table["kind"] == "matmul") & (table["flops"].astype(float) > 5e10))]
    measured = load_measurements([write(tmp_path / "h200.csv", small)], own=False)
    (shown,) = doubt_text(calibrate(measured, validate=False))
    assert shown.startswith("Note: the largest product has 3.4e+10 FLOPs. The efficiency of larger")


@pytest.mark.slow
@pytest.mark.full
def test_a_slow_chip_of_a_kind_that_is_shipped(tmp_path):
    """A capped H200 is measured against itself, not against the one that comes with the package."""
    table = SHIPPED["h200"]
    slow = table.assign(median_s=(1.2 * table["median_s"].astype(float)).astype(str))
    found = {}
    for name, content in (("fast", table), ("slow", slow)):
        measured = load_measurements([write(tmp_path / f"{name}.csv", content)])
        sources = {str(tmp_path / f"{name}.csv"), "h100", "kernels"}
        assert set(measured.micro.table["source"]) == sources
        calibrated = calibrate(measured, validate=False, begin=default_calibration())
        rates = chip_coefficients(calibrated, {"H200"})
        own = rates["stack"] == "PyTorch eager 2.11.0"  # not that of the published kernels
        rates = rates[own].set_index("coefficient")["value"]
        found[name] = (rates["matmul_efficiency"], step_errors(calibrated)["error"].abs().median())
    assert found["slow"][0] / found["fast"][0] == pytest.approx(1 / 1.2, rel=0.05)
    assert found["slow"][1] < MOST_ERROR


@pytest.mark.slow
def test_fit_does_not_depend_on_the_order_of_rows(tmp_path):
    paths = [tmp_path / name / "h200.csv" for name in ("one", "other")]
    for path, table in zip(paths, (SHIPPED["h200"], SHIPPED["h200"].iloc[::-1]), strict=True):
        path.parent.mkdir()
        table.to_csv(path, index=False)
    found = [
        calibrate(load_measurements([path], own=False), validate=False).calibration
        for path in paths
    ]
    assert found[0].keys == found[1].keys
    np.testing.assert_allclose(found[0].mean, found[1].mean, atol=2e-3)  # of a prior deviation
