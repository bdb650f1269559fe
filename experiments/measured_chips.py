"""Does measuring a chip predict its training steps better than published runs do?

Fits the performance model to published runs and kernels and to the microbenchmarks of the H200 and
the H100 in the package, and to parts of these data. Predicts whole training steps that were
measured with the microbenchmarks but are not fitted. Draws the efficiency of each chip according to
its microbenchmarks and as shipped.
"""

from __future__ import annotations

import argparse
import dataclasses
from contextlib import ExitStack
from importlib import resources
from pathlib import Path

import pandas as pd

from clustersim.calibration import Calibrated, calibrate, load_measurements
from clustersim.calibration.chip_report import step_text
from clustersim.calibration.chip_tables import chip_coefficients, step_errors
from clustersim.calibration.own_data import shipped_microbenchmarks
from clustersim.calibration.repeats import repeat_text, repeated_cases
from clustersim.catalogue import load_catalogue
from clustersim.outputs import new_folder
from clustersim.performance import default_calibration
from clustersim.plots.microbenchmarks import draw_chip
from clustersim.plots.style import save_figure
from clustersim.report import unused_folder
from clustersim.units import format_percent

FILES = resources.files("clustersim.calibration") / "data" / "microbenchmarks"
LARGE_FLOPS = 1e12


def fit_to(*names: str, own: bool = True, shipped: tuple[str, ...] | None = None) -> Calibrated:
    """Fit to the packaged microbenchmark files in the same way as to a user's files."""
    with ExitStack() as stack:
        paths = [stack.enter_context(resources.as_file(FILES / f"{name}.csv")) for name in names]
        measured = load_measurements(paths, own=own, shipped=shipped)
    return calibrate(measured, validate=False, begin=default_calibration() if own else None)


def fit_to_runs() -> Calibrated:
    """Fit to published runs alone."""
    return calibrate(load_measurements(shipped=[]), validate=False, begin=default_calibration())


def with_steps_of(calibrated: Calibrated, other: Calibrated) -> pd.DataFrame:
    """Predict the whole steps of another chip."""
    measured = dataclasses.replace(calibrated.measured, steps=other.measured.steps)
    return step_errors(dataclasses.replace(calibrated, measured=measured))


def product_text(table: pd.DataFrame, chip: str) -> str:
    """Describe the efficiency of large BF16 products, with power and clock."""
    products = table[(table["kind"] == "matmul") & (table["precision"] == "bf16")]
    numbers = products[["flops", "median_s", "power_W", "clock_Hz"]].astype(float)
    large = numbers[numbers["flops"] > LARGE_FLOPS]
    peak = load_catalogue().accelerator(chip).peak_flops["bf16"]
    share = (large["flops"] / large["median_s"] / peak).median()
    return (
        f"{len(large)} products of over 1e12 FLOPs in BF16: {format_percent(share)} of the "
        f"peak in the median, at {large['power_W'].median():.0f} W and "
        f"{1e-6 * large['clock_Hz'].median():.0f} MHz"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="new folder (default: out/measured-chips)")
    parser.add_argument(
        "--quick", action="store_true", help="the H200 alone, without published runs"
    )
    args = parser.parse_args()
    tables = shipped_microbenchmarks()
    names = ["h200"] if args.quick else list(tables)
    with new_folder(args.out or unused_folder("out/measured-chips")) as folder:
        runs = None if args.quick else fit_to_runs()
        for name in names:
            fitted = fit_to(name, own=not args.quick)
            (chip,) = fitted.measured.user_chips
            steps = step_errors(fitted)
            steps.to_csv(folder / f"{name}-steps.csv", index=False, float_format="%.6g")
            found = chip_coefficients(fitted, {chip})
            found.to_csv(folder / f"{name}-coefficients.csv", index=False, float_format="%.6g")
            assert fitted.measured.micro is not None
            figure = draw_chip(fitted.measured.micro, fitted.calibration, steps, chip)
            save_figure(figure, folder / name)
            print(chip, product_text(tables[name], chip), sep="\n  ")
            if runs is None:
                print("  its microbenchmarks alone:", *step_text(steps), sep="\n    ")
                continue
            print("  published runs alone:", *step_text(with_steps_of(runs, fitted)), sep="\n    ")
            print("  published runs and all microbenchmarks:", *step_text(steps), sep="\n    ")
            alone = step_errors(fit_to(name, own=False))
            print("  its microbenchmarks alone:", *step_text(alone), sep="\n    ")
            for other in names:
                if other != name:
                    strange = with_steps_of(fit_to(other, shipped=()), fitted)
                    print(f"  published runs and the {other.upper()}'s microbenchmarks:")
                    print("", *step_text(strange), sep="    ")
        twice = fit_to("h200", "repeats/h200", own=False).measured
        print("the H200, measured twice:", *repeat_text(repeated_cases(twice)), sep="\n  ")
    print(f"figures: {', '.join(str(folder / f'{name}.png') for name in names)}")


if __name__ == "__main__":
    main()
