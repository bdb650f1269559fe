"""Simulation of jobs on a cluster: run times, eligibility, offered load and result tables."""
