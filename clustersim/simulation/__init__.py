"""Computes result tables from jobs and a cluster: run times, eligibility, offered load, the run."""
