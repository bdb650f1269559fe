"""How much load does the mixed fleet carry before jobs wait too long, and under which policy?

Sweeps the offered load of the scenario beside this file under several policies, with
replications, and draws the capacity curves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clustersim.report import run_load_sweep, unused_folder
from clustersim.studies import LoadSweep, Objective, Window

HERE = Path(__file__).parent
LOADS = (0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
QUICK_LOADS = (0.6, 0.9, 1.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="new folder (default: out/capacity-curve)")
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")
    parser.add_argument(
        "--draw-worlds",
        action="store_true",
        help="let each replication draw its step times from the calibration's posterior",
    )
    parser.add_argument("--quick", action="store_true", help="few short runs, to try it out")
    args = parser.parse_args()
    sweep = LoadSweep(
        scenario=str(HERE / "capacity_curve.yaml"),
        loads=QUICK_LOADS if args.quick else LOADS,
        policies=("fcfs", "easy"),
        replications=2 if args.quick else 5,
        window=Window(warm_up=0.4, cool_down=0.1),
        changes=("workload.jobs=1000",) if args.quick else (),
        draw_worlds=args.draw_worlds,
    )
    run_load_sweep(
        sweep,
        objective=Objective("p95_wait_s", at_most=3600.0),
        out=args.out or unused_folder("out/capacity-curve"),
        workers=args.workers,
    )


if __name__ == "__main__":
    main()
