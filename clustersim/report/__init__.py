"""What a study leaves behind: tables, pictures, a page, lines in the terminal."""

from clustersim.report.experiment import run_experiment
from clustersim.report.output import unused_folder
from clustersim.report.study import conduct_study, write_report

__all__ = ["conduct_study", "run_experiment", "unused_folder", "write_report"]
