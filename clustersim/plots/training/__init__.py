"""Figures of the time to train."""
