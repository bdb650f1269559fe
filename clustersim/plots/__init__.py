"""Figures of results. Each plot function draws a table; its caller decides what is shown."""
