"""How fast, and at what cost, do H200, H20, 910B and SeedChip train the catalogue's models?

Each model runs on the same number of each chip, with the best plan for that chip. The bands show
the calibration's posterior; prices are ranges; SeedChip is a range of specifications.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from clustersim.catalogue import hypothetical_note, load_catalogue
from clustersim.estimation.chip_comparison import compare_chips
from clustersim.estimation.cost import Prices
from clustersim.outputs import new_folder
from clustersim.plots.chips import draw_chip_comparison
from clustersim.plots.style import save_figure
from clustersim.report import unused_folder

JOBS = {
    "llama3-8b": 64,
    "llama3-70b": 256,
    "gpt3-175b": 512,
    "llama3-405b": 2048,
    "deepseek-v3": 2048,
    "doubao-class": 512,
    "jimeng-class": 128,
}
QUICK_JOBS = {"llama3-8b": 64, "doubao-class": 512}
CHIPS = ("H100", "H200", "H20", "910B2", "SeedChip")


def assumptions(prices: Prices) -> str:
    """Return the assumptions of the figures."""
    return (
        "BF16; the batch of each model; the default stack of each chip (NVIDIA's recipes of 2025, "
        "MindSpeed-LLM on 910B; SeedChip: mean of all stacks); no failures. Bands: 90 % interval "
        "of the calibration's posterior, with the best plan at its mean; for SeedChip with the "
        "range of its specification. Cost: the purchase price of the chip with its share of the "
        "server, between the low and high values of the catalogue, over "
        f"{prices.depreciation_years:g} years of full use, plus "
        f"{100 * prices.assumptions.site_share:g} % for network and buildings, and electricity at "
        f"{prices.tariff_cny_per_kwh:g} CNY/kWh for {prices.pue:g} times the power of the busy "
        "chip and its share of the host (planning assumptions). Staff is excluded. H100 and H20 "
        "prices come from different markets. Few runs on H20 are published, none on SeedChip."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="new folder (default: out/chip-comparison)")
    parser.add_argument("--quick", action="store_true", help="two models only")
    args = parser.parse_args()
    catalogue = load_catalogue()
    prices = Prices.of(catalogue.assumptions)
    with new_folder(args.out or unused_folder("out/chip-comparison")) as folder:
        table = compare_chips(QUICK_JOBS if args.quick else JOBS, CHIPS, prices=prices)
        table.to_csv(folder / "chip-comparison.csv", index=False, float_format="%.6g")
        hypothetical = hypothetical_note(catalogue.accelerator(chip) for chip in CHIPS) or ""
        note = textwrap.fill(assumptions(prices), 135) + "\n" + hypothetical
        save_figure(draw_chip_comparison(table, note=note), folder / "chip-comparison")
    columns = {
        "model": "model",
        "accelerator": "chip",
        "chips": "chips",
        "step_time_s": "step s",
        "lo_s": "from",
        "hi_s": "to",
        "mfu": "MFU",
        "cny_per_mtoken": "CNY/1M tokens",
        "lo_cny": "from ",
        "hi_cny": "to ",
    }
    shown = table.rename(columns=columns)[list(columns.values())]
    print(shown.to_string(index=False, float_format="{:.3g}".format))
    print(textwrap.fill(assumptions(prices), 100))
    print(textwrap.fill(hypothetical, 100))
    print(f"figure: {folder / 'chip-comparison.png'}")


if __name__ == "__main__":
    main()
