"""What a study leaves behind: tables, pictures, lines in the terminal."""

from clustersim.report.load_sweep import run_load_sweep
from clustersim.report.output import unused_folder

__all__ = ["run_load_sweep", "unused_folder"]
