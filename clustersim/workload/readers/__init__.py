"""Readers of job logs, one format a module."""

from clustersim.workload.readers.detect import FORMATS, log_files, read_jobs

__all__ = ["FORMATS", "log_files", "read_jobs"]
