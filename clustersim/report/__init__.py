"""Outputs of studies and runs: tables, figures, HTML pages, timelines, and text in the terminal."""

from clustersim.report.experiment import run_experiment
from clustersim.report.output import unused_folder
from clustersim.report.study import run_study, write_report

__all__ = ["run_experiment", "run_study", "unused_folder", "write_report"]
