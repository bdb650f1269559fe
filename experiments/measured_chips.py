"""What does measuring a chip tell that published runs do not?

Fits the core to published runs and to the microbenchmarks of the H200 and the H100 that come with
the package, predicts whole training steps that were measured beside them and that nothing is fitted
on, and draws what each chip reaches by its microbenchmarks and by published runs alone.
"""

from __future__ import annotations

import argparse
import dataclasses
from importlib import resources
from pathlib import Path

import pandas as pd

from clustersim.calibration import Calibrated, calibrate, load_measurements
from clustersim.calibration.chip_report import step_text
from clustersim.calibration.chip_tables import chip_coefficients, step_errors
from clustersim.calibration.measurements import shipped_microbenchmarks
from clustersim.plots.microbenchmarks import draw_chip
from clustersim.plots.style import save_figure
from clustersim.report import unused_folder
from clustersim.simulation.result import new_folder

FILES = resources.files("clustersim.calibration") / "data" / "microbenchmarks"


def fit_to(name: str, *, own: bool = True, shipped: tuple[str, ...] | None = None) -> Calibrated:
    """Fit to a file of microbenchmarks that comes with the package, as a user would to theirs."""
    with resources.as_file(FILES / f"{name}.csv") as path:
        measured = load_measurements([path], own=own, shipped=shipped)
    return calibrate(measured, validate=False)


def with_steps_of(calibrated: Calibrated, other: Calibrated) -> pd.DataFrame:
    """Predict the whole steps of another chip."""
    measured = dataclasses.replace(calibrated.measured, steps=other.measured.steps)
    return step_errors(dataclasses.replace(calibrated, measured=measured))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="new folder (default: out/measured-chips)")
    parser.add_argument("--quick", action="store_true", help="the H200 alone")
    args = parser.parse_args()
    names = ["h200"] if args.quick else list(shipped_microbenchmarks())
    with new_folder(args.out or unused_folder("out/measured-chips")) as folder:
        fits = {name: fit_to(name) for name in names}
        for name, fitted in fits.items():
            chip = fitted.measured.chips_on_the_desk[0]
            steps = step_errors(fitted)
            steps.to_csv(folder / f"{name}-steps.csv", index=False, float_format="%.6g")
            found = chip_coefficients(fitted, {chip})
            found.to_csv(folder / f"{name}-coefficients.csv", index=False, float_format="%.6g")
            assert fitted.measured.micro is not None
            figure = draw_chip(fitted.measured.micro, fitted.calibration, steps, chip)
            save_figure(figure, folder / name)
            print(f"{chip}, published runs and all microbenchmarks:", *step_text(steps), sep="\n  ")
            alone = step_errors(fit_to(name, own=False))
            print(f"{chip}, its microbenchmarks alone:", *step_text(alone), sep="\n  ")
            for other in names:
                if other != name:
                    strange = with_steps_of(fit_to(other, shipped=(other,)), fitted)
                    print(f"{chip}, published runs and the {other.upper()}'s microbenchmarks:")
                    print("", *step_text(strange), sep="  ")
    print(f"pictures: {', '.join(str(folder / f'{name}.png') for name in names)}")


if __name__ == "__main__":
    main()
