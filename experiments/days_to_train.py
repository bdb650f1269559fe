"""How many days do named trainings take on each chip, and what does a fleet train in 90 days?

Each training runs on each number of each chip with the fastest plan that fits, failures included.
The lines are 90 % intervals of the calibration; SeedChip is a range of specifications. On the
fleet, the chips are those that are there at the date, over draws of what is late.
"""

from __future__ import annotations

import argparse
import math
import textwrap
from pathlib import Path

import pandas as pd

from clustersim.catalogue import hypothetical_note, load_catalogue
from clustersim.outputs import new_folder
from clustersim.plots.style import save_figure
from clustersim.plots.training.days_to_train import draw_days_to_train
from clustersim.report import unused_folder
from clustersim.training.named_trainings import (
    NamedTrainings,
    compare_trainings,
    largest_on_fleet,
    load_trainings,
    trainings_on_fleet,
)
from clustersim.training.result import PUBLISHED_NOTE
from clustersim.units import format_number, format_quantity

FILE = Path(__file__).parent / "trainings" / "days_to_train.yaml"
ASSUMED = (
    "Failures included: a node fails as often as in the training of Llama 3 405B, checkpoints at "
    "the optimal interval at 2 TB/s, 10 min to restart. BF16; DeepSeek-V3-like in FP8 where a chip "
    "has it. The batch of each model, whatever the number of chips; mature software. Marks: "
    "medians; lines: 90 % intervals of the calibration, and of the specification of SeedChip. No "
    "run on 910C, P800 or 810E is in the calibration. "
)


def days(row: dict[str, object]) -> str:
    """Return the days of a gang with their interval."""
    low, middle, high = (float(str(row[name])) for name in ("days_lo", "days", "days_hi"))
    if math.isnan(middle):
        return "does not fit"
    return f"{format_number(middle, 3)} ({format_number(low, 3)} to {format_number(high, 3)})"


def markdown(table: pd.DataFrame) -> str:
    """Return the days as a Markdown table: a row for each training and chip."""
    counts = sorted(set(table["count"]))
    lines = [
        "| training | chip | " + " | ".join(f"{count:,} chips" for count in counts) + " |",
        "|---|---|" + "---|" * len(counts),
    ]
    for (training, chip), rows in table.groupby(["training", "accelerator"], sort=False):
        of_count = {row["count"]: days(row) for row in rows.to_dict("records")}
        cells = " | ".join(of_count[count] for count in counts)
        lines.append(f"| {training} | {chip} | {cells} |")
    return "\n".join(lines) + "\n"


def on_fleet(spec: NamedTrainings, folder: Path) -> pd.DataFrame:
    """Return the table of the trainings on the fleet, and write it."""
    parts = []
    for name, found in trainings_on_fleet(spec, FILE.parent).items():
        table = found.table.copy()
        table.insert(0, "training", name)
        parts.append(table)
        best = found.fastest
        if best is not None:
            print(f"{name} at {found.at}: {days(best)} days on {best['count']:,} {best['pool']}")
    table = pd.concat(parts, ignore_index=True)
    table.to_csv(folder / "fleet.csv", index=False, float_format="%.6g", lineterminator="\n")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="new folder (default: out/days-to-train)")
    parser.add_argument("--quick", action="store_true", help="one training on two chips")
    args = parser.parse_args()
    spec = load_trainings(FILE)
    if args.quick:
        few = {"trainings": spec.trainings[:1], "accelerators": ["H200", "SeedChip"], "fleet": None}
        spec = spec.model_copy(update=few)
    with new_folder(args.out or unused_folder("out/days-to-train")) as folder:
        table, notes = compare_trainings(spec, FILE.parent)
        table.to_csv(
            folder / "days-to-train.csv", index=False, float_format="%.6g", lineterminator="\n"
        )
        (folder / "days-to-train.md").write_text(markdown(table), encoding="utf-8")
        catalogue = load_catalogue()
        guess = hypothetical_note(catalogue.accelerator(chip) for chip in spec.accelerators) or ""
        note = textwrap.fill(ASSUMED + PUBLISHED_NOTE, 150) + "\n" + guess
        save_figure(draw_days_to_train(table, note=note), folder / "days-to-train")
        print(markdown(table))
        if spec.fleet is not None:
            on_fleet(spec, folder)
            found = largest_on_fleet(spec, FILE.parent)
            if found is not None and found.model is not None:
                sizes = (found.params_lo, found.model.params, found.params_hi)
                low, middle, high = (format_quantity(size, "count", 3) for size in sizes)
                print(
                    f"largest {found.family}: {middle} parameters (90 % interval {low} to {high})"
                )
    print(textwrap.fill(" ".join(notes), 100))
    print(f"figure: {folder / 'days-to-train.png'}")


if __name__ == "__main__":
    main()
