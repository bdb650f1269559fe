"""Published collectives of the reference data, whatever their file, as calls of the model."""

from __future__ import annotations

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path

import clustersim as cs
from clustersim.catalogue import Accelerator
from clustersim.network.chip_collectives import estimate_collective
from tests.reference_data import data_folder

__all__ = ["PublishedRow", "published_rows"]

CATALOGUE = cs.load_catalogue()
OPERATIONS = {
    "all_reduce": "all_reduce",
    "all_gather": "all_gather",
    "reduce_scatter": "reduce_scatter",
    "alltoall": "all_to_all",
}
FACTORS = {"all_reduce": 2.0}
LARGE_BYTES = 2.0**32
"""Size assumed where a source only states that messages are large."""


@dataclass(frozen=True)
class PublishedRow:
    """One row: who measured what, and the seconds that it took."""

    id: str
    chip: Accelerator
    operation: str
    ranks: int
    size_bytes: float
    in_switch: bool
    fabric: str
    nic_Bps: float | None
    seconds: float

    @property
    def error(self) -> float:
        """Predicted divided by published time, minus 1."""
        found = estimate_collective(
            self.operation,
            self.size_bytes,
            self.chip,
            self.ranks,
            fabric=self.fabric,
            nic_Bps=self.nic_Bps,
            in_switch=self.in_switch,
        )
        return float(found.seconds) / self.seconds - 1.0


def published_rows() -> list[PublishedRow]:
    """Read the rows of all files that state a chip of the catalogue, an operation and a rate.

    Rows that their source reports as a fault, or whose first call is slow, are left out.
    """
    found = []
    for path in sorted(data_folder().glob("measurements/collectives*.csv")):
        found += [row for row in map(_row, _lines(path)) if row is not None]
    return found


def _lines(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8") as file:
        return [{name: value or "" for name, value in row.items()} for row in csv.DictReader(file)]


def _row(line: dict[str, str]) -> PublishedRow | None:
    chip = line.get("accelerator") or line.get("chip", "")
    chip = chip.rstrip("?")
    text = line["collective"]
    operation = OPERATIONS.get(text.partition(" ")[0])
    ranks, nodes = line.get("n_devices") or line.get("n_chips"), line["nodes"]
    notes = f"{line.get('notes', '')} {line.get('shape', '')}"
    if not (operation and ranks and nodes and CATALOGUE.has_accelerator(chip)):
        return None
    if "fault" in notes or "PTO kernel" in text or text.endswith("x4MB"):
        return None
    n, size = float(ranks), float(line["size_bytes"] or LARGE_BYTES)
    seconds = _seconds(line, operation, n, size)
    if seconds is None:
        return None
    inside = round(n / float(nodes))
    accelerator = CATALOGUE.accelerator(chip)
    if float(nodes) > 1 and inside != accelerator.scaleup_size:
        accelerator = dataclasses.replace(accelerator, scaleup_size=inside)
    rate = line.get("spec_uni_GBps") or line.get("line_rate_GBps")
    link, way = line.get("link", ""), f"{line.get('algo', '')} {text} {notes}"
    sums = "NVLS" in way and "not NVLS" not in way and "NVLS off" not in way
    return PublishedRow(
        id=line["id"],
        chip=accelerator,
        operation=operation,
        ranks=int(n),
        size_bytes=size,
        in_switch=sums or not ("ring" in way.lower() or "not NVLS" in way),
        fabric="efa" if "EFA" in link else "tcpx" if "TCPX" in link else "infiniband",
        nic_Bps=1e9 * float(rate) if rate and float(rate) <= 100 else None,
        seconds=seconds,
    )


def _seconds(line: dict[str, str], operation: str, n: float, size: float) -> float | None:
    time_us = line.get("time_us") or (line.get("value") if line.get("unit") == "us" else "")
    if time_us:
        return 1e-6 * float(time_us)
    if line.get("algbw_GBps"):
        return size / (1e9 * float(line["algbw_GBps"]))
    if line["busbw_GBps"]:
        factor = FACTORS.get(operation, 1.0) * (n - 1.0) / n
        return factor * size / (1e9 * float(line["busbw_GBps"]))
    return None
