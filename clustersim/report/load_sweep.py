"""A load sweep from start to picture, told in the terminal as it goes."""

from __future__ import annotations

import dataclasses
import json
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from clustersim.catalogue import hypothetical_note
from clustersim.plots.capacity import capacity_text, draw_capacity_curves
from clustersim.plots.style import save_figure
from clustersim.simulation.result import new_folder, versions
from clustersim.simulation.run import open_fleet, resolved
from clustersim.simulation.scenario import load_scenario
from clustersim.studies.load_sweep import LoadSweep, Objective, SweepResult, load_sweep
from clustersim.units import format_duration

__all__ = ["run_load_sweep"]


def run_load_sweep(
    sweep: LoadSweep, *, objective: Objective, out: str | Path, workers: int | None = None
) -> SweepResult:
    """Make a load sweep, tell each point as it is done, and keep everything in a folder.

    Parameters
    ----------
    sweep : LoadSweep
        What to vary.
    objective : Objective
        The service at which the capacity is read.
    out : str or Path
        A new folder: ``capacity-curve.png`` and ``.svg``, ``points.csv`` and
        ``.parquet`` (a row a point), ``runs.parquet`` (a row a run), ``study.json``.
    workers : int, optional
        Number of processes; by default one a core.

    Returns
    -------
    SweepResult
        Also what was done before an interrupt.

    Raises
    ------
    InputError
        If the scenario cannot be used, or `out` exists.
    """
    began = time.perf_counter()
    loaded = load_scenario(sweep.scenario, sweep.changes)
    fleet = open_fleet(loaded)
    chips = [fleet.catalogue.accelerator(pool.accelerator) for pool in fleet.cluster.pools]
    note = hypothetical_note(chips) or ""
    pools = ", ".join(
        f"{pool.n_chips:,} {chip.name}"
        for pool, chip in zip(fleet.cluster.pools, chips, strict=True)
    )
    print(f"{fleet.cluster.name}: {pools}")
    with new_folder(out) as folder:
        result = load_sweep(sweep, workers=workers, on_run=_Teller(sweep))
        result.runs.to_parquet(folder / "runs.parquet", index=False)
        if len(result.runs):
            points = result.points()
            points.to_parquet(folder / "points.parquet", index=False)
            points.to_csv(folder / "points.csv", index=False)
            figure = draw_capacity_curves(
                result,
                objective,
                title=f"Capacity of {fleet.cluster.n_chips:,} chips: {pools}",
                note=_footnote(sweep, note),
            )
            save_figure(figure, folder / "capacity-curve")
        study = {
            "sweep": dataclasses.asdict(sweep),
            "objective": dataclasses.asdict(objective),
            "scenario": resolved(loaded.scenario, fleet, loaded.folder),
            "versions": versions(),
            "wall_s": time.perf_counter() - began,
        }
        (folder / "study.json").write_text(json.dumps(study, indent=2) + "\n")
    for found in result.capacity(objective) if len(result.runs) else ():
        limit = _objective_text(objective)
        print(f"capacity at {limit} under {found.policy}: offered load {capacity_text(found)}")
    for line in _gain_lines(result, objective):
        print(line)
    if note:
        print(textwrap.fill(note, 100))
    print(f"{len(result.runs)} runs in {time.perf_counter() - began:.0f} s")
    if len(result.runs):
        print(f"picture: {Path(out) / 'capacity-curve.png'}")
    return result


class _Teller:
    """Prints one line for each point once all its replications are there."""

    def __init__(self, sweep: LoadSweep) -> None:
        self._sweep = sweep
        self._told: set[tuple[str, float]] = set()
        self._began = time.perf_counter()
        self._total = len(list(sweep.runs()))

    def __call__(self, runs: pd.DataFrame) -> None:
        for row in SweepResult(self._sweep, runs).points().to_dict("records"):
            key = (row["policy"], row["load"])
            if key not in self._told and row["replications"] == self._sweep.replications:
                self._told.add(key)
                print(_point_line(row), flush=True)
        if sys.stderr.isatty():
            done, passed = len(runs), time.perf_counter() - self._began
            left = format_duration(passed / done * (self._total - done))
            line = f"  {done}/{self._total} runs, {done / passed:.1f} a second, {left} left "
            end = "\r" if done < self._total else "\r\033[K"
            print(line, end=end, file=sys.stderr, flush=True)


def _point_line(row: Mapping[Any, Any]) -> str:
    head = f"{row['policy']:>6}  load {row['load']:.2f}  "
    use = f"used {row['utilisation']:.1%}"
    if row["overload"]:
        return f"{head}overload, {row['backlog_growth']:.1%} of the work piled up   {use}"

    def wait(name: str) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return f"{format_duration(row[name]):>8} ({format_duration(low)} - {format_duration(high)})"

    return (
        f"{head}wait {wait('mean_wait_s')}  p95 {wait('p95_wait_s')}  "
        f"slowdown {row['mean_bounded_slowdown']:.2f}  {use}{'  still rising' * row['rising']}"
    )


def _gain_lines(result: SweepResult, objective: Objective) -> Iterator[str]:
    """Say how the other policies compare with the first, on the same jobs."""
    first, *others = result.sweep.policies
    for policy in others if len(result.runs) else ():
        gain = result.capacity_gain(objective, policy, over=first)
        if np.isfinite(gain.load):
            yield (
                f"on the same jobs {policy} carries {gain.load:+.3f} ({gain.low:+.3f} to "
                f"{gain.high:+.3f}) of offered load against {first}"
            )


def _objective_text(objective: Objective) -> str:
    name = objective.measure.removesuffix("_s").replace("_", " ")
    if objective.measure.endswith("_s"):
        return f"{name} <= {format_duration(objective.at_most)}"
    return f"{name} <= {objective.at_most:g}"


def _footnote(sweep: LoadSweep, note: str) -> str:
    worlds = ", each with a draw of the step times," if sweep.draw_worlds else ""
    bands = (
        f"Bands: 95 % confidence from {sweep.replications} replications{worlds} with common random "
        f"numbers; the first {sweep.window.warm_up:.0%} and last {sweep.window.cool_down:.0%} "
        "of the jobs are not measured. Triangles: overload, without a steady state."
    )
    return f"{bands}\n{note}" if note else bands
