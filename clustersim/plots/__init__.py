"""Figures of results. Each plot function takes a table and axes, and makes no decisions."""
