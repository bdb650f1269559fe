"""Metrics that are measured only if a study or a user asks for them."""
