"""Plots of a validation: recorded and simulated waits, mechanisms, and the capacity in use."""
