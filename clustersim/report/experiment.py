"""Run a study file as a script."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from clustersim.errors import InputError
from clustersim.report.output import unused_folder
from clustersim.report.study import run_study
from clustersim.studies.study import load_study

__all__ = ["run_experiment"]


def run_experiment(study_file: Path, description: str | None = None) -> None:
    """Run a study file as a script: make its runs, and write its tables, figures and HTML page.

    Parameters
    ----------
    study_file : Path
    description : str, optional
        Description for ``--help``.

    Raises
    ------
    SystemExit
        With code 2 if the input cannot be used, or 130 after an interrupt.

    Examples
    --------
    >>> import sys
    >>> from pathlib import Path
    >>> from clustersim.report import run_experiment
    >>> sys.argv = ["mine.py", "--quick"]
    >>> run_experiment(Path("mine.yaml"))
    Traceback (most recent call last):
        ...
    SystemExit: 2
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, help="folder (default: a new one in out/)")
    parser.add_argument("--workers", type=int, help="number of processes (default: one per core)")
    parser.add_argument("--resume", action="store_true", help="continue the study in --out")
    parser.add_argument(
        "--keep-old", action="store_true", help="with --resume: keep runs made by different code"
    )
    parser.add_argument("--quick", action="store_true", help="few short runs, to try the script")
    args = parser.parse_args()
    try:
        study = load_study(study_file, quick=args.quick)
        out = args.out or unused_folder(Path("out") / study.spec.name)
        complete = run_study(
            study,
            out,
            workers=args.workers,
            resume=args.resume,
            keep_old=args.keep_old,
            report=True,
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if not complete:
        raise SystemExit(130)
