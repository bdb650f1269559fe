"""Logs as the schedulers and platforms of a site write them, in many formats."""
