"""Readers of job logs, one module per format."""

from clustersim.workload.readers.detect import FORMATS, log_files, read_jobs

__all__ = ["FORMATS", "log_files", "read_jobs"]
