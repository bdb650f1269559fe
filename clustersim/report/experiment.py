"""Run a study file as a script."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from clustersim.errors import InputError
from clustersim.report.output import unused_folder
from clustersim.report.study import run_study
from clustersim.studies.study import load_study

__all__ = ["run_experiment"]


def run_experiment(
    study_file: Path | Sequence[Path],
    description: str | None = None,
    *,
    then: Callable[[Path], None] | None = None,
) -> None:
    """Run a study file as a script: make its runs, and write its tables, figures and HTML page.

    Parameters
    ----------
    study_file : Path or sequence of Path
        One study, or several, each of which gets a folder of its name in the folder of the
        experiment.
    description : str, optional
        Description for ``--help``.
    then : callable, optional
        Called with the folder of the experiment when all runs are done, for a figure of several
        studies.

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
    files = [study_file] if isinstance(study_file, Path) else list(study_file)
    try:
        studies = [load_study(file, quick=args.quick) for file in files]
        out = args.out or unused_folder(Path("out") / studies[0].spec.name)
        for study in studies:
            folder = out if len(studies) == 1 else out / study.spec.name
            complete = run_study(
                study,
                folder,
                workers=args.workers,
                resume=args.resume and (len(studies) == 1 or folder.exists()),
                keep_old=args.keep_old,
                report=True,
            )
            if not complete:
                raise SystemExit(130)
        if then is not None:
            then(out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
