"""Readers of job logs, one format a module."""

from clustersim.workload.readers.detect import FORMATS, read_jobs

__all__ = ["FORMATS", "read_jobs"]
